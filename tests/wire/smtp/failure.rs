//! Logins that fail, and things that go wrong.

use std::time::{Duration, Instant};

use super::{INTERNAL, LOGIN, OK, goes_on};
use crate::harness::{Reply, Wire, b64};

#[test]
fn refusal_has_the_text_of_the_auth_server_and_closes() {
    let wire = Wire::smtp("");
    wire.auth.reply(Reply::refuse("Bad login"));
    let mut client = wire.client();
    client.ask(format!("{LOGIN}NOOP\r\n"), "535 5.7.0 Bad login\r\n").expect_close();
    wire.backend.expect_nobody();
    let line = wire.await_log("client login failed: \"Bad login\"");
    assert!(line.contains("[info]") && line.contains(" while in http auth state, client: 127.0.0.1"), "{line}");
}

#[test]
fn error_code_of_the_auth_server_is_used() {
    let wire = Wire::smtp("");
    wire.auth.reply(Reply::refuse("Busy").with("Auth-Error-Code", "454 4.7.0"));
    wire.client().ask(LOGIN, "454 4.7.0 Busy\r\n").expect_close();
}

#[test]
fn with_auth_wait_the_refusal_is_delayed_and_the_session_goes_on() {
    let wire = Wire::smtp("");
    wire.auth.reply(Reply::refuse("wrong").with("Auth-Wait", "1"));
    let mut client = wire.client();
    let start = Instant::now();
    client.ask(LOGIN, "535 5.7.0 wrong\r\n");
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    wire.auth.request();
    goes_on(&mut client);
    client.send(format!("AUTH PLAIN {}\r\n", b64("\0second\0try")));
    let second = wire.auth.request();
    assert_eq!(second.credentials(), ["plain", "second", "try"]);
    assert_eq!(second.header("Auth-Login-Attempt").as_deref(), Some("2"));
}

#[test]
fn input_during_auth_wait_is_used_after_it() {
    let wire = Wire::smtp("");
    wire.auth.reply(Reply::refuse("wrong").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.send(LOGIN);
    wire.auth.request();
    client.ask("NOOP\r\nRSET\r\n", ["535 5.7.0 wrong\r\n", OK, OK].concat());
}

#[test]
fn unreachable_auth_server_is_an_internal_error() {
    let wire = Wire::smtp("auth_http 127.0.0.1:1/;");
    wire.client().ask(LOGIN, INTERNAL).expect_close();
}

#[test]
fn unreachable_backend_is_an_internal_error() {
    let wire = Wire::smtp("");
    wire.auth.reply(Reply::accept("127.0.0.1:1".parse().unwrap()));
    wire.client().ask(LOGIN, INTERNAL).expect_close();
}
