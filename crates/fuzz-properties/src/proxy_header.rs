//! PROXY protocol headers that come in.
//!
//! An input is all the bytes that arrive.

use gatepost_proto::proxy_protocol::{Addresses, HeaderError, MAX_HEADER, Parsed, parse, v1, v2};

/// Every beginning of the input that is shorter than this is tried. Headers of real proxies are.
const SHORT: usize = 512;

/// A header's beginnings never say anything else than the whole of it does, and what it tells can be told again.
pub fn check(input: &[u8]) {
    let whole = parse(input);
    let ends = (0..input.len()).take_while(|end| *end < SHORT).chain([input.len() / 2]);
    for end in ends {
        check_beginning(parse(&input[..end]), end, &whole);
    }
    match whole {
        Ok(Parsed::NeedMore) => assert!(input.len() < MAX_HEADER, "no end of it"),
        Ok(Parsed::Header { length, addresses }) => {
            assert!(length <= input.len().min(MAX_HEADER));
            addresses.iter().for_each(round_trip);
        }
        Err(error) => assert!(!error.to_string().contains(['\r', '\n']), "more than a line: {error}"),
    }
}

fn check_beginning(begun: Result<Parsed, HeaderError>, end: usize, whole: &Result<Parsed, HeaderError>) {
    match (begun, whole) {
        (Ok(Parsed::NeedMore), Ok(Parsed::Header { length, .. })) => assert!(end < *length),
        (Ok(Parsed::NeedMore), _) => {}
        (Ok(header), whole) => assert_eq!(Ok(header), *whole, "{end} bytes"),
        (Err(error), whole) => assert!(whole.is_err(), "{error} after {end} bytes, then {whole:?}"),
    }
}

fn round_trip(addresses: &Addresses) {
    let header = v1(Some(addresses));
    assert_eq!(header.iter().filter(|byte| **byte == b'\n').count(), 1);
    let plain = |address: std::net::SocketAddr| std::net::SocketAddr::new(address.ip(), address.port());
    let told = Addresses { source: plain(addresses.source), destination: plain(addresses.destination) };
    assert_eq!(parse(&header), Ok(Parsed::Header { length: header.len(), addresses: Some(told) }));
    let header = v2(Some(addresses));
    let Ok(Parsed::Header { length, addresses: Some(read) }) = parse(&header) else {
        panic!("cannot be read again: {header:?}");
    };
    assert_eq!(length, header.len());
    let canonical = |address: std::net::SocketAddr| (address.ip().to_canonical(), address.port());
    assert_eq!(canonical(read.source), canonical(addresses.source));
    assert_eq!(canonical(read.destination), canonical(addresses.destination));
}
