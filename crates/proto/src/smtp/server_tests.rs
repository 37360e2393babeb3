//! What a client sees of the SMTP server before login.

use super::*;
use crate::Mechanisms;
use crate::testing::{check_front, converse, fuzz_front};

const GREETING: &str = "220 mail ESMTP ready\r\n";
const REJECTED: &str = "535 5.7.0 no\r\n";

fn options() -> Options {
    Options {
        server_name: "mail".to_owned(),
        capabilities: vec!["SIZE 10".to_owned(), "DSN".to_owned()],
        auth: Mechanisms { apop: false, ..ALL },
        client_buffer: 64,
        max_errors: 3,
        max_commands: 1000,
        starttls: StartTls::Off,
    }
}

const ALL: Mechanisms = Mechanisms { plain: true, login: true, apop: true, cram_md5: true, external: true, none: true };

fn server(options: &Options) -> Server {
    Server::new(Arc::new(options.clone()), "<1.2@mail>".to_owned())
}

/// In what is expected, `500` and the like at the beginning of a line stand for the whole answer.
fn check(options: &Options, cases: &[(&str, &[&str])]) {
    for (input, expected) in cases {
        let expected: String = expected.iter().map(|reply| whole(reply)).collect();
        check_front(|| server(options), input.as_bytes(), &format!("{GREETING}{expected}"));
    }
}

fn whole(reply: &str) -> String {
    let line = match reply {
        "250" => OK,
        "500" => INVALID,
        "501" => INVALID_ARGUMENT,
        "503" => BAD_SEQUENCE,
        "530" => AUTH_REQUIRED,
        "530 tls" => TLS_REQUIRED,
        "535" => REJECTED,
        _ => return reply.to_owned(),
    };
    line.to_owned()
}

#[test]
fn commands_are_answered_as_by_nginx() {
    check(
        &options(),
        &[
            ("QUIT\r\nNOOP\r\n", &["221 2.0.0 Bye\r\n[close]"]),
            ("noop a b\nRSET x\r\nquit\n", &["250", "250", "221 2.0.0 Bye\r\n[close]"]),
            ("HELO c\r\nhelo \r\nHELO a b\r\nNO", &["250 mail\r\n", "501", "501", "[rest: NO]"]),
            ("EHLO\r\n", &["501"]),
            ("VRFY a\r\nEXPN\r\nHELP\r\nSTARTTLS\r\nNOOP\r\n", &["500", "500", "500", "500", "250"]),
            (
                "DATA\r\nNO\0P\r\nNOOP\r\r\nNOOP\r\n",
                &["500", "500", "500", "[close][note: client sent too many invalid commands]"],
            ),
        ],
    );
}

#[test]
fn every_command_counts_and_so_does_every_line_of_an_exchange() {
    let two = Options { max_commands: 2, ..options() };
    let refused = "[refuse: Too many commands][close]";
    check(
        &two,
        &[
            ("NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n", &["250", "250", refused]),
            ("VRFY\r\n\x07\r\nNOOP\r\n", &["500", "500", refused]),
            ("AUTH LOGIN\r\ndQ==\r\ncA==\r\n", &["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n", refused]),
        ],
    );
}

#[test]
fn extensions_are_composed_as_in_nginx() {
    let none = Mechanisms { none: true, ..Mechanisms::default() };
    let default = Mechanisms { plain: true, login: true, ..Mechanisms::default() };
    let capabilities = || options().capabilities;
    let cases: [(StartTls, Mechanisms, Vec<String>, &[&str]); 7] = [
        (StartTls::Off, none, vec![], &["250 mail"]),
        (StartTls::Off, none, capabilities(), &["250-mail", "250-SIZE 10", "250 DSN"]),
        (StartTls::Off, default, vec![], &["250-mail", "250 AUTH PLAIN LOGIN"]),
        (StartTls::Off, ALL, vec![], &["250-mail", "250 AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL"]),
        (StartTls::On, none, vec![], &["250-mail", "250 STARTTLS"]),
        (
            StartTls::On,
            default,
            capabilities(),
            &["250-mail", "250-SIZE 10", "250-DSN", "250-AUTH PLAIN LOGIN", "250 STARTTLS"],
        ),
        (StartTls::Only, default, capabilities(), &["250-mail", "250-SIZE 10", "250-DSN", "250 STARTTLS"]),
    ];
    for (starttls, auth, capabilities, lines) in cases {
        let options = Options { starttls, auth, capabilities, ..options() };
        let script = converse(&mut server(&options), &[b"EHLO c\r\n"]);
        assert_eq!(script, format!("{GREETING}{}\r\n", lines.join("\r\n")));
    }
}

