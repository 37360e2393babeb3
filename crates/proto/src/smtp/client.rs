//! The SMTP client that takes a session to a mail server, as nginx 1.31 does: EHLO, XCLIENT, the client's own HELO or
//! EHLO again, and then AUTH PLAIN, or the MAIL and RCPT of a client without authentication, or nothing. Where STARTTLS
//! (RFC 3207) is wanted it comes before all of that, behind an EHLO of its own, whose answer is forgotten.
//!
//! All commands are made before the first is sent, so [`Client::new`] is where each of them is checked to be one line.
//!
//! Deliberately unlike nginx: what the server sends behind its last answer reaches the client; a reply of several lines
//! must have the same code in all of them; and XCLIENT must be announced. A mail server that announces extensions, but not
//! XCLIENT, takes the proxy for the client and may relay for anybody. A one-line answer to EHLO announces nothing at all:
//! there XCLIENT is tried, and what it answers decides.

use std::collections::VecDeque;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::reply::Replies;
use crate::{BackEnd, DialogueError, Envelope, Output, Progress, Secret, sasl};

/// What the client is told after a login, in place of the mail server's own words.
const LOGGED_IN: &[u8] = b"235 2.0.0 OK\r\n";

/// Who is to be taken to the mail server, and how.
#[derive(Debug)]
pub struct Login {
    /// `server_name`, for HELO and EHLO.
    pub server_name: String,
    /// Whether TLS is to be started with STARTTLS before anything of the client is told.
    pub starttls: bool,
    /// `xclient`.
    pub xclient: bool,
    /// Where the client comes from; none for a Unix domain socket.
    pub client_address: Option<IpAddr>,
    /// The name of the client's address, `[UNAVAILABLE]` or `[TEMPUNAVAIL]`.
    pub client_host: String,
    /// The user; empty if there is none.
    pub user: Vec<u8>,
    /// The password, if one is known.
    pub password: Option<Secret>,
    /// `proxy_smtp_auth`.
    pub smtp_auth: bool,
    /// The argument of the client's last HELO or EHLO.
    pub helo: Option<Vec<u8>>,
    /// Whether the client ever said EHLO.
    pub esmtp: bool,
    /// The client's MAIL and RCPT, if it did not log in.
    pub envelope: Option<Envelope>,
    /// `proxy_buffer`: the longest reply, bytes.
    pub buffer: usize,
}

/// A [`BackEnd`] for SMTP.
pub struct Client {
    replies: Replies,
    awaited: Awaited,
    /// How many whole answers there were.
    answers: usize,
    commands: VecDeque<Command>,
    /// Whether TLS is still to be started.
    is_plaintext: bool,
    /// Whether the answer to the last command is the client's, as is: it is the one to its RCPT.
    is_transparent: bool,
    action: &'static str,
}

/// A line to be sent, and the answer it must get.
struct Command {
    line: Zeroizing<Vec<u8>>,
    action: &'static str,
    awaited: Awaited,
}

/// Which answers are good.
#[derive(Clone, Copy)]
enum Awaited {
    Greeting,
    /// Of EHLO, where it must announce STARTTLS.
    TlsOffer,
    /// Of STARTTLS.
    TlsConsent,
    /// None: a TLS handshake.
    Handshake,
    /// Of EHLO, where it must announce XCLIENT.
    Extensions,
    Ok,
    /// Postfix begins anew with a greeting after XCLIENT.
    XclientOk,
    Authenticated,
    Anything,
}

impl Client {
    /// A login that has not begun: the server speaks first.
    ///
    /// # Errors
    /// [`DialogueError::Unspeakable`] if something would not be exactly one command, [`DialogueError::NoPassword`] if
    /// `smtp_auth` needs a password and there is none.
    pub fn new(login: Login) -> Result<Client, DialogueError> {
        Ok(Client {
            replies: Replies::new(login.buffer),
            awaited: Awaited::Greeting,
            answers: 0,
            commands: commands(&login)?,
            is_plaintext: login.starttls,
            is_transparent: login.envelope.is_some(),
            action: "connecting to upstream",
        })
    }

