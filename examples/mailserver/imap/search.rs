//! SEARCH: flags, sets, sizes, header fields and text.

use super::command::Token;
use super::view::View;
use super::{Answer, Session, bad, ok};
use crate::header;
use crate::store::Message;

impl Session {
    pub(super) fn search(&mut self, arguments: &[Token], by_uid: bool) -> Answer {
        let Some(view) = &self.view else { return bad() };
        let mut found = String::from("* SEARCH");
        for (number, uid) in view.resolve("1:*", false).unwrap_or_default() {
            let Some(message) = view.mailbox.message(uid) else { continue };
            match all(view, number, &message, arguments) {
                Some(true) => found += &format!(" {}", if by_uid { uid as usize } else { number }),
                Some(false) => {}
                None => return bad(),
            }
        }
        self.out.extend(format!("{found}\r\n").bytes());
        ok()
    }
}

/// Whether all keys hold for a message; `None` if one is not known.
fn all(view: &View, number: usize, message: &Message, mut keys: &[Token]) -> Option<bool> {
    let mut holds = true;
    while !keys.is_empty() {
        let (key, rest) = one(view, number, message, keys)?;
        holds &= key;
        keys = rest;
    }
    Some(holds)
}

/// Whether the first key holds, and the keys behind it.
fn one<'a>(view: &View, number: usize, message: &Message, keys: &'a [Token]) -> Option<(bool, &'a [Token])> {
    let (key, rest) = keys.split_first()?;
    if let Token::List(members) = key {
        return Some((all(view, number, message, members)?, rest));
    }
    let word = key.word()?;
    if let Some(holds) = flag(&word, message) {
        return Some((holds, rest));
    }
    match word.as_str() {
        "NOT" => one(view, number, message, rest).map(|(holds, rest)| (!holds, rest)),
        "OR" => {
            let (left, rest) = one(view, number, message, rest)?;
            let (right, rest) = one(view, number, message, rest)?;
            Some((left || right, rest))
        }
        "HEADER" => Some((field(message, rest.first()?.text()?, rest.get(1)?)?, &rest[2..])),
        "CHARSET" => Some((true, rest.get(1..)?)),
        "SUBJECT" | "FROM" | "TO" | "CC" => Some((field(message, &word, rest.first()?)?, &rest[1..])),
        "TEXT" | "BODY" => Some((text(message, &word, rest.first()?)?, &rest[1..])),
        "LARGER" => Some((message.bytes.len() > rest.first()?.text()?.parse().ok()?, &rest[1..])),
        "SMALLER" => Some((message.bytes.len() < rest.first()?.text()?.parse().ok()?, &rest[1..])),
        "UID" => Some((contains(view, rest.first()?.text()?, true, number)?, &rest[1..])),
        set => Some((contains(view, set, false, number)?, rest)),
    }
}

/// The keys that look at flags.
fn flag(key: &str, message: &Message) -> Option<bool> {
    let has = |flag: &str| message.flags.contains(flag);
    Some(match key {
        "ALL" | "OLD" => true,
        "RECENT" | "NEW" => false,
        "SEEN" => has("\\Seen"),
        "UNSEEN" => !has("\\Seen"),
        "DELETED" => has("\\Deleted"),
        "UNDELETED" => !has("\\Deleted"),
        "FLAGGED" => has("\\Flagged"),
        "UNFLAGGED" => !has("\\Flagged"),
        "ANSWERED" => has("\\Answered"),
        "UNANSWERED" => !has("\\Answered"),
        "DRAFT" => has("\\Draft"),
        "UNDRAFT" => !has("\\Draft"),
        _ => return None,
    })
}

fn contains(view: &View, set: &str, by_uid: bool, number: usize) -> Option<bool> {
    Some(view.resolve(set, by_uid)?.iter().any(|&(found, _)| found == number))
}

/// Whether a header field is there and contains a text, whatever the case.
fn field(message: &Message, name: &str, wanted: &Token) -> Option<bool> {
    let wanted = wanted.text()?.to_lowercase();
    let value = header::value(header::split(&message.bytes).0, name);
    Some(value.is_some_and(|value| value.to_lowercase().contains(&wanted)))
}

fn text(message: &Message, key: &str, wanted: &Token) -> Option<bool> {
    let place = if key == "BODY" { header::split(&message.bytes).1 } else { &message.bytes };
    Some(String::from_utf8_lossy(place).to_lowercase().contains(&wanted.text()?.to_lowercase()))
}
