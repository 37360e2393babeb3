//! POP3: what clients see before login, and what the backend gets.

mod backend;
mod commands;
mod failure;
mod limits;
mod sasl;

use crate::harness::{Conn, Wire, unb64};

const INVALID: &str = "-ERR invalid command\r\n";

/// The session still takes commands.
#[track_caller]
fn goes_on(client: &mut Conn) {
    client.ask("NOOP\r\n", "+OK\r\n");
}

/// A client, and the challenge in its greeting.
#[track_caller]
fn with_salt(wire: &Wire) -> (Conn, String) {
    let mut client = wire.connect();
    let line = client.line();
    let salt = line.strip_prefix("+OK POP3 ready ").unwrap().trim_end().to_owned();
    check_salt(&salt);
    (client, salt)
}

/// Takes the CRAM-MD5 challenge.
#[track_caller]
fn challenge(client: &mut Conn) -> String {
    let salt = unb64(client.line().trim_end().strip_prefix("+ ").unwrap());
    check_salt(&salt);
    salt
}

#[track_caller]
fn check_salt(salt: &str) {
    let digits = salt.strip_prefix('<').unwrap().strip_suffix("@proxy.test>").unwrap();
    let (random, time) = digits.split_once('.').unwrap();
    assert!(random.parse::<u64>().is_ok() && time.parse::<u64>().is_ok(), "{salt}");
}
