//! The protocols, and how a connection is secured.

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Imap,
    Pop3,
    Smtp,
}

impl Protocol {
    pub(crate) const ALL: [Protocol; 3] = [Protocol::Imap, Protocol::Pop3, Protocol::Smtp];

    /// As in `protocol` and in `Auth-Protocol`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
            Protocol::Smtp => "smtp",
        }
    }
}

/// How a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    /// TLS 1.3, full handshake, a certificate with a key on P-256.
    Ecdsa,
    /// TLS 1.3, full handshake, a certificate with an RSA key of 2048 bits.
    Rsa,
    /// TLS 1.3, an earlier session resumed with a ticket.
    Resumed,
}

impl Security {
    /// Those that have a port of their own.
    pub(crate) const LISTENERS: [Security; 3] = [Security::Plain, Security::Ecdsa, Security::Rsa];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Security::Plain => "plain",
            Security::Ecdsa => "TLS, ECDSA",
            Security::Rsa => "TLS, RSA",
            Security::Resumed => "TLS, resumed",
        }
    }

    /// Whose port it uses.
    pub(crate) fn listener(self) -> Security {
        if self == Security::Resumed { Security::Ecdsa } else { self }
    }
}
