//! FETCH: its items, and how they are answered.

use std::io;

use super::command::Token;
use super::view::list;
use super::{Answer, Session, bad, ok};
use crate::store::Message;
use crate::{date, header};

/// Untagged responses are sent when there are this many bytes of them.
const FLUSH_AT: usize = 64 * 1024;

/// A thing to know about a message.
enum Item {
    Flags,
    Uid,
    Date,
    Size,
    Envelope,
    /// `BODY` and `BODYSTRUCTURE`, under the name that was asked for.
    Structure(&'static str),
    Section(Section),
}

/// `BODY[...]` and the older `RFC822...`.
struct Section {
    /// The name in the answer.
    label: String,
    part: Part,
    /// First byte and length.
    partial: Option<(usize, usize)>,
    /// Whether it leaves `\Seen` alone.
    peek: bool,
}

enum Part {
    Whole,
    Header,
    Text,
    /// `HEADER.FIELDS`, or `HEADER.FIELDS.NOT` if not `wanted`.
    Fields {
        names: Vec<String>,
        wanted: bool,
    },
}

impl Session {
    pub(super) async fn fetch(&mut self, arguments: &[Token], by_uid: bool) -> io::Result<Answer> {
        let [set, items] = arguments else { return Ok(bad()) };
        let (Some(mut items), Some(messages)) = (parse(items.members()), self.messages(set, by_uid)) else {
            return Ok(bad());
        };
        if by_uid && !items.iter().any(|item| matches!(item, Item::Uid)) {
            items.insert(0, Item::Uid);
        }
        let sees = items.iter().any(|item| matches!(item, Item::Section(section) if !section.peek));
        for (number, mut message) in messages {
            let seen = sees && self.see(number, &mut message);
            self.out.extend(answer(number, &message, &items, seen));
            if self.out.len() > FLUSH_AT {
                self.flush().await?;
            }
        }
        Ok(ok())
    }

    /// Sets `\Seen` where it may be set, and says whether that is news.
    fn see(&mut self, number: usize, message: &mut Message) -> bool {
        let Some(view) = self.view.as_mut().filter(|view| !view.read_only) else { return false };
        if message.flags.contains("\\Seen") {
            return false;
        }
        message.flags.insert("\\Seen".to_string());
        view.mailbox.flag(message.uid, |flags| flags.clone_from(&message.flags));
        view.told(number, &message.flags);
        true
    }
}

fn parse(tokens: &[Token]) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    for token in tokens {
        let word = token.word()?;
        match word.as_str() {
            "FAST" => items.extend([Item::Flags, Item::Date, Item::Size]),
            "ALL" => items.extend([Item::Flags, Item::Date, Item::Size, Item::Envelope]),
            "FULL" => {
                items.extend([Item::Flags, Item::Date, Item::Size, Item::Envelope, Item::Structure("BODY")]);
            }
            "FLAGS" => items.push(Item::Flags),
            "UID" => items.push(Item::Uid),
            "INTERNALDATE" => items.push(Item::Date),
            "RFC822.SIZE" => items.push(Item::Size),
            "ENVELOPE" => items.push(Item::Envelope),
            "BODY" => items.push(Item::Structure("BODY")),
            "BODYSTRUCTURE" => items.push(Item::Structure("BODYSTRUCTURE")),
            word => items.push(Item::Section(section(word)?)),
        }
    }
    Some(items)
}

fn section(word: &str) -> Option<Section> {
    let old = |part, peek| Some(Section { label: word.to_string(), part, partial: None, peek });
    match word {
        "RFC822" => return old(Part::Whole, false),
        "RFC822.HEADER" => return old(Part::Header, true),
        "RFC822.TEXT" => return old(Part::Text, false),
        _ => {}
    }
    let (name, rest) = word.split_once('[')?;
    let (inside, partial) = rest.rsplit_once(']')?;
    let peek = match name {
        "BODY" => false,
        "BODY.PEEK" => true,
        _ => return None,
    };
    let partial = if partial.is_empty() { None } else { Some(range(partial)?) };
    let origin = partial.map(|(first, _)| format!("<{first}>")).unwrap_or_default();
    Some(Section { label: format!("BODY[{inside}]{origin}"), part: part(inside)?, partial, peek })
}

/// `<0.2048>`
fn range(partial: &str) -> Option<(usize, usize)> {
    let (first, length) = partial.strip_prefix('<')?.strip_suffix('>')?.split_once('.')?;
    Some((first.parse().ok()?, length.parse().ok()?))
}

