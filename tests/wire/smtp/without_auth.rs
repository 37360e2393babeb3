//! `smtp_auth none`: MAIL and RCPT without a login.

use super::{AUTH_REQUIRED, BAD_ARGUMENT, BAD_SEQUENCE, EXTENSIONS, INTERNAL, OK, at_backend, goes_on};
use crate::harness::{Conn, Reply, Wire, b64, since};

const HELO: &str = "250 proxy.test\r\n";
const EHLO_PROXY: &str = "EHLO proxy.test\r\n";
const XCLIENT: &str = "XCLIENT ADDR=127.0.0.1 NAME=[UNAVAILABLE]\r\n";
const MAIL: &str = "MAIL FROM:<a@test>\r\n";
const RCPT: &str = "RCPT TO:<b@test>\r\n";

/// A client that waits for the answer to its RCPT, and the backend that has got it.
#[track_caller]
fn before_the_verdict(wire: &Wire) -> (Conn, Conn) {
    let (mut client, mut backend) = at_backend(wire, "HELO c.test\r\nMAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\n");
    client.expect(HELO).expect(OK);
    backend.ask("220 hi\r\n", EHLO_PROXY).ask(EXTENSIONS, XCLIENT);
    backend.ask("220 hi again\r\n", "HELO c.test\r\n").ask("250 ok\r\n", MAIL).ask("250 ok\r\n", RCPT);
    (client, backend)
}

#[test]
fn the_auth_server_is_told_of_helo_from_and_to() {
    let wire = Wire::smtp("smtp_auth none;");
    let mut client = wire.client();
    client.ask("EHLO c.test\r\n", "250 proxy.test\r\n");
    client.ask("mail from:<a@test>  SIZE=5 \r\n", OK).send("Rcpt To:<b@test> NOTIFY=NEVER\r\n");
    wire.auth.request().expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: none\r\nAuth-User: \r\nAuth-Pass: \r\n\
         Auth-Protocol: smtp\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\nClient-Host: [UNAVAILABLE]\r\n\
         Auth-SMTP-Helo: c.test\r\nAuth-SMTP-From: mail from:<a@test>  SIZE=5\r\n\
         Auth-SMTP-To: Rcpt To:<b@test> NOTIFY=NEVER\r\n\r\n",
    );
}

#[test]
fn helo_is_not_needed() {
    let wire = Wire::smtp("smtp_auth none; xclient off;");
    let (mut client, mut backend) = at_backend(&wire, "MAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\n");
    assert_eq!(wire.auth.request().header("Auth-SMTP-Helo").as_deref(), Some(""));
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", MAIL).ask("250 ok\r\n", RCPT);
    backend.send("250 yes\r\n");
    client.expect(OK).expect("250 yes\r\n");
}

#[test]
fn answer_to_rcpt_is_the_clients_and_the_session_transparent() {
    let wire = Wire::smtp("smtp_auth none;");
    let (mut client, mut backend) = before_the_verdict(&wire);
    client.expect_silence();
    backend.send("250 2.1.5 fine\r\n");
    client.expect("250 2.1.5 fine\r\n").send("RCPT TO:<c@test>\r\n");
    backend.expect("RCPT TO:<c@test>\r\n").send("250 too\r\n");
    client.expect("250 too\r\n").send("DATA\r\n");
    backend.expect("DATA\r\n");
}

#[test]
fn refused_recipient_is_passed_on_and_the_session_goes_on() {
    let wire = Wire::smtp("smtp_auth none;");
    let (mut client, mut backend) = before_the_verdict(&wire);
    backend.send("550-5.1.1 nobody\r\n550 5.1.1 here\r\n");
    client.expect("550-5.1.1 nobody\r\n550 5.1.1 here\r\n").send("RCPT TO:<c@test>\r\n");
    backend.expect("RCPT TO:<c@test>\r\n");
}

#[test]
fn refused_sender_is_an_error() {
    for (pass, told) in [("off", INTERNAL), ("on", "550 5.7.1 not you\r\n")] {
        let wire = Wire::smtp(&format!("smtp_auth none; xclient off; proxy_pass_error_message {pass};"));
        let (mut client, mut backend) = at_backend(&wire, "MAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\n");
        backend.ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", MAIL).send("550 5.7.1 not you\r\n");
        backend.expect_close();
        client.expect(OK).expect(told).expect_close();
    }
}

