//! The clients that log in at mail servers, which are hostile here.
//!
//! An input is a byte that chooses the configuration, and five fields: user name, password (behind the canary), tag or
//! name in HELO, what the mail server says, and what it says once it is encrypted.

use gatepost_proto::{BackEnd, DialogueError, Envelope, Output, Progress, Secret, imap, pop3, printable, smtp};

use crate::canary::{self, CANARY};
use crate::held;
use crate::pieces::{Cut, Fields};
use crate::setup::Setup;

/// The login at an IMAP server.
pub fn imap(input: &[u8]) {
    let case = Case::new(input);
    let tag: Vec<u8> = case.name.iter().copied().filter(u8::is_ascii_alphanumeric).take(32).collect();
    let starttls = case.setup.upstream_starttls();
    let make = || {
        let buffer = case.setup.proxy_buffer();
        let client = imap::Client::new(tag.clone(), case.user.to_vec(), case.secret(), buffer);
        Ok(client.with_starttls(starttls))
    };
    let lengths = (case.user.len(), case.password.len());
    let login = [
        Expected::line(&[&tag, format!(" LOGIN {{{}}}", lengths.0).as_bytes()]),
        Expected::line(&[case.user, format!(" {{{}}}", lengths.1).as_bytes()]),
        Expected::line(&[&case.password]),
    ];
    let before = starttls.then(|| Expected::line(&[b"STARTTLS STARTTLS"]));
    case.check(make, before.as_slice(), &login);
}

/// The login at a POP3 server.
pub fn pop3(input: &[u8]) {
    let case = Case::new(input);
    let starttls = case.setup.upstream_starttls();
    let make = || {
        let client = pop3::Client::new(case.user, &case.secret(), case.setup.proxy_buffer());
        assert_eq!(client.is_ok(), is_speakable(case.user) && is_speakable(&case.password));
        client.map(|client| client.with_starttls(starttls))
    };
    let login = [Expected::line(&[b"USER ", case.user]), Expected::line(&[b"PASS ", &case.password])];
    let before = starttls.then(|| Expected::line(&[b"STLS"]));
    case.check(make, before.as_slice(), &login);
}

/// The login at an SMTP server. The name in HELO is a MAIL command too.
pub fn smtp(input: &[u8]) {
    let case = Case::new(input);
    let Case { setup, user, name, .. } = case;
    let envelope = (setup.0 & 0x80 != 0).then(|| Envelope { mail: name.to_vec(), rcpt: b"RCPT TO:<a>".to_vec() });
    let make = || {
        smtp::Client::new(smtp::Login {
            server_name: "mail.example".to_owned(),
            starttls: setup.upstream_starttls(),
            xclient: setup.xclient(),
            client_address: Some([192, 0, 2, 1].into()),
            client_host: String::from_utf8_lossy(name).into_owned(),
            user: user.to_vec(),
            password: Some(case.secret()),
            smtp_auth: setup.smtp_auth(),
            helo: Some(name.to_vec()),
            esmtp: true,
            envelope: envelope.clone(),
            buffer: setup.proxy_buffer(),
        })
    };
    let hello = Expected::line(&[b"EHLO mail.example"]);
    let mut login = vec![hello.clone()];
    if setup.xclient() {
        login.push(Expected { start: b"XCLIENT ADDR=192.0.2.1 ".to_vec(), is_whole: false });
        login.push(Expected::line(&[b"EHLO ", name]));
    }
    if envelope.is_some() {
        login.extend([Expected::line(&[name]), Expected::line(&[b"RCPT TO:<a>"])]);
    } else if setup.smtp_auth() {
        login.push(Expected { start: b"AUTH PLAIN ".to_vec(), is_whole: false });
    }
    let before = [hello, Expected::line(&[b"STARTTLS"])];
    case.check(make, if setup.upstream_starttls() { &before } else { &[] }, &login);
}

struct Case<'a> {
    setup: Setup,
    user: &'a [u8],
    password: Vec<u8>,
    name: &'a [u8],
    server: Server<'a>,
}

/// What a mail server says.
#[derive(Clone, Copy)]
pub(crate) struct Server<'a> {
    pub(crate) plain: &'a [u8],
    pub(crate) encrypted: &'a [u8],
    pub(crate) cut: Cut,
}

/// A line that is to be sent.
#[derive(Clone)]
struct Expected {
    start: Vec<u8>,
    is_whole: bool,
}

impl Expected {
    fn line(parts: &[&[u8]]) -> Expected {
        Expected { start: parts.concat(), is_whole: true }
    }

    fn is_met(&self, line: &[u8]) -> bool {
        if self.is_whole { line == self.start } else { line.starts_with(&self.start) && is_speakable(line) }
    }
}

