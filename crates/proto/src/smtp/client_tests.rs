//! What a mail server sees of the SMTP client, and what becomes of its answers.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{Random, check_back, check_starttls, fuzz_back, fuzz_starttls};

fn login() -> Login {
    Login {
        server_name: "proxy".to_owned(),
        starttls: false,
        xclient: false,
        client_address: Some("192.0.2.1".parse().unwrap()),
        client_host: "[UNAVAILABLE]".to_owned(),
        user: b"u".to_vec(),
        password: Some(Secret::from(&b"p"[..])),
        smtp_auth: false,
        helo: None,
        esmtp: false,
        envelope: None,
        buffer: 128,
    }
}

fn envelope() -> Option<Envelope> {
    Some(Envelope { mail: b"MAIL FROM:<a>".to_vec(), rcpt: b"RCPT TO:<b>".to_vec() })
}

fn check(make: impl Fn() -> Login, replies: &str, expected: &str) {
    check_back(|| Client::new(make()).unwrap(), replies.as_bytes(), expected);
}

#[test]
fn says_hello() {
    let replies = "220 hi\r\n250 ok\r\n";
    check(login, "220-hi\r\n220-", "[more]");
    check(login, replies, "HELO proxy\r\n[done: 235 2.0.0 OK\r\n]");
    let esmtp = || Login { esmtp: true, helo: Some(b"c".to_vec()), ..login() };
    check(esmtp, replies, "EHLO proxy\r\n[done: 235 2.0.0 OK\r\n]");
    check(esmtp, "220 hi\r\n250-ok\r\n250 A\r\n421 x", "EHLO proxy\r\n[done: 235 2.0.0 OK\r\n421 x]");
}

#[test]
fn authenticates() {
    let make = || Login { smtp_auth: true, ..login() };
    let sent = "HELO proxy\r\nAUTH PLAIN AHUAcA==\r\n";
    check(make, "220 hi\r\n250 ok\r\n235 in\r\n", &format!("{sent}[done: 235 2.0.0 OK\r\n]"));
    let error = "[error: upstream sent invalid response: \"535 no\"]";
    check(make, "220 hi\r\n250 ok\r\n535 no\r\n", &format!("{sent}{error}"));
    let error = Client::new(Login { password: None, ..make() }).err();
    assert_eq!(error, Some(DialogueError::NoPassword));
}

#[test]
fn knows_a_bad_login_from_other_trouble() {
    for (replies, bad) in [
        ("220 hi\r\n250 ok\r\n535 no\r\n", true),
        ("220 hi\r\n250 ok\r\n454 4.7.0 later\r\n", false),
        ("220 hi\r\n535 no\r\n", false),
        ("554 no\r\n", false),
    ] {
        let mut client = Client::new(Login { smtp_auth: true, ..login() }).unwrap();
        let error = client.receive(replies.as_bytes(), &mut Output::default()).unwrap_err();
        assert_eq!(client.is_bad_login(&error), bad, "{replies}");
    }
}

#[test]
fn passes_the_envelope_on() {
    let make = || Login { smtp_auth: true, user: Vec::new(), password: None, envelope: envelope(), ..login() };
    let sent = "HELO proxy\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\n";
    for answer in ["250 ok\r\n", "550-no\r\n550 no\r\n", "250 ok\r\n250 rset\r\n"] {
        check(make, &format!("220 hi\r\n250 ok\r\n250 ok\r\n{answer}"), &format!("{sent}[done: {answer}]"));
    }
    let error = "[error: upstream sent invalid response: \"550 no\"]";
    check(make, "220 hi\r\n250 ok\r\n550 no\r\n", &format!("HELO proxy\r\nMAIL FROM:<a>\r\n{error}"));
}

#[test]
fn introduces_the_client() {
    let make = || Login { xclient: true, ..login() };
    let sent = "EHLO proxy\r\nXCLIENT ADDR=192.0.2.1 LOGIN=u NAME=[UNAVAILABLE]\r\n";
    for ehlo in ["250 ok\r\n", "250-ok\r\n250-SIZE\r\n250 xclient NAME ADDR\r\n", "250-ok\r\n250 XCLIENT\r\n"] {
        for answer in ["220 anew\r\n", "250 ok\r\n"] {
            let done = format!("{sent}[done: 235 2.0.0 OK\r\n]");
            check(make, &format!("220 hi\r\n{ehlo}{answer}"), &done);
        }
    }
    let error = "[error: upstream sent invalid response: \"502 what\"]";
    check(make, "220 hi\r\n250 ok\r\n502 what\r\n", &format!("{sent}{error}"));
}

