//! Faults under load: Gatepost with master and worker, thousands of sessions in motion, and servers that fail.
//!
//! The clients and servers are those of `make soak`.
#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "the examples use the rest")]

mod backpressure;
mod soak;
mod under_load;

#[path = "../../examples/soak/auth.rs"]
mod auth;
#[path = "../../examples/soak/client.rs"]
mod client;
#[path = "../../examples/soak/gatepost.rs"]
mod gatepost;
#[path = "../wire/harness/mod.rs"]
#[allow(unused_imports)]
mod harness;
#[path = "../../examples/bench/lines.rs"]
mod lines;
#[path = "../../examples/bench/machine.rs"]
mod machine;
#[path = "../../examples/soak/mail.rs"]
mod mail;
#[path = "../../examples/soak/pattern.rs"]
mod pattern;
#[path = "../../examples/soak/peer.rs"]
mod peer;
#[path = "../../examples/soak/random.rs"]
mod random;
#[path = "../../examples/soak/servers.rs"]
mod servers;
#[path = "../../examples/soak/site.rs"]
mod site;
#[path = "../../examples/bench/stream.rs"]
mod stream;
#[path = "../../examples/soak/tally.rs"]
mod tally;
#[path = "../../examples/bench/tls.rs"]
mod tls;
#[path = "../../examples/soak/usage.rs"]
mod usage;
#[path = "../../examples/soak/weather.rs"]
mod weather;
#[path = "../../examples/bench/wire.rs"]
mod wire;

use tokio::sync::RwLock;

/// The machine. Where tests are threads of one process, those that fill it and measure write, the others read;
/// `.config/nextest.toml` says the same for processes.
static MACHINE: RwLock<()> = RwLock::const_new(());
