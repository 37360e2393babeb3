//! Connections that the auth server keeps alive are used again. nginx makes one for each request.

use crate::harness::{Conn, Reply, Subject, Wire};

/// An answer that keeps the connection alive, without a body.
fn kept_alive(wire: &Wire, version: &str) -> String {
    let at = wire.backend.address();
    format!(
        "HTTP/{version} 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\
         Auth-Status: OK\r\nAuth-Server: {}\r\nAuth-Port: {}\r\n\r\n",
        at.ip(),
        at.port()
    )
}

/// A client that logs in, and the auth server's connection with its request.
#[track_caller]
fn first_request(wire: &Wire) -> (Conn, Conn) {
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let request = wire.auth.request();
    assert_eq!(request.header("Connection").as_deref(), Some("keep-alive"));
    (client, request.conn.unwrap())
}

#[test]
fn connection_is_used_again_where_the_server_agrees() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::imap("");
    let (_client, mut auth) = first_request(&wire);
    auth.send(kept_alive(&wire, "1.0"));
    wire.backend.accept();
    let mut client = wire.client();
    client.send("b LOGIN second p\r\n");
    assert!(auth.until("\r\n\r\n").contains("Auth-User: second\r\n"));
    auth.send(kept_alive(&wire, "1.0"));
    wire.backend.accept();
}

#[test]
fn body_is_read_away() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::imap("");
    let (_client, mut auth) = first_request(&wire);
    let answer = kept_alive(&wire, "1.0").replace("Content-Length: 0", "Content-Length: 18");
    auth.send(answer).send("Auth-Status: never");
    wire.backend.accept();
    let mut client = wire.client();
    client.send("b LOGIN second p\r\n");
    auth.until("\r\n\r\n");
    auth.send(kept_alive(&wire, "1.0"));
    wire.backend.accept();
}

#[test]
fn connection_closed_meanwhile_is_replaced() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::imap("");
    let (_client, mut auth) = first_request(&wire);
    auth.send(kept_alive(&wire, "1.0"));
    wire.backend.accept();
    drop(auth);
    super::logs_in(&wire);
}

#[test]
fn without_agreement_the_connection_is_closed() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::imap("");
    let (_client, mut auth) = first_request(&wire);
    let Reply::Bytes(accept) = Reply::accept(wire.backend.address()) else { unreachable!() };
    auth.send(accept).expect_close();
}