#[test]
fn sasl_exchanges_go_as_in_nginx() {
    let cram = "AUTH CRAM-MD5\r\ndSAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA==\r\nNOOP\r\n";
    let bad_base64 = "[note: client sent invalid base64 encoding in AUTH PLAIN command]";
    check(
        &options(),
        &[
            ("AUTH\r\nAUTH FOO\r\nAUTH PLAIN a b\r\nAUTH CRAM-MD5 dQ==\r\n", &["501", "500", "500", "500"]),
            ("AUTH PLAIN\r\nAHUAcA==\r\n", &["334 \r\n[auth: 1 plain u p]", "535"]),
            (
                "HELO c\r\nauth plain AHUAcA==\r\nAUTH PLAIN AHUAcA==\r\n",
                &["250 mail\r\n[auth: 1 plain u p HELO c]", "535", "[auth: 2 plain u p HELO c]", "535"],
            ),
            ("AUTH PLAIN\r\n*\r\nNOOP\r\n", &["334 \r\n", "500", "250", bad_base64]),
            ("AUTH LOGIN\r\ndQ==\r\ncA==\r\n", &["334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n[auth: 1 plain u p]", "535"]),
            ("AUTH LOGIN dQ==\r\n\r\n", &["334 UGFzc3dvcmQ6\r\n[auth: 1 plain u ]", "535"]),
            (
                cram,
                &[
                    "334 PDEuMkBtYWlsPg==\r\n",
                    "[auth: 1 cram-md5 u 00000000000000000000000000000000 <1.2@mail>]",
                    "535",
                    "250",
                ],
            ),
            ("AUTH EXTERNAL\r\ndQ==\r\n", &["334 VXNlcm5hbWU6\r\n[auth: 1 external u ]", "535"]),
            ("AUTH EXTERNAL dQ==\r\n", &["[auth: 1 external u ]", "535"]),
        ],
    );
}

#[test]
fn a_mechanism_that_is_off_is_refused() {
    let auth = Mechanisms { plain: true, ..Mechanisms::default() };
    let options = Options { auth, ..options() };
    check(&options, &[("AUTH EXTERNAL\r\nAUTH EXTERNAL dQ==\r\nAUTH CRAM-MD5\r\n", &["500", "500", "500"])]);
}

#[test]
fn a_transaction_may_do_without_authentication() {
    check(
        &options(),
        &[
            ("RCPT TO:<b>\r\nMAIL\r\nMAIL FROM:<a>\r\nMAIL FROM:<a>\r\nRCPT\r\n", &["503", "501", "250", "503", "501"]),
            (
                "EHLO c\r\nMAIL  FROM:<a b>  SIZE=1 \r\nRCPT TO:<b>\r\n",
                &[
                    "250-mail\r\n250-SIZE 10\r\n250-DSN\r\n250 AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL\r\n",
                    "250",
                    "[auth: 1 none   EHLO c MAIL  FROM:<a b>  SIZE=1 RCPT TO:<b>]",
                    "535",
                ],
            ),
            ("MAIL FROM:<a>\r\nHELO c\r\nRCPT TO:<b>\r\n", &["250", "250 mail\r\n", "503"]),
            ("MAIL FROM:<a>\r\nRSET\r\nRCPT TO:<b>\r\n", &["250", "250", "503"]),
        ],
    );
}

#[test]
fn an_attempt_has_nothing_of_an_earlier_one() {
    check(
        &options(),
        &[(
            "AUTH PLAIN AHUAcA==\r\nMAIL a\r\nRCPT b\r\nRCPT c\r\nAUTH EXTERNAL dg==\r\n",
            &[
                "[auth: 1 plain u p]",
                "535",
                "250",
                "[auth: 2 none   MAIL a RCPT b]",
                "535",
                "[auth: 3 none   MAIL a RCPT c]",
                "535",
                "[auth: 4 external v ]",
                "535",
            ],
        )],
    );
}

