//! `limit_login`: who fails to log in too often waits, and then is not asked any more.
//!
//! *By address.* From so many failures on (`delay=`), each attempt waits before anybody is asked whether it is good: 1, 2,
//! 4, 8, and then 15 seconds. From more on (`refuse=`), it is refused without asking, so the answer tells nothing.
//!
//! *By login.* From so many failures on, whatever the addresses, the news of a failure comes later, by the same times. A
//! login that is good never waits: else anybody could lock anybody out. `refuse=` does that, if somebody wants it.
//!
//! Many honest users may share an address (NAT, webmail, a proxy that does not tell its clients), so
//! * a login that was good from there, and has not failed there three times since, neither waits nor is refused;
//! * an address from which several users' logins were good of late is allowed as many times as many failures, for up to
//!   [`MOST_USERS`];
//! * some addresses do not count at all (`limit_login_exempt`), nor does that of a proxy which says by the PROXY protocol whom
//!   it speaks for, in a server that believes nobody in that (`set_real_ip_from`).
//!
//! All that is kept are counts in a few [`Table`]s, whose memory has a bound. They are shared by all server blocks with the
//! same `within` and prefixes, whatever the protocol, and outlive a reload.

mod table;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use self::table::Table;
use crate::addr::Address;
use crate::config::Network;
use crate::config::limits::logins::{By, FailedLogins, Limit};
use crate::event_loop::time::now;
use crate::zones::Value;

/// How long an attempt waits that is the first beyond what is allowed, the second, and so on.
const DELAYS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// How long a good login is remembered: two days at most.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// How many users of an address make a difference: one mailbox may have many names.
const MOST_USERS: u32 = 32;

/// After how many failures there a login is none any more that was good from an address.
const FAILURES_OF_GOOD: u16 = 3;

/// Who leaves sooner than after this time has not waited for the answer, which tells as much as a failure.
const PATIENCE: Duration = Duration::from_secs(15);

/// The tables of all servers. They live as long as a configuration uses them.
#[derive(Debug, Default)]
pub struct Tables(Mutex<HashMap<Use, Weak<Table>>>);

/// What a table is for.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Use {
    /// Failures of addresses.
    Addresses(Duration, Prefixes),
    /// Different users of addresses whose logins were good.
    GoodOfAddresses(Duration, Prefixes),
    /// Whether such a user at such an address is among those.
    RecentPairs(Duration, Prefixes),
    /// Failures of logins.
    Logins(Duration),
    /// Such a login from such an address was good: how often it may fail before it is forgotten.
    GoodPairs(Prefixes),
}

type Prefixes = (u8, u8);

impl Tables {
    fn table(&self, of: Use, within: Duration) -> Arc<Table> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|_, table| table.strong_count() > 0);
        if let Some(table) = tables.get(&of).and_then(Weak::upgrade) {
            return table;
        }
        let table = Arc::new(Table::new(within, now()));
        tables.insert(of, Arc::downgrade(&table));
        table
    }
}

/// `limit_login` at work in a server block.
#[derive(Debug)]
pub struct Guard {
    by_address: Option<ByAddress>,
    by_login: Option<(Arc<Table>, Limit)>,
    good_pairs: Arc<Table>,
    prefixes: Prefixes,
    exempt: Vec<Network>,
}

#[derive(Debug)]
struct ByAddress {
    failures: Arc<Table>,
    good: Arc<Table>,
    recent: Arc<Table>,
    limit: Limit,
}

/// An attempt to log in, as the tables know it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    address: Option<AddressKeys>,
    login: Option<table::Key>,
    pair: table::Key,
    /// Since when somebody is asked who may say that it failed; none if nobody is, or has answered.
    pub asked: Option<Instant>,
}

impl Attempt {
    /// The same, whatever the address: it is not the client's.
    pub fn of_login_alone(self) -> Attempt {
        Attempt { address: None, ..self }
    }
}

/// The keys of an attempt in the tables of [`ByAddress`].
#[derive(Debug, Clone, Copy)]
struct AddressKeys {
    failures: table::Key,
    good: table::Key,
}

/// What becomes of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Sentence {
    /// Somebody is asked whether it is good.
    Ask,
    /// The same, after this time.
    Wait(Duration),
    /// Nobody is.
    Refuse(By),
}