fn part(inside: &str) -> Option<Part> {
    let (name, names) = inside.split_once(" (").unwrap_or((inside, ""));
    let names = || names.trim_end_matches(')').split(' ').map(|name| name.trim_matches('"').to_string()).collect();
    Some(match name {
        "" => Part::Whole,
        "HEADER" => Part::Header,
        "TEXT" | "1" => Part::Text,
        "HEADER.FIELDS" => Part::Fields { names: names(), wanted: true },
        "HEADER.FIELDS.NOT" => Part::Fields { names: names(), wanted: false },
        _ => return None,
    })
}

fn answer(number: usize, message: &Message, items: &[Item], seen: bool) -> Vec<u8> {
    let mut out = format!("* {number} FETCH (").into_bytes();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        tell(item, message, &mut out);
    }
    if seen && !items.iter().any(|item| matches!(item, Item::Flags)) {
        out.push(b' ');
        tell(&Item::Flags, message, &mut out);
    }
    out.extend(b")\r\n");
    out
}

fn tell(item: &Item, message: &Message, out: &mut Vec<u8>) {
    match item {
        Item::Flags => out.extend(format!("FLAGS ({})", list(&message.flags)).bytes()),
        Item::Uid => out.extend(format!("UID {}", message.uid).bytes()),
        Item::Date => out.extend(format!("INTERNALDATE \"{}\"", date::internal(message.date)).bytes()),
        Item::Size => out.extend(format!("RFC822.SIZE {}", message.bytes.len()).bytes()),
        Item::Envelope => out.extend(envelope(message).bytes()),
        Item::Structure(name) => out.extend(structure(name, message).bytes()),
        Item::Section(section) => {
            let content = section.content(&message.bytes);
            out.extend(format!("{} {{{}}}\r\n", section.label, content.len()).bytes());
            out.extend(content);
        }
    }
}

impl Section {
    fn content(&self, message: &[u8]) -> Vec<u8> {
        let (head, body) = header::split(message);
        let content = match &self.part {
            Part::Whole => message.to_vec(),
            Part::Header => head.to_vec(),
            Part::Text => body.to_vec(),
            Part::Fields { names, wanted } => fields(head, names, *wanted),
        };
        match self.partial {
            Some((first, length)) => content.into_iter().skip(first).take(length).collect(),
            None => content,
        }
    }
}

/// The named fields, or all others, and an empty line.
fn fields(head: &[u8], names: &[String], wanted: bool) -> Vec<u8> {
    let named = |field: &[u8]| names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(header::name(field)));
    let mut chosen = header::fields(head);
    chosen.retain(|field| named(field) == wanted);
    chosen.push(b"\r\n");
    chosen.concat()
}

fn structure(name: &str, message: &Message) -> String {
    let body = header::split(&message.bytes).1;
    let lines = body.iter().filter(|&&byte| byte == b'\n').count();
    format!("{name} (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"UTF-8\") NIL NIL \"8BIT\" {} {lines})", body.len())
}

fn envelope(message: &Message) -> String {
    let head = header::split(&message.bytes).0;
    let text = |name: &str| header::value(head, name).map_or("NIL".to_string(), |value| string(&value));
    let people = |name: &str| header::value(head, name).map_or("NIL".to_string(), |value| addresses(&value));
    let from = people("From");
    let or_from = |name: &str| if header::value(head, name).is_some() { people(name) } else { from.clone() };
    let fields = [
        text("Date"),
        text("Subject"),
        from.clone(),
        or_from("Sender"),
        or_from("Reply-To"),
        people("To"),
        people("Cc"),
        people("Bcc"),
        text("In-Reply-To"),
        text("Message-ID"),
    ];
    format!("ENVELOPE ({})", fields.join(" "))
}

/// A list of addresses; commas and angle brackets inside quotes are not understood.
fn addresses(value: &str) -> String {
    let one = |address: &str| {
        let (name, address) = match address.split_once('<') {
            Some((name, rest)) => (name.trim().trim_matches('"'), rest.trim().trim_end_matches('>')),
            None => ("", address.trim()),
        };
        let (local, host) = address.split_once('@').unwrap_or((address, ""));
        let name = if name.is_empty() { "NIL".to_string() } else { string(name) };
        format!("({name} NIL {} {})", string(local), string(host))
    };
    format!("({})", value.split(',').map(one).collect::<String>())
}

/// A string: quoted, or a literal where it cannot be.
fn string(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        format!("\"{text}\"")
    } else {
        format!("{{{}}}\r\n{text}", text.len())
    }
}
