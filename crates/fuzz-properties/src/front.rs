//! The servers that mail clients talk to before they are logged in.
//!
//! An input is a byte that chooses the configuration, and what the client says; behind a divider, what it says once it
//! is encrypted. Each attempt to log in is refused.

use gatepost_proto::{Attempt, FrontEnd, Method, Note, Output, Rejection, Step, imap, pop3, printable, smtp};

use crate::canary;
use crate::held;
use crate::pieces::{Cut, DIVIDER, Fields};
use crate::setup::{POP3_BUDGET, SALT, Setup};

/// IMAP: `imap::Server` and the grammar of commands.
pub fn imap(input: &[u8]) {
    let setup = Setup(Fields::new(input).byte());
    let options = setup.imap();
    let make = || imap::Server::new(options.clone(), SALT.to_owned());
    check(input, setup.client_buffer(), make, |_| true);
}

/// POP3: `pop3::Server` and the grammar of commands.
pub fn pop3(input: &[u8]) {
    let options = Setup(Fields::new(input).byte()).pop3();
    let make = || pop3::Server::new(options.clone(), SALT.to_owned());
    check(input, POP3_BUDGET, make, |_| true);
}

/// SMTP: `smtp::Server` and the grammar of commands.
pub fn smtp(input: &[u8]) {
    let setup = Setup(Fields::new(input).byte());
    let options = setup.smtp();
    let make = || smtp::Server::new(options.clone(), SALT.to_owned());
    check(input, setup.client_buffer(), make, is_smtp_reply);
}

/// RFC 5321, section 4.2.
fn is_smtp_reply(line: &[u8]) -> bool {
    matches!(line, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..])
}

/// What came of a conversation.
#[derive(Default)]
pub(crate) struct Record {
    /// What the client was told, with `[..]` for everything else that happened.
    pub(crate) script: String,
    /// All that the client was told.
    pub(crate) said: Vec<u8>,
    pub(crate) notes: Vec<Note>,
    pub(crate) attempts: Vec<Attempt>,
    /// How many attempts there were before TLS was started, if it was.
    plain_attempts: Option<usize>,
}

impl Record {
    /// Takes what a machine put out.
    pub(crate) fn take(&mut self, out: &mut Output) {
        assert!(out.bytes.is_empty() || out.bytes.ends_with(b"\r\n"), "replies are whole lines");
        self.script.push_str(&String::from_utf8_lossy(&out.bytes));
        self.said.append(&mut out.bytes);
        self.notes.append(&mut out.notes);
    }
}

fn check<F: FrontEnd>(input: &[u8], budget: usize, make: impl Fn() -> F, is_reply: fn(&[u8]) -> bool) {
    let mut fields = Fields::new(input);
    fields.byte();
    let said = fields.rest();
    let [first, others @ ..] = Cut::ways(input);
    let expected = converse(&mut make(), said, first, &mut refuse);
    for cut in others {
        let script = converse(&mut make(), said, cut, &mut refuse).script;
        assert_eq!(script, expected.script, "{cut:?} of {}", printable(said));
    }
    for line in expected.said.split_inclusive(|byte| *byte == b'\n') {
        assert!(line.ends_with(b"\r\n") && is_reply(line), "not a reply: {}", printable(line));
    }
    for attempt in &expected.attempts {
        check_attempt(attempt);
    }
    canary::check_front(said, &expected.attempts, &expected.said, &expected.notes);
    let parts: Vec<&[u8]> = said.split(|byte| *byte == DIVIDER).collect();
    if let ([plain, encrypted @ ..], Some(plain_attempts)) = (&parts[..], expected.plain_attempts) {
        canary::check_forgotten(plain, &encrypted.concat(), &expected.attempts[plain_attempts..]);
    }
    // The input itself, the user, a name that waits for its password, and SMTP's HELO and MAIL.
    held::at_most(5 * budget, || {
        let mut front = make();
        converse(&mut front, said, first, &mut refuse);
        front
    });
}

/// What is done about an attempt.
pub(crate) enum Verdict {
    /// The client was told, and goes on.
    Refused,
    /// The client was told, and that was all.
    Over,
    /// What the client says from here on is not for the front end.
    LoggedIn,
}

