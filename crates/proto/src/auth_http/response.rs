//! The head of the response: parsed as leniently as nginx does, and what it means.

use std::net::SocketAddr;
use std::time::Duration;

use super::address::{decimal, host_name, parse_ip, parse_port};
use crate::{Attempt, Input, Method, Protocol, Rejection, Secret, printable};

/// The longest head of a response, bytes, line ends included.
pub const MAX_RESPONSE: usize = 16 * 1024;

/// What an authentication server said that makes no sense. `Display` is the rest of a log line that begins
/// `auth http server NAME`, in nginx's words where it has any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// A CR in the status line that ends no line.
    #[error("sent invalid response")]
    StatusLine,
    /// A name with other characters than letters, digits and `-`, a CR that ends no line, or a control byte in a value
    /// that is passed on.
    #[error("sent invalid header in response")]
    Header,
    /// More than [`MAX_RESPONSE`] bytes.
    #[error("sent too long response")]
    TooLong,
    /// OK without `Auth-Server` or `Auth-Port`.
    #[error("did not send server or port")]
    NoServer,
    /// OK without `Auth-Pass` where the client's own password is not known, and IMAP or POP3 needs one.
    #[error("did not send password")]
    NoPassword,
    /// `Auth-Server` is no IP address, or, where names are allowed, no host name.
    #[error("sent invalid server address:\"{0}\"")]
    Address(String),
    /// `Auth-Port` is no number from 1 to 65535.
    #[error("sent invalid server port:\"{0}\"")]
    Port(String),
    /// `Auth-SSL-Upstream` is not `on`, `off` or `starttls`.
    #[error("sent invalid Auth-SSL-Upstream:\"{0}\"")]
    Encryption(String),
}

/// What the authentication server wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Let the client in.
    Accept(Route),
    /// Refuse it after this time; the session goes on if that is not zero.
    Reject(Rejection, Duration),
    /// Ask again after this time.
    Wait(Duration),
}

/// Where a login goes, and as whom.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The mail server.
    pub server: Server,
    /// `Auth-SSL-Upstream`, if it was sent: whether the way there is encrypted.
    pub encryption: Option<Encryption>,
    /// The mail server as it was sent: `Auth-Server:Auth-Port`.
    pub name: String,
    /// `Auth-User`, or the client's.
    pub user: Vec<u8>,
    /// `Auth-Pass`, or the client's.
    pub password: Option<Secret>,
}

/// The address of a mail server.
#[derive(Debug, PartialEq, Eq)]
pub enum Server {
    /// `Auth-Server` and `Auth-Port`.
    Ip(SocketAddr),
    /// `Auth-Server: unix:/path`.
    Unix(String),
    /// `Auth-Server` is a host name, without a dot at its end; with `Auth-Port`. Who has no resolver gives
    /// [`ResponseError::Address`].
    Name(String, u16),
}

/// The value of `Auth-SSL-Upstream`, which nginx does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// `off`
    Off,
    /// `on`: TLS from the first byte.
    On,
    /// `starttls`
    StartTls,
}

/// The head of a response, header by header.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response {
    status: Option<u16>,
    failure: Option<Vec<u8>>,
    wait: bool,
    delay: u64,
    server: Vec<u8>,
    port: Vec<u8>,
    user: Option<Vec<u8>>,
    password: Option<Secret>,
    encryption: Option<Vec<u8>>,
    code: Option<Vec<u8>>,
    keep_alive: bool,
    close: bool,
    length: Length,
}

/// What is known of the length of a body.
#[derive(Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    UntilClose,
    Bytes(u64),
    Unclear,
}

impl Response {
    /// What to do with the client that made `attempt`.
    ///
    /// # Errors
    /// When the client is welcome but it is not clear where to.
    pub fn reply(self, protocol: Protocol, attempt: &Attempt) -> Result<Reply, ResponseError> {
        let delay = Duration::from_secs(self.delay);
        if let Some(text) = self.failure {
            let code = self.code.filter(|code| !code.is_empty());
            return Ok(Reply::Reject(Rejection { text, code }, delay));
        }
        if self.wait {
            return Ok(Reply::Wait(delay));
        }
        self.route(protocol, attempt).map(Reply::Accept)
    }

