//! Gatepost: a mail proxy for IMAP, POP3 and SMTP.

mod addr;
mod auth;
mod config;
mod log;
mod real_ip;
mod resolver;

fn main() {}
