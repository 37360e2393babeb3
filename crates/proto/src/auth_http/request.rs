//! The head of the request, in nginx's order and spelling.

use crate::{Attempt, Dialogue, Method, Protocol, Secret, digits};

/// What all requests to a server have in common, as it is sent.
#[derive(Debug)]
pub struct Frame {
    /// The lines before those that tell of the client.
    before: Vec<u8>,
    /// The lines behind them, and the blank one.
    behind: Vec<u8>,
}

impl Frame {
    /// For requests to `uri` (`auth_http`'s path, `/` if it has none), with the header `Host`, and with `headers`
    /// (`auth_http_header`) in their order. If the server may keep the connection open, `Connection: keep-alive` is the
    /// last line.
    ///
    /// # Errors
    /// When one of them has a control byte other than a tab.
    pub fn new(uri: &str, host: &str, headers: &[(String, String)], keep_alive: bool) -> Result<Frame, EncodeError> {
        check("GET", uri.as_bytes())?;
        check("Host", host.as_bytes())?;
        let before = format!("GET {uri} HTTP/1.0\r\nHost: {host}\r\n");
        let mut behind = String::new();
        for (name, value) in headers {
            check(name, name.as_bytes())?;
            check(name, value.as_bytes())?;
            behind.extend([name, ": ", value, "\r\n"]);
        }
        behind.push_str(if keep_alive { "Connection: keep-alive\r\n\r\n" } else { "\r\n" });
        Ok(Frame { before: before.into(), behind: behind.into() })
    }
}

/// A question to an authentication server.
#[derive(Debug)]
pub struct Request<'a> {
    /// What is the same in each.
    pub frame: &'a Frame,
    /// The protocol the client speaks.
    pub protocol: Protocol,
    /// What it says.
    pub attempt: &'a Attempt,
    /// Who it is.
    pub client: Client<'a>,
    /// What is known of its TLS connection, if it has one.
    pub tls: Option<Tls<'a>>,
}

/// The client's connection.
#[derive(Debug)]
pub struct Client<'a> {
    /// `Client-IP`: an address, or `unix:`.
    pub ip: &'a str,
    /// `Client-Host`: SMTP only; left out if empty.
    pub host: Option<&'a str>,
    /// The PROXY protocol header it came with.
    pub proxy_protocol: Option<ProxyProtocol<'a>>,
}

/// The addresses of a PROXY protocol header.
#[derive(Debug)]
pub struct ProxyProtocol<'a> {
    /// Where the client comes from: address and port.
    pub source: (&'a str, u16),
    /// What it connected to: address and port.
    pub destination: (&'a str, u16),
}

/// A client's TLS connection. Headers whose value is empty are left out.
#[derive(Debug, Default)]
pub struct Tls<'a> {
    /// `Auth-SSL-Protocol`
    pub protocol: &'a str,
    /// `Auth-SSL-Cipher`
    pub cipher: &'a str,
    /// `Auth-SSL-Verify`
    pub verify: &'a str,
    /// `Auth-SSL-Subject`
    pub subject: &'a str,
    /// `Auth-SSL-Issuer`
    pub issuer: &'a str,
    /// `Auth-SSL-Serial`
    pub serial: &'a str,
    /// `Auth-SSL-Fingerprint`
    pub fingerprint: &'a str,
    /// `Auth-SSL-Cert`: the certificate in PEM; it is escaped.
    pub certificate: &'a str,
}

/// A value that would not be exactly one header line, or would carry a control byte into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("control character in \"{header}\" for auth http server")]
pub struct EncodeError {
    /// The header's name.
    pub header: String,
}

