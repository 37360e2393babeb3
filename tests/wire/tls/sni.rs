//! Server blocks on one address, chosen by the name that a client asks for; nginx's mail proxy does not have it.

use super::{IMAP, PROTOCOLS, SMTP, Talk, certificate};
use crate::harness::tls::Client;
use crate::harness::{Conn, Dns, Identity, Subject, Wanted, Wire};

/// Three servers on `@main@`; the header `X-Server` tells which one a client came to.
#[track_caller]
fn servers(talk: &Talk, listen: &str) -> Wire {
    let names = ["first.test", "second.test", "*.third.test"];
    let mut conf = "mail { auth_http @auth@/auth;\n".to_owned();
    let mut files = Vec::new();
    for (name, file) in names.iter().zip(["first", "second", "third"]) {
        files.extend(Wanted::new(name).alone().files(file));
        conf += &format!(
            "server {{ listen @main@{listen}; starttls on; protocol {}; server_name {file}.test {name}; {} \
             auth_http_header X-Server {file}; }}\n",
            talk.name,
            certificate(file),
        );
    }
    Wire::with(&files, &(conf + "}"))
}

/// Whom the client ended up with: by certificate, and by what the auth server is told.
#[track_caller]
fn reached(talk: &Talk, wire: &Wire, client: &mut Conn) -> (String, String) {
    let certificate = client.ssl().peer_certificate().unwrap();
    let name = certificate.subject_alt_names().unwrap()[0].dnsname().unwrap().to_owned();
    client.send(talk.login);
    (name, wire.auth.request().header("X-Server").unwrap())
}

const CHOICES: [(Option<&str>, &str, &str); 7] = [
    (None, "first.test", "first"),
    (Some("first.test"), "first.test", "first"),
    (Some("second.test"), "second.test", "second"),
    (Some("SECOND.Test"), "second.test", "second"),
    (Some("a.third.test"), "*.third.test", "third"),
    (Some("third.test"), "*.third.test", "third"),
    (Some("unknown.test"), "first.test", "first"),
];

fn client(name: Option<&str>) -> Client {
    name.map_or_else(Client::new, |name| Client::new().name(name))
}

#[test]
fn implicit_tls() {
    if Subject::is_nginx() {
        return;
    }
    for talk in PROTOCOLS {
        let wire = servers(&talk, " ssl");
        for (name, certificate, server) in CHOICES {
            let mut client = wire.connect().tls(client(name));
            let greeting = client.line();
            if talk.name == "smtp" {
                assert_eq!(greeting, format!("220 {server}.test ESMTP ready\r\n"));
            }
            assert_eq!(reached(&talk, &wire, &mut client), (certificate.to_owned(), server.to_owned()), "{name:?}");
        }
    }
}

#[test]
fn starttls() {
    if Subject::is_nginx() {
        return;
    }
    for talk in PROTOCOLS {
        let wire = servers(&talk, "");
        for (name, certificate, server) in CHOICES {
            let mut conn = wire.connect();
            let greeting = conn.line();
            if talk.name == "smtp" {
                assert_eq!(greeting, "220 first.test ESMTP ready\r\n", "nobody was named yet");
            }
            conn.ask(talk.starttls[0], talk.starttls[1]);
            let mut client = conn.tls(client(name));
            assert_eq!(reached(&talk, &wire, &mut client), (certificate.to_owned(), server.to_owned()), "{name:?}");
        }
    }
}

#[test]
fn each_has_its_own_settings() {
    if Subject::is_nginx() {
        return;
    }
    let trusted = Identity::root("Trusted");
    let wire = super::wire_with(
        &[("ca.crt".to_owned(), trusted.pem())],
        "ssl_protocols TLSv1.2 TLSv1.3;
         server { listen @main@ ssl; protocol imap; server_name open.test; imap_capabilities OPEN; }
         server { listen @main@ ssl; protocol imap; server_name strict.test; imap_capabilities STRICT;
                  ssl_verify_client on; ssl_client_certificate ca.crt; }
         server { listen @main@ ssl; protocol imap; server_name old.test; imap_capabilities OLD;
                  ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES128-SHA; }",
    );
    let capability = |client: Client, expected: &str| {
        let mut client = wire.connect().tls(client);
        IMAP.greeted(&mut client)
            .ask("a CAPABILITY\r\n", format!("* CAPABILITY {expected} AUTH=PLAIN\r\na OK completed\r\n"));
        client
    };
    capability(Client::new(), "OPEN");
    capability(Client::new().name("strict.test").certificate(&Wanted::new("u").by(&trusted)), "STRICT");
    wire.connect().tls(Client::new().name("strict.test")).expect("* BYE No required SSL certificate\r\n");
    let old = capability(Client::new().name("old.test"), "OLD");
    assert_eq!(old.ssl().version_str(), "TLSv1.2");
    assert_eq!(old.ssl().current_cipher().unwrap().name(), "ECDHE-ECDSA-AES128-SHA");
    assert_eq!(capability(Client::new().name("open.test"), "OPEN").ssl().version_str(), "TLSv1.3");
}

