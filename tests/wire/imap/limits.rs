//! `imap_client_buffer`, `max_errors` and `timeout`.

use super::goes_on;
use crate::harness::{Subject, Wire, differs};

/// A NOOP of exactly so many bytes with its CRLF.
fn noop(tag: &str, length: usize) -> String {
    format!("{tag} NOOP{}\r\n", " ".repeat(length - tag.len() - 7))
}

#[test]
fn a_line_of_exactly_the_buffer_fits() {
    let wire = Wire::imap("imap_client_buffer 64;");
    wire.client().ask(noop("a", 64), "a OK completed\r\n").ask(noop("b", 64), "b OK completed\r\n");
}

#[test]
fn a_line_longer_than_the_buffer_closes() {
    let wire = Wire::imap("imap_client_buffer 64;");
    wire.client().ask(noop("a", 65), "a BAD invalid command\r\n").expect_close();
    wire.await_log("client sent too long command");
}

#[test]
fn the_buffer_is_a_page_by_default() {
    let wire = Wire::imap("");
    wire.client().ask(noop("a", 4096), "a OK completed\r\n");
    wire.client().ask(noop("a", 4097), "a BAD invalid command\r\n").expect_close();
}

#[test]
fn a_literal_counts_against_the_buffer() {
    let wire = Wire::imap("imap_client_buffer 64;");
    let mut client = wire.client();
    client.send("a LOGIN u {2000000000}\r\n");
    if differs("a literal that cannot fit is refused as soon as it is announced", true, false) {
        client.expect("+ OK\r\n").send("x".repeat(64));
    }
    client.expect("a BAD invalid command\r\n").expect_close();
    wire.auth.expect_unasked();
}

#[test]
fn a_refused_line_counts_against_the_buffer() {
    let wire = Wire::imap("imap_client_buffer 64;");
    wire.client().ask(format!("a BOGUS {}", "x".repeat(56)), "a BAD invalid command\r\n").expect_close();
}

#[test]
fn incomplete_command_at_the_end_of_a_full_buffer() {
    let wire = Wire::imap("imap_client_buffer 64;");
    let mut client = wire.client();
    client.send(noop("a", 60) + "b NOOP\r\n").expect("a OK completed\r\n");
    if Subject::is_nginx() {
        // Its answer is still held back for an ACK of the first when the close resets the connection.
        client.expect_close();
    } else {
        // It would fit by itself.
        client.expect("b OK completed\r\n");
    }
}

#[test]
fn commands_beyond_a_full_buffer_are_all_answered() {
    let wire = Wire::imap("imap_client_buffer 64;");
    let mut client = wire.client();
    client.send([noop("a", 32), noop("b", 32), noop("c", 32), noop("d", 32)].concat());
    client.expect("a OK completed\r\nb OK completed\r\n");
    if Subject::is_nginx() {
        // It forgets that there is more to read until more comes.
        client.expect_silence().send(" ");
    }
    client.expect("c OK completed\r\nd OK completed\r\n");
}

#[test]
fn five_errors_close_by_default() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    for _ in 0..4 {
        client.ask("a BOGUS\r\n", "a BAD invalid command\r\n");
    }
    goes_on(&mut client);
    client.ask("a BOGUS\r\n", "a BAD invalid command\r\n").expect_close();
    wire.await_log("client sent too many invalid commands");
}

#[test]
fn max_errors() {
    let wire = Wire::imap("max_errors 2;");
    let mut client = wire.client();
    client.ask("a BOGUS\r\n", "a BAD invalid command\r\n");
    client.ask("\r\n", "* BAD invalid command\r\n").expect_close();
}

#[test]
fn max_errors_of_nought_is_like_one() {
    for directive in ["max_errors 0;", "max_errors 1;"] {
        let wire = Wire::imap(directive);
        wire.client().ask("a BOGUS\r\nb NOOP\r\n", "a BAD invalid command\r\n").expect_close();
    }
}

#[test]
fn known_commands_with_wrong_arguments_are_not_counted() {
    let wire = Wire::imap("max_errors 1;");
    let mut client = wire.client();
    for _ in 0..10 {
        client.ask("a LOGIN\r\n", "a BAD invalid command\r\n");
        client.ask("b LOGIN \"\" x\r\n", "b BAD invalid command\r\n");
        client.ask("c STARTTLS\r\n", "c BAD invalid command\r\n");
    }
    goes_on(&mut client);
}

#[test]
fn too_many_arguments_are_counted() {
    let wire = Wire::imap("max_errors 1;");
    wire.client().ask("a LOGIN a b c d\r\n", "a BAD invalid command\r\n").expect_close();
}
