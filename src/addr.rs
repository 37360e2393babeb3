//! Addresses of sockets, written as nginx writes them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Where a socket is bound or connected: an IP address and port, or a Unix domain socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// `192.0.2.1:143`, `[2001:db8::1]:143`.
    Ip(SocketAddr),
    /// `unix:/path`; the path is empty for a peer whose socket has no name.
    Unix(PathBuf),
}

impl Address {
    /// A Unix domain socket without a name, as clients have it.
    pub fn nameless() -> Address {
        Address::Unix(PathBuf::new())
    }

    /// The IP address and port, if it has them.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// The IP address, if it has one. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) stays as it is.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Address::Ip(address) => Some(address.ip()),
            Address::Unix(_) => None,
        }
    }

    /// The port; 0 for a Unix domain socket.
    pub fn port(&self) -> u16 {
        match self {
            Address::Ip(address) => address.port(),
            Address::Unix(_) => 0,
        }
    }

    /// The address alone, as in `Client-IP` and in the log's `client: `: without port, without brackets, `unix:` for a
    /// Unix domain socket.
    pub fn host(&self) -> String {
        match self {
            Address::Ip(SocketAddr::V4(address)) => dotted(address.ip().octets()),
            Address::Ip(SocketAddr::V6(address)) => address.ip().to_string(),
            Address::Unix(_) => "unix:".to_string(),
        }
    }
}

/// An IPv4 address in text, as its `Display` has it: that takes ten times as long, and each login needs it twice.
fn dotted(octets: [u8; 4]) -> String {
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, octet) in octets.into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        for (unit, least) in [(100, 100), (10, 10), (1, 0)] {
            if octet >= least {
                text.push(char::from(b'0' + octet / unit % 10));
            }
        }
    }
    text
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_is_written_like_the_standard_library_writes_it() {
        for octet in 0..=255 {
            let address = std::net::Ipv4Addr::new(octet, 0, 255, octet);
            assert_eq!(dotted(address.octets()), address.to_string());
        }
    }
}
