//! Addresses as nginx reads them: `host[:port]`, `[v6][:port]`, `unix:path`, a port alone, a URI behind it, CIDR blocks.
//!
//! A host name stays a name: to look it up is the caller's affair.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::value;

/// The longest path of a Unix domain socket, bytes.
const LONGEST_PATH: usize = 107;

/// What may be written, besides a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A host and perhaps a port.
    Plain,
    /// The same, and perhaps a URI.
    WithUri,
    /// `listen`: a port alone, `*`, a range of ports too.
    Listen,
}

/// An address as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<'a> {
    /// Where.
    pub host: Host<'a>,
    /// The host's text: a name or address, in brackets if it was, or the path of a socket; empty for a port alone.
    pub host_text: &'a str,
    /// The ports, if any is written.
    pub ports: Option<RangeInclusive<u16>>,
    /// The URI as written, which may be empty.
    pub uri: &'a str,
}

/// The host part of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host<'a> {
    /// A literal address.
    Ip(IpAddr),
    /// A name.
    Name(&'a str),
    /// The path of a Unix domain socket.
    Unix(&'a str),
}

/// Reads an address.
///
/// # Errors
/// In nginx's words, for ` in "..." of the "..." directive` to follow.
pub fn parse(text: &str, form: Form) -> Result<Written<'_>, &'static str> {
    if text.len() >= 5 && text.as_bytes()[..5].eq_ignore_ascii_case(b"unix:") {
        return unix(&text[5..], form);
    }
    match text.strip_prefix('[') {
        Some(rest) => v6(text, rest, form),
        None => v4_or_name(text, form),
    }
}

fn unix(text: &str, form: Form) -> Result<Written<'_>, &'static str> {
    let (path, uri) = match (form, text.split_once(':')) {
        (Form::WithUri, Some((path, uri))) => (path, uri),
        _ => (text, ""),
    };
    match path.len() {
        0 => Err("no path in the unix domain socket"),
        1..=LONGEST_PATH => Ok(Written { host: Host::Unix(path), host_text: path, ports: None, uri }),
        _ => Err("too long path in the unix domain socket"),
    }
}

fn v6<'a>(text: &'a str, rest: &'a str, form: Form) -> Result<Written<'a>, &'static str> {
    let (host, after) = rest.split_once(']').ok_or("invalid host")?;
    let (port, uri) = after.split_at(after.find('/').unwrap_or(after.len()));
    if !uri.is_empty() && form != Form::WithUri {
        return Err("invalid host");
    }
    let ports = match (port.is_empty(), port.strip_prefix(':')) {
        (true, _) => None,
        (false, Some(port)) => Some(port_range(port, form)?),
        (false, None) => return Err("invalid host"),
    };
    if host.is_empty() {
        return Err("no host");
    }
    let address: Ipv6Addr = host.parse().map_err(|_| "invalid IPv6 address")?;
    Ok(Written { host: Host::Ip(address.into()), host_text: &text[..host.len() + 2], ports, uri })
}

fn v4_or_name(text: &str, form: Form) -> Result<Written<'_>, &'static str> {
    let (text, uri) = text.split_at(text.find(['/', '?']).unwrap_or(text.len()));
    if !uri.is_empty() && form != Form::WithUri {
        return Err("invalid host");
    }
    let (host, ports) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port_range(port, form)?)),
        None if form == Form::Listen => match port_alone(text)? {
            Some(ports) => return Ok(Written { host: ANY, host_text: "", ports: Some(ports), uri }),
            None => (text, None),
        },
        None => (text, None),
    };
    let found = match (host, form) {
        ("", _) => return Err("no host"),
        ("*", Form::Listen) => ANY,
        _ => ipv4(host).map_or(Host::Name(host), |address| Host::Ip(address.into())),
    };
    Ok(Written { host: found, host_text: host, ports, uri })
}

const ANY: Host<'static> = Host::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

/// A text that is a port, or two with a dash, and nothing else; none if it looks like a host.
fn port_alone(text: &str) -> Result<Option<RangeInclusive<u16>>, &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (value::number(first), value::number(last)) {
        (Some(_), Some(_)) => port_range(text, Form::Listen).map(Some),
        _ => Ok(None),
    }
}

fn port_range(text: &str, form: Form) -> Result<RangeInclusive<u16>, &'static str> {
    let Some((first, last)) = text.split_once('-').filter(|_| form == Form::Listen) else {
        let port = port(text)?;
        return Ok(port..=port);
    };
    let (last, first) = (port(last)?, port(first)?);
    match first <= last {
        true => Ok(first..=last),
        false => Err("invalid port range"),
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    let number = value::number(text).and_then(|number| u16::try_from(number).ok());
    number.filter(|port| *port != 0).ok_or("invalid port")
}

/// An IPv4 address in four decimal parts; leading zeros do no harm.
pub fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        *octet = value::number(part).and_then(|number| u8::try_from(number).ok())?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// Its first address.
    pub address: IpAddr,
    /// The length of the prefix, bits.
    pub prefix: u8,
    /// The text had bits set behind the prefix.
    pub low_bits: bool,
}

