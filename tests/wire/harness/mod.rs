//! What every wire test needs: the subject's process, a stub auth server, stub backends and scripted connections.
//!
//! A test is one thread that plays all the parts in order: it speaks as the client, reads what the auth server was
//! asked, accepts the proxy's connection as the backend. Every read has a time limit, so a test fails rather than hangs.

mod auth;
mod bytes;
mod conn;
mod dns;
mod listener;
mod pki;
mod proxy;
mod subject;
pub(crate) mod talk;
pub(crate) mod tls;
pub(crate) mod upstream;
mod wire;

pub(crate) use auth::{Auth, Reply, Request};
pub(crate) use bytes::{b64, unb64};
pub(crate) use conn::Conn;
pub(crate) use dns::Dns;
pub(crate) use listener::Backend;
pub(crate) use pki::{File, Identity, Wanted};
pub(crate) use proxy::Proxy;
pub(crate) use subject::{Subject, differs, since};
pub(crate) use wire::Wire;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long an awaited event may take; generous, since only a failing test ever waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// How long nothing must happen for a test to believe that nothing will.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

/// Lets this process have as many descriptors as it may, and tells how many: it holds both ends of every session that it
/// does not hold itself.
pub(crate) fn raise_descriptors() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.map_or(usize::MAX, |maximum| maximum.try_into().unwrap_or(usize::MAX))
}
