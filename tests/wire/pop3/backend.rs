//! The login at the backend, byte for byte, and what the client hears of it.

use crate::harness::{Conn, Reply, Wire, b64, differs};

const INTERNAL: &str = "-ERR internal server error\r\n";

/// A client and a backend that has been connected to.
#[track_caller]
fn connected(wire: &Wire) -> (Conn, Conn) {
    let mut client = wire.client();
    client.ask("USER u\r\n", "+OK\r\n").send("PASS p\r\n");
    (client, wire.backend.accept())
}

/// What the client gets when the backend gives these answers; the session ends with the last.
#[track_caller]
fn fails(directives: &str, answers: &[&str], told: &str) {
    let wire = Wire::pop3(directives);
    let (mut client, mut backend) = connected(&wire);
    let mut said = ["USER u\r\n", "PASS p\r\n"].into_iter();
    let (last, before) = answers.split_last().unwrap();
    for answer in before {
        backend.ask(answer, said.next().unwrap());
    }
    backend.send(last).expect_close();
    client.expect(told).expect_close();
}

#[test]
fn user_and_pass() {
    let wire = Wire::pop3("");
    let (mut client, mut backend) = connected(&wire);
    backend.expect_silence().send("+OK ready <1.2@x>\r\n").expect("USER u\r\n").expect_silence();
    backend.send("+OK go on\r\n").expect("PASS p\r\n");
    client.expect_silence();
    backend.send("+OK 2 messages\r\n");
    client.expect("+OK 2 messages\r\n");
}

#[test]
fn every_mechanism_becomes_user_and_pass() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.send(format!("AUTH PLAIN {}\r\n", b64("\0us er\0")));
    let mut backend = wire.backend.accept();
    backend.ask("+OK hi\r\n", "USER us er\r\n").ask("+OK\r\n", "PASS \r\n");
}

#[test]
fn user_and_password_of_the_auth_server_take_the_clients_place() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-User", "mapped").with("Auth-Pass", "other"));
    let (_client, mut backend) = connected(&wire);
    backend.ask("+OK hi\r\n", "USER mapped\r\n").ask("+OK\r\n", "PASS other\r\n");
}

#[test]
fn answers_may_come_in_pieces() {
    let wire = Wire::pop3("");
    let (mut client, mut backend) = connected(&wire);
    backend.send_pieces(["+", "OK he", "llo\r", "\n"]).expect("USER u\r\n");
    backend.send_pieces(["+OK\r", "\n"]).expect("PASS p\r\n").send_pieces(["+OK in", "\r\n"]);
    client.expect("+OK in\r\n");
}

#[test]
fn refusals_are_an_internal_error() {
    fails("", &["-ERR busy\r\n"], INTERNAL);
    fails("", &["* OK IMAP ready\r\n"], INTERNAL);
    fails("", &["+OK\r\n", "-ERR who\r\n"], INTERNAL);
    fails("", &["+OK\r\n", "+OK\r\n", "-ERR [AUTH] no\r\n"], INTERNAL);
}

#[test]
fn refusals_are_passed_on_where_configured() {
    let on = "proxy_pass_error_message on;";
    fails(on, &["-ERR busy\r\n"], "-ERR busy\r\n");
    fails(on, &["+OK\r\n", "-ERR who\r\n"], "-ERR who\r\n");
    fails(on, &["+OK\r\n", "+OK\r\n", "-ERR [AUTH] no\r\n"], "-ERR [AUTH] no\r\n");
}

#[test]
fn too_long_an_answer_is_an_error() {
    let long = format!("+OK {}", "x".repeat(252));
    fails("proxy_buffer 256;", &[&long], INTERNAL);
    fails("proxy_buffer 256; proxy_pass_error_message on;", &[&long], INTERNAL);
}

#[test]
fn backend_that_goes_away_is_an_internal_error() {
    let wire = Wire::pop3("");
    let (mut client, backend) = connected(&wire);
    drop(backend);
    client.expect(INTERNAL).expect_close();
}

#[test]
fn what_follows_the_verdict_is_passed_on() {
    let wire = Wire::pop3("");
    let (mut client, mut backend) = connected(&wire);
    backend.ask("+OK\r\n", "USER u\r\n").ask("+OK\r\n", "PASS p\r\n").send("+OK in\r\n+OK more\r\n");
    client.expect("+OK in\r\n+OK more\r\n");
}

#[test]
fn line_ends_in_user_and_password_never_become_commands() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.send(format!("AUTH PLAIN {}\r\n", b64("\0u\r\nDELE 1\0p\r\nQUIT")));
    if differs("CR and LF never reach a command line of a backend", true, false) {
        let mut backend = wire.backend.accept();
        backend.ask("+OK hi\r\n", "USER u\r\nDELE 1\r\n").ask("+OK\r\n", "PASS p\r\nQUIT\r\n");
    } else {
        client.expect("-ERR invalid command\r\n");
        wire.auth.expect_unasked();
    }
}
