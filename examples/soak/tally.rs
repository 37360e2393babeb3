//! What was seen, counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many mistakes are told with their words.
const TOLD: usize = 10;

/// The counters. Everybody who serves or asks adds to them.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

/// What they have come to.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    /// All sessions that have ended.
    pub(crate) sessions: u64,
    /// Sessions that came to their end, all messages in both directions whole.
    pub(crate) done: u64,
    /// Those that a failing server, or Gatepost's death, cost: Gatepost told the client so, ...
    pub(crate) answered: u64,
    /// ... or closed, ...
    pub(crate) closed: u64,
    /// ... or passed on what the server said that was no answer, ...
    pub(crate) garbage: u64,
    /// ... or so slowly that the client left.
    pub(crate) too_slow: u64,
    /// Sessions whose clients left in the middle.
    pub(crate) left: u64,
    /// Bytes that clients sent and mail servers got.
    pub(crate) up: u64,
    /// The other way.
    pub(crate) down: u64,
    /// Sessions that ended early though nothing was wrong with the servers.
    pub(crate) lost: u64,
    /// Bytes, names or passwords that were not what was sent.
    pub(crate) wrong: u64,
    /// Clients that got neither an answer nor a close in time.
    pub(crate) late: u64,
    /// The first of the last three, in words, which begin with the user's name where there is one.
    pub(crate) mistakes: Vec<String>,
}

impl Tally {
    /// Changes them.
    pub(crate) fn add(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts());
    }

    /// Bytes that a mail server got.
    pub(crate) fn up(&self, bytes: usize) {
        self.counts().up += bytes as u64;
    }

    /// Something that was not as it was sent.
    pub(crate) fn wrong(&self, what: &str) {
        self.add(|counts| {
            counts.wrong += 1;
            counts.tell(format!("wrong: {what}"));
        });
    }

    /// What they are now.
    pub(crate) fn now(&self) -> Counts {
        self.counts().clone()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(crate) fn tell(&mut self, mistake: String) {
        if self.mistakes.len() < TOLD {
            self.mistakes.push(mistake);
        }
    }

    /// All mistakes.
    pub(crate) fn errors(&self) -> u64 {
        self.lost + self.wrong + self.late
    }
}
