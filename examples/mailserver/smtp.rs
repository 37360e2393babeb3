//! SMTP (RFC 5321) with AUTH (RFC 4954) and Postfix's XCLIENT. It delivers to its own users and to nobody else, so it
//! asks nobody to log in. What XCLIENT and AUTH told it stands in the Received line of each message.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::date;
use crate::sasl;
use crate::store::{MESSAGE_LIMIT, Mailbox, Store, now};
use crate::wire::Wire;

/// The most recipients of one message.
const RECIPIENTS_LIMIT: usize = 100;
const NAME: &str = "sample";

/// Serves one client.
///
/// # Errors
/// When the connection breaks.
pub(crate) async fn session(wire: Wire, store: Arc<Store>) -> io::Result<()> {
    let peer = Peer::new(&wire);
    Session { wire, store, peer, helo: None, sender: None, recipients: Vec::new() }.run().await
}

struct Session {
    wire: Wire,
    store: Arc<Store>,
    peer: Peer,
    helo: Option<String>,
    sender: Option<String>,
    recipients: Vec<Arc<Mailbox>>,
}

/// Who is on the other side, as far as the server was told.
struct Peer {
    address: String,
    name: String,
    login: Option<String>,
}

type Reply = &'static str;

impl Session {
    async fn run(mut self) -> io::Result<()> {
        self.greet().await?;
        loop {
            let line = self.wire.line().await?;
            let text = String::from_utf8_lossy(&line);
            let (command, argument) = text.split_once(' ').unwrap_or((&text, ""));
            let reply = match command.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    self.hello(argument);
                    self.wire.send(capabilities().as_bytes()).await?;
                    continue;
                }
                "HELO" => {
                    self.hello(argument);
                    "250 Ok"
                }
                "XCLIENT" => {
                    self.xclient(argument);
                    self.greet().await?;
                    continue;
                }
                "AUTH" => self.authenticate(argument).await?,
                "MAIL" => self.mail(argument),
                "RCPT" => self.recipient(argument),
                "DATA" => self.data().await?,
                "RSET" => {
                    self.reset();
                    "250 2.0.0 Ok"
                }
                "NOOP" => "250 2.0.0 Ok",
                "QUIT" => return self.reply("221 2.0.0 Bye").await,
                _ => "500 5.5.1 Unknown command",
            };
            self.reply(reply).await?;
        }
    }

    async fn greet(&mut self) -> io::Result<()> {
        self.reply(&format!("220 {NAME} ESMTP")).await
    }

    async fn reply(&mut self, reply: &str) -> io::Result<()> {
        self.wire.send(format!("{reply}\r\n").as_bytes()).await
    }

    fn hello(&mut self, name: &str) {
        self.reset();
        self.helo = Some(name.to_string());
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    /// Believes what a proxy says of its client, and starts afresh.
    fn xclient(&mut self, attributes: &str) {
        for attribute in attributes.split_whitespace() {
            match attribute.split_once('=') {
                Some((name, value)) if name.eq_ignore_ascii_case("ADDR") => {
                    self.peer.address = value.trim_start_matches("IPV6:").to_string();
                }
                Some((name, value)) if name.eq_ignore_ascii_case("NAME") => self.peer.name = value.to_string(),
                Some((name, value)) if name.eq_ignore_ascii_case("LOGIN") => self.peer.login = Some(value.to_string()),
                _ => {}
            }
        }
        self.reset();
        self.helo = None;
    }

    async fn authenticate(&mut self, argument: &str) -> io::Result<Reply> {
        let (mechanism, initial) = argument.split_once(' ').unwrap_or((argument, ""));
        let credentials = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => sasl::plain(&self.response(initial, "").await?),
            "LOGIN" => {
                let user = self.response(initial, "Username:").await?;
                let password = self.response("", "Password:").await?;
                sasl::decode(&user).zip(sasl::decode(&password))
            }
            _ => return Ok("504 5.5.4 Unknown mechanism"),
        };
        let Some((user, password)) = credentials else {
            return Ok("501 5.5.2 Bad base64, or cancelled");
        };
        if self.store.log_in(&user, &password).is_none() {
            return Ok("535 5.7.8 Wrong user or password");
        }
        self.peer.login = Some(String::from_utf8_lossy(&user).into_owned());
        Ok("235 2.7.0 Ok")
    }

    /// The client's response: the initial one, or the answer to a challenge.
    async fn response(&mut self, initial: &str, challenge: &str) -> io::Result<Vec<u8>> {
        match initial {
            "" => {
                self.reply(&format!("334 {}", STANDARD.encode(challenge))).await?;
                self.wire.line().await
            }
            "=" => Ok(Vec::new()),
            initial => Ok(initial.into()),
        }
    }

    fn mail(&mut self, argument: &str) -> Reply {
        if self.helo.is_none() {
            return "503 5.5.1 HELO or EHLO first";
        }
        match path(argument, "FROM:") {
            Some((sender, parameters)) if declared_size(parameters) <= MESSAGE_LIMIT => {
                self.reset();
                self.sender = Some(sender.to_string());
                "250 2.1.0 Ok"
            }
            Some(_) => "552 5.3.4 Message too large",
            None => "501 5.5.4 Syntax: MAIL FROM:<address>",
        }
    }

    fn recipient(&mut self, argument: &str) -> Reply {
        if self.sender.is_none() {
            return "503 5.5.1 MAIL first";
        }
        if self.recipients.len() >= RECIPIENTS_LIMIT {
            return "452 4.5.3 Too many recipients";
        }
        let Some((address, _)) = path(argument, "TO:") else {
            return "501 5.5.4 Syntax: RCPT TO:<address>";
        };
        match self.store.recipient(address) {
            Some(user) => {
                self.recipients.push(user.inbox());
                "250 2.1.5 Ok"
            }
            None => "550 5.1.1 No such user here",
        }
    }

    async fn data(&mut self) -> io::Result<Reply> {
        if self.recipients.is_empty() {
            return Ok("503 5.5.1 RCPT first");
        }
        self.reply("354 End data with <CR><LF>.<CR><LF>").await?;
        let Some(message) = self.wire.data(MESSAGE_LIMIT).await? else {
            self.reset();
            return Ok("552 5.3.4 Message too large");
        };
        let message: Arc<[u8]> = [self.trace().as_bytes(), &message].concat().into();
        let delivered = self
            .recipients
            .iter()
            .all(|mailbox| self.store.deliver(mailbox, message.clone(), BTreeSet::new(), now()).is_ok());
        self.reset();
        Ok(if delivered { "250 2.0.0 Ok" } else { "452 4.3.1 No room" })
    }

    /// The fields that go in front of a message.
    fn trace(&self) -> String {
        let Peer { address, name, login } = &self.peer;
        let login = login.as_ref().map(|login| format!("\r\n\t(authenticated as {login})")).unwrap_or_default();
        let helo = self.helo.as_deref().unwrap_or_default();
        let sender = self.sender.as_deref().unwrap_or_default();
        format!(
            "Return-Path: <{sender}>\r\nReceived: from {helo} ({name} [{address}]){login}\r\n\tby {NAME} with ESMTP; {}\r\n",
            date::header(now())
        )
    }
}

impl Peer {
    fn new(wire: &Wire) -> Peer {
        Peer { address: wire.peer().ip().to_string(), name: "unknown".to_string(), login: None }
    }
}

fn capabilities() -> String {
    let lines = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "AUTH PLAIN LOGIN", "XCLIENT ADDR NAME LOGIN"];
    let lines: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
    format!("250-{NAME}\r\n{lines}250 SIZE {MESSAGE_LIMIT}\r\n")
}

/// The address of `FROM:<address> parameters`, and the parameters.
fn path<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (start, rest) = argument.trim().split_at_checked(keyword.len())?;
    let (address, parameters) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
    start.eq_ignore_ascii_case(keyword).then_some((address, parameters))
}

/// What the parameter SIZE says (RFC 1870); 0 if there is none.
fn declared_size(parameters: &str) -> usize {
    let size =
        parameters.split_whitespace().find_map(|word| word.to_ascii_uppercase().strip_prefix("SIZE=")?.parse().ok());
    size.unwrap_or(0)
}
