//! Commands on mailboxes, and those that change messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::command::{Command, Token};
use super::view::{View, list};
use super::{Answer, Session, bad, no, ok};
use crate::date;
use crate::store::{Mailbox, Message, User, now};

const FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
const SEEN: &str = "\\Seen";
const DELETED: &str = "\\Deleted";

impl Session {
    pub(super) fn select(&mut self, user: &User, arguments: &[Token], read_only: bool) -> Answer {
        self.view = None;
        let Some(mailbox) = named(user, arguments) else {
            return no("[NONEXISTENT] no such mailbox");
        };
        let unseen = mailbox.messages().iter().position(|message| !message.flags.contains(SEEN));
        let (validity, next) = (mailbox.validity, mailbox.next_uid());
        let view = View::new(mailbox, read_only);
        self.untagged(&format!("{} EXISTS", view.len()));
        self.untagged("0 RECENT");
        self.untagged(&format!("FLAGS ({FLAGS})"));
        self.untagged(&format!("OK [PERMANENTFLAGS ({FLAGS} \\*)] flags"));
        if let Some(index) = unseen {
            self.untagged(&format!("OK [UNSEEN {}] first unseen", index + 1));
        }
        self.untagged(&format!("OK [UIDVALIDITY {validity}] valid"));
        self.untagged(&format!("OK [UIDNEXT {next}] next"));
        self.view = Some(view);
        format!("OK [READ-{}] selected", if read_only { "ONLY" } else { "WRITE" })
    }

    /// LIST and LSUB: `*` and `%` match anything, since names have no hierarchy.
    pub(super) fn list(&mut self, user: &User, command: &Command) -> Answer {
        let [reference, pattern] = &command.arguments[..] else { return bad() };
        let (Some(reference), Some(pattern)) = (reference.text(), pattern.text()) else { return bad() };
        if pattern.is_empty() {
            self.untagged(&format!("{} (\\Noselect) \"/\" \"\"", command.name));
            return ok();
        }
        let pattern = format!("{reference}{pattern}");
        for name in user.names().iter().filter(|name| matches(&pattern, name)) {
            self.untagged(&format!("{} (\\HasNoChildren) \"/\" {}", command.name, quoted(name)));
        }
        ok()
    }

    pub(super) fn status(&mut self, user: &User, arguments: &[Token]) -> Answer {
        let [name, items] = arguments else { return bad() };
        let (Some(mailbox), Some(name)) = (named(user, arguments), name.text()) else {
            return no("[NONEXISTENT] no such mailbox");
        };
        let Some(items) = items.members().iter().map(|item| status_item(&mailbox, item)).collect::<Option<Vec<_>>>()
        else {
            return bad();
        };
        self.untagged(&format!("STATUS {} ({})", quoted(name), items.join(" ")));
        ok()
    }

    pub(super) fn create(&mut self, user: &User, arguments: &[Token]) -> Answer {
        match arguments {
            [name] => match name.text() {
                Some(name) if user.create(name) => ok(),
                Some(_) => no("[ALREADYEXISTS] exists, or too many mailboxes"),
                None => bad(),
            },
            _ => bad(),
        }
    }

    pub(super) fn append(&mut self, user: &User, arguments: &[Token]) -> Answer {
        let [_, options @ .., Token::Text(message)] = arguments else { return bad() };
        let Some(mailbox) = named(user, arguments) else {
            return no("[TRYCREATE] no such mailbox");
        };
        let flags = options.iter().find(|option| matches!(option, Token::List(_))).map(flags).unwrap_or_default();
        let date = options.iter().find_map(|option| date::parse_internal(option.text()?)).unwrap_or_else(now);
        match self.store.deliver(&mailbox, message.as_slice().into(), flags, date) {
            Ok(uid) => {
                self.sync();
                format!("OK [APPENDUID {} {uid}] appended", mailbox.validity)
            }
            Err(_) => no("[OVERQUOTA] no room"),
        }
    }

    pub(super) fn copy(&mut self, user: &User, arguments: &[Token], by_uid: bool) -> Answer {
        let [set, name] = arguments else { return bad() };
        let Some(target) = named(user, std::slice::from_ref(name)) else {
            return no("[TRYCREATE] no such mailbox");
        };
        let Some(messages) = self.messages(set, by_uid) else { return bad() };
        for (_, message) in messages {
            if self.store.deliver(&target, message.bytes, message.flags, message.date).is_err() {
                return no("[OVERQUOTA] no room");
            }
        }
        ok()
    }

