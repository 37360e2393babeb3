//! `allow` and `deny`

use super::{PROTOCOLS, Talk};
use crate::harness::tls::Client;
use crate::harness::{Conn, Subject, Wanted, Wire};

fn refusal(talk: &Talk) -> &'static str {
    talk.one_of("* BYE Access denied\r\n", "-ERR [SYS/PERM] Access denied\r\n", "554 5.7.1 Access denied\r\n")
}

#[test]
fn who_is_denied_is_told_so_and_logged() {
    for talk in PROTOCOLS {
        let Some(wire) = talk.wire("allow 192.0.2.0/24; deny 127.0.0.1; allow all;") else { return };
        wire.connect().expect(refusal(&talk)).expect_close();
        let line = wire.await_log("access forbidden by rule");
        assert!(line.contains("[error]") && line.contains("client: 127.0.0.1, server: "), "{line}");
        // Each is logged at level info, and the next minute's number at the level of the first.
        wire.connect().expect(refusal(&talk)).expect_close();
        wire.await_log("[info]");
        let log = wire.log();
        assert_eq!(log.matches("[error]").count(), 1, "{log}");
    }
}

#[test]
fn a_server_with_rules_of_its_own_inherits_none() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::mail(
        "deny all;
         server { listen @main@; protocol imap; }
         server { listen @open@; protocol imap; deny 192.0.2.1; }",
    );
    wire.connect().expect("* BYE Access denied\r\n").expect_close();
    Conn::connect(wire.place("open")).expect("* OK IMAP4 ready\r\n");
}

#[test]
fn the_address_is_the_one_that_a_believed_proxy_tells() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::mail(
        "deny 192.0.2.1; deny 2001:db8::/32;
         server { listen @main@ proxy_protocol; protocol imap; set_real_ip_from 127.0.0.1; }
         server { listen @front@ proxy_protocol; protocol imap; }",
    );
    for (address, denied) in [("192.0.2.1", true), ("192.0.2.2", false), ("2001:db8::7", true), ("2001:db9::7", false)]
    {
        let (family, local) = if address.contains(':') { ("6", "::1") } else { ("4", "127.0.0.1") };
        let header = format!("PROXY TCP{family} {address} {local} 4711 143\r\n");
        let greeting = if denied { "* BYE Access denied\r\n" } else { "* OK IMAP4 ready\r\n" };
        wire.connect().ask(&header, greeting);
        Conn::connect(wire.place("front")).ask(&header, "* OK IMAP4 ready\r\n");
    }
}

#[test]
fn before_tls_nothing_is_said_and_no_handshake_done() {
    if Subject::is_nginx() {
        return;
    }
    let files = Wanted::new("mail.test").alone().files("server");
    let conf = "mail { auth_http @auth@; ssl_certificate server.crt; ssl_certificate_key server.key; deny all;
        server { listen @main@ ssl; protocol imap; } }";
    let wire = Wire::with(&files, conf);
    wire.connect().expect_close();
    assert!(wire.connect().try_tls(Client::new()).is_err());
}

#[test]
fn where_tls_chooses_the_server_its_rules_hold() {
    if Subject::is_nginx() {
        return;
    }
    for way in ["", " ssl"] {
        let mut files = Vec::new();
        let mut servers = String::new();
        for (name, rule) in [("first", ""), ("second", "deny all;")] {
            files.extend(Wanted::new(&format!("{name}.test")).alone().files(name));
            servers += &format!(
                "server {{ listen @main@{way}; starttls {}; protocol imap; server_name {name}.test; {rule}
                    ssl_certificate {name}.crt; ssl_certificate_key {name}.key; }}",
                if way.is_empty() { "on" } else { "off" }
            );
        }
        let wire = Wire::with(&files, &format!("mail {{ auth_http @auth@; {servers} }}"));
        for (name, greeting) in [("first.test", None), ("second.test", Some("* BYE Access denied\r\n"))] {
            let mut client = wire.connect();
            if way.is_empty() {
                client.expect("* OK IMAP4 ready\r\n").ask("a STARTTLS\r\n", "a OK completed\r\n");
            }
            let mut client = client.tls(Client::new().name(name));
            match (greeting, way) {
                (Some(greeting), _) => client.expect(greeting).expect_close(),
                (None, "") => {
                    client.ask("b NOOP\r\n", "b OK completed\r\n");
                }
                (None, _) => {
                    client.expect("* OK IMAP4 ready\r\n");
                }
            }
        }
    }
}
