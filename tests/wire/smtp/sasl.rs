//! AUTH: each mechanism, with and without initial response.

use super::{INVALID, OK, challenge, goes_on};
use crate::harness::{Request, Wire, b64, differs, since};

const ALL: &str = "smtp_auth plain login cram-md5 external;";
const USERNAME: &str = "334 VXNlcm5hbWU6\r\n";
const PASSWORD: &str = "334 UGFzc3dvcmQ6\r\n";
const DIGEST: &str = "0123456789abcdef0123456789abcdef";

/// Sends that as a new client and gives what the auth server is asked.
#[track_caller]
fn asked_for(wire: &Wire, lines: impl AsRef<[u8]>) -> Request {
    let mut client = wire.client();
    client.send(lines);
    wire.auth.request()
}

#[test]
fn plain() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask("AUTH PLAIN\r\n", "334 \r\n").send(b64("\0user\0pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn plain_with_initial_response() {
    let wire = Wire::smtp("");
    let asked = asked_for(&wire, format!("auth plain {}\r\n", b64("id\0user\0pass")));
    asked.expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: user\r\nAuth-Pass: pass\r\n\
         Auth-Protocol: smtp\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\nClient-Host: [UNAVAILABLE]\r\n\r\n",
    );
}

#[test]
fn plain_may_be_empty() {
    let wire = Wire::smtp("");
    assert_eq!(asked_for(&wire, "AUTH PLAIN AAA=\r\n").credentials(), ["plain", "", ""]);
}

#[test]
fn plain_with_too_few_nuls_is_refused_and_not_counted() {
    let wire = Wire::smtp("max_errors 1;");
    let mut client = wire.client();
    for message in ["", "user", "\0user", "user\0pass"] {
        client.ask("AUTH PLAIN\r\n", "334 \r\n").ask(b64(message) + "\r\n", INVALID);
    }
    goes_on(&mut client);
    wire.auth.expect_unasked();
}

#[test]
fn plain_and_login_work_where_they_are_not_enabled() {
    let wire = Wire::smtp("smtp_auth cram-md5;");
    assert_eq!(asked_for(&wire, "AUTH PLAIN AHUAcA==\r\n").credentials(), ["plain", "u", "p"]);
    wire.client().ask("AUTH LOGIN\r\n", USERNAME);
}

#[test]
fn plain_with_control_characters() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.send(format!("AUTH PLAIN {}\r\n", b64("\0us\r\ner\0pa\0ss")));
    if differs("CR, LF and NUL never reach a backend in a user name or password", true, false) {
        assert_eq!(wire.auth.request().credentials(), ["plain", "us%0D%0Aer", "pa%00ss"]);
    } else {
        client.expect(INVALID);
        wire.auth.expect_unasked();
    }
}

