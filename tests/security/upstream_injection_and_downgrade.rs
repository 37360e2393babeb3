//! Upstream response injection and downgrade (CVE-2026-1642, CVE-2021-38371, NO STARTTLS): where TLS towards the mail server
//! is wanted, nothing that somebody on the way says without it is believed, and no credentials leave.

use crate::harness::upstream::{UPSTREAMS, Upstream};
use crate::harness::{Conn, Subject, Wire};

/// A client that logs in, and the backend that has been asked to start TLS.
#[track_caller]
fn at_starttls(upstream: &Upstream, wire: &Wire) -> (Conn, Conn) {
    let client = upstream.login(wire);
    let mut backend = wire.backend.accept();
    for (said, asked) in upstream.starttls {
        backend.ask(said, asked);
    }
    (client, backend)
}

/// The client hears of an error, and the backend hears nothing more.
#[track_caller]
fn fails(upstream: &Upstream, wire: &Wire, mut client: Conn, mut backend: Conn, log: &str) {
    let heard = String::from_utf8_lossy(&backend.rest()).into_owned();
    assert_eq!(heard, "", "the backend heard this in the clear");
    client.expect(upstream.talk.internal_error).expect_close();
    wire.await_log(log);
}

/// The subject's servers, where it can do this at all.
fn servers(directives: &str) -> Vec<(Upstream, Wire)> {
    if Subject::is_nginx() {
        return Vec::new();
    }
    let wire = |upstream: Upstream| {
        let wire = upstream.wire(&format!("proxy_ssl starttls; {directives}"));
        (upstream, wire)
    };
    UPSTREAMS.into_iter().map(wire).collect()
}

#[test]
fn plaintext_behind_the_consent_is_fatal() {
    for (upstream, wire) in servers("") {
        for injected in [upstream.injected, "x", "\r\n"] {
            let (client, mut backend) = at_starttls(&upstream, &wire);
            backend.send([upstream.consent, injected].concat());
            fails(&upstream, &wire, client, backend, "unencrypted data behind its consent to start TLS");
        }
    }
}

#[test]
fn verification_off_does_not_excuse_it() {
    for (upstream, wire) in servers("proxy_ssl_verify off;") {
        let (client, mut backend) = at_starttls(&upstream, &wire);
        backend.send([upstream.consent, upstream.injected].concat());
        fails(&upstream, &wire, client, backend, "unencrypted data behind its consent to start TLS");
    }
}

#[test]
fn plaintext_in_place_of_the_handshake_is_fatal() {
    for (upstream, wire) in servers("") {
        let (mut client, mut backend) = at_starttls(&upstream, &wire);
        backend.send(upstream.consent);
        // A ClientHello, or nothing: never a credential.
        backend.send_pieces([upstream.injected, upstream.injected]);
        let heard = backend.rest();
        assert!(!heard.windows(5).any(|w| w == b"LOGIN" || w == b"USER " || w == b"AUTH "), "{heard:?}");
        client.expect(upstream.talk.internal_error).expect_close();
    }
}

#[test]
fn a_refusal_to_start_tls_fails_closed() {
    for (upstream, wire) in servers("proxy_pass_error_message on;") {
        let (client, mut backend) = at_starttls(&upstream, &wire);
        backend.send(upstream.refusal);
        fails(&upstream, &wire, client, backend, "upstream did not start TLS, so no login was tried");
    }
}

#[test]
fn a_stripped_announcement_fails_closed() {
    for (upstream, wire) in servers("") {
        if upstream.talk.name != "smtp" {
            continue;
        }
        let client = upstream.login(&wire);
        let mut backend = wire.backend.accept();
        backend.ask("220 mail.test\r\n", "EHLO proxy.test\r\n").send("250-mail.test\r\n250 AUTH PLAIN\r\n");
        fails(&upstream, &wire, client, backend, "upstream did not start TLS, so no login was tried");
    }
}

#[test]
fn preauth_fails_closed() {
    for (upstream, wire) in servers("") {
        if upstream.talk.name != "imap" {
            continue;
        }
        let client = upstream.login(&wire);
        let mut backend = wire.backend.accept();
        backend.send("* PREAUTH welcome back\r\n");
        fails(&upstream, &wire, client, backend, "PREAUTH");
    }
}

#[test]
fn a_server_without_tls_gets_nothing_where_it_is_implicit() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let wire = upstream.wire("proxy_ssl on;");
        let mut client = upstream.login(&wire);
        let mut backend = wire.backend.accept();
        backend.send(upstream.starttls[0].0);
        let heard = backend.rest();
        assert!(!heard.windows(5).any(|w| w == b"LOGIN" || w == b"USER " || w == b"AUTH "), "{heard:?}");
        client.expect(upstream.talk.internal_error).expect_close();
    }
}

/// The authentication server has the last word on TLS, and only it.
#[test]
fn the_next_session_does_not_go_without() {
    for (upstream, wire) in servers("") {
        for _ in 0..2 {
            let (client, mut backend) = at_starttls(&upstream, &wire);
            backend.send(upstream.refusal);
            fails(&upstream, &wire, client, backend, "upstream did not start TLS");
        }
    }
}
