//! `make demo` does what it promises, and leaves nothing behind.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// `make demo`, with its temporary files where the test can look at them.
fn make_demo(temporary: &TempDir, arguments: &[&str]) -> Child {
    let target = Path::new(env!("CARGO_BIN_EXE_gatepost")).ancestors().nth(2).unwrap();
    Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("--no-print-directory")
        .arg("demo")
        .args(arguments)
        .env("CARGO_TARGET_DIR", target)
        .env("TMPDIR", temporary.path())
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("make is needed to run the demo")
}

fn is_empty(directory: &TempDir) -> bool {
    fs::read_dir(directory.path()).unwrap().next().is_none()
}

#[test]
fn the_transcript_shows_a_message_that_goes_in_and_comes_out() {
    let temporary = TempDir::new().unwrap();
    let output = make_demo(&temporary, &["DEMO_ONCE=1"]).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let milestones = [
        "== SMTP",
        "C: AUTH PLAIN ********",
        "S: 235 2.0.0 OK",
        "C: ... I shall be too late!",
        "== IMAP",
        "C: a LOGIN alice ********",
        "S: .. I shall be too late!",
        "== POP3",
        "C: PASS ********",
        "S: ... I shall be too late!",
        "came out through IMAP and POP3",
    ];
    let mut rest = text.as_str();
    for milestone in milestones {
        rest = rest.split_once(milestone).unwrap_or_else(|| panic!("no {milestone:?} in its place in\n{text}")).1;
    }
    assert!(!text.contains("wonderland"), "the password is shown in\n{text}");
    assert!(is_empty(&temporary));
}

#[test]
fn it_runs_until_it_is_told_to_end() {
    let temporary = TempDir::new().unwrap();
    let mut make = make_demo(&temporary, &[]);
    let mut stdout = BufReader::new(make.stdout.take().unwrap());
    let place = loop {
        let mut line = String::new();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended by itself");
        if let Some((_, rest)) = line.split_once("    IMAP ") {
            break rest.split_whitespace().next().unwrap().to_string();
        }
    };
    assert!(TcpStream::connect(&place).is_ok());
    assert!(!is_empty(&temporary));

    kill_process(Pid::from_child(&make), Signal::TERM).unwrap();
    make.wait().unwrap();
    // Every process that has this pipe open is gone when it ends.
    stdout.read_to_end(&mut Vec::new()).unwrap();
    assert!(is_empty(&temporary));
    assert!(TcpStream::connect(&place).is_err());
}
