//! The grammar of SMTP commands before login, as nginx has it: a known word in any case, and at most eleven arguments.
//!
//! What [`parse`] refuses counts as an error of the client (`max_errors`); whether the arguments suit the command is for
//! the server to say.
//!
//! Deliberately unlike nginx: a control byte other than a tab makes a command invalid, so that none gets into the
//! authentication request or to the mail server with HELO, MAIL and RCPT.

use crate::line;

/// The most arguments that any command may have.
pub(super) const MAX_ARGUMENTS: usize = 11;

/// A command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Helo,
    Ehlo,
    Auth,
    Quit,
    Mail,
    Rcpt,
    Rset,
    Noop,
    StartTls,
    /// VRFY, EXPN and HELP, which are known and never work.
    Other,
}

const VERBS: [(&str, Verb); 12] = [
    ("HELO", Verb::Helo),
    ("EHLO", Verb::Ehlo),
    ("AUTH", Verb::Auth),
    ("QUIT", Verb::Quit),
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("RSET", Verb::Rset),
    ("NOOP", Verb::Noop),
    ("STARTTLS", Verb::StartTls),
    ("VRFY", Verb::Other),
    ("EXPN", Verb::Other),
    ("HELP", Verb::Other),
];

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command<'a> {
    pub(super) verb: Verb,
    pub(super) arguments: Vec<&'a [u8]>,
    /// All of it, without spaces at the end.
    pub(super) whole: &'a [u8],
}

/// Reads a line without its end.
pub(super) fn parse(line: &[u8]) -> Option<Command<'_>> {
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return None;
    }
    let (word, rest) = line::split_word(line);
    let (_, verb) = VERBS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))?;
    let end = line.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
    Some(Command { verb, arguments: line::arguments(rest, MAX_ARGUMENTS)?, whole: &line[..end] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(Verb, usize, &str)> {
        let Command { verb, arguments, whole } = parse(line.as_bytes())?;
        Some((verb, arguments.len(), std::str::from_utf8(whole).expect("text")))
    }

    #[test]
    fn commands_are_a_word_and_arguments() {
        let cases = [
            ("quit", Verb::Quit, 0, "quit"),
            ("Helo  a ", Verb::Helo, 1, "Helo  a"),
            ("MAIL FROM:<a b>  SIZE=1  ", Verb::Mail, 3, "MAIL FROM:<a b>  SIZE=1"),
            ("rcpt TO:\t<ü>", Verb::Rcpt, 1, "rcpt TO:\t<ü>"),
            ("starttls", Verb::StartTls, 0, "starttls"),
            ("VRFY a", Verb::Other, 1, "VRFY a"),
            ("NOOP 1 2 3 4 5 6 7 8 9 10 11", Verb::Noop, 11, "NOOP 1 2 3 4 5 6 7 8 9 10 11"),
        ];
        for (line, verb, arguments, whole) in cases {
            assert_eq!(parsed(line), Some((verb, arguments, whole)));
        }
    }

    #[test]
    fn the_rest_is_invalid() {
        let too_many = format!("NOOP{}", " x".repeat(12));
        for line in ["", " ", " QUIT", "DATA", "STARTTL", "HELO a\rb", "MAIL FROM:<a\0>", "EHLO \x7f", &too_many] {
            assert_eq!(parsed(line), None, "{line:?}");
        }
    }
}
