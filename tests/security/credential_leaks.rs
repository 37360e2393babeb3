//! Passwords stay out of the log, at every level.

use crate::harness::{Reply, Wire, b64, differs};

const CANARY: &str = "cAnArY-0815";

/// That neither the password nor its base64 is in the log.
#[track_caller]
fn told_nothing(wire: &Wire) {
    let log = wire.log();
    for secret in [CANARY.to_owned(), b64(CANARY), b64(format!("\0u\0{CANARY}"))] {
        assert!(!log.contains(&secret), "{secret} in the log:\n{log}");
    }
}

#[test]
fn of_an_imap_client() {
    let wire = Wire::imap("error_log error.log debug;");
    wire.auth.always(Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.ask(format!("a LOGIN u {CANARY}\r\n"), "a NO no\r\n");
    client.ask(format!("b AUTHENTICATE PLAIN {}\r\n", b64(format!("\0u\0{CANARY}"))), "b NO no\r\n");
    client.ask("c AUTHENTICATE LOGIN dQ==\r\n", "+ UGFzc3dvcmQ6\r\n");
    client.ask(b64(CANARY) + "\r\n", "c NO no\r\n");
    client.ask(format!("d AUTHENTICATE LOGIN dQ== {}\r\n", b64(CANARY)), "d BAD invalid command\r\n");
    told_nothing(&wire);
}

#[test]
fn of_a_pop3_client() {
    let wire = Wire::pop3("error_log error.log debug;");
    wire.auth.always(Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.ask(format!("USER u\r\nPASS {CANARY}\r\n"), "+OK\r\n-ERR no\r\n");
    client.ask(format!("AUTH PLAIN {}\r\n", b64(format!("\0u\0{CANARY}"))), "-ERR no\r\n");
    told_nothing(&wire);
}

#[test]
fn of_a_session_with_a_backend() {
    let wire = Wire::imap("error_log error.log debug;");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-Pass", CANARY));
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").ask("+ \r\n", "u {11}\r\n").ask("+ \r\n", format!("{CANARY}\r\n"));
    backend.send("a NO wrong\r\n");
    client.expect("* BAD internal server error\r\n").expect_close();
    if !differs("nginx logs the auth server's headers at level debug", true, false) {
        told_nothing(&wire);
    }
}

#[test]
fn of_an_smtp_client() {
    let wire = Wire::smtp("error_log error.log debug;");
    wire.auth.always(Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.ask(format!("AUTH PLAIN {}\r\n", b64(format!("\0u\0{CANARY}"))), "535 5.7.0 no\r\n");
    client.ask("AUTH LOGIN dQ==\r\n", "334 UGFzc3dvcmQ6\r\n").ask(b64(CANARY) + "\r\n", "535 5.7.0 no\r\n");
    client.ask(format!("AUTH PLAIN !{}\r\n", b64(format!("\0u\0{CANARY}"))), "500 5.5.1 Invalid command\r\n");
    client.ask(format!("AUTH LOGIN dQ== {}\r\n", b64(CANARY)), "500 5.5.1 Invalid command\r\n");
    told_nothing(&wire);
}

#[test]
fn behind_a_rejected_command() {
    let wire = Wire::smtp("error_log error.log debug;");
    let mut client = wire.client();
    let behind = b64(format!("\0u\0{CANARY}"));
    client.send(format!("MAIL FROM:<a>\r\nAUTH PLAIN {behind}\r\n")).expect("530 5.7.1 Authentication required\r\n");
    if !differs("nginx logs all that it has read", true, false) {
        wire.auth.request();
        told_nothing(&wire);
    }
}

#[test]
fn in_a_too_long_command() {
    let wire = Wire::smtp("error_log error.log debug; smtp_client_buffer 64;");
    let mut client = wire.client();
    client.ask(
        format!("AUTH PLAIN {}{}", b64(format!("\0u\0{CANARY}")), "=".repeat(64)),
        "500 5.5.1 Invalid command\r\n",
    );
    if !differs("nginx logs all that it has read", true, false) {
        client.expect_close();
        told_nothing(&wire);
    }
}

#[test]
fn of_a_session_with_an_smtp_backend() {
    let wire = Wire::smtp("error_log error.log debug; xclient off; proxy_smtp_auth on; proxy_pass_error_message on;");
    let mut client = wire.client();
    let auth = format!("AUTH PLAIN {}\r\n", b64(format!("\0u\0{CANARY}")));
    client.send(&auth);
    let mut backend = wire.backend.accept();
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", auth).send("535 wrong\r\n");
    client.expect("535 wrong\r\n").expect_close();
    told_nothing(&wire);
}
