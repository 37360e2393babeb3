//! The grammar of what an IMAP client may say before login, as nginx reads it: RFC 9051 section 9, LITERAL+ of RFC 7888,
//! and much that neither allows.
//!
//! A [`Reader`] finds where a command ends and what stands in it. Commands are made of lines; a line that ends in a literal
//! is continued behind the literal. Nothing is decided before a line is whole, so it does not matter in which pieces the
//! bytes come, and no byte is looked at twice.
//!
//! Guarantees: it holds places in the input, and no copy of it except the tag; a refused line leaves nothing behind for
//! the next; a literal that cannot fit is refused as soon as it is announced.
//!
//! Deliberately unlike nginx: `{0}`, `{}` and `{+}` are empty strings; quotes end with their line.

use std::borrow::Cow;
use std::ops::Range;

/// The longest tag, bytes.
const MAX_TAG: usize = 32;
/// The most arguments in a command.
const MAX_ARGUMENTS: usize = 3;
/// The largest number that a literal may be announced with: beyond it the line is invalid, and not only too long.
const MAX_LITERAL: u64 = i64::MAX as u64 / 10;

/// The commands that are known before login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Authenticate,
    Capability,
    Login,
    Logout,
    Noop,
    StartTls,
}

const NAMES: [(&str, Name); 6] = [
    ("AUTHENTICATE", Name::Authenticate),
    ("CAPABILITY", Name::Capability),
    ("LOGIN", Name::Login),
    ("LOGOUT", Name::Logout),
    ("NOOP", Name::Noop),
    ("STARTTLS", Name::StartTls),
];

/// What the client is expected to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A command.
    Command,
    /// A line of an authentication exchange: arguments without tag and name, the first of them as it stands.
    Response,
}

/// What was found at the start of the input. `length` is how many bytes it takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nothing that is whole.
    Incomplete,
    /// A literal is announced, and the client waits for leave to send it.
    Announced,
    /// A command.
    Command { tag: Vec<u8>, name: Name, arguments: Vec<Argument>, length: usize },
    /// A line of an authentication exchange.
    Response { arguments: Vec<Argument>, length: usize },
    /// A line that is neither. `tag` if it has one. When a literal comes behind it unasked, nothing can tell what of it
    /// is a command.
    Invalid { tag: Option<Vec<u8>>, length: usize, literal_follows: bool },
    /// A literal that does not fit.
    TooLong { tag: Option<Vec<u8>> },
}

/// An argument: where it stands in the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Argument {
    place: Range<usize>,
    escaped: bool,
}

impl Argument {
    /// Its value, without the backslashes of a quoted string.
    pub(super) fn value<'a>(&self, input: &'a [u8]) -> Cow<'a, [u8]> {
        let raw = &input[self.place.clone()];
        if self.escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    fn plain(place: Range<usize>) -> Argument {
        Argument { place, escaped: false }
    }
}

/// Reads one command or response after the other.
#[derive(Debug)]
pub(super) struct Reader {
    place: Place,
    head: Option<(Vec<u8>, Name)>,
    arguments: Vec<Argument>,
}

/// What is being read; offsets count from the start of the command.
#[derive(Debug)]
enum Place {
    /// A line that begins at `start`, without an end before `scanned`.
    Line {
        start: usize,
        scanned: usize,
    },
    Literal(Range<usize>),
}

/// Where an invalid line was found to be one: before its tag was known, or after.
#[derive(Debug)]
struct Invalid {
    tag: Option<Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Literal {
    size: u64,
    synchronizing: bool,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { place: Place::Line { start: 0, scanned: 0 }, head: None, arguments: Vec::new() }
    }

    /// Looks at `input`, which begins where the command does and has grown at its end, if at all, since the last
    /// [`Reading::Incomplete`] or [`Reading::Announced`]. A command may take `limit` bytes.
    pub(super) fn read(&mut self, input: &[u8], expected: Expected, limit: usize) -> Reading {
        loop {
            match &mut self.place {
                Place::Literal(place) => {
                    if input.len() < place.end {
                        return Reading::Incomplete;
                    }
                    let place = place.clone();
                    self.place = Place::Line { start: place.end, scanned: place.end };
                    self.arguments.push(Argument::plain(place));
                }
                Place::Line { start, scanned } => {
                    let Some(found) = memchr::memchr(b'\n', &input[*scanned..]) else {
                        *scanned = input.len();
                        return Reading::Incomplete;
                    };
                    let (start, end) = (*start, *scanned + found);
                    if let Some(reading) = self.line(input, start..end, expected, limit) {
                        return reading;
                    }
                }
            }
        }
    }

    /// Gives up a command that will never be whole; returns its tag if that much is there.
    pub(super) fn abandon(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        let reader = std::mem::replace(self, Reader::new());
        match reader.head {
            Some((tag, _)) => Some(tag),
            None => split_tag(input).map(|(tag, _)| tag.to_vec()),
        }
    }

    /// Takes the line at `place`, its LF not included. `None` if a literal without leave comes next.
    fn line(&mut self, input: &[u8], place: Range<usize>, expected: Expected, limit: usize) -> Option<Reading> {
        let length = place.end + 1;
        let line = &input[place.clone()];
        let text = trim_cr(line);
        match self.parse(text, place.start, line.len() - text.len(), expected) {
            Ok(Some(literal)) => self.announce(literal, length, limit),
            Ok(None) => Some(self.complete(length)),
            Err(Invalid { tag }) => {
                *self = Reader::new();
                let literal_follows = announces_unasked(trim_cr(&input[..place.end]));
                Some(Reading::Invalid { tag, length, literal_follows })
            }
        }
    }

