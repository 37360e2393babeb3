//! Answers that are errors, and auth servers that do not answer.

use super::INTERNAL;
use crate::harness::{Reply, Wire, b64, differs, unb64};

/// An answer of these headers is an internal error, with that line in the log behind the server's name.
#[track_caller]
fn is_wrong(headers: &str, logged: &str) {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::raw(format!("HTTP/1.0 200 OK\r\n{headers}\r\n")));
    wire.client().ask("a LOGIN u p\r\n", INTERNAL).expect_close();
    let line = wire.await_log(&format!("auth http server {} {logged}", wire.auth.address()));
    assert!(line.contains("[error]"), "{line}");
    let context = format!(" while in http auth state, client: 127.0.0.1, server: {}, login: \"u\"", wire.place("main"));
    assert!(line.ends_with(&context), "{line}");
}

#[test]
fn no_server_or_port() {
    for headers in ["", "Auth-Status: OK\r\n", "Auth-Server: 127.0.0.1\r\n", "Auth-Port: 143\r\n", "Auth-Server: \r\n"]
    {
        is_wrong(headers, "did not send server or port");
    }
}

#[test]
fn server_that_is_no_address() {
    for server in ["localhost", "[::1]", "127.0.0.1:143", "127.0.0", "1.2.3.256"] {
        let logged = format!("sent invalid server address:\"{server}\"");
        is_wrong(&format!("Auth-Server: {server}\r\nAuth-Port: 143\r\n"), &logged);
    }
}

#[test]
fn port_that_is_none() {
    for port in ["0", "65536", "-1", "imap", "143x", "99999999999999999999"] {
        let logged = format!("sent invalid server port:\"{port}\"");
        is_wrong(&format!("Auth-Server: 127.0.0.1\r\nAuth-Port: {port}\r\n"), &logged);
    }
}

#[test]
fn headers_that_are_none() {
    for line in ["X.Y: z", "X_Y: z", "X Y: z", " folded", "\tfolded", ": z", "-x: z", "X: a\rb", "Ä: z"] {
        is_wrong(&format!("{line}\r\n"), "sent invalid header in response");
    }
}

#[test]
fn status_line_with_a_bare_cr() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::raw("HTTP/1.0 200\rOK\r\n\r\n"));
    wire.client().ask("a LOGIN u p\r\n", INTERNAL).expect_close();
    wire.await_log("sent invalid response");
}

#[test]
fn control_bytes_in_a_value() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::refuse("a\x01\tb"));
    let mut client = wire.client();
    client.send("USER u\r\nPASS p\r\n").expect("+OK\r\n");
    if differs("nothing of an auth server becomes more than text in one line", true, false) {
        client.expect("-ERR a\x01\tb\r\n").expect_close();
    } else {
        client.expect("-ERR ").line();
        client.expect_close();
    }
}

#[test]
fn no_password_after_apop() {
    let wire = Wire::pop3("pop3_auth apop;");
    wire.client().ask("APOP u c4c9334bac560ecc979e58001b3e22fb\r\n", "-ERR internal server error\r\n").expect_close();
    let line = wire.await_log(&format!("auth http server {} did not send password", wire.auth.address()));
    assert!(line.contains("[error]"), "{line}");
}

#[test]
fn no_password_after_cram_md5_or_external() {
    let wire = Wire::imap("imap_auth cram-md5 external;");
    let mut client = wire.client();
    client.send("a AUTHENTICATE CRAM-MD5\r\n");
    unb64(client.line().trim_end().strip_prefix("+ ").unwrap());
    client.ask(b64("u c4c9334bac560ecc979e58001b3e22fb") + "\r\n", INTERNAL).expect_close();
    wire.client().ask(format!("a AUTHENTICATE EXTERNAL {}\r\n", b64("u")), INTERNAL).expect_close();
    wire.await_log("did not send password");
}

#[test]
fn password_from_the_auth_server_after_apop() {
    let wire = Wire::pop3("pop3_auth apop;");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-Pass", "secret"));
    let mut client = wire.client();
    client.send("APOP u c4c9334bac560ecc979e58001b3e22fb\r\n");
    wire.backend.accept().ask("+OK\r\n", "USER u\r\n").ask("+OK\r\n", "PASS secret\r\n");
}

#[test]
fn nobody_listens() {
    let wire = Wire::imap("auth_http 127.0.0.1:1/;");
    wire.client().ask("a LOGIN u p\r\n", INTERNAL).expect_close();
    let line = wire.await_log("failed (111: Connection refused)");
    assert!(line.contains("[error]"), "{line}");
    let context = format!(" while in http auth state, client: 127.0.0.1, server: {}, login: \"u\"", wire.place("main"));
    assert!(line.ends_with(&context), "{line}");
}

#[test]
fn connection_closed_without_an_answer() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::raw(""));
    wire.client().ask("a LOGIN u p\r\n", INTERNAL).expect_close();
}

#[test]
fn connection_closed_within_the_answer() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.auth.request().conn.unwrap().send_pieces(["HTTP/1.0 200 OK\r\nAuth-Status: no\r\n"]);
    client.expect(INTERNAL).expect_close();
}

#[test]
fn no_answer_in_time() {
    let wire = Wire::imap("auth_http_timeout 1s;");
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut conn = wire.auth.request().conn.unwrap();
    client.expect(INTERNAL).expect_close();
    conn.expect_close();
    let line = wire.await_log(&format!("auth http server {} timed out", wire.auth.address()));
    assert!(line.contains("[error]"), "{line}");
}

#[test]
fn the_whole_answer_must_be_in_time() {
    let wire = Wire::imap("auth_http_timeout 1s;");
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let conn = wire.auth.request().conn.unwrap();
    let drip = std::thread::spawn(move || {
        let mut conn = conn;
        conn.send_pieces(std::iter::repeat_n("X: y\r\n", 20));
        conn
    });
    client.expect(INTERNAL).expect_close();
    drop(drip);
}

#[test]
fn internal_errors_of_the_other_protocols() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::raw(""));
    wire.client().ask("USER u\r\nPASS p\r\n", "+OK\r\n-ERR internal server error\r\n").expect_close();
    let wire = Wire::smtp("");
    wire.auth.reply(Reply::raw(""));
    wire.client().ask("AUTH PLAIN AHUAcA==\r\n", "451 4.3.2 Internal server error\r\n").expect_close();
}