#[test]
fn repeats_the_clients_hello_after_xclient() {
    let replies = "220 hi\r\n250 ok\r\n220 anew\r\n250 ok\r\n235 in\r\n";
    for (esmtp, hello) in [(false, "HELO"), (true, "EHLO")] {
        let make = || Login { xclient: true, smtp_auth: true, esmtp, helo: Some(b"c".to_vec()), ..login() };
        let sent = "EHLO proxy\r\nXCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]\r\n";
        let rest = format!("{hello} c\r\nAUTH PLAIN AHUAcA==\r\n[done: 235 2.0.0 OK\r\n]");
        check(make, replies, &format!("{sent}{rest}"));
    }
}

#[test]
fn needs_xclient_where_extensions_are_announced() {
    let make = || Login { xclient: true, ..login() };
    let error = format!("EHLO proxy\r\n[error: {}]", DialogueError::NoXclient);
    check(make, "220 hi\r\n250-ok\r\n250-XCLIENTS\r\n250 SIZE\r\n", &error);
}

#[test]
fn refuses_wrong_and_mixed_codes_and_long_replies() {
    check(login, "554 no\r\n", "[error: upstream sent invalid response: \"554 no\"]");
    check(login, "220-a\r\n554 b\r\n", "[error: upstream sent invalid response: \"220-a\\x0D\\x0A554 b\"]");
    let long = format!("220-{}\r\n220-", "x".repeat(118));
    check(login, &long, &format!("[error: upstream sent too long response line: \"{}\"]", printable(&long)));
}

#[test]
fn starts_tls_or_says_nothing() {
    let make = || {
        let login = Login { starttls: true, xclient: true, smtp_auth: true, ..login() };
        Client::new(login).unwrap()
    };
    let offer = "220 hi\r\n250-ok\r\n250-XCLIENT\r\n250 starttls\r\n";
    let asked = "EHLO proxy\r\nSTARTTLS\r\n";
    let anew = "250-ok\r\n250 XCLIENT\r\n220 anew\r\n235 in\r\n";
    let rest = "EHLO proxy\r\nXCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]\r\nAUTH PLAIN AHUAcA==\r\n";
    let done = format!("{asked}[tls]{rest}[done: 235 2.0.0 OK\r\n]");
    check_starttls(make, &format!("{offer}220 go\r\n"), anew, &done);
    let injected = format!("{asked}[error: {}]", DialogueError::InjectedPlaintext);
    for more in ["250 ok\r\n", "x", "\n"] {
        check_starttls(make, &format!("{offer}220 go\r\n{more}"), anew, &injected);
    }
    // What was announced before TLS does not count after it.
    let forgotten = format!("{asked}[tls]EHLO proxy\r\n[error: {}]", DialogueError::NoXclient);
    check_starttls(make, &format!("{offer}220 go\r\n"), "250-ok\r\n250 SIZE\r\n", &forgotten);
    let refused = "[error: upstream did not start TLS, so no login was tried: ";
    for (answers, said, shown) in [
        ("220 hi\r\n250 ok\r\n", "EHLO proxy\r\n", "250 ok"),
        ("220 hi\r\n250-STARTTLS\r\n250 STARTTLSX\r\n", "EHLO proxy\r\n", "250-STARTTLS\\x0D\\x0A250 STARTTLSX"),
        ("220 hi\r\n502 no\r\n", "EHLO proxy\r\n", "502 no"),
        ("554 no\r\n", "", "554 no"),
        ("220 hi\r\n250-ok\r\n250 STARTTLS\r\n454 not now\r\n", asked, "454 not now"),
        ("220 hi\r\n250-ok\r\n250 STARTTLS\r\n250 fine\r\n", asked, "250 fine"),
    ] {
        check_starttls(make, answers, anew, &format!("{said}{refused}\"{shown}\"]"));
    }
}

fn printable(text: &str) -> String {
    crate::printable(text.as_bytes())
}

