//! What an answer may look like.

use super::{logs_in, naming_backend};
use crate::harness::{Backend, Reply, Wire, differs};

const STATUS: &str = "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n";

/// An answer with this before and behind the address of the backend lets the client in.
#[track_caller]
fn is_good(before: &str, behind: &str) {
    let wire = Wire::imap("");
    wire.auth.reply(naming_backend(&wire, before, behind));
    logs_in(&wire);
}

/// An answer with these headers is a failure with that text.
#[track_caller]
fn refuses(headers: &str, text: &str) {
    let wire = Wire::imap("");
    wire.auth.reply(naming_backend(&wire, "HTTP/1.0 200 OK\r\n", &format!("{headers}\r\n")));
    wire.client().ask("a LOGIN u p\r\n", format!("a NO {text}\r\n")).expect_close();
    wire.backend.expect_nobody();
}

#[test]
fn status_line_means_nothing() {
    for status in ["HTTP/1.0 200 OK\r\n", "HTTP/1.1 403 Forbidden\r\n", "HTTP/1.0 500\r\n", "HTTP/2\n", "HTTP/\r\n"] {
        is_good(&format!("{status}Auth-Status: OK\r\n"), "\r\n");
    }
}

#[test]
fn status_line_may_be_missing() {
    is_good("Auth-Status: OK\r\n", "\r\n");
    is_good("HTTP: not a status line\r\nAuth-Status: OK\r\n", "\r\n");
}

#[test]
fn auth_status_may_be_missing() {
    is_good("HTTP/1.0 200 OK\r\n", "\r\n");
    is_good("", "\r\n");
}

#[test]
fn names_ignore_case() {
    let wire = Wire::imap("");
    let at = wire.backend.address();
    let head = format!("aUTH-sTATUS: OK\r\nauth-server: {}\r\nAUTH-PORT: {}\r\n\r\n", at.ip(), at.port());
    wire.auth.reply(Reply::raw(head));
    logs_in(&wire);
}

#[test]
fn values_do_not() {
    refuses("Auth-Status: ok\r\n", "ok");
    refuses("Auth-Status: Ok then\r\n", "Ok then");
    refuses("Auth-Status: wait\r\n", "wait");
    refuses("Auth-Status: OK.\r\n", "OK.");
}

#[test]
fn spaces_around_values_are_dropped() {
    let wire = Wire::imap("");
    let at = wire.backend.address();
    let head = format!("Auth-Status:   OK  \r\nAuth-Server:{}\r\nAuth-Port:    {} \r\n\r\n", at.ip(), at.port());
    wire.auth.reply(Reply::raw(head));
    logs_in(&wire);
    refuses("Auth-Status:  in  between  \r\n", "in  between");
}

#[test]
fn a_bare_lf_ends_a_line() {
    let wire = Wire::imap("");
    let at = wire.backend.address();
    wire.auth.reply(Reply::raw(format!("HTTP/1.0 200 OK\nAuth-Server: {}\nAuth-Port: {}\n\n", at.ip(), at.port())));
    logs_in(&wire);
}

#[test]
fn other_headers_mean_nothing() {
    let others =
        "Content-Type: text/plain\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nX\r\nAuth-Statuses: no\r\n";
    is_good(&format!("{STATUS}{others}"), "\r\n");
}

#[test]
fn body_means_nothing() {
    is_good(STATUS, "Content-Length: 24\r\n\r\nAuth-Status: not so fast");
}

#[test]
fn the_last_of_a_name_wins() {
    is_good("Auth-Server: 192.0.2.1\r\nAuth-Port: 1\r\n", "\r\n");
}

#[test]
fn one_failure_is_enough() {
    refuses("Auth-Status: no\r\nAuth-Status: OK\r\n", "no");
    refuses("Auth-Status: OK\r\nAuth-Status: no\r\n", "no");
    refuses("Auth-Status: no\r\nAuth-Status: never\r\n", "never");
}

#[test]
fn failure_needs_no_server() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::raw("Auth-Status: no\r\n\r\n"));
    wire.client().ask("a LOGIN u p\r\n", "a NO no\r\n").expect_close();
}

#[test]
fn answer_in_pieces() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut conn = wire.auth.request().conn.unwrap();
    let at = wire.backend.address();
    let head = format!("Auth-Server: {}\r\nAuth-Port: {}\r\n\r\n", at.ip(), at.port());
    conn.send_pieces(["H", "TTP/1.0 2", "00 OK\r", "\nAuth-", "Status: ", "O", "K", "\r\n"]);
    wire.backend.expect_nobody();
    let (first, rest) = head.split_at(head.len() - 1);
    conn.send_pieces([first, rest]);
    wire.backend.accept();
}

#[test]
fn answer_is_complete_without_the_end_of_the_connection() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut conn = wire.auth.request().conn.unwrap();
    let Reply::Bytes(accept) = Reply::accept(wire.backend.address()) else { unreachable!() };
    conn.send(accept);
    wire.backend.accept();
}

#[test]
fn leading_zeros_are_fine() {
    let wire = Wire::imap("");
    let at = wire.backend.address();
    wire.auth.reply(Reply::raw(format!("Auth-Server: 127.0.0.01\r\nAuth-Port: 000{}\r\n\r\n", at.port())));
    logs_in(&wire);
}

#[test]
fn server_may_be_ipv6() {
    let wire = Wire::imap("");
    let backend = Backend::at("[::1]:0");
    wire.auth.reply(Reply::accept(backend.address()));
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    backend.accept().ask("* OK hi\r\n", "a LOGIN {1}\r\n").send("a NO\r\n");
    let line = wire.await_log("upstream sent invalid response");
    assert!(line.ends_with(&format!("upstream: ::1:{}", backend.address().port())), "{line}");
}

#[test]
fn user_and_password_take_the_place_of_the_clients() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-User", "x y").with("Auth-Pass", "q%20 r"));
    let mut client = wire.client();
    client.send("USER u\r\nPASS p\r\n");
    wire.backend.accept().ask("+OK\r\n", "USER x y\r\n").ask("+OK\r\n", "PASS q%20 r\r\n");
}

#[test]
fn empty_user_and_password_take_their_place_too() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-User", "").with("Auth-Pass", ""));
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.backend.accept().ask("* OK hi\r\n", "a LOGIN {0}\r\n").ask("+ \r\n", " {0}\r\n").ask("+ \r\n", "\r\n");
}

#[test]
fn long_answers() {
    let wire = Wire::imap("auth_http_timeout 1s;");
    wire.auth.reply(naming_backend(&wire, &format!("X: {}\r\n", "x".repeat(15_000)), "\r\n"));
    if differs("an answer may have 16 KB", true, false) {
        wire.client().ask("a LOGIN u p\r\n", super::INTERNAL).expect_close();
    } else {
        logs_in(&wire);
    }
}

#[test]
fn nearly_a_kilobyte() {
    is_good(&format!("X: {}\r\n", "x".repeat(900)), "\r\n");
}

#[test]
fn endless_answers_are_given_up() {
    let wire = Wire::imap("auth_http_timeout 1s;");
    wire.auth.reply(naming_backend(&wire, &format!("X: {}\r\n", "x".repeat(17_000)), "\r\n"));
    wire.client().ask("a LOGIN u p\r\n", super::INTERNAL).expect_close();
}
