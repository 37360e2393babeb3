//! The POP3 server that a client talks to before it is logged in, byte for byte as nginx 1.31 answers.
//!
//! Guarantees: at most [`BUDGET`] bytes are held; what follows STLS in the same breath is dropped; a refused command
//! forgets the user; each attempt has its own credentials only.
//!
//! Known gap, and nginx's: PLAIN, LOGIN, USER and PASS work whatever `pop3_auth` says.

use std::mem;
use std::sync::Arc;

use super::Options;
use super::command::{self, Command, Verb};
use crate::line::{self, Framed};
use crate::sasl::{self, Credentials, Exchange, Turn};
use crate::{
    Attempt, Dialogue, FrontEnd, Input, Mechanisms, Method, Note, Output, Refusal, Rejection, Secret, StartTls, Step,
    Tally,
};

/// The longest command, bytes. nginx has 128, where no OAuth token and hardly a CRAM-MD5 response fit.
const BUDGET: usize = 4096;

const OK: &str = "+OK\r\n";
const INVALID: &str = "-ERR invalid command\r\n";

/// A [`FrontEnd`] for POP3.
pub struct Server {
    options: Arc<Options>,
    salt: String,
    input: Input,
    state: State,
    secure: bool,
    tally: Tally,
    user: Vec<u8>,
}

#[derive(Default)]
enum State {
    #[default]
    Start,
    /// USER was said.
    User(Vec<u8>),
    /// AUTH is under way.
    Exchange(Exchange),
    Closed,
}

/// What the server makes of a line. The state is set beforehand, except that a refusal goes back to the start.
enum Answer {
    Say(String),
    Refuse(Option<Note>),
    Attempt(Credentials),
    StartTls,
    Quit,
}

impl Server {
    /// A session that has not begun. `salt` is the challenge of APOP and CRAM-MD5, `<random.time@server_name>`.
    pub fn new(options: Arc<Options>, salt: String) -> Server {
        Server {
            options,
            salt,
            input: Input::new(BUDGET),
            state: State::Start,
            secure: false,
            tally: Tally::default(),
            user: Vec::new(),
        }
    }

    /// The challenge that the greeting tells, if it tells one.
    pub fn challenge(&self) -> Option<&str> {
        let auth = self.options.auth;
        (auth.apop || auth.cram_md5).then_some(&*self.salt)
    }

    /// Handles one line, and returns what the caller has to do, if anything.
    fn line(&mut self, line: &[u8], out: &mut Output) -> Option<Step> {
        let answer = match mem::take(&mut self.state) {
            State::Start => command::parse(line).map(|command| self.start(&command)),
            State::User(user) => command::parse(line).map(|command| self.user_given(user, &command)),
            State::Exchange(exchange) => {
                line::response(line, command::MAX_ARGUMENTS).map(|response| self.turn(exchange.next(response)))
            }
            State::Closed => return Some(Step::Close),
        };
        match answer {
            Some(answer) => self.answer(answer, out),
            None => {
                self.invalid_line(out);
                None
            }
        }
    }

    fn start(&mut self, command: &Command<'_>) -> Answer {
        let locked = self.options.starttls == StartTls::Only && !self.secure;
        match (command.verb, command.arguments.as_slice()) {
            (Verb::Quit, _) => Answer::Quit,
            (Verb::Noop, _) => Answer::Say(OK.to_owned()),
            (Verb::Capa, _) => Answer::Say(self.capabilities(true)),
            (Verb::Stls, _) if self.options.starttls != StartTls::Off && !self.secure => Answer::StartTls,
            (Verb::User, [user]) if !locked => {
                self.user = user.to_vec();
                self.state = State::User(user.to_vec());
                Answer::Say(OK.to_owned())
            }
            (Verb::Apop, [user, digest]) if !locked && self.options.auth.apop => attempt(Method::Apop, user, digest),
            (Verb::Auth, []) if !locked => Answer::Say(self.mechanisms()),
            (Verb::Auth, arguments) if !locked => {
                let turn = sasl::start(arguments, self.options.auth, &self.salt);
                self.turn(turn)
            }
            _ => Answer::Refuse(None),
        }
    }

    fn user_given(&mut self, user: Vec<u8>, command: &Command<'_>) -> Answer {
        let answer = match (command.verb, command.arguments.as_slice()) {
            (Verb::Pass, [password]) => return attempt(Method::Plain, &user, password),
            (Verb::Quit, _) => return Answer::Quit,
            (Verb::Noop, _) => Answer::Say(OK.to_owned()),
            (Verb::Capa, _) => Answer::Say(self.capabilities(false)),
            _ => return Answer::Refuse(None),
        };
        self.state = State::User(user);
        answer
    }

