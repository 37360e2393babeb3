//! A secret that can be found again wherever it leaks.

use gatepost_proto::{Attempt, Note};

use crate::pieces::DIVIDER;

/// The secret: a word that nothing contains by chance.
pub(crate) const CANARY: &[u8] = b"c4n4ry";
/// The same in base64, where its first byte is the first of a group.
const ENCODED: &[u8] = b"YzRuNHJ5";
/// The same as `Debug` writes bytes.
const NUMBERS: &[u8] = b"99, 52, 110, 52, 114, 121";

/// Whether the secret can be read in `text`, in one of the forms in which it might leak.
pub(crate) fn is_in(text: impl AsRef<[u8]>) -> bool {
    let text = text.as_ref();
    [CANARY, ENCODED, NUMBERS].iter().any(|form| count(text, form) > 0)
}

/// Checks what a front end, given `input`, told the client and the log, if the secret is a password in there and
/// nothing else.
pub(crate) fn check_front(input: &[u8], attempts: &[Attempt], said: &[u8], notes: &[Note]) {
    // What is divided is one line if no TLS is started.
    let joined: Vec<u8> = input.iter().copied().filter(|byte| *byte != DIVIDER).collect();
    let mut lines = input.split(|byte| matches!(*byte, b'\n' | DIVIDER)).chain(joined.split(|byte| *byte == b'\n'));
    if !lines.any(may_be_logged) {
        check_notes(notes);
    }
    let is_password = |attempt: &Attempt| is_in(attempt.password.expose());
    if !attempts.iter().any(is_password) || count(input, CANARY) + count(input, ENCODED) > 1 {
        return;
    }
    assert!(!is_in(said), "the password is in a reply");
    check_notes(notes);
    for attempt in attempts {
        assert!(!is_in(format!("{attempt:?}")), "the password is in {attempt:?}");
    }
}

/// Whether the secret stands in a line where it may be told: as a tag, a command's name, or in SMTP's envelope.
fn may_be_logged(line: &[u8]) -> bool {
    let Some(end) = line.iter().position(|byte| *byte == b' ') else { return false };
    let word = &line[..end];
    is_in(word) || (is_in(line) && [b"MAIL", b"RCPT"].iter().any(|verb| word.eq_ignore_ascii_case(*verb)))
}

/// Checks that what was said unencrypted, and the secret with it, is forgotten: `later` came of what was said encrypted.
pub(crate) fn check_forgotten(plain: &[u8], encrypted: &[u8], later: &[Attempt]) {
    if is_in(encrypted) || !is_in(plain) {
        return;
    }
    for attempt in later {
        let is_kept = is_in(attempt.password.expose()) || is_in(format!("{attempt:?}"));
        assert!(!is_kept, "said before TLS: {attempt:?}");
    }
}

/// Checks that no line of the log tells the secret.
pub(crate) fn check_notes(notes: &[Note]) {
    for note in notes {
        assert!(!is_in(note.to_string()), "the password is in the log: {note}");
        assert!(!note.0.contains(['\r', '\n']), "two lines of the log in one: {note:?}");
    }
}

fn count(text: &[u8], word: &[u8]) -> usize {
    text.windows(word.len()).filter(|window| *window == word).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_in_every_form() {
        assert!(is_in("pass c4n4ry") && is_in("AUTH YzRuNHJ5") && is_in(format!("{:?}", b"xc4n4ry")));
        assert!(!is_in("c4n4r"));
    }
}