    fn announce(&mut self, literal: Literal, start: usize, limit: usize) -> Option<Reading> {
        let end = usize::try_from(literal.size).ok().and_then(|size| start.checked_add(size));
        // At least the end of the line comes behind it.
        let Some(end) = end.filter(|end| *end < limit) else {
            let tag = std::mem::replace(self, Reader::new()).head.map(|(tag, _)| tag);
            return Some(Reading::TooLong { tag });
        };
        self.place = Place::Literal(start..end);
        literal.synchronizing.then_some(Reading::Announced)
    }

    fn complete(&mut self, length: usize) -> Reading {
        let Reader { head, arguments, .. } = std::mem::replace(self, Reader::new());
        match head {
            Some((tag, name)) => Reading::Command { tag, name, arguments, length },
            None => Reading::Response { arguments, length },
        }
    }

    /// Parses the line `text`, which begins at `start` of the input and ends in `crs` CRs and an LF.
    fn parse(&mut self, text: &[u8], start: usize, crs: usize, expected: Expected) -> Result<Option<Literal>, Invalid> {
        let from = if start > 0 {
            0
        } else if expected == Expected::Response {
            self.atom(text, start, 0)
        } else {
            self.head(text)?
        };
        let is_apart = matches!(text.get(from), None | Some(b' '));
        match self.arguments(text, start, from) {
            Some(Some(literal)) if is_apart && !text.contains(&b'\r') => Ok(Some(literal)),
            Some(None) if is_apart && !text.contains(&b'\r') && crs <= 1 => Ok(None),
            _ => Err(Invalid { tag: self.head.take().map(|(tag, _)| tag) }),
        }
    }

    /// Takes the tag and the name of the command; returns where the name ends.
    fn head(&mut self, text: &[u8]) -> Result<usize, Invalid> {
        let Some((tag, rest)) = split_tag(text) else {
            return Err(Invalid { tag: None });
        };
        let start = text.len() - skip_spaces(rest).len();
        let end = word_end(text, start);
        match NAMES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(&text[start..end])) {
            Some((_, name)) => self.head = Some((tag.to_vec(), *name)),
            None => return Err(Invalid { tag: Some(tag.to_vec()) }),
        }
        Ok(end)
    }

    /// Takes arguments from `from` to the end of the line, or to a literal. `None` if they are invalid.
    fn arguments(&mut self, text: &[u8], start: usize, mut from: usize) -> Option<Option<Literal>> {
        loop {
            from = text.len() - skip_spaces(&text[from..]).len();
            let Some(first) = text.get(from) else {
                return Some(None);
            };
            if self.arguments.len() == MAX_ARGUMENTS {
                return None;
            }
            match first {
                b'{' => return literal(&text[from..]).map(Some),
                b'"' => from = self.quoted(text, start, from)?,
                _ => from = self.atom(text, start, from),
            }
        }
    }

    fn atom(&mut self, text: &[u8], start: usize, from: usize) -> usize {
        let end = word_end(text, from);
        self.arguments.push(Argument::plain(start + from..start + end));
        end
    }

    /// Takes the string whose opening quote is at `from`; without a closing one it ends with the line.
    fn quoted(&mut self, text: &[u8], start: usize, from: usize) -> Option<usize> {
        let mut escaped = false;
        let mut at = from + 1;
        loop {
            match text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    text.get(at + 1)?;
                    escaped = true;
                    at += 2;
                }
                Some(_) => at += 1,
                // Whether what looks like a literal is meant to be one, only the client knows.
                None if announces_unasked(text) => return None,
                None => break,
            }
        }
        self.arguments.push(Argument { place: start + from + 1..start + at, escaped });
        Some((at + 1).min(text.len()))
    }
}

/// `{n}` or `{n+}`, and nothing behind.
fn literal(text: &[u8]) -> Option<Literal> {
    let inside = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let (digits, synchronizing) = match inside.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (inside, true),
    };
    let size = digits.iter().try_fold(0_u64, |size, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        size.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    (size <= MAX_LITERAL).then_some(Literal { size, synchronizing })
}

/// Whether a client that means the end of this line as a literal sends it without waiting.
fn announces_unasked(text: &[u8]) -> bool {
    text.ends_with(b"+}")
}

/// The tag, which may be empty, and what comes behind it, with the space.
fn split_tag(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, rest) = text.split_at(memchr::memchr(b' ', text)?);
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (tag.len() <= MAX_TAG && tag.iter().all(is_valid)).then_some((tag, rest))
}

fn word_end(text: &[u8], from: usize) -> usize {
    memchr::memchr(b' ', &text[from..]).map_or(text.len(), |length| from + length)
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

fn trim_cr(line: &[u8]) -> &[u8] {
    let crs = line.iter().rev().take_while(|byte| **byte == b'\r').count();
    &line[..line.len() - crs]
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        let literal = if *byte == b'\\' { bytes.next() } else { Some(byte) };
        value.extend(literal);
    }
    value
}
