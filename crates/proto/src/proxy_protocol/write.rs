//! Making a header, as nginx makes it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Addresses, SIGNATURE, TLV_CRC32C, V2_FIXED, crc32c};

/// A header of version 1. Without addresses (a client on a Unix domain socket) it says `UNKNOWN`. Where the families
/// differ, it names that of the source, and each address is written as what it is.
pub fn v1(addresses: Option<&Addresses>) -> Vec<u8> {
    let Some(Addresses { source, destination }) = addresses else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

/// A header of version 2, with checksum. Without addresses (a client on a Unix domain socket) its command is LOCAL. Where
/// the families differ, both addresses are written as IPv6 (`::ffff:192.0.2.1`); two such addresses are written as IPv4.
pub fn v2(addresses: Option<&Addresses>) -> Vec<u8> {
    let (command, family, block) = match addresses {
        None => (0x20, 0x00, Vec::new()),
        Some(addresses) => match both_ipv4(addresses) {
            Some((source, destination)) => (0x21, 0x11, block(addresses, source.octets(), destination.octets())),
            None => {
                let (source, destination) = (ipv6(&addresses.source), ipv6(&addresses.destination));
                (0x21, 0x21, block(addresses, source.octets(), destination.octets()))
            }
        },
    };
    let tlv = [TLV_CRC32C, 0, 4, 0, 0, 0, 0];
    let mut header = Vec::with_capacity(V2_FIXED + block.len() + tlv.len());
    header.extend(SIGNATURE);
    header.extend([command, family, 0, (block.len() + tlv.len()) as u8]);
    header.extend(block);
    header.extend(tlv);
    let checksum = crc32c::checksum(header.iter().copied());
    let value = header.len() - 4;
    header[value..].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// Both addresses as IPv4, if they are of one family and can be.
fn both_ipv4(addresses: &Addresses) -> Option<(std::net::Ipv4Addr, std::net::Ipv4Addr)> {
    match (addresses.source.ip(), addresses.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Some((source, destination)),
        (IpAddr::V6(source), IpAddr::V6(destination)) => source.to_ipv4_mapped().zip(destination.to_ipv4_mapped()),
        _ => None,
    }
}

fn ipv6(address: &SocketAddr) -> Ipv6Addr {
    match address.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn block<const N: usize>(addresses: &Addresses, source: [u8; N], destination: [u8; N]) -> Vec<u8> {
    let ports = [addresses.source.port().to_be_bytes(), addresses.destination.port().to_be_bytes()];
    [&source[..], &destination[..], ports.as_flattened()].concat()
}

#[cfg(test)]
mod tests {
    use super::super::tests::V2_OF_NGINX;
    use super::*;

    fn addresses(source: &str, destination: &str) -> Addresses {
        let parse = |text: &str| text.parse().expect("an address");
        Addresses { source: parse(source), destination: parse(destination) }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn version_1() {
        let table = [
            ("192.0.2.1:5000", "192.0.2.2:143", "PROXY TCP4 192.0.2.1 192.0.2.2 5000 143\r\n"),
            ("[2001:db8::1]:5000", "[::1]:143", "PROXY TCP6 2001:db8::1 ::1 5000 143\r\n"),
            ("[2001:db8::1]:5000", "127.0.0.1:143", "PROXY TCP6 2001:db8::1 127.0.0.1 5000 143\r\n"),
            ("192.0.2.1:5000", "[::1]:143", "PROXY TCP4 192.0.2.1 ::1 5000 143\r\n"),
            ("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n"),
        ];
        for (source, destination, expected) in table {
            assert_eq!(v1(Some(&addresses(source, destination))), expected.as_bytes());
        }
        assert_eq!(v1(None), b"PROXY UNKNOWN\r\n");
    }

    /// The expected bytes are those of nginx 1.31.5.
    #[test]
    fn version_2() {
        for (source, destination, expected) in V2_OF_NGINX {
            let header = match *source {
                "unix:" => v2(None),
                source => v2(Some(&addresses(source, destination))),
            };
            assert_eq!(hex(&header), *expected, "{source} {destination}");
        }
    }

    #[test]
    fn version_2_demotes_mapped_addresses() {
        assert_eq!(
            v2(Some(&addresses("[::ffff:192.0.2.1]:5000", "[::ffff:127.0.0.1]:143"))),
            v2(Some(&addresses("192.0.2.1:5000", "127.0.0.1:143")))
        );
    }
}
