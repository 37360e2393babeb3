//! The head of the response: parsed as leniently as nginx does, and what it means.

use std::net::SocketAddr;
use std::time::Duration;

use super::address::{decimal, host_name, parse_ip, parse_port};
use crate::{Attempt, Method, Protocol, Rejection, Secret, printable};

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
        match lower_case(name).get(..name.len()).unwrap_or_default() {
            b"auth-status" => self.auth_status(value)?,
            b"auth-server" => self.server = value.to_vec(),
            b"auth-port" => self.port = value.to_vec(),
            b"auth-user" => self.user = Some(text(value)?.to_vec()),
            b"auth-pass" => self.password = Some(Secret::from(text(value)?)),
            b"auth-ssl-upstream" => self.encryption = Some(value.to_vec()),
            b"auth-wait" => self.delay = decimal(value).unwrap_or(self.delay),
            b"auth-error-code" => self.code = Some(text(value)?.to_vec()),
            b"connection" => self.connection(value),
            b"content-length" => self.content_length(value),
            b"transfer-encoding" => self.length = Length::Unclear,
            _ => check_name(name)?,
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
    let number = || parse_port(port).ok_or_else(|| ResponseError::Port(printable(port)));
    let address = match parse_ip(server) {
        Some(ip) => Server::Ip(SocketAddr::new(ip, number()?)),
        None => {
            let host = host_name(server).ok_or_else(|| ResponseError::Address(printable(server)))?;
            Server::Name(host, number()?)
        }
    };
    let name = String::from_utf8([server, b":", port].concat());
    Ok((address, name.expect("addresses, host names and ports are ASCII")))
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
#[derive(Debug, Default)]
pub struct Parser {
    /// The beginning of a line whose end is still to come.
    held: Secret,
    taken: usize,
    begun: bool,
    response: Response,
}

impl Parser {
    /// A parser that has seen nothing.
    pub fn new() -> Parser {
        Parser::default()
    }

    /// Takes what arrived. Once it is the end of the head, the response is complete, and this gives how many of the bytes
    /// are not part of it.
    ///
    /// # Errors
    /// When this is no response, or a too long one. The parser is of no use then.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<usize>, ResponseError> {
        let (fitting, beyond) = bytes.split_at(bytes.len().min(MAX_RESPONSE - self.taken));
        self.taken += fitting.len();
        let mut held = std::mem::take(&mut self.held);
        let input = if held.is_empty() {
            fitting
        } else {
            held.append(fitting);
            held.expose()
        };
        let (rest, is_end) = self.lines(input)?;
        if is_end {
            return Ok(Some(rest.len() + beyond.len()));
        }
        self.peek(rest)?;
        if self.taken == MAX_RESPONSE {
            return Err(ResponseError::TooLong);
        }
        self.held = Secret::from(rest);
        Ok(None)
    }

    /// What is known of the response.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// The response, once it is complete.
    pub fn into_response(self) -> Response {
        self.response
    }

    /// Works off the lines that are complete. Gives what is behind them, and whether the last one ends the head.
    fn lines<'a>(&mut self, mut input: &'a [u8]) -> Result<(&'a [u8], bool), ResponseError> {
        while let Some(end) = memchr::memchr2(b'\r', b'\n', input) {
            let (line, rest) = input.split_at(end);
            let is_status = !self.begun && line.starts_with(b"HTTP/");
            input = match rest {
                [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => rest,
                _ if !rest.contains(&b'\n') => break,
                _ if is_status => return Err(ResponseError::StatusLine),
                _ => return Err(ResponseError::Header),
            };
            if line.is_empty() {
                return Ok((input, true));
            }
            if is_status {
                self.response.status = status(line);
            } else {
                let (name, value) = split(line);
                self.response.header(name, value)?;
            }
            self.begun = true;
        }
        Ok((input, false))
    }

    /// Refuses an incomplete line as soon as it cannot be a header: who does not speak HTTP may never send a line end.
    fn peek(&self, line: &[u8]) -> Result<(), ResponseError> {
        let status_line = !self.begun && line.iter().zip(b"HTTP/").all(|(a, b)| a == b);
        if status_line || line.is_empty() || line == b"\r" {
            return Ok(());
        }
        check_name(split(line.strip_suffix(b"\r").unwrap_or(line)).0)
    }
}

/// The status code, if there is one.
fn status(line: &[u8]) -> Option<u16> {
    let code = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).nth(1);
    code.and_then(decimal).and_then(|code| u16::try_from(code).ok())
}

/// The name and the value of a header; a line without a colon is a name.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let (name, value) = line.split_at(colon);
    let value = value.strip_prefix(b":").unwrap_or_default();
    let start = value.iter().position(|byte| *byte != b' ').unwrap_or(value.len());
    let end = value.iter().rposition(|byte| *byte != b' ').map_or(start, |last| last + 1);
    (name, &value[start..end])
}

/// The beginning of a name in lower case, long enough for each that means something. A fixed length takes fewer steps.
fn lower_case(name: &[u8]) -> [u8; 32] {
    let mut lower = [0; 32];
    let length = name.len().min(lower.len());
    lower[..length].copy_from_slice(&name[..length]);
    lower.make_ascii_lowercase();
    lower
}

/// Letters, digits and `-`, the first not a `-`.
fn check_name(name: &[u8]) -> Result<(), ResponseError> {
    let fits = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    match name.first() {
        Some(first) if fits && *first != b'-' => Ok(()),
        _ => Err(ResponseError::Header),
    }
}