impl Request<'_> {
    /// The head, blank line included. It holds the password, hence a [`Secret`].
    ///
    /// # Errors
    /// When a value that nginx does not escape has a control byte other than a tab.
    pub fn encode(&self) -> Result<Secret, EncodeError> {
        let mut head = Head(Secret::with_capacity(1024));
        head.0.append(&self.frame.before);
        self.credentials(&mut head)?;
        self.connection(&mut head)?;
        self.transaction(&mut head)?;
        if let Some(tls) = &self.tls {
            tls.encode(&mut head)?;
        }
        head.0.append(&self.frame.behind);
        Ok(head.0)
    }

    fn credentials(&self, head: &mut Head) -> Result<(), EncodeError> {
        let attempt = self.attempt;
        head.line("Auth-Method", attempt.method.name().as_bytes());
        head.escaped("Auth-User", &attempt.user);
        head.escaped("Auth-Pass", attempt.password.expose());
        if matches!(attempt.method, Method::Apop | Method::CramMd5) {
            head.optional("Auth-Salt", attempt.salt.as_deref().unwrap_or_default())?;
        }
        head.line("Auth-Protocol", self.protocol.name().as_bytes());
        head.number("Auth-Login-Attempt", attempt.number);
        Ok(())
    }

    fn connection(&self, head: &mut Head) -> Result<(), EncodeError> {
        head.header("Client-IP", self.client.ip.as_bytes())?;
        head.optional("Client-Host", self.client.host.unwrap_or_default())?;
        if let Some(ProxyProtocol { source, destination }) = &self.client.proxy_protocol {
            head.header("Proxy-Protocol-Addr", source.0.as_bytes())?;
            head.number("Proxy-Protocol-Port", source.1.into());
            head.header("Proxy-Protocol-Server-Addr", destination.0.as_bytes())?;
            head.number("Proxy-Protocol-Server-Port", destination.1.into());
        }
        Ok(())
    }

    /// The mail transaction of a client that does not log in.
    fn transaction(&self, head: &mut Head) -> Result<(), EncodeError> {
        let Dialogue::Smtp { helo, envelope: Some(envelope), .. } = &self.attempt.dialogue else {
            return Ok(());
        };
        if self.attempt.method != Method::None {
            return Ok(());
        }
        head.header("Auth-SMTP-Helo", helo.as_deref().unwrap_or_default())?;
        head.header("Auth-SMTP-From", &envelope.mail)?;
        head.header("Auth-SMTP-To", &envelope.rcpt)
    }
}

impl Tls<'_> {
    fn encode(&self, head: &mut Head) -> Result<(), EncodeError> {
        head.line("Auth-SSL", b"on");
        head.optional("Auth-SSL-Protocol", self.protocol)?;
        head.optional("Auth-SSL-Cipher", self.cipher)?;
        head.optional("Auth-SSL-Verify", self.verify)?;
        head.optional("Auth-SSL-Subject", self.subject)?;
        head.optional("Auth-SSL-Issuer", self.issuer)?;
        head.optional("Auth-SSL-Serial", self.serial)?;
        head.optional("Auth-SSL-Fingerprint", self.fingerprint)?;
        if !self.certificate.is_empty() {
            head.escaped("Auth-SSL-Cert", self.certificate.as_bytes());
        }
        Ok(())
    }
}

/// The one way of a client's words into a request.
struct Head(Secret);

impl Head {
    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        check(name, value)?;
        self.line(name, value);
        Ok(())
    }

    fn optional(&mut self, name: &str, value: &str) -> Result<(), EncodeError> {
        if value.is_empty() { Ok(()) } else { self.header(name, value.as_bytes()) }
    }

    /// A header whose value is known to be good.
    fn line(&mut self, name: &str, value: &[u8]) {
        self.begin(name);
        self.0.append(value);
        self.0.append(b"\r\n");
    }

    fn number(&mut self, name: &str, number: u32) {
        self.begin(name);
        digits(number as usize, &mut |digit| self.0.append(&[digit]));
        self.0.append(b"\r\n");
    }

    /// A header whose value has bytes 0 to 32 and `%` written as `%XX`.
    fn escaped(&mut self, name: &str, value: &[u8]) {
        self.begin(name);
        let plain = value.iter().position(|byte| matches!(byte, 0..=32 | b'%')).unwrap_or(value.len());
        let (plain, others) = value.split_at(plain);
        self.0.append(plain);
        for byte in others {
            match byte {
                0..=32 | b'%' => self.0.append(&[b'%', hex(byte >> 4), hex(byte & 15)]),
                _ => self.0.append(&[*byte]),
            }
        }
        self.0.append(b"\r\n");
    }

    fn begin(&mut self, name: &str) {
        self.0.append(name.as_bytes());
        self.0.append(b": ");
    }
}

fn check(header: &str, bytes: &[u8]) -> Result<(), EncodeError> {
    // All bytes are looked at, which takes fewer steps than to stop at the first that is bad.
    if bytes.iter().fold(false, |bad, byte| bad | (*byte < b' ' && *byte != b'\t')) {
        return Err(EncodeError { header: crate::printable(header.as_bytes()) });
    }
    Ok(())
}

fn hex(nibble: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(nibble)]
}
