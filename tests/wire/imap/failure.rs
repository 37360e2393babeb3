//! Logins that fail, and things that go wrong.

use std::time::{Duration, Instant};

use super::goes_on;
use crate::harness::{Reply, Wire, b64, differs};

#[test]
fn refusal_has_the_text_of_the_auth_server_and_closes() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::refuse("Bad login, try again"));
    wire.client().ask("a LOGIN u p\r\nb NOOP\r\n", "a NO Bad login, try again\r\n").expect_close();
    wire.backend.expect_nobody();
}

#[test]
fn refusal_of_authenticate_has_its_tag() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::refuse("no"));
    let mut client = wire.client();
    client.ask("a1.x AUTHENTICATE PLAIN\r\n", "+ \r\n").ask(b64("\0u\0p") + "\r\n", "a1.x NO no\r\n").expect_close();
}

#[test]
fn refusal_ignores_the_error_code() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::refuse("no").with("Auth-Error-Code", "454 4.7.0"));
    wire.client().ask("a LOGIN u p\r\n", "a NO no\r\n").expect_close();
}

#[test]
fn with_auth_wait_the_refusal_is_delayed_and_the_session_goes_on() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::refuse("wrong").with("Auth-Wait", "1"));
    let mut client = wire.client();
    let start = Instant::now();
    client.ask("a LOGIN u p\r\n", "a NO wrong\r\n");
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);

    goes_on(&mut client);
    client.send("b LOGIN u2 p2\r\n");
    wire.auth.request().expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: u2\r\nAuth-Pass: p2\r\n\
         Auth-Protocol: imap\r\nAuth-Login-Attempt: 2\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "b LOGIN {2}\r\n").ask("+ \r\n", "u2 {2}\r\n").ask("+ \r\n", "p2\r\n");
}

#[test]
fn input_during_auth_wait_is_used_after_it() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::refuse("wrong").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.send("a LOGIN u p\r\nb NOOP\r\n");
    wire.auth.request();
    client.send("c LOGIN u p\r\n");
    client.expect("a NO wrong\r\nb OK completed\r\n");
    assert_eq!(wire.auth.request().header("Auth-Login-Attempt").as_deref(), Some("2"));
}

#[test]
fn nothing_of_an_earlier_attempt_is_in_the_next() {
    let wire = Wire::imap("imap_auth plain cram-md5;");
    wire.auth.reply(Reply::refuse("wrong").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.send("a AUTHENTICATE CRAM-MD5\r\n");
    client.line();
    client.ask(b64("user 0123456789abcdef0123456789abcdef") + "\r\n", "a NO wrong\r\n");
    assert!(wire.auth.request().header("Auth-Salt").is_some());
    client.send("b LOGIN u p\r\n");
    wire.auth.request();
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "b LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
}

#[test]
fn unreachable_auth_server_is_an_internal_error() {
    let wire = Wire::imap("auth_http 127.0.0.1:1/;");
    wire.client().ask("a LOGIN u p\r\n", "* BAD internal server error\r\n").expect_close();
}

#[test]
fn auth_server_without_an_answer_is_an_internal_error() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::raw(""));
    wire.client().ask("a LOGIN u p\r\n", "* BAD internal server error\r\n").expect_close();
}

#[test]
fn unreachable_backend_is_an_internal_error() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::accept("127.0.0.1:1".parse().unwrap()));
    wire.client().ask("a LOGIN u p\r\n", "* BAD internal server error\r\n").expect_close();
}

#[test]
fn external_never_uses_the_password_of_an_earlier_attempt() {
    let wire = Wire::imap("imap_auth plain external;");
    wire.auth.reply(Reply::refuse("wrong").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.ask("a LOGIN u earlier\r\n", "a NO wrong\r\n").send(format!("b AUTHENTICATE EXTERNAL {}\r\n", b64("v")));
    if differs("an attempt has nothing of an earlier one", true, false) {
        let mut backend = wire.backend.accept();
        backend.ask("* OK hi\r\n", "b LOGIN {1}\r\n").ask("+ \r\n", "v {7}\r\n").ask("+ \r\n", "earlier\r\n");
    } else {
        client.expect("* BAD internal server error\r\n").expect_close();
        wire.backend.expect_nobody();
    }
}
