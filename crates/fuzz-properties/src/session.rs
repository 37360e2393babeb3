//! A whole session up to its login: client, authentication server and mail server, all of them hostile.
//!
//! An input is a byte that chooses the configuration, a byte that chooses the protocol, and fields: the name of the
//! client's address, what the authentication server answers, what the mail server says, the same once it is encrypted,
//! and what the client says, with further fields once it is encrypted.

use std::time::Duration;

use gatepost_proto::auth_http::{Client, Frame, Reply, Request, Route};
use gatepost_proto::{
    Attempt, BackEnd, Dialogue, DialogueError, FrontEnd, Output, Progress, Protocol, imap, pop3, printable, smtp,
};

use crate::auth;
use crate::back::{self, Server};
use crate::canary;
use crate::front::{self, Record, Verdict};
use crate::pieces::{Cut, Fields};
use crate::setup::{SALT, Setup};

/// However the three of them cut what they say, the session takes the same way.
pub fn check(input: &[u8]) {
    let session = Session::new(input);
    let [first, others @ ..] = Cut::ways(input);
    let expected = session.run(first);
    for cut in others {
        assert_eq!(session.run(cut).script, expected.script, "{cut:?} of {}", printable(input));
    }
    expected.attempts.iter().for_each(front::check_attempt);
    canary::check_front(input, &expected.attempts, &expected.said, &expected.notes);
}

struct Session<'a> {
    setup: Setup,
    protocol: Protocol,
    host: String,
    reply: &'a [u8],
    server: (&'a [u8], &'a [u8]),
    client: &'a [u8],
}

impl<'a> Session<'a> {
    fn new(input: &'a [u8]) -> Session<'a> {
        let mut fields = Fields::new(input);
        let setup = Setup(fields.byte());
        let protocol = [Protocol::Imap, Protocol::Pop3, Protocol::Smtp][usize::from(fields.byte() % 3)];
        let host = String::from_utf8_lossy(fields.next()).into_owned();
        let (reply, server) = (fields.next(), (fields.next(), fields.next()));
        Session { setup, protocol, host, reply, server, client: fields.rest() }
    }

    fn run(&self, cut: Cut) -> Record {
        let mut front: Box<dyn FrontEnd> = match self.protocol {
            Protocol::Imap => Box::new(imap::Server::new(self.setup.imap(), SALT.to_owned())),
            Protocol::Pop3 => Box::new(pop3::Server::new(self.setup.pop3(), SALT.to_owned())),
            Protocol::Smtp => Box::new(smtp::Server::new(self.setup.smtp(), SALT.to_owned())),
        };
        let mut judge =
            |front: &mut dyn FrontEnd, attempt: &Attempt, record: &mut Record| self.judge(front, attempt, record, cut);
        front::converse(front.as_mut(), self.client, cut, &mut judge)
    }

    /// Asks the authentication server and does what it says.
    fn judge(&self, front: &mut dyn FrontEnd, attempt: &Attempt, record: &mut Record, cut: Cut) -> Verdict {
        self.ask(attempt);
        let reply = match auth::read(self.reply, cut) {
            Ok(Some((response, _))) => response.reply(self.protocol, attempt).map_err(|error| error.to_string()),
            Ok(None) => Err("incomplete".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let mut out = Output::default();
        let verdict = match reply {
            Ok(Reply::Accept(route)) => self.accept(front, attempt, route, record, cut),
            Ok(Reply::Reject(rejection, wait)) => {
                front.reject(&rejection, &mut out);
                if wait == Duration::ZERO { Verdict::Over } else { Verdict::Refused }
            }
            Ok(Reply::Wait(_)) | Err(_) => {
                front.internal_error(&mut out);
                Verdict::Over
            }
        };
        record.take(&mut out);
        verdict
    }

    fn ask(&self, attempt: &Attempt) {
        let frame = Frame::new("/auth", "localhost", &[], false).expect("it has no control bytes");
        let request = Request {
            frame: &frame,
            protocol: self.protocol,
            attempt,
            client: Client { ip: "unix:", host: Some(&self.host), proxy_protocol: None },
            tls: None,
        };
        auth::check_request(&request, &[]);
    }

    /// Logs in at the mail server.
    fn accept(
        &self,
        front: &mut dyn FrontEnd,
        attempt: &Attempt,
        route: Route,
        record: &mut Record,
        cut: Cut,
    ) -> Verdict {
        let (plain, encrypted) = self.server;
        let server = Server { plain, encrypted, cut };
        let login = self.back_end(attempt, route).map(|mut back| back::log_in(back.as_mut(), server));
        match login {
            Ok(login) => {
                let commands = [&login.plain[..], &login.encrypted].concat();
                let stray = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
                let lines = commands.split_inclusive(|byte| *byte == b'\n');
                for line in lines {
                    let text = line.strip_suffix(b"\r\n").expect("commands are whole lines");
                    assert!(!text.iter().any(stray), "not one command: {}", printable(line));
                }
                record.script.push_str(&format!("[{}]", login.summary()));
                if let Ok(Progress::Done { .. }) = login.end {
                    return Verdict::LoggedIn;
                }
            }
            Err(error) => record.script.push_str(&format!("[{error}]")),
        }
        let mut out = Output::default();
        front.internal_error(&mut out);
        record.take(&mut out);
        Verdict::Over
    }

    fn back_end(&self, attempt: &Attempt, route: Route) -> Result<Box<dyn BackEnd>, DialogueError> {
        let Route { user, password, .. } = route;
        let (buffer, starttls) = (self.setup.proxy_buffer(), self.setup.upstream_starttls());
        Ok(match attempt.dialogue.clone() {
            Dialogue::Imap { tag } => {
                let password = password.ok_or(DialogueError::NoPassword)?;
                Box::new(imap::Client::new(tag, user, password, buffer).with_starttls(starttls))
            }
            Dialogue::Pop3 => {
                let password = password.ok_or(DialogueError::NoPassword)?;
                Box::new(pop3::Client::new(&user, &password, buffer)?.with_starttls(starttls))
            }
            Dialogue::Smtp { helo, esmtp, envelope } => Box::new(smtp::Client::new(smtp::Login {
                server_name: "mail.example".to_owned(),
                starttls,
                xclient: self.setup.xclient(),
                client_address: None,
                client_host: self.host.clone(),
                user,
                password,
                smtp_auth: self.setup.smtp_auth(),
                helo,
                esmtp,
                envelope,
                buffer,
            })?),
        })
    }
}
