//! Replies of a POP3 or SMTP server during the login there: lines cut from what arrives, within a budget.
//!
//! nginx takes whatever a read returns for one reply if it ends in CRLF. Here a reply is its lines, so the pieces in
//! which it arrives make no difference, and what stands behind it is kept.

use std::mem;

use crate::DialogueError;

/// What a mail server sent and nobody has looked at yet.
pub(crate) struct Replies {
    bytes: Vec<u8>,
    limit: usize,
}

impl Replies {
    /// None yet. A reply may have `limit` bytes (`proxy_buffer`).
    pub(crate) fn new(limit: usize) -> Replies {
        Replies { bytes: Vec::new(), limit }
    }

    /// Appends what arrived.
    pub(crate) fn push(&mut self, received: &[u8]) {
        self.bytes.extend_from_slice(received);
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes a reply of one line, with its end.
    ///
    /// # Errors
    /// It does not fit the budget.
    pub(crate) fn next_line(&mut self) -> Result<Option<Vec<u8>>, DialogueError> {
        self.next(|_| false)
    }

    /// Takes a reply of one line or more, with their ends. All lines but the last have a `-` behind the code
    /// (RFC 5321, section 4.2.1).
    ///
    /// # Errors
    /// It does not fit the budget.
    pub(crate) fn next_multiline(&mut self) -> Result<Option<Vec<u8>>, DialogueError> {
        self.next(|line| line.get(3) == Some(&b'-'))
    }

    /// What is left.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }

    /// Adds to a reply what is left, as far as it is whole lines and all of it fits the budget.
    pub(crate) fn add_lines(&mut self, reply: &mut Vec<u8>) {
        add_whole_lines(reply, &self.take(), self.limit);
    }

    fn next(&mut self, goes_on: impl Fn(&[u8]) -> bool) -> Result<Option<Vec<u8>>, DialogueError> {
        let mut end = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.bytes[end..]) {
            let line = &self.bytes[end..=end + length];
            end += line.len();
            if end <= self.limit && !goes_on(line) {
                let rest = self.bytes.split_off(end);
                return Ok(Some(mem::replace(&mut self.bytes, rest)));
            }
        }
        if end.max(self.bytes.len()) >= self.limit {
            return Err(self.too_long());
        }
        Ok(None)
    }

    fn too_long(&mut self) -> DialogueError {
        self.bytes.truncate(self.limit);
        DialogueError::TooLong { start: self.take() }
    }
}

/// Adds to a reply what was received with it, as far as it is whole lines and all of it fits `limit`.
pub(crate) fn add_whole_lines(reply: &mut Vec<u8>, rest: &[u8], limit: usize) {
    let rest = &rest[..rest.len().min(limit.saturating_sub(reply.len()))];
    reply.extend_from_slice(&rest[..memchr::memrchr(b'\n', rest).map_or(0, |end| end + 1)]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_reply_ends_with_the_line_without_a_dash() {
        let mut replies = Replies::new(32);
        replies.push(b"250-a\r\n250-b\r\n");
        assert_eq!(replies.next_multiline(), Ok(None));
        replies.push(b"250 c\r\n220 d\r\n221");
        assert_eq!(replies.next_multiline().unwrap().unwrap(), b"250-a\r\n250-b\r\n250 c\r\n");
        assert_eq!(replies.next_line().unwrap().unwrap(), b"220 d\r\n");
        assert_eq!(replies.next_line(), Ok(None));
        assert_eq!(replies.take(), b"221");
        replies.push(b"-ERR no\r\n-ERR bye\r\n-ER");
        let mut refusal = b"-ERR\r\n".to_vec();
        replies.add_lines(&mut refusal);
        assert_eq!(refusal, b"-ERR\r\n-ERR no\r\n-ERR bye\r\n");
        replies.push(b"-E");
        replies.add_lines(&mut refusal);
        assert_eq!(refusal, b"-ERR\r\n-ERR no\r\n-ERR bye\r\n");
        let limit = refusal.len() + 5;
        add_whole_lines(&mut refusal, b"a\r\nb\r\n", limit);
        assert!(refusal.ends_with(b"bye\r\na\r\n"));
    }

    #[test]
    fn a_reply_fits_the_budget_or_is_an_error() {
        for (sent, fits) in [(&b"+OK 45\r\n"[..], true), (b"+OK 456\r\n", false), (b"+OK 4567", false)] {
            let mut replies = Replies::new(8);
            replies.push(sent);
            let start = sent[..8].to_vec();
            let expected = if fits { Ok(Some(sent.to_vec())) } else { Err(DialogueError::TooLong { start }) };
            assert_eq!(replies.next_line(), expected);
        }
    }
}
