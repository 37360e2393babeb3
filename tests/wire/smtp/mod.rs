//! SMTP: what clients see before login, and what the backend gets.

mod backend;
mod commands;
mod failure;
mod greeting;
mod limits;
mod relay;
mod sasl;
mod without_auth;
mod xclient;

use crate::harness::{Conn, Wire, unb64};

const OK: &str = "250 2.0.0 OK\r\n";
const INVALID: &str = "500 5.5.1 Invalid command\r\n";
const BAD_ARGUMENT: &str = "501 5.5.4 Invalid argument\r\n";
const BAD_SEQUENCE: &str = "503 5.5.1 Bad sequence of commands\r\n";
const AUTH_REQUIRED: &str = "530 5.7.1 Authentication required\r\n";
const INTERNAL: &str = "451 4.3.2 Internal server error\r\n";
const LOGGED_IN: &str = "235 2.0.0 OK\r\n";

/// `AUTH PLAIN` as `u` with `p`.
const LOGIN: &str = "AUTH PLAIN AHUAcA==\r\n";

/// A backend's answer to EHLO that has XCLIENT.
const EXTENSIONS: &str = "250-mail.test\r\n250-XCLIENT NAME ADDR LOGIN\r\n250 SIZE\r\n";

/// The session still takes commands.
#[track_caller]
fn goes_on(client: &mut Conn) {
    client.ask("NOOP\r\n", OK);
}

/// Takes the CRAM-MD5 challenge.
#[track_caller]
fn challenge(client: &mut Conn) -> String {
    let salt = unb64(client.line().trim_end().strip_prefix("334 ").unwrap());
    let digits = salt.strip_prefix('<').unwrap().strip_suffix("@proxy.test>").unwrap();
    let (random, time) = digits.split_once('.').unwrap();
    assert!(random.parse::<u64>().is_ok() && time.parse::<u64>().is_ok(), "{salt}");
    salt
}

/// A client that has sent these lines, and its backend before the greeting.
#[track_caller]
fn at_backend(wire: &Wire, lines: &str) -> (Conn, Conn) {
    let mut client = wire.client();
    client.send(lines);
    let backend = wire.backend.accept();
    (client, backend)
}