    /// STORE: `FLAGS`, `+FLAGS` or `-FLAGS`, each with `.SILENT` or not.
    pub(super) fn store_flags(&mut self, arguments: &[Token], by_uid: bool) -> Answer {
        let [set, action, given @ ..] = arguments else { return bad() };
        let Some(action) = action.word() else { return bad() };
        let (action, silent) = action.strip_suffix(".SILENT").map_or((action.as_str(), false), |action| (action, true));
        let change = match action {
            "FLAGS" => |flags: &mut BTreeSet<String>, given: BTreeSet<String>| *flags = given,
            "+FLAGS" => |flags: &mut BTreeSet<String>, given: BTreeSet<String>| flags.extend(given),
            "-FLAGS" => {
                |flags: &mut BTreeSet<String>, given: BTreeSet<String>| flags.retain(|flag| !given.contains(flag))
            }
            _ => return bad(),
        };
        let given: BTreeSet<String> = given.iter().flat_map(flags).collect();
        let Some(messages) = self.messages(set, by_uid) else { return bad() };
        let Some(view) = self.view.as_mut().filter(|view| !view.read_only) else {
            return no("[READ-ONLY] selected by EXAMINE");
        };
        for (number, message) in messages {
            let Some(flags) = view.mailbox.flag(message.uid, |flags| change(flags, given.clone())) else { continue };
            view.told(number, &flags);
            if !silent {
                let uid = if by_uid { format!("UID {} ", message.uid) } else { String::new() };
                self.out.extend(format!("* {number} FETCH ({uid}FLAGS ({}))\r\n", list(&flags)).bytes());
            }
        }
        ok()
    }

    /// EXPUNGE, or UID EXPUNGE with its set.
    pub(super) fn expunge(&mut self, arguments: Option<&[Token]>) -> Answer {
        let Some(view) = self.view.as_ref().filter(|view| !view.read_only) else {
            return no("[READ-ONLY] selected by EXAMINE");
        };
        let only = match arguments {
            Some([set]) => match set.text().and_then(|set| view.resolve(set, true)) {
                Some(messages) => Some(messages.into_iter().map(|(_, uid)| uid).collect::<BTreeSet<u32>>()),
                None => return bad(),
            },
            Some(_) => return bad(),
            None => None,
        };
        self.store.expunge(&view.mailbox, |message| {
            message.flags.contains(DELETED) && only.as_ref().is_none_or(|only| only.contains(&message.uid))
        });
        self.sync();
        ok()
    }

    /// The messages of a set that are still there, with their numbers.
    pub(super) fn messages(&self, set: &Token, by_uid: bool) -> Option<Vec<(usize, Message)>> {
        let view = self.view.as_ref()?;
        let wanted = view.resolve(set.text()?, by_uid)?;
        Some(wanted.into_iter().filter_map(|(number, uid)| Some((number, view.mailbox.message(uid)?))).collect())
    }
}

/// The mailbox that the first argument names.
fn named(user: &User, arguments: &[Token]) -> Option<Arc<Mailbox>> {
    user.mailbox(arguments.first()?.text()?)
}

/// The flags in a list, or the one flag; those that RFC 3501 names in its spelling.
fn flags(token: &Token) -> BTreeSet<String> {
    let known =
        |flag: &str| FLAGS.split(' ').find(|known| known.eq_ignore_ascii_case(flag)).unwrap_or(flag).to_string();
    token.members().iter().filter_map(Token::text).map(known).collect()
}

fn status_item(mailbox: &Mailbox, item: &Token) -> Option<String> {
    let item = item.word()?;
    let count = |flag: &str| mailbox.messages().iter().filter(|message| message.flags.contains(flag)).count();
    let value = match item.as_str() {
        "MESSAGES" => mailbox.messages().len(),
        "RECENT" => 0,
        "UIDNEXT" => mailbox.next_uid() as usize,
        "UIDVALIDITY" => mailbox.validity as usize,
        "UNSEEN" => mailbox.messages().len() - count(SEEN),
        "DELETED" => count(DELETED),
        _ => return None,
    };
    Some(format!("{item} {value}"))
}

/// Whether a name matches a pattern of LIST with at most one wildcard; with more, everything does.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split(['*', '%']).collect::<Vec<_>>()[..] {
        [whole] => whole == name || whole.eq_ignore_ascii_case("INBOX") && name == "INBOX",
        [start, end] => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
        _ => true,
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