    /// Says what comes next to a good reply, if there is something to say.
    fn go_on(&mut self, reply: Vec<u8>, out: &mut Output) -> Result<Progress, DialogueError> {
        if matches!(self.awaited, Awaited::TlsConsent) {
            self.awaited = Awaited::Handshake;
            return if self.replies.take().is_empty() {
                Ok(Progress::StartTls)
            } else {
                Err(DialogueError::InjectedPlaintext)
            };
        }
        match self.commands.pop_front() {
            Some(command) => self.send(command, out),
            None => return Ok(self.finish(reply)),
        }
        Ok(Progress::More)
    }

    fn send(&mut self, command: Command, out: &mut Output) {
        out.bytes.extend_from_slice(&command.line);
        self.awaited = command.awaited;
        self.action = command.action;
    }

    fn refuse(&mut self, mut reply: Vec<u8>) -> DialogueError {
        self.action = "reading response from upstream";
        self.replies.add_lines(&mut reply);
        match self.awaited {
            _ if self.is_plaintext => DialogueError::NoStartTls { reply },
            _ => DialogueError::Refused { reply },
        }
    }

    fn finish(&mut self, answer: Vec<u8>) -> Progress {
        let mut to_client = if self.is_transparent { answer } else { LOGGED_IN.to_vec() };
        to_client.extend(self.replies.take());
        Progress::Done { to_client }
    }
}

impl BackEnd for Client {
    fn receive(&mut self, bytes: &[u8], out: &mut Output) -> Result<Progress, DialogueError> {
        self.action = "reading response from upstream";
        self.replies.push(bytes);
        if matches!(self.awaited, Awaited::Handshake) && !self.replies.is_empty() {
            return Err(DialogueError::InjectedPlaintext);
        }
        while let Some(reply) = self.replies.next_multiline()? {
            self.answers += 1;
            if !self.awaited.is_met(&reply) {
                return Err(self.refuse(reply));
            }
            match self.awaited {
                Awaited::Extensions if lacks_xclient(&reply) => return Err(DialogueError::NoXclient),
                Awaited::TlsOffer if !announces(&reply, b"STARTTLS") => return Err(self.refuse(reply)),
                _ => {}
            }
            let progress = self.go_on(reply, out)?;
            if progress != Progress::More {
                return Ok(progress);
            }
        }
        Ok(Progress::More)
    }

    fn tls_started(&mut self, out: &mut Output) {
        debug_assert!(matches!(self.awaited, Awaited::Handshake));
        self.is_plaintext = false;
        if let Some(command) = self.commands.pop_front() {
            self.send(command, out);
        }
    }

    fn action(&self) -> &'static str {
        self.action
    }

    fn answers(&self) -> usize {
        self.answers + usize::from(!self.replies.is_empty())
    }

    /// RFC 4954, section 6.
    fn is_bad_login(&self, error: &DialogueError) -> bool {
        let DialogueError::Refused { reply } = error else { return false };
        matches!(self.awaited, Awaited::Authenticated) && reply.starts_with(b"535")
    }
}

impl Awaited {
    fn is_met(self, reply: &[u8]) -> bool {
        let codes: &[&[u8]] = match self {
            Awaited::Greeting | Awaited::TlsConsent => &[b"220"],
            Awaited::TlsOffer | Awaited::Extensions | Awaited::Ok => &[b"250"],
            Awaited::Handshake => &[],
            Awaited::XclientOk => &[b"220", b"250"],
            Awaited::Authenticated => &[b"235"],
            Awaited::Anything => return true,
        };
        codes.iter().any(|code| lines(reply).all(|line| line.starts_with(code)))
    }
}

