//! `ssl_session_cache shared`: sessions that clients may resume, kept for all server blocks and threads that name the
//! cache.
//!
//! A cache has a bound in bytes. When it is reached, the session that was not used for the longest time goes. A session
//! is a secret: it is wiped when it goes.
//!
//! Which server block may take a session up again is not decided here: OpenSSL compares the context that is part of the
//! session.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use zeroize::Zeroizing;

use super::options;
use super::tickets::TicketKeys;

/// The caches by name. They live as long as a configuration names them, so a new configuration takes them over.
#[derive(Debug, Default)]
pub struct Caches(Mutex<HashMap<String, Weak<SharedCache>>>);

impl Caches {
    /// The cache of that name, made if there is none, and made to fit the size.
    pub(super) fn named(&self, options: &options::SharedCache) -> Arc<SharedCache> {
        let mut caches = lock(&self.0);
        caches.retain(|_, cache| cache.strong_count() > 0);
        if let Some(cache) = caches.get(&options.name).and_then(Weak::upgrade) {
            lock(&cache.sessions).set_limit(options.size);
            return cache;
        }
        let cache = Arc::new(SharedCache {
            sessions: Mutex::new(Sessions::new(options.size)),
            ticket_keys: Arc::new(TicketKeys::automatic()),
        });
        caches.insert(options.name.clone(), Arc::downgrade(&cache));
        cache
    }
}

/// One cache, and the keys for tickets of all who share it.
pub(super) struct SharedCache {
    sessions: Mutex<Sessions>,
    /// Made and changed by ourselves; in use where no `ssl_session_ticket_key` is given.
    pub(super) ticket_keys: Arc<TicketKeys>,
}

impl SharedCache {
    /// Keeps a session until `end`, in seconds since 1970.
    pub(super) fn keep(&self, id: &[u8], session: Vec<u8>, end: u64) {
        lock(&self.sessions).insert(id, Zeroizing::new(session), end);
    }

    /// Finds a session that has not ended yet.
    pub(super) fn find(&self, id: &[u8], now: u64) -> Option<Zeroizing<Vec<u8>>> {
        lock(&self.sessions).find(id, now)
    }

    /// Forgets a session.
    pub(super) fn forget(&self, id: &[u8]) {
        lock(&self.sessions).remove(id);
    }
}

impl fmt::Debug for SharedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCache").finish_non_exhaustive()
    }
}

/// Nothing here can leave a lock's data half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sessions, the least recently used first.
struct Sessions {
    by_id: HashMap<Box<[u8]>, Entry>,
    by_use: BTreeMap<u64, Box<[u8]>>,
    uses: u64,
    size: usize,
    limit: usize,
}

struct Entry {
    session: Zeroizing<Vec<u8>>,
    end: u64,
    last_use: u64,
}

impl Sessions {
    /// What an entry costs beside the session itself: twice the identifier, and its share of the two maps.
    const OVERHEAD: usize = 256;

    fn new(limit: usize) -> Sessions {
        Sessions { by_id: HashMap::new(), by_use: BTreeMap::new(), uses: 0, size: 0, limit }
    }

    fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.make_room(0);
    }

    fn insert(&mut self, id: &[u8], session: Zeroizing<Vec<u8>>, end: u64) {
        self.remove(id);
        let cost = Sessions::cost(&session);
        if cost > self.limit {
            return;
        }
        self.make_room(cost);
        self.size += cost;
        self.uses += 1;
        self.by_use.insert(self.uses, id.into());
        self.by_id.insert(id.into(), Entry { session, end, last_use: self.uses });
    }

    fn find(&mut self, id: &[u8], now: u64) -> Option<Zeroizing<Vec<u8>>> {
        let entry = self.by_id.get_mut(id)?;
        if entry.end <= now {
            self.remove(id);
            return None;
        }
        self.uses += 1;
        self.by_use.remove(&entry.last_use);
        self.by_use.insert(self.uses, id.into());
        entry.last_use = self.uses;
        Some(entry.session.clone())
    }

    fn remove(&mut self, id: &[u8]) {
        if let Some(entry) = self.by_id.remove(id) {
            self.by_use.remove(&entry.last_use);
            self.size -= Sessions::cost(&entry.session);
        }
    }

    fn make_room(&mut self, cost: usize) {
        while self.size + cost > self.limit {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            self.remove(&oldest);
        }
    }

    fn cost(session: &[u8]) -> usize {
        session.len() + Sessions::OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn cache(sessions: usize) -> Sessions {
        Sessions::new(sessions * (100 + Sessions::OVERHEAD))
    }

    fn session() -> Zeroizing<Vec<u8>> {
        Zeroizing::new(vec![7; 100])
    }

    #[test]
    fn the_least_recently_used_session_goes_first() {
        let mut cache = cache(2);
        cache.insert(b"a", session(), 10);
        cache.insert(b"b", session(), 10);
        assert!(cache.find(b"a", 0).is_some());
        cache.insert(b"c", session(), 10);
        assert!(cache.find(b"a", 0).is_some() && cache.find(b"b", 0).is_none() && cache.find(b"c", 0).is_some());
    }

    #[test]
    fn a_session_ends_when_its_time_has_come() {
        let mut cache = cache(2);
        cache.insert(b"a", session(), 10);
        assert_eq!(cache.find(b"a", 9).unwrap(), session());
        assert!(cache.find(b"a", 10).is_none());
        assert_eq!((cache.size, cache.by_id.len(), cache.by_use.len()), (0, 0, 0));
    }

    #[test]
    fn the_bound_holds_whatever_comes() {
        let mut cache = cache(10);
        for number in 0..1000_u32 {
            let id = (number % 300).to_be_bytes();
            cache.insert(&id, Zeroizing::new(vec![0; number as usize * 7 % 900]), 10);
            assert!(cache.size <= cache.limit);
            assert_eq!(cache.by_id.len(), cache.by_use.len());
        }
        cache.set_limit(100);
        assert_eq!((cache.size, cache.by_id.len()), (0, 0));
        cache.insert(b"a", session(), 10);
        assert!(cache.find(b"a", 0).is_none(), "larger than the cache");
    }

    #[test]
    fn a_name_stands_for_one_cache_as_long_as_it_is_in_use() {
        let caches = Caches::default();
        let options = options::SharedCache { name: "SSL".into(), size: 4096 };
        let first = caches.named(&options);
        first.keep(b"a", vec![1], 10);
        assert!(Arc::ptr_eq(&first, &caches.named(&options)));
        assert!(caches.named(&options).find(b"a", 0).is_some());
        drop(first);
        assert!(caches.named(&options).find(b"a", 0).is_none());
    }
}
