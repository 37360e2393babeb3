//! Cuts text into directives: words up to `;` or `{`, and `}`.
//!
//! A word is bare, or in double or single quotes. A backslash keeps the next byte from ending a word; of the escapes
//! only `\"`, `\'`, `\\`, `\t`, `\r` and `\n` are replaced, any other stays as it is written. `${` does not open a block.
//! `#` begins a comment where a word could begin.

use crate::{Mistake, Origin};

/// The longest parameter in a file, bytes as written (nginx's buffer).
const LONGEST_PARAMETER: usize = 4096;

/// What the lexer found next.
#[derive(Debug, PartialEq, Eq)]
pub enum Token {
    /// Words and their terminator.
    Directive {
        /// At least one word.
        words: Vec<Vec<u8>>,
        /// It ends in `{` rather than `;`.
        opens: bool,
    },
    /// `}`
    BlockEnd,
    /// The end of the text.
    End,
}

/// Why there is no token, and how to go on.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to report.
    pub mistake: Mistake,
    /// What follows.
    pub recovery: Recovery,
}

/// How to go on after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// With the next token.
    Next,
    /// The same, in a block that nobody will ask for.
    Opened,
    /// As if the block had ended properly.
    BlockEnd,
    /// Not at all: the rest of the text has no structure.
    End,
}

/// The position in a text.
#[derive(Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    position: usize,
    line: usize,
    origin: Origin,
}

impl<'a> Lexer<'a> {
    /// At the beginning of a text.
    pub fn new(text: &'a [u8], origin: Origin) -> Self {
        Lexer { text, position: 0, line: 1, origin }
    }

    /// The line reached, from 1. Behind a token it is the line of its last byte, which is the one nginx reports.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The next token.
    ///
    /// # Errors
    /// In nginx's words; the lexer stands where [`Failure::recovery`] says.
    pub fn next_token(&mut self) -> Result<Token, Failure> {
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None if words.is_empty() => return Ok(Token::End),
                None => return Err(self.unexpected_end()),
                Some(b';' | b'{' | b'}') => return self.terminator(words),
                Some(quote @ (b'"' | b'\'')) => {
                    self.bump();
                    words.push(self.word(|byte, _| byte == quote)?);
                    self.bump();
                    self.expect_end_of_word()?;
                }
                Some(_) => words.push(self.word(ends_bare_word)?),
            }
        }
    }

    fn terminator(&mut self, words: Vec<Vec<u8>>) -> Result<Token, Failure> {
        let byte = self.bump();
        match (byte, words.is_empty()) {
            (b'}', true) => Ok(Token::BlockEnd),
            (b'}', false) => Err(self.unexpected(byte, Recovery::BlockEnd)),
            (b'{', true) => Err(self.unexpected(byte, Recovery::Opened)),
            (_, true) => Err(self.unexpected(byte, Recovery::Next)),
            (_, false) => Ok(Token::Directive { words, opens: byte == b'{' }),
        }
    }

    /// Reads up to the byte that ends the word, which stays.
    fn word(&mut self, ends: impl Fn(u8, Before) -> bool) -> Result<Vec<u8>, Failure> {
        let (start, start_line) = (self.position, self.line);
        let quote = start.checked_sub(1).map(|i| self.text[i]).filter(|b| matches!(b, b'"' | b'\''));
        let mut before = Before::Nothing;
        while let Some(byte) = self.peek() {
            if self.origin == Origin::File && self.position - start >= LONGEST_PARAMETER {
                return Err(self.too_long(start, start_line, quote));
            }
            if before != Before::Backslash && ends(byte, before) {
                return Ok(unescape(&self.text[start..self.position]));
            }
            before = before.then(byte);
            self.bump();
        }
        Err(self.unexpected_end())
    }

    /// A closing quote must be followed by a blank, a terminator or `)`.
    fn expect_end_of_word(&mut self) -> Result<(), Failure> {
        match self.peek() {
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') => Ok(()),
            Some(byte) => {
                self.bump();
                let line = self.line;
                let recovery = if byte == b'}' { Recovery::BlockEnd } else { self.skip_directive() };
                Err(self.failure(format!("unexpected \"{}\"", char::from(byte)), line, recovery))
            }
        }
    }

    /// Goes behind the end of a directive that is spoilt already.
    fn skip_directive(&mut self) -> Recovery {
        while self.peek().is_some() {
            match self.bump() {
                b';' => return Recovery::Next,
                b'{' => return Recovery::Opened,
                b'}' => return Recovery::BlockEnd,
                _ => {}
            }
        }
        Recovery::End
    }

    fn skip_blanks(&mut self) {
        let mut comment = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => comment = false,
                _ if comment => {}
                b'#' => comment = true,
                b' ' | b'\t' | b'\r' => {}
                _ => return,
            }
            self.bump();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    /// Goes one byte on. There must be one.
    fn bump(&mut self) -> u8 {
        let byte = self.text[self.position];
        self.position += 1;
        self.line += usize::from(byte == b'\n');
        byte
    }

    fn unexpected(&self, byte: u8, recovery: Recovery) -> Failure {
        self.failure(format!("unexpected \"{}\"", char::from(byte)), self.line, recovery)
    }

    fn unexpected_end(&self) -> Failure {
        let message = match self.origin {
            Origin::File => "unexpected end of file, expecting \";\" or \"}\"",
            Origin::CommandLine => "unexpected end of parameter, expecting \";\"",
        };
        self.failure(message.to_string(), self.line, Recovery::End)
    }

    fn too_long(&self, start: usize, line: usize, quote: Option<u8>) -> Failure {
        let message = match quote {
            Some(quote) => {
                format!("too long parameter, probably missing terminating \"{}\" character", char::from(quote))
            }
            None => {
                format!("too long parameter \"{}...\" started", String::from_utf8_lossy(&self.text[start..start + 10]))
            }
        };
        self.failure(message, line, Recovery::End)
    }

    fn failure(&self, message: String, line: usize, recovery: Recovery) -> Failure {
        Failure { mistake: Mistake { message, line, last: recovery == Recovery::End }, recovery }
    }
}

