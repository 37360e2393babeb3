//! The session after login: everything is passed on, in order and unchanged, in both directions.

use std::thread;

use crate::harness::{Conn, Reply, Subject, Wire, b64, differs};

/// How much a big transfer has; many times what sockets and proxies hold.
const BIG: usize = 16 << 20;

/// Bytes that repeat at no power of two, so that a piece lost or moved is seen.
fn noise(seed: usize) -> Vec<u8> {
    (0..BIG).map(|i| ((i % 65_521) * 31 + seed) as u8).collect()
}

#[track_caller]
fn receives(conn: &mut Conn, expected: &[u8]) {
    let got = conn.take(expected.len());
    let parted = got.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(parted, None, "the bytes part");
}

#[test]
fn imap_session() {
    let wire = Wire::imap("");
    let (mut client, mut backend) = wire.imap_session();
    client.send("a SELECT INBOX\r\n");
    backend.ask("", "a SELECT INBOX\r\n").send("* 3 EXISTS\r\na OK\r\n");
    client.expect("* 3 EXISTS\r\na OK\r\n");
    backend.send("* 4 EXISTS\r\n");
    client.expect("* 4 EXISTS\r\n");
    wire.await_log("client logged in");
}

#[test]
fn pop3_session() {
    let wire = Wire::pop3("");
    let (mut client, mut backend) = wire.pop3_session();
    client.send("STAT\r\n");
    backend.ask("", "STAT\r\n").send("+OK 0 0\r\n");
    client.expect("+OK 0 0\r\n");
}

#[test]
fn lines_and_bytes_mean_nothing_after_login() {
    let wire = Wire::imap("imap_client_buffer 64; proxy_buffer 256; max_errors 1;");
    let (mut client, mut backend) = wire.imap_session();
    let odd: Vec<u8> = (0..=255).cycle().take(5000).collect();
    client.send(&odd);
    receives(&mut backend, &odd);
    backend.send(&odd);
    receives(&mut client, &odd);
}

#[test]
fn commands_behind_an_imap_login_reach_the_backend_in_order() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\nb SELECT INBOX\r\nc FETCH 1 FLAGS\r\nd STO");
    let mut backend = wire.backend.accept();
    client.send("RE 1 x\r\n");
    backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
    client.send("e NOOP\r\n");
    backend.expect_silence().send("a OK in\r\n");
    client.expect("a OK in\r\n");
    backend.expect("b SELECT INBOX\r\nc FETCH 1 FLAGS\r\nd STORE 1 x\r\ne NOOP\r\n");
}

#[test]
fn commands_behind_a_pop3_login_reach_the_backend_in_order() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.send("USER u\r\nPASS p\r\nSTAT\r\nLIST\r\n").expect("+OK\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("+OK\r\n", "USER u\r\n").ask("+OK\r\n", "PASS p\r\n");
    client.send("QUIT\r\n");
    backend.send("+OK in\r\n").expect("STAT\r\nLIST\r\nQUIT\r\n");
    client.expect("+OK in\r\n");
}

#[test]
fn commands_behind_authenticate_reach_the_backend() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send(format!("a AUTHENTICATE PLAIN\r\n{}\r\nb SELECT INBOX\r\n", b64("\0u\0p"))).expect("+ \r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
    backend.send("a OK\r\n").expect("b SELECT INBOX\r\n");
}

#[test]
fn a_full_buffer_behind_the_login_is_not_lost() {
    let wire = Wire::imap("imap_client_buffer 128;");
    let mut client = wire.client();
    let behind = noise(1)[..4000].to_vec();
    client.send([b"a LOGIN u p\r\n", &behind[..]].concat());
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
    backend.send("a OK\r\n");
    client.expect("a OK\r\n");
    receives(&mut backend, &behind);
}

#[test]
fn answers_behind_the_verdict_come_before_later_ones() {
    let wire = Wire::imap("proxy_buffer 4k;");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
    let behind = format!("{}\r\n", "x".repeat(3000));
    backend.send(format!("a OK in\r\n{behind}")).send("* later\r\n");
    client.expect("a OK in\r\n").expect(behind).expect("* later\r\n");
}

