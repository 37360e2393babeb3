//! The grammar of POP3 commands before login, as nginx has it: a known word in any case, and at most three arguments.
//!
//! What [`parse`] refuses counts as an error of the client (`max_errors`); whether the arguments suit the command is for
//! the server to say.

use crate::line;

/// The most arguments that any command may have.
pub(super) const MAX_ARGUMENTS: usize = 3;

/// A command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    User,
    Pass,
    Apop,
    Auth,
    Quit,
    Capa,
    Noop,
    Stls,
}

/// A command. The one argument of USER and PASS holds spaces as they came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command<'a> {
    pub(super) verb: Verb,
    pub(super) arguments: Vec<&'a [u8]>,
}

/// Reads a line without its end.
pub(super) fn parse(line: &[u8]) -> Option<Command<'_>> {
    if line::has_stray_cr(line) {
        return None;
    }
    let (word, rest) = line::split_word(line);
    let verb = match word.to_ascii_uppercase().as_slice() {
        b"USER" => Verb::User,
        b"PASS" => Verb::Pass,
        b"APOP" => Verb::Apop,
        b"AUTH" => Verb::Auth,
        b"QUIT" => Verb::Quit,
        b"CAPA" => Verb::Capa,
        b"NOOP" => Verb::Noop,
        b"STLS" => Verb::Stls,
        _ => return None,
    };
    let arguments = match verb {
        Verb::User | Verb::Pass => whole(rest).into_iter().collect(),
        _ => line::arguments(rest, MAX_ARGUMENTS)?,
    };
    Some(Command { verb, arguments })
}

/// The rest of the line behind the spaces, if there is any.
fn whole(rest: &[u8]) -> Option<&[u8]> {
    let start = rest.iter().position(|&byte| byte != b' ')?;
    Some(&rest[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(Verb, Vec<&str>)> {
        let Command { verb, arguments } = parse(line.as_bytes())?;
        Some((verb, arguments.into_iter().map(|word| std::str::from_utf8(word).expect("text")).collect()))
    }

    #[test]
    fn commands_are_a_word_and_arguments() {
        assert_eq!(parsed("quit"), Some((Verb::Quit, vec![])));
        assert_eq!(parsed("Stls "), Some((Verb::Stls, vec![])));
        assert_eq!(parsed("APOP u  d"), Some((Verb::Apop, vec!["u", "d"])));
        assert_eq!(parsed("CAPA a b c"), Some((Verb::Capa, vec!["a", "b", "c"])));
        for line in ["", " ", " QUIT", "RETR 1", "QUITE", "QUI", "CAPA a b c d", "NOOP\r", "NO\0P", "USER a\rb"] {
            assert_eq!(parsed(line), None, "{line:?}");
        }
    }

    #[test]
    fn user_and_pass_take_the_rest_of_the_line() {
        assert_eq!(parsed("USER  a b  c d "), Some((Verb::User, vec!["a b  c d "])));
        assert_eq!(parsed("PASS"), Some((Verb::Pass, vec![])));
        assert_eq!(parsed("pass  "), Some((Verb::Pass, vec![])));
    }
}