impl<'a> Case<'a> {
    fn new(input: &'a [u8]) -> Case<'a> {
        let mut fields = Fields::new(input);
        let setup = Setup(fields.byte());
        let (user, password, name) = (fields.next(), [CANARY, fields.next()].concat(), fields.next());
        let server = Server { plain: fields.next(), encrypted: fields.next(), cut: Cut::ways(input)[0] };
        Case { setup, user, password, name, server }
    }

    fn secret(&self) -> Secret {
        Secret::from(self.password.as_slice())
    }

    /// Checks a login: `before` is said unencrypted, if TLS is to be started, and `login` thereafter.
    fn check<B: BackEnd>(&self, make: impl Fn() -> Result<B, DialogueError>, before: &[Expected], login: &[Expected]) {
        let Ok(mut client) = make() else { return };
        let server = self.server;
        let expected = log_in(&mut client, server);
        let said = [server.plain, &[0], server.encrypted].concat();
        for cut in Cut::ways(&said).into_iter().skip(1) {
            let session = log_in(&mut make().expect("it was made before"), Server { cut, ..server });
            assert_eq!(session.summary(), expected.summary(), "{cut:?} of {}", printable(&said));
        }
        let (plain, encrypted) = if before.is_empty() { (login, &[][..]) } else { (before, login) };
        check_commands(&expected.plain, plain);
        check_commands(&expected.encrypted, encrypted);
        let answered = |said: &[u8]| said.iter().filter(|byte| **byte == b'\n').count();
        assert!(answered(&expected.plain) <= answered(server.plain) + answered(server.encrypted));
        let joined = [server.plain, server.encrypted].concat();
        if ![self.user, self.name, &self.password[CANARY.len()..], &joined].iter().any(canary::is_in) {
            expected.check_secrecy();
        }
        let credentials = self.user.len() + self.password.len() + self.name.len();
        // XCLIENT has a user three times as long as it is, in a line that grew by doubling.
        held::at_most(2 * self.setup.proxy_buffer() + 8 * credentials, || {
            let mut client = make();
            client.iter_mut().for_each(|client| drop(log_in(client, Server { cut: Cut::Bytes, ..server })));
            client
        });
    }
}

/// Checks that what was sent are the first of these lines.
fn check_commands(sent: &[u8], expected: &[Expected]) {
    let lines: Vec<&[u8]> = sent.split_inclusive(|byte| *byte == b'\n').collect();
    assert!(lines.len() <= expected.len(), "too many commands: {}", printable(sent));
    for (line, expected) in lines.into_iter().zip(expected) {
        let text = line.strip_suffix(b"\r\n").expect("commands are whole lines");
        assert!(is_speakable(text) && expected.is_met(text), "not the command expected: {}", printable(line));
    }
}

/// Whether bytes can stand in one command line.
fn is_speakable(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// What came of a login.
pub(crate) struct LogIn {
    /// What was sent unencrypted.
    pub(crate) plain: Vec<u8>,
    /// What was sent encrypted.
    pub(crate) encrypted: Vec<u8>,
    /// How it ended. After the login it has all that the mail server said for the client.
    pub(crate) end: Result<Progress, DialogueError>,
    notes: Vec<gatepost_proto::Note>,
}

impl LogIn {
    /// All that does not depend on the pieces: of a refusal, how much of it was read does.
    pub(crate) fn summary(&self) -> String {
        let end = match &self.end {
            Err(DialogueError::Refused { .. }) => "refused".to_owned(),
            Err(DialogueError::NoStartTls { .. }) => "no STARTTLS".to_owned(),
            Err(DialogueError::TooLong { .. }) => "too long".to_owned(),
            end => format!("{end:?}"),
        };
        format!("{} [tls] {} {end}", printable(&self.plain), printable(&self.encrypted))
    }

    fn check_secrecy(&self) {
        canary::check_notes(&self.notes);
        if let Err(error) = &self.end {
            assert!(!canary::is_in(format!("{error} {error:?}")), "the password is in {error:?}");
        }
        if let Ok(Progress::Done { to_client }) = &self.end {
            assert!(!canary::is_in(to_client), "the client is told the password");
        }
    }
}

/// Gives a client all that a mail server says, in pieces.
pub(crate) fn log_in(client: &mut dyn BackEnd, server: Server<'_>) -> LogIn {
    let mut session = LogIn { plain: Vec::new(), encrypted: Vec::new(), end: Ok(Progress::More), notes: Vec::new() };
    session.receive(client, &server.cut.pieces(server.plain), false);
    let is_encrypted = session.end == Ok(Progress::StartTls);
    if is_encrypted {
        let mut out = Output::default();
        client.tls_started(&mut out);
        session.take(out, true);
        session.end = Ok(Progress::More);
    }
    session.receive(client, &server.cut.pieces(server.encrypted), is_encrypted);
    session
}

impl LogIn {
    fn receive(&mut self, client: &mut dyn BackEnd, pieces: &[&[u8]], is_encrypted: bool) {
        for piece in pieces {
            match &mut self.end {
                Err(_) => return,
                // The caller moves it on by itself.
                Ok(Progress::Done { to_client }) => to_client.extend_from_slice(piece),
                Ok(Progress::More | Progress::StartTls) => {
                    let mut out = Output::default();
                    self.end = client.receive(piece, &mut out);
                    self.take(out, is_encrypted);
                }
            }
        }
    }

    fn take(&mut self, mut out: Output, is_encrypted: bool) {
        if is_encrypted { &mut self.encrypted } else { &mut self.plain }.append(&mut out.bytes);
        self.notes.append(&mut out.notes);
    }
}
