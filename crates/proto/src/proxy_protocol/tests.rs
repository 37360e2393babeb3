#![allow(clippy::unwrap_used)]

use super::*;

/// Source, destination, and the header that nginx 1.31.5 writes for them.
pub(super) const V2_OF_NGINX: &[(&str, &str, &str)] = &[
    ("192.0.2.1:5000", "127.0.0.1:54409", "0d0a0d0a000d0a515549540a21110013c00002017f0000011388d4890300049c2bd9ba"),
    (
        "[2001:db8::1]:5000",
        "[::1]:37217",
        "0d0a0d0a000d0a515549540a2121002b20010db80000000000000000000000010000000000000000000000000000000113889161030004\
         fa2f78a3",
    ),
    (
        "[2001:db8::1]:5000",
        "127.0.0.1:54409",
        "0d0a0d0a000d0a515549540a2121002b20010db800000000000000000000000100000000000000000000ffff7f0000011388d489030004\
         4c84bb14",
    ),
    (
        "192.0.2.1:5000",
        "[::1]:37217",
        "0d0a0d0a000d0a515549540a2121002b00000000000000000000ffffc00002010000000000000000000000000000000113889161030004\
         63ad5286",
    ),
    ("unix:", "unix:", "0d0a0d0a000d0a515549540a20000007030004a9b87e8f"),
];

/// Parses with every length of the beginning, and wants one answer: `NeedMore` up to the header's end, or the same error
/// from some point on.
fn in_pieces(bytes: &[u8]) -> Result<Option<(String, String)>, String> {
    let whole = parse(bytes);
    for end in 0..=bytes.len() {
        match (parse(&bytes[..end]), &whole) {
            (Ok(Parsed::NeedMore), Ok(Parsed::Header { length, .. })) => assert!(end < *length, "{end}"),
            (Ok(Parsed::NeedMore), _) => assert!(end < bytes.len(), "not decided at the end"),
            (part @ Ok(Parsed::Header { length, .. }), whole) => assert!(end >= length && part == *whole, "{end}"),
            (Err(error), Err(whole)) => assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(whole)),
            (Err(error), Ok(_)) => panic!("{error} at {end} of a good header"),
        }
    }
    match whole.map_err(|error| error.to_string())? {
        Parsed::NeedMore => panic!("not whole"),
        Parsed::Header { length, addresses } => {
            assert_eq!(&bytes[length..], b"rest");
            Ok(addresses.map(|Addresses { source, destination }| (source.to_string(), destination.to_string())))
        }
    }
}

fn good(bytes: &[u8], source: &str, destination: &str) {
    let expected = (!source.is_empty()).then(|| (source.to_string(), destination.to_string()));
    assert_eq!(in_pieces(&[bytes, b"rest"].concat()), Ok(expected), "{}", bytes.escape_ascii());
}

fn bad(bytes: &[u8], message: &str) {
    assert_eq!(in_pieces(bytes), Err(message.to_string()), "{}", bytes.escape_ascii());
}

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, rest].concat()
}

