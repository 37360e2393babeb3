//! `Auth-Wait` and `Auth-Status: WAIT`.

use std::time::{Duration, Instant};

use super::logs_in;
use crate::harness::{Reply, Subject, Wire};

#[test]
fn failure_is_told_after_so_many_seconds() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    let start = Instant::now();
    client.ask("a LOGIN u p\r\n", "a NO no\r\n").ask("b NOOP\r\n", "b OK completed\r\n");
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn zero_and_nonsense_close_at_once() {
    for wait in ["0", "soon", "-1", "1s", ""] {
        let wire = Wire::imap("");
        wire.auth.reply(Reply::refuse("no").with("Auth-Wait", wait));
        wire.client().ask("a LOGIN u p\r\n", "a NO no\r\n").expect_close();
    }
}

#[test]
fn success_does_not_wait() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-Wait", "60"));
    logs_in(&wire);
}

#[test]
fn wait_asks_again_with_the_same_request() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::headers(&[("Auth-Status", "WAIT"), ("Auth-Wait", "1")]));
    let start = Instant::now();
    logs_in(&wire);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    let (first, second) = (wire.auth.request(), wire.auth.request());
    assert_eq!(first.raw, second.raw);
}

#[test]
fn wait_may_end_in_a_failure() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::headers(&[("Auth-Status", "WAIT"), ("Auth-Wait", "1")])).reply(Reply::refuse("no"));
    wire.client().ask("a LOGIN u p\r\n", "a NO no\r\n").expect_close();
}

#[test]
fn wait_without_a_time() {
    let wire = Wire::imap("");
    wire.auth.always(Reply::headers(&[("Auth-Status", "WAIT")]));
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let start = Instant::now();
    wire.auth.request();
    wire.auth.request();
    if !Subject::is_nginx() {
        // nginx hammers the auth server.
        assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    }
    wire.auth.always(Reply::refuse("no"));
}