#[test]
fn mail_needs_authentication_if_not_told_otherwise() {
    let options = Options { auth: Mechanisms { none: false, ..ALL }, ..options() };
    let note = "[note: client was rejected: \"MAIL FROM:<a>__\"]";
    check(&options, &[("MAIL FROM:<a>\r\nRCPT TO:<b>\r\nNOOP\r\n", &["530", "503", "250", note])]);
}

#[test]
fn starttls_only_locks_every_way_in() {
    let options = Options { starttls: StartTls::Only, ..options() };
    let notes = "[note: client was rejected: \"MAIL a__\"][note: client was rejected: \"RCPT b__\"]";
    check(
        &options,
        &[("AUTH\r\nAUTH PLAIN AHUAcA==\r\nMAIL a\r\nRCPT b\r\n", &["500", "500", "530 tls", "530 tls", notes])],
    );
    let mut inside = server(&options);
    inside.tls_started();
    let script = converse(&mut inside, &[b"MAIL a\r\nRCPT b\r\n"]);
    assert_eq!(script, format!("{GREETING}{OK}[auth: 1 none   MAIL a RCPT b]{REJECTED}"));
}

#[test]
fn nothing_said_before_tls_is_left_after_it() {
    let options = Options { starttls: StartTls::On, ..options() };
    let first = b"HELO c\r\nMAIL a\r\nSTARTTLS\r\nNOOP\r\n";
    let script = converse(&mut server(&options), &[first, b"STARTTLS\r\nRCPT b\r\nAUTH PLAIN AHUAcA==\r\n"]);
    let expected = ["250 mail\r\n", "250", GO_AHEAD, "[tls]", "500", "503", "[auth: 1 plain u p]", "535"];
    assert_eq!(script, format!("{GREETING}{}", expected.map(whole).concat()));
}

#[test]
fn a_command_has_a_budget() {
    let command = |length| format!("NOOP\r\nNOOP {}\r\n", "x".repeat(length - "NOOP \r\n".len()));
    let long = "[close][note: client sent too long command \"NOOP...\"]";
    let closed = format!("{GREETING}{OK}{INVALID}{long}");
    check_front(|| server(&options()), command(64).as_bytes(), &format!("{GREETING}{OK}{OK}"));
    check_front(|| server(&options()), command(65).as_bytes(), &closed);
}

#[test]
fn a_refusal_has_the_code_of_the_authentication_server() {
    let cases = [
        (None, "no", "535 5.7.0 no\r\n"),
        (Some("454 4.7.0"), "later\r\n250 ok", "454 4.7.0 later  250 ok\r\n"),
        (Some(""), "", "535 5.7.0 \r\n"),
    ];
    for (code, text, expected) in cases {
        let mut out = Output::default();
        let rejection = Rejection { text: text.into(), code: code.map(Into::into) };
        server(&options()).reject(&rejection, &mut out);
        assert_eq!(out.bytes, expected.as_bytes());
    }
}

#[test]
fn who_speaks_before_the_greeting_is_turned_away() {
    let mut server = server(&options());
    let mut out = Output::default();
    server.input().push(b"HELO c\r\nMAIL");
    server.reject_early(&mut out);
    assert_eq!(out.bytes, TOO_EARLY.as_bytes());
    assert_eq!(out.notes, [Note("client was rejected before greeting: \"HELO c__MAIL\"".to_owned())]);
    assert!(matches!(server.step(&mut out), Step::Close));
}

#[test]
fn after_an_internal_error_the_session_is_over() {
    let mut server = server(&options());
    let mut out = Output::default();
    server.input().push(b"NOOP\r\n");
    server.internal_error(&mut out);
    assert!(matches!(server.step(&mut out), Step::Close));
    assert_eq!(out.bytes, INTERNAL_ERROR.as_bytes());
}

#[test]
fn any_input_is_answered_the_same_in_any_pieces() {
    let words: &[&[u8]] = &[
        b"EHLO",
        b"HELO",
        b"MAIL",
        b"RCPT",
        b"AUTH",
        b"RSET",
        b"VRFY",
        b"quit",
        b" ",
        b" ",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"u",
        b"PLAIN",
        b"LOGIN",
        b"CRAM-MD5",
        b"EXTERNAL",
        b"dQ==",
        b"AHUAcA==",
        b"*",
        b"\xff",
    ];
    fuzz_front(|| server(&Options { max_errors: 20, ..options() }), words);
}
