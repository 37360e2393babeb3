//! The IMAP server that a mail client talks to before it is logged in, byte for byte as nginx plays it.
//!
//! Guarantees: nothing but the user name of an exchange under way, the tag, and counters outlives a command; what is held
//! of the client's bytes is bounded by `imap_client_buffer`; no reply holds more of the client's bytes than a valid tag.
//!
//! Deliberately unlike nginx, besides what [`super::command`] tells: a user name or password with CR, LF or NUL is
//! refused; EXTERNAL is refused where it is not enabled, with an initial response too; a command is too long only when
//! it does not fit by itself; a command refused for its tag is answered with `*`, whatever tag came before.

use std::sync::Arc;

use super::Options;
use super::command::{Argument, Expected, Name, Reader, Reading};
use crate::line;
use crate::sasl::{self, Credentials, Exchange, Turn};
use crate::{
    Attempt, Dialogue, FrontEnd, Input, Method, Note, Output, Refusal, Rejection, Secret, StartTls, Step, Tally,
};

const GREETING: &[u8] = b"* OK IMAP4 ready\r\n";
const CONTINUE: &[u8] = b"+ OK\r\n";
const BYE: &[u8] = b"* BYE\r\n";
const OK: &[u8] = b"OK completed\r\n";
const INVALID: &[u8] = b"BAD invalid command\r\n";
const INTERNAL_ERROR: &[u8] = b"* BAD internal server error\r\n";
/// What stands for a tag where none is known.
const NO_TAG: &[u8] = b"*";

/// The front end of an IMAP session.
pub struct Server {
    options: Arc<Options>,
    salt: String,
    input: Input,
    reader: Reader,
    /// An AUTHENTICATE that waits for the client's next line.
    exchange: Option<Exchange>,
    /// The tag of the last command that could be read.
    tag: Vec<u8>,
    user: Vec<u8>,
    tally: Tally,
    encrypted: bool,
    over: bool,
}

impl Server {
    /// A session that has not begun. `salt` is the challenge of CRAM-MD5, `<random.time@server_name>`, without CRLF.
    ///
    /// Where the connection is encrypted from the start, call [`FrontEnd::tls_started`] before [`FrontEnd::greet`].
    pub fn new(options: Arc<Options>, salt: String) -> Server {
        Server {
            input: Input::new(options.client_buffer),
            options,
            salt,
            reader: Reader::new(),
            exchange: None,
            tag: Vec::new(),
            user: Vec::new(),
            tally: Tally::default(),
            encrypted: false,
            over: false,
        }
    }

    /// Reads and answers one command or line. `None`: there may be another.
    fn advance(&mut self, out: &mut Output) -> Option<Step> {
        let expected = if self.exchange.is_some() { Expected::Response } else { Expected::Command };
        let reading = self.reader.read(self.input.unread(), expected, self.options.client_buffer);
        let is_whole = !matches!(reading, Reading::Incomplete | Reading::Announced);
        if is_whole && self.tally.is_too_many(self.options.max_commands) {
            self.over = true;
            return Some(Step::Refuse(Refusal::Commands));
        }
        match reading {
            Reading::Incomplete if self.input.is_full() => {
                let tag = self.reader.abandon(self.input.unread());
                self.too_long(tag, out);
            }
            Reading::Incomplete => return Some(Step::Input),
            Reading::Announced => out.bytes.extend_from_slice(CONTINUE),
            Reading::Command { tag, name, arguments, length } => {
                self.tag = tag;
                let arguments = self.take(&arguments, length);
                return self.command(name, arguments, out);
            }
            Reading::Response { arguments, length } => {
                let arguments = self.take(&arguments, length);
                return self.response(&arguments, out);
            }
            Reading::Invalid { tag, length, literal_follows } => {
                self.input.consume(length);
                self.over |= literal_follows;
                self.unreadable(tag, out);
            }
            Reading::TooLong { tag } => self.too_long(tag, out),
        }
        None
    }

