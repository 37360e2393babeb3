//! `resolver`: the names of SMTP clients, as the auth server and the backend get them.

use std::time::{Duration, Instant};

use crate::harness::{Conn, Dns, Subject, Wire, differs, since};

const GREETING: &str = "220 proxy.test ESMTP ready\r\n";
const LOGIN: &str = "AUTH PLAIN AHUAcA==\r\n";
/// 127.0.0.1 and 2001:db8::1, backwards.
const V4: &str = "1.0.0.127.in-addr.arpa";
const V6: &str = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";

/// An SMTP server whose resolver has these records.
fn wire(zone: &str, parameters: &str) -> (Wire, Dns) {
    let dns = Dns::start(zone);
    (Wire::smtp(&format!("resolver {} {parameters};", dns.address())), dns)
}

/// The name of a client from 127.0.0.1 with these records.
#[track_caller]
fn host(zone: &str) -> String {
    let (wire, _dns) = wire(zone, "; resolver_timeout 2s");
    let mut client = wire.connect();
    client.expect(GREETING).send(LOGIN);
    wire.auth.request().header("Client-Host").unwrap()
}

#[test]
fn confirmed_name() {
    assert_eq!(host(&format!("{V4} PTR mail.client.test\nmail.client.test A 127.0.0.1")), "mail.client.test");
}

#[test]
fn one_of_several_addresses_is_enough() {
    let addresses = "c.test A 192.0.2.1\nc.test AAAA ::1\nc.test A 127.0.0.1\nc.test A 192.0.2.2";
    assert_eq!(host(&format!("{V4} PTR c.test\n{addresses}")), "c.test");
}

#[test]
fn name_of_another() {
    assert_eq!(host(&format!("{V4} PTR c.test\nc.test A 192.0.2.1")), "[UNAVAILABLE]");
    assert_eq!(host(&format!("{V4} PTR c.test\nc.test AAAA ::ffff:127.0.0.1")), "[UNAVAILABLE]");
}

#[test]
fn no_name() {
    assert_eq!(host(""), "[UNAVAILABLE]");
}

#[test]
fn name_that_does_not_exist() {
    assert_eq!(host(&format!("{V4} PTR c.test")), "[UNAVAILABLE]");
}

#[test]
fn a_name_server_that_is_not_there_is_named_in_the_log() {
    let nowhere = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wire = Wire::smtp(&format!("resolver {nowhere}; resolver_timeout 1s;"));
    let mut client = wire.connect();
    client.expect(GREETING).send(LOGIN);
    assert_eq!(wire.auth.request().header("Client-Host").unwrap(), "[TEMPUNAVAIL]");
    let line = wire.await_log("could not be resolved");
    let why = format!("(name server {nowhere} failed (111: Connection refused))");
    let expected = differs("nginx names it in a line of its own", "(110: Operation timed out)", &why);
    assert!(line.contains(expected), "{line}");
}

#[test]
fn trouble() {
    assert_eq!(host(&format!("{V4} FAILS 2")), "[TEMPUNAVAIL]");
    assert_eq!(host(&format!("{V4} FAILS 5")), "[TEMPUNAVAIL]");
    assert_eq!(host(&format!("{V4} PTR c.test\nc.test FAILS 2")), "[TEMPUNAVAIL]");
}

#[test]
fn names_with_other_characters_are_refused() {
    if !since(1, 29, 7) {
        return;
    }
    for name in ["a_b.test", "a+b.test", "a=b.test", "é.test"] {
        assert_eq!(host(&format!("{V4} PTR {name}\n{name} A 127.0.0.1")), "[TEMPUNAVAIL]", "{name}");
    }
}

#[test]
fn refused_name_is_logged() {
    if !since(1, 29, 7) {
        return;
    }
    let (wire, _dns) = wire(&format!("{V4} PTR a_b.test"), "");
    wire.connect().expect(GREETING);
    let line = wire.await_log("127.0.0.1 resolved to invalid host name \"a_b.test\"");
    assert!(line.contains("[error]"), "{line}");
}