/// Finds out about an attempt.
pub(crate) type Judge<'a> = &'a mut dyn FnMut(&mut dyn FrontEnd, &Attempt, &mut Record) -> Verdict;

fn refuse(front: &mut dyn FrontEnd, _: &Attempt, record: &mut Record) -> Verdict {
    let mut out = Output::default();
    front.reject(&Rejection { text: b"no".to_vec(), code: None }, &mut out);
    record.take(&mut out);
    Verdict::Refused
}

/// Gives a front end all that a client says, in pieces.
pub(crate) fn converse(front: &mut dyn FrontEnd, said: &[u8], cut: Cut, judge: Judge<'_>) -> Record {
    let mut record = Record::default();
    let mut out = Output::default();
    front.greet(&mut out);
    record.take(&mut out);
    let mut state = Fed::Used;
    for part in said.split(|byte| *byte == DIVIDER) {
        for piece in cut.pieces(part) {
            state = match state {
                Fed::Used => feed(front, piece, &mut record, judge),
                Fed::LoggedIn(mut rest) => {
                    rest.extend_from_slice(piece);
                    Fed::LoggedIn(rest)
                }
                Fed::StartTls | Fed::Over => state,
            };
        }
        if let Fed::StartTls = state {
            state = Fed::Used;
        }
    }
    let end = match state {
        Fed::Used | Fed::StartTls => format!("[rest: {}]", printable(front.input().unread())),
        Fed::LoggedIn(rest) => format!("[to upstream: {}]", printable(&rest)),
        Fed::Over => "[close]".to_owned(),
    };
    record.script.push_str(&format!("{end}[notes: {:?}]", record.notes));
    record
}

enum Fed {
    Used,
    /// What else was sent unencrypted is not to be looked at.
    StartTls,
    Over,
    /// This is the mail server's.
    LoggedIn(Vec<u8>),
}

/// Gives a front end a piece, as far as there is room at a time.
fn feed(front: &mut dyn FrontEnd, mut piece: &[u8], record: &mut Record, judge: Judge<'_>) -> Fed {
    while !piece.is_empty() {
        let (now, later) = piece.split_at(piece.len().min(front.input().space()));
        assert!(!now.is_empty(), "it asks for input and has no room");
        front.input().push(now);
        piece = later;
        match answer(front, record, judge) {
            Fed::Used => {}
            Fed::LoggedIn(mut rest) => {
                rest.extend_from_slice(piece);
                return Fed::LoggedIn(rest);
            }
            end => return end,
        }
    }
    Fed::Used
}

/// Steps until input is needed.
fn answer(front: &mut dyn FrontEnd, record: &mut Record, judge: Judge<'_>) -> Fed {
    let mut out = Output::default();
    loop {
        let step = front.step(&mut out);
        record.take(&mut out);
        match step {
            Step::Input => return Fed::Used,
            Step::StartTls => {
                assert!(front.input().unread().is_empty(), "what was sent before TLS is still there");
                front.tls_started();
                record.script.push_str("[tls]");
                record.plain_attempts = Some(record.attempts.len());
                return Fed::StartTls;
            }
            Step::Authenticate(attempt) => {
                record.script.push_str(&format!("[{attempt:?} {:?}]", attempt.password.expose()));
                let verdict = judge(front, &attempt, record);
                record.attempts.push(*attempt);
                match verdict {
                    Verdict::Refused => {}
                    Verdict::Over => return Fed::Over,
                    Verdict::LoggedIn => return Fed::LoggedIn(front.input().take()),
                }
            }
            Step::Close => return Fed::Over,
            Step::Refuse(refusal) => {
                record.script.push_str(&format!("[{refusal:?}]"));
                return Fed::Over;
            }
        }
    }
}

/// Checks what every attempt promises.
pub(crate) fn check_attempt(attempt: &Attempt) {
    let Attempt { method, user, password, salt, .. } = attempt;
    for bytes in [user, password.expose()] {
        assert!(!bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "a line end or NUL in {attempt:?}");
    }
    let is_challenged = matches!(method, Method::Apop | Method::CramMd5);
    assert_eq!(salt.is_some(), is_challenged, "{attempt:?}");
    let is_without_password = matches!(method, Method::External | Method::None);
    assert!(!is_without_password || password.is_empty(), "{attempt:?}");
}