impl Guard {
    /// What the configuration asks for; none if that is nothing.
    pub fn new(config: &FailedLogins, tables: &Tables) -> Option<Guard> {
        let prefixes = config.address.as_ref().map_or((32, 64), |address| (address.ipv4, address.ipv6));
        let by_address = config.address.as_ref().map(|address| {
            let (limit, within) = (address.limit, address.limit.within);
            let failures = tables.table(Use::Addresses(within, prefixes), within);
            let good = tables.table(Use::GoodOfAddresses(within, prefixes), within);
            let recent = tables.table(Use::RecentPairs(within, prefixes), within);
            ByAddress { failures, good, recent, limit }
        });
        let by_login = config.login.map(|limit| (tables.table(Use::Logins(limit.within), limit.within), limit));
        if by_address.is_none() && by_login.is_none() {
            return None;
        }
        let good_pairs = tables.table(Use::GoodPairs(prefixes), REMEMBERED);
        Some(Guard { by_address, by_login, good_pairs, prefixes, exempt: config.exempt.clone() })
    }

    /// Somebody wants to log in.
    pub fn attempt(&self, client: &Address, login: &[u8]) -> Attempt {
        let login = login.to_ascii_lowercase();
        let from = Value::of_address(client, self.prefixes.0, self.prefixes.1);
        let counts = !self.exempt.iter().any(|network| network.contains(client));
        let by_address = self.by_address.as_ref().filter(|_| counts);
        Attempt {
            address: by_address.map(|by| AddressKeys { failures: by.failures.key(&from), good: by.good.key(&from) }),
            login: self.by_login.as_ref().map(|(failures, _)| failures.key(&login)),
            pair: self.good_pairs.key(&(&from, &login)),
            asked: None,
        }
    }

    /// What is to become of it.
    pub fn judge(&self, attempt: &Attempt, now: Instant) -> Sentence {
        if self.good_pairs.count(attempt.pair, now) > 0 {
            return Sentence::Ask;
        }
        if let (Some((failures, limit)), Some(key)) = (&self.by_login, attempt.login)
            && limit.refuse.is_some()
            && limit.refuses(failures.count(key, now), 1)
        {
            return Sentence::Refuse(By::Login);
        }
        let (Some(by), Some(keys)) = (&self.by_address, attempt.address) else { return Sentence::Ask };
        let failures = by.failures.count(keys.failures, now);
        if !by.limit.delays(failures, 1) && !by.limit.refuses(failures, 1) {
            return Sentence::Ask;
        }
        let users = by.good.most(keys.good, now).clamp(1, MOST_USERS);
        if by.limit.refuses(failures, users) {
            return Sentence::Refuse(By::Address);
        }
        by.limit.delay(failures, users).map_or(Sentence::Ask, Sentence::Wait)
    }

    /// It failed: how long to wait with the news.
    pub fn failed(&self, attempt: &Attempt, now: Instant) -> Option<Duration> {
        self.good_pairs.lessen(attempt.pair);
        self.count_address(attempt, now);
        let (failures, limit) = self.by_login.as_ref()?;
        let earlier = failures.add(attempt.login?, now) - 1;
        limit.delay(earlier, 1)
    }

    /// The client left, or was sent away, before it was known: a failure, if it can have had a reason not to wait. One of
    /// the login only where that may be refused: nobody is there to hear of it late.
    pub fn abandoned(&self, attempt: &Attempt, now: Instant) {
        if attempt.asked.is_none_or(|asked| now >= asked + PATIENCE) {
            return;
        }
        self.good_pairs.lessen(attempt.pair);
        self.count_address(attempt, now);
        if let (Some((failures, limit)), Some(key)) = (&self.by_login, attempt.login)
            && limit.refuse.is_some()
        {
            failures.add(key, now);
        }
    }

    fn count_address(&self, attempt: &Attempt, now: Instant) {
        if let (Some(by), Some(keys)) = (&self.by_address, attempt.address) {
            by.failures.add(keys.failures, now);
        }
    }

    /// It succeeded, for a user who may have other names than the login.
    pub fn succeeded(&self, attempt: &Attempt, client: &Address, user: &[u8], now: Instant) {
        self.good_pairs.mark(attempt.pair, FAILURES_OF_GOOD, now);
        let (Some(by), Some(keys)) = (&self.by_address, attempt.address) else { return };
        let from = Value::of_address(client, self.prefixes.0, self.prefixes.1);
        if by.recent.mark(by.recent.key(&(&from, user.to_ascii_lowercase())), 1, now) {
            by.good.add(keys.good, now);
        }
    }
}

impl Limit {
    fn delays(&self, failures: u32, users: u32) -> bool {
        self.delay.is_some_and(|most| failures >= most.saturating_mul(users))
    }

    fn refuses(&self, failures: u32, users: u32) -> bool {
        self.refuse.is_some_and(|most| failures >= most.saturating_mul(users))
    }

    /// How long to wait after so many failures.
    fn delay(&self, failures: u32, users: u32) -> Option<Duration> {
        let beyond = failures.checked_sub(self.delay?.saturating_mul(users))? / users;
        Some(DELAYS[DELAYS.len().min(beyond as usize + 1) - 1])
    }
}

#[cfg(test)]
mod tests;
