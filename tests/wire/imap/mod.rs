//! IMAP: what clients see before login, and what the backend gets.

mod backend;
mod commands;
mod failure;
mod limits;
mod login;
mod sasl;

use crate::harness::{Conn, Request, Wire};

/// Sends that line as a new client and gives what the auth server is asked.
#[track_caller]
fn asked_for(wire: &Wire, lines: impl AsRef<[u8]>) -> Request {
    let mut client = wire.client();
    client.send(lines);
    wire.auth.request()
}

/// The session still takes commands.
#[track_caller]
fn goes_on(client: &mut Conn) {
    client.ask("still NOOP\r\n", "still OK completed\r\n");
}