#[test]
fn login() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask("AUTH LOGIN\r\n", USERNAME).ask(b64("user") + "\r\n", PASSWORD).send(b64("pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn login_with_user_name() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask(format!("AUTH login {}\r\n", b64("user")), PASSWORD).send(b64("pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn login_may_be_empty() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask("AUTH LOGIN\r\n", USERNAME).ask("\r\n", PASSWORD).send("\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "", ""]);
}

#[test]
fn login_pipelined_whole() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.send(format!("AUTH LOGIN\r\n{}\r\n{}\r\n", b64("user"), b64("pass")));
    client.expect(USERNAME).expect(PASSWORD);
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn cram_md5() {
    let wire = Wire::smtp(ALL);
    let mut client = wire.client();
    client.send("AUTH CRAM-MD5\r\n");
    let salt = challenge(&mut client);
    client.send(b64(format!("us er {DIGEST}")) + "\r\n").expect(INVALID).send("AUTH cram-md5\r\n");
    assert_eq!(challenge(&mut client), salt, "one challenge a session");
    client.send(b64(format!("user {DIGEST}")) + "\r\n");
    wire.auth.request().expect(format!(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: cram-md5\r\nAuth-User: user\r\nAuth-Pass: {DIGEST}\r\n\
         Auth-Salt: {salt}\r\nAuth-Protocol: smtp\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\
         Client-Host: [UNAVAILABLE]\r\n\r\n"
    ));
}

#[test]
fn cram_md5_takes_no_initial_response() {
    let wire = Wire::smtp(ALL);
    wire.client().ask(format!("AUTH CRAM-MD5 {}\r\n", b64(format!("u {DIGEST}"))), INVALID);
    wire.auth.expect_unasked();
}

#[test]
fn cram_md5_wants_32_digits() {
    let wire = Wire::smtp(ALL);
    let mut client = wire.client();
    for message in ["", "u", "u 12", &format!("u {DIGEST}0")] {
        client.send("AUTH CRAM-MD5\r\n");
        challenge(&mut client);
        client.ask(b64(message) + "\r\n", INVALID);
    }
    goes_on(&mut client);
}

#[test]
fn cram_md5_only_where_enabled() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask("AUTH CRAM-MD5\r\n", INVALID);
    goes_on(&mut client);
}

#[test]
fn external() {
    let wire = Wire::smtp(ALL);
    let mut client = wire.client();
    client.ask("AUTH EXTERNAL\r\n", USERNAME).send(b64("user") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["external", "user", ""]);
}

#[test]
fn external_with_initial_response() {
    let wire = Wire::smtp(ALL);
    assert_eq!(asked_for(&wire, format!("AUTH EXTERNAL {}\r\n", b64("user"))).credentials(), ["external", "user", ""]);
}

#[test]
fn external_only_where_enabled() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask("AUTH EXTERNAL\r\n", INVALID);
    client.send(format!("AUTH EXTERNAL {}\r\n", b64("user")));
    if differs("EXTERNAL must be enabled for an initial response too", true, false) {
        assert_eq!(wire.auth.request().credentials(), ["external", "user", ""]);
    } else {
        client.expect(INVALID);
        wire.auth.expect_unasked();
    }
}

#[test]
fn unknown_mechanisms_are_invalid_and_not_counted() {
    let wire = Wire::smtp("max_errors 1;");
    let mut client = wire.client();
    for line in
        ["AUTH XOAUTH2\r\n", "AUTH NTLM x\r\n", "AUTH PLAIN a b\r\n", "AUTH LOGIN a b\r\n", "AUTH EXTERNAL a b\r\n"]
    {
        client.ask(line, INVALID);
    }
    goes_on(&mut client);
}

#[test]
fn bad_base64_is_refused_and_not_counted() {
    let wire = Wire::smtp("max_errors 1;");
    let mut client = wire.client();
    for bad in ["A", "AHVz!XIA", "*"] {
        client.ask(format!("AUTH PLAIN {bad}\r\n"), INVALID);
        client.ask("AUTH PLAIN\r\n", "334 \r\n").ask(format!("{bad}\r\n"), INVALID);
        client.ask(format!("AUTH LOGIN {bad}\r\n"), INVALID);
        client.ask("AUTH LOGIN\r\n", USERNAME).ask(format!("{bad}\r\n"), INVALID);
        client.ask("AUTH LOGIN\r\n", USERNAME).ask("dQ==\r\n", PASSWORD).ask(format!("{bad}\r\n"), INVALID);
    }
    goes_on(&mut client);
    wire.auth.expect_unasked();
}

#[test]
fn an_exchange_that_was_given_up_leaves_nothing_behind() {
    if !since(1, 29, 1) {
        return;
    }
    let wire = Wire::smtp("smtp_auth login none;");
    let mut client = wire.client();
    client.ask("AUTH LOGIN\r\n", USERNAME).ask(b64("user") + "\r\n", PASSWORD).ask("*\r\n", INVALID);
    client.ask("MAIL FROM:<a>\r\n", OK).send("RCPT TO:<b>\r\n");
    assert_eq!(wire.auth.request().credentials(), ["none", "", ""]);
}