    /// How many bytes of body follow the head, if the connection can be used for another request after them.
    pub fn keep_alive(&self) -> Option<u64> {
        if !self.keep_alive || self.close {
            return None;
        }
        match (self.status?, &self.length) {
            (204, _) => Some(0),
            (200.., Length::Bytes(length)) => Some(*length),
            _ => None,
        }
    }

    fn route(self, protocol: Protocol, attempt: &Attempt) -> Result<Route, ResponseError> {
        let unix = self.server.strip_prefix(b"unix:").filter(|path| !path.is_empty());
        if self.server.is_empty() || (self.port.is_empty() && unix.is_none()) {
            return Err(ResponseError::NoServer);
        }
        let known = (attempt.method == Method::Plain).then(|| attempt.password.clone());
        let password = self.password.or(known);
        if password.is_none() && protocol != Protocol::Smtp {
            return Err(ResponseError::NoPassword);
        }
        let user = self.user.unwrap_or_else(|| attempt.user.clone());
        let (server, name) = match unix {
            Some(path) => unix_server(path)?,
            None => network_server(&self.server, &self.port)?,
        };
        let encryption = self.encryption.as_deref().map(encryption).transpose()?;
        Ok(Route { server, name, encryption, user, password })
    }

    fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseError> {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("Auth-Status") {
            self.auth_status(value)?;
        } else if is("Auth-Server") {
            self.server = value.to_vec();
        } else if is("Auth-Port") {
            self.port = value.to_vec();
        } else if is("Auth-User") {
            self.user = Some(text(value)?.to_vec());
        } else if is("Auth-Pass") {
            self.password = Some(Secret::from(text(value)?));
        } else if is("Auth-SSL-Upstream") {
            self.encryption = Some(value.to_vec());
        } else if is("Auth-Wait") {
            self.delay = decimal(value).unwrap_or(self.delay);
        } else if is("Auth-Error-Code") {
            self.code = Some(text(value)?.to_vec());
        } else if is("Connection") {
            self.connection(value);
        } else if is("Content-Length") {
            self.content_length(value);
        } else if is("Transfer-Encoding") {
            self.length = Length::Unclear;
        }
        Ok(())
    }

    fn auth_status(&mut self, value: &[u8]) -> Result<(), ResponseError> {
        match value {
            b"OK" => {}
            b"WAIT" => self.wait = true,
            _ => self.failure = Some(text(value)?.to_vec()),
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.close |= option.eq_ignore_ascii_case(b"close");
        }
    }

    fn content_length(&mut self, value: &[u8]) {
        self.length = match (&self.length, decimal(value)) {
            (Length::UntilClose, Some(length)) => Length::Bytes(length),
            (Length::Bytes(known), Some(length)) if *known == length => Length::Bytes(length),
            _ => Length::Unclear,
        };
    }
}

fn unix_server(path: &[u8]) -> Result<(Server, String), ResponseError> {
    let absolute = path.starts_with(b"/") && !path.iter().any(u8::is_ascii_control);
    match std::str::from_utf8(path) {
        Ok(path) if absolute => Ok((Server::Unix(path.to_string()), format!("unix:{path}"))),
        _ => Err(ResponseError::Address(format!("unix:{}", printable(path)))),
    }
}

fn network_server(server: &[u8], port: &[u8]) -> Result<(Server, String), ResponseError> {
    let name = format!("{}:{}", printable(server), printable(port));
    let number = || parse_port(port).ok_or_else(|| ResponseError::Port(printable(port)));
    if let Some(ip) = parse_ip(server) {
        return Ok((Server::Ip(SocketAddr::new(ip, number()?)), name));
    }
    let host = host_name(server).ok_or_else(|| ResponseError::Address(printable(server)))?;
    Ok((Server::Name(host, number()?), name))
}

