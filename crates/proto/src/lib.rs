#![forbid(unsafe_code)]
//! IMAP, POP3 and SMTP as a mail proxy speaks them, without I/O.
//!
//! Two kinds of machine live here, and neither knows sockets, TLS, clocks or tasks:
//!
//! * a [`FrontEnd`] is the server that a mail client talks to before it is logged in: greeting, capabilities,
//!   authentication exchange;
//! * a [`BackEnd`] is the client that logs in to the mail server once it is known who the user is and where to go.
//!
//! The caller moves bytes. For a front end:
//!
//! ```text
//! front.greet(&mut out)                       send `out`
//! loop match front.step(&mut out) {           send `out` after every step, before anything else
//!     Step::Input             read at most front.input().space() bytes into front.input()
//!     Step::StartTls          run the handshake; front.tls_started()
//!     Step::Authenticate(a)   ask who `a` is; front.reject(..), front.internal_error(..), or hand over
//!     Step::Close             close
//!     Step::Refuse(why)       send why.reply(..), close
//! }
//! ```
//!
//! A step works off as much of the buffered input as it can and returns only when it needs the caller, so replies to
//! pipelined commands are written together. After a successful login the input that was not used, [`Input::take`], is
//! what the client pipelined behind it, and goes to the mail server.
//!
//! For a back end the caller passes whatever arrives to [`BackEnd::receive`], sends what it puts out, and stops when it
//! is [`Progress::Done`]. A back end that is to use STARTTLS says [`Progress::StartTls`] once, and no credentials before.
//!
//! What every machine promises: it holds no more bytes than its budget in any state; a split of the input at any byte
//! gives the same output; a secret leaves it only towards the one meant to have it.

pub mod auth_http;
pub mod imap;
pub mod input;
pub mod limits;
mod line;
pub mod pop3;
pub mod proxy_protocol;
mod reply;
pub mod sasl;
pub mod secret;
pub mod smtp;
#[cfg(test)]
mod testing;

use std::fmt;

pub use input::Input;
pub use limits::{Refusal, Tally};
pub use secret::Secret;

/// The mail protocol of a server block (nginx directive `protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RFC 9051 and RFC 3501.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 5321.
    Smtp,
}

impl Protocol {
    /// The name nginx uses for it, in `protocol` and in the header `Auth-Protocol`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
            Protocol::Smtp => "smtp",
        }
    }
}

/// What a front end may offer and accept (nginx directives `imap_auth`, `pop3_auth`, `smtp_auth`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mechanisms {
    /// `plain`: RFC 4616, and USER/PASS in POP3.
    pub plain: bool,
    /// `login`: the LOGIN mechanism.
    pub login: bool,
    /// `apop`: RFC 1939, POP3 only.
    pub apop: bool,
    /// `cram-md5`: RFC 2195.
    pub cram_md5: bool,
    /// `external`: RFC 4422, appendix A.
    pub external: bool,
    /// `none`: SMTP without authentication.
    pub none: bool,
}

/// Whether a connection may or must be encrypted by command (nginx directive `starttls`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartTls {
    /// `off`: the command is refused.
    #[default]
    Off,
    /// `on`: it is offered.
    On,
    /// `only`: it is offered, and nobody logs in without it.
    Only,
}

/// The last words to a client without the certificate that it needs (`ssl_verify_client`): it has sent none, or a bad
/// one.
pub fn certificate_refusal(protocol: Protocol, missing: bool) -> &'static [u8] {
    match (protocol, missing) {
        (Protocol::Imap, true) => b"* BYE No required SSL certificate\r\n",
        (Protocol::Imap, false) => b"* BYE SSL certificate error\r\n",
        (Protocol::Pop3, true) => b"-ERR No required SSL certificate\r\n",
        (Protocol::Pop3, false) => b"-ERR SSL certificate error\r\n",
        (Protocol::Smtp, true) => b"421 4.7.1 No required SSL certificate\r\n",
        (Protocol::Smtp, false) => b"421 4.7.1 SSL certificate error\r\n",
    }
}

/// How a user proves who they are: the value of the header `Auth-Method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A user name and a password in clear, by whatever command or mechanism.
    Plain,
    /// POP3 APOP: the password is the hexadecimal digest.
    Apop,
    /// CRAM-MD5: the password is the hexadecimal digest.
    CramMd5,
    /// EXTERNAL: no password.
    External,
    /// SMTP without authentication.
    None,
}

impl Method {
    /// The value of the header `Auth-Method`.
    pub fn name(self) -> &'static str {
        match self {
            Method::Plain => "plain",
            Method::Apop => "apop",
            Method::CramMd5 => "cram-md5",
            Method::External => "external",
            Method::None => "none",
        }
    }
}

