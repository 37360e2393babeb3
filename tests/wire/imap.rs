//! IMAP: what clients see before login, and what the backend gets.
use crate::harness::Wire;

#[test]
fn greets_with_capabilities_at_once() {
    let wire = Wire::imap("");
    wire.connect().expect("* OK IMAP4 ready\r\n").expect_silence();
}

#[test]
fn session_is_relayed_after_login() {
    let wire = Wire::imap("");
    let (mut client, mut backend) = wire.imap_session();
    wire.auth.request().expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: u\r\nAuth-Pass: p\r\n\
         Auth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
    client.send("a NOOP\r\n");
    backend.expect("a NOOP\r\n").send("a OK\r\n");
    client.expect("a OK\r\n");
}
