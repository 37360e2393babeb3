//! `set_real_ip_from`: whose word on the client's address is taken.

use super::version_2::{PROXY, header, tcp};
use crate::harness::{Conn, Wire, since};

/// Speaks as a proxy in front, and gives the address that the auth server gets.
#[track_caller]
fn client_ip(directives: &str, front: impl AsRef<[u8]>) -> String {
    let wire = Wire::mail(&format!("server {{ listen @main@ proxy_protocol; protocol imap; {directives} }}"));
    let mut client = wire.connect();
    client.ask(front, "* OK IMAP4 ready\r\n").send("a LOGIN u p\r\n");
    wire.auth.request().header("Client-IP").unwrap()
}

const TOLD: &str = "PROXY TCP4 192.0.2.1 198.51.100.1 4711 143\r\n";

#[test]
fn nobody_is_believed_by_default() {
    assert_eq!(client_ip("", TOLD), "127.0.0.1");
}

#[test]
fn addresses_and_networks_are_believed() {
    assert_eq!(client_ip("set_real_ip_from 127.0.0.1;", TOLD), "192.0.2.1");
    assert_eq!(client_ip("set_real_ip_from 10.0.0.0/8; set_real_ip_from 127.0.0.0/8;", TOLD), "192.0.2.1");
    assert_eq!(client_ip("set_real_ip_from 0.0.0.0/0;", TOLD), "192.0.2.1");
}

#[test]
fn others_are_not() {
    assert_eq!(
        client_ip("set_real_ip_from 127.0.0.2; set_real_ip_from ::/0; set_real_ip_from unix:;", TOLD),
        "127.0.0.1"
    );
}

#[test]
fn ipv6_is_told_over_ipv4() {
    let told = "PROXY TCP6 2001:DB8:0::1 ::1 1 2\r\n";
    assert_eq!(client_ip("set_real_ip_from 127.0.0.1;", told), "2001:db8::1");
}

#[test]
fn version_2_is_believed_too() {
    let (families, addresses) = tcp("192.0.2.1:4711".parse().unwrap(), "198.51.100.1:143".parse().unwrap());
    let told = header(PROXY, families, &addresses);
    assert_eq!(client_ip("set_real_ip_from 127.0.0.1;", told), "192.0.2.1");
}

#[test]
fn unknown_changes_nothing() {
    assert_eq!(client_ip("set_real_ip_from 127.0.0.1;", "PROXY UNKNOWN\r\n"), "127.0.0.1");
}

#[test]
fn unix_sockets_are_believed() {
    let wire = Wire::mail(
        "set_real_ip_from unix:; server { listen unix:@prefix@/front proxy_protocol; protocol imap; }
         server { listen @main@; protocol imap; }",
    );
    let mut client = Conn::connect_unix(&wire.prefix().join("front"));
    client.ask(TOLD, "* OK IMAP4 ready\r\n").send("a LOGIN u p\r\n");
    assert_eq!(wire.auth.request().header("Client-IP").as_deref(), Some("192.0.2.1"));
}

#[test]
fn the_header_is_told_even_if_it_is_not_believed() {
    if !since(1, 21, 2) {
        return;
    }
    let wire = Wire::mail("server { listen @main@ proxy_protocol; protocol imap; }");
    let mut client = wire.connect();
    client.ask(TOLD, "* OK IMAP4 ready\r\n").send("a LOGIN u p\r\n");
    let asked = wire.auth.request();
    assert_eq!(asked.header("Client-IP").as_deref(), Some("127.0.0.1"));
    assert_eq!(asked.header("Proxy-Protocol-Addr").as_deref(), Some("192.0.2.1"));
}

#[test]
fn backend_hears_of_it_by_xclient() {
    let wire = Wire::mail("server { listen @main@ proxy_protocol; protocol smtp; set_real_ip_from 127.0.0.1; }");
    for (told, address) in [(TOLD, "192.0.2.1"), ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "IPV6:2001:db8::1")] {
        let mut client = wire.connect();
        client.ask(told, "220 proxy.test ESMTP ready\r\n").send("AUTH PLAIN AHUAcA==\r\n");
        let mut backend = wire.backend.accept();
        backend.ask("220 hi\r\n", "EHLO proxy.test\r\n");
        backend.ask("250 ok\r\n", format!("XCLIENT ADDR={address} LOGIN=u NAME=[UNAVAILABLE]\r\n"));
    }
}

#[test]
fn log_has_it() {
    let wire =
        Wire::mail("server { listen @main@ proxy_protocol; protocol imap; set_real_ip_from 127.0.0.1; max_errors 1; }");
    let mut client = wire.connect();
    client.ask(TOLD, "* OK IMAP4 ready\r\n").ask("a BOGUS\r\n", "a BAD invalid command\r\n").expect_close();
    let line = wire.await_log("too many invalid commands");
    assert!(line.contains(", client: 192.0.2.1, server: "), "{line}");
}
