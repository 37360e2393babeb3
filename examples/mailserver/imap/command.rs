//! The grammar of commands: tag, name, and arguments that are atoms, strings, literals and lists.

use std::io;

use crate::wire::Wire;

/// How deep lists may nest.
const DEPTH_LIMIT: usize = 8;

/// A command.
pub(crate) struct Command {
    /// Empty for a line without one.
    pub(crate) tag: String,
    /// In capitals.
    pub(crate) name: String,
    pub(crate) arguments: Vec<Token>,
}

/// An argument.
#[derive(Clone)]
pub(crate) enum Token {
    /// An atom, a quoted string or a literal.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Token>),
}

impl Command {
    /// `UID FETCH ...` as `FETCH ...`.
    pub(crate) fn without_uid(&self) -> Option<Command> {
        let (name, arguments) = self.arguments.split_first()?;
        Some(Command { tag: self.tag.clone(), name: name.word()?, arguments: arguments.to_vec() })
    }
}

impl Token {
    /// Text as a string; `None` for a list, and for what is not UTF-8.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Token::Text(text) => std::str::from_utf8(text).ok(),
            Token::List(_) => None,
        }
    }

    /// Text in capitals.
    pub(crate) fn word(&self) -> Option<String> {
        self.text().map(str::to_ascii_uppercase)
    }

    /// The members of a list, or the token itself where a list may be left out.
    pub(crate) fn members(&self) -> &[Token] {
        match self {
            Token::List(members) => members,
            text => std::slice::from_ref(text),
        }
    }
}

/// Reads a command, with at most `budget` bytes in literals. The inner error is an answer to a line that is none.
///
/// # Errors
/// When the connection breaks, or the client sends, without waiting, a literal that is too large.
pub(crate) async fn read(wire: &mut Wire, budget: usize) -> io::Result<Result<Command, String>> {
    let mut bytes = wire.line().await?;
    let mut left = budget;
    while let Some((size, wait)) = announced_literal(&bytes) {
        match (size <= left, wait) {
            (true, true) => wire.send(b"+ go on\r\n").await?,
            (true, false) => {}
            (false, true) => return Ok(Err(format!("{} NO [TOOBIG] literal too large\r\n", tag(&bytes)))),
            (false, false) => return Err(io::Error::other("literal too large")),
        }
        left -= size;
        bytes.extend(b"\r\n");
        bytes.extend(wire.exactly(size).await?);
        bytes.extend(wire.line().await?);
    }
    Ok(parse(&bytes).ok_or_else(|| format!("{} BAD syntax error\r\n", tag(&bytes))))
}

fn tag(line: &[u8]) -> String {
    let tag = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    if tag.is_empty() { "*".to_string() } else { String::from_utf8_lossy(tag).into_owned() }
}

/// The size of the literal that a line ends by announcing, and whether the client waits to be asked for it.
fn announced_literal(line: &[u8]) -> Option<(usize, bool)> {
    let inside = line.strip_suffix(b"}")?;
    let start = inside.iter().rposition(|&byte| byte == b'{')?;
    let digits = std::str::from_utf8(&inside[start + 1..]).ok()?;
    match digits.strip_suffix('+') {
        Some(digits) => Some((digits.parse().ok()?, false)),
        None => Some((digits.parse().ok()?, true)),
    }
}

fn parse(bytes: &[u8]) -> Option<Command> {
    let mut parser = Parser { rest: bytes, depth: 0 };
    let mut tokens = parser.tokens()?.into_iter();
    if !parser.rest.is_empty() {
        return None;
    }
    let (tag, name) = (tokens.next()?, tokens.next()?);
    Some(Command { tag: tag.text()?.to_string(), name: name.word()?, arguments: tokens.collect() })
}

struct Parser<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl Parser<'_> {
    /// Tokens up to the end, or to the parenthesis that closes the list.
    fn tokens(&mut self) -> Option<Vec<Token>> {
        let mut tokens = Vec::new();
        loop {
            self.rest = self.rest.trim_ascii_start();
            match self.rest.first() {
                None | Some(b')') => return Some(tokens),
                Some(b'(') => tokens.push(self.list()?),
                Some(b'"') => tokens.push(Token::Text(self.quoted()?)),
                Some(b'{') => tokens.push(Token::Text(self.literal()?)),
                Some(_) => tokens.push(Token::Text(self.atom())),
            }
        }
    }

    fn list(&mut self) -> Option<Token> {
        self.depth += 1;
        self.rest = &self.rest[1..];
        let members = if self.depth <= DEPTH_LIMIT { self.tokens()? } else { return None };
        self.depth -= 1;
        self.rest = self.rest.strip_prefix(b")")?;
        Some(Token::List(members))
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut bytes = self.rest.iter().enumerate().skip(1);
        while let Some((at, &byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(text);
                }
                b'\\' => text.push(*bytes.next()?.1),
                byte => text.push(byte),
            }
        }
        None
    }

    fn literal(&mut self) -> Option<Vec<u8>> {
        let end = self.rest.windows(2).position(|bytes| bytes == b"\r\n")?;
        let (size, _) = announced_literal(&self.rest[..end])?;
        let (text, rest) = self.rest[end + 2..].split_at_checked(size)?;
        self.rest = rest;
        Some(text.to_vec())
    }

    /// An atom; what is in square brackets belongs to it, spaces and parentheses too.
    fn atom(&mut self) -> Vec<u8> {
        let mut brackets = 0_usize;
        let end = self.rest.iter().position(|&byte| {
            match byte {
                b'[' => brackets += 1,
                b']' => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            brackets == 0 && matches!(byte, b' ' | b'(' | b')' | b'"')
        });
        let (atom, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        atom.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(tokens: &[Token]) -> String {
        let one = |token: &Token| match token {
            Token::Text(text) => format!("<{}>", String::from_utf8_lossy(text)),
            Token::List(members) => format!("({})", spelled(members)),
        };
        tokens.iter().map(one).collect()
    }

    #[test]
    fn grammar() {
        for (line, expected) in [
            ("a noop", "a NOOP "),
            ("a LOGIN u \"p \\\" q\"", "a LOGIN <u><p \" q>"),
            ("a login {1}\r\nu {3+}\r\n)\r\n", "a LOGIN <u><)\r\n>"),
            (
                "a UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (A B)]<0.5>)",
                "a UID <FETCH><1:*>(<UID><BODY.PEEK[HEADER.FIELDS (A B)]<0.5>>)",
            ),
            ("a STORE 1 FLAGS ((x)())", "a STORE <1><FLAGS>((<x>)())"),
        ] {
            let command = parse(line.as_bytes()).expect(line);
            assert_eq!(format!("{} {} {}", command.tag, command.name, spelled(&command.arguments)), expected);
        }
        for wrong in
            ["", "a", "a b (", "a b )", "a b \"c", "a b {5}\r\nabc", "(a) b", &format!("a b {}", "(".repeat(100))]
        {
            assert!(parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
