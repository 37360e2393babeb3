//! TLS resumption across servers (CVE-2025-23419): a session with a server that asks for no client certificate is worth
//! nothing at one that does.

use openssl::ssl::{SslSession, SslVersion};

use crate::harness::talk::{PROTOCOLS, Talk, wire_with};
use crate::harness::tls::Client;
use crate::harness::{Conn, Identity, Subject, Wanted, Wire};

/// Two servers with the same certificate, ticket key and cache; the second needs a client certificate.
fn servers(talk: &Talk, listen: [&str; 2], first: &str, cache: &str) -> Wire {
    let name = talk.name;
    let strict = "ssl_verify_client on; ssl_client_certificate ca.crt;";
    let server = |place, host, options| {
        format!("server {{ listen {place}; protocol {name}; server_name {host}; starttls on; {options} }}\n")
    };
    wire_with(
        &[("ca.crt".to_owned(), Identity::root("Trusted").pem()), ("ticket.key".to_owned(), vec![7; 80])],
        &format!(
            "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:one:1m; {cache}\n{}{}",
            server(listen[0], "open.test", first),
            server(listen[1], "strict.test", strict),
        ),
    )
}

const TICKETS: &str = "ssl_session_ticket_key ticket.key;";
const NO_TICKETS: &str = "ssl_session_tickets off;";

const REFUSED: [&str; 3] = ["* BYE ", "-ERR ", "421 4.7.1 "];

/// The session of a client that has been served.
#[track_caller]
fn served(talk: &Talk, mut client: Conn) -> SslSession {
    talk.goes_on(&mut client);
    client.close_notify();
    client.session()
}

/// The strict server did not go on with the session, and wants a certificate.
#[track_caller]
fn refused(mut client: Conn) {
    assert!(!client.ssl().session_reused(), "the session was resumed");
    let line = client.line();
    assert!(REFUSED.iter().any(|code| line == format!("{code}No required SSL certificate\r\n")), "{line}");
    client.expect_close();
}

fn clients() -> impl Iterator<Item = Box<dyn Fn() -> Client>> {
    [SslVersion::TLS1_2, SslVersion::TLS1_3]
        .into_iter()
        .map(|version| Box::new(move || Client::new().version(version)) as Box<dyn Fn() -> Client>)
}

#[test]
fn implicit_tls() {
    for talk in PROTOCOLS {
        for cache in [TICKETS, NO_TICKETS] {
            let wire = servers(&talk, ["@main@ ssl", "@strict@ ssl"], "", cache);
            for client in clients() {
                let mut open = wire.connect().tls(client());
                open.line();
                let session = served(&talk, open);
                refused(Conn::connect(wire.place("strict")).tls(client().resuming(&session)));
            }
        }
    }
}

#[test]
fn starttls() {
    for talk in PROTOCOLS {
        for cache in [TICKETS, NO_TICKETS] {
            let wire = servers(&talk, ["@main@", "@strict@"], "", cache);
            let encrypted = |place: &str, tls: Client| {
                let mut client = Conn::connect(wire.place(place));
                client.line();
                client.ask(talk.starttls[0], talk.starttls[1]);
                client.tls(tls)
            };
            for client in clients() {
                let session = served(&talk, encrypted("main", client()));
                refused(encrypted("strict", client().resuming(&session)));
            }
        }
    }
}

/// Between two names on one address, which nginx's mail proxy does not have.
#[test]
fn another_name_on_the_same_address() {
    if Subject::is_nginx() {
        return;
    }
    for talk in PROTOCOLS {
        for cache in [TICKETS, NO_TICKETS] {
            let wire = servers(&talk, ["@main@ ssl", "@main@ ssl"], "", cache);
            for client in clients() {
                let mut open = wire.connect().tls(client().name("open.test"));
                open.line();
                let session = served(&talk, open);
                refused(wire.connect().tls(client().name("strict.test").resuming(&session)));
            }
        }
    }
}

/// A server that let a client pass for less: without any certificate, or with one of an unknown authority.
#[test]
fn a_laxer_verification() {
    for lax in ["optional", "optional_no_ca"] {
        for talk in PROTOCOLS {
            let first = format!("ssl_verify_client {lax}; ssl_client_certificate ca.crt;");
            let wire = servers(&talk, ["@main@ ssl", "@strict@ ssl"], &first, TICKETS);
            for client in clients() {
                let stranger = Wanted::new("stranger").alone();
                let known = if lax == "optional" { client() } else { client().certificate(&stranger) };
                let mut open = wire.connect().tls(known);
                open.line();
                let session = served(&talk, open);
                let mut strict = Conn::connect(wire.place("strict")).tls(client().resuming(&session));
                let line = strict.line();
                assert!(REFUSED.iter().any(|code| line.starts_with(code)), "{line}");
                strict.expect_close();
            }
        }
    }
}
