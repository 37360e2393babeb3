//! Wire tests: what clients, backends and the auth server see, byte for byte.
//!
//! The same tests run against Gatepost and against nginx, chosen by the environment; see `tests/README.md`.
//! nginx is the judge: an expectation holds for both, except where [`harness::differs`] names the reason or
//! [`harness::since`] says that the nginx at hand is too old.
#![allow(clippy::unwrap_used)]

mod auth_http;
#[allow(dead_code, reason = "the tests of security use the rest")]
mod harness;
mod imap;
mod limits;
mod log;
mod log_targets;
mod memory;
mod pop3;
mod proxy_protocol;
mod relay;
mod resolver;
mod smtp;
mod time;
mod tls;
mod upstream;
mod users_file;