fn encryption(value: &[u8]) -> Result<Encryption, ResponseError> {
    match value {
        b"off" => Ok(Encryption::Off),
        b"on" => Ok(Encryption::On),
        b"starttls" => Ok(Encryption::StartTls),
        _ => Err(ResponseError::Encryption(printable(value))),
    }
}

/// A value that is passed on to a client or a mail server: HTTP's own field values, RFC 9110 section 5.5.
fn text(value: &[u8]) -> Result<&[u8], ResponseError> {
    let fits = value.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    fits.then_some(value).ok_or(ResponseError::Header)
}

/// Takes a response in any pieces, up to the blank line that ends its head.
#[derive(Debug)]
pub struct Parser {
    input: Input,
    taken: usize,
    begun: bool,
    response: Response,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser::new()
    }
}

impl Parser {
    /// A parser that has seen nothing.
    pub fn new() -> Parser {
        Parser { input: Input::new(MAX_RESPONSE), taken: 0, begun: false, response: Response::default() }
    }

    /// Takes what arrived. At the end of the head gives the response, and how many of these bytes were not part of it.
    /// The parser is used up then.
    ///
    /// # Errors
    /// When this is no response, or a too long one. The parser is of no use then.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Response, usize)>, ResponseError> {
        let fits = bytes.len().min(MAX_RESPONSE - self.taken);
        self.taken += fits;
        self.input.push(&bytes[..fits]);
        if self.lines()? {
            let rest = self.input.unread().len() + bytes.len() - fits;
            return Ok(Some((std::mem::take(&mut self.response), rest)));
        }
        if self.taken == MAX_RESPONSE {
            return Err(ResponseError::TooLong);
        }
        Ok(None)
    }

    /// Works off the lines that are complete; true at the end of the head.
    fn lines(&mut self) -> Result<bool, ResponseError> {
        loop {
            let unread = self.input.unread();
            let Some(end) = memchr::memchr(b'\n', unread) else { break };
            let line = unread[..end].strip_suffix(b"\r").unwrap_or(&unread[..end]);
            if !self.begun && line.starts_with(b"HTTP/") {
                self.response.status = status(line)?;
            } else if line.is_empty() {
                self.input.consume(end + 1);
                return Ok(true);
            } else {
                let (name, value) = split(line)?;
                self.response.header(name, value)?;
            }
            self.begun = true;
            self.input.consume(end + 1);
        }
        self.peek()?;
        Ok(false)
    }

    /// Refuses an incomplete line as soon as it cannot be a header: who does not speak HTTP may never send a line end.
    fn peek(&self) -> Result<(), ResponseError> {
        let line = self.input.unread();
        let status_line = !self.begun && line.iter().zip(b"HTTP/").all(|(a, b)| a == b);
        if status_line || line.is_empty() || line == b"\r" {
            return Ok(());
        }
        name_length(line.strip_suffix(b"\r").unwrap_or(line)).map(drop)
    }
}

/// The status code, if there is one.
fn status(line: &[u8]) -> Result<Option<u16>, ResponseError> {
    if line.contains(&b'\r') {
        return Err(ResponseError::StatusLine);
    }
    let code = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).nth(1);
    Ok(code.and_then(decimal).and_then(|code| u16::try_from(code).ok()))
}

/// The name and the value of a header; a line without a colon is a name.
fn split(line: &[u8]) -> Result<(&[u8], &[u8]), ResponseError> {
    let (name, value) = line.split_at(name_length(line)?);
    let value = value.strip_prefix(b":").unwrap_or(value);
    if value.contains(&b'\r') {
        return Err(ResponseError::Header);
    }
    let start = value.iter().position(|byte| *byte != b' ').unwrap_or(value.len());
    let end = value.iter().rposition(|byte| *byte != b' ').map_or(start, |last| last + 1);
    Ok((name, &value[start..end]))
}

/// Where the name ends: letters, digits and `-`, the first not a `-`, up to a colon or the end.
fn name_length(line: &[u8]) -> Result<usize, ResponseError> {
    let length = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let name = &line[..length];
    let fits = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    match name.first() {
        Some(first) if fits && *first != b'-' => Ok(length),
        _ => Err(ResponseError::Header),
    }
}
