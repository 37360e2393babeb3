//! The server, spoken to: each conversation is held with the input in one piece, byte by byte, and split at each byte.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::{Options, Server};
use crate::{Dialogue, FrontEnd, Mechanisms, Output, Rejection, StartTls, Step};

const SALT: &str = "<1.2@mail.example>";

fn options() -> Options {
    Options {
        server_name: "mail.example".to_owned(),
        capabilities: ["IMAP4", "IMAP4rev1", "UIDPLUS"].map(str::to_owned).to_vec(),
        auth: Mechanisms { plain: true, cram_md5: true, external: true, ..Mechanisms::default() },
        client_buffer: 256,
        max_errors: 100,
        max_commands: 1000,
        starttls: StartTls::Off,
    }
}

/// A conversation as it went: what the server said, and in brackets what it wanted.
struct Conversation {
    server: Server,
    said: Vec<u8>,
    notes: Vec<String>,
    closed: bool,
}

impl Conversation {
    fn new(options: &Options) -> Conversation {
        let server = Server::new(Arc::new(options.clone()), SALT.to_owned());
        Conversation { server, said: Vec::new(), notes: Vec::new(), closed: false }
    }

    /// Every login is rejected, except that of `good`: there the conversation ends, with what would be passed on.
    fn hear(&mut self, mut bytes: &[u8]) {
        let limit = self.server.input().space() + self.server.input().unread().len();
        while !self.closed {
            let (now, later) = bytes.split_at(bytes.len().min(self.server.input().space()));
            self.server.input().push(now);
            bytes = later;
            match self.step() {
                Step::Input if bytes.is_empty() => return,
                Step::Input => assert!(self.server.input().space() > 0),
                Step::StartTls => {
                    self.event("handshake");
                    self.server.tls_started();
                }
                Step::Close => {
                    self.event("close");
                    self.closed = true;
                }
                Step::Refuse(refusal) => {
                    self.event(&format!("refuse: {refusal}"));
                    self.closed = true;
                }
                Step::Authenticate(attempt) => self.authenticate(&attempt, bytes),
            }
            assert!(self.server.input().unread().len() <= limit && self.server.user().len() <= limit);
        }
    }

    fn authenticate(&mut self, attempt: &crate::Attempt, unheard: &[u8]) {
        let Dialogue::Imap { tag } = &attempt.dialogue else { panic!("an IMAP attempt") };
        assert_eq!(self.server.user(), attempt.user);
        self.event(&format!(
            "{} {} {:?} {:?}{} #{}",
            String::from_utf8_lossy(tag),
            attempt.method.name(),
            String::from_utf8_lossy(&attempt.user),
            String::from_utf8_lossy(attempt.password.expose()),
            attempt.salt.as_ref().map(|salt| format!(" {salt}")).unwrap_or_default(),
            attempt.number
        ));
        if attempt.user == b"good" {
            let rest = [&self.server.input().take(), unheard].concat();
            self.event(&format!("pass on {:?}", String::from_utf8_lossy(&rest)));
            self.closed = true;
            return;
        }
        let mut out = Output::default();
        self.server.reject(&Rejection { text: b"no".to_vec(), code: None }, &mut out);
        self.said.extend_from_slice(&out.bytes);
    }

    fn step(&mut self) -> Step {
        let mut out = Output::default();
        let step = self.server.step(&mut out);
        self.said.extend_from_slice(&out.bytes);
        self.notes.extend(out.notes.iter().map(|note| note.0.clone()));
        step
    }

    fn event(&mut self, what: &str) {
        self.said.extend(format!("[{what}]\r\n").bytes());
    }
}

/// Holds the conversation in these pieces, and returns what was said and noted.
fn converse(options: &Options, pieces: &[&[u8]]) -> (String, Vec<String>) {
    let mut conversation = Conversation::new(options);
    for piece in pieces {
        conversation.hear(piece);
    }
    (String::from_utf8_lossy(&conversation.said).into_owned(), conversation.notes)
}