    /// The values of `arguments`; any may be a password.
    fn take(&mut self, arguments: &[Argument], length: usize) -> Vec<Secret> {
        let input = self.input.unread();
        let values = arguments.iter().map(|argument| Secret::new(argument.value(input).into_owned())).collect();
        self.input.consume(length);
        values
    }

    fn command(&mut self, name: Name, arguments: Vec<Secret>, out: &mut Output) -> Option<Step> {
        match (name, self.starttls()) {
            (Name::StartTls, StartTls::Off) | (Name::Login | Name::Authenticate, StartTls::Only) => self.invalid(out),
            (Name::StartTls, _) => {
                self.input.clear();
                self.completed(out);
                return Some(Step::StartTls);
            }
            (Name::Login, _) => return self.login(arguments, out),
            (Name::Authenticate, _) => return self.authenticate(&arguments, out),
            (Name::Capability, starttls) => {
                self.options.write_capability(starttls, &mut out.bytes);
                self.completed(out);
            }
            (Name::Noop, _) => self.completed(out),
            (Name::Logout, _) => {
                self.over = true;
                out.bytes.extend_from_slice(BYE);
                self.completed(out);
            }
        }
        None
    }

    fn login(&mut self, arguments: Vec<Secret>, out: &mut Output) -> Option<Step> {
        let Ok([user, password]) = <[Secret; 2]>::try_from(arguments) else {
            self.invalid(out);
            return None;
        };
        if user.is_empty() {
            self.invalid(out);
            return None;
        }
        match Credentials::new(Method::Plain, user.expose().to_vec(), password) {
            Ok(credentials) => Some(self.attempt(credentials)),
            Err(note) => {
                out.notes.push(note);
                self.invalid(out);
                None
            }
        }
    }

    fn authenticate(&mut self, arguments: &[Secret], out: &mut Output) -> Option<Step> {
        let arguments: Vec<&[u8]> = arguments.iter().map(Secret::expose).collect();
        match sasl::start(&arguments, self.options.auth, &self.salt) {
            Turn::Challenge { text, exchange } => self.challenge(&text, exchange, out),
            Turn::Finished(credentials) => return Some(self.attempt(credentials)),
            Turn::Refused(note) => {
                out.notes.extend(note);
                self.invalid(out);
            }
        }
        None
    }

    fn response(&mut self, arguments: &[Secret], out: &mut Output) -> Option<Step> {
        let exchange = self.exchange.take().expect("a response is read only where an exchange waits for one");
        let first = arguments.first().expect("a response has one argument, if an empty one");
        let is_login_user = exchange.wants_login_user();
        match exchange.next(first.expose()) {
            Turn::Challenge { text, exchange } => self.challenge(&text, exchange, out),
            Turn::Finished(credentials) => return Some(self.attempt(credentials)),
            Turn::Refused(note) => {
                out.notes.extend(note);
                if is_login_user {
                    // nginx says it without a tag.
                    out.bytes.extend_from_slice(INVALID);
                } else {
                    self.invalid(out);
                }
            }
        }
        None
    }

    fn challenge(&mut self, text: &str, exchange: Exchange, out: &mut Output) {
        if let Some(user) = exchange.user() {
            self.user = user.to_vec();
        }
        self.exchange = Some(exchange);
        out.bytes.extend_from_slice(b"+ ");
        out.bytes.extend_from_slice(text.as_bytes());
        out.bytes.extend_from_slice(b"\r\n");
    }

    fn attempt(&mut self, credentials: Credentials) -> Step {
        let Credentials { method, user, password } = credentials;
        self.user.clone_from(&user);
        self.tally.attempts += 1;
        Step::Authenticate(Box::new(Attempt {
            method,
            user,
            password,
            salt: (method == Method::CramMd5).then(|| self.salt.clone()),
            number: self.tally.attempts,
            dialogue: Dialogue::Imap { tag: self.tag.clone() },
        }))
    }

