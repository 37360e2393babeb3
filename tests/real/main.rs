//! Real mail servers behind the proxy, and real clients in front of it.
//!
//! See `README.md` in this directory.
#![allow(clippy::unwrap_used, missing_docs)]

mod addresses;
mod auth;
mod curl;
mod front;
mod instance;
mod large;
mod mailbox_clients;
mod messages;
mod mode;
mod process;
mod proxy;
mod python;
mod site;
mod subject;
mod swaks;
mod tls;
mod users;
