//! What a client sees of the POP3 server before login.

use super::*;
use crate::testing::{check_front, converse, fuzz_front};

const SALT: &str = "<1.2@mail>";
const GREETING: &str = "+OK POP3 ready <1.2@mail>\r\n";

fn options() -> Options {
    Options {
        server_name: "mail".to_owned(),
        capabilities: ["TOP", "USER", "UIDL"].map(str::to_owned).to_vec(),
        auth: Mechanisms { plain: true, apop: true, cram_md5: true, external: true, ..Mechanisms::default() },
        max_errors: 3,
        max_commands: 1000,
        starttls: StartTls::Off,
    }
}

fn server(options: &Options) -> Server {
    Server::new(Arc::new(options.clone()), SALT.to_owned())
}

/// In what is expected, `~` stands for the answer to an invalid command.
fn check(options: &Options, cases: &[(&str, &str)]) {
    for (input, expected) in cases {
        let expected = format!("{GREETING}{}", expected.replace('~', INVALID));
        check_front(|| server(options), input.as_bytes(), &expected);
    }
}

#[test]
fn commands_are_answered_as_by_nginx() {
    check(
        &options(),
        &[
            ("QUIT\r\nNOOP\r\n", "+OK\r\n[close]"),
            ("noop a b c\nQUIT x\n", "+OK\r\n+OK\r\n[close]"),
            ("USER u\r\nPASS p q \r\n", "+OK\r\n[auth: 1 plain u p q ]-ERR no\r\n"),
            ("USER u\r\nNOOP\r\nPASS p\r\nNO", "+OK\r\n+OK\r\n[auth: 1 plain u p]-ERR no\r\n[rest: NO]"),
            ("USER u\r\nPASS\r\nPASS p\r\n", "+OK\r\n~~"),
            ("USER u\r\nFOO\r\nPASS p\r\n", "+OK\r\n~~"),
            ("USER u\r\nUSER v\r\nUSER v\r\n", "+OK\r\n~+OK\r\n"),
            ("USER u\r\nAUTH\r\nAPOP u d\r\n", "+OK\r\n~[auth: 1 apop u d <1.2@mail>]-ERR no\r\n"),
            ("USER u\r\nSTLS\r\nQUIT\r\n", "+OK\r\n~+OK\r\n[close]"),
            ("USER u\r\nQUIT\r\n", "+OK\r\n+OK\r\n[close]"),
            ("USER\r\nPASS p\r\nSTLS\r\nRETR 1\r\nNOOP\r\n", "~~~~+OK\r\n"),
            ("APOP u\r\nAPOP u d e\r\nAPOP  u  d \r\n", "~~[auth: 1 apop u d <1.2@mail>]-ERR no\r\n"),
            ("FOO\r\n\r\nNOOP\r\r\nNOOP\r\n", "~~~[close][note: client sent too many invalid commands]"),
        ],
    );
}

#[test]
fn every_command_counts_and_so_does_every_line_of_an_exchange() {
    let two = Options { max_commands: 2, starttls: StartTls::On, ..options() };
    check(
        &two,
        &[
            ("NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n", "+OK\r\n+OK\r\n[refuse: Too many commands][close]"),
            ("FOO\r\nUSER\r\nNOOP\r\n", "~~[refuse: Too many commands][close]"),
            (
                "USER u\r\nPASS p\r\nUSER u\r\n",
                "+OK\r\n[auth: 1 plain u p]-ERR no\r\n[refuse: Too many commands][close]",
            ),
        ],
    );
    let bytes: [&[u8]; 2] = [b"STLS\r\n", b"NOOP\r\nNOOP\r\n"];
    let expected = format!("{GREETING}+OK\r\n[tls]+OK\r\n[refuse: Too many commands][close]");
    assert_eq!(converse(&mut server(&two), &bytes), expected);
}

#[test]
fn sasl_exchanges_go_as_in_nginx() {
    let cram = "dSAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA==";
    let cram = format!("AUTH CRAM-MD5\r\n{cram}\r\nAUTH EXTERNAL\r\ndQ==\r\n");
    let bad_base64 = "[note: client sent invalid base64 encoding in AUTH PLAIN command]";
    check(
        &options(),
        &[
            ("AUTH\r\n", "+OK methods supported:\r\nPLAIN\r\nLOGIN\r\nCRAM-MD5\r\nEXTERNAL\r\n.\r\n"),
            ("AUTH FOO\r\nAUTH PLAIN a b\r\nAUTH a b c d\r\nAUTH CRAM-MD5 dQ==\r\n", "~~~~"),
            ("AUTH PLAIN\r\nAHUAcA==\r\n", "+ \r\n[auth: 1 plain u p]-ERR no\r\n"),
            ("auth plain AHUAcA==\r\nQUIT\r\n", "[auth: 1 plain u p]-ERR no\r\n+OK\r\n[close]"),
            ("AUTH PLAIN\r\n*\r\nNOOP\r\n", &format!("+ \r\n~+OK\r\n{bad_base64}")),
            ("AUTH PLAIN\r\na b c d\r\nNOOP\r\n", "+ \r\n~+OK\r\n"),
            ("AUTH LOGIN\r\ndQ==\r\ncA== x\r\n", "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n[auth: 1 plain u p]-ERR no\r\n"),
            ("AUTH LOGIN dQ==\r\n\r\n", "+ UGFzc3dvcmQ6\r\n[auth: 1 plain u ]-ERR no\r\n"),
            (
                &cram,
                "+ PDEuMkBtYWlsPg==\r\n[auth: 1 cram-md5 u 00000000000000000000000000000000 <1.2@mail>]-ERR no\r\n\
                 + VXNlcm5hbWU6\r\n[auth: 2 external u ]-ERR no\r\n",
            ),
        ],
    );
}