/// One attempt to log in, as a front end understood it. It is made afresh for each attempt: nothing of an earlier one
/// is in it.
#[derive(Debug)]
pub struct Attempt {
    /// How.
    pub method: Method,
    /// Who; empty for [`Method::None`].
    pub user: Vec<u8>,
    /// The password or digest; empty for [`Method::External`] and [`Method::None`].
    pub password: Secret,
    /// The challenge of [`Method::Apop`] and [`Method::CramMd5`], in angle brackets, without CRLF.
    pub salt: Option<String>,
    /// 1 for the first attempt of the session, and so on.
    pub number: u32,
    /// What the login at the mail server needs to know of the session so far.
    pub dialogue: Dialogue,
}

/// What a front end tells the back end of its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialogue {
    /// The tag of the command that logs in, without a space. May be empty.
    Imap {
        /// The tag.
        tag: Vec<u8>,
    },
    /// Nothing.
    Pop3,
    /// What the client said before.
    Smtp {
        /// The argument of the client's last HELO or EHLO.
        helo: Option<Vec<u8>>,
        /// Whether the client ever said EHLO.
        esmtp: bool,
        /// The client's MAIL and RCPT, for [`Method::None`].
        envelope: Option<Envelope>,
    },
}

/// The commands that begin a mail transaction without authentication, whole and without line end, as the client gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `MAIL FROM:...`
    pub mail: Vec<u8>,
    /// `RCPT TO:...`
    pub rcpt: Vec<u8>,
}

/// What a machine has to say since the caller last looked. The caller sends `bytes`, logs `notes`, and empties both.
#[derive(Default)]
pub struct Output {
    /// For the peer. May hold credentials on their way to a mail server: wipe after use. What is left is wiped when it is
    /// dropped.
    pub bytes: Vec<u8>,
    /// For the log, at level `info`.
    pub notes: Vec<Note>,
}

impl Drop for Output {
    fn drop(&mut self) {
        secret::wipe(&mut self.bytes);
    }
}

/// A remark for the log, in nginx's words, free of secrets. Its `Display` is the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note(pub String);

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a [`FrontEnd`] needs next. The output that came with it is sent first in every case.
#[derive(Debug)]
pub enum Step {
    /// More input.
    Input,
    /// A TLS handshake. Input that was already received has been dropped.
    StartTls,
    /// To know whether these credentials are good.
    Authenticate(Box<Attempt>),
    /// Nothing: the session is over.
    Close,
    /// The same, and the client is to be told why.
    Refuse(Refusal),
}

/// A refusal by the authentication server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The text for the client (`Auth-Status`); the front end adds what its protocol puts around it.
    pub text: Vec<u8>,
    /// `Auth-Error-Code`: takes the place of `535 5.7.0` in SMTP.
    pub code: Option<Vec<u8>>,
}

/// The server side of a mail protocol, before login.
pub trait FrontEnd: Send {
    /// Says the greeting. For SMTP with a delayed greeting, call it after the delay.
    fn greet(&mut self, out: &mut Output);
    /// The bytes received and not used yet.
    fn input(&mut self) -> &mut Input;
    /// Works off the input as far as possible.
    fn step(&mut self, out: &mut Output) -> Step;
    /// Tells the client that the last attempt failed. The session may go on with [`FrontEnd::step`].
    fn reject(&mut self, rejection: &Rejection, out: &mut Output);
    /// Tells the client that something that is not its fault went wrong. The session is over.
    fn internal_error(&mut self, out: &mut Output);
    /// The connection is encrypted from here on; whatever the client said before is forgotten as its protocol demands.
    /// Called before the greeting too, where the connection is encrypted from its start.
    fn tls_started(&mut self);
    /// The user name given so far, for the log; empty if none.
    fn user(&self) -> &[u8];
    /// What the client has done so far. STARTTLS does not change it, and where it leads to another machine, that goes on
    /// counting there.
    fn tally(&mut self) -> &mut Tally;
}

/// How far a [`BackEnd`] has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It waits for the mail server.
    More,
    /// The mail server is ready for a TLS handshake, and has sent nothing beyond that. After the handshake the caller
    /// calls [`BackEnd::tls_started`].
    StartTls,
    /// Logged in.
    Done {
        /// What the client is told, or what the mail server said that belongs to it.
        to_client: Vec<u8>,
    },
}

/// The client side of a mail protocol, up to the login.
pub trait BackEnd: Send {
    /// Takes what the mail server sent, in any pieces.
    ///
    /// # Errors
    /// When the mail server refuses, or breaks the protocol.
    fn receive(&mut self, bytes: &[u8], out: &mut Output) -> Result<Progress, DialogueError>;
    /// Goes on after the TLS handshake that [`Progress::StartTls`] asked for. Nothing that the mail server said before
    /// is known any more.
    fn tls_started(&mut self, out: &mut Output);
    /// What it is doing, for the log (`while ...`).
    fn action(&self) -> &'static str;
    /// How many answers it has had, the greeting included, and one that has only begun. One for each time it said something
    /// is what was asked for: see [`DialogueError::Unasked`].
    fn answers(&self) -> usize;
    /// Whether the mail server, refusing, said that user or password is wrong, and not that something else is.
    fn is_bad_login(&self, error: &DialogueError) -> bool;
}

