//! The names that were confirmed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most names that are kept.
const MAX_NAMES: usize = 8192;

#[derive(Debug, Default)]
pub(super) struct Cache {
    names: Mutex<HashMap<IpAddr, Entry>>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    until: Instant,
}

impl Cache {
    pub(super) fn get(&self, address: IpAddr, now: Instant) -> Option<String> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(&address).filter(|entry| now < entry.until).map(|entry| entry.name.clone())
    }

    /// Keeps a name. When there is no room, what has expired goes, and if nothing has, everything.
    pub(super) fn put(&self, address: IpAddr, name: &str, now: Instant, life: Duration) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MAX_NAMES {
            names.retain(|_, entry| now < entry.until);
        }
        if names.len() >= MAX_NAMES {
            names.clear();
        }
        let until = now.checked_add(life).unwrap_or(now);
        names.insert(address, Entry { name: name.to_string(), until });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: usize) -> IpAddr {
        Ipv4Addr::from_bits(number as u32).into()
    }

    #[test]
    fn a_name_lives_its_time() {
        let (cache, now, second) = (Cache::default(), Instant::now(), Duration::from_secs(1));
        cache.put(address(1), "a.example", now, second);
        cache.put(address(2), "b.example", now, Duration::ZERO);
        assert_eq!(cache.get(address(1), now), Some("a.example".to_string()));
        assert_eq!(cache.get(address(1), now + second), None);
        assert_eq!(cache.get(address(2), now), None);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let (cache, now) = (Cache::default(), Instant::now());
        for number in 0..3 * MAX_NAMES {
            cache.put(address(number), "a.example", now, Duration::from_secs(60));
        }
        assert!(cache.names.lock().is_ok_and(|names| names.len() <= MAX_NAMES));
        assert!(cache.get(address(3 * MAX_NAMES - 1), now).is_some());
    }
}