#[test]
fn failures_are_logged() {
    let (wire, _dns) = wire("", "");
    wire.connect().expect(GREETING);
    let line = wire.await_log("127.0.0.1 could not be resolved (3: Host not found)");
    assert!(line.contains("[error]"), "{line}");
    let context = format!(" while in resolving client address, client: 127.0.0.1, server: {}", wire.place("main"));
    assert!(line.ends_with(&context), "{line}");
}

#[test]
fn failures_of_the_name_are_logged() {
    let (wire, _dns) = wire(&format!("{V4} PTR c.test"), "");
    wire.connect().expect(GREETING);
    let line = wire.await_log("\"c.test\" could not be resolved (3: Host not found)");
    let context = format!(" while in resolving client hostname, client: 127.0.0.1, server: {}", wire.place("main"));
    assert!(line.contains("[error]") && line.ends_with(&context), "{line}");
}

#[test]
fn alias_of_the_name() {
    let zone = format!("{V4} PTR c.test\nc.test CNAME real.test\nreal.test A 127.0.0.1");
    assert_eq!(host(&zone), "c.test");
}

#[test]
fn alias_of_the_address() {
    let zone = "1.sub.in-addr.arpa PTR c.test\nc.test A 127.0.0.1";
    assert_eq!(host(&format!("{V4} CNAME 1.sub.in-addr.arpa\n{zone}")), "c.test");
    let expected = differs("an answer may have the alias only", "[TEMPUNAVAIL]", "c.test");
    assert_eq!(host(&format!("{V4} BARE-CNAME 1.sub.in-addr.arpa\n{zone}")), expected);
}

#[test]
fn backend_hears_the_name() {
    let (wire, _dns) = wire(&format!("{V4} PTR c.test\nc.test A 127.0.0.1"), "");
    let mut client = wire.connect();
    client.expect(GREETING).send(LOGIN);
    let mut backend = wire.backend.accept();
    backend.ask("220 hi\r\n", "EHLO proxy.test\r\n");
    backend.ask("250 ok\r\n", "XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=c.test\r\n");
}

#[test]
fn greeting_waits_and_input_is_kept() {
    let (wire, _dns) = wire(&format!("{V4} SILENT"), "; resolver_timeout 1s");
    let start = Instant::now();
    let mut client = wire.connect();
    client.send("NOOP\r\n").expect_silence().expect(GREETING).expect("250 2.0.0 OK\r\n");
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    client.send(LOGIN);
    assert_eq!(wire.auth.request().header("Client-Host").as_deref(), Some("[TEMPUNAVAIL]"));
}

#[test]
fn ipv6_clients() {
    let dns = Dns::start(&format!("{V6} PTR c.test\nc.test A 192.0.2.1\nc.test AAAA 2001:db8::1"));
    let wire = Wire::mail(&format!(
        "resolver {}; server {{ listen @main@ proxy_protocol; set_real_ip_from 127.0.0.1; protocol smtp; }}",
        dns.address()
    ));
    let mut client = wire.connect();
    client.ask("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", GREETING).send(LOGIN);
    assert_eq!(wire.auth.request().header("Client-Host").as_deref(), Some("c.test"));
    let mut backend = wire.backend.accept();
    backend.ask("220 hi\r\n", "EHLO proxy.test\r\n");
    backend.ask("250 ok\r\n", "XCLIENT ADDR=IPV6:2001:db8::1 LOGIN=u NAME=c.test\r\n");
}

