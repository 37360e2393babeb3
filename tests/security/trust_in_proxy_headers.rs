//! Trust in PROXY, XCLIENT and ID (Dovecot 2.3.18): headers count from trusted networks only, lengths are checked, and a
//! loop ends.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::{Auth, Backend, Conn, Proxy, Reply, Subject, Wire, differs};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 for TCP over IPv4, with these bytes behind the addresses.
fn version_2(rest: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 198, 51, 100, 7, 0x12, 0x34, 0, 143];
    let length = u16::try_from(addresses.len() + rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x21, 0x11], &length, &addresses, rest].concat()
}

fn wire(directives: &str) -> Wire {
    Wire::mail(&format!("{directives} server {{ listen @main@ proxy_protocol; protocol imap; }}"))
}

#[test]
fn a_header_from_anybody_changes_nothing() {
    for directives in ["", "set_real_ip_from 192.0.2.0/24;", "set_real_ip_from ::1;"] {
        for header in [b"PROXY TCP4 192.0.2.1 198.51.100.7 4660 143\r\n".to_vec(), version_2(b"")] {
            let wire = wire(directives);
            let mut client = wire.connect();
            client.ask(header, "* OK IMAP4 ready\r\n").send("a LOGIN u p\r\n");
            assert_eq!(wire.auth.request().header("Client-IP").as_deref(), Some("127.0.0.1"));
        }
    }
}

#[test]
fn a_header_where_none_is_expected_is_a_bad_command() {
    for (wire, refusal) in [(Wire::imap(""), "PROXY BAD"), (Wire::pop3(""), "-ERR"), (Wire::smtp(""), "5")] {
        let mut client = wire.client();
        client.send("PROXY TCP4 192.0.2.1 198.51.100.7 4660 143\r\n").expect(refusal);
        wire.auth.expect_unasked();
    }
}

#[test]
fn xclient_of_a_client_is_a_bad_command() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask("EHLO c\r\n", "250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n");
    client.send("XCLIENT ADDR=192.0.2.1 LOGIN=admin\r\n");
    assert!(client.line().starts_with('5'));
    client.send("AUTH PLAIN AHUAcA==\r\n");
    assert_eq!(wire.auth.request().header("Client-IP").as_deref(), Some("127.0.0.1"));
}

#[test]
fn id_of_a_client_is_not_believed() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("i ID (\"x-originating-ip\" \"192.0.2.1\" \"x-proxy-ttl\" \"1\")\r\n").line();
    client.send("a LOGIN u p\r\n");
    assert_eq!(wire.auth.request().header("Client-IP").as_deref(), Some("127.0.0.1"));
}

/// A TLV whose length reaches beyond the header, and one that is cut, and a checksum that is.
#[test]
fn truncated_tlvs() {
    let tlvs: [&[u8]; 9] = [
        &[0x04],
        &[0x04, 0],
        &[0x04, 0, 1],
        &[0x04, 0xff, 0xff],
        &[0x04, 0, 2, 1],
        &[0x04, 0, 0, 0x03, 0, 4, 1, 2],
        &[0x03, 0, 4],
        &[0x03, 0, 3, 1, 2, 3],
        &[0x20, 0, 5, 1, 0, 0, 0],
    ];
    for tlv in tlvs {
        let wire = wire("");
        let mut client = wire.connect();
        client.send(version_2(tlv));
        if differs("nginx does not look at them", true, false) {
            client.expect("* OK IMAP4 ready\r\n");
        } else {
            client.expect_close();
        }
    }
}

/// A length that reaches beyond what is sent: what follows is never taken for a part of the header.
#[test]
fn a_header_longer_than_what_is_sent() {
    if Subject::is_nginx() {
        return;
    }
    let wire = wire("timeout 1s;");
    for missing in [1, 5, 12] {
        let header = version_2(&[0x04, 0, 3, 1, 2, 3]);
        let mut client = wire.connect();
        client.send(&header[..header.len() - missing]).finish().expect_close();
        let mut client = wire.connect();
        client.send(&header[..header.len() - missing]).expect_silence();
        client.expect_close();
    }
}

/// Every session of the loop makes another, until something ends it: here, the places for connections.
#[test]
fn a_proxy_that_is_pointed_at_itself() {
    if Subject::is_nginx() {
        return;
    }
    for (protocol, login) in
        [("imap", "a LOGIN u p\r\n"), ("pop3", "USER u\r\nPASS p\r\n"), ("smtp", "EHLO c\r\nAUTH PLAIN AHUAcA==\r\n")]
    {
        let backend = Backend::new();
        let auth = Auth::start(backend.address());
        let conf = format!(
            "error_log error.log emerg; pid pid; events {{ worker_connections 64; }}
            mail {{ server_name proxy.test; auth_http @auth@/auth; timeout 5s;
            server {{ listen @main@; protocol {protocol}; xclient off; proxy_smtp_auth on; }} }}"
        );
        let proxy = Proxy::start(&[], &conf, &[("auth", auth.address())]);
        auth.always(Reply::accept(proxy.place("main")));
        let mut client = Conn::connect(proxy.place("main"));
        client.line();
        let begin = Instant::now();
        client.send(login);
        // It hears of an error, or the end.
        client.rest();
        drop(client);
        // And then nobody goes round any more.
        await_quiet(&proxy);
        println!("{protocol}: {:?}", begin.elapsed());
        auth.always(Reply::refuse("no"));
        let mut client = Conn::connect(proxy.place("main"));
        client.line();
    }
}

/// Waits until the process has no connection to itself any more.
#[track_caller]
fn await_quiet(proxy: &Proxy) {
    let pid = fs::read_to_string(proxy.prefix().join("pid")).unwrap();
    let sockets = || {
        let all = fs::read_dir(format!("/proc/{}/fd", pid.trim())).unwrap();
        let links = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    };
    let deadline = Instant::now() + Duration::from_secs(12);
    // The listener, what tells of signals, and an idle connection to the auth server.
    while sockets() > 6 {
        assert!(Instant::now() < deadline, "{} sockets are left", sockets());
        std::thread::sleep(Duration::from_millis(20));
    }
}
