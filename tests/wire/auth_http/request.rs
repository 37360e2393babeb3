//! The request, byte for byte.

use std::os::unix::net::UnixListener;

use super::logs_in;
use crate::harness::{Auth, Conn, Wire, b64, since};

/// The lines of a login as `u` with `p` over IMAP.
const LOGIN: &str = "Auth-Method: plain\r\nAuth-User: u\r\nAuth-Pass: p\r\nAuth-Protocol: imap\r\n\
                     Auth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n";

/// What the auth server is asked for such a login with these directives.
#[track_caller]
fn expect_head(directives: &str, first_lines: &str, extra: &str) {
    let wire = Wire::imap(directives);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.auth.request().expect(format!("{first_lines}{LOGIN}{extra}\r\n"));
}

/// `Auth-User` and `Auth-Pass` for credentials with these bytes.
#[track_caller]
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send(format!("a AUTHENTICATE PLAIN {}\r\n", b64([b"\0", bytes, b"\0", bytes].concat())));
    let raw = wire.auth.request().raw;
    let line = |name: &[u8]| {
        let line = raw.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name)).unwrap();
        line.strip_suffix(b"\r").unwrap().to_vec()
    };
    assert_eq!(line(b"Auth-User: "), line(b"Auth-Pass: "));
    line(b"Auth-User: ")
}

#[test]
fn uri_and_host_are_the_directives() {
    expect_head("", "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\n", "");
    expect_head("auth_http @auth@;", "GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n", "");
    expect_head("auth_http http://@auth@/a/b?c=d&e;", "GET /a/b?c=d&e HTTP/1.0\r\nHost: 127.0.0.1\r\n", "");
}

#[test]
fn host_may_be_a_name() {
    expect_head("auth_http localhost:@auth.port@/x;", "GET /x HTTP/1.0\r\nHost: localhost\r\n", "");
}

#[test]
fn the_last_auth_http_wins() {
    expect_head("auth_http 127.0.0.1:1/a; auth_http @auth@/b;", "GET /b HTTP/1.0\r\nHost: 127.0.0.1\r\n", "");
}

#[test]
fn auth_server_on_ipv6() {
    let mut wire = Wire::imap("");
    let auth = Auth::at("[::1]:0", wire.backend.address());
    let conf = format!("server {{ listen @main@; protocol imap; auth_http {}/v6; }}", auth.address());
    wire = Wire::mail(&conf);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    auth.request().expect(format!("GET /v6 HTTP/1.0\r\nHost: [::1]\r\n{LOGIN}\r\n"));
}

#[test]
fn auth_server_on_a_unix_socket() {
    for (directive, uri) in [("", "/"), (":/path?q", "/path?q")] {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("auth");
        let listener = UnixListener::bind(&path).unwrap();
        let wire = Wire::imap(&format!("auth_http unix:{}{directive};", path.display()));
        let mut client = wire.client();
        client.send("a LOGIN u p\r\n");
        let mut auth = Conn::unix(listener.accept().unwrap().0);
        let head = auth.until("\r\n\r\n").replace("Connection: keep-alive\r\n", "");
        assert_eq!(head, format!("GET {uri} HTTP/1.0\r\nHost: localhost\r\n{LOGIN}\r\n"));
        let at = wire.backend.address();
        auth.send(format!("HTTP/1.0 200 OK\r\nAuth-Server: {}\r\nAuth-Port: {}\r\n\r\n", at.ip(), at.port()));
        wire.backend.accept();
    }
}

#[test]
fn headers_of_the_configuration_come_last_and_in_order() {
    let first = "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\n";
    let directives = "auth_http_header X-Key \"a b:c\"; auth_http_header x-key again; auth_http_header Empty '';";
    expect_head(directives, first, "X-Key: a b:c\r\nx-key: again\r\nEmpty: \r\n");
}

#[test]
fn headers_of_a_server_replace_the_inherited_ones() {
    let wire = Wire::mail(
        "auth_http_header A 1; auth_http_header B 2; server { listen @main@; protocol imap; }
         server { listen @own@; protocol imap; auth_http_header C 3; }",
    );
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let lines = wire.auth.request();
    assert_eq!((lines.header("A"), lines.header("B")), (Some("1".into()), Some("2".into())));
    let mut client = Conn::connect(wire.place("own"));
    client.send("a LOGIN u p\r\n");
    let lines = wire.auth.request();
    assert_eq!((lines.header("A"), lines.header("C")), (None, Some("3".into())));
}

#[test]
fn spaces_percents_and_control_bytes_are_escaped() {
    assert_eq!(escaped(b"a b%c\x01\t\x1f"), b"a%20b%25c%01%09%1F");
}

