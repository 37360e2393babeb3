//! `none` authentication and stale credentials (CVE-2025-53859): each attempt begins with nothing of an earlier one.

use crate::harness::{Reply, Wire, b64, since};

const MAIL_AND_RCPT: &str = "MAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\n";

#[test]
fn none_after_a_failed_login_has_no_credentials() {
    if !since(1, 29, 1) {
        return;
    }
    let wire = Wire::smtp("smtp_auth plain login cram-md5 none;");
    for (sent, challenges) in [
        (format!("AUTH PLAIN {}\r\n", b64("\0stale-user\0stale-password")), 0),
        (format!("AUTH LOGIN\r\n{}\r\n{}\r\n", b64("stale-user"), b64("stale-password")), 2),
    ] {
        wire.auth.reply(Reply::refuse("no").with("Auth-Wait", "1"));
        wire.auth.reply(Reply::refuse("no"));
        let mut client = wire.client();
        client.send(sent);
        (0..challenges).for_each(|_| drop(client.line()));
        client.expect("535 5.7.0 no\r\n");
        wire.auth.request();
        client.send(MAIL_AND_RCPT).expect("250 2.0.0 OK\r\n");
        let request = wire.auth.request();
        assert_eq!(request.credentials(), ["none", "", ""]);
        assert!(!String::from_utf8_lossy(&request.raw).contains("stale"));
    }
}

#[test]
fn none_after_a_login_that_was_given_up_has_no_credentials() {
    if !since(1, 29, 1) {
        return;
    }
    let wire = Wire::smtp("smtp_auth plain login cram-md5 none;");
    let mut client = wire.client();
    client.send(format!("AUTH LOGIN\r\n{}\r\n*\r\n", b64("stale-user")));
    client.line();
    client.line();
    client.line();
    client.send(MAIL_AND_RCPT).expect("250 2.0.0 OK\r\n");
    let request = wire.auth.request();
    assert_eq!(request.credentials(), ["none", "", ""]);
    assert!(!String::from_utf8_lossy(&request.raw).contains("stale"));
}

#[test]
fn a_second_login_has_nothing_of_the_first() {
    let wire = Wire::pop3("pop3_auth plain apop cram-md5;");
    wire.auth.reply(Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.send("USER stale-user-with-a-long-name\r\nPASS stale-password-that-is-long\r\n");
    client.expect("+OK\r\n-ERR no\r\n");
    wire.auth.request();
    client.send(format!("AUTH PLAIN {}\r\n", b64("\0u\0p")));
    let request = wire.auth.request();
    assert_eq!(request.credentials(), ["plain", "u", "p"]);
    assert_eq!(request.header("Auth-Login-Attempt").as_deref(), Some("2"));
    assert!(!String::from_utf8_lossy(&request.raw).contains("stale"));
}

#[test]
fn a_user_without_a_password_is_forgotten_with_the_refusal() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.send("USER u\r\nPASS p\r\n").expect("+OK\r\n-ERR no\r\n");
    wire.auth.request();
    // There is no user any more that this could be the password of.
    client.ask("PASS q\r\n", "-ERR invalid command\r\n");
    wire.auth.expect_unasked();
}
