//! The SMTP server that a client talks to before it is logged in, byte for byte as nginx 1.31 answers.
//!
//! Guarantees: at most `smtp_client_buffer` bytes are held; what follows STARTTLS in the same breath is dropped; each
//! attempt has its own credentials only; what an [`Attempt`] holds of HELO, MAIL and RCPT has no control byte but tabs.
//!
//! Deliberately unlike nginx: `starttls only` holds for MAIL and RCPT with `smtp_auth none` too, with the answer of
//! RFC 3207, section 4; the log line of a rejected command has that command only, and does not spoil those behind it.
//!
//! Known gap, and nginx's: PLAIN and LOGIN work whatever `smtp_auth` says.

use std::mem;
use std::sync::Arc;

use super::Options;
use super::command::{self, Command, Verb};
use crate::line::{self, Framed};
use crate::sasl::{self, Credentials, Exchange, Turn};
use crate::{
    Attempt, Dialogue, Envelope, FrontEnd, Input, Method, Note, Output, Refusal, Rejection, Secret, StartTls, Step,
    Tally,
};

const OK: &str = "250 2.0.0 OK\r\n";
const BYE: &str = "221 2.0.0 Bye\r\n";
const GO_AHEAD: &str = "220 2.0.0 Start TLS\r\n";
const INVALID: &str = "500 5.5.1 Invalid command\r\n";
const INVALID_ARGUMENT: &str = "501 5.5.4 Invalid argument\r\n";
const BAD_SEQUENCE: &str = "503 5.5.1 Bad sequence of commands\r\n";
const TOO_EARLY: &str = "503 5.5.0 Improper use of SMTP command pipelining\r\n";
const AUTH_REQUIRED: &str = "530 5.7.1 Authentication required\r\n";
const TLS_REQUIRED: &str = "530 5.7.0 Must issue a STARTTLS command first\r\n";
const INTERNAL_ERROR: &str = "451 4.3.2 Internal server error\r\n";
/// The code of a failed login, if the authentication server sends none.
const LOGIN_FAILED: &[u8] = b"535 5.7.0";

/// A [`FrontEnd`] for SMTP.
pub struct Server {
    options: Arc<Options>,
    salt: String,
    input: Input,
    state: State,
    secure: bool,
    helo: Option<Vec<u8>>,
    esmtp: bool,
    /// The MAIL command of a transaction without authentication.
    mail: Option<Vec<u8>>,
    tally: Tally,
    user: Vec<u8>,
}

#[derive(Default)]
enum State {
    #[default]
    Start,
    /// AUTH is under way.
    Exchange(Exchange),
    Closed,
}