#[test]
fn commands_behind_rcpt_reach_the_backend_after_it() {
    let wire = Wire::smtp("smtp_auth none; xclient off;");
    let sent = "EHLO c.test\r\nMAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\nRCPT TO:<c@test>\r\nDATA\r\n";
    let (mut client, mut backend) = at_backend(&wire, sent);
    backend.ask("220 hi\r\n", EHLO_PROXY).ask("250 ok\r\n", MAIL).ask("250 ok\r\n", RCPT);
    backend.expect_silence().send("250 b\r\n").expect("RCPT TO:<c@test>\r\nDATA\r\n");
    client.expect("250 proxy.test\r\n").expect(OK).expect("250 b\r\n");
}

#[test]
fn rcpt_before_mail_is_a_bad_sequence() {
    let wire = Wire::smtp("smtp_auth none; max_errors 1;");
    let mut client = wire.client();
    client.ask(RCPT, BAD_SEQUENCE);
    goes_on(&mut client);
}

#[test]
fn second_mail_is_a_bad_sequence() {
    let wire = Wire::smtp("smtp_auth none;");
    wire.client().ask(MAIL, OK).ask("MAIL FROM:<other>\r\n", BAD_SEQUENCE);
}

#[test]
fn mail_and_rcpt_want_arguments() {
    let wire = Wire::smtp("smtp_auth none; max_errors 1;");
    wire.client().ask("MAIL\r\n", BAD_ARGUMENT).ask(MAIL, OK).ask("RCPT\r\n", BAD_ARGUMENT);
}

#[test]
fn rset_and_helo_forget_mail() {
    let wire = Wire::smtp("smtp_auth none;");
    let mut client = wire.client();
    client.ask(MAIL, OK).ask("RSET\r\n", OK).ask(RCPT, BAD_SEQUENCE);
    client.ask(MAIL, OK).ask("HELO x\r\n", HELO).ask(RCPT, BAD_SEQUENCE);
    client.ask("MAIL FROM:<second>\r\n", OK).send(RCPT);
    assert_eq!(wire.auth.request().header("Auth-SMTP-From").as_deref(), Some("MAIL FROM:<second>"));
}

#[test]
fn refusal_of_the_auth_server_closes() {
    let wire = Wire::smtp("smtp_auth none;");
    wire.auth.reply(Reply::refuse("Relay denied").with("Auth-Error-Code", "550 5.7.1"));
    wire.client().ask(MAIL, OK).ask(RCPT, "550 5.7.1 Relay denied\r\n").expect_close();
}

#[test]
fn after_auth_wait_another_recipient_may_be_tried() {
    let wire = Wire::smtp("smtp_auth none;");
    wire.auth.reply(Reply::refuse("Not now").with("Auth-Wait", "1").with("Auth-Error-Code", "450 4.7.1"));
    let mut client = wire.client();
    client.ask(MAIL, OK).ask(RCPT, "450 4.7.1 Not now\r\n").send("RCPT TO:<c@test>\r\n");
    wire.auth.request();
    let second = wire.auth.request();
    assert_eq!(second.header("Auth-SMTP-To").as_deref(), Some("RCPT TO:<c@test>"));
    assert_eq!(second.header("Auth-SMTP-From").as_deref(), Some("MAIL FROM:<a@test>"));
    assert_eq!(second.header("Auth-Login-Attempt").as_deref(), Some("2"));
}

#[test]
fn credentials_of_a_failed_login_are_not_told() {
    if !since(1, 29, 1) {
        return;
    }
    let wire = Wire::smtp("smtp_auth plain none; xclient on;");
    wire.auth.reply(Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.ask(format!("AUTH PLAIN {}\r\n", b64("\0user\0pass")), "535 5.7.0 no\r\n");
    client.ask(MAIL, OK).send(RCPT);
    wire.auth.request();
    assert_eq!(wire.auth.request().credentials(), ["none", "", ""]);
    wire.backend.accept().ask("220 hi\r\n", EHLO_PROXY).ask(EXTENSIONS, XCLIENT);
}

#[test]
fn without_none_nothing_is_asked() {
    let wire = Wire::smtp("smtp_auth plain;");
    wire.client().ask(MAIL, AUTH_REQUIRED).ask(RCPT, BAD_SEQUENCE);
    wire.auth.expect_unasked();
}

#[test]
fn authentication_works_beside_none() {
    let wire = Wire::smtp("smtp_auth login none;");
    let mut client = wire.client();
    client.ask(MAIL, OK).send("AUTH PLAIN AHUAcA==\r\n");
    let asked = wire.auth.request();
    assert_eq!(asked.credentials(), ["plain", "u", "p"]);
    assert_eq!(asked.header("Auth-SMTP-From"), None);
}

#[test]
fn with_proxy_smtp_auth_nothing_is_authenticated() {
    let wire = Wire::smtp("smtp_auth none; xclient off; proxy_smtp_auth on;");
    let (_client, mut backend) = at_backend(&wire, "MAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\n");
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", MAIL).ask("250 ok\r\n", RCPT);
}
