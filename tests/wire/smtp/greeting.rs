//! `smtp_greeting_delay`.

use std::time::{Duration, Instant};

use super::goes_on;
use crate::harness::Wire;

const TOO_EARLY: &str = "503 5.5.0 Improper use of SMTP command pipelining\r\n";

#[test]
fn greeting_is_delayed() {
    let wire = Wire::smtp("smtp_greeting_delay 500ms;");
    let start = Instant::now();
    let mut client = wire.connect();
    client.expect("220 proxy.test ESMTP ready\r\n");
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
    goes_on(&mut client);
}

#[test]
fn early_talkers_are_told_and_closed() {
    let wire = Wire::smtp("smtp_greeting_delay 60s;");
    wire.connect().ask("EHLO x\r\n", TOO_EARLY).expect_close();
    let line = wire.await_log("client was rejected before greeting: \"EHLO x__\"");
    assert!(line.contains("[info]"), "{line}");
}

#[test]
fn one_byte_is_enough() {
    let wire = Wire::smtp("smtp_greeting_delay 60s;");
    wire.connect().ask("E", TOO_EARLY).expect_close();
}

#[test]
fn without_delay_early_commands_are_answered() {
    let wire = Wire::smtp("");
    let mut client = wire.connect();
    client.send("NOOP\r\n").expect("220 proxy.test ESMTP ready\r\n").expect("250 2.0.0 OK\r\n");
}

#[test]
fn timeout_starts_with_the_greeting() {
    let wire = Wire::smtp("smtp_greeting_delay 1s; timeout 1s;");
    let start = Instant::now();
    let mut client = wire.connect();
    client.expect("220 proxy.test ESMTP ready\r\n").expect_close();
    assert!(start.elapsed() >= Duration::from_millis(1900), "{:?}", start.elapsed());
}
