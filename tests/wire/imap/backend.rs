//! The login at the backend, byte for byte, and what the client hears of it.

use crate::harness::{Conn, Reply, Subject, Wire, b64, differs, since};

const INTERNAL: &str = "* BAD internal server error\r\n";

/// A client and a backend that has got the password and is to answer.
#[track_caller]
fn before_the_verdict(wire: &Wire) -> (Conn, Conn) {
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
    (client, backend)
}

/// What the client gets when the backend greets so; the session ends with it.
#[track_caller]
fn greeting_fails(directives: &str, greeting: impl AsRef<[u8]>, told: impl AsRef<[u8]>) {
    let wire = Wire::imap(directives);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.backend.accept().send(greeting).expect_close();
    client.expect(told).expect_close();
}

/// What the client gets when the backend answers the login so; the session ends with it.
#[track_caller]
fn login_fails(directives: &str, answer: &str, told: &str) {
    let wire = Wire::imap(directives);
    let (mut client, mut backend) = before_the_verdict(&wire);
    backend.send(answer).expect_close();
    client.expect(told).expect_close();
}

#[test]
fn two_literals_under_the_clients_tag() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("x-1.Y LOGIN \"us er\" \"pa\\\"ss\"\r\n");
    let mut backend = wire.backend.accept();
    backend.expect_silence().send("* OK ready\r\n").expect("x-1.Y LOGIN {5}\r\n").expect_silence();
    backend.send("+ go ahead\r\n").expect("us er {5}\r\n").expect_silence();
    backend.send("+ go ahead\r\n").expect("pa\"ss\r\n");
    client.expect_silence();
    backend.send("x-1.Y OK Logged in\r\n");
    client.expect("x-1.Y OK Logged in\r\n");
}

#[test]
fn every_mechanism_becomes_login() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("t AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n").ask(b64("u") + "\r\n", "+ UGFzc3dvcmQ6\r\n");
    client.send("\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "t LOGIN {1}\r\n").ask("+ \r\n", "u {0}\r\n").ask("+ \r\n", "\r\n");
    backend.send("t OK\r\n");
    client.expect("t OK\r\n");
}

#[test]
fn empty_tag_is_reused_too() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send(" LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", " LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
    backend.send(" OK\r\n");
    client.expect(" OK\r\n");
}

#[test]
fn user_and_password_of_the_auth_server_take_the_clients_place() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-User", "mapped").with("Auth-Pass", "other"));
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {6}\r\n").ask("+ \r\n", "mapped {5}\r\n").ask("+ \r\n", "other\r\n");
}

#[test]
fn answers_may_come_in_pieces() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.send_pieces(["*", " OK re", "ady\r", "\n"]).expect("a LOGIN {1}\r\n");
    backend.send_pieces(["+ ", "go\r\n"]).expect("u {1}\r\n").ask("+ go\r\n", "p\r\n");
    backend.send_pieces(["a O", "K i", "n\r", "\n"]);
    client.expect("a OK in\r\n");
}

#[test]
fn greeting_may_be_long() {
    let wire = Wire::imap("proxy_buffer 256;");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.backend.accept().ask(format!("* OK {}\r\n", "x".repeat(249)), "a LOGIN {1}\r\n");
}

#[test]
fn greeting_beyond_the_buffer_is_an_error() {
    greeting_fails("proxy_buffer 256;", format!("* OK {}", "x".repeat(251)), INTERNAL);
}

#[test]
fn too_long_an_answer_is_logged() {
    let wire = Wire::imap("proxy_buffer 256;");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.backend.accept().send(format!("* OK {}", "x".repeat(251))).expect_close();
    wire.await_log("upstream sent too long response line: \"* OK xxx");
}

#[test]
fn bad_greetings_are_an_internal_error() {
    greeting_fails("", "* BYE busy\r\n", INTERNAL);
    greeting_fails("", "* PREAUTH welcome\r\n", INTERNAL);
    greeting_fails("", "220 mail.test ESMTP\r\n", INTERNAL);
}

#[test]
fn preauth_is_named_in_the_log() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.backend.accept().send("* PREAUTH welcome\r\n").expect_close();
    client.expect(INTERNAL).expect_close();
    let reason = "it would take the session for somebody else's";
    wire.await_log(differs(reason, "upstream sent invalid response: \"* PREAUTH", "upstream sent PREAUTH"));
}

#[test]
fn bad_greeting_is_passed_on_where_configured() {
    greeting_fails("proxy_pass_error_message on;", "* BYE busy\r\n", "* BYE busy\r\n");
}

