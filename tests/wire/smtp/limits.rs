//! `smtp_client_buffer`, `max_errors` and `timeout`.

use std::time::{Duration, Instant};

use super::{INVALID, OK, goes_on};
use crate::harness::{Subject, Wire};

/// A NOOP of exactly so many bytes with its CRLF.
fn noop(length: usize) -> String {
    format!("NOOP {}\r\n", "x".repeat(length - 7))
}

#[test]
fn a_line_of_exactly_the_buffer_fits() {
    let wire = Wire::smtp("smtp_client_buffer 64;");
    wire.client().ask(noop(64), OK).ask(noop(64), OK);
}

#[test]
fn a_line_longer_than_the_buffer_closes() {
    let wire = Wire::smtp("smtp_client_buffer 64;");
    wire.client().ask(noop(65), INVALID).expect_close();
    wire.await_log("client sent too long command");
}

#[test]
fn the_buffer_is_a_page_by_default() {
    let wire = Wire::smtp("");
    wire.client().ask(noop(4096), OK);
    wire.client().ask(noop(4097), INVALID).expect_close();
}

#[test]
fn a_refused_line_counts_against_the_buffer() {
    let wire = Wire::smtp("smtp_client_buffer 64;");
    wire.client().ask("B".repeat(64), INVALID).expect_close();
}

#[test]
fn a_response_counts_against_the_buffer() {
    let wire = Wire::smtp("smtp_client_buffer 64;");
    wire.client().ask("AUTH PLAIN\r\n", "334 \r\n").ask("A".repeat(64), INVALID).expect_close();
    wire.auth.expect_unasked();
}

#[test]
fn commands_that_fill_the_buffer_are_all_answered() {
    let wire = Wire::smtp("smtp_client_buffer 64;");
    wire.client().ask(noop(32) + &noop(32), [OK, OK].concat()).ask(noop(64), OK);
}

#[test]
fn incomplete_command_at_the_end_of_a_full_buffer() {
    let wire = Wire::smtp("smtp_client_buffer 64;");
    let mut client = wire.client();
    client.send(noop(60) + "NOOP\r\n").expect(OK);
    if Subject::is_nginx() {
        // Its answer is still held back for an ACK of the first when the close resets the connection.
        client.expect_close();
    } else {
        // It would fit by itself.
        client.expect(OK);
    }
}

#[test]
fn five_errors_close_by_default() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    for _ in 0..5 {
        client.ask("BOGUS\r\n", INVALID);
    }
    client.expect_close();
    wire.await_log("client sent too many invalid commands");
}

#[test]
fn good_commands_do_not_forgive_errors() {
    let wire = Wire::smtp("max_errors 2;");
    let mut client = wire.client();
    client.ask("BOGUS\r\n", INVALID);
    goes_on(&mut client);
    client.ask("BOGUS\r\n", INVALID).expect_close();
}

#[test]
fn no_errors_allowed_is_like_one() {
    let wire = Wire::smtp("max_errors 0;");
    wire.client().ask("NOOP\r\n", OK).ask("BOGUS\r\n", INVALID).expect_close();
}

#[test]
fn timeout_closes_without_a_word() {
    let wire = Wire::smtp("timeout 1s;");
    let start = Instant::now();
    let mut client = wire.client();
    goes_on(&mut client);
    client.expect_close();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    let line = wire.await_log("client timed out");
    assert!(line.contains("[info]"), "{line}");
}

#[test]
fn timeout_runs_during_an_exchange() {
    let wire = Wire::smtp("timeout 1s;");
    wire.client().ask("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n").expect_close();
}
