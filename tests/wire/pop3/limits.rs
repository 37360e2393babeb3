//! The length of a line and `max_errors`.

use super::{INVALID, goes_on};
use crate::harness::{Wire, b64, differs};

const REASON: &str = "a token does not fit 128 bytes, so a command may have 4 KB";

/// The longest line, with its CRLF.
fn longest() -> usize {
    differs(REASON, 128, 4096)
}

/// A NOOP of exactly so many bytes with its CRLF.
fn noop(length: usize) -> String {
    format!("NOOP{}\r\n", " ".repeat(length - 6))
}

#[test]
fn a_line_of_exactly_the_buffer_fits() {
    let wire = Wire::pop3("");
    wire.client().ask(noop(longest()), "+OK\r\n").ask(noop(longest()), "+OK\r\n");
}

#[test]
fn a_longer_line_closes() {
    let wire = Wire::pop3("");
    wire.client().ask(noop(longest() + 1), INVALID).expect_close();
    wire.await_log("client sent too long command");
}

#[test]
fn a_refused_line_counts_against_the_buffer() {
    let wire = Wire::pop3("");
    wire.client().ask("x".repeat(longest()), INVALID).expect_close();
}

#[test]
fn incomplete_command_at_the_end_of_a_full_buffer() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.send(noop(longest() - 3) + "NOOP\r\n").expect("+OK\r\n");
    if differs("it would fit by itself", true, false) {
        // The answer is still held back for an ACK of the first when the close resets the connection.
        client.expect_close();
    } else {
        client.expect("+OK\r\n");
    }
}

#[test]
fn a_token_in_place_of_a_password() {
    let wire = Wire::pop3("");
    let token = "t".repeat(1500);
    let mut client = wire.client();
    client.send(format!("AUTH PLAIN {}\r\n", b64(format!("\0u\0{token}"))));
    if differs(REASON, true, false) {
        client.expect(INVALID).expect_close();
    } else {
        assert_eq!(wire.auth.request().credentials(), ["plain", "u", &token]);
        let mut backend = wire.backend.accept();
        backend.ask("+OK\r\n", "USER u\r\n").ask("+OK\r\n", format!("PASS {token}\r\n"));
    }
}

#[test]
fn max_errors() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    for _ in 0..4 {
        client.ask("BOGUS\r\n", INVALID);
    }
    goes_on(&mut client);
    client.ask("STAT\r\n", INVALID).expect_close();
    let wire = Wire::pop3("max_errors 0;");
    wire.client().ask("BOGUS\r\nNOOP\r\n", INVALID).expect_close();
}

#[test]
fn known_commands_in_the_wrong_state_are_not_counted() {
    let wire = Wire::pop3("max_errors 1;");
    let mut client = wire.client();
    for _ in 0..10 {
        client
            .ask("PASS p\r\n", INVALID)
            .ask("USER\r\n", INVALID)
            .ask("APOP u x\r\n", INVALID)
            .ask("STLS\r\n", INVALID);
    }
    goes_on(&mut client);
}