    fn turn(&mut self, turn: Turn) -> Answer {
        match turn {
            Turn::Challenge { text, exchange } => {
                if let Some(user) = exchange.user() {
                    self.user = user.to_vec();
                }
                self.state = State::Exchange(exchange);
                Answer::Say(format!("+ {text}\r\n"))
            }
            Turn::Finished(credentials) => Answer::Attempt(credentials),
            Turn::Refused(note) => Answer::Refuse(note),
        }
    }

    fn answer(&mut self, answer: Answer, out: &mut Output) -> Option<Step> {
        match answer {
            Answer::Say(text) => {
                out.bytes.extend_from_slice(text.as_bytes());
                None
            }
            Answer::Refuse(note) => {
                out.notes.extend(note);
                out.bytes.extend_from_slice(INVALID.as_bytes());
                None
            }
            Answer::Attempt(credentials) => Some(Step::Authenticate(Box::new(self.attempt(credentials)))),
            Answer::StartTls => {
                self.input.clear();
                out.bytes.extend_from_slice(OK.as_bytes());
                Some(Step::StartTls)
            }
            Answer::Quit => {
                self.state = State::Closed;
                out.bytes.extend_from_slice(OK.as_bytes());
                Some(Step::Close)
            }
        }
    }

    fn attempt(&mut self, Credentials { method, user, password }: Credentials) -> Attempt {
        self.tally.attempts += 1;
        self.user.clone_from(&user);
        let salt = matches!(method, Method::Apop | Method::CramMd5).then(|| self.salt.clone());
        Attempt { method, user, password, salt, number: self.tally.attempts, dialogue: Dialogue::Pop3 }
    }

    /// Counts what the parser refused.
    fn invalid_line(&mut self, out: &mut Output) {
        self.tally.errors += 1;
        out.bytes.extend_from_slice(INVALID.as_bytes());
        if self.tally.errors >= self.options.max_errors {
            out.notes.push(Note("client sent too many invalid commands".to_owned()));
            self.state = State::Closed;
        }
    }

    /// The answer to CAPA, which tells of STLS only where it is `allowed`.
    fn capabilities(&self, allowed: bool) -> String {
        let stls = if allowed && !self.secure { self.options.starttls } else { StartTls::Off };
        let mut text = String::from("+OK Capability list follows\r\n");
        for capability in &self.options.capabilities {
            if stls != StartTls::Only || !capability.eq_ignore_ascii_case("USER") {
                text.extend([capability, "\r\n"]);
            }
        }
        if stls != StartTls::Only {
            text.push_str("SASL");
            text.extend(self.sasl_names().flat_map(|name| [" ", name]));
            text.push_str("\r\n");
        }
        if stls != StartTls::Off {
            text.push_str("STLS\r\n");
        }
        text.push_str(".\r\n");
        text
    }

    /// The answer to AUTH alone.
    fn mechanisms(&self) -> String {
        let mut text = String::from("+OK methods supported:\r\n");
        text.extend(self.sasl_names().flat_map(|name| [name, "\r\n"]));
        text.push_str(".\r\n");
        text
    }

    /// `plain` stands for LOGIN too.
    fn sasl_names(&self) -> impl Iterator<Item = &'static str> {
        let auth = self.options.auth;
        sasl::names(Mechanisms { login: auth.login || auth.plain, ..auth })
    }
}

impl FrontEnd for Server {
    fn greet(&mut self, out: &mut Output) {
        out.bytes.extend_from_slice(b"+OK POP3 ready");
        if let Some(challenge) = self.challenge() {
            out.bytes.push(b' ');
            out.bytes.extend_from_slice(challenge.as_bytes());
        }
        out.bytes.extend_from_slice(b"\r\n");
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
                    out.bytes.extend_from_slice(INVALID.as_bytes());
                    self.state = State::Closed;
                    return Step::Close;
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
        out.bytes.extend(line::reply(&[b"-ERR ", &rejection.text]));
    }

    fn internal_error(&mut self, out: &mut Output) {
        out.bytes.extend_from_slice(b"-ERR internal server error\r\n");
        self.state = State::Closed;
    }

    fn tls_started(&mut self) {
        self.secure = true;
        self.state = State::Start;
        self.input.clear();
        self.user.clear();
    }

    fn user(&self) -> &[u8] {
        &self.user
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}

fn attempt(method: Method, user: &[u8], password: &[u8]) -> Answer {
    match Credentials::new(method, user.to_vec(), Secret::from(password)) {
        Ok(credentials) => Answer::Attempt(credentials),
        Err(note) => Answer::Refuse(Some(note)),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
