//! The bytes that a client sent before login and that no command has used yet, within a budget.

use std::fmt;

use zeroize::Zeroize;

use crate::secret::wipe;

/// A bounded buffer. What is consumed makes room, so a command is too long only when it does not fit by itself.
///
/// Memory is allocated as bytes arrive, never for the whole budget at once, and is wiped when it is given back, since
/// passwords pass through it.
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
    limit: usize,
}

impl Input {
    /// An empty buffer that takes `limit` bytes (`imap_client_buffer`, `smtp_client_buffer`).
    pub fn new(limit: usize) -> Input {
        Input { bytes: Vec::new(), start: 0, limit }
    }

    /// How many more bytes fit.
    pub fn space(&self) -> usize {
        self.limit - self.unread().len()
    }

    /// Appends what was received.
    ///
    /// # Panics
    /// When it does not fit: the caller reads at most [`Input::space`].
    pub fn push(&mut self, received: &[u8]) {
        assert!(received.len() <= self.space(), "more input than the budget allows");
        if self.start > 0 {
            self.compact();
        }
        if self.bytes.len() + received.len() > self.bytes.capacity() {
            self.grow(self.bytes.len() + received.len());
        }
        self.bytes.extend_from_slice(received);
    }

    /// The bytes not used yet.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Whether no more fits, so that an incomplete command can never be completed.
    pub fn is_full(&self) -> bool {
        self.space() == 0
    }

    /// Marks the first `count` unread bytes as used, and wipes them.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.unread().len());
        let end = (self.start + count).min(self.bytes.len());
        self.bytes[self.start..end].zeroize();
        self.start = end;
    }

    /// Drops everything, as STARTTLS demands.
    pub fn clear(&mut self) {
        wipe(&mut self.bytes);
        self.start = 0;
    }

    /// Takes what is unread, and gives the memory back.
    pub fn take(&mut self) -> Vec<u8> {
        let rest = self.unread().to_vec();
        self.clear();
        self.bytes = Vec::new();
        rest
    }

    fn compact(&mut self) {
        let unread = self.bytes.len() - self.start;
        self.bytes.copy_within(self.start.., 0);
        self.bytes[unread..].zeroize();
        self.bytes.truncate(unread);
        self.start = 0;
    }

    /// Moves to a larger allocation by hand, so that the old one is wiped.
    fn grow(&mut self, needed: usize) {
        let capacity = needed.next_power_of_two().max(64).min(self.limit.max(needed));
        let mut larger = Vec::with_capacity(capacity);
        larger.extend_from_slice(&self.bytes);
        wipe(&mut self.bytes);
        self.bytes = larger;
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input({} of {} bytes)", self.unread().len(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumed_bytes_make_room() {
        let mut input = Input::new(8);
        input.push(b"abcdefgh");
        assert!(input.is_full());
        input.consume(5);
        assert_eq!(input.space(), 5);
        input.push(b"12345");
        assert_eq!(input.unread(), b"fgh12345");
        assert_eq!(input.take(), b"fgh12345");
        assert_eq!(input.space(), 8);
    }

    #[test]
    fn what_is_used_is_wiped() {
        let mut input = Input::new(64);
        input.push(b"PASS s3cret\r\nNOOP");
        input.consume(13);
        assert_eq!(input.bytes, b"\0\0\0\0\0\0\0\0\0\0\0\0\0NOOP");
        assert_eq!(input.unread(), b"NOOP");
    }

    #[test]
    fn never_prints_what_it_holds() {
        let mut input = Input::new(64);
        input.push(b"PASS s3cret");
        assert_eq!(format!("{input:?}"), "Input(11 of 64 bytes)");
    }
}
