//! The PROXY protocol, versions 1 and 2: a header that tells whom a connection is made for.
//!
//! Specification: `doc/proxy-protocol.txt` of HAProxy. [`parse()`] takes a header in any pieces, [`v1`] and [`v2`] make one.
//!
//! Known gaps: of the additional fields of version 2 only the checksum is looked at, and written.

mod crc32c;
mod parse;
mod write;

use std::net::SocketAddr;

pub use parse::{HeaderError, MAX_HEADER, Parsed, parse};
pub use write::{v1, v2};

/// The two ends of a connection that is proxied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Who connected.
    pub source: SocketAddr,
    /// What they connected to.
    pub destination: SocketAddr,
}

/// How every header of version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, with its line end.
const V1_MAX: usize = 107;

/// The signature, the version and command, the family and transport, and the length of the rest.
const V2_FIXED: usize = 16;

const TLV_CRC32C: u8 = 3;

#[cfg(test)]
mod tests;
