//! System errors as nginx's lines end with them.

use std::fmt;
use std::io;

/// Writes ` (111: Connection refused)`, to be put behind `connect() failed` and the like.
#[derive(Debug)]
pub struct Errno<'a>(pub &'a io::Error);

impl fmt::Display for Errno<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(number) = number(self.0) else { return write!(f, " ({})", self.0) };
        let text = io::Error::from_raw_os_error(number).to_string();
        let text = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
        write!(f, " ({number}: {text})")
    }
}

/// The number of an error; also where it was made here for what the system would have said.
fn number(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or(match error.kind() {
        io::ErrorKind::TimedOut => Some(libc::ETIMEDOUT),
        io::ErrorKind::ConnectionReset => Some(libc::ECONNRESET),
        io::ErrorKind::BrokenPipe => Some(libc::EPIPE),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_text() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        assert_eq!(Errno(&refused).to_string(), " (111: Connection refused)");
        assert_eq!(Errno(&io::ErrorKind::TimedOut.into()).to_string(), " (110: Connection timed out)");
        assert_eq!(Errno(&io::Error::other("no luck")).to_string(), " (no luck)");
    }
}
