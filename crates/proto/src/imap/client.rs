//! The login at an IMAP server on behalf of a client: LOGIN with both arguments as synchronizing literals, as nginx does it.
//!
//! Guarantees: it holds no more of the server's bytes than `proxy_buffer`, in any state; a user name or password with CR,
//! LF or NUL is never sent; neither is anything to a server that takes the connection for logged in.
//!
//! Unlike nginx it reads lines, so it does not matter in which pieces they come: any number of untagged ones before the
//! tagged answer to LOGIN is passed on with it. Untagged lines before that, while the server is to ask for a literal,
//! are about the connection and not the session; they are dropped, but `* BYE` ends the attempt at once.
//!
//! Known gap: a literal inside an untagged line is not understood; its lines are taken for lines of their own.

use std::mem;

use crate::sasl::is_speakable;
use crate::{BackEnd, DialogueError, Output, Progress, Secret};

const READING: &str = "reading response from upstream";

/// A login under way.
pub struct Client {
    /// With the space behind it.
    tag: Vec<u8>,
    user: Vec<u8>,
    password: Secret,
    state: State,
    action: &'static str,
    /// What was received of the answer that is waited for.
    answer: Vec<u8>,
    /// Where the last line of `answer` begins.
    line: usize,
    limit: usize,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    LeaveForUser,
    LeaveForPassword,
    Verdict,
}

impl Client {
    /// A login that has not begun: the server speaks first. `tag` is that of the client's command, without a space;
    /// `buffer` is `proxy_buffer`, bytes: the longest answer.
    pub fn new(mut tag: Vec<u8>, user: Vec<u8>, password: Secret, buffer: usize) -> Client {
        tag.push(b' ');
        Client {
            tag,
            user,
            password,
            state: State::Greeting,
            // So says nginx until the server speaks.
            action: "connecting to upstream",
            answer: Vec::new(),
            line: 0,
            limit: buffer,
        }
    }

    /// Whether the line that was just received is what was waited for, and not one that comes before it.
    fn judge(&mut self) -> Result<bool, DialogueError> {
        let line = &self.answer[self.line..];
        match self.state {
            State::Greeting if line.starts_with(b"* OK") => Ok(true),
            State::Greeting if line.starts_with(b"* PREAUTH") => Err(DialogueError::Preauth),
            State::LeaveForUser | State::LeaveForPassword if line.starts_with(b"+") => Ok(true),
            State::LeaveForUser | State::LeaveForPassword if line.starts_with(b"* ") && !is_bye(line) => Ok(false),
            State::Verdict if line.starts_with(b"* ") => Ok(false),
            State::Verdict if line.strip_prefix(&*self.tag).is_some_and(|rest| rest.starts_with(b"OK")) => Ok(true),
            _ => Err(DialogueError::Refused { reply: mem::take(&mut self.answer) }),
        }
    }

    /// Says what comes next, and waits for the answer to that. Returns whether there is nothing more to say.
    fn proceed(&mut self, out: &mut Output) -> Result<bool, DialogueError> {
        let said = &mut out.bytes;
        (self.state, self.action) = match self.state {
            State::Greeting => {
                self.check()?;
                said.extend_from_slice(&self.tag);
                said.extend_from_slice(format!("LOGIN {{{}}}\r\n", self.user.len()).as_bytes());
                (State::LeaveForUser, "sending LOGIN command to upstream")
            }
            State::LeaveForUser => {
                said.extend_from_slice(&self.user);
                said.extend_from_slice(format!(" {{{}}}\r\n", self.password.expose().len()).as_bytes());
                (State::LeaveForPassword, "sending user name to upstream")
            }
            State::LeaveForPassword => {
                said.extend_from_slice(mem::take(&mut self.password).expose());
                said.extend_from_slice(b"\r\n");
                (State::Verdict, "sending password to upstream")
            }
            State::Verdict => return Ok(true),
        };
        self.answer.clear();
        self.line = 0;
        Ok(false)
    }

    fn check(&self) -> Result<(), DialogueError> {
        if !is_speakable(&self.user) {
            return Err(DialogueError::Unspeakable("user name"));
        }
        if !is_speakable(self.password.expose()) {
            return Err(DialogueError::Unspeakable("password"));
        }
        Ok(())
    }
}

impl BackEnd for Client {
    fn receive(&mut self, mut bytes: &[u8], out: &mut Output) -> Result<Progress, DialogueError> {
        self.action = READING;
        while !bytes.is_empty() {
            let length = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
            let room = self.limit.saturating_sub(self.answer.len());
            let (piece, rest) = bytes.split_at(length.min(room));
            self.answer.extend_from_slice(piece);
            bytes = rest;
            if piece.ends_with(b"\n") {
                if self.judge()? {
                    if self.proceed(out)? {
                        let to_client = [mem::take(&mut self.answer).as_slice(), rest].concat();
                        return Ok(Progress::Done { to_client });
                    }
                    continue;
                }
                self.line = self.answer.len();
            }
            if self.answer.len() >= self.limit {
                return Err(DialogueError::TooLong { start: mem::take(&mut self.answer) });
            }
        }
        Ok(Progress::More)
    }

    fn action(&self) -> &'static str {
        self.action
    }
}

fn is_bye(line: &[u8]) -> bool {
    line.starts_with(b"* BYE")
}
