//! How often something happened lately, for each of many keys, in memory that has a bound whatever the keys are.
//!
//! * A key is a 64-bit hash with a random key of the table's own: nobody outside can find two that collide, or that share a
//!   set.
//! * The count is that of a sliding window: what happened since it began, and of the window before as much as still lies
//!   within `within`, as if that had been spread evenly. A count fades by itself; nothing has to be swept.
//! * There are [`SETS`] sets of [`WAYS`] entries, and a key belongs to one set. Where that is full, the entry goes that has
//!   the lowest count, and of those the oldest. So who wants to be rid of a high count has to bring each of the seven
//!   others in a set to a higher one; not knowing which keys are in it, he has to do so in all sets: some 57,000 times the
//!   failures that he wants to be forgotten, from as many addresses. A low count is lost more easily, and hides little.
//! * Sets are allocated when they are needed: a table takes 64 KB when nothing happens, and 1.3 MB at most.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SETS: usize = 8192;
const WAYS: usize = 8;

/// A key in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u64);

/// See the module's documentation.
#[derive(Debug)]
pub struct Table {
    hashing: RandomState,
    /// How far back the counts go.
    within: Duration,
    origin: Instant,
    sets: Mutex<Vec<Slot>>,
}

type Slot = Option<Box<Set>>;
type Set = [Entry; WAYS];

#[derive(Debug, Default, Clone, Copy)]
struct Entry {
    key: u64,
    /// The number of the window in which something happened last.
    window: u32,
    /// How often in that window, and in the one before.
    now: u16,
    before: u16,
}

/// A moment, as the table sees it.
#[derive(Clone, Copy)]
struct Moment {
    window: u32,
    /// How much of the window before still counts, in thousandths.
    rest: u32,
}

impl Table {
    /// An empty table whose counts go back so far.
    pub fn new(within: Duration, now: Instant) -> Table {
        Table { hashing: RandomState::new(), within, origin: now, sets: Mutex::new(vec![None; SETS]) }
    }

    /// The key for a value.
    pub fn key(&self, value: &impl Hash) -> Key {
        Key(self.hashing.hash_one(value))
    }

    /// How often it happened.
    pub fn count(&self, key: Key, now: Instant) -> u32 {
        let (now, before) = self.counts(key, now);
        now + before
    }

    /// The same where what happens in each window is the same things again: as many as there were in one of the two.
    pub fn most(&self, key: Key, now: Instant) -> u32 {
        let (now, before) = self.counts(key, now);
        now.max(before)
    }

    fn counts(&self, key: Key, now: Instant) -> (u32, u32) {
        let moment = self.moment(now);
        let sets = self.sets();
        let entry = sets[index(key)].iter().flat_map(|set| set.iter()).find(|entry| entry.key == key.0);
        entry.map_or((0, 0), |entry| entry.counts(moment))
    }

    /// It happened: how often now.
    pub fn add(&self, key: Key, now: Instant) -> u32 {
        let moment = self.moment(now);
        self.change(key, moment, |entry| {
            entry.now = entry.now.saturating_add(1);
            entry.count(moment)
        })
    }

    /// It happened, and counts `weight` in a window, however often: whether this is the first time in the present one.
    pub fn mark(&self, key: Key, weight: u16, now: Instant) -> bool {
        self.change(key, self.moment(now), |entry| std::mem::replace(&mut entry.now, weight) == 0)
    }

    /// Changes the entry of the key, as it is in the present window, made if there is none.
    fn change<T>(&self, key: Key, moment: Moment, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut sets = self.sets();
        let set = sets[index(key)].get_or_insert_default();
        let entry = match set.iter().position(|entry| entry.key == key.0) {
            Some(known) => &mut set[known],
            None => {
                let worth = |entry: &&mut Entry| (entry.count(moment), entry.window);
                let entry = set.iter_mut().min_by_key(worth).expect("a set has entries");
                *entry = Entry { key: key.0, ..Entry::default() };
                entry
            }
        };
        entry.advance(moment.window);
        change(entry)
    }

    /// It counts one less.
    pub fn lessen(&self, key: Key) {
        if let Some(set) = &mut self.sets()[index(key)]
            && let Some(entry) = set.iter_mut().find(|entry| entry.key == key.0)
        {
            entry.now = entry.now.saturating_sub(1);
            entry.before = entry.before.saturating_sub(1);
        }
    }

    fn moment(&self, now: Instant) -> Moment {
        let since = now.saturating_duration_since(self.origin).as_millis();
        let within = self.within.as_millis().max(1);
        // The first window is 2, so that an empty entry has no count in it.
        let window = u32::try_from(since / within + 2).unwrap_or(u32::MAX);
        let rest = 1000 - since % within * 1000 / within;
        Moment { window, rest: u32::try_from(rest).unwrap_or(0) }
    }