/// What stands before a byte within a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Backslash,
    Dollar,
}

impl Before {
    fn then(self, byte: u8) -> Before {
        match (self, byte) {
            (Before::Backslash, _) => Before::Nothing,
            (_, b'\\') => Before::Backslash,
            (_, b'$') => Before::Dollar,
            (Before::Dollar, b'{') => Before::Dollar,
            _ => Before::Nothing,
        }
    }
}

fn ends_bare_word(byte: u8, before: Before) -> bool {
    match byte {
        b'{' => before != Before::Dollar,
        _ => matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';'),
    }
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut word = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let replacement = match (byte, bytes.peek()) {
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            (b'\\', Some(&escaped @ (b'"' | b'\'' | b'\\'))) => Some(escaped),
            _ => None,
        };
        if replacement.is_some() {
            bytes.next();
        }
        word.push(replacement.unwrap_or(byte));
    }
    word
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(text: &str) -> Vec<String> {
        match Lexer::new(text.as_bytes(), Origin::File).next_token().unwrap() {
            Token::Directive { words, .. } => words.into_iter().map(|w| String::from_utf8(w).unwrap()).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn failure(text: &str) -> (String, usize, Recovery) {
        let mut lexer = Lexer::new(text.as_bytes(), Origin::File);
        loop {
            match lexer.next_token() {
                Ok(Token::End) => panic!("no failure in {text:?}"),
                Ok(_) => {}
                Err(failure) => return (failure.mistake.message, failure.mistake.line, failure.recovery),
            }
        }
    }

    #[test]
    fn words_quotes_and_escapes() {
        let rows: &[(&str, &[&str])] = &[
            ("a;", &["a"]),
            ("  a\t b\r\n c ;", &["a", "b", "c"]),
            ("a b{", &["a", "b"]),
            ("a # one\n b #two;\n;", &["a", "b"]),
            ("a b#c;", &["a", "b#c"]),
            (r#"a "b c;{}# " ';"';"#, &["a", "b c;{}# ", ";\""]),
            (r#"a "" '';"#, &["a", "", ""]),
            (r#"a "b\"c" 'd\'e' f\\g;"#, &["a", "b\"c", "d'e", "f\\g"]),
            (r#"a x\ty\rz\nw;"#, &["a", "x\ty\rz\nw"]),
            (r#"a b\ c\;d;"#, &["a", r"b\ c\;d"]),
            (r#"a \x "\d";"#, &["a", r"\x", r"\d"]),
            (r#"a \"b;"#, &["a", "\"b"]),
            ("a b${c}d $e;", &["a", "b${c}d", "$e"]),
            ("a ${b};", &["a", "${b}"]),
            ("a b\"c;", &["a", "b\"c"]),
            ("a \"b\")c;", &["a", "b", ")c"]),
            ("a b};", &["a", "b}"]),
            ("a \"b\nc\";", &["a", "b\nc"]),
        ];
        for (text, expected) in rows {
            assert_eq!(&words(text), expected, "{text}");
        }
    }

    #[test]
    fn failures() {
        let end = "unexpected end of file, expecting \";\" or \"}\"";
        let rows: &[(&str, &str, usize, Recovery)] = &[
            (";", "unexpected \";\"", 1, Recovery::Next),
            ("a;\n;", "unexpected \";\"", 2, Recovery::Next),
            ("{", "unexpected \"{\"", 1, Recovery::Opened),
            ("a }", "unexpected \"}\"", 1, Recovery::BlockEnd),
            ("a \"b\"c d;", "unexpected \"c\"", 1, Recovery::Next),
            ("a \"b\"c {", "unexpected \"c\"", 1, Recovery::Opened),
            ("a \"b\"}", "unexpected \"}\"", 1, Recovery::BlockEnd),
            ("a 'b'#", "unexpected \"#\"", 1, Recovery::End),
            ("a", end, 1, Recovery::End),
            ("a\n", end, 2, Recovery::End),
            ("a \"b\n\n", end, 3, Recovery::End),
            ("a # b;", end, 1, Recovery::End),
            ("a \"b\"", end, 1, Recovery::End),
            ("a ${b", end, 1, Recovery::End),
            ("a \\", end, 1, Recovery::End),
        ];
        for (text, message, line, recovery) in rows {
            assert_eq!(failure(text), (message.to_string(), *line, *recovery), "{text}");
        }
    }

    #[test]
    fn parameters_of_4096_bytes_are_too_long() {
        let longest = "x".repeat(LONGEST_PARAMETER - 1);
        assert_eq!(words(&format!("{longest};")), [longest.as_str()]);
        assert_eq!(words(&format!("\"{longest}\";")), [longest.as_str()]);

        let (message, line, _) = failure(&format!("a\n {longest}xx\n;"));
        assert_eq!((message.as_str(), line), ("too long parameter \"xxxxxxxxxx...\" started", 2));
        let (message, line, _) = failure(&format!("a\n '\n{longest}xx\n;"));
        assert_eq!((message.as_str(), line), ("too long parameter, probably missing terminating \"'\" character", 2));
    }

    #[test]
    fn a_command_line_ends_differently_and_has_no_longest_parameter() {
        let long = format!("a {};b", "x".repeat(2 * LONGEST_PARAMETER));
        let mut lexer = Lexer::new(long.as_bytes(), Origin::CommandLine);
        assert!(lexer.next_token().is_ok());
        let failure = lexer.next_token().unwrap_err();
        assert_eq!(failure.mistake.message, "unexpected end of parameter, expecting \";\"");
    }
}
