//! `limit_conn_zone`: how many connections there are for each address, user or server.
//!
//! A zone is one for all threads, and for all server blocks and configurations that name it, so a reload changes no count.
//! What is counted is given back with the [`Place`], however its session ends.
//!
//! A zone holds 64-bit hashes with a random key, not the addresses or names themselves: nobody outside can find two that
//! collide. Its size bounds its entries, of which each takes less than [`ENTRY`] bytes. When it is full, what has no entry
//! is refused, as in nginx; since entries are of open connections only, a zone that is as large as `worker_connections` is
//! never full.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::addr::Address;
use crate::config::Network;
use crate::config::limits::connections::{self, Key};

/// What an entry takes, bytes: 16 and a byte of the table's own, in a table that may be less than half full after it has
/// grown. nginx's entries take as much.
const ENTRY: usize = 64;

/// The zones by name and key. They live as long as a configuration or a session is in them, so a new configuration takes
/// them over.
#[derive(Debug, Default)]
pub struct Zones(Mutex<HashMap<(String, Key), Weak<Zone>>>);

impl Zones {
    /// The zone of that name and key, made if there is none.
    pub fn named(&self, options: &connections::Zone) -> Arc<Zone> {
        let mut zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        zones.retain(|_, zone| zone.strong_count() > 0);
        let name = (options.name.clone(), options.key);
        if let Some(zone) = zones.get(&name).and_then(Weak::upgrade) {
            return zone;
        }
        let zone = Arc::new(Zone { key: options.key, hashing: RandomState::new(), by_hash: Mutex::default() });
        zones.insert(name, Arc::downgrade(&zone));
        zone
    }
}

/// One zone.
#[derive(Debug)]
pub struct Zone {
    key: Key,
    hashing: RandomState,
    by_hash: Mutex<HashMap<u64, u32>>,
}

/// Why there is no place.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// There are as many connections as there may be.
    TooMany,
    /// The zone has no room for another entry.
    Full,
}

impl Zone {
    /// By what it counts.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Counts a connection, unless there are as many as the limit allows, or more would not fit the size of its zone.
    /// Both are those of the caller's configuration: one that is not in force yet, or no more, changes nothing for others.
    ///
    /// # Errors
    /// Why it is not counted.
    pub fn take(self: &Arc<Zone>, value: &Value<'_>, limit: &connections::Limit) -> Result<Place, Refused> {
        let hash = self.hashing.hash_one(value);
        let mut counts = self.counts();
        let is_full = counts.len() >= limit.zone.size / ENTRY;
        match counts.entry(hash) {
            Entry::Occupied(count) if *count.get() >= limit.most => return Err(Refused::TooMany),
            Entry::Occupied(mut count) => *count.get_mut() += 1,
            Entry::Vacant(_) if is_full => return Err(Refused::Full),
            Entry::Vacant(entry) => drop(entry.insert(1)),
        }
        Ok(Place { zone: self.clone(), hash })
    }

    /// Nothing can panic halfway through a change, so a poisoned lock is as good as any.
    fn counts(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.by_hash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is counted.
#[derive(Debug, Hash)]
pub enum Value<'a> {
    /// A network, or one address.
    Ip(IpAddr),
    /// All clients on Unix domain sockets, as in nginx.
    Unix,
    /// The name of a server.
    Name(&'a str),
    /// A user, in lower case.
    User(&'a [u8]),
}

impl Value<'_> {
    /// An address, as far as its prefix goes.
    pub fn of_address(address: &Address, ipv4: u8, ipv6: u8) -> Value<'static> {
        match address.ip().map(|ip| ip.to_canonical()) {
            Some(ip) => Value::Ip(Network::around(ip, if ip.is_ipv4() { ipv4 } else { ipv6 })),
            None => Value::Unix,
        }
    }
}

/// A connection that is counted, until this is dropped.
#[derive(Debug)]
pub struct Place {
    zone: Arc<Zone>,
    hash: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.zone.counts();
        if let Entry::Occupied(mut count) = counts.entry(self.hash) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The places of a session. Most have none, and pay a pointer for them.
#[derive(Debug, Default)]
pub struct Places(Option<Box<(Place, Places)>>);

impl Places {
    /// Adds one.
    pub fn add(&mut self, place: Place) {
        let others = std::mem::take(self);
        self.0 = Some(Box::new((place, others)));
    }