    /// Nothing can panic halfway through a change, so a poisoned lock is as good as any.
    fn sets(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(key: Key) -> usize {
    (key.0 >> 32) as usize % SETS
}

impl Entry {
    fn count(&self, moment: Moment) -> u32 {
        let (now, before) = self.counts(moment);
        now + before
    }

    /// In the window of that moment, and what is left of the one before.
    fn counts(&self, moment: Moment) -> (u32, u32) {
        let (now, before) = self.windows(moment.window);
        (u32::from(now), (u32::from(before) * moment.rest).div_ceil(1000))
    }

    fn windows(&self, window: u32) -> (u16, u16) {
        // The clock of another thread may be a little behind that of the one which was here last.
        match window.saturating_sub(self.window) {
            0 => (self.now, self.before),
            1 => (0, self.now),
            _ => (0, 0),
        }
    }

    fn advance(&mut self, window: u32) {
        let (now, before) = self.windows(window);
        *self = Entry { key: self.key, window: window.max(self.window), now, before };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn table() -> (Table, Instant) {
        let now = Instant::now();
        (Table::new(MINUTE, now), now)
    }

    #[test]
    fn counts_fade() {
        let (table, start) = table();
        let key = table.key(&"a");
        assert_eq!(table.count(key, start), 0);
        for expected in 1..=10 {
            assert_eq!(table.add(key, start), expected);
        }
        assert_eq!(table.count(table.key(&"b"), start), 0);
        for (seconds, expected) in [(59, 10), (60, 10), (90, 5), (114, 1), (120, 0), (500, 0)] {
            assert_eq!(table.count(key, start + Duration::from_secs(seconds)), expected, "after {seconds} s");
        }
        assert_eq!(table.add(key, start + Duration::from_secs(90)), 6);
        assert_eq!(table.count(key, start + Duration::from_secs(150)), 1);
        assert_eq!(table.add(key, start + Duration::from_secs(86400)), 1);
    }

    #[test]
    fn a_thread_whose_clock_is_behind_changes_nothing_of_what_was_counted() {
        let (table, start) = table();
        let key = table.key(&"a");
        let (before, after) = (start + MINUTE - Duration::from_millis(1), start + MINUTE);
        for moment in [before, before, before, after, before] {
            table.add(key, moment);
        }
        assert_eq!(table.count(key, after), 5);
    }

    #[test]
    fn a_mark_counts_once_in_a_window() {
        let (table, start) = table();
        let key = table.key(&"a");
        assert_eq!([table.mark(key, 1, start), table.mark(key, 1, start)], [true, false]);
        assert_eq!(table.count(key, start), 1);
        assert!(table.mark(key, 1, start + MINUTE));
        assert!(table.count(key, start + MINUTE + MINUTE / 2) > 0);
        assert_eq!(table.count(key, start + 3 * MINUTE), 0);
    }

    #[test]
    fn what_counts_less_is_gone_at_last() {
        let (table, start) = table();
        let key = table.key(&"a");
        for moment in [start, start + MINUTE] {
            table.mark(key, 2, moment);
        }
        let now = start + MINUTE;
        table.lessen(table.key(&"b"));
        let counts = [4, 2, 0, 0].map(|_| {
            let count = table.count(key, now);
            table.lessen(key);
            count
        });
        assert_eq!(counts, [4, 2, 0, 0]);
        assert_eq!(table.add(key, now), 1);
    }

    #[test]
    fn a_count_has_an_end() {
        let (table, now) = table();
        let key = table.key(&"a");
        for _ in 0..70_000 {
            table.add(key, now);
        }
        assert_eq!(table.count(key, now), 65535);
    }

    #[test]
    fn a_flood_of_keys_does_not_flush_a_high_count_nor_take_more_memory() {
        let (table, now) = table();
        let (attacker, victim) = (table.key(&"attacker"), table.key(&"victim"));
        for _ in 0..20 {
            table.add(attacker, now);
        }
        // Twenty times as many keys as there is room for.
        for number in 0..20 * SETS * WAYS {
            table.add(table.key(&number), now);
        }
        assert_eq!(table.count(attacker, now), 20);
        assert_eq!(table.add(victim, now), 1, "whoever is new is counted");
        assert_eq!(table.sets().len(), SETS);
        // The allocator adds as much to a set as to anything.
        assert!(SETS * (size_of::<Slot>() + size_of::<Set>() + 16) < 1_300_000);
    }

    #[test]
    fn an_old_entry_makes_room_before_one_of_now() {
        let (table, start) = table();
        let set: Vec<Key> = (0_u32..).map(|number| table.key(&number)).filter(|key| index(*key) == 0).take(9).collect();
        for key in &set[..8] {
            table.add(*key, start);
        }
        for key in &set[1..8] {
            table.add(*key, start + MINUTE);
        }
        table.add(set[8], start + MINUTE);
        assert_eq!(table.count(set[0], start + MINUTE), 0);
        assert!(set[1..].iter().all(|key| table.count(*key, start + MINUTE) > 0));
    }
}
