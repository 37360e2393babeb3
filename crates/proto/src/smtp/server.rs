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
use crate::{Attempt, Dialogue, Envelope, FrontEnd, Input, Method, Note, Output, Rejection, Secret, StartTls, Step};

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
    errors: u32,
    attempts: u32,
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
            errors: 0,
            attempts: 0,
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
        Answer::Tell(self.extensions())
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
        self.attempts += 1;
        self.user.clone_from(&user);
        Step::Authenticate(Box::new(Attempt {
            method,
            user,
            password,
            salt: (method == Method::CramMd5).then(|| self.salt.clone()),
            number: self.attempts,
            dialogue: Dialogue::Smtp { helo: self.helo.clone(), esmtp: self.esmtp, envelope },
        }))
    }

    /// Counts what the parser refused.
    fn invalid_line(&mut self, out: &mut Output) -> Option<Step> {
        self.errors += 1;
        if self.errors >= self.options.max_errors {
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
    fn extensions(&self) -> String {
        let starttls = if self.secure { StartTls::Off } else { self.options.starttls };
        let mut lines = vec![self.options.server_name.clone()];
        lines.extend(self.options.capabilities.iter().cloned());
        let mut mechanisms = sasl::names(self.options.auth).peekable();
        if starttls != StartTls::Only && mechanisms.peek().is_some() {
            lines.push(mechanisms.fold("AUTH".to_owned(), |line, name| line + " " + name));
        }
        if starttls != StartTls::Off {
            lines.push("STARTTLS".to_owned());
        }
        let last = lines.len() - 1;
        let numbered = lines.iter().enumerate();
        numbered.map(|(at, line)| format!("250{}{line}\r\n", if at < last { '-' } else { ' ' })).collect()
    }
}

impl FrontEnd for Server {
    fn greet(&mut self, out: &mut Output) {
        say(&format!("220 {} ESMTP ready\r\n", self.options.server_name), out);
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
}

fn say(text: &str, out: &mut Output) {
    out.bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mechanisms;
    use crate::testing::{check_front, converse, fuzz_front};

    const GREETING: &str = "220 mail ESMTP ready\r\n";
    const REJECTED: &str = "535 5.7.0 no\r\n";

    fn options() -> Options {
        Options {
            server_name: "mail".to_owned(),
            capabilities: vec!["SIZE 10".to_owned(), "DSN".to_owned()],
            auth: Mechanisms { apop: false, ..ALL },
            client_buffer: 64,
            max_errors: 3,
            starttls: StartTls::Off,
        }
    }

    const ALL: Mechanisms =
        Mechanisms { plain: true, login: true, apop: true, cram_md5: true, external: true, none: true };

    fn server(options: &Options) -> Server {
        Server::new(Arc::new(options.clone()), "<1.2@mail>".to_owned())
    }

    /// In what is expected, `500` and the like at the beginning of a line stand for the whole answer.
    fn check(options: &Options, cases: &[(&str, &[&str])]) {
        for (input, expected) in cases {
            let expected: String = expected.iter().map(|reply| whole(reply)).collect();
            check_front(|| server(options), input.as_bytes(), &format!("{GREETING}{expected}"));
        }
    }

    fn whole(reply: &str) -> String {
        let line = match reply {
            "250" => OK,
            "500" => INVALID,
            "501" => INVALID_ARGUMENT,
            "503" => BAD_SEQUENCE,
            "530" => AUTH_REQUIRED,
            "530 tls" => TLS_REQUIRED,
            "535" => REJECTED,
            _ => return reply.to_owned(),
        };
        line.to_owned()
    }

    #[test]
    fn commands_are_answered_as_by_nginx() {
        check(
            &options(),
            &[
                ("QUIT\r\nNOOP\r\n", &["221 2.0.0 Bye\r\n[close]"]),
                ("noop a b\nRSET x\r\nquit\n", &["250", "250", "221 2.0.0 Bye\r\n[close]"]),
                ("HELO c\r\nhelo \r\nHELO a b\r\nNO", &["250 mail\r\n", "501", "501", "[rest: NO]"]),
                ("EHLO\r\n", &["501"]),
                ("VRFY a\r\nEXPN\r\nHELP\r\nSTARTTLS\r\nNOOP\r\n", &["500", "500", "500", "500", "250"]),
                (
                    "DATA\r\nNO\0P\r\nNOOP\r\r\nNOOP\r\n",
                    &["500", "500", "500", "[close][note: client sent too many invalid commands]"],
                ),
            ],
        );
    }

    #[test]
    fn extensions_are_composed_as_in_nginx() {
        let none = Mechanisms { none: true, ..Mechanisms::default() };
        let default = Mechanisms { plain: true, login: true, ..Mechanisms::default() };
        let capabilities = || options().capabilities;
        let cases: [(StartTls, Mechanisms, Vec<String>, &[&str]); 7] = [
            (StartTls::Off, none, vec![], &["250 mail"]),
            (StartTls::Off, none, capabilities(), &["250-mail", "250-SIZE 10", "250 DSN"]),
            (StartTls::Off, default, vec![], &["250-mail", "250 AUTH PLAIN LOGIN"]),
            (StartTls::Off, ALL, vec![], &["250-mail", "250 AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL"]),
            (StartTls::On, none, vec![], &["250-mail", "250 STARTTLS"]),
            (
                StartTls::On,
                default,
                capabilities(),
                &["250-mail", "250-SIZE 10", "250-DSN", "250-AUTH PLAIN LOGIN", "250 STARTTLS"],
            ),
            (StartTls::Only, default, capabilities(), &["250-mail", "250-SIZE 10", "250-DSN", "250 STARTTLS"]),
        ];
        for (starttls, auth, capabilities, lines) in cases {
            let options = Options { starttls, auth, capabilities, ..options() };
            let script = converse(&mut server(&options), &[b"EHLO c\r\n"]);
            assert_eq!(script, format!("{GREETING}{}\r\n", lines.join("\r\n")));
        }
    }

    #[test]
    fn sasl_exchanges_go_as_in_nginx() {
        let cram = "AUTH CRAM-MD5\r\ndSAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA==\r\nNOOP\r\n";
        let bad_base64 = "[note: client sent invalid base64 encoding in AUTH PLAIN command]";
        check(
            &options(),
            &[
                ("AUTH\r\nAUTH FOO\r\nAUTH PLAIN a b\r\nAUTH CRAM-MD5 dQ==\r\n", &["501", "500", "500", "500"]),
                ("AUTH PLAIN\r\nAHUAcA==\r\n", &["334 \r\n[auth: 1 plain u p]", "535"]),
                (
                    "HELO c\r\nauth plain AHUAcA==\r\nAUTH PLAIN AHUAcA==\r\n",
                    &["250 mail\r\n[auth: 1 plain u p HELO c]", "535", "[auth: 2 plain u p HELO c]", "535"],
                ),
                ("AUTH PLAIN\r\n*\r\nNOOP\r\n", &["334 \r\n", "500", "250", bad_base64]),
                (
                    "AUTH LOGIN\r\ndQ==\r\ncA==\r\n",
                    &["334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n[auth: 1 plain u p]", "535"],
                ),
                ("AUTH LOGIN dQ==\r\n\r\n", &["334 UGFzc3dvcmQ6\r\n[auth: 1 plain u ]", "535"]),
                (
                    cram,
                    &[
                        "334 PDEuMkBtYWlsPg==\r\n",
                        "[auth: 1 cram-md5 u 00000000000000000000000000000000 <1.2@mail>]",
                        "535",
                        "250",
                    ],
                ),
                ("AUTH EXTERNAL\r\ndQ==\r\n", &["334 VXNlcm5hbWU6\r\n[auth: 1 external u ]", "535"]),
                ("AUTH EXTERNAL dQ==\r\n", &["[auth: 1 external u ]", "535"]),
            ],
        );
    }

    #[test]
    fn a_mechanism_that_is_off_is_refused() {
        let auth = Mechanisms { plain: true, ..Mechanisms::default() };
        let options = Options { auth, ..options() };
        check(&options, &[("AUTH EXTERNAL\r\nAUTH EXTERNAL dQ==\r\nAUTH CRAM-MD5\r\n", &["500", "500", "500"])]);
    }

    #[test]
    fn a_transaction_may_do_without_authentication() {
        check(
            &options(),
            &[
                (
                    "RCPT TO:<b>\r\nMAIL\r\nMAIL FROM:<a>\r\nMAIL FROM:<a>\r\nRCPT\r\n",
                    &["503", "501", "250", "503", "501"],
                ),
                (
                    "EHLO c\r\nMAIL  FROM:<a b>  SIZE=1 \r\nRCPT TO:<b>\r\n",
                    &[
                        "250-mail\r\n250-SIZE 10\r\n250-DSN\r\n250 AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL\r\n",
                        "250",
                        "[auth: 1 none   EHLO c MAIL  FROM:<a b>  SIZE=1 RCPT TO:<b>]",
                        "535",
                    ],
                ),
                ("MAIL FROM:<a>\r\nHELO c\r\nRCPT TO:<b>\r\n", &["250", "250 mail\r\n", "503"]),
                ("MAIL FROM:<a>\r\nRSET\r\nRCPT TO:<b>\r\n", &["250", "250", "503"]),
            ],
        );
    }

    #[test]
    fn an_attempt_has_nothing_of_an_earlier_one() {
        check(
            &options(),
            &[(
                "AUTH PLAIN AHUAcA==\r\nMAIL a\r\nRCPT b\r\nRCPT c\r\nAUTH EXTERNAL dg==\r\n",
                &[
                    "[auth: 1 plain u p]",
                    "535",
                    "250",
                    "[auth: 2 none   MAIL a RCPT b]",
                    "535",
                    "[auth: 3 none   MAIL a RCPT c]",
                    "535",
                    "[auth: 4 external v ]",
                    "535",
                ],
            )],
        );
    }

    #[test]
    fn mail_needs_authentication_if_not_told_otherwise() {
        let options = Options { auth: Mechanisms { none: false, ..ALL }, ..options() };
        let note = "[note: client was rejected: \"MAIL FROM:<a>__\"]";
        check(&options, &[("MAIL FROM:<a>\r\nRCPT TO:<b>\r\nNOOP\r\n", &["530", "503", "250", note])]);
    }

    #[test]
    fn starttls_only_locks_every_way_in() {
        let options = Options { starttls: StartTls::Only, ..options() };
        let notes = "[note: client was rejected: \"MAIL a__\"][note: client was rejected: \"RCPT b__\"]";
        check(
            &options,
            &[("AUTH\r\nAUTH PLAIN AHUAcA==\r\nMAIL a\r\nRCPT b\r\n", &["500", "500", "530 tls", "530 tls", notes])],
        );
        let mut inside = server(&options);
        inside.tls_started();
        let script = converse(&mut inside, &[b"MAIL a\r\nRCPT b\r\n"]);
        assert_eq!(script, format!("{GREETING}{OK}[auth: 1 none   MAIL a RCPT b]{REJECTED}"));
    }

    #[test]
    fn nothing_said_before_tls_is_left_after_it() {
        let options = Options { starttls: StartTls::On, ..options() };
        let first = b"HELO c\r\nMAIL a\r\nSTARTTLS\r\nNOOP\r\n";
        let script = converse(&mut server(&options), &[first, b"STARTTLS\r\nRCPT b\r\nAUTH PLAIN AHUAcA==\r\n"]);
        let expected = ["250 mail\r\n", "250", GO_AHEAD, "[tls]", "500", "503", "[auth: 1 plain u p]", "535"];
        assert_eq!(script, format!("{GREETING}{}", expected.map(whole).concat()));
    }

    #[test]
    fn a_command_has_a_budget() {
        let command = |length| format!("NOOP\r\nNOOP {}\r\n", "x".repeat(length - "NOOP \r\n".len()));
        let long = "[close][note: client sent too long command \"NOOP...\"]";
        let closed = format!("{GREETING}{OK}{INVALID}{long}");
        check_front(|| server(&options()), command(64).as_bytes(), &format!("{GREETING}{OK}{OK}"));
        check_front(|| server(&options()), command(65).as_bytes(), &closed);
    }

    #[test]
    fn a_refusal_has_the_code_of_the_authentication_server() {
        let cases: [(Option<&[u8]>, &[u8], &[u8]); 3] = [
            (None, b"no", b"535 5.7.0 no\r\n"),
            (Some(b"454 4.7.0"), b"later\r\n250 ok", b"454 4.7.0 later  250 ok\r\n"),
            (Some(b""), b"", b"535 5.7.0 \r\n"),
        ];
        for (code, text, expected) in cases {
            let mut out = Output::default();
            let rejection = Rejection { text: text.to_vec(), code: code.map(<[u8]>::to_vec) };
            server(&options()).reject(&rejection, &mut out);
            assert_eq!(out.bytes, expected);
        }
    }

    #[test]
    fn who_speaks_before_the_greeting_is_turned_away() {
        let mut server = server(&options());
        let mut out = Output::default();
        server.input().push(b"HELO c\r\nMAIL");
        server.reject_early(&mut out);
        assert_eq!(out.bytes, TOO_EARLY.as_bytes());
        assert_eq!(out.notes, [Note("client was rejected before greeting: \"HELO c__MAIL\"".to_owned())]);
        assert!(matches!(server.step(&mut out), Step::Close));
    }

    #[test]
    fn after_an_internal_error_the_session_is_over() {
        let mut server = server(&options());
        let mut out = Output::default();
        server.input().push(b"NOOP\r\n");
        server.internal_error(&mut out);
        assert!(matches!(server.step(&mut out), Step::Close));
        assert_eq!(out.bytes, INTERNAL_ERROR.as_bytes());
    }

    #[test]
    fn any_input_is_answered_the_same_in_any_pieces() {
        let words: &[&[u8]] = &[
            b"EHLO",
            b"HELO",
            b"MAIL",
            b"RCPT",
            b"AUTH",
            b"RSET",
            b"VRFY",
            b"quit",
            b" ",
            b" ",
            b"\r\n",
            b"\r\n",
            b"\n",
            b"\r",
            b"\0",
            b"u",
            b"PLAIN",
            b"LOGIN",
            b"CRAM-MD5",
            b"EXTERNAL",
            b"dQ==",
            b"AHUAcA==",
            b"*",
            b"\xff",
        ];
        fuzz_front(|| server(&Options { max_errors: 20, ..options() }), words);
    }
}
