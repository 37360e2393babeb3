//! Logins that fail, and things that go wrong.

use std::time::{Duration, Instant};

use super::{INVALID, goes_on};
use crate::harness::{Reply, Wire, b64};

const LOGIN: &str = "USER u\r\nPASS p\r\n";

#[test]
fn refusal_has_the_text_of_the_auth_server_and_closes() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::refuse("Bad login, try again").with("Auth-Error-Code", "454 4.7.0"));
    let mut client = wire.client();
    client.ask("USER u\r\n", "+OK\r\n").ask("PASS p\r\nNOOP\r\n", "-ERR Bad login, try again\r\n").expect_close();
    wire.backend.expect_nobody();
}

#[test]
fn with_auth_wait_the_refusal_is_delayed_and_the_session_goes_on() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::refuse("wrong").with("Auth-Wait", "1"));
    let mut client = wire.client();
    let start = Instant::now();
    client.send(LOGIN).expect("+OK\r\n-ERR wrong\r\n");
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
    goes_on(&mut client);
    client.ask("PASS p\r\n", INVALID).send(format!("AUTH PLAIN {}\r\n", b64("\0u2\0p2")));
    wire.auth.request().expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: u2\r\nAuth-Pass: p2\r\n\
         Auth-Protocol: pop3\r\nAuth-Login-Attempt: 2\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
    let mut backend = wire.backend.accept();
    backend.ask("+OK hi\r\n", "USER u2\r\n").ask("+OK\r\n", "PASS p2\r\n");
}

#[test]
fn input_during_auth_wait_is_used_after_it() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::refuse("wrong").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.send(LOGIN);
    wire.auth.request();
    client.send(LOGIN).expect("+OK\r\n-ERR wrong\r\n+OK\r\n");
    assert_eq!(wire.auth.request().header("Auth-Login-Attempt").as_deref(), Some("2"));
}

#[test]
fn unreachable_auth_server_is_an_internal_error() {
    let wire = Wire::pop3("auth_http 127.0.0.1:1/;");
    wire.client().ask(LOGIN, "+OK\r\n-ERR internal server error\r\n").expect_close();
}

#[test]
fn unreachable_backend_is_an_internal_error() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::accept("127.0.0.1:1".parse().unwrap()));
    wire.client().ask(LOGIN, "+OK\r\n-ERR internal server error\r\n").expect_close();
}
