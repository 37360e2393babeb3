//! IMAP: RFC 9051, RFC 3501.
//!
//! [`Server`] is what a mail client talks to before it is logged in, [`Client`] logs in to its mail server.

mod client;
mod command;
mod server;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use server::Server;

use crate::{Mechanisms, StartTls};

/// What an IMAP front end is told by the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// `server_name`: part of the CRAM-MD5 challenge.
    pub server_name: String,
    /// `imap_capabilities`, in order.
    pub capabilities: Vec<String>,
    /// `imap_auth`.
    pub auth: Mechanisms,
    /// `imap_client_buffer`, bytes: the longest command, literals included.
    pub client_buffer: usize,
    /// `max_errors`.
    pub max_errors: u32,
    /// `max_commands`.
    pub max_commands: u32,
    /// `starttls`.
    pub starttls: StartTls,
}
