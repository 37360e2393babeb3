//! The selected mailbox as the client knows it: sequence numbers stay as they are until it is told otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::store::{Mailbox, Message};

/// What a session knows of its selected mailbox.
pub(crate) struct View {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) read_only: bool,
    known: Vec<Known>,
    changes: watch::Receiver<()>,
}

struct Known {
    uid: u32,
    flags: BTreeSet<String>,
}

impl View {
    pub(crate) fn new(mailbox: Arc<Mailbox>, read_only: bool) -> View {
        let changes = mailbox.watch();
        let known = mailbox.messages().into_iter().map(Known::from).collect();
        View { mailbox, read_only, known, changes }
    }

    /// Waits until something changes in the mailbox.
    pub(crate) async fn changed(&mut self) {
        // The sender lives as long as the mailbox does, and that is here.
        let _ = self.changes.changed().await;
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// The responses that bring the client up to date.
    pub(crate) fn sync(&mut self) -> Vec<u8> {
        self.changes.mark_unchanged();
        let messages = self.mailbox.messages();
        let mut told = String::new();
        for index in (0..self.known.len()).rev() {
            let uid = self.known[index].uid;
            if messages.binary_search_by_key(&uid, |message| message.uid).is_err() {
                self.known.remove(index);
                told += &format!("* {} EXPUNGE\r\n", index + 1);
            }
        }
        for (index, (known, message)) in self.known.iter_mut().zip(&messages).enumerate() {
            if known.flags != message.flags {
                known.flags.clone_from(&message.flags);
                told += &format!("* {} FETCH (FLAGS ({}))\r\n", index + 1, list(&known.flags));
            }
        }
        if messages.len() > self.known.len() {
            self.known.extend(messages.into_iter().skip(self.known.len()).map(Known::from));
            told += &format!("* {} EXISTS\r\n", self.known.len());
        }
        told.into_bytes()
    }

    /// The client knows these flags now.
    pub(crate) fn told(&mut self, number: usize, flags: &BTreeSet<String>) {
        self.known[number - 1].flags.clone_from(flags);
    }

    /// Sequence number and UID of each message in a set like `1:3,7,9:*`; what does not exist is left out.
    pub(crate) fn resolve(&self, set: &str, by_uid: bool) -> Option<Vec<(usize, u32)>> {
        let last = if by_uid { self.known.last().map_or(0, |known| known.uid) } else { self.known.len() as u32 };
        let ranges: Vec<(u32, u32)> = set.split(',').map(|range| bounds(range, last)).collect::<Option<_>>()?;
        let numbered = self.known.iter().enumerate().map(|(index, known)| (index + 1, known.uid));
        let wanted = numbered.filter(|&(number, uid)| {
            let key = if by_uid { uid } else { number as u32 };
            ranges.iter().any(|&(low, high)| (low..=high).contains(&key))
        });
        Some(wanted.collect())
    }
}

impl From<Message> for Known {
    fn from(message: Message) -> Known {
        Known { uid: message.uid, flags: message.flags }
    }
}

/// The bounds of `3`, `3:7` or `7:*`, the smaller first.
fn bounds(range: &str, last: u32) -> Option<(u32, u32)> {
    let number = |text: &str| if text == "*" { Some(last) } else { text.parse().ok() };
    let (from, to) = range.split_once(':').unwrap_or((range, range));
    let (from, to) = (number(from)?, number(to)?);
    Some((from.min(to), from.max(to)))
}

/// Flags as IMAP lists them, without parentheses.
pub(crate) fn list(flags: &BTreeSet<String>) -> String {
    flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}
