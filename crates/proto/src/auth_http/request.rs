//! The head of the request, in nginx's order and spelling.

use crate::{Attempt, Dialogue, Method, Protocol, Secret};

/// A question to an authentication server.
#[derive(Debug)]
pub struct Request<'a> {
    /// What is asked for (`auth_http`'s path, `/` if it has none).
    pub uri: &'a str,
    /// The header `Host`.
    pub host: &'a str,
    /// The protocol the client speaks.
    pub protocol: Protocol,
    /// What it says.
    pub attempt: &'a Attempt,
    /// Who it is.
    pub client: Client<'a>,
    /// What is known of its TLS connection, if it has one.
    pub tls: Option<Tls<'a>>,
    /// `auth_http_header`, in order.
    pub headers: &'a [(String, String)],
    /// Whether the server may keep the connection open: adds `Connection: keep-alive` as the last line.
    pub keep_alive: bool,
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
        let mut head = Head::new();
        head.request_line(self.uri)?;
        head.header("Host", self.host)?;
        self.credentials(&mut head)?;
        self.connection(&mut head)?;
        self.transaction(&mut head)?;
        if let Some(tls) = &self.tls {
            tls.encode(&mut head)?;
        }
        for (name, value) in self.headers {
            head.header(name, value)?;
        }
        if self.keep_alive {
            head.header("Connection", "keep-alive")?;
        }
        Ok(head.finish())
    }

    fn credentials(&self, head: &mut Head) -> Result<(), EncodeError> {
        let attempt = self.attempt;
        head.header("Auth-Method", attempt.method.name())?;
        head.escaped("Auth-User", &attempt.user)?;
        head.escaped("Auth-Pass", attempt.password.expose())?;
        if matches!(attempt.method, Method::Apop | Method::CramMd5) {
            head.optional("Auth-Salt", attempt.salt.as_deref().unwrap_or_default())?;
        }
        head.header("Auth-Protocol", self.protocol.name())?;
        head.header("Auth-Login-Attempt", attempt.number.to_string())
    }

    fn connection(&self, head: &mut Head) -> Result<(), EncodeError> {
        head.header("Client-IP", self.client.ip)?;
        head.optional("Client-Host", self.client.host.unwrap_or_default())?;
        if let Some(ProxyProtocol { source, destination }) = &self.client.proxy_protocol {
            head.header("Proxy-Protocol-Addr", source.0)?;
            head.header("Proxy-Protocol-Port", source.1.to_string())?;
            head.header("Proxy-Protocol-Server-Addr", destination.0)?;
            head.header("Proxy-Protocol-Server-Port", destination.1.to_string())?;
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
        head.header("Auth-SSL", "on")?;
        head.optional("Auth-SSL-Protocol", self.protocol)?;
        head.optional("Auth-SSL-Cipher", self.cipher)?;
        head.optional("Auth-SSL-Verify", self.verify)?;
        head.optional("Auth-SSL-Subject", self.subject)?;
        head.optional("Auth-SSL-Issuer", self.issuer)?;
        head.optional("Auth-SSL-Serial", self.serial)?;
        head.optional("Auth-SSL-Fingerprint", self.fingerprint)?;
        if self.certificate.is_empty() {
            return Ok(());
        }
        head.escaped("Auth-SSL-Cert", self.certificate.as_bytes())
    }
}

/// The one way into a request. It grows by wiping: no freed memory keeps a password.
struct Head {
    bytes: Vec<u8>,
}

impl Head {
    fn new() -> Head {
        Head { bytes: Vec::with_capacity(1024) }
    }

    fn request_line(&mut self, uri: &str) -> Result<(), EncodeError> {
        check("GET", uri.as_bytes())?;
        self.put(&[b"GET ", uri.as_bytes(), b" HTTP/1.0\r\n"]);
        Ok(())
    }

    fn header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EncodeError> {
        check(name, name.as_bytes())?;
        check(name, value.as_ref())?;
        self.put(&[name.as_bytes(), b": ", value.as_ref(), b"\r\n"]);
        Ok(())
    }

    fn optional(&mut self, name: &str, value: &str) -> Result<(), EncodeError> {
        if value.is_empty() { Ok(()) } else { self.header(name, value) }
    }

    /// A header whose value has bytes 0 to 32 and `%` written as `%XX`.
    fn escaped(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        let mut text = Vec::with_capacity(3 * value.len());
        for byte in value {
            match byte {
                0..=32 | b'%' => text.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]),
                _ => text.push(*byte),
            }
        }
        let text = Secret::new(text);
        self.put(&[name.as_bytes(), b": ", text.expose(), b"\r\n"]);
        Ok(())
    }

    fn put(&mut self, parts: &[&[u8]]) {
        let wanted = self.bytes.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        if wanted > self.bytes.capacity() {
            let mut larger = Vec::with_capacity(2 * wanted);
            larger.extend_from_slice(&self.bytes);
            drop(Secret::new(std::mem::replace(&mut self.bytes, larger)));
        }
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }

    fn finish(mut self) -> Secret {
        self.put(&[b"\r\n"]);
        Secret::new(std::mem::take(&mut self.bytes))
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        drop(Secret::new(std::mem::take(&mut self.bytes)));
    }
}

fn check(header: &str, bytes: &[u8]) -> Result<(), EncodeError> {
    if bytes.iter().any(|byte| *byte < b' ' && *byte != b'\t') {
        return Err(EncodeError { header: crate::printable(header.as_bytes()) });
    }
    Ok(())
}

fn hex(nibble: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(nibble)]
}