/// Reads an address or a CIDR block; none if the text is something else.
pub fn cidr(text: &str) -> Option<Cidr> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address = ipv4(address).map(IpAddr::from).or_else(|| address.parse::<Ipv6Addr>().ok().map(IpAddr::from))?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => bits,
        Some(prefix) => value::number(prefix).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= bits)?,
    };
    let network = mask(address, bits - prefix);
    Some(Cidr { address: network, prefix, low_bits: network != address })
}

/// The address with its lowest bits zeroed.
fn mask(address: IpAddr, host_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(host_bits.into()).unwrap_or(0);
            Ipv4Addr::from(u32::from(v4) & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(host_bits.into()).unwrap_or(0);
            Ipv6Addr::from(u128::from(v6) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn show(text: &str, form: Form) -> Result<String, &'static str> {
        parse(text, form).map(|written| {
            let host = match written.host {
                Host::Ip(ip) => ip.to_string(),
                Host::Name(name) => format!("name {name}"),
                Host::Unix(path) => format!("unix {path}"),
            };
            let ports = written.ports.map_or(String::new(), |ports| format!(" {}-{}", ports.start(), ports.end()));
            format!("{host}{ports}{}", if written.uri.is_empty() { String::new() } else { format!(" {}", written.uri) })
        })
    }

    #[test]
    fn listen() {
        for (text, expected) in [
            ("143", Ok("0.0.0.0 143-143")),
            ("143-145", Ok("0.0.0.0 143-145")),
            ("*:143", Ok("0.0.0.0 143-143")),
            ("*", Ok("0.0.0.0")),
            ("127.0.0.1", Ok("127.0.0.1")),
            ("127.0.0.1:143", Ok("127.0.0.1 143-143")),
            ("127.000.0.1:0143", Ok("127.0.0.1 143-143")),
            ("127.0.0.1:143-145", Ok("127.0.0.1 143-145")),
            ("localhost:143", Ok("name localhost 143-143")),
            ("mail-1", Ok("name mail-1")),
            ("256.0.0.1:1", Ok("name 256.0.0.1 1-1")),
            ("[::1]:143", Ok("::1 143-143")),
            ("[::]", Ok("::")),
            ("unix:/run/x.sock", Ok("unix /run/x.sock")),
            ("UNIX:/a:b", Ok("unix /a:b")),
            ("0", Err("invalid port")),
            ("65536", Err("invalid port")),
            ("127.0.0.1:0", Err("invalid port")),
            ("127.0.0.1:x", Err("invalid port")),
            ("127.0.0.1:", Err("invalid port")),
            ("145-143", Err("invalid port range")),
            (":143", Err("no host")),
            ("", Err("no host")),
            ("127.0.0.1/24", Err("invalid host")),
            ("[::1", Err("invalid host")),
            ("[::1]143", Err("invalid host")),
            ("[]:143", Err("no host")),
            ("[::x]:143", Err("invalid IPv6 address")),
            ("unix:", Err("no path in the unix domain socket")),
        ] {
            assert_eq!(show(text, Form::Listen).as_deref(), expected.as_ref().map(|s| *s), "{text}");
        }
        let path = format!("unix:{}", "x".repeat(108));
        assert_eq!(show(&path, Form::Listen), Err("too long path in the unix domain socket"));
    }

    #[test]
    fn uris() {
        for (text, expected) in [
            ("127.0.0.1:9000/cgi/auth", Ok("127.0.0.1 9000-9000 /cgi/auth")),
            ("auth.example/a:b", Ok("name auth.example /a:b")),
            ("auth.example?a/b", Ok("name auth.example ?a/b")),
            ("[::1]:80/x", Ok("::1 80-80 /x")),
            ("unix:/run/a.sock:/uri", Ok("unix /run/a.sock /uri")),
            ("https://auth.example/", Err("invalid port")),
            ("/auth", Err("no host")),
            ("*", Ok("name *")),
        ] {
            assert_eq!(show(text, Form::WithUri).as_deref(), expected.as_ref().map(|s| *s), "{text}");
        }
        assert_eq!(show("127.0.0.1:53-54", Form::Plain), Err("invalid port"));
    }

    #[test]
    fn blocks_of_addresses() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1/32")),
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("192.0.2.1/24", Some("192.0.2.0/24 low")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("1.2.3.4/0", Some("0.0.0.0/0 low")),
            ("2001:db8::1/32", Some("2001:db8::/32 low")),
            ("::/0", Some("::/0")),
            ("192.0.2.0/33", None),
            ("::/129", None),
            ("192.0.2.0/", None),
            ("localhost", None),
            ("192.0.2", None),
        ] {
            let show = |c: Cidr| format!("{}/{}{}", c.address, c.prefix, if c.low_bits { " low" } else { "" });
            assert_eq!(cidr(text).map(show).as_deref(), expected, "{text}");
        }
    }
}
