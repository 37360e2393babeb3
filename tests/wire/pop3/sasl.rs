//! AUTH: each mechanism, with and without initial response.

use super::{INVALID, challenge, goes_on, with_salt};
use crate::harness::{Reply, Wire, b64, differs};

const DIGEST: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn plain() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("AUTH PLAIN\r\n", "+ \r\n").send(b64("x\0user\0pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn plain_with_initial_response() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.send(format!("auth plain {}\r\n", b64("\0user\0pass")));
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn plain_and_login_work_where_they_are_not_enabled() {
    let wire = Wire::pop3("pop3_auth apop;");
    let mut client = wire.client();
    client.send(format!("AUTH PLAIN {}\r\n", b64("\0user\0pass")));
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
    wire.client().ask("AUTH LOGIN\r\n", "+ VXNlcm5hbWU6\r\n");
}

#[test]
fn plain_with_too_few_nuls_is_refused() {
    let wire = Wire::pop3("max_errors 1;");
    let mut client = wire.client();
    for message in ["", "user", "\0user", "user\0pass"] {
        client.ask("AUTH PLAIN\r\n", "+ \r\n").ask(b64(message) + "\r\n", INVALID);
    }
    goes_on(&mut client);
    wire.auth.expect_unasked();
}

#[test]
fn bad_base64_is_refused_and_not_counted() {
    let wire = Wire::pop3("max_errors 1; pop3_auth plain external;");
    let mut client = wire.client();
    for bad in ["A", "AHVzZ", "AHVz!XIA"] {
        client.ask(format!("AUTH PLAIN {bad}\r\n"), INVALID);
        client.ask("AUTH PLAIN\r\n", "+ \r\n").ask(format!("{bad}\r\n"), INVALID);
        client.ask(format!("AUTH LOGIN {bad}\r\n"), INVALID);
        client.ask("AUTH LOGIN\r\n", "+ VXNlcm5hbWU6\r\n").ask(format!("{bad}\r\n"), INVALID);
        client.ask("AUTH LOGIN dQ==\r\n", "+ UGFzc3dvcmQ6\r\n").ask(format!("{bad}\r\n"), INVALID);
        client.ask("AUTH EXTERNAL\r\n", "+ VXNlcm5hbWU6\r\n").ask(format!("{bad}\r\n"), INVALID);
    }
    goes_on(&mut client);
}

#[test]
fn login() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("AUTH LOGIN\r\n", "+ VXNlcm5hbWU6\r\n").ask(b64("user") + "\r\n", "+ UGFzc3dvcmQ6\r\n");
    client.send(b64("pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn login_with_user_name() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask(format!("AUTH LOGIN {}\r\n", b64("user")), "+ UGFzc3dvcmQ6\r\n").send(b64("pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn login_in_one_packet() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.send(format!("AUTH LOGIN\r\n{}\r\n{}\r\n", b64("user"), b64("pass")));
    client.expect("+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn asterisk_cancels() {
    let wire = Wire::pop3("pop3_auth plain cram-md5 external;");
    let mut client = wire.client();
    client.ask("AUTH PLAIN\r\n", "+ \r\n").ask("*\r\n", INVALID);
    client.ask("AUTH LOGIN\r\n", "+ VXNlcm5hbWU6\r\n").ask("*\r\n", INVALID);
    client.send("AUTH CRAM-MD5\r\n");
    challenge(&mut client);
    client.ask("*\r\n", INVALID);
    client.ask("AUTH EXTERNAL\r\n", "+ VXNlcm5hbWU6\r\n").ask("*\r\n", INVALID);
    client.ask("USER u\r\n", "+OK\r\n").send("PASS p\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
}

#[test]
fn cram_md5_has_the_salt_of_the_greeting() {
    let wire = Wire::pop3("pop3_auth cram-md5;");
    let (mut client, salt) = with_salt(&wire);
    client.send("AUTH CRAM-MD5\r\n");
    assert_eq!(challenge(&mut client), salt);
    client.ask("*\r\n", INVALID).send("AUTH CRAM-MD5\r\n");
    assert_eq!(challenge(&mut client), salt);
    client.send(b64(format!("user {DIGEST}")) + "\r\n");
    wire.auth.request().expect(format!(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: cram-md5\r\nAuth-User: user\r\nAuth-Pass: {DIGEST}\r\n\
         Auth-Salt: {salt}\r\nAuth-Protocol: pop3\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    ));
}

#[test]
fn cram_md5_logs_in_with_the_password_of_the_auth_server() {
    let wire = Wire::pop3("pop3_auth cram-md5;");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-Pass", "clear"));
    let mut client = wire.client();
    client.send("AUTH CRAM-MD5\r\n");
    challenge(&mut client);
    client.send(b64(format!("user {DIGEST}")) + "\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("+OK hi\r\n", "USER user\r\n").ask("+OK\r\n", "PASS clear\r\n");
}

#[test]
fn cram_md5_without_a_password_is_an_internal_error() {
    let wire = Wire::pop3("pop3_auth cram-md5;");
    let mut client = wire.client();
    client.send("AUTH CRAM-MD5\r\n");
    challenge(&mut client);
    client.ask(b64(format!("user {DIGEST}")) + "\r\n", "-ERR internal server error\r\n").expect_close();
}

#[test]
fn cram_md5_is_refused_where_it_is_not_enabled_or_has_an_initial_response() {
    let wire = Wire::pop3("pop3_auth apop;");
    wire.client().ask("AUTH CRAM-MD5\r\n", INVALID);
    let wire = Wire::pop3("pop3_auth cram-md5;");
    wire.client().ask("AUTH CRAM-MD5 dQ==\r\n", INVALID);
}

#[test]
fn external() {
    let wire = Wire::pop3("pop3_auth external;");
    let mut client = wire.client();
    client.ask("AUTH EXTERNAL\r\n", "+ VXNlcm5hbWU6\r\n").send(b64("user") + "\r\n");
    wire.auth.request().expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: external\r\nAuth-User: user\r\nAuth-Pass: \r\n\
         Auth-Protocol: pop3\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
    let mut client = wire.client();
    client.send(format!("AUTH EXTERNAL {}\r\n", b64("user")));
    assert_eq!(wire.auth.request().credentials(), ["external", "user", ""]);
}

#[test]
fn external_is_refused_where_it_is_not_enabled() {
    let wire = Wire::pop3("");
    wire.client().ask("AUTH EXTERNAL\r\n", INVALID);
    let mut client = wire.client();
    client.send(format!("AUTH EXTERNAL {}\r\n", b64("user")));
    let reason = "a mechanism that is not enabled is not accepted, with an initial response either";
    if differs(reason, true, false) {
        assert_eq!(wire.auth.request().credentials(), ["external", "user", ""]);
    } else {
        client.expect(INVALID);
        wire.auth.expect_unasked();
    }
}

#[test]
fn unknown_mechanisms_are_refused_and_not_counted() {
    let wire = Wire::pop3("max_errors 1;");
    let mut client = wire.client();
    for arguments in ["NTLM", "GSSAPI x", "PLAINS", "PLAIN eA== eA=="] {
        client.ask(format!("AUTH {arguments}\r\n"), INVALID);
    }
    goes_on(&mut client);
}
