//! What was found, for as long as it is good.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most entries that are kept.
const MAX_ENTRIES: usize = 8192;

#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: Mutex<HashMap<K, Entry<V>>>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    until: Instant,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Cache<K, V> {
        Cache { entries: Mutex::default() }
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Instant) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|entry| now < entry.until).map(|entry| entry.value.clone())
    }

    /// Keeps a value. When there is no room, what has expired goes, and if nothing has, everything.
    pub(super) fn put(&self, key: K, value: V, now: Instant, life: Duration) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, entry| now < entry.until);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        let until = now.checked_add(life).unwrap_or(now);
        entries.insert(key, Entry { value, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lives_its_time() {
        let (cache, now, second) = (Cache::default(), Instant::now(), Duration::from_secs(1));
        cache.put(1, "a.example", now, second);
        cache.put(2, "b.example", now, Duration::ZERO);
        assert_eq!(cache.get(&1, now), Some("a.example"));
        assert_eq!(cache.get(&1, now + second), None);
        assert_eq!(cache.get(&2, now), None);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let (cache, now) = (Cache::default(), Instant::now());
        for number in 0..3 * MAX_ENTRIES {
            cache.put(number, "a.example", now, Duration::from_secs(60));
        }
        assert!(cache.entries.lock().is_ok_and(|entries| entries.len() <= MAX_ENTRIES));
        assert!(cache.get(&(3 * MAX_ENTRIES - 1), now).is_some());
    }
}
