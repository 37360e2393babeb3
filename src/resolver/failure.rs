//! Why a name server gave no answer.

use std::fmt;

/// Why there is no answer. `Display` gives nginx's number and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The name does not exist, or has no such record.
    NotFound,
    /// The answer makes no sense.
    Format,
    /// The server says so, by this response code.
    Code(u16),
    /// No answer came.
    TimedOut,
}

impl Failure {
    /// The more telling of two.
    pub(super) fn or(self, other: Failure) -> Failure {
        if other == Failure::TimedOut { self } else { other }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, text) = match self {
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
