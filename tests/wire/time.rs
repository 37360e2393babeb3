//! `timeout` and `proxy_timeout`: what they bound, and what restarts them.
//!
//! Only lower bounds and orders of events are checked, so that a slow machine changes nothing.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Reply, Wire, differs};

/// Longer than a limit of `1s`.
const LONGER: Duration = Duration::from_millis(1500);

/// A fraction of it.
const STEP: Duration = Duration::from_millis(200);

#[test]
fn idle_client_is_closed_without_a_word() {
    for protocol in ["imap", "pop3"] {
        let wire = Wire::server(protocol, "timeout 1s;");
        let start = Instant::now();
        wire.client().expect_close();
        assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
        wire.await_log("client timed out");
    }
}

#[test]
fn timeout_is_not_restarted_by_commands() {
    let wire = Wire::imap("timeout 1s;");
    let mut client = wire.client();
    let talk = client.chatter("a NOOP\r\n", STEP, 40);
    assert!(client.rest().starts_with(b"a OK completed\r\n"));
    assert!(!talk.is_finished(), "the session ended only when the client fell silent");
}

#[test]
fn timeout_bounds_an_unfinished_command() {
    let wire = Wire::imap("timeout 1s;");
    wire.client().ask("a LOGIN u {5}\r\n", "+ OK\r\n").send("pa").expect_close();
}

#[test]
fn timeout_stops_while_the_auth_server_is_asked() {
    let wire = Wire::imap("timeout 1s;");
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let request = wire.auth.request();
    sleep(LONGER);
    client.expect_silence();
    let Reply::Bytes(accept) = Reply::accept(wire.backend.address()) else { unreachable!() };
    request.conn.unwrap().send(accept);
    wire.backend.accept().ask("* OK hi\r\n", "a LOGIN {1}\r\n");
}

#[test]
fn timeout_starts_anew_after_auth_wait() {
    let wire = Wire::imap("timeout 1s;");
    wire.auth.reply(Reply::refuse("no").with("Auth-Wait", "2"));
    let mut client = wire.client();
    client.ask("a LOGIN u p\r\n", "a NO no\r\n");
    let start = Instant::now();
    client.expect_close();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn timeout_bounds_the_backends_greeting() {
    let wire = Wire::imap("timeout 1s;");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    client.expect("* BAD internal server error\r\n").expect_close();
    backend.expect_close();
    wire.await_log("upstream timed out");
}

#[test]
fn timeout_bounds_the_backends_login_as_a_whole() {
    let wire = Wire::imap("timeout 3s;");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n");
    sleep(STEP * 10);
    backend.ask("+ \r\n", "u {1}\r\n");
    sleep(STEP * 10);
    client.expect("* BAD internal server error\r\n").expect_close();
}

#[test]
fn proxy_timeout_ends_an_idle_session() {
    let wire = Wire::pop3("proxy_timeout 1s;");
    let (mut client, mut backend) = wire.pop3_session();
    let start = Instant::now();
    client.expect_close();
    backend.expect_close();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn proxy_timeout_is_restarted_by_the_client() {
    let wire = Wire::imap("proxy_timeout 2s;");
    let (mut client, mut backend) = wire.imap_session();
    for _ in 0..15 {
        sleep(STEP);
        client.send("x");
        backend.expect("x");
    }
}

#[test]
fn proxy_timeout_is_restarted_by_the_backend() {
    let wire = Wire::imap("proxy_timeout 2s;");
    let (mut client, backend) = wire.imap_session();
    let talk = backend.chatter("x", STEP, 40);
    if differs("the manual says so, and nginx looks at the client's side only", true, false) {
        client.rest();
        assert!(!talk.is_finished(), "the session ended only when the backend fell silent");
    } else {
        client.expect("x".repeat(40));
    }
}
