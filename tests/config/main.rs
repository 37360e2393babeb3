//! What `-t` says about configurations, and what the command line does: the same expectations for nginx and Gatepost.
//!
//! `SUBJECT=nginx cargo test --test config` runs them against Debian's nginx, `NGINX=/path` against another. nginx stops at
//! the first mistake, so of the expected lines it must say those up to the first `[emerg]`; Gatepost must say them all.

#![allow(clippy::unwrap_used, missing_docs)]

mod command_line;
mod files;
#[allow(dead_code, reason = "the wire tests use the rest")]
#[path = "../wire/harness/pki.rs"]
mod pki;
mod rows_certificates;
mod rows_limits;
mod rows_main;
mod rows_servers;
mod rows_syntax;
mod rows_tls;
mod runner;
mod skipped;
#[allow(dead_code, reason = "the wire tests use the rest")]
#[path = "../wire/harness/subject.rs"]
mod subject;

/// Runs a table, and tells of every row that fails.
fn check(rows: &[runner::Row]) {
    let failures: Vec<String> = rows.iter().filter_map(|row| runner::run(row).err()).collect();
    assert!(failures.is_empty(), "{} of {} rows fail:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

#[test]
fn syntax() {
    check(rows_syntax::ROWS);
}

#[test]
fn main_level_and_events() {
    check(rows_main::ROWS);
}

#[test]
fn users() {
    // nginx looks at `user` only where it may change it.
    if rustix::process::geteuid().is_root() {
        check(rows_main::USERS);
    }
}

#[test]
fn logs() {
    check(rows_main::LOGS);
}

#[test]
fn listen() {
    check(rows_servers::LISTEN);
}

#[test]
fn servers() {
    check(rows_servers::SERVERS);
}

#[test]
fn limits() {
    check(rows_limits::ROWS);
}

#[test]
fn authentication() {
    check(rows_servers::AUTHENTICATION);
}

#[test]
fn protocols_and_proxy() {
    check(rows_servers::PROTOCOLS);
}

#[test]
fn http_and_stream() {
    check(skipped::ROWS);
}

#[test]
fn tls_directives() {
    check(rows_tls::DIRECTIVES);
}

#[test]
fn what_tls_needs() {
    check(rows_tls::CHECKS);
}

#[test]
fn certificates() {
    check(rows_certificates::ROWS);
}

#[test]
fn servers_on_one_address() {
    check(rows_tls::SHARING);
}

#[test]
fn tls_towards_other_servers() {
    check(rows_tls::UPSTREAM);
}