#[test]
fn good_version_1() {
    good(b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 143\r\n", "192.0.2.1:5000", "192.0.2.2:143");
    good(b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", "[2001:db8::1]:0", "[::1]:65535");
    good(b"PROXY TCP6 2001:db8::1 127.0.0.1 5000 143\r\n", "[2001:db8::1]:5000", "127.0.0.1:143");
    good(b"PROXY TCP4 192.0.2.1 192.0.2.2 05 143\r\n", "192.0.2.1:5", "192.0.2.2:143");
    good(b"PROXY UNKNOWN\r\n", "", "");
    good(b"PROXY UNKNOWN ffff::1 anything at all\r\n", "", "");
    let long = "f".repeat(V1_MAX - b"PROXY UNKNOWN \r\n".len());
    good(format!("PROXY UNKNOWN {long}\r\n").as_bytes(), "", "");
}

#[test]
fn bad_version_1() {
    for line in [
        "EHLO example.com",
        "PROXY TCP4 192.0.2.1 192.0.2.2 5000",
        "PROXY TCP4 192.0.2.1 192.0.2.2 5000 143 1",
        "PROXY TCP4 192.0.2.1 192.0.2.2 5000 +143",
        "PROXY TCP4 192.0.2.1 192.0.2.2 5000 65536",
        "PROXY TCP4 192.0.2.1 192.0.2.2 5000 ",
        "PROXY TCP4 192.0.2.256 192.0.2.2 5000 143",
        "PROXY TCP4 2001:db8::1 192.0.2.2 5000 143",
        "PROXY TCP6 192.0.2.1 2001:db8::1 5000 143",
        "PROXY TCP4  192.0.2.1 192.0.2.2 5000 143",
        "PROXY TCP5 192.0.2.1 192.0.2.2 5000 143",
        "PROXY unknown",
        "PROXY \u{e4}\u{f6}\u{fc}",
    ] {
        bad(format!("{line}\r\n").as_bytes(), &format!("broken header: \"{line}\""));
    }
    bad(b"PROXY UNKNOWN\n", "broken header: \"PROXY UNKNOWN\"");
    bad(b"PROXY TCP4 a\x07\xff\r\n", "broken header: \"PROXY TCP4 a\\x07\\xFF\"");
    let long = "f".repeat(V1_MAX - b"PROXY UNKNOWN ".len());
    bad(format!("PROXY UNKNOWN {long}\r\n").as_bytes(), &format!("broken header: \"PROXY UNKNOWN {long}\""));
}

#[test]
fn good_version_2() {
    let ports = [0x13, 0x88, 0, 143];
    let ipv4 = [&[192, 0, 2, 1, 192, 0, 2, 2], &ports[..]].concat();
    let ipv6 = [&[0x20, 1][..], &[0; 29], &[1], &ports[..]].concat();
    good(&version_2(0x21, 0x11, &ipv4), "192.0.2.1:5000", "192.0.2.2:143");
    good(&version_2(0x21, 0x21, &ipv6), "[2001::]:5000", "[::1]:143");
    // Additional fields, one of them empty.
    good(&version_2(0x21, 0x11, &[&ipv4[..], b"\x02\0\x01x\x04\0\0"].concat()), "192.0.2.1:5000", "192.0.2.2:143");
    // UDP, Unix, no family, LOCAL with whatever, commands yet to come.
    good(&version_2(0x21, 0x12, &ipv4), "", "");
    good(&version_2(0x21, 0x31, &[b'/'; 216]), "", "");
    good(&version_2(0x21, 0x00, b"xyz"), "", "");
    good(&version_2(0x20, 0x00, b""), "", "");
    good(&version_2(0x20, 0x11, b"xyz"), "", "");
    good(&version_2(0x22, 0x11, b"xyz"), "", "");
}

#[test]
fn bad_version_2() {
    bad(&version_2(0x11, 0x11, &[0; 12]), "unknown PROXY protocol version: 1");
    bad(&version_2(0x21, 0x11, &[0; MAX_HEADER - V2_FIXED + 1]), "header is too large");
    for (family, block) in [(0x11, 12), (0x12, 12), (0x21, 36), (0x31, 216)] {
        bad(&version_2(0x21, family, &vec![0; block - 1]), "header is too short for its addresses");
        for tlv in [&b"\x01"[..], b"\x01\0", b"\x01\0\x02x", b"\x01\xff\xff", b"\x03\0\x03abc"] {
            bad(&version_2(0x21, family, &[&vec![0; block], tlv].concat()), "broken PROXY protocol TLV");
        }
    }
}

#[test]
fn the_longest_header() {
    let mut rest = vec![0; MAX_HEADER - V2_FIXED];
    let tlv = rest.len() - 12 - 3;
    rest[12..15].copy_from_slice(&[1, (tlv >> 8) as u8, tlv as u8]);
    let header = version_2(0x21, 0x11, &rest);
    assert_eq!(header.len(), MAX_HEADER);
    good(&header, "0.0.0.0:0", "0.0.0.0:0");
}

#[test]
fn checksums() {
    for (_, _, hex) in V2_OF_NGINX {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let header: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        assert!(matches!(parse(&header), Ok(Parsed::Header { length, .. }) if length == header.len()));
        let local = header[12] == 0x20;
        let (block, tlv) = (V2_FIXED..header.len() - 7, header.len() - 4..header.len());
        for at in block.chain(tlv).filter(|_| !local) {
            let mut damaged = header.clone();
            damaged[at] ^= 0x40;
            bad(&damaged, "wrong checksum of PROXY protocol header");
        }
    }
}

#[test]
fn what_is_written_can_be_read() {
    for addresses in ["192.0.2.1:1 192.0.2.2:2", "[2001:db8::1]:1 [2001:db8::2]:2", "[2001:db8::1]:1 192.0.2.2:2"] {
        let (source, destination) = addresses.split_once(' ').unwrap();
        let addresses = Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() };
        good(&v1(Some(&addresses)), source, destination);
        if addresses.source.is_ipv4() == addresses.destination.is_ipv4() {
            good(&v2(Some(&addresses)), source, destination);
        }
    }
    good(&v1(None), "", "");
    good(&v2(None), "", "");
}