    /// The command was done.
    fn completed(&self, out: &mut Output) {
        reply(&self.tag, OK, out);
    }

    /// The command could be read, and yet not be done. This never counts as an error.
    fn invalid(&self, out: &mut Output) {
        reply(&self.tag, INVALID, out);
    }

    /// What the client sent is no command; `tag` if it had one.
    fn unreadable(&mut self, tag: Option<Vec<u8>>, out: &mut Output) {
        self.tally.errors = self.tally.errors.saturating_add(1);
        if self.tally.errors >= self.options.max_errors {
            out.notes.push(Note("client sent too many invalid commands".to_owned()));
            self.over = true;
        }
        let tag = self.end_exchange().or(tag);
        reply(tag.as_deref().unwrap_or(NO_TAG), INVALID, out);
    }

    fn too_long(&mut self, tag: Option<Vec<u8>>, out: &mut Output) {
        self.over = true;
        let tag = self.end_exchange().or(tag);
        // nginx logs all of the command, the password too.
        let shown = tag.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        out.notes.push(Note(format!("client sent too long command \"{shown}...\"")));
        reply(tag.as_deref().unwrap_or(NO_TAG), INVALID, out);
    }

    /// Ends an exchange that may be under way, and returns the tag of its command.
    fn end_exchange(&mut self) -> Option<Vec<u8>> {
        self.exchange.take().map(|_| self.tag.clone())
    }

    /// What STARTTLS has left to do.
    fn starttls(&self) -> StartTls {
        if self.encrypted { StartTls::Off } else { self.options.starttls }
    }
}

impl FrontEnd for Server {
    fn greet(&mut self, out: &mut Output) {
        out.bytes.extend_from_slice(GREETING);
    }

    fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    fn step(&mut self, out: &mut Output) -> Step {
        while !self.over {
            if let Some(step) = self.advance(out) {
                return step;
            }
        }
        Step::Close
    }

    fn reject(&mut self, rejection: &Rejection, out: &mut Output) {
        reply(&self.tag, &line::reply(&[b"NO ", &rejection.text]), out);
    }

    fn internal_error(&mut self, out: &mut Output) {
        self.over = true;
        out.bytes.extend_from_slice(INTERNAL_ERROR);
    }

    /// Errors and attempts count on.
    fn tls_started(&mut self) {
        self.encrypted = true;
        self.input.clear();
        self.reader = Reader::new();
        self.exchange = None;
        self.tag = Vec::new();
        self.user = Vec::new();
    }

    fn user(&self) -> &[u8] {
        &self.user
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}

impl Options {
    /// The answer to CAPABILITY, without the tagged line.
    fn write_capability(&self, starttls: StartTls, line: &mut Vec<u8>) {
        let mechanisms = [
            (self.auth.plain, "AUTH=PLAIN"),
            (self.auth.login, "AUTH=LOGIN"),
            (self.auth.cram_md5, "AUTH=CRAM-MD5"),
            (self.auth.external, "AUTH=EXTERNAL"),
        ];
        let offered = mechanisms.iter().filter(|(on, _)| *on && starttls != StartTls::Only).map(|(_, name)| *name);
        let encryption: &[&str] = match starttls {
            StartTls::Off => &[],
            StartTls::On => &["STARTTLS"],
            StartTls::Only => &["STARTTLS", "LOGINDISABLED"],
        };
        line.extend_from_slice(b"* CAPABILITY");
        for word in self.capabilities.iter().map(String::as_str).chain(offered).chain(encryption.iter().copied()) {
            line.push(b' ');
            line.extend_from_slice(word.as_bytes());
        }
        line.extend_from_slice(b"\r\n");
    }
}

fn reply(tag: &[u8], text: &[u8], out: &mut Output) {
    out.bytes.extend_from_slice(tag);
    out.bytes.push(b' ');
    out.bytes.extend_from_slice(text);
}
