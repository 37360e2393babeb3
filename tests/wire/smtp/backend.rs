//! The dialogue with the backend, without XCLIENT, and what the client hears of it.

use super::{INTERNAL, LOGGED_IN, LOGIN, at_backend, challenge};
use crate::harness::{Reply, Subject, Wire, b64, differs};

const EHLO_PROXY: &str = "EHLO proxy.test\r\n";
const AUTH: &str = "AUTH PLAIN AHUAcA==\r\n";

/// What the client gets when the backend greets so; the session ends with it.
#[track_caller]
fn greeting_fails(directives: &str, greeting: impl AsRef<[u8]>, told: impl AsRef<[u8]>) {
    let wire = Wire::smtp(directives);
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    backend.send(greeting).expect_close();
    client.expect(told).expect_close();
}

#[test]
fn hello_is_all_where_nothing_else_is_configured() {
    let wire = Wire::smtp("xclient off;");
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    backend.expect_silence().ask("220 hi\r\n", "HELO proxy.test\r\n");
    client.expect_silence();
    backend.send("250 mail.test\r\n");
    client.expect(LOGGED_IN).send("MAIL FROM:<a>\r\n");
    backend.expect("MAIL FROM:<a>\r\n");
}

#[test]
fn ehlo_where_the_client_said_so() {
    let wire = Wire::smtp("xclient off;");
    let (mut client, mut backend) = at_backend(&wire, "EHLO c.test\r\nAUTH PLAIN AHUAcA==\r\n");
    backend.ask("220 hi\r\n", EHLO_PROXY).send("250-mail.test\r\n250 SIZE\r\n");
    client.expect("250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n").expect(LOGGED_IN);
}

#[test]
fn helo_after_ehlo_is_still_ehlo() {
    let wire = Wire::smtp("xclient off;");
    let (_client, mut backend) = at_backend(&wire, "EHLO c.test\r\nHELO c.test\r\nAUTH PLAIN AHUAcA==\r\n");
    backend.ask("220 hi\r\n", EHLO_PROXY);
}

#[test]
fn helo_where_the_client_said_so() {
    let wire = Wire::smtp("xclient off;");
    let (_client, mut backend) = at_backend(&wire, "HELO c.test\r\nAUTH PLAIN AHUAcA==\r\n");
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n");
}

#[test]
fn authenticates_with_proxy_smtp_auth() {
    let wire = Wire::smtp("xclient off; proxy_smtp_auth on;");
    let (mut client, mut backend) = at_backend(&wire, "AUTH LOGIN\r\ndQ==\r\ncA==\r\n");
    client.expect("334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n");
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", AUTH);
    client.expect_silence();
    backend.send("235 2.7.0 Welcome u\r\n");
    client.expect(LOGGED_IN);
}

#[test]
fn authenticates_with_the_auth_servers_credentials() {
    let wire = Wire::smtp("xclient off; proxy_smtp_auth on;");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-User", "mapped").with("Auth-Pass", "other"));
    let (_client, mut backend) = at_backend(&wire, LOGIN);
    let auth = format!("AUTH PLAIN {}\r\n", b64("\0mapped\0other"));
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", auth);
}

#[test]
fn refused_authentication_is_an_error() {
    for (pass, told) in [("off", INTERNAL), ("on", "535-5.7.8 no\r\n535 5.7.8 way\r\n")] {
        let wire = Wire::smtp(&format!("xclient off; proxy_smtp_auth on; proxy_pass_error_message {pass};"));
        let (mut client, mut backend) = at_backend(&wire, LOGIN);
        backend.ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", AUTH);
        backend.send("535-5.7.8 no\r\n535 5.7.8 way\r\n").expect_close();
        client.expect(told).expect_close();
    }
}

#[test]
fn without_a_password_there_is_nothing_to_authenticate_with() {
    let wire = Wire::smtp("xclient off; proxy_smtp_auth on; smtp_auth cram-md5;");
    let mut client = wire.client();
    client.send("AUTH CRAM-MD5\r\n");
    challenge(&mut client);
    client.send(b64("u 0123456789abcdef0123456789abcdef") + "\r\n");
    if Subject::is_nginx() {
        let mut backend = wire.backend.accept();
        backend.ask("220 hi\r\n", "HELO proxy.test\r\n").send("250 ok\r\n").expect_close();
    }
    client.expect(INTERNAL).expect_close();
    let line = wire.await_log("no password available");
    // nginx finds out when it is to say it.
    assert_eq!(line.contains("upstream: "), Subject::is_nginx(), "{line}");
}

#[test]
fn after_cram_md5_the_auth_server_may_send_the_password() {
    let wire = Wire::smtp("xclient off; proxy_smtp_auth on; smtp_auth cram-md5;");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-Pass", "p"));
    let mut client = wire.client();
    client.send("AUTH CRAM-MD5\r\n");
    challenge(&mut client);
    client.send(b64("u 0123456789abcdef0123456789abcdef") + "\r\n");
    wire.backend.accept().ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", AUTH);
}

