//! POP3: RFC 1939, RFC 2449, RFC 5034.

mod client;
mod command;
mod server;

use crate::{Mechanisms, StartTls};

pub use client::Client;
pub use server::Server;

/// What a POP3 front end is told by the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// `server_name`: part of the APOP and CRAM-MD5 challenge.
    pub server_name: String,
    /// `pop3_capabilities`, in order.
    pub capabilities: Vec<String>,
    /// `pop3_auth`.
    pub auth: Mechanisms,
    /// `max_errors`.
    pub max_errors: u32,
    /// `max_commands`.
    pub max_commands: u32,
    /// `starttls`.
    pub starttls: StartTls,
}