#[test]
fn whom_a_proxy_protocol_header_is_believed_from_goes_with_the_name() {
    if Subject::is_nginx() {
        return;
    }
    let wire = super::wire(
        "server { listen @main@ ssl proxy_protocol; protocol imap; server_name first.test; }
         server { listen @main@ ssl proxy_protocol; protocol imap; server_name trusting.test;
                  set_real_ip_from 127.0.0.1; deny 203.0.113.9; }",
    );
    let come = |name, address: &str| {
        let mut conn = wire.connect();
        conn.send(format!("PROXY TCP4 {address} 198.51.100.7 4711 143\r\n"));
        conn.tls(Client::new().name(name))
    };
    for (name, seen) in [("first.test", "127.0.0.1"), ("trusting.test", "192.0.2.1")] {
        let mut client = come(name, "192.0.2.1");
        IMAP.greeted(&mut client).send(IMAP.login);
        assert_eq!(wire.auth.request().header("Client-IP").unwrap(), seen, "{name}");
    }
    come("trusting.test", "203.0.113.9").expect("* BYE Access denied\r\n").expect_close();
    let line = wire.await_log("access forbidden by rule");
    assert!(line.contains("client: 203.0.113.9"), "{line}");
    IMAP.greeted(&mut come("first.test", "203.0.113.9"));
}

#[test]
fn the_challenge_of_the_greeting_is_good_for_all() {
    if Subject::is_nginx() {
        return;
    }
    let wire = super::wire(
        "pop3_auth plain apop; starttls on;
         server { listen @main@; protocol pop3; server_name first.test; }
         server { listen @main@; protocol pop3; server_name second.test; }",
    );
    for name in ["first.test", "second.test"] {
        let mut conn = wire.connect();
        let greeting = conn.line();
        let challenge = greeting.trim_end().rsplit(' ').next().unwrap();
        conn.ask("STLS\r\n", "+OK\r\n");
        let mut client = conn.tls(Client::new().name(name));
        client.send("APOP joe 0123456789abcdef0123456789abcdef\r\n");
        assert_eq!(wire.auth.request().header("Auth-Salt").unwrap(), challenge, "{name}");
    }
}

#[test]
fn the_resolver_is_that_of_the_server_with_the_name() {
    if Subject::is_nginx() {
        return;
    }
    let dns = Dns::start("1.0.0.127.in-addr.arpa PTR mail.client.test\nmail.client.test A 127.0.0.1");
    let wire = super::wire(&format!(
        "starttls on;
         server {{ listen @main@; protocol smtp; server_name first.test; }}
         server {{ listen @main@; protocol smtp; server_name second.test; resolver {}; }}",
        dns.address()
    ));
    for (name, host) in [("first.test", "[UNAVAILABLE]"), ("second.test", "mail.client.test")] {
        let mut conn = wire.connect();
        conn.line();
        conn.ask(SMTP.starttls[0], SMTP.starttls[1]);
        let mut client = conn.tls(Client::new().name(name));
        client.send(SMTP.login);
        assert_eq!(wire.auth.request().header("Client-Host").unwrap(), host, "{name}");
    }
}

#[test]
fn alpn_and_resumption_go_with_the_name() {
    if Subject::is_nginx() {
        return;
    }
    let wire = servers(&IMAP, " ssl");
    for name in ["first.test", "second.test"] {
        let client = || Client::new().name(name).alpn(&["imap"]);
        let mut first = wire.connect().tls(client());
        IMAP.greeted(&mut first).close_notify();
        assert_eq!(first.ssl().selected_alpn_protocol(), Some(&b"imap"[..]));
        let session = first.session();
        let mut second = wire.connect().tls(client().resuming(&session));
        assert!(second.ssl().session_reused(), "{name}");
        let (_, server) = reached(&IMAP, &wire, IMAP.greeted(&mut second));
        assert_eq!(format!("{server}.test"), name);
    }
}
