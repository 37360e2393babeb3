//! After login: the session is the backend's.

use super::{LOGGED_IN, LOGIN, at_backend};
use crate::harness::{Conn, Wire};

/// A client and a backend after login.
#[track_caller]
fn session(wire: &Wire, lines: &str) -> (Conn, Conn) {
    let (client, mut backend) = at_backend(wire, lines);
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").send("250 ok\r\n");
    (client, backend)
}

#[test]
fn transaction_is_passed_on() {
    let wire = Wire::smtp("xclient off;");
    let (mut client, mut backend) = session(&wire, LOGIN);
    client.expect(LOGGED_IN).send("MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n");
    backend.expect("MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n").send("250 a\r\n250 b\r\n354 go\r\n");
    let message = format!("Subject: x\r\n\r\n{}.\n.\r\n..\r\n.\r\n", "long line\r\n".repeat(50_000));
    let sending = client.expect("250 a\r\n250 b\r\n354 go\r\n").send_aside(message.clone().into());
    assert!(backend.take(message.len()) == message.as_bytes());
    sending.join().unwrap();
    backend.send("250 queued\r\n");
    client.expect("250 queued\r\n").send("QUIT\r\n");
    backend.expect("QUIT\r\n").send("221 bye\r\n");
    drop(backend);
    client.expect("221 bye\r\n").expect_close();
    drop(client);
    wire.await_log("proxied session done");
}

#[test]
fn commands_behind_the_login_reach_the_backend_in_order() {
    let wire = Wire::smtp("xclient off;");
    let (mut client, mut backend) = at_backend(&wire, &format!("{LOGIN}MAIL FROM:<a>\r\nRCPT "));
    client.send("TO:<b>\r\n");
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n");
    client.send("DATA\r\n");
    backend.expect_silence().send("250 ok\r\n").expect("MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n");
    client.expect(LOGGED_IN);
}

#[test]
fn nothing_is_limited_after_login() {
    let wire = Wire::smtp("xclient off; smtp_client_buffer 64; proxy_buffer 128; max_errors 1; timeout 60s;");
    let (mut client, mut backend) = session(&wire, LOGIN);
    let long = format!("{}\r\n", "BOGUS".repeat(500));
    client.expect(LOGGED_IN).send(&long);
    backend.expect(&long).send(&long);
    client.expect(&long);
}
