//! `listen ... proxy_protocol`: headers good and bad.

use std::time::{Duration, Instant};

use super::version_2::{LOCAL, PROXY, header, tcp, with_checksum};
use crate::harness::{Subject, Wire, differs, since};

const GREETING: &str = "* OK IMAP4 ready\r\n";
const V1: &str = "PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\r\n";

fn wire() -> Wire {
    Wire::mail("server { listen @main@ proxy_protocol; protocol imap; }")
}

/// What the auth server gets of a header: both addresses and ports.
#[track_caller]
fn told(header: impl AsRef<[u8]>) -> Option<[String; 4]> {
    let wire = wire();
    let mut client = wire.connect();
    client.ask(header, GREETING).send("a LOGIN u p\r\n");
    let asked = wire.auth.request();
    asked.header("Proxy-Protocol-Addr")?;
    Some(["Addr", "Port", "Server-Addr", "Server-Port"].map(|n| asked.header(&format!("Proxy-Protocol-{n}")).unwrap()))
}

/// The connection is closed without a word, and that is in the log.
#[track_caller]
fn is_broken(header: impl AsRef<[u8]>, logged: &str) {
    let wire = wire();
    let mut client = wire.connect();
    client.send(header).expect_close();
    if !since(1, 23, 2) {
        // Older ones log the line end and what is behind it too.
        return;
    }
    let line = wire.await_log(logged);
    assert!(line.contains("[error]"), "{line}");
    let context = format!(" while reading PROXY protocol, client: 127.0.0.1, server: {}", wire.place("main"));
    assert!(line.ends_with(&context), "{line}");
}

/// The connection is closed without a word in Gatepost, and nginx takes the header.
#[track_caller]
fn is_broken_only_in_gatepost(header: impl AsRef<[u8]>) {
    let wire = wire();
    let mut client = wire.connect();
    client.send(header);
    if differs("addresses and checksum are checked", true, false) {
        client.expect(GREETING);
    } else {
        client.expect_close();
    }
}

fn version_2(source: &str, destination: &str, rest: &[u8]) -> Vec<u8> {
    let (families, addresses) = tcp(source.parse().unwrap(), destination.parse().unwrap());
    header(PROXY, families, &[&addresses, rest].concat())
}

#[test]
fn nothing_is_said_before_the_header() {
    wire().connect().expect_silence().ask(V1, GREETING);
}

#[test]
fn version_1() {
    if !since(1, 21, 2) {
        return;
    }
    assert_eq!(told(V1).unwrap(), ["192.0.2.1", "4711", "198.51.100.7", "143"]);
    assert_eq!(told("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n").unwrap(), ["2001:db8::1", "1", "::1", "65535"]);
    assert_eq!(told("PROXY UNKNOWN\r\n"), None);
    assert_eq!(told("PROXY UNKNOWN ffff:f:f 1 2 whatever\r\n"), None);
}

#[test]
fn version_2_addresses() {
    if !since(1, 21, 2) {
        return;
    }
    let expected = ["192.0.2.1", "4711", "198.51.100.7", "143"];
    assert_eq!(told(version_2("192.0.2.1:4711", "198.51.100.7:143", b"")).unwrap(), expected);
    let expected = ["2001:db8::1", "1", "::2", "65535"];
    assert_eq!(told(version_2("[2001:db8::1]:1", "[::2]:65535", b"")).unwrap(), expected);
}

#[test]
fn version_2_without_addresses() {
    assert_eq!(told(header(LOCAL, 0, b"")), None);
    assert_eq!(told(header(LOCAL, 0x11, &[1; 12])), None);
    assert_eq!(told(header(PROXY, 0, b"")), None);
    assert_eq!(told(header(PROXY, 0x12, &[1; 12])), None);
    if since(1, 23, 3) {
        assert_eq!(told(header(PROXY, 0x31, &[b'x'; 216])), None);
    }
}

