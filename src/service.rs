//! What a configuration becomes when Gatepost runs: open logs, authentication, resolvers.

use std::sync::Arc;

use crate::auth;
use crate::config::{self, Config};
use crate::log::{Log, Logs};
use crate::resolver::Resolver;

/// A `server` block at work.
pub struct Service {
    /// Its settings.
    pub conf: Arc<config::Server>,
    /// Its `error_log`.
    pub log: Arc<Log>,
    /// Its `auth_http` or `auth_users_file`.
    pub auth: auth::Backend,
    /// Its `resolver`.
    pub resolver: Option<Resolver>,
}

/// A `listen` at work.
pub struct Door {
    /// Its settings.
    pub endpoint: Arc<config::Endpoint>,
    /// As the log writes it.
    pub text: Arc<str>,
    /// Who serves there.
    pub service: Arc<Service>,
}

/// Makes the doors of every socket, in the order of [`Config::sockets`]. This is all that a configuration needs besides
/// its sockets, so `-t` tests it too.
///
/// # Errors
/// When a log or a users file cannot be opened: one message for each mistake.
pub fn doors(config: &Config, logs: &Logs) -> Result<Vec<Vec<Arc<Door>>>, Vec<String>> {
    let shared = auth::Shared::default();
    let mut mistakes = Vec::new();
    let mut services = Vec::with_capacity(config.servers.len());
    for server in &config.servers {
        match open(server, logs, &shared) {
            Ok(service) => services.push(service),
            Err(more) => mistakes.extend(more),
        }
    }
    if !mistakes.is_empty() {
        mistakes.dedup();
        return Err(mistakes);
    }
    let door = |endpoint: &Arc<config::Endpoint>| {
        let service = services
            .iter()
            .find(|service| Arc::ptr_eq(&service.conf, &endpoint.server))
            .expect("every endpoint belongs to a server of the same configuration");
        let text = Arc::from(endpoint.text.as_str());
        Arc::new(Door { endpoint: endpoint.clone(), text, service: service.clone() })
    };
    Ok(config.sockets.iter().map(|socket| socket.endpoints.iter().map(door).collect()).collect())
}

fn open(server: &Arc<config::Server>, logs: &Logs, shared: &auth::Shared) -> Result<Arc<Service>, Vec<String>> {
    let log = logs.open(&server.error_log).map_err(|error| vec![error.to_string()]);
    let auth = auth::Backend::open(&server.auth, shared).map_err(|error| error.messages);
    match (log, auth) {
        (Ok(log), Ok(auth)) => {
            let resolver = server.resolver.as_ref().map(Resolver::new);
            Ok(Arc::new(Service { conf: server.clone(), log, auth, resolver }))
        }
        (log, auth) => Err(log.err().into_iter().chain(auth.err()).flatten().collect()),
    }
}
