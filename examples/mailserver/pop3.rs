//! POP3 (RFC 1939, with CAPA of RFC 2449). Deletions take effect at QUIT; the mailbox is not locked meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::header;
use crate::store::{Mailbox, Message, Store};
use crate::wire::{self, Wire};

const CAPABILITIES: &str = "+OK capabilities\r\nUSER\r\nTOP\r\nUIDL\r\nPIPELINING\r\n.\r\n";

/// Serves one client.
///
/// # Errors
/// When the connection breaks.
pub(crate) async fn session(wire: Wire, store: Arc<Store>) -> io::Result<()> {
    Session { wire, store, user: None, maildrop: None }.run().await
}

struct Session {
    wire: Wire,
    store: Arc<Store>,
    user: Option<Vec<u8>>,
    maildrop: Option<Maildrop>,
}

/// The mailbox as it was at login.
struct Maildrop {
    mailbox: Arc<Mailbox>,
    messages: Vec<Message>,
    deleted: BTreeSet<u32>,
}

impl Session {
    async fn run(mut self) -> io::Result<()> {
        self.wire.send(b"+OK sample server ready\r\n").await?;
        loop {
            let line = self.wire.line().await?;
            let text = String::from_utf8_lossy(&line);
            let (command, argument) = text.split_once(' ').unwrap_or((&text, ""));
            let command = command.to_ascii_uppercase();
            if command == "QUIT" {
                self.quit();
                return self.wire.send(b"+OK bye\r\n").await;
            }
            let reply = match &mut self.maildrop {
                Some(maildrop) => maildrop.command(&command, argument),
                None => self.log_in(&command, argument),
            };
            self.wire.send(&reply).await?;
        }
    }

    fn log_in(&mut self, command: &str, argument: &str) -> Vec<u8> {
        match command {
            "CAPA" => CAPABILITIES.into(),
            "USER" if !argument.is_empty() => {
                self.user = Some(argument.into());
                b"+OK\r\n".to_vec()
            }
            "PASS" => {
                let user = self.user.take().unwrap_or_default();
                self.maildrop = self.store.log_in(&user, argument.as_bytes()).map(|user| Maildrop::new(user.inbox()));
                match &self.maildrop {
                    Some(maildrop) => maildrop.stat("messages"),
                    None => b"-ERR wrong user or password\r\n".to_vec(),
                }
            }
            _ => b"-ERR unknown command, or not before login\r\n".to_vec(),
        }
    }

    fn quit(&self) {
        if let Some(maildrop) = &self.maildrop
            && !maildrop.deleted.is_empty()
        {
            self.store.expunge(&maildrop.mailbox, |message| maildrop.deleted.contains(&message.uid));
        }
    }
}

impl Maildrop {
    fn new(mailbox: Arc<Mailbox>) -> Maildrop {
        let messages = mailbox.messages();
        Maildrop { mailbox, messages, deleted: BTreeSet::new() }
    }

    fn command(&mut self, command: &str, argument: &str) -> Vec<u8> {
        let mut words = argument.split_whitespace();
        let number = words.next();
        match command {
            "CAPA" => CAPABILITIES.into(),
            "NOOP" => b"+OK\r\n".to_vec(),
            "STAT" => self.stat(""),
            "RSET" => {
                self.deleted.clear();
                self.stat("messages")
            }
            "LIST" => self.listing(number, |message| message.bytes.len().to_string()),
            "UIDL" => {
                let validity = self.mailbox.validity;
                self.listing(number, |message| format!("{validity}.{}", message.uid))
            }
            "RETR" => self.retrieve(number, |message| message.bytes.to_vec()),
            "TOP" => match words.next().and_then(|count| count.parse().ok()) {
                Some(count) => self.retrieve(number, |message| top(&message.bytes, count)),
                None => b"-ERR TOP wants a message and a number of lines\r\n".to_vec(),
            },
            "DELE" => match self.message(number).map(|message| message.uid) {
                Some(uid) => {
                    self.deleted.insert(uid);
                    b"+OK deleted\r\n".to_vec()
                }
                None => no_such_message(),
            },
            _ => b"-ERR unknown command\r\n".to_vec(),
        }
    }

    fn stat(&self, what: &str) -> Vec<u8> {
        let present = self.present().map(|(_, message)| message.bytes.len());
        let (count, size) = present.fold((0, 0), |(count, size), bytes| (count + 1, size + bytes));
        match what {
            "" => format!("+OK {count} {size}\r\n").into(),
            what => format!("+OK {count} {what} ({size} octets)\r\n").into(),
        }
    }

    /// The answer to LIST and UIDL, for one message or all.
    fn listing(&self, number: Option<&str>, tell: impl Fn(&Message) -> String) -> Vec<u8> {
        if number.is_some() {
            return match (self.message(number), number) {
                (Some(message), Some(number)) => format!("+OK {number} {}\r\n", tell(message)).into(),
                _ => no_such_message(),
            };
        }
        let lines: String = self.present().map(|(number, message)| format!("{number} {}\r\n", tell(message))).collect();
        format!("+OK\r\n{lines}.\r\n").into()
    }

    fn retrieve(&self, number: Option<&str>, part: impl Fn(&Message) -> Vec<u8>) -> Vec<u8> {
        match self.message(number) {
            Some(message) => [b"+OK message follows\r\n", &wire::stuffed(&part(message))[..]].concat(),
            None => no_such_message(),
        }
    }

    fn message(&self, number: Option<&str>) -> Option<&Message> {
        let index = number?.parse::<usize>().ok()?.checked_sub(1)?;
        self.messages.get(index).filter(|message| !self.deleted.contains(&message.uid))
    }

    /// The messages not deleted, with their numbers.
    fn present(&self) -> impl Iterator<Item = (usize, &Message)> {
        self.messages
            .iter()
            .enumerate()
            .map(|(index, message)| (index + 1, message))
            .filter(|(_, message)| !self.deleted.contains(&message.uid))
    }
}

/// The header and the first `count` lines of the body.
fn top(message: &[u8], count: usize) -> Vec<u8> {
    let (header, body) = header::split(message);
    let length = body.split_inclusive(|&byte| byte == b'\n').take(count).map(<[u8]>::len).sum();
    [header, &body[..length]].concat()
}

fn no_such_message() -> Vec<u8> {
    b"-ERR no such message\r\n".to_vec()
}
