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
        let session = Zeroizing::new(session.into_boxed_slice());
        if let Some(id) = Id::new(id) {
            lock(&self.sessions).insert(id, session, end);
        }
    }

    /// Finds a session that has not ended yet.
    pub(super) fn find(&self, id: &[u8], now: u64) -> Option<Zeroizing<Box<[u8]>>> {
        lock(&self.sessions).find(Id::new(id)?, now)
    }

    /// Forgets a session.
    pub(super) fn forget(&self, id: &[u8]) {
        if let Some(id) = Id::new(id) {
            lock(&self.sessions).remove(&id);
        }
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

/// A session's identifier: at most 32 bytes (RFC 5246, section 7.4.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Id {
    length: u8,
    bytes: [u8; Id::LONGEST],
}

impl Id {
    const LONGEST: usize = 32;

    fn new(id: &[u8]) -> Option<Id> {
        let mut bytes = [0; Id::LONGEST];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Id { length: u8::try_from(id.len()).ok()?, bytes })
    }
}

/// The sessions, the least recently used first.
struct Sessions {
    by_id: HashMap<Id, Entry>,
    by_use: BTreeMap<u64, Id>,
    uses: u64,
    size: usize,
    limit: usize,
}

struct Entry {
    session: Zeroizing<Box<[u8]>>,
    end: u64,
    last_use: u64,
}

impl Sessions {
    /// What an entry costs beside the session itself: its share of the two maps and the allocator's own (measured).
    const OVERHEAD: usize = 320;

    fn new(limit: usize) -> Sessions {
        Sessions { by_id: HashMap::new(), by_use: BTreeMap::new(), uses: 0, size: 0, limit }
    }

    fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.make_room(0);
    }

    fn insert(&mut self, id: Id, session: Zeroizing<Box<[u8]>>, end: u64) {
        self.remove(&id);
        let cost = Sessions::cost(&session);
        if cost > self.limit {
            return;
        }
        self.make_room(cost);
        self.size += cost;
        self.uses += 1;
        self.by_use.insert(self.uses, id);
        self.by_id.insert(id, Entry { session, end, last_use: self.uses });
    }

    fn find(&mut self, id: Id, now: u64) -> Option<Zeroizing<Box<[u8]>>> {
        let entry = self.by_id.get_mut(&id)?;
        if entry.end <= now {
            self.remove(&id);
            return None;
        }
        self.uses += 1;
        self.by_use.remove(&entry.last_use);
        self.by_use.insert(self.uses, id);
        entry.last_use = self.uses;
        Some(entry.session.clone())
    }

    fn remove(&mut self, id: &Id) {
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

    fn id(bytes: &[u8]) -> Id {
        Id::new(bytes).unwrap()
    }

    fn session() -> Zeroizing<Box<[u8]>> {
        Zeroizing::new([7; 100].into())
    }

    #[test]
    fn the_least_recently_used_session_goes_first() {
        let mut cache = cache(2);
        cache.insert(id(b"a"), session(), 10);
        cache.insert(id(b"b"), session(), 10);
        assert!(cache.find(id(b"a"), 0).is_some());
        cache.insert(id(b"c"), session(), 10);
        assert!(
            cache.find(id(b"a"), 0).is_some() && cache.find(id(b"b"), 0).is_none() && cache.find(id(b"c"), 0).is_some()
        );
    }

    #[test]
    fn a_session_ends_when_its_time_has_come() {
        let mut cache = cache(2);
        cache.insert(id(b"a"), session(), 10);
        assert_eq!(cache.find(id(b"a"), 9).unwrap(), session());
        assert!(cache.find(id(b"a"), 10).is_none());
        assert_eq!((cache.size, cache.by_id.len(), cache.by_use.len()), (0, 0, 0));
    }

    #[test]
    fn the_bound_holds_whatever_comes() {
        let mut cache = cache(10);
        for number in 0..1000_u32 {
            let number_id = id(&(number % 300).to_be_bytes());
            cache.insert(number_id, Zeroizing::new(vec![0; number as usize * 7 % 900].into()), 10);
            assert!(cache.size <= cache.limit);
            assert_eq!(cache.by_id.len(), cache.by_use.len());
        }
        cache.set_limit(100);
        assert_eq!((cache.size, cache.by_id.len()), (0, 0));
        cache.insert(id(b"a"), session(), 10);
        assert!(cache.find(id(b"a"), 0).is_none(), "larger than the cache");
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