/// All that is to be said, in order.
fn commands(login: &Login) -> Result<VecDeque<Command>, DialogueError> {
    let mut commands = VecDeque::new();
    let mut add = |parts: &[&[u8]], what, action, awaited| {
        let line = line(parts, what)?;
        commands.push_back(Command { line, action, awaited });
        Ok(())
    };
    let hello = |is_esmtp| if is_esmtp { &b"EHLO "[..] } else { b"HELO " };
    if login.starttls {
        add(&[b"EHLO ", login.server_name.as_bytes()], "server name", "sending EHLO to upstream", Awaited::TlsOffer)?;
        add(&[b"STARTTLS"], "STARTTLS", "sending STARTTLS to upstream", Awaited::TlsConsent)?;
    }
    let first = hello(login.esmtp || login.xclient || login.starttls);
    let awaited = if login.xclient { Awaited::Extensions } else { Awaited::Ok };
    add(&[first, login.server_name.as_bytes()], "server name", "sending HELO/EHLO to upstream", awaited)?;
    if login.xclient {
        add(&[&xclient(login)], "XCLIENT", "sending XCLIENT to upstream", Awaited::XclientOk)?;
        if let Some(helo) = &login.helo {
            let action = "sending client HELO/EHLO to upstream";
            add(&[hello(login.esmtp), helo], "HELO name", action, Awaited::Ok)?;
        }
    }
    if let Some(Envelope { mail, rcpt }) = &login.envelope {
        add(&[mail], "MAIL", "sending MAIL FROM to upstream", Awaited::Ok)?;
        add(&[rcpt], "RCPT", "sending RCPT TO to upstream", Awaited::Anything)?;
    } else if login.smtp_auth {
        let message = Zeroizing::new(auth_plain(login)?);
        add(&[b"AUTH PLAIN ", message.as_bytes()], "AUTH", "sending AUTH to upstream", Awaited::Authenticated)?;
    }
    Ok(commands)
}

/// The one way into a command: it is exactly one line.
fn line(parts: &[&[u8]], what: &'static str) -> Result<Zeroizing<Vec<u8>>, DialogueError> {
    if !parts.iter().all(|part| sasl::is_speakable(part)) {
        return Err(DialogueError::Unspeakable(what));
    }
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut line = Zeroizing::new(Vec::with_capacity(length + 2));
    parts.iter().for_each(|part| line.extend_from_slice(part));
    line.extend_from_slice(b"\r\n");
    Ok(line)
}

/// `XCLIENT ADDR= LOGIN= NAME=`, without the line end. The user is told where it is not proved by AUTH.
fn xclient(login: &Login) -> Vec<u8> {
    let address = match login.client_address {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => format!("IPV6:{address}"),
        None => "unix:".to_owned(),
    };
    let mut text = [b"XCLIENT ADDR=", address.as_bytes()].concat();
    if !login.user.is_empty() && !login.smtp_auth {
        text.extend_from_slice(b" LOGIN=");
        push_xtext(&login.user, &mut text);
    }
    text.extend_from_slice(b" NAME=");
    push_xtext(login.client_host.as_bytes(), &mut text);
    text
}

/// RFC 3461, section 4: printable ASCII without `+` and `=` as it is, the rest as `+XX`.
fn push_xtext(bytes: &[u8], text: &mut Vec<u8>) {
    text.reserve(bytes.len());
    for byte in bytes {
        match byte {
            b'!'..=b'~' if !matches!(byte, b'+' | b'=') => text.push(*byte),
            _ => text.extend_from_slice(format!("+{byte:02X}").as_bytes()),
        }
    }
}

/// The message of AUTH PLAIN (RFC 4616), in base64. A user or password with a NUL would be another one's.
fn auth_plain(login: &Login) -> Result<String, DialogueError> {
    let password = login.password.as_ref().ok_or(DialogueError::NoPassword)?.expose();
    for (bytes, what) in [(login.user.as_slice(), "user name"), (password, "password")] {
        if !sasl::is_speakable(bytes) {
            return Err(DialogueError::Unspeakable(what));
        }
    }
    let message = Zeroizing::new([b"\0", login.user.as_slice(), b"\0", password].concat());
    Ok(sasl::encode(&message))
}

/// Whether an answer to EHLO announces extensions, and XCLIENT is not among them.
fn lacks_xclient(reply: &[u8]) -> bool {
    lines(reply).nth(1).is_some() && !announces(reply, b"XCLIENT")
}

/// Whether an answer to EHLO announces an extension (RFC 5321, section 4.1.1.1), in whatever case.
fn announces(reply: &[u8], extension: &[u8]) -> bool {
    lines(reply).skip(1).filter_map(keyword).any(|keyword| keyword.eq_ignore_ascii_case(extension))
}

/// The first word behind the code.
fn keyword(line: &[u8]) -> Option<&[u8]> {
    line.get(4..)?.trim_ascii_end().split(|&byte| byte == b' ').next()
}

fn lines(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    reply.split_inclusive(|&byte| byte == b'\n')
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