/// Why a login at a mail server failed. `Display` gives the log line, in nginx's words where it has any.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DialogueError {
    /// The mail server said no.
    #[error("upstream sent invalid response: \"{}\"", excerpt(.reply))]
    Refused {
        /// All it said, with line ends: what `proxy_pass_error_message on` passes to the client.
        reply: Vec<u8>,
    },
    /// An answer that does not fit `proxy_buffer`.
    #[error("upstream sent too long response line: \"{}\"", excerpt(.start))]
    TooLong {
        /// How it begins.
        start: Vec<u8>,
    },
    /// An IMAP server that takes the connection for logged in already.
    #[error("upstream sent PREAUTH: it would take the session for somebody else's")]
    Preauth,
    /// The mail server did not come as far as TLS, and must. What it said unencrypted is for the log only: it may be
    /// anybody's.
    #[error("upstream did not start TLS, so no login was tried: \"{}\"", excerpt(.reply))]
    NoStartTls {
        /// All it said, with line ends.
        reply: Vec<u8>,
    },
    /// Unencrypted bytes behind the answer that begins TLS. Who put them there wants them taken for encrypted ones.
    #[error("upstream sent unencrypted data behind its consent to start TLS")]
    InjectedPlaintext,
    /// An answer to what has not been said yet. It may be meant for another command, and what comes next too.
    #[error("upstream answered before it was asked")]
    Unasked,
    /// `xclient on`, and the mail server does not announce XCLIENT.
    #[error(
        "upstream does not announce XCLIENT, and without it takes every client for this proxy; use \"xclient off\" if that is meant"
    )]
    NoXclient,
    /// A user name or password that cannot be said in the protocol's commands (CR, LF or NUL).
    #[error("{0} has a CR, LF or NUL, and cannot be passed to upstream")]
    Unspeakable(&'static str),
    /// A login without a password where the protocol needs one.
    #[error("no password available")]
    NoPassword,
}

/// Writes a number in decimal.
fn digits(number: usize, put: &mut impl FnMut(u8)) {
    if number > 9 {
        digits(number / 10, put);
    }
    put(b'0' + (number % 10) as u8);
}

/// Bytes as a log line may hold them, in quotes: without line ends at the end, with other control bytes and quotes as
/// `\xNN`, so that they cannot look like the rest of the line.
pub fn printable(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let bytes = &bytes[..end];
    // Nearly all are.
    if let Ok(text) = std::str::from_utf8(bytes)
        && bytes.iter().all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'~'))
    {
        return text.to_owned();
    }
    let mut text = String::with_capacity(end);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                c if c.is_control() || c == '"' => text.extend(format!("\\x{:02X}", c as u32).chars()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.extend(format!("\\x{byte:02X}").chars());
        }
    }
    text
}

/// The same of the beginning of a long text, so that there is room in the line for what else it tells.
pub fn excerpt(bytes: &[u8]) -> String {
    /// Of the text, bytes.
    const SHOWN: usize = 512;
    // None of them takes less than a byte of the text; a character has four bytes at most.
    let mut text = printable(&bytes[..bytes.len().min(SHOWN + 4)]);
    if let Some(end) = (0..=SHOWN).rev().find(|end| text.is_char_boundary(*end)).filter(|end| *end < text.len()) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_stays_one_line() {
        assert_eq!(printable(b"-ERR no\r\n"), "-ERR no");
        assert_eq!(printable(b"a\r\nb\0\x7f\xff\r\n"), "a\\x0D\\x0Ab\\x00\\x7F\\xFF");
        assert_eq!(printable("grüß".as_bytes()), "grüß");
        assert_eq!(printable(b"x\", client: 192.0.2.1"), "x\\x22, client: 192.0.2.1");
    }

    #[test]
    fn of_a_long_text_the_beginning_is_shown() {
        assert_eq!(excerpt(&[b'x'; 512]), "x".repeat(512));
        assert_eq!(excerpt(&[b'x'; 513]), "x".repeat(512) + "...");
        assert_eq!(excerpt(&[0; 4096]), "\\x00".repeat(128) + "...");
        assert_eq!(excerpt("x".repeat(511).as_bytes()), "x".repeat(511));
        assert_eq!(excerpt(("x".repeat(511) + "ü and more").as_bytes()), "x".repeat(511) + "...");
    }
}
