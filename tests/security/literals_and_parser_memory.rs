//! Literals and the memory of parsers (CVE-2024-34055 Cyrus, CVE-2025-61600 Stalwart): a client that has not logged in gets
//! no memory beyond the budget of one command, however it says it.

use std::fs;

use crate::harness::{Subject, Wire};

/// How much the process may grow, bytes: the budget of a command, and what the heap keeps.
const GROWTH: u64 = 512 * 1024;

/// What the process alone has in memory, bytes.
fn memory(wire: &Wire) -> u64 {
    let pid = fs::read_to_string(wire.prefix().join("pid")).unwrap();
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", pid.trim())).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// The process is no larger after that than before, but for [`GROWTH`].
#[track_caller]
fn costs_nothing(wire: &Wire, work: impl FnOnce()) {
    wire.client();
    let before = memory(wire);
    work();
    let after = memory(wire);
    assert!(after < before + GROWTH, "{before} bytes became {after}");
}

#[test]
fn a_million_literals() {
    const COUNT: usize = 1_000_000;
    // As many as a command can have, so that not all of the time goes to refusals.
    const IN_A_COMMAND: usize = 3;
    const AT_ONCE: usize = 1000;
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::imap("max_commands 2000000;");
    let mut client = wire.client();
    costs_nothing(&wire, || {
        let commands = format!("a LOGIN{}\r\n", " {1+}\r\nx".repeat(IN_A_COMMAND)).repeat(AT_ONCE);
        let refusals = "a BAD invalid command\r\n".repeat(AT_ONCE);
        for _ in 0..COUNT.div_ceil(IN_A_COMMAND * AT_ONCE) {
            client.ask(&commands, &refusals);
        }
    });
    client.ask("b NOOP\r\n", "b OK completed\r\n");
    wire.auth.expect_unasked();
}

#[test]
fn literals_within_one_command() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::imap("");
    costs_nothing(&wire, || {
        for literal in ["{0+}\r\n ", "{1+}\r\nx ", "{0+}\r\n"] {
            wire.client().flood(format!("a LOGIN {}", literal.repeat(150_000)).into_bytes());
        }
    });
    wire.auth.expect_unasked();
}

#[test]
fn lengths_beyond_all_bounds() {
    if Subject::is_nginx() {
        return;
    }
    for length in [
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
        &"9".repeat(1000),
        "-1",
        "0x10",
    ] {
        let wire = Wire::imap("");
        costs_nothing(&wire, || {
            for form in [format!("{{{length}}}"), format!("{{{length}+}}")] {
                let mut client = wire.client();
                client.send(format!("a LOGIN {form}\r\n")).expect("a BAD invalid command\r\n");
            }
        });
        wire.auth.expect_unasked();
    }
}

#[test]
fn a_megabyte_of_one_byte() {
    for byte in ["(", "\"", "{", "\\", "a", " ", "\0", "\u{ff}", "+", "\r"] {
        for wire in [Wire::imap(""), Wire::pop3(""), Wire::smtp("")] {
            costs_nothing(&wire, || wire.client().flood(byte.repeat((1 << 20) / byte.len()).into_bytes()));
            wire.auth.expect_unasked();
        }
    }
}

#[test]
fn a_megabyte_within_commands() {
    for (wire, command) in [
        (Wire::imap(""), "a LOGIN \""),
        (Wire::imap(""), "a LOGIN {1048576+}\r\n"),
        (Wire::imap(""), "a AUTHENTICATE PLAIN "),
        (Wire::pop3(""), "USER "),
        (Wire::pop3(""), "AUTH PLAIN "),
        (Wire::smtp(""), "AUTH PLAIN "),
        (Wire::smtp("smtp_auth none;"), "MAIL FROM:<"),
    ] {
        costs_nothing(&wire, || wire.client().flood(format!("{command}{}", "(".repeat(1 << 20)).into_bytes()));
        wire.auth.expect_unasked();
    }
}
