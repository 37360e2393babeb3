//! Processes: what signals, deaths and mistakes do to a master, its worker and their sessions.
//!
//! As root the worker runs as `nobody`; else the tests show what can be seen without.
#![allow(clippy::unwrap_used)]

mod alone;
mod deaths;
mod faults;
#[allow(dead_code, unused_imports, reason = "the wire tests use the rest")]
#[path = "../wire/harness/mod.rs"]
mod harness;
mod limits;
mod reload;
mod running;
mod signals;
mod start;
mod upgrade;
