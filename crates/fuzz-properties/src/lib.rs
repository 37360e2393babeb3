#![forbid(unsafe_code)]
//! What holds for any input, as functions that panic where it does not.
//!
//! The fuzz targets in `fuzz/` call them with what the fuzzer makes up; the test `corpus` calls them with the inputs kept
//! in `fuzz/corpus`. An input is bytes with a meaning that each function tells. Where it has several fields, they are
//! divided by the byte [`pieces::DIVIDER`]; a field that is not there is empty.
//!
//! Besides that nothing panics, these are the properties:
//!
//! * a machine holds no more bytes than its budget allows (`held`);
//! * the same bytes in other pieces have the same outcome ([`pieces`]);
//! * a mail server gets exactly the commands it should, each on one line, whatever is in them;
//! * a password is in no reply, log line or `Debug` (`canary`).
//!
//! Known gap: what a machine holds is counted by the allocator, so a budget is checked to within a small factor.

pub mod auth;
pub mod back;
mod canary;
pub mod front;
mod held;
pub mod language;
pub mod pieces;
pub mod proxy_header;
pub mod session;
mod setup;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its corpus too.
    pub name: &'static str,
    /// Panics where a property does not hold.
    pub check: fn(&[u8]),
}

/// Every target that needs no more than the crates `conf` and `proto`.
pub const TARGETS: &[Target] = &[
    Target { name: "auth_reply", check: auth::reply },
    Target { name: "auth_request", check: auth::request },
    Target { name: "conf_language", check: language::check },
    Target { name: "imap_client", check: back::imap },
    Target { name: "imap_server", check: front::imap },
    Target { name: "pop3_client", check: back::pop3 },
    Target { name: "pop3_server", check: front::pop3 },
    Target { name: "proxy_header", check: proxy_header::check },
    Target { name: "session", check: session::check },
    Target { name: "smtp_client", check: back::smtp },
    Target { name: "smtp_server", check: front::smtp },
];