#[test]
fn version_2_with_more_behind() {
    if !since(1, 23, 3) {
        return;
    }
    let tlvs = [&b"\x01\0\x02h2\x04\x01\x00"[..], &[0; 256]].concat();
    wire().connect().ask(version_2("192.0.2.1:1", "192.0.2.2:2", &tlvs), GREETING);
}

#[test]
fn version_2_with_checksum() {
    let (families, addresses) = tcp("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
    wire().connect().ask(with_checksum(PROXY, families, &addresses), GREETING);
    is_broken_only_in_gatepost(version_2("192.0.2.1:1", "192.0.2.2:2", b"\x03\0\x04\0\0\0\0"));
}

#[test]
fn commands_may_follow_at_once() {
    let wire = wire();
    for header in [V1.as_bytes().to_vec(), version_2("192.0.2.1:1", "192.0.2.2:2", b"")] {
        let mut client = wire.connect();
        client.send([&header[..], b"a NOOP\r\n"].concat()).expect(GREETING);
        if Subject::is_nginx() {
            // It forgets that there is more to read until more comes.
            client.expect_silence().send("b NOOP\r\n");
        }
        client.expect("a OK completed\r\n");
    }
}

#[test]
fn header_in_pieces() {
    let wire = wire();
    let v2 = version_2("192.0.2.1:1", "192.0.2.2:2", b"");
    for header in [V1.as_bytes(), &v2] {
        let mut client = wire.connect();
        let (first, rest) = header.split_at(15);
        client.send_pieces([first]);
        if differs("TCP may cut anywhere", true, false) {
            client.expect_close();
        } else {
            client.expect_silence().send_pieces(rest.chunks(7)).expect(GREETING);
        }
    }
}

#[test]
fn lines_that_are_no_header() {
    for line in ["a LOGIN u p", "PROXY", "PROXY ", "PROXY TCP5 1.1.1.1 1.1.1.1 1 1", "proxy TCP4 1.1.1.1 1.1.1.1 1 1"] {
        is_broken(format!("{line}\r\nmore\r\n"), &format!("broken header: \"{line}\""));
    }
}

#[test]
fn version_1_that_is_wrong() {
    for rest in [
        "1.1.1.1",
        "1.1.1.1 2.2.2.2",
        "1.1.1.1 2.2.2.2 1",
        "1.1.1.1 2.2.2.2 1 65536",
        "x 2.2.2.2 1 1",
        "1.1.1.1 2.2.2.2 -1 1",
    ] {
        let line = format!("PROXY TCP4 {rest}");
        is_broken(format!("{line}\r\n"), &format!("broken header: \"{line}\""));
    }
}

#[test]
fn version_1_with_wrong_addresses() {
    for rest in ["1.1.1 2.2.2.2 1 1", "1.1.1.1.1 2.2.2.2 1 1", "::1 ::1 1 1", "1.1.1.1 abc 1 1"] {
        is_broken_only_in_gatepost(format!("PROXY TCP4 {rest}\r\n"));
    }
}

#[test]
fn version_2_that_is_wrong() {
    is_broken(header(0x11, 0x11, &[1; 12]), "unknown PROXY protocol version: 1");
    let wire = wire();
    wire.connect().send(header(PROXY, 0x11, &[1; 11])).expect_close();
    wire.connect().send(header(PROXY, 0x21, &[1; 35])).expect_close();
}

#[test]
fn version_2_that_is_too_large() {
    let mut bytes = header(PROXY, 0x11, &[1; 12]);
    bytes[14..16].copy_from_slice(&5000u16.to_be_bytes());
    bytes.resize(5016, 0);
    is_broken(bytes, "header is too large");
}

#[test]
fn silence_ends_with_timeout() {
    let wire = Wire::mail("timeout 1s; server { listen @main@ proxy_protocol; protocol imap; }");
    let start = Instant::now();
    wire.connect().expect_close();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    let line = wire.await_log("client timed out (110: Connection timed out) while reading PROXY protocol");
    assert!(line.contains("[info]"), "{line}");
}
