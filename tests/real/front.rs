//! Where a client finds the proxy, and what it has to do about TLS.

use std::fmt;
use std::net::SocketAddr;

use crate::site::site;

/// What a client does about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// Nothing.
    Plain,
    /// TLS from the first byte.
    Tls,
    /// STARTTLS or STLS.
    StartTls,
}

/// One of the proxy's `listen`s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) security: Security,
}

impl Front {
    /// `imap` or `imaps`, and the like.
    pub(crate) fn scheme(&self, protocol: &str) -> String {
        let suffix = if self.security == Security::Tls { "s" } else { "" };
        format!("{protocol}{suffix}")
    }

    /// One of three: for each kind of TLS another.
    pub(crate) fn choose<T>(&self, plain: T, tls: T, starttls: T) -> T {
        match self.security {
            Security::Plain => plain,
            Security::Tls => tls,
            Security::StartTls => starttls,
        }
    }
}

/// As the scripts in `python/` take it.
impl fmt::Display for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.choose("plain", "tls", "starttls"), self.address)
    }
}

/// The file of the authorities that clients trust.
pub(crate) fn authorities() -> String {
    site().pki.file("root.crt")
}