/// What the server makes of a line. The state is set beforehand, except that a refusal goes back to the start.
enum Answer {
    Say(&'static str),
    Tell(String),
    /// The answer to EHLO.
    Extensions,
    Refuse(Option<Note>),
    /// The command is good, but may not be said here.
    Reject(&'static str),
    Attempt(Credentials),
    /// An attempt without credentials, with this RCPT.
    Envelope(Envelope),
    StartTls,
    Quit,
}

impl Server {
    /// A session that has not begun. `salt` is the challenge of CRAM-MD5, `<random.time@server_name>`.
    pub fn new(options: Arc<Options>, salt: String) -> Server {
        Server {
            input: Input::new(options.client_buffer),
            options,
            salt,
            state: State::Start,
            secure: false,
            helo: None,
            esmtp: false,
            mail: None,
            tally: Tally::default(),
            user: Vec::new(),
        }
    }

    /// Turns away a client that did not wait for the delayed greeting (`smtp_greeting_delay`), once what it sent has been
    /// pushed into the input. The session is over.
    pub fn reject_early(&mut self, out: &mut Output) {
        let sent = line::loggable(self.input.unread());
        out.notes.push(Note(format!("client was rejected before greeting: \"{sent}\"")));
        self.input.clear();
        self.close(TOO_EARLY, out);
    }

    /// Handles one line, and returns what the caller has to do, if anything.
    fn line(&mut self, line: &[u8], out: &mut Output) -> Option<Step> {
        let answer = match mem::take(&mut self.state) {
            State::Start => command::parse(line).map(|command| self.command(&command)),
            State::Exchange(exchange) => {
                line::response(line, command::MAX_ARGUMENTS).map(|response| self.turn(exchange.next(response)))
            }
            State::Closed => return Some(Step::Close),
        };
        match answer {
            Some(answer) => self.answer(answer, line, out),
            None => self.invalid_line(out),
        }
    }

    fn command(&mut self, command: &Command<'_>) -> Answer {
        match command.verb {
            Verb::Helo | Verb::Ehlo => self.helo(command),
            Verb::Auth => self.auth(&command.arguments),
            Verb::Mail => self.mail(command),
            Verb::Rcpt => self.rcpt(command),
            Verb::Quit => Answer::Quit,
            Verb::Noop => Answer::Say(OK),
            Verb::Rset => {
                self.mail = None;
                Answer::Say(OK)
            }
            Verb::StartTls if self.options.starttls != StartTls::Off && !self.secure => Answer::StartTls,
            Verb::StartTls | Verb::Other => Answer::Refuse(None),
        }
    }

    fn helo(&mut self, command: &Command<'_>) -> Answer {
        let [name] = command.arguments.as_slice() else {
            return Answer::Say(INVALID_ARGUMENT);
        };
        self.helo = Some(name.to_vec());
        self.mail = None;
        if command.verb == Verb::Helo {
            return Answer::Tell(format!("250 {}\r\n", self.options.server_name));
        }
        self.esmtp = true;
        Answer::Extensions
    }

    fn auth(&mut self, arguments: &[&[u8]]) -> Answer {
        if self.is_locked() {
            return Answer::Refuse(None);
        }
        if arguments.is_empty() {
            return Answer::Say(INVALID_ARGUMENT);
        }
        let turn = sasl::start(arguments, self.options.auth, &self.salt);
        self.turn(turn)
    }

    fn turn(&mut self, turn: Turn) -> Answer {
        match turn {
            Turn::Challenge { text, exchange } => {
                if let Some(user) = exchange.user() {
                    self.user = user.to_vec();
                }
                self.state = State::Exchange(exchange);
                Answer::Tell(format!("334 {text}\r\n"))
            }
            Turn::Finished(credentials) => Answer::Attempt(credentials),
            Turn::Refused(note) => Answer::Refuse(note),
        }
    }

    fn mail(&mut self, command: &Command<'_>) -> Answer {
        if !self.options.auth.none {
            return Answer::Reject(AUTH_REQUIRED);
        }
        if self.is_locked() {
            return Answer::Reject(TLS_REQUIRED);
        }
        if self.mail.is_some() {
            return Answer::Say(BAD_SEQUENCE);
        }
        if command.arguments.is_empty() {
            return Answer::Say(INVALID_ARGUMENT);
        }
        self.mail = Some(command.whole.to_vec());
        self.user.clear();
        Answer::Say(OK)
    }

    fn rcpt(&mut self, command: &Command<'_>) -> Answer {
        if self.options.auth.none && self.is_locked() {
            return Answer::Reject(TLS_REQUIRED);
        }
        match &self.mail {
            None => Answer::Say(BAD_SEQUENCE),
            Some(_) if command.arguments.is_empty() => Answer::Say(INVALID_ARGUMENT),
            Some(mail) => Answer::Envelope(Envelope { mail: mail.clone(), rcpt: command.whole.to_vec() }),
        }
    }

    fn answer(&mut self, answer: Answer, line: &[u8], out: &mut Output) -> Option<Step> {
        match answer {
            Answer::Say(text) => say(text, out),
            Answer::Tell(text) => say(&text, out),
            Answer::Extensions => self.say_extensions(out),
            Answer::Refuse(note) => {
                out.notes.extend(note);
                say(INVALID, out);
            }
            Answer::Reject(text) => {
                let command = line::loggable(&[line, b"\r\n"].concat());
                out.notes.push(Note(format!("client was rejected: \"{command}\"")));
                say(text, out);
            }
            Answer::Attempt(credentials) => return Some(self.authenticate(credentials, None)),
            Answer::Envelope(envelope) => {
                let nobody = Credentials { method: Method::None, user: Vec::new(), password: Secret::default() };
                return Some(self.authenticate(nobody, Some(envelope)));
            }
            Answer::StartTls => {
                self.input.clear();
                say(GO_AHEAD, out);
                return Some(Step::StartTls);
            }
            Answer::Quit => return Some(self.close(BYE, out)),
        }
        None
    }

    fn authenticate(&mut self, credentials: Credentials, envelope: Option<Envelope>) -> Step {
        let Credentials { method, user, password } = credentials;
        self.tally.attempts += 1;
        self.user.clone_from(&user);
        Step::Authenticate(Box::new(Attempt {
            method,
            user,
            password,
            salt: (method == Method::CramMd5).then(|| self.salt.clone()),
            number: self.tally.attempts,
            dialogue: Dialogue::Smtp { helo: self.helo.clone(), esmtp: self.esmtp, envelope },
        }))
    }

    /// Counts what the parser refused.
    fn invalid_line(&mut self, out: &mut Output) -> Option<Step> {
        self.tally.errors += 1;
        if self.tally.errors >= self.options.max_errors {
            out.notes.push(Note("client sent too many invalid commands".to_owned()));
            return Some(self.close(INVALID, out));
        }
        say(INVALID, out);
        None
    }

    fn close(&mut self, text: &str, out: &mut Output) -> Step {
        self.state = State::Closed;
        say(text, out);
        Step::Close
    }

    /// Whether STARTTLS must come first.
    fn is_locked(&self) -> bool {
        self.options.starttls == StartTls::Only && !self.secure
    }

    /// The answer to EHLO.
    fn say_extensions(&self, out: &mut Output) {
        let mut last = 0;
        let mut line = |text: &str| {
            last = out.bytes.len();
            say_all(&["250-", text, "\r\n"], out);
        };
        let starttls = if self.secure { StartTls::Off } else { self.options.starttls };
        line(&self.options.server_name);
        self.options.capabilities.iter().for_each(|capability| line(capability));
        let mut mechanisms = sasl::names(self.options.auth).peekable();
        if starttls != StartTls::Only && mechanisms.peek().is_some() {
            line(&mechanisms.fold("AUTH".to_owned(), |line, name| line + " " + name));
        }
        if starttls != StartTls::Off {
            line("STARTTLS");
        }
        out.bytes[last + "250".len()] = b' ';
    }
}

impl FrontEnd for Server {
    fn greet(&mut self, out: &mut Output) {
        say_all(&["220 ", &self.options.server_name, " ESMTP ready\r\n"], out);
    }

    fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    fn step(&mut self, out: &mut Output) -> Step {
        loop {
            if let State::Closed = self.state {
                return Step::Close;
            }
            let line = match line::take(&mut self.input) {
                Framed::Line(line) => line,
                Framed::Incomplete => return Step::Input,
                Framed::TooLong(note) => {
                    out.notes.push(note);
                    return self.close(INVALID, out);
                }
            };
            if self.tally.is_too_many(self.options.max_commands) {
                self.state = State::Closed;
                return Step::Refuse(Refusal::Commands);
            }
            if let Some(step) = self.line(&line, out) {
                return step;
            }
        }
    }

    fn reject(&mut self, rejection: &Rejection, out: &mut Output) {
        let code = rejection.code.as_deref().filter(|code| !code.is_empty()).unwrap_or(LOGIN_FAILED);
        out.bytes.extend(line::reply(&[code, b" ", &rejection.text]));
    }

    fn internal_error(&mut self, out: &mut Output) {
        self.close(INTERNAL_ERROR, out);
    }

    fn tls_started(&mut self) {
        self.secure = true;
        self.state = State::Start;
        self.input.clear();
        self.helo = None;
        self.mail = None;
        self.user.clear();
    }

    fn user(&self) -> &[u8] {
        &self.user
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}

fn say(text: &str, out: &mut Output) {
    out.bytes.extend_from_slice(text.as_bytes());
}

fn say_all(parts: &[&str], out: &mut Output) {
    parts.iter().for_each(|part| say(part, out));
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
