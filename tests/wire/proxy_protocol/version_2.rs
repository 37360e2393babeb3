//! Headers of version 2, written out for the tests.

use std::net::{IpAddr, SocketAddr};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2 with LOCAL, and with PROXY.
pub(super) const LOCAL: u8 = 0x20;
pub(super) const PROXY: u8 = 0x21;

/// A header with this command, these families and this behind its length.
pub(super) fn header(command: u8, families: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, families], &length, rest].concat()
}

/// Families and addresses of a TCP connection; both must be of one family.
pub(super) fn tcp(source: SocketAddr, destination: SocketAddr) -> (u8, Vec<u8>) {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let families = if source.is_ipv4() { 0x11 } else { 0x21 };
    (families, [octets(source.ip()), octets(destination.ip()), ports].concat())
}

/// A header with a checksum as its only TLV.
pub(super) fn with_checksum(command: u8, families: u8, addresses: &[u8]) -> Vec<u8> {
    let mut bytes = header(command, families, &[addresses, b"\x03\0\x04\0\0\0\0"].concat());
    let checksum = crc32c(&bytes).to_be_bytes();
    let end = bytes.len() - checksum.len();
    bytes[end..].copy_from_slice(&checksum);
    bytes
}

/// CRC32c, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| (crc >> 1) ^ (if crc & 1 == 1 { 0x82f6_3b78 } else { 0 });
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), shift))
}

#[test]
fn crc32c_of_the_usual_example() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}
