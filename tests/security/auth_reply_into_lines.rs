//! The auth server's answer in lines to clients and mail servers: nothing in it makes one line into two.

use crate::harness::{Reply, Subject, Wire};

/// Bytes that could end a line, or a part of one.
const HOSTILE: [&str; 8] = ["\r", "\0", "\x01", "\x1b[2J", "\x7f", "\r\rx", "\x08", "\x0b"];

/// The three servers, and a login at each.
fn servers() -> [(&'static str, Wire, &'static str); 3] {
    [
        ("imap", Wire::imap(""), "a LOGIN u p\r\n"),
        ("pop3", Wire::pop3(""), "USER u\r\nPASS p\r\n"),
        ("smtp", Wire::smtp("proxy_smtp_auth on; xclient off;"), "AUTH PLAIN AHUAcA==\r\n"),
    ]
}

/// All that the client hears until the connection ends, with an answer to USER taken away.
#[track_caller]
fn heard(wire: &Wire, protocol: &str, login: &str) -> String {
    let mut client = wire.client();
    client.send(login);
    if protocol == "pop3" {
        client.expect("+OK\r\n");
    }
    String::from_utf8_lossy(&client.rest()).into_owned()
}

#[test]
fn a_refusal_is_one_line() {
    if Subject::is_nginx() {
        return;
    }
    for (protocol, wire, login) in servers() {
        for bytes in HOSTILE {
            for reply in [
                Reply::refuse(&format!("no{bytes}a OK in")),
                Reply::refuse("no").with("Auth-Error-Code", &format!("535{bytes}235 2.0.0")),
            ] {
                wire.auth.reply(reply);
                let heard = heard(&wire, protocol, login);
                assert_eq!(heard.lines().count(), 1, "{protocol} {bytes:?}: {heard:?}");
                assert!(heard.ends_with("\r\n") && !heard.trim_end().contains(|c: char| c.is_control()), "{heard:?}");
                assert!(
                    !heard.starts_with("a OK") && !heard.starts_with("+OK") && !heard.starts_with('2'),
                    "{heard:?}"
                );
            }
        }
        wire.backend.expect_nobody();
    }
}

#[test]
fn a_header_of_two_lines_is_two_headers() {
    for (protocol, wire, login) in servers() {
        // What a line feed, with CR or without, adds is a header of its own, or none.
        wire.auth.reply(Reply::raw("HTTP/1.0 200 OK\r\nAuth-Status: no\na OK in\n+OK in\n235 in\r\n\r\n"));
        let heard = heard(&wire, protocol, login);
        assert!(heard.lines().count() <= 1, "{protocol}: {heard:?}");
        assert!(!heard.contains("in\r\n"), "{protocol}: {heard:?}");
    }
}

#[test]
fn credentials_for_the_mail_server_are_one_command() {
    if Subject::is_nginx() {
        return;
    }
    for (protocol, wire, login) in servers() {
        for bytes in HOSTILE {
            for header in ["Auth-User", "Auth-Pass"] {
                let value = format!("x{bytes}DELE 1");
                wire.auth.reply(Reply::accept(wire.backend.address()).with(header, &value));
                let heard = heard(&wire, protocol, login);
                assert!(heard.contains("nternal server error\r\n"), "{protocol} {header} {bytes:?}: {heard:?}");
                assert_eq!(heard.lines().count(), 1, "{heard:?}");
            }
        }
        wire.backend.expect_nobody();
    }
}

#[test]
fn quotes_and_literals_in_credentials_are_told_by_their_length() {
    let wire = Wire::imap("");
    let user = "x\" {3}";
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-User", user).with("Auth-Pass", "p\\ {9+}"));
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend
        .ask("* OK hi\r\n", "a LOGIN {6}\r\n")
        .ask("+ \r\n", format!("{user} {{7}}\r\n"))
        .ask("+ \r\n", "p\\ {9+}\r\n");
    backend.send("a OK\r\n");
    client.expect("a OK\r\n");
}