#[test]
fn bad_greeting_is_logged() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.backend.accept().send("* BYE busy\r\n").expect_close();
    let line = wire.await_log("upstream sent invalid response: \"* BYE busy\"");
    assert!(line.contains("[error]"), "{line}");
    assert!(line.contains(" while reading response from upstream, client: 127.0.0.1"), "{line}");
    let context = format!("server: {}, login: \"u\", upstream: {}", wire.place("main"), wire.backend.address());
    assert!(line.contains(&context), "{line}");
}

#[test]
fn refused_login_is_an_internal_error() {
    login_fails("", "a NO [AUTHENTICATIONFAILED] no\r\n", INTERNAL);
    login_fails("", "a BAD no\r\n", INTERNAL);
}

#[test]
fn refused_login_is_passed_on_where_configured() {
    login_fails("proxy_pass_error_message on;", "a NO [AUTH] no\r\n", "a NO [AUTH] no\r\n");
    login_fails("proxy_pass_error_message on;", "* info\r\na NO no\r\n", "* info\r\na NO no\r\n");
    login_fails("proxy_pass_error_message on;", "a NO no\r\n* BYE x\r\n", "a NO no\r\n* BYE x\r\n");
}

#[test]
fn refused_literal_is_an_error() {
    for (directives, told) in [("", INTERNAL), ("proxy_pass_error_message on;", "a NO no literals\r\n")] {
        let wire = Wire::imap(directives);
        let mut client = wire.client();
        client.send("a LOGIN u p\r\n");
        let mut backend = wire.backend.accept();
        backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").send("a NO no literals\r\n").expect_close();
        client.expect(told).expect_close();
    }
}

#[test]
fn answer_under_another_tag_is_an_error() {
    login_fails("", "b OK in\r\n", INTERNAL);
}

#[test]
fn backend_that_goes_away_is_an_internal_error() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    drop(wire.backend.accept());
    client.expect(INTERNAL).expect_close();
    let (mut client, backend) = before_the_verdict(&wire);
    drop(backend);
    client.expect(INTERNAL).expect_close();
}

#[test]
fn untagged_capability_before_the_verdict_is_passed_on() {
    if !since(1, 27, 3) {
        return;
    }
    let wire = Wire::imap("");
    let (mut client, mut backend) = before_the_verdict(&wire);
    backend.send("* CAPABILITY IMAP4rev1 IDLE\r\na OK in\r\n");
    client.expect("* CAPABILITY IMAP4rev1 IDLE\r\na OK in\r\n");
    client.send("b NOOP\r\n");
    backend.expect("b NOOP\r\n");
}

#[test]
fn untagged_capability_by_itself_is_waited_upon() {
    if !since(1, 27, 3) {
        return;
    }
    let wire = Wire::imap("");
    let (mut client, mut backend) = before_the_verdict(&wire);
    backend.send("* CAPABILITY IMAP4rev1\r\n").expect_silence();
    backend.send("a OK in\r\n");
    client.expect("* CAPABILITY IMAP4rev1\r\na OK in\r\n");
}

#[test]
fn two_untagged_lines_before_the_verdict() {
    let wire = Wire::imap("");
    let (mut client, mut backend) = before_the_verdict(&wire);
    backend.send("* CAPABILITY IMAP4rev1\r\n* 1 EXISTS\r\na OK in\r\n");
    if Subject::is_nginx() {
        client.expect(INTERNAL).expect_close();
    } else {
        // Any number of them is legal.
        client.expect("* CAPABILITY IMAP4rev1\r\n* 1 EXISTS\r\na OK in\r\n");
    }
}

#[test]
fn continuation_without_text() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").send("+\r\n");
    if differs("any line that begins with + will do", true, false) {
        backend.expect_silence().send("+\r\n");
    }
    backend.expect("u {1}\r\n");
}

#[test]
fn untagged_line_before_a_continuation() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").send("* CAPABILITY IMAP4rev1\r\n+ go\r\n");
    if differs("untagged lines may come at any time", true, false) {
        client.expect(INTERNAL).expect_close();
    } else {
        backend.expect("u {1}\r\n");
    }
}

#[test]
fn what_follows_the_verdict_is_passed_on() {
    let wire = Wire::imap("");
    let (mut client, mut backend) = before_the_verdict(&wire);
    backend.send("a OK in\r\n* 3 EXISTS\r\n* 1 RECENT\r\n");
    client.expect("a OK in\r\n* 3 EXISTS\r\n* 1 RECENT\r\n");
}
