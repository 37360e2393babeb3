//! SMTP smuggling (CVE-2023-51764, CVE-2023-51765, CVE-2023-51766): where a message ends is for the client and the mail
//! server to agree upon. The proxy changes no byte between them, so there is no server, strict or lenient, that sees more
//! messages than it would have seen without it.

use crate::harness::{Conn, Reply, Subject, Wire};

const LOGIN: &str = "AUTH PLAIN AHUAcA==\r\n";
const LOGGED_IN: &str = "235 2.0.0 OK\r\n";
/// What somebody wants to be taken for another message.
const SMUGGLED: &str = "MAIL FROM:<evil@test>\r\nRCPT TO:<b@test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n";

/// Every way to write "dot alone on a line" with CR, LF, NUL or nothing around it.
fn ends() -> Vec<String> {
    let breaks =
        ["\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n\0", "\0\r\n", "\r\0\n", "\u{85}", "\r\n ", "\x0c", "\x0b"];
    breaks.iter().flat_map(|before| breaks.iter().map(move |behind| format!("{before}.{behind}"))).collect()
}

/// A server's idea of the messages in what it gets after DATA: how many there are. What ends a line is up to it.
fn messages(bytes: &[u8], line_ends: &[&[u8]]) -> usize {
    let ends: Vec<Vec<u8>> =
        line_ends.iter().flat_map(|a| line_ends.iter().map(move |b| [*a, b".", *b].concat())).collect();
    (0..bytes.len()).filter(|at| ends.iter().any(|end| bytes[*at..].starts_with(end))).count()
}

#[track_caller]
fn session(wire: &Wire) -> (Conn, Conn) {
    let mut client = wire.client();
    client.send(LOGIN);
    let mut backend = wire.backend.accept();
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").send("250 ok\r\n");
    client.expect(LOGGED_IN);
    (client, backend)
}

#[test]
fn no_message_more_whatever_ends_a_line() {
    let wire = Wire::smtp("xclient off;");
    let (mut client, mut backend) = session(&wire);
    for end in ends() {
        for how_it_comes in [1, 3, usize::MAX] {
            let sent = format!("Subject: x\r\n\r\nbefore{end}{SMUGGLED}\r\n.\r\n").into_bytes();
            for piece in sent.chunks(how_it_comes.min(sent.len())) {
                client.send(piece);
            }
            let got = backend.take(sent.len());
            for lenient in [&[&b"\r\n"[..]][..], &[b"\r\n", b"\n"], &[b"\r\n", b"\n", b"\r"], &[b"\r\n", b"\r\n\0"]] {
                assert_eq!(messages(&got, lenient), messages(&sent, lenient), "{end:?}");
            }
            assert!(got == sent, "{end:?}");
        }
    }
    backend.expect_silence();
}

#[test]
fn the_answers_come_as_they_are() {
    let wire = Wire::smtp("xclient off;");
    let (mut client, mut backend) = session(&wire);
    for end in ends() {
        let answer = format!("250 queued{end}221 bye\r\n");
        backend.send(&answer);
        client.expect(&answer);
    }
}

/// Commands before the login: a CR alone or a NUL is part of a line, not the end of one.
#[test]
fn a_command_is_one_line_at_the_mail_server_too() {
    if Subject::is_nginx() {
        return;
    }
    for inside in ["\rRCPT TO:<evil@test>", "\r\r", "\0", "\rDATA\r", "\u{85}RSET"] {
        let wire = Wire::smtp("smtp_auth none; xclient off;");
        let mut client = wire.client();
        client.send(format!("MAIL FROM:<a@test>{inside}\r\n"));
        let reply = client.line();
        if !reply.starts_with("250") {
            continue;
        }
        client.send("RCPT TO:<b@test>\r\n");
        wire.auth.request();
        if inside.contains(['\r', '\0']) {
            client.expect("451 4.3.2 Internal server error\r\n").expect_close();
            wire.backend.expect_nobody();
            continue;
        }
        let mut backend = wire.backend.accept();
        backend.ask("220 hi\r\n", "HELO proxy.test\r\n").send("250 ok\r\n");
        assert_eq!(backend.line(), format!("MAIL FROM:<a@test>{inside}\r\n"));
    }
}

#[test]
fn what_follows_a_rejected_command_does_not_reach_the_mail_server() {
    let wire = Wire::smtp("xclient off;");
    let mut client = wire.client();
    // None of these has a login before it.
    client.send("MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n");
    client.line();
    wire.backend.expect_nobody();
    wire.auth.expect_unasked();
}

#[test]
fn what_follows_a_rejected_login_does_not_reach_the_mail_server() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::smtp("xclient off;");
    wire.auth.reply(Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.send(format!("{LOGIN}MAIL FROM:<a>\r\nRCPT TO:<b>\r\nNOOP\r\n")).expect("535 5.7.0 no\r\n");
    client.expect("530 5.7.1 Authentication required\r\n503 5.5.1 Bad sequence of commands\r\n250 2.0.0 OK\r\n");
    wire.backend.expect_nobody();
    // The next login begins with what comes behind it.
    client.send(format!("{LOGIN}MAIL FROM:<c>\r\n"));
    let mut backend = wire.backend.accept();
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").send("250 ok\r\n").expect("MAIL FROM:<c>\r\n");
}

#[test]
fn what_follows_a_rejected_recipient_comes_in_order() {
    let wire = Wire::smtp("smtp_auth none; xclient off;");
    wire.auth.reply(Reply::refuse("550 no such user").with("Auth-Error-Code", "550"));
    let mut client = wire.client();
    client.send("HELO c\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\nevil\r\n.\r\nMAIL FROM:<evil>\r\n");
    wire.auth.request();
    wire.backend.expect_nobody();
}
