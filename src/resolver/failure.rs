//! Why a name server gave no answer.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::log::Errno;

/// Why there is no answer. `Display` gives nginx's number and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The name does not exist, or has no such record.
    NotFound,
    /// The answer makes no sense.
    Format,
    /// The server says so, by this response code.
    Code(u16),
    /// The server cannot be reached, by this error of the system's.
    Unreachable(SocketAddr, i32),
    /// No answer came.
    TimedOut,
}

impl Failure {
    /// The more telling of two.
    pub(super) fn or(self, other: Failure) -> Failure {
        match other {
            Failure::TimedOut => self,
            Failure::Unreachable(..) if !self.is_silence() => self,
            _ => other,
        }
    }

    /// Whether nobody has said anything.
    pub(super) fn is_silence(self) -> bool {
        matches!(self, Failure::Unreachable(..) | Failure::TimedOut)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, text) = match self {
            Failure::Unreachable(server, code) => {
                let error = io::Error::from_raw_os_error(*code);
                return write!(f, "name server {server} failed{}", Errno(&error));
            }
            Failure::Format => (1, "Format error"),
            Failure::NotFound => (3, "Host not found"),
            Failure::TimedOut => (110, "Operation timed out"),
            Failure::Code(2) => (2, "Server failure"),
            Failure::Code(4) => (4, "Unimplemented"),
            Failure::Code(5) => (5, "Operation refused"),
            Failure::Code(other) => (*other, "Unknown error"),
        };
        write!(f, "{number}: {text}")
    }
}
