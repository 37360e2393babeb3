//! `auth_http https://...` and `auth_http_ssl_*`, which nginx's mail proxy does not have.

use openssl::ssl::SslVerifyMode;

use super::PROTOCOLS;
use crate::harness::tls::Server;
use crate::harness::{Conn, File, Identity, Reply, Subject, Wanted, Wire};

const TRUSTED: &str = "auth_http_ssl_trusted_certificate ca.crt;";

/// An authority in `ca.crt`, for an auth server at its address.
struct Site {
    authority: Identity,
    server: Server,
}

impl Site {
    fn named(name: &str) -> Site {
        let authority = Identity::root("Auth authority");
        let server = Server::new(&Wanted::new(name).by(&authority));
        Site { authority, server }
    }

    fn files(&self) -> Vec<File> {
        vec![("ca.crt".to_owned(), self.authority.pem())]
    }
}

/// An IMAP server that asks an auth server with that certificate.
#[track_caller]
fn wire(files: &[File], directives: &str, server: &Server) -> Wire {
    let wire = Wire::with(
        files,
        &format!(
            "mail {{ server_name proxy.test; auth_http https://@auth@/auth; {directives}
             server {{ listen @main@; protocol imap; }} }}"
        ),
    );
    wire.auth.tls(server.clone());
    wire
}

#[track_caller]
fn good(wire: &Wire) {
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
    wire.backend.accept();
}

#[track_caller]
fn bad(wire: &Wire, why: &str) {
    wire.client().ask("a LOGIN u p\r\n", "* BAD internal server error\r\n").expect_close();
    wire.auth.expect_unasked();
    let line = wire.await_log(why);
    assert!(line.contains("[error]"), "{line}");
}

#[test]
fn requests_are_encrypted() {
    if Subject::is_nginx() {
        return;
    }
    let site = Site::named("127.0.0.1");
    for talk in PROTOCOLS {
        let wire = Wire::with(
            &site.files(),
            &format!(
                "mail {{ server_name proxy.test; auth_http https://@auth@/auth; {TRUSTED}
                 server {{ listen @main@; protocol {}; }} }}",
                talk.name
            ),
        );
        wire.auth.tls(site.server.clone());
        let mut client = wire.client();
        client.send(talk.login);
        let host = if talk.name == "smtp" { "Client-Host: [UNAVAILABLE]\r\n" } else { "" };
        wire.auth.request().expect(format!(
            "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: u\r\nAuth-Pass: p\r\n\
             Auth-Protocol: {}\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n{host}\r\n",
            talk.name
        ));
        wire.backend.accept();
    }
}

#[test]
fn the_name_is_verified() {
    if Subject::is_nginx() {
        return;
    }
    let site = Site::named("auth.test");
    bad(&wire(&site.files(), TRUSTED, &site.server), "SSL certificate does not match");
    good(&wire(&site.files(), &format!("{TRUSTED} auth_http_ssl_name auth.test;"), &site.server));
    bad(
        &wire(&site.files(), &format!("{TRUSTED} auth_http_ssl_name other.test;"), &site.server),
        "SSL certificate does not match",
    );
}

#[test]
fn the_authority_and_the_time_are_verified() {
    if Subject::is_nginx() {
        return;
    }
    let site = Site::named("127.0.0.1");
    bad(&wire(&[], "", &site.server), "unable to get local issuer certificate");
    let late = Server::new(&Wanted::new("127.0.0.1").expired().by(&site.authority));
    bad(&wire(&site.files(), TRUSTED, &late), "certificate has expired");
}

#[test]
fn verification_can_be_turned_off() {
    if Subject::is_nginx() {
        return;
    }
    let late = Server::new(&Wanted::new("elsewhere.test").expired().alone());
    good(&wire(&[], "auth_http_ssl_verify off;", &late));
}

#[test]
fn a_certificate_of_our_own() {
    if Subject::is_nginx() {
        return;
    }
    let site = Site::named("127.0.0.1");
    let proxy = Wanted::new("proxy.test").by(&site.authority);
    let files = [site.files(), proxy.files("proxy")].concat();
    let wants = Server::with(&Wanted::new("127.0.0.1").by(&site.authority), |context| {
        context.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
    });
    let own = "auth_http_ssl_certificate proxy.crt; auth_http_ssl_certificate_key proxy.key;";
    good(&wire(&files, &format!("{TRUSTED} {own}"), &wants));
}

/// The way to the auth server after the handshake, for a login that waits for the answer.
#[track_caller]
fn asked(wire: &Wire) -> (Conn, Conn) {
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let auth = wire.auth.request().conn.unwrap();
    (client, auth)
}

#[test]
fn an_answer_that_is_cut_off_is_no_answer() {
    if Subject::is_nginx() {
        return;
    }
    let site = Site::named("127.0.0.1");
    let wire = wire(&site.files(), TRUSTED, &site.server);
    let (mut client, mut auth) = asked(&wire);
    // Port 14 or 143? Without close_notify nobody knows.
    auth.send("HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 14");
    drop(auth);
    client.expect("* BAD internal server error\r\n").expect_close();
    wire.backend.expect_nobody();
}

#[test]
fn connections_are_used_again() {
    if Subject::is_nginx() {
        return;
    }
    let site = Site::named("127.0.0.1");
    let wire = wire(&site.files(), TRUSTED, &site.server);
    let (_first, mut auth) = asked(&wire);
    let port = wire.backend.address().port();
    let answer = format!(
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\
         Auth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: {port}\r\n\r\n"
    );
    auth.send(&answer);
    wire.backend.accept();
    let mut second = wire.client();
    second.send("b LOGIN second p\r\n");
    assert!(auth.until("\r\n\r\n").contains("Auth-User: second\r\n"));
    auth.send(&answer);
    wire.backend.accept();
}

#[test]
fn sessions_are_resumed() {
    if Subject::is_nginx() {
        return;
    }
    let site = Site::named("127.0.0.1");
    let wire = wire(&site.files(), TRUSTED, &site.server);
    for resumed in [false, true] {
        let (_client, mut auth) = asked(&wire);
        auth.send("HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n").close_notify();
        assert_eq!(auth.ssl().session_reused(), resumed);
        auth.expect_close();
    }
}

#[test]
fn a_server_without_tls_gets_nothing() {
    if Subject::is_nginx() {
        return;
    }
    let site = Site::named("127.0.0.1");
    let wire = Wire::with(
        &site.files(),
        &format!(
            "mail {{ server_name proxy.test; auth_http https://@auth@/auth; {TRUSTED} auth_http_timeout 2s;
             server {{ listen @main@; protocol imap; }} }}"
        ),
    );
    wire.auth.always(Reply::refuse("in the clear"));
    wire.client().ask("a LOGIN u p\r\n", "* BAD internal server error\r\n").expect_close();
}