#[test]
fn after_cram_md5_no_password_is_needed_otherwise() {
    let wire = Wire::smtp("xclient off; smtp_auth cram-md5;");
    let mut client = wire.client();
    client.send("AUTH CRAM-MD5\r\n");
    challenge(&mut client);
    client.send(b64("u 0123456789abcdef0123456789abcdef") + "\r\n");
    wire.backend.accept().ask("220 hi\r\n", "HELO proxy.test\r\n").send("250 ok\r\n");
    client.expect(LOGGED_IN);
}

#[test]
fn answers_may_have_several_lines_in_pieces() {
    let wire = Wire::smtp("xclient off; proxy_smtp_auth on;");
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    backend.send_pieces(["22", "0-hi\r\n", "220-still\r", "\n220 h", "i\r\n"]).expect("HELO proxy.test\r\n");
    backend.send_pieces(["250-a\r\n", "250-b\r\n250", " c\r\n"]).expect(AUTH);
    backend.send_pieces(["235-a\r\n235", "-b\r\n", "235 c\r", "\n"]);
    client.expect(LOGGED_IN);
}

#[test]
fn short_lines_are_answers_too() {
    let wire = Wire::smtp("xclient off;");
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    backend.ask("220\r\n", "HELO proxy.test\r\n").send("250 \r\n");
    client.expect(LOGGED_IN);
}

#[test]
fn bad_greetings_are_an_internal_error() {
    for greeting in ["421 4.3.2 busy\r\n", "554-no\r\n554 go away\r\n", "250 ok\r\n", "* OK IMAP\r\n", "-ERR\r\n"] {
        greeting_fails("", greeting, INTERNAL);
    }
}

#[test]
fn bad_greeting_is_passed_on_where_configured() {
    let greeting = "554-no\r\n554 go away\r\n";
    greeting_fails("proxy_pass_error_message on;", greeting, greeting);
}

#[test]
fn bad_greeting_is_logged() {
    let wire = Wire::smtp("");
    let (_client, mut backend) = at_backend(&wire, LOGIN);
    backend.send("421 busy\r\n").expect_close();
    let line = wire.await_log("upstream sent invalid response: \"421 busy\"");
    assert!(line.contains("[error]"), "{line}");
    let context = format!(
        " while reading response from upstream, client: 127.0.0.1, server: {}, login: \"u\", upstream: {}",
        wire.place("main"),
        wire.backend.address()
    );
    assert!(line.ends_with(&context), "{line}");
}

#[test]
fn passed_on_error_is_logged_as_information() {
    let wire = Wire::smtp("proxy_pass_error_message on;");
    let (_client, mut backend) = at_backend(&wire, LOGIN);
    backend.send("421 busy\r\n").expect_close();
    let line = wire.await_log("upstream sent invalid response: \"421 busy\"");
    assert!(line.contains("[info]"), "{line}");
}

#[test]
fn answer_that_fills_the_buffer_is_an_error() {
    greeting_fails("proxy_buffer 256;", format!("220-{}", "x".repeat(252)), INTERNAL);
    let wire = Wire::smtp("proxy_buffer 256;");
    let (_client, mut backend) = at_backend(&wire, LOGIN);
    backend.send(format!("220 {}", "x".repeat(252))).expect_close();
    wire.await_log("upstream sent too long response line: \"220 xxx");
}

#[test]
fn answer_of_exactly_the_buffer_is_fine() {
    let wire = Wire::smtp("proxy_buffer 256; xclient off;");
    let (_client, mut backend) = at_backend(&wire, LOGIN);
    backend.ask(format!("220 {}\r\n", "x".repeat(250)), "HELO proxy.test\r\n");
}

#[test]
fn backend_that_goes_away_is_an_internal_error() {
    let wire = Wire::smtp("xclient off;");
    let (mut client, backend) = at_backend(&wire, LOGIN);
    drop(backend);
    client.expect(INTERNAL).expect_close();
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n");
    drop(backend);
    client.expect(INTERNAL).expect_close();
}

#[test]
fn backend_that_hangs_is_given_up_after_timeout() {
    let wire = Wire::smtp("xclient off; timeout 1s;");
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").send("250-part\r\n");
    client.expect(INTERNAL).expect_close();
    backend.expect_close();
    wire.await_log("upstream timed out");
}

#[test]
fn what_follows_the_last_answer() {
    let wire = Wire::smtp("xclient off;");
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").send("250 ok\r\n421 4.3.2 going down\r\n");
    client.expect(LOGGED_IN);
    if !differs("nothing that the backend sends is lost", true, false) {
        client.expect("421 4.3.2 going down\r\n");
    }
    client.expect_silence();
}
