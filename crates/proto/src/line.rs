//! Lines as POP3 and SMTP commands have them: cut from the input whole, then split into words.
//!
//! As in nginx, LF ends a line like CRLF, a CR must be followed by LF, and words are divided by one space or more.
//! A line is looked at only when it is complete, so the split of the input at whatever byte makes no difference.

use zeroize::Zeroizing;

use crate::{Input, Note, printable};

/// How much of a command is told in the log.
const SHOWN: usize = 256;

/// What the input begins with.
pub(crate) enum Framed {
    /// A line, without its end. It may hold a password, and is wiped when dropped.
    Line(Zeroizing<Vec<u8>>),
    /// Not yet a line.
    Incomplete,
    /// What can never become a line within the budget.
    TooLong(Note),
}

/// Takes the next line out of the input.
pub(crate) fn take(input: &mut Input) -> Framed {
    let unread = input.unread();
    match memchr::memchr(b'\n', unread) {
        Some(end) => {
            let line = &unread[..end];
            let line = Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec());
            input.consume(end + 1);
            Framed::Line(line)
        }
        None if input.is_full() => Framed::TooLong(too_long(unread)),
        None => Framed::Incomplete,
    }
}

/// Whether a CR stands within the line, where none may.
pub(crate) fn has_stray_cr(line: &[u8]) -> bool {
    memchr::memchr(b'\r', line).is_some()
}

/// Splits a line behind its first word. The rest begins with the spaces.
pub(crate) fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    line.split_at(memchr::memchr(b' ', line).unwrap_or(line.len()))
}

/// The words of what follows a command, or nothing if there are more than `limit`.
pub(crate) fn arguments(rest: &[u8], limit: usize) -> Option<Vec<&[u8]>> {
    let words: Vec<&[u8]> = rest.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).take(limit + 1).collect();
    (words.len() <= limit).then_some(words)
}

/// The client's line in a SASL exchange: its first word, which is empty if a space comes first, or nothing if the line is
/// malformed.
pub(crate) fn response(line: &[u8], limit: usize) -> Option<&[u8]> {
    let (word, rest) = split_word(line);
    let well_formed = !has_stray_cr(line) && arguments(rest, limit - 1).is_some();
    well_formed.then_some(word)
}

/// One reply line out of pieces that others made up: control bytes become spaces, so that it stays one.
pub(crate) fn reply(pieces: &[&[u8]]) -> Vec<u8> {
    let bytes = pieces.iter().copied().flatten();
    let mut line: Vec<u8> = bytes.map(|&byte| if byte.is_ascii_control() { b' ' } else { byte }).collect();
    line.extend_from_slice(b"\r\n");
    line
}

/// What a client sent, for the log: line ends as `_`, as nginx has it, and nothing from the first AUTH on.
pub(crate) fn loggable(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if starts_with(line.trim_ascii_start(), b"AUTH") {
            text.extend_from_slice(b"AUTH...");
            break;
        }
        text.extend(line.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b'_' } else { byte }));
    }
    text.truncate(SHOWN);
    printable(&text)
}

/// Tells the command's name only: what follows may be a password.
fn too_long(start: &[u8]) -> Note {
    let (word, _) = split_word(start);
    let is_name = !word.is_empty() && word.len() <= 16 && word.len() < start.len();
    let name = if is_name { String::from_utf8_lossy(word) } else { "".into() };
    Note(format!("client sent too long command \"{}...\"", printable(name.as_bytes())))
}

fn starts_with(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_divided_by_any_number_of_spaces() {
        assert_eq!(split_word(b"MAIL  FROM:<a>"), (&b"MAIL"[..], &b"  FROM:<a>"[..]));
        assert_eq!(arguments(b"  a  b ", 2), Some(vec![&b"a"[..], b"b"]));
        assert_eq!(arguments(b" a b c", 2), None);
        assert_eq!(arguments(b" ", 0), Some(vec![]));
    }

    #[test]
    fn a_response_is_one_word() {
        assert_eq!(response(b"", 3), Some(&b""[..]));
        assert_eq!(response(b" a", 3), Some(&b""[..]));
        assert_eq!(response(b"a b c", 3), Some(&b"a"[..]));
        assert_eq!(response(b"a b c d", 3), None);
        assert_eq!(response(b"a\rb", 3), None);
    }

    #[test]
    fn a_reply_stays_one_line() {
        assert_eq!(reply(&[b"-ERR ", b"a\r\nb\0\xff"]), b"-ERR a  b \xff\r\n");
    }

    #[test]
    fn the_log_gets_no_credentials() {
        assert_eq!(loggable(b"MAIL FROM:<a>\r\n"), "MAIL FROM:<a>__");
        assert_eq!(loggable(b"EHLO a\nauth login\r\ncGFzcw==\r\n"), "EHLO a_AUTH...");
        assert_eq!(too_long(b"PASS secret").0, "client sent too long command \"PASS...\"");
        assert_eq!(too_long(b"c2VjcmV0").0, "client sent too long command \"...\"");
    }
}