    /// Gives those of a user back.
    pub fn release_user(&mut self) {
        let mut rest = std::mem::take(self);
        while let Some(first) = rest.0 {
            let (place, others) = *first;
            rest = others;
            if place.zone.key != Key::User {
                self.add(place);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BY_ADDRESS: Key = Key::Address { ipv4: 32, ipv6: 64 };

    /// A zone as a configuration has it.
    struct Configured(Arc<Zone>, connections::Zone);

    impl Configured {
        fn take(&self, value: &Value<'_>, most: u32) -> Result<Place, Refused> {
            self.0.take(value, &connections::Limit { zone: self.1.clone(), most })
        }

        fn counts(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
            self.0.counts()
        }
    }

    fn zone(zones: &Zones, entries: usize) -> Configured {
        keyed(zones, entries, BY_ADDRESS)
    }

    fn keyed(zones: &Zones, entries: usize, key: Key) -> Configured {
        let options = connections::Zone { name: "one".into(), size: entries * ENTRY, key };
        Configured(zones.named(&options), options)
    }

    fn address(text: &str) -> Value<'static> {
        Value::of_address(&Address::Ip((text.parse::<IpAddr>().unwrap(), 1).into()), 32, 64)
    }

    #[test]
    fn places_are_counted_by_address_and_given_back() {
        let zone = zone(&Zones::default(), 10);
        let first = zone.take(&address("192.0.2.1"), 2).unwrap();
        let mapped = zone.take(&address("::ffff:192.0.2.1"), 2).unwrap();
        assert_eq!(zone.take(&address("192.0.2.1"), 2).unwrap_err(), Refused::TooMany);
        let other = zone.take(&address("192.0.2.2"), 2).unwrap();
        drop(first);
        let again = zone.take(&address("192.0.2.1"), 2).unwrap();
        assert!(zone.take(&address("192.0.2.1"), 2).is_err());
        drop((mapped, other, again));
        assert!(zone.counts().is_empty());
    }

    #[test]
    fn a_network_is_one_client() {
        let zone = zone(&Zones::default(), 10);
        let _first = zone.take(&address("2001:db8:0:1::1"), 1).unwrap();
        assert!(zone.take(&address("2001:db8:0:1:ffff::2"), 1).is_err());
        let _second = zone.take(&address("2001:db8:0:2::1"), 1).unwrap();
        let unix = Value::of_address(&Address::nameless(), 32, 64);
        let _third = zone.take(&unix, 1).unwrap();
        assert!(zone.take(&unix, 1).is_err());
    }

    #[test]
    fn a_full_zone_refuses_whom_it_does_not_know() {
        let zone = zone(&Zones::default(), 1);
        let first = zone.take(&address("192.0.2.1"), 2).unwrap();
        assert_eq!(zone.take(&address("192.0.2.2"), 2).unwrap_err(), Refused::Full);
        let second = zone.take(&address("192.0.2.1"), 2).unwrap();
        drop((first, second));
        zone.take(&address("192.0.2.2"), 2).unwrap();
    }

    #[test]
    fn a_new_configuration_takes_the_counts_over_and_another_key_does_not() {
        let zones = Zones::default();
        let before = zone(&zones, 10);
        let place = before.take(&address("192.0.2.1"), 1).unwrap();
        let after = zone(&zones, 1);
        drop(before.take(&address("192.0.2.2"), 1).unwrap());
        drop(before);
        assert!(after.take(&address("192.0.2.1"), 1).is_err());
        assert_eq!(after.take(&address("192.0.2.2"), 1).unwrap_err(), Refused::Full);
        let other = keyed(&zones, 1, Key::Server);
        other.take(&address("192.0.2.1"), 1).unwrap();
        drop(after);
        assert!(zone(&zones, 10).take(&address("192.0.2.1"), 1).is_err(), "the session keeps it");
        drop(place);
        zone(&zones, 10).take(&address("192.0.2.1"), 1).unwrap();
    }

    #[test]
    fn a_user_is_released_and_nobody_else() {
        let zones = Zones::default();
        let (by_address, by_user) = (zone(&zones, 10), keyed(&zones, 10, Key::User));
        let mut places = Places::default();
        places.add(by_address.take(&address("192.0.2.1"), 1).unwrap());
        for user in [b"joe", b"jim"] {
            places.add(by_user.take(&Value::User(user), 1).unwrap());
        }
        places.release_user();
        assert_eq!((by_address.counts().len(), by_user.counts().len()), (1, 0));
        drop(places);
        assert!(by_address.counts().is_empty());
    }

    #[test]
    fn an_entry_takes_no_more_than_it_should() {
        const ENTRIES: usize = 7 * (1 << 12) + 1;
        let zone = zone(&Zones::default(), ENTRIES);
        let places: Vec<_> = (0..ENTRIES).map(|n| zone.take(&Value::User(&n.to_be_bytes()), 1).unwrap()).collect();
        // Of 8 slots 7 are used at most, and each has a byte besides its 16.
        let slots = zone.counts().capacity().div_ceil(7) * 8;
        assert!(slots * 17 <= ENTRIES * ENTRY, "{slots} slots for {} places", places.len());
    }

    #[test]
    fn threads_count_together() {
        let zone = zone(&Zones::default(), 10);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        drop(zone.take(&address("192.0.2.1"), 3));
                    }
                });
            }
        });
        assert!(zone.counts().is_empty());
    }

    #[test]
    fn a_session_without_places_pays_a_pointer() {
        assert_eq!(size_of::<Places>(), size_of::<usize>());
    }
}