/// Holds the conversation with every split of the input, and returns what was said and noted in all of them.
fn converse_split(options: &Options, input: &[u8]) -> (String, Vec<String>) {
    let whole = converse(options, &[input]);
    if whole.0.contains("[pass on") || whole.0.contains("[handshake") {
        // Where input ends matters here.
        return whole;
    }
    for at in 1..input.len() {
        assert_eq!(converse(options, &[&input[..at], &input[at..]]), whole, "split at {at} of {input:?}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(converse(options, &bytes), whole, "byte by byte, {input:?}");
    whole
}

/// Checks conversations: what is said, what is answered, and what is noted.
fn check(options: &Options, cases: &[(&str, &str, &[&str])]) {
    for (input, expected, notes) in cases {
        let (said, noted) = converse_split(options, input.as_bytes());
        assert_eq!(said, *expected, "{input:?}");
        assert_eq!(noted, *notes, "{input:?}");
    }
}

const NOTHING: &[&str] = &[];

#[test]
fn says_hello() {
    let mut out = Output::default();
    Server::new(Arc::new(options()), SALT.to_owned()).greet(&mut out);
    assert_eq!(out.bytes, b"* OK IMAP4 ready\r\n");
}

#[test]
fn simple_commands() {
    let capability =
        "* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=CRAM-MD5 AUTH=EXTERNAL\r\na OK completed\r\n";
    check(
        &options(),
        &[
            ("a NOOP\r\n", "a OK completed\r\n", NOTHING),
            ("a noop\n", "a OK completed\r\n", NOTHING),
            ("a   NoOp   \r\n", "a OK completed\r\n", NOTHING),
            ("a NOOP x \"y\" z\r\n", "a OK completed\r\n", NOTHING),
            ("a NOOP {3}\r\nx\ny\r\n", "+ OK\r\na OK completed\r\n", NOTHING),
            (" NOOP\r\n", " OK completed\r\n", NOTHING),
            ("a CAPABILITY\r\n", capability, NOTHING),
            ("a LOGOUT\r\nb NOOP\r\n", "* BYE\r\na OK completed\r\n[close]\r\n", NOTHING),
            ("a NOOP\r\nb NOOP\r\n", "a OK completed\r\nb OK completed\r\n", NOTHING),
            ("a STARTTLS\r\n", "a BAD invalid command\r\n", NOTHING),
        ],
    );
}

#[test]
fn lines_that_are_no_commands() {
    let (bad, untagged) = ("a BAD invalid command\r\n", "* BAD invalid command\r\n");
    let long_tag = "x".repeat(33);
    let tag = "x".repeat(32);
    check(
        &options(),
        &[
            ("\r\n", untagged, NOTHING),
            ("\n", untagged, NOTHING),
            ("a\r\n", untagged, NOTHING),
            ("a \r\n", bad, NOTHING),
            ("a  \n", bad, NOTHING),
            (" \r\n", " BAD invalid command\r\n", NOTHING),
            ("a* NOOP\r\n", untagged, NOTHING),
            ("\u{e9} NOOP\r\n", untagged, NOTHING),
            ("a\rb NOOP\r\n", untagged, NOTHING),
            (&format!("{long_tag} NOOP\r\n"), untagged, NOTHING),
            (&format!("{tag} NOOP\r\n"), &format!("{tag} OK completed\r\n"), NOTHING),
            ("A-._9 SELECT INBOX\r\n", "A-._9 BAD invalid command\r\n", NOTHING),
            ("a NOO\rP\r\n", bad, NOTHING),
            ("a NOOP\rx\r\n", bad, NOTHING),
            ("a NOOP\r\r\n", bad, NOTHING),
            ("a NOOP 1 2 3 4\r\n", bad, NOTHING),
            ("a NOOP 1 2 3 \r\n", "a OK completed\r\n", NOTHING),
            ("a FOO\r\nb NOOP\r\n", "a BAD invalid command\r\nb OK completed\r\n", NOTHING),
        ],
    );
}

#[test]
fn login() {
    let [plain, bad] = ["[a plain \"u\" \"p\" #1]\r\na NO no\r\n", "a BAD invalid command\r\n"];
    check(
        &options(),
        &[
            ("a LOGIN u p\r\n", plain, NOTHING),
            ("a login  \"u\"  \"p\" \n", plain, NOTHING),
            ("a LOGIN \"u\"\"p\"\r\n", plain, NOTHING),
            ("a LOGIN \"u\"p\r\n", plain, NOTHING),
            ("a LOGIN {1}\r\nu {1}\r\np\r\n", &format!("+ OK\r\n+ OK\r\n{plain}"), NOTHING),
            ("a LOGIN {1+}\r\nu {01+}\np\r\n", plain, NOTHING),
            ("a LOGIN \"u\"{1}\r\r\np\r\n", &format!("+ OK\r\n{plain}"), NOTHING),
            ("a LOGIN \"u\\\"\\\\\" \"p\\x \"\r\n", "[a plain \"u\\\"\\\\\" \"px \" #1]\r\na NO no\r\n", NOTHING),
            ("a LOGIN u\\ p\"q\r\n", "[a plain \"u\\\\\" \"p\\\"q\" #1]\r\na NO no\r\n", NOTHING),
            ("a LOGIN u p{1}\r\n", "[a plain \"u\" \"p{1}\" #1]\r\na NO no\r\n", NOTHING),
            ("a LOGIN u {6+}\r\n\" \\{3}\r\n", "[a plain \"u\" \"\\\" \\\\{3}\" #1]\r\na NO no\r\n", NOTHING),
            (" LOGIN u p\r\n", "[ plain \"u\" \"p\" #1]\r\n NO no\r\n", NOTHING),
            ("a LOGIN u \"\"\r\n", "[a plain \"u\" \"\" #1]\r\na NO no\r\n", NOTHING),
            ("a LOGIN \"\" p\r\n", bad, NOTHING),
            ("a LOGIN\r\n", bad, NOTHING),
            ("a LOGIN u\r\n", bad, NOTHING),
            ("a LOGIN u p q\r\n", bad, NOTHING),
            ("a LOGIN u p\\\r\n", "[a plain \"u\" \"p\\\\\" #1]\r\na NO no\r\n", NOTHING),
            ("a LOGIN u \"p\\\r\n", bad, NOTHING),
            ("a LOGIN u {1}x\r\n", bad, NOTHING),
            ("a LOGIN u {1+\r\n", bad, NOTHING),
            ("a LOGIN u {-1}\r\n", bad, NOTHING),
            ("a LOGIN {1}\r\nux p\r\n", &format!("+ OK\r\n{bad}"), NOTHING),
            ("a LOGIN {1}\r\nu\"p\"\r\n", &format!("+ OK\r\n{bad}"), NOTHING),
        ],
    );
}

#[test]
fn a_rejected_client_may_try_again() {
    check(
        &options(),
        &[(
            "a LOGIN u p\r\n??\r\nb AUTHENTICATE PLAIN AHYAcQ==\r\nc LOGIN x y\r\n",
            "[a plain \"u\" \"p\" #1]\r\na NO no\r\n* BAD invalid command\r\n[b plain \"v\" \"q\" #2]\r\nb NO no\r\n\
             [c plain \"x\" \"y\" #3]\r\nc NO no\r\n",
            NOTHING,
        )],
    );
}

#[test]
fn empty_literals_are_empty() {
    let empty = "[a plain \"u\" \"\" #1]\r\na NO no\r\nb OK completed\r\n";
    check(
        &options(),
        &[
            ("a LOGIN u {0+}\r\n\r\nb NOOP\r\n", empty, NOTHING),
            ("a LOGIN u {0}\r\n\r\nb NOOP\r\n", &format!("+ OK\r\n{empty}"), NOTHING),
            ("a LOGIN u {}\r\n\r\nb NOOP\r\n", &format!("+ OK\r\n{empty}"), NOTHING),
            ("a LOGIN u {+}\r\n\r\nb NOOP\r\n", empty, NOTHING),
        ],
    );
}

#[test]
fn quotes_end_with_their_line() {
    check(
        &options(),
        &[
            (
                "a LOGIN u \"p q\r\nb LOGIN v q\r\n",
                "[a plain \"u\" \"p q\" #1]\r\na NO no\r\n[b plain \"v\" \"q\" #2]\r\nb NO no\r\n",
                NOTHING,
            ),
            (
                "a LOGIN \"u p\r\nb LOGIN \"v\" q\r\n",
                "a BAD invalid command\r\n[b plain \"v\" \"q\" #1]\r\nb NO no\r\n",
                NOTHING,
            ),
        ],
    );
}

#[test]
fn a_refused_literal_is_never_taken_for_commands() {
    let closed = "a BAD invalid command\r\n[close]\r\n";
    let too_long: &[&str] = &["client sent too long command \"a...\""];
    check(
        &options(),
        &[
            ("a FOO {10+}\r\nb LOGIN u p\r\n", closed, NOTHING),
            ("a FOO {10+}\nb LOGIN u p\r\n", closed, NOTHING),
            ("{10+}\r\nb LOGIN u p\r\n", "* BAD invalid command\r\n[close]\r\n", NOTHING),
            ("a LOGIN 1 2 3 {12+}\r\nb LOGIN u p\r\n", closed, NOTHING),
            ("a LOGIN \"u {12+}\r\nb LOGIN u p\r\n", closed, NOTHING),
            ("a LOGIN {3+}\r\n{3+}\r\nb NOOP\r\n", closed, NOTHING),
            ("a FOO {10}\r\nb NOOP\r\n", "a BAD invalid command\r\nb OK completed\r\n", NOTHING),
            ("a LOGIN {18446744073709551616+}\r\nb NOOP\r\n", closed, NOTHING),
            ("a LOGIN {18446744073709551616}\r\nb NOOP\r\n", "a BAD invalid command\r\nb OK completed\r\n", NOTHING),
            ("a LOGIN {18446744073709551620}\r\nb NOOP\r\n", "a BAD invalid command\r\nb OK completed\r\n", NOTHING),
            ("a LOGIN {922337203685477580}\r\nb NOOP\r\n", closed, too_long),
            ("a LOGIN {256}\r\nb NOOP\r\n", closed, too_long),
            ("a LOGIN {256+}\r\nb NOOP\r\n", closed, too_long),
        ],
    );
}

#[test]
fn line_ends_and_nul_go_nowhere() {
    let bad = "a BAD invalid command\r\n";
    check(
        &options(),
        &[
            ("a LOGIN u {3+}\r\np\r\n\r\n", bad, &["client sent CR, LF or NUL in the password"]),
            ("a LOGIN {2+}\r\nu\n p\r\n", bad, &["client sent CR, LF or NUL in the user name"]),
            ("a LOGIN u\0 p\r\n", bad, &["client sent CR, LF or NUL in the user name"]),
            ("a LOGIN u \"p\0\"\r\n", bad, &["client sent CR, LF or NUL in the password"]),
            ("a AUTHENTICATE PLAIN AHUAcAA=\r\n", bad, &["client sent CR, LF or NUL in the password"]),
        ],
    );
}

#[test]
fn authenticate() {
    let (plain, bad) = ("[a plain \"u\" \"p\" #1]\r\na NO no\r\n", "a BAD invalid command\r\n");
    let cram = format!("[a cram-md5 \"u\" \"{}\" {SALT} #1]\r\na NO no\r\n", "0".repeat(32));
    let digest = format!("dSAw{}MA==", "MDAw".repeat(10));
    check(
        &options(),
        &[
            ("a AUTHENTICATE\r\n", bad, NOTHING),
            ("a AUTHENTICATE GSSAPI\r\nb NOOP\r\n", "a BAD invalid command\r\nb OK completed\r\n", NOTHING),
            ("a AUTHENTICATE PLAIN\r\nAHUAcA==\r\n", &format!("+ \r\n{plain}"), NOTHING),
            ("a AUTHENTICATE plain AHUAcA==\r\n", plain, NOTHING),
            ("a AUTHENTICATE \"PLAIN\" {8+}\r\nAHUAcA==\r\n", plain, NOTHING),
            ("a AUTHENTICATE PLAIN\r\nAHUAcA== more {1}\r\nx\r\n", &format!("+ \r\n+ OK\r\n{plain}"), NOTHING),
            (
                "a AUTHENTICATE LOGIN\r\ndQ==\r\ncA==\r\n",
                &format!("+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n{plain}"),
                NOTHING,
            ),
            ("a AUTHENTICATE LOGIN dQ==\r\ncA==\r\n", &format!("+ UGFzc3dvcmQ6\r\n{plain}"), NOTHING),
            (
                "a AUTHENTICATE EXTERNAL\r\ndQ==\r\n",
                "+ VXNlcm5hbWU6\r\n[a external \"u\" \"\" #1]\r\na NO no\r\n",
                NOTHING,
            ),
            ("a AUTHENTICATE EXTERNAL dQ==\r\n", "[a external \"u\" \"\" #1]\r\na NO no\r\n", NOTHING),
            (
                &format!("a AUTHENTICATE CRAM-MD5\r\n{digest}\r\n"),
                &format!("+ PDEuMkBtYWlsLmV4YW1wbGU+\r\n{cram}"),
                NOTHING,
            ),
        ],
    );
}

#[test]
fn what_ends_an_exchange() {
    let ended = "+ \r\na BAD invalid command\r\nb OK completed\r\n";
    let base64 = |mechanism| format!("client sent invalid base64 encoding in AUTH {mechanism} command");
    let (plain, login) = (base64("PLAIN"), base64("LOGIN"));
    check(
        &options(),
        &[
            ("a AUTHENTICATE PLAIN\r\n*\r\nb NOOP\r\n", ended, &[&plain]),
            ("a AUTHENTICATE PLAIN\r\n\r\nb NOOP\r\n", ended, &["client sent invalid login in AUTH PLAIN command"]),
            (
                "a AUTHENTICATE PLAIN\r\n AHUAcA==\r\nb NOOP\r\n",
                ended,
                &["client sent invalid login in AUTH PLAIN command"],
            ),
            ("a AUTHENTICATE PLAIN\r\n1 2 3 4\r\nb NOOP\r\n", ended, NOTHING),
            ("a AUTHENTICATE PLAIN\r\n1 2 3 {4+}\r\nb NOOP\r\n", "+ \r\na BAD invalid command\r\n[close]\r\n", NOTHING),
            ("a AUTHENTICATE PLAIN\r\nx\ry\r\nb NOOP\r\n", ended, NOTHING),
            (
                "a AUTHENTICATE LOGIN\r\n*\r\nb NOOP\r\n",
                "+ VXNlcm5hbWU6\r\nBAD invalid command\r\nb OK completed\r\n",
                &[&login],
            ),
            (
                "a AUTHENTICATE LOGIN\r\ndQ==\r\n*\r\nb NOOP\r\n",
                "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\na BAD invalid command\r\nb OK completed\r\n",
                &[&login],
            ),
            ("a AUTHENTICATE LOGIN *\r\nb NOOP\r\n", "a BAD invalid command\r\nb OK completed\r\n", &[&login]),
        ],
    );
}

#[test]
fn mechanisms_that_are_off() {
    let off = Options { auth: Mechanisms::default(), ..options() };
    let bad = "a BAD invalid command\r\n";
    check(
        &off,
        &[
            ("a CAPABILITY\r\n", "* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS\r\na OK completed\r\n", NOTHING),
            ("a AUTHENTICATE CRAM-MD5\r\n", bad, NOTHING),
            ("a AUTHENTICATE EXTERNAL\r\n", bad, NOTHING),
            ("a AUTHENTICATE EXTERNAL dQ==\r\n", bad, NOTHING),
            ("a AUTHENTICATE PLAIN AHUAcA==\r\n", "[a plain \"u\" \"p\" #1]\r\na NO no\r\n", NOTHING),
        ],
    );
}

#[test]
fn every_command_counts_and_so_does_every_line_of_an_exchange() {
    let two = Options { max_commands: 2, starttls: StartTls::On, ..options() };
    let refused = "[refuse: Too many commands]\r\n";
    for (input, expected) in [
        ("a NOOP\r\nb NOOP\r\nc NOOP\r\nd NOOP\r\n", format!("a OK completed\r\nb OK completed\r\n{refused}")),
        ("a FOO\r\nb LOGIN\r\n\r\n", format!("a BAD invalid command\r\nb BAD invalid command\r\n{refused}")),
        ("a AUTHENTICATE PLAIN\r\nx\r\nb NOOP\r\n", format!("+ \r\na BAD invalid command\r\n{refused}")),
        ("a LOGIN {1}\r\nu {1}\r\np\r\nb NOOP\r\nc LOGIN u p\r\n", {
            let login = "+ OK\r\n+ OK\r\n[a plain \"u\" \"p\" #1]\r\na NO no\r\n";
            format!("{login}b OK completed\r\n{refused}")
        }),
    ] {
        assert_eq!(converse_split(&two, input.as_bytes()).0, expected);
    }
}

#[test]
fn counts_survive_starttls() {
    let options = Options { max_commands: 2, max_errors: 2, starttls: StartTls::On, ..options() };
    let input: [&[u8]; 2] = [b"a STARTTLS\r\n", b"b NOOP\r\nc NOOP\r\n"];
    let expected = "a OK completed\r\n[handshake]\r\nb OK completed\r\n[refuse: Too many commands]\r\n";
    assert_eq!(converse(&options, &input).0, expected);
    let mut server = Server::new(Arc::new(options), SALT.to_owned());
    server.tally().errors = 1;
    server.input().push(b"a FOO\r\n");
    assert!(matches!(server.step(&mut Output::default()), Step::Close));
}

#[test]
fn errors_are_counted_where_no_command_can_be_read() {
    let two = Options { max_errors: 2, ..options() };
    let many: &[&str] = &["client sent too many invalid commands"];
    let zero = Options { max_errors: 0, ..options() };
    check(
        &two,
        &[
            ("a FOO\r\nb FOO\r\nc FOO\r\n", "a BAD invalid command\r\nb BAD invalid command\r\n[close]\r\n", many),
            (
                "a FOO\r\nb LOGIN\r\nc STARTTLS\r\nd NOOP\r\n",
                "a BAD invalid command\r\nb BAD invalid command\r\nc BAD invalid command\r\nd OK completed\r\n",
                NOTHING,
            ),
        ],
    );
    check(&zero, &[("a FOO\r\nb NOOP\r\n", "a BAD invalid command\r\n[close]\r\n", many)]);
}

#[test]
fn a_command_fits_the_buffer_or_ends_the_session() {
    let small = Options { client_buffer: 16, ..options() };
    let too_long: &[&str] = &["client sent too long command \"a...\""];
    check(
        &small,
        &[
            ("a LOGIN u 34567\n", "[a plain \"u\" \"34567\" #1]\r\na NO no\r\n", NOTHING),
            ("a LOGIN u 345678\n", "a BAD invalid command\r\n[close]\r\n", too_long),
            ("a123456789123456", "* BAD invalid command\r\n[close]\r\n", &["client sent too long command \"...\""]),
            ("a NOOP\r\nb NOOP\r\nc NOOP\r\n", "a OK completed\r\nb OK completed\r\nc OK completed\r\n", NOTHING),
            ("a LOGIN u {2+}\r\nppp", "a BAD invalid command\r\n[close]\r\n", too_long),
            ("a LOGIN {2+}\r\nuu", "a BAD invalid command\r\n[close]\r\n", too_long),
        ],
    );
    let exchange = Options { client_buffer: 24, ..options() };
    check(
        &exchange,
        &[
            (
                "a AUTHENTICATE PLAIN\r\nb 2345678901234567890123",
                "+ \r\na BAD invalid command\r\n[close]\r\n",
                too_long,
            ),
            (
                "a AUTHENTICATE LOGIN\r\nMTIzNDU2Nzg5MDEyMzQ1\r\ncA==\r\n",
                "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n[a plain \"123456789012345\" \"p\" #1]\r\na NO no\r\n",
                NOTHING,
            ),
        ],
    );
}

#[test]
fn what_follows_the_login_is_passed_on() {
    let input = "a LOGIN good p\r\nb SELECT INBOX\r\n\0c";
    let expected = "[a plain \"good\" \"p\" #1]\r\n[pass on \"b SELECT INBOX\\r\\n\\0c\"]\r\n";
    check(&options(), &[(input, expected, NOTHING)]);
}

#[test]
fn starttls() {
    let on = Options { starttls: StartTls::On, ..options() };
    let all = "* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=CRAM-MD5 AUTH=EXTERNAL";
    let hello = format!("{all} STARTTLS\r\na OK completed\r\n");
    let after = format!("a OK completed\r\n[handshake]\r\n{all}\r\nb OK completed\r\nc BAD invalid command\r\n");
    check(
        &on,
        &[
            ("a CAPABILITY\r\n", &hello, NOTHING),
            ("a LOGIN u p\r\n", "[a plain \"u\" \"p\" #1]\r\na NO no\r\n", NOTHING),
        ],
    );
    let (said, _) = converse(&on, &[b"a STARTTLS\r\nx LOGIN good p\r\n", b"b CAPABILITY\r\nc STARTTLS\r\n"]);
    assert_eq!(said, after);
}

#[test]
fn starttls_only() {
    let only = Options { starttls: StartTls::Only, max_errors: 1, ..options() };
    let hello = "* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS STARTTLS LOGINDISABLED\r\na OK completed\r\n";
    check(
        &only,
        &[
            ("a CAPABILITY\r\n", hello, NOTHING),
            ("a LOGIN u p\r\n", "a BAD invalid command\r\n", NOTHING),
            ("a AUTHENTICATE PLAIN AHUAcA==\r\n", "a BAD invalid command\r\n", NOTHING),
            ("a AUTHENTICATE LOGIN\r\nb NOOP\r\n", "a BAD invalid command\r\nb OK completed\r\n", NOTHING),
        ],
    );
    let (said, _) = converse(&only, &[b"a STARTTLS\r\n", b"b LOGIN u p\r\n"]);
    assert_eq!(said, "a OK completed\r\n[handshake]\r\n[b plain \"u\" \"p\" #1]\r\nb NO no\r\n");
}

#[test]
fn a_rejection_is_one_line() {
    let mut server = Server::new(Arc::new(options()), SALT.to_owned());
    let mut out = Output::default();
    server.input().push(b"a LOGIN u p\r\n");
    assert!(matches!(server.step(&mut out), Step::Authenticate(_)));
    server.reject(&Rejection { text: b"no\r\n* OK\0".to_vec(), code: None }, &mut out);
    assert_eq!(out.bytes, b"a NO no  * OK \r\n");
}

#[test]
fn an_internal_error_ends_the_session() {
    let mut server = Server::new(Arc::new(options()), SALT.to_owned());
    let mut out = Output::default();
    server.input().push(b"a NOOP\r\n");
    server.internal_error(&mut out);
    assert!(matches!(server.step(&mut out), Step::Close));
    assert_eq!(out.bytes, b"* BAD internal server error\r\n");
}

/// Conversations made of likely and unlikely words: nothing panics, and no split changes anything.
#[test]
fn any_input_in_any_pieces() {
    const WORDS: &[&[u8]] = &[
        b"a ",
        b"b1 ",
        b" ",
        b"LOGIN ",
        b"AUTHENTICATE ",
        b"PLAIN",
        b"LOGIN",
        b"EXTERNAL",
        b"CRAM-MD5",
        b"NOOP",
        b"CAPABILITY",
        b"LOGOUT",
        b"STARTTLS",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"u",
        b" p",
        b"\"",
        b"\\",
        b"\"q w\"",
        b"{1}",
        b"{3+}",
        b"{0}",
        b"{+}",
        b"{}",
        b"{99}",
        b"{18446744073709551616}",
        b"+}",
        b"*",
        b"=",
        b"dQ==",
        b"AHUAcA==",
        b"\0",
        b"\xff",
        b"xxxxxxxx",
    ];
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..6000_usize {
        let starttls = [StartTls::Off, StartTls::On, StartTls::Only][round % 3];
        let options =
            Options { client_buffer: 8 + round % 60, max_errors: 1 + round as u32 % 5, starttls, ..options() };
        let mut input = Vec::new();
        for _ in 0..random.below(24) {
            input.extend_from_slice(WORDS[random.below(WORDS.len())]);
        }
        let whole = converse(&options, &[&input]);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        if !whole.0.contains("[handshake") {
            assert_eq!(converse(&options, &bytes), whole, "{:?}", input.escape_ascii().to_string());
            let at = random.below(input.len() + 1);
            assert_eq!(
                converse(&options, &[&input[..at], &input[at..]]),
                whole,
                "{:?}",
                input.escape_ascii().to_string()
            );
        }
    }
}

/// xorshift64, which is random enough here and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