#[test]
fn nul_in_credentials_is_refused() {
    let note = |what| format!("~[note: client sent CR, LF or NUL in the {what}]");
    check(
        &options(),
        &[
            ("USER u\0\r\nPASS p\r\n", &format!("+OK\r\n{}", note("user name"))),
            ("USER u\r\nPASS p\0\r\n", &format!("+OK\r\n{}", note("password"))),
            ("APOP u\0 d\r\n", &note("user name")),
            ("AUTH PLAIN AHUAcABx\r\n", &note("password")),
        ],
    );
}

#[test]
fn capabilities_are_composed_as_in_nginx() {
    let apop = Mechanisms { apop: true, ..Mechanisms::default() };
    let plain = Mechanisms { plain: true, ..Mechanisms::default() };
    let cases = [
        (StartTls::Off, apop, "CAPA\r\n", "TOP\r\nUSER\r\nUIDL\r\nSASL\r\n"),
        (StartTls::Off, plain, "CAPA\r\n", "TOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n"),
        (StartTls::On, plain, "CAPA\r\n", "TOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\nSTLS\r\n"),
        (StartTls::On, plain, "USER u\r\nCAPA\r\n", "TOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n"),
        (StartTls::Only, plain, "CAPA\r\n", "TOP\r\nUIDL\r\nSTLS\r\n"),
    ];
    for (starttls, auth, input, lines) in cases {
        let options = Options { starttls, auth, ..options() };
        let script = converse(&mut server(&options), &[input.as_bytes()]);
        assert!(script.ends_with(&format!("+OK Capability list follows\r\n{lines}.\r\n")), "{script}");
    }
}

#[test]
fn the_salt_is_told_where_it_is_of_use() {
    let plain = Mechanisms { plain: true, ..Mechanisms::default() };
    let options = Options { auth: plain, ..options() };
    assert_eq!(converse(&mut server(&options), &[]), "+OK POP3 ready\r\n");
}

#[test]
fn nothing_said_before_tls_is_left_after_it() {
    let options = Options { starttls: StartTls::On, ..options() };
    let script = converse(&mut server(&options), &[b"STLS\r\nNOOP\r\n", b"STLS\r\nQUIT\r\n"]);
    assert_eq!(script, format!("{GREETING}+OK\r\n[tls]{INVALID}+OK\r\n[close]"));
}

#[test]
fn starttls_only_locks_every_way_in() {
    let options = Options { starttls: StartTls::Only, ..options() };
    check(&options, &[("USER u\r\nAPOP u d\r\nAUTH\r\nAUTH PLAIN AHUAcA==\r\nPASS p\r\n", "~~~~~")]);
    let mut inside = server(&options);
    inside.tls_started();
    let script = converse(&mut inside, &[b"AUTH PLAIN AHUAcA==\r\n"]);
    assert_eq!(script, format!("{GREETING}[auth: 1 plain u p]-ERR no\r\n"));
}

#[test]
fn a_command_has_a_budget() {
    let fits = format!("NOOP\r\nUSER {}\r\n", "u".repeat(BUDGET - "USER \r\n".len()));
    let long = format!("NOOP\r\nUSER {}\r\n", "u".repeat(BUDGET - "USER \r\n".len() + 1));
    let closed = "[close][note: client sent too long command \"USER...\"]";
    for (input, expected) in [(fits, "+OK\r\n".to_owned()), (long, format!("{INVALID}{closed}"))] {
        for size in [1, 100, BUDGET, 2 * BUDGET] {
            let pieces: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
            assert_eq!(converse(&mut server(&options()), &pieces), format!("{GREETING}+OK\r\n{expected}"));
        }
    }
}

#[test]
fn any_input_is_answered_the_same_in_any_pieces() {
    let words: &[&[u8]] = &[
        b"USER",
        b"PASS",
        b"APOP",
        b"AUTH",
        b"CAPA",
        b"NOOP",
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
        b"=",
        b"\xff",
    ];
    fuzz_front(|| server(&Options { max_errors: 20, ..options() }), words);
}
