//! Who decides whether a login is good, and where it goes: `auth_http` or `auth_users_file`.

use std::time::Duration;

use gatepost_proto::{Attempt, Protocol, Rejection, Secret};

use crate::addr::Address;

/// What is known of a client besides what it says.
#[derive(Debug)]
pub struct Client {
    /// Its address, by the PROXY protocol where that is trusted.
    pub address: Address,
    /// SMTP: its name by DNS, or `[UNAVAILABLE]` or `[TEMPUNAVAIL]`.
    pub host: Option<String>,
    /// The addresses of the PROXY protocol header it came with: source and destination.
    pub proxy_protocol: Option<(Address, Address)>,
}

/// A question to a backend.
#[derive(Debug)]
pub struct Request<'a> {
    /// The protocol the client speaks.
    pub protocol: Protocol,
    /// What it says.
    pub attempt: &'a Attempt,
    /// Who it is.
    pub client: &'a Client,
}

/// The answer.
#[derive(Debug)]
pub enum Verdict {
    /// Welcome.
    Accept(Route),
    /// The login is refused, after `wait`; the session goes on if `wait` is not zero.
    Reject {
        /// What the client is told.
        rejection: Rejection,
        /// How long it is kept waiting for that (`Auth-Wait`).
        wait: Duration,
    },
}

/// Where a login goes, and as whom.
#[derive(Debug)]
pub struct Route {
    /// The mail server.
    pub address: Address,
    /// The mail server as the log names it: `Auth-Server:Auth-Port`.
    pub name: String,
    /// The user name at the mail server.
    pub user: Vec<u8>,
    /// The password at the mail server; none where nobody knows it.
    pub password: Option<Secret>,
}
