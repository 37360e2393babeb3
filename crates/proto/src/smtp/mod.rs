//! SMTP: RFC 5321, RFC 4954.

mod client;
mod command;
mod server;

use crate::{Mechanisms, StartTls};

pub use client::{Client, Login};
pub use server::Server;

/// What an SMTP front end is told by the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// `server_name`: in the greeting, the answer to HELO and EHLO, and the CRAM-MD5 challenge.
    pub server_name: String,
    /// `smtp_capabilities`, in order.
    pub capabilities: Vec<String>,
    /// `smtp_auth`.
    pub auth: Mechanisms,
    /// `smtp_client_buffer`, bytes: the longest command.
    pub client_buffer: usize,
    /// `max_errors`.
    pub max_errors: u32,
    /// `max_commands`.
    pub max_commands: u32,
    /// `starttls`.
    pub starttls: StartTls,
}
