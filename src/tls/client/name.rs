//! Names of servers.

use std::fmt;
use std::net::IpAddr;

use crate::addr::Address;

/// What a server is known by, and its certificate must be for. `Display` is the name as the log has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// A DNS name, without a dot at its end.
    Host(String),
    /// An IP address, which is no name for SNI (RFC 6066, section 3).
    Ip(IpAddr),
    /// None: it is at this Unix domain socket, which no certificate is for.
    Nameless(String),
}

impl Name {
    /// An IP address, in brackets or not, or else a host name.
    pub fn parse(text: &str) -> Name {
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        match inner.parse() {
            Ok(ip) => Name::Ip(ip),
            Err(_) => Name::Host(text.strip_suffix('.').unwrap_or(text).to_owned()),
        }
    }

    /// The name of a server of which no more than the address is known.
    pub fn of(address: &Address) -> Name {
        address.ip().map_or_else(|| Name::Nameless(address.to_string()), Name::Ip)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Host(text) | Name::Nameless(text) => f.write_str(text),
            Name::Ip(ip) => ip.fmt(f),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        assert_eq!(Name::parse("mail.example."), Name::Host("mail.example".into()));
        assert_eq!(Name::parse("."), Name::Host(String::new()));
        assert_eq!(Name::parse("192.0.2.1"), Name::Ip("192.0.2.1".parse().unwrap()));
        assert_eq!(Name::parse("[2001:db8::1]"), Name::Ip("2001:db8::1".parse().unwrap()));
        assert_eq!(Name::parse("2001:db8::1").to_string(), "2001:db8::1");
        assert_eq!(Name::of(&Address::Unix("/x".into())).to_string(), "unix:/x");
        assert_eq!(Name::of(&Address::Ip("127.0.0.1:143".parse().unwrap())).to_string(), "127.0.0.1");
    }
}
