//! Spelling one line: `2026/11/23 02:04:04 [info] PID#TID: *CONNECTION MESSAGE`.

use std::fmt::{self, Write};

use super::Level;
use super::clock::Stamp;

/// The longest line, with its line feed, bytes: nginx's. The rest of a longer one is lost.
pub(super) const MAX: usize = 2048;

/// Replaces the content of `line` by a line with its line feed. Whatever the message holds, it stays one line: control
/// characters are written as `\xNN` (nginx lets most of them through).
pub(super) fn spell(
    line: &mut Vec<u8>,
    stamp: &Stamp,
    level: Level,
    connection: Option<u64>,
    message: fmt::Arguments<'_>,
) {
    line.clear();
    line.extend_from_slice(&stamp.line);
    let (pid, tid) = (std::process::id(), rustix::thread::gettid().as_raw_nonzero());
    let mut text = OneLine(line);
    // The only error is a full line.
    let _ = write!(text, " [{}] {pid}#{tid}: ", level.name())
        .and_then(|()| connection.map_or(Ok(()), |number| write!(text, "*{number} ")))
        .and_then(|()| text.write_fmt(message));
    line.push(b'\n');
}

/// A buffer that takes no control characters and keeps room for the line feed.
struct OneLine<'a>(&'a mut Vec<u8>);

impl OneLine<'_> {
    fn push(&mut self, bytes: &[u8]) -> fmt::Result {
        if self.0.len() + bytes.len() >= MAX {
            return Err(fmt::Error);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && self.push(text.as_bytes()).is_ok() {
            return Ok(());
        }
        text.chars().try_for_each(|c| match c {
            c if c.is_control() => self.push(format!("\\x{:02X}", c as u32).as_bytes()),
            c => self.push(c.encode_utf8(&mut [0; 4]).as_bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, connection: Option<u64>, message: &str) -> String {
        let stamp = Stamp { line: *b"2026/11/23 02:04:04", syslog: *b"Nov 23 02:04:04" };
        let mut line = b"of yore".to_vec();
        spell(&mut line, &stamp, level, connection, format_args!("{message}"));
        String::from_utf8(line).expect("UTF-8 in, UTF-8 out")
    }

    #[test]
    fn nginx_format() {
        let pid = std::process::id();
        let tid = rustix::thread::gettid().as_raw_nonzero();
        assert_eq!(
            line(Level::Info, Some(7), "client logged in"),
            format!("2026/11/23 02:04:04 [info] {pid}#{tid}: *7 client logged in\n")
        );
        assert_eq!(
            line(Level::Emerg, None, "bind() failed"),
            format!("2026/11/23 02:04:04 [emerg] {pid}#{tid}: bind() failed\n")
        );
    }

    #[test]
    fn one_line_only() {
        let text = line(Level::Error, None, "a\r\nb\0c\x1b[31m\u{85}grüß");
        assert!(text.ends_with("a\\x0D\\x0Ab\\x00c\\x1B[31m\\x85grüß\n"), "{text}");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(line(Level::Error, None, &"x".repeat(5000)).len(), MAX);
        let cut = line(Level::Error, None, &"ü".repeat(5000));
        assert!((MAX - 1..=MAX).contains(&cut.len()), "{}", cut.len());
        assert!(cut.ends_with("ü\n"));
    }
}