#[test]
fn other_bytes_are_not() {
    let plain: Vec<u8> = (0x21..=0xff).filter(|&b| b != b'%').collect();
    assert_eq!(escaped(&plain), plain);
}

#[test]
fn attempts_are_counted() {
    let wire = Wire::imap("");
    wire.auth.always(crate::harness::Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    for attempt in ["1", "2"] {
        client.ask("a LOGIN u p\r\n", "a NO no\r\n");
        assert_eq!(wire.auth.request().header("Auth-Login-Attempt").as_deref(), Some(attempt));
    }
}

#[test]
fn apop_and_its_salt() {
    let wire = Wire::pop3("pop3_auth apop;");
    let mut client = wire.connect();
    let greeting = client.line();
    let salt = greeting.trim_end().strip_prefix("+OK POP3 ready ").unwrap();
    client.send("APOP u c4c9334bac560ecc979e58001b3e22fb\r\n");
    wire.auth.request().expect(format!(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: apop\r\nAuth-User: u\r\n\
         Auth-Pass: c4c9334bac560ecc979e58001b3e22fb\r\nAuth-Salt: {salt}\r\nAuth-Protocol: pop3\r\n\
         Auth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n"
    ));
}

#[test]
fn salt_is_told_for_its_methods_only() {
    let wire = Wire::pop3("pop3_auth apop plain;");
    let mut client = wire.client();
    client.ask("USER u\r\n", "+OK\r\n").send("PASS p\r\n");
    assert_eq!(wire.auth.request().header("Auth-Salt"), None);
}

#[test]
fn client_on_ipv6() {
    let wire = Wire::mail("server { listen @main6@; protocol imap; }");
    let mut client = Conn::connect(wire.place("main6"));
    client.send("a LOGIN u p\r\n");
    assert_eq!(wire.auth.request().header("Client-IP").as_deref(), Some("::1"));
}

#[test]
fn client_on_a_unix_socket() {
    let wire = Wire::mail(
        "server { listen unix:@prefix@/imap; protocol imap; } server { listen unix:@prefix@/smtp; protocol smtp; }
         server { listen @main@; protocol imap; }",
    );
    let mut client = Conn::connect_unix(&wire.prefix().join("imap"));
    client.send("a LOGIN u p\r\n");
    assert_eq!(wire.auth.request().header("Client-IP").as_deref(), Some("unix:"));
    let mut client = Conn::connect_unix(&wire.prefix().join("smtp"));
    client.send("AUTH PLAIN AHUAcA==\r\n");
    let asked = wire.auth.request();
    assert_eq!(asked.header("Client-IP").as_deref(), Some("unix:"));
    assert_eq!(asked.header("Client-Host").as_deref(), Some("[UNAVAILABLE]"));
}

#[test]
fn proxy_protocol_addresses() {
    if !since(1, 21, 2) {
        return;
    }
    let wire = Wire::mail("server { listen @main@ proxy_protocol; protocol imap; }");
    let mut client = wire.connect();
    client.ask("PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\r\n", "* OK IMAP4 ready\r\n").send("a LOGIN u p\r\n");
    wire.auth.request().expect(format!(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\n{LOGIN}Proxy-Protocol-Addr: 192.0.2.1\r\n\
         Proxy-Protocol-Port: 4711\r\nProxy-Protocol-Server-Addr: 198.51.100.7\r\nProxy-Protocol-Server-Port: 143\r\n\r\n"
    ));
}

#[test]
fn every_header_at_once() {
    if !since(1, 21, 2) {
        return;
    }
    let wire = Wire::mail(
        "server { listen @main@ proxy_protocol; protocol smtp; smtp_auth none; auth_http_header X-Last yes; }",
    );
    let mut client = wire.connect();
    client.ask("PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n", "220 proxy.test ESMTP ready\r\n");
    client.send("HELO c.test\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\n");
    wire.auth.request().expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: none\r\nAuth-User: \r\nAuth-Pass: \r\n\
         Auth-Protocol: smtp\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\nClient-Host: [UNAVAILABLE]\r\n\
         Proxy-Protocol-Addr: 2001:db8::1\r\nProxy-Protocol-Port: 1\r\nProxy-Protocol-Server-Addr: 2001:db8::2\r\n\
         Proxy-Protocol-Server-Port: 25\r\nAuth-SMTP-Helo: c.test\r\nAuth-SMTP-From: MAIL FROM:<a>\r\n\
         Auth-SMTP-To: RCPT TO:<b>\r\nX-Last: yes\r\n\r\n",
    );
}

#[test]
fn each_login_asks_anew() {
    let wire = Wire::imap("");
    logs_in(&wire);
    logs_in(&wire);
    wire.auth.request();
    wire.auth.request();
}