#[test]
fn xclient_attributes_are_one_word() {
    let line = |login: &Login| String::from_utf8(xclient(login)).unwrap();
    let user = b"a b\r\nc+d=\xc3\x7f".to_vec();
    let v6 = Login { client_address: Some("::1".parse().unwrap()), user, ..login() };
    assert_eq!(line(&v6), "XCLIENT ADDR=IPV6:::1 LOGIN=a+20b+0D+0Ac+2Bd+3D+C3+7F NAME=[UNAVAILABLE]");
    let unix = Login { client_address: None, user: Vec::new(), client_host: "a b".to_owned(), ..login() };
    assert_eq!(line(&unix), "XCLIENT ADDR=unix: NAME=a+20b");
}

#[test]
fn nothing_becomes_two_commands() {
    let evil = b"x\r\nQUIT".to_vec();
    let evil_password = Some(Secret::from(evil.as_slice()));
    let envelope = |mail: &[u8], rcpt: &[u8]| Some(Envelope { mail: mail.to_vec(), rcpt: rcpt.to_vec() });
    let cases = [
        ("server name", Login { server_name: "a\nb".to_owned(), ..login() }),
        ("HELO name", Login { helo: Some(evil.clone()), xclient: true, ..login() }),
        ("MAIL", Login { envelope: envelope(&evil, b""), ..login() }),
        ("RCPT", Login { envelope: envelope(b"", &evil), ..login() }),
        ("user name", Login { user: b"u\0v".to_vec(), smtp_auth: true, ..login() }),
        ("password", Login { password: evil_password, smtp_auth: true, ..login() }),
    ];
    for (what, login) in cases {
        assert_eq!(Client::new(login).err(), Some(DialogueError::Unspeakable(what)));
    }
}

#[test]
fn whatever_the_client_said_each_command_is_one_line() {
    let mut random = Random::new();
    let mut spoken = 0;
    for _ in 0..2000 {
        let mail = [b"MAIL ".to_vec(), random.bytes()].concat();
        let login = Login {
            xclient: true,
            client_host: String::from_utf8_lossy(&random.bytes()).into_owned(),
            user: random.bytes(),
            password: Some(Secret::from(random.bytes().as_slice())),
            smtp_auth: random.below(2) == 0,
            helo: Some(random.bytes()),
            envelope: (random.below(2) == 0).then(|| Envelope { mail, rcpt: random.bytes() }),
            ..login()
        };
        let Ok(commands) = commands(&login) else { continue };
        spoken += 1;
        for Command { line, .. } in commands {
            let (text, end) = line.split_at(line.len() - 2);
            assert!(sasl::is_speakable(text) && end == b"\r\n", "{}", crate::printable(&line));
        }
    }
    assert!(spoken > 100, "too few of them are good: {spoken}");
}

#[test]
fn the_log_tells_what_is_done() {
    let login = Login { xclient: true, helo: Some(b"c".to_vec()), envelope: envelope(), ..login() };
    let mut client = Client::new(login).unwrap();
    let mut actions = vec![client.action()];
    for reply in [&b"220 \r\n"[..], b"250 \r\n", b"250 \r\n", b"250 \r\n", b"250 \r\n", b"2"] {
        let _ = client.receive(reply, &mut Output::default());
        actions.push(client.action());
    }
    let expected = [
        "connecting to upstream",
        "sending HELO/EHLO to upstream",
        "sending XCLIENT to upstream",
        "sending client HELO/EHLO to upstream",
        "sending MAIL FROM to upstream",
        "sending RCPT TO to upstream",
        "reading response from upstream",
    ];
    assert_eq!(actions, expected);
}

#[test]
fn any_reply_is_read_the_same_in_any_pieces() {
    let words: &[&[u8]] = &[
        b"220",
        b"250",
        b"250",
        b"235",
        b"550",
        b"-",
        b" ",
        b" x\r\n",
        b" x\r\n",
        b"-XCLIENT\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"220 x\r\n",
        b"250 x\r\n",
        b"250-x\r\n",
    ];
    let make = |starttls| {
        let helo = Some(b"c".to_vec());
        Client::new(Login { starttls, xclient: true, smtp_auth: starttls, helo, ..login() }).unwrap()
    };
    fuzz_back(|| make(false), words);
    let words = [words, &[b"220 x\r\n250-x\r\n250 STARTTLS\r\n220 x\r\n"]].concat();
    fuzz_starttls(|| make(true), &words, &["XCLIENT", "AUTH"]);
}
