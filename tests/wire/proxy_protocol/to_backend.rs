//! `proxy_protocol on` and `v2`: what the backend hears first.

use std::net::{IpAddr, SocketAddr};

use super::version_2::{LOCAL, PROXY, tcp, with_checksum};
use crate::harness::{Conn, Wire, since};

/// A listener on IPv4, one on IPv6, one on a unix socket and one behind something that speaks the PROXY protocol.
fn listeners(protocol: &str, directives: &str) -> Wire {
    let server = |listen: &str| format!("server {{ listen {listen}; protocol {protocol}; }}\n");
    let servers = ["unix:@prefix@/client", "@main@", "@main6@", "@front@ proxy_protocol"].map(server).concat();
    Wire::mail(&format!("xclient off; set_real_ip_from 127.0.0.1; {directives}\n{servers}"))
}

/// Lets the client log in, and takes exactly this from the backend's connection before the backend has said a word.
#[track_caller]
fn first_heard(wire: &Wire, client: &mut Conn, expected: impl AsRef<[u8]>) -> Conn {
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.expect(expected).expect_silence().ask("* OK hi\r\n", "a LOGIN {1}\r\n");
    backend
}

/// What version 2 has for these addresses.
fn version_2(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (families, addresses) = tcp(source, destination);
    with_checksum(PROXY, families, &addresses)
}

fn mapped(at: SocketAddr) -> SocketAddr {
    let IpAddr::V4(ip) = at.ip() else { return at };
    (ip.to_ipv6_mapped(), at.port()).into()
}

#[test]
fn version_1_over_ipv4() {
    let wire = listeners("imap", "proxy_protocol on;");
    let mut client = wire.client();
    let (from, to) = (client.local(), wire.place("main"));
    let header = format!("PROXY TCP4 127.0.0.1 {} {} {}\r\n", to.ip(), from.port(), to.port());
    first_heard(&wire, &mut client, header);
}

#[test]
fn version_1_over_ipv6() {
    let wire = listeners("imap", "proxy_protocol on;");
    let mut client = Conn::connect(wire.place("main6"));
    let header = format!("PROXY TCP6 ::1 ::1 {} {}\r\n", client.local().port(), wire.place("main6").port());
    first_heard(&wire, &mut client, header);
}

#[test]
fn version_1_over_a_unix_socket() {
    let wire = listeners("imap", "proxy_protocol on;");
    let mut client = Conn::connect_unix(&wire.prefix().join("client"));
    first_heard(&wire, &mut client, "PROXY UNKNOWN\r\n");
}

#[test]
fn version_1_of_a_client_told_of_in_front() {
    let wire = listeners("imap", "proxy_protocol on;");
    let mut client = Conn::connect(wire.place("front"));
    client.ask("PROXY TCP4 192.0.2.1 198.51.100.1 4711 143\r\n", "* OK IMAP4 ready\r\n");
    let to = wire.place("front");
    first_heard(&wire, &mut client, format!("PROXY TCP4 192.0.2.1 {} 4711 {}\r\n", to.ip(), to.port()));
}

#[test]
fn version_1_of_mixed_families() {
    let wire = listeners("imap", "proxy_protocol on;");
    let mut client = Conn::connect(wire.place("front"));
    client.ask("PROXY TCP6 2001:db8::1 2001:db8::2 4711 143\r\n", "* OK IMAP4 ready\r\n");
    let to = wire.place("front");
    first_heard(&wire, &mut client, format!("PROXY TCP6 2001:db8::1 {} 4711 {}\r\n", to.ip(), to.port()));
}

#[test]
fn version_1_in_the_other_protocols() {
    for (protocol, login) in [("pop3", "USER u\r\nPASS p\r\n"), ("smtp", "AUTH PLAIN AHUAcA==\r\n")] {
        let wire = listeners(protocol, "proxy_protocol on;");
        let mut client = wire.client();
        client.send(login);
        let (from, to) = (client.local(), wire.place("main"));
        let header = format!("PROXY TCP4 127.0.0.1 {} {} {}\r\n", to.ip(), from.port(), to.port());
        wire.backend.accept().expect(header).expect_silence();
    }
}

#[test]
fn version_2_over_ipv4() {
    if !since(1, 31, 4) {
        return;
    }
    let wire = listeners("imap", "proxy_protocol v2;");
    let mut client = wire.client();
    let header = version_2(client.local(), wire.place("main"));
    first_heard(&wire, &mut client, header);
}

#[test]
fn version_2_over_ipv6() {
    if !since(1, 31, 4) {
        return;
    }
    let wire = listeners("imap", "proxy_protocol v2;");
    let mut client = Conn::connect(wire.place("main6"));
    let header = version_2(client.local(), wire.place("main6"));
    first_heard(&wire, &mut client, header);
}

#[test]
fn version_2_over_a_unix_socket() {
    if !since(1, 31, 4) {
        return;
    }
    let wire = listeners("imap", "proxy_protocol v2;");
    let mut client = Conn::connect_unix(&wire.prefix().join("client"));
    first_heard(&wire, &mut client, with_checksum(LOCAL, 0, b""));
}

#[test]
fn version_2_of_mixed_families_is_mapped() {
    if !since(1, 31, 4) {
        return;
    }
    let wire = listeners("imap", "proxy_protocol v2;");
    let mut client = Conn::connect(wire.place("front"));
    client.ask("PROXY TCP6 2001:db8::1 2001:db8::2 4711 143\r\n", "* OK IMAP4 ready\r\n");
    let header = version_2("[2001:db8::1]:4711".parse().unwrap(), mapped(wire.place("front")));
    first_heard(&wire, &mut client, header);
}

#[test]
fn nothing_where_it_is_off() {
    let wire = listeners("imap", "proxy_protocol off;");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.backend.accept().expect_silence();
}
