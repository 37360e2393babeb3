//! The HTTP authentication protocol: what the auth server is asked, and what is made of its answers.

mod answer;
mod errors;
mod keep_alive;
mod request;
mod wait;

use crate::harness::{Conn, Reply, Wire};

const INTERNAL: &str = "* BAD internal server error\r\n";

/// A login goes to the backend. Gives the client.
#[track_caller]
fn logs_in(wire: &Wire) -> Conn {
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.backend.accept().ask("* OK hi\r\n", "a LOGIN {1}\r\n");
    client
}

/// A reply that names the wire's backend, with this before and behind the two headers that do.
fn naming_backend(wire: &Wire, before: &str, behind: &str) -> Reply {
    let at = wire.backend.address();
    Reply::raw(format!("{before}Auth-Server: {}\r\nAuth-Port: {}\r\n{behind}", at.ip(), at.port()))
}