#[test]
fn clients_on_unix_sockets_have_no_name() {
    let dns = Dns::start("");
    let wire = Wire::mail(&format!(
        "resolver {}; server {{ listen unix:@prefix@/smtp; protocol smtp; }} server {{ listen @main@; protocol imap; }}",
        dns.address()
    ));
    let mut client = Conn::connect_unix(&wire.prefix().join("smtp"));
    client.expect(GREETING).send(LOGIN);
    assert_eq!(wire.auth.request().header("Client-Host").as_deref(), Some("[TEMPUNAVAIL]"));
    assert_eq!(dns.asked(), Vec::<String>::new());
}

#[test]
fn other_protocols_need_no_name() {
    let dns = Dns::start("");
    let wire = Wire::imap(&format!("resolver {};", dns.address()));
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    assert_eq!(wire.auth.request().header("Client-Host"), None);
    assert_eq!(dns.asked(), Vec::<String>::new());
}

#[test]
fn names_are_kept_for_as_long_as_they_live() {
    let (wire, dns) = wire(&format!("{V4} PTR c.test\nc.test A 127.0.0.1"), "");
    wire.connect().expect(GREETING);
    let asked = dns.asked();
    wire.connect().expect(GREETING);
    assert_eq!(dns.asked(), asked);
}

#[test]
fn valid_overrides_their_life() {
    let (wire, dns) = wire(&format!("{V4} PTR c.test\nc.test A 127.0.0.1"), "valid=1s");
    wire.connect().expect(GREETING);
    let asked = dns.asked().len();
    std::thread::sleep(Duration::from_millis(2100));
    wire.connect().expect(GREETING);
    assert!(dns.asked().len() > asked);
}

#[test]
fn families_may_be_switched_off() {
    let zone = format!("{V4} PTR c.test\nc.test A 127.0.0.1\nc.test AAAA ::1");
    let (wire, dns) = wire(&zone, "ipv6=off");
    wire.connect().expect(GREETING);
    let asked = dns.asked();
    assert!(asked.contains(&"c.test A".to_owned()) && !asked.contains(&"c.test AAAA".to_owned()), "{asked:?}");
}

#[test]
fn family_of_the_client_is_asked_for() {
    let zone = format!("{V4} PTR c.test\nc.test A 127.0.0.1\nc.test AAAA ::1");
    let (wire, dns) = wire(&zone, "");
    wire.connect().expect(GREETING);
    let asked = dns.asked();
    assert!(asked.contains(&"c.test A".to_owned()), "{asked:?}");
    assert!(!Subject::is_nginx() || asked.contains(&"c.test AAAA".to_owned()), "{asked:?}");
}

#[test]
fn with_the_clients_family_off_nothing_confirms() {
    if !since(1, 23, 1) {
        return;
    }
    let zone = format!("{V4} PTR c.test\nc.test A 127.0.0.1\nc.test AAAA ::1");
    let (wire, dns) = wire(&zone, "ipv4=off");
    let mut client = wire.connect();
    client.expect(GREETING).send(LOGIN);
    assert_eq!(wire.auth.request().header("Client-Host").as_deref(), Some("[UNAVAILABLE]"));
    assert!(!dns.asked().contains(&"c.test A".to_owned()), "{:?}", dns.asked());
}

#[test]
fn early_talkers_are_noticed_after_the_lookup() {
    let dns = Dns::start(&format!("{V4} PTR c.test\nc.test A 127.0.0.1"));
    let wire = Wire::smtp(&format!("resolver {}; smtp_greeting_delay 500ms;", dns.address()));
    wire.connect().expect_silence().expect(GREETING);
    wire.connect().ask("NOOP\r\n", "503 5.5.0 Improper use of SMTP command pipelining\r\n").expect_close();
}

#[test]
fn client_that_leaves_while_its_name_is_looked_up() {
    if Subject::is_nginx() {
        return;
    }
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap();
    let wire = Wire::smtp(&format!("resolver {at}; resolver_timeout 300s;"));
    let client = wire.connect();
    silent.recv(&mut [0; 512]).unwrap();
    drop(client);
    wire.await_log("client closed connection");
}
