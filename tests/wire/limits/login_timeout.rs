//! `login_timeout`: the deadline that nothing moves.
//!
//! Lower bounds and orders of events only, so that a slow machine changes nothing.

use std::time::{Duration, Instant};

use super::{IMAP, PROTOCOLS, Talk};
use crate::harness::{Conn, Dns, Reply, Subject, Wanted, Wire};

fn refusal(talk: &Talk) -> &'static str {
    talk.one_of("* BYE Login timed out\r\n", "-ERR [SYS/TEMP] Login timed out\r\n", "421 4.7.0 Login timed out\r\n")
}

/// The client hears this at its end, and not much before its time.
#[track_caller]
fn ends_late(wire: &Wire, client: &mut Conn, begin: Instant, last_words: &str) {
    client.expect(last_words).expect_close();
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
    wire.await_log("client did not log in within \"login_timeout\"");
}

#[test]
fn it_bounds_a_client_that_is_silent() {
    for talk in PROTOCOLS {
        let Some(wire) = talk.wire("login_timeout 1s;") else { return };
        let begin = Instant::now();
        ends_late(&wire, &mut wire.client(), begin, refusal(&talk));
    }
}

#[test]
fn timeout_ends_a_session_before_as_in_nginx() {
    let Some(wire) = IMAP.wire("timeout 1s; login_timeout 2s;") else { return };
    wire.client().expect_close();
    wire.await_log("client timed out (110: Connection timed out)");
}

#[test]
fn it_bounds_failures_however_many() {
    let Some(wire) = IMAP.wire("login_timeout 2s;") else { return };
    wire.auth.always(Reply::refuse("no").with("Auth-Wait", "1"));
    let begin = Instant::now();
    let mut client = wire.client();
    client.ask("a LOGIN u p\r\n", "a NO no\r\n").send("b LOGIN u p\r\n");
    ends_late(&wire, &mut client, begin, refusal(&IMAP));
}

#[test]
fn it_bounds_the_wait_of_a_failure() {
    let Some(wire) = IMAP.wire("login_timeout 1s;") else { return };
    wire.auth.always(Reply::refuse("no").with("Auth-Wait", "3600"));
    let begin = Instant::now();
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    ends_late(&wire, &mut client, begin, refusal(&IMAP));
}

#[test]
fn it_bounds_an_authentication_server_that_is_silent_or_says_wait() {
    for reply in [Reply::ByHand, Reply::headers(&[("Auth-Status", "WAIT"), ("Auth-Wait", "1")])] {
        let Some(wire) = IMAP.wire("login_timeout 2s;") else { return };
        wire.auth.always(reply);
        let begin = Instant::now();
        let mut client = wire.client();
        client.send("a LOGIN u p\r\n");
        let _request = wire.auth.request();
        ends_late(&wire, &mut client, begin, refusal(&IMAP));
    }
}

#[test]
fn it_bounds_a_mail_server_that_is_silent() {
    let Some(wire) = IMAP.wire("login_timeout 1s;") else { return };
    let begin = Instant::now();
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let _backend = wire.backend.accept();
    ends_late(&wire, &mut client, begin, refusal(&IMAP));
}

#[test]
fn it_bounds_a_proxy_protocol_header_and_a_handshake() {
    if Subject::is_nginx() {
        return;
    }
    let files = Wanted::new("mail.test").alone().files("server");
    let conf = "mail { auth_http @auth@; login_timeout 1s; ssl_certificate server.crt; ssl_certificate_key server.key;
        server { listen @main@ ssl; protocol imap; }
        server { listen @front@ proxy_protocol; protocol imap; } }";
    let wire = Wire::with(&files, conf);
    for (place, last_words) in [("main", ""), ("front", refusal(&IMAP))] {
        let begin = Instant::now();
        ends_late(&wire, &mut Conn::connect(wire.place(place)), begin, last_words);
    }
}

#[test]
fn it_bounds_a_name_server_that_is_silent() {
    if Subject::is_nginx() {
        return;
    }
    let dns = Dns::start("1.0.0.127.in-addr.arpa SILENT");
    let wire = Wire::smtp(&format!("login_timeout 1s; resolver {};", dns.address()));
    let begin = Instant::now();
    ends_late(&wire, &mut wire.connect(), begin, "421 4.7.0 Login timed out\r\n");
}

#[test]
fn it_bounds_a_greeting_that_comes_late() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::smtp("login_timeout 1s; smtp_greeting_delay 30s;");
    let begin = Instant::now();
    ends_late(&wire, &mut wire.connect(), begin, "421 4.7.0 Login timed out\r\n");
}

#[test]
fn it_ends_with_the_login() {
    let Some(wire) = IMAP.wire("login_timeout 1s;") else { return };
    let (mut client, mut backend) = wire.imap_session();
    std::thread::sleep(Duration::from_millis(1500));
    client.send("a NOOP\r\n");
    backend.expect("a NOOP\r\n").send("a OK\r\n");
    client.expect("a OK\r\n");
}
