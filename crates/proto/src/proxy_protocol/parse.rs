//! Taking a header apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Addresses, SIGNATURE, TLV_CRC32C, V1_MAX, V2_FIXED, crc32c};
use crate::printable;

/// The longest header that is taken, bytes: nginx's.
pub const MAX_HEADER: usize = 4096;

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// It goes on. All the bytes given belong to it.
    NeedMore,
    /// It is whole.
    Header {
        /// Its length, bytes; what follows is the client's.
        length: usize,
        /// What it tells. Nothing if the other side speaks for itself (version 1: UNKNOWN; version 2: LOCAL) or the
        /// connection is not TCP: the addresses of the socket are good then.
        addresses: Option<Addresses>,
    },
}

/// Why a header is refused. `Display` gives the log line, in nginx's words where it has any.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is not a header.
    #[error("broken header: \"{}\"", printable(.start))]
    Broken {
        /// The first line of it, as far as it came.
        start: Vec<u8>,
    },
    /// The signature of version 2, and another version behind it.
    #[error("unknown PROXY protocol version: {0}")]
    Version(u8),
    /// It is longer than [`MAX_HEADER`].
    #[error("header is too large")]
    TooLarge,
    /// Version 2: the addresses do not fit its length.
    #[error("header is too short for its addresses")]
    TooShort,
    /// Version 2: an additional field does not fit its length.
    #[error("broken PROXY protocol TLV")]
    Tlv,
    /// Version 2: the checksum is wrong.
    #[error("wrong checksum of PROXY protocol header")]
    Checksum,
}

/// Parses all the bytes that have arrived so far.
///
/// Unlike nginx it takes a header in any pieces, wants the addresses of version 1 to be addresses, and checks the
/// additional fields of version 2. The source must be of the family that the header names; the destination need not be,
/// since [`v1`](super::v1) does the same.
///
/// # Errors
/// As soon as the bytes cannot become a header.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    if starts(bytes, &SIGNATURE) {
        return parse_v2(bytes);
    }
    if starts(bytes, b"PROXY ")
        && let Some(parsed) = parse_v1(&bytes[..bytes.len().min(V1_MAX)])
    {
        return Ok(parsed);
    }
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    Err(HeaderError::Broken { start: bytes[..end.min(V1_MAX)].to_vec() })
}

/// Whether the bytes begin with this, as far as they go.
fn starts(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(a, b)| a == b)
}

/// `None` if the header is broken.
fn parse_v1(bytes: &[u8]) -> Option<Parsed> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return (bytes.len() < V1_MAX).then_some(Parsed::NeedMore);
    };
    let line = std::str::from_utf8(bytes[..end].strip_suffix(b"\r")?).ok()?;
    let (ipv4, rest) = match line.strip_prefix("PROXY ")?.split_at_checked(5) {
        Some(("TCP4 ", rest)) => (true, rest),
        Some(("TCP6 ", rest)) => (false, rest),
        _ => return line.starts_with("PROXY UNKNOWN").then_some(Parsed::Header { length: end + 1, addresses: None }),
    };
    let mut fields = rest.split(' ');
    let source = fields.next()?.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == ipv4)?;
    let destination = fields.next()?.parse::<IpAddr>().ok()?;
    let source = SocketAddr::new(source, port(fields.next()?)?);
    let destination = SocketAddr::new(destination, port(fields.next()?)?);
    let addresses = Some(Addresses { source, destination });
    fields.next().is_none().then_some(Parsed::Header { length: end + 1, addresses })
}

fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    if let Some(version) = bytes.get(SIGNATURE.len()).map(|byte| byte >> 4).filter(|version| *version != 2) {
        return Err(HeaderError::Version(version));
    }
    let Some((&[.., command, family, high, low], rest)) = bytes.split_first_chunk::<V2_FIXED>() else {
        return Ok(Parsed::NeedMore);
    };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER {
        return Err(HeaderError::TooLarge);
    }
    if bytes.len() < length {
        return Ok(Parsed::NeedMore);
    }
    let ignored = Parsed::Header { length, addresses: None };
    // LOCAL, and commands yet to come: nginx goes on with the addresses of the socket.
    if command & 0x0F != 1 {
        return Ok(ignored);
    }
    let (addresses, block) = match family >> 4 {
        1 => (ipv4(rest), 12),
        2 => (ipv6(rest), 36),
        3 => (None, 216),
        _ => return Ok(ignored),
    };
    if length < V2_FIXED + block {
        return Err(HeaderError::TooShort);
    }
    check_tlvs(&bytes[..length], V2_FIXED + block)?;
    let stream = family & 0x0F == 1;
    Ok(Parsed::Header { length, addresses: addresses.filter(|_| stream) })
}

fn ipv4(block: &[u8]) -> Option<Addresses> {
    let (&[a, b, c, d, e, f, g, h, ports @ ..], _) = block.split_first_chunk::<12>()?;
    Some(addresses(Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into(), ports))
}

fn ipv6(block: &[u8]) -> Option<Addresses> {
    let (source, block) = block.split_first_chunk::<16>()?;
    let (destination, block) = block.split_first_chunk::<16>()?;
    let (ports, _) = block.split_first_chunk::<4>()?;
    Some(addresses(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), *ports))
}

fn addresses(source: IpAddr, destination: IpAddr, [a, b, c, d]: [u8; 4]) -> Addresses {
    Addresses {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    }
}

/// Checks the additional fields, which begin at `start`.
fn check_tlvs(header: &[u8], start: usize) -> Result<(), HeaderError> {
    let mut at = start;
    while at < header.len() {
        let (&[kind, high, low], rest) = header[at..].split_first_chunk::<3>().ok_or(HeaderError::Tlv)?;
        let value = rest.get(..usize::from(u16::from_be_bytes([high, low]))).ok_or(HeaderError::Tlv)?;
        at += 3;
        if kind == TLV_CRC32C {
            check_crc32c(header, at, value)?;
        }
        at += value.len();
    }
    Ok(())
}

/// The checksum is that of the whole header with zeros in its own place.
fn check_crc32c(header: &[u8], at: usize, value: &[u8]) -> Result<(), HeaderError> {
    let value: [u8; 4] = value.try_into().map_err(|_| HeaderError::Tlv)?;
    let zeroed = header[..at].iter().chain(&[0; 4]).chain(&header[at + 4..]);
    match crc32c::checksum(zeroed.copied()) == u32::from_be_bytes(value) {
        true => Ok(()),
        false => Err(HeaderError::Checksum),
    }
}
