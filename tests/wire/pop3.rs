//! POP3: what clients see before login, and what the backend gets.
use crate::harness::Wire;

#[test]
fn greets() {
    let wire = Wire::pop3("");
    wire.connect().expect("+OK POP3 ready\r\n").expect_silence();
}

#[test]
fn session_is_relayed_after_login() {
    let wire = Wire::pop3("");
    let (mut client, mut backend) = wire.pop3_session();
    client.send("STAT\r\n");
    backend.expect("STAT\r\n").send("+OK 0 0\r\n");
    client.expect("+OK 0 0\r\n");
}