#[test]
fn megabytes_to_the_backend() {
    let wire = Wire::imap("");
    let (client, mut backend) = wire.imap_session();
    let sending = client.send_aside(noise(7));
    receives(&mut backend, &noise(7));
    sending.join().unwrap();
}

#[test]
fn megabytes_to_the_client() {
    let wire = Wire::pop3("");
    let (mut client, backend) = wire.pop3_session();
    let sending = backend.send_aside(noise(9));
    receives(&mut client, &noise(9));
    sending.join().unwrap();
}

#[test]
fn megabytes_in_both_directions_at_once() {
    let wire = Wire::imap("");
    let (mut client, mut backend) = wire.imap_session();
    let to_backend = client.send_aside(noise(1));
    let to_client = backend.send_aside(noise(2));
    let at_backend = thread::spawn(move || {
        receives(&mut backend, &noise(1));
        backend
    });
    receives(&mut client, &noise(2));
    at_backend.join().unwrap();
    to_backend.join().unwrap();
    to_client.join().unwrap();
}

#[test]
fn a_slow_reader_loses_nothing() {
    let wire = Wire::imap("");
    let (mut client, mut backend) = wire.imap_session();
    let sending = backend.send_aside(noise(3));
    // Meanwhile the other direction is not held up.
    client.send("a NOOP\r\n");
    backend.expect("a NOOP\r\n");
    receives(&mut client, &noise(3));
    sending.join().unwrap();
}

#[test]
fn client_that_leaves_before_login() {
    let wire = Wire::imap("");
    wire.client().finish().expect_close();
    wire.client().ask("a NOOP\r\n", "a OK completed\r\n").finish().expect_close();
    let wire = Wire::pop3("");
    wire.client().finish().expect_close();
    wire.client().ask("USER u\r\n", "+OK\r\n").finish().expect_close();
}

#[test]
fn client_that_leaves_ends_the_session() {
    let wire = Wire::imap("");
    let (client, mut backend) = wire.imap_session();
    drop(client);
    backend.expect_close();
    drop(backend);
    wire.await_log("proxied session done");
}

#[test]
fn backend_that_leaves_ends_the_session() {
    let wire = Wire::pop3("");
    let (mut client, mut backend) = wire.pop3_session();
    backend.send("+OK bye\r\n");
    drop(backend);
    client.expect("+OK bye\r\n").expect_close();
}

#[test]
fn everything_sent_before_the_end_is_delivered() {
    let wire = Wire::imap("");
    let (mut client, backend) = wire.imap_session();
    let sending = backend.send_aside(noise(5));
    drop(backend);
    receives(&mut client, &noise(5));
    sending.join().unwrap();
    client.expect_close();
}

#[test]
fn half_close_by_the_client() {
    let wire = Wire::imap("");
    let (mut client, mut backend) = wire.imap_session();
    client.send("a LOGOUT\r\n").finish();
    backend.expect("a LOGOUT\r\n");
    if Subject::is_nginx() {
        // The session ends at once, whatever the backend has to say.
        backend.expect_close();
        client.expect_close();
    } else {
        backend.expect_close();
        backend.send("* BYE\r\na OK\r\n");
        drop(backend);
        client.expect("* BYE\r\na OK\r\n").expect_close();
    }
}

#[test]
fn half_close_by_the_backend() {
    let wire = Wire::imap("");
    let (mut client, mut backend) = wire.imap_session();
    backend.send("* BYE\r\n").finish();
    client.expect("* BYE\r\n").expect_close();
    if !Subject::is_nginx() {
        client.send("last words\r\n");
        backend.expect("last words\r\n");
        drop(client);
        backend.expect_close();
    }
}

#[test]
fn client_that_leaves_while_the_auth_server_is_asked() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut asked = wire.auth.request().conn.unwrap();
    drop(client);
    if differs("nobody waits for the answer any more", true, false) {
        asked.expect_silence();
    } else {
        asked.expect_close();
    }
}

#[test]
fn client_that_leaves_while_the_backend_is_asked() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    drop(client);
    if differs("nobody waits for the answer any more", true, false) {
        backend.expect_silence();
    } else {
        backend.expect_close();
    }
}
