//! What a configuration becomes when Gatepost runs: open logs, authentication, resolvers.

use std::path::PathBuf;
use std::sync::Arc;

use crate::auth;
use crate::config::{self, Config, Process, SharedFiles};
use crate::log::{Log, Logs};
use crate::logins::{Guard, Tables};
use crate::process;
use crate::resolver::Resolver;
use crate::seldom::Seldom;
use crate::tls;
use crate::tls::client::OnDemand;
use crate::tls::options::{UpstreamTls, VerifyClient};
use crate::tls::server::Entrance;
use crate::zones::{Zone, Zones};

/// A `server` block at work.
pub struct Service {
    /// Its settings.
    pub conf: Arc<config::Server>,
    /// Its `error_log`.
    pub log: Arc<Log>,
    /// What it logs once a minute at most.
    pub seldom: Arc<Seldom>,
    /// Where its `limit_conn`s count, in their order.
    pub connections: Vec<Arc<Zone>>,
    /// Its `limit_login`.
    pub failed_logins: Option<Guard>,
    /// Its `auth_http` or `auth_users_file`.
    pub auth: auth::Backend,
    /// Its `resolver`.
    pub resolver: Option<Resolver>,
    /// `proxy_ssl_*`
    pub upstream_tls: OnDemand,
    /// Its side of TLS towards clients.
    tls: Option<tls::server::Context>,
}

impl Service {
    /// What `ssl_verify_client` says.
    pub fn verify_client(&self) -> VerifyClient {
        self.tls.as_ref().map_or(VerifyClient::Off, tls::server::Context::verify_client)
    }
}

/// A `listen` at work.
pub struct Door {
    /// Its settings.
    pub endpoint: Arc<config::Endpoint>,
    /// As the log writes it.
    pub text: Arc<str>,
    /// Who serves there: the first, until a client asks for another by name.
    pub services: Vec<Arc<Service>>,
    /// TLS, and that choice.
    pub entrance: Option<Entrance>,
}

impl Door {
    fn new(endpoint: &Arc<config::Endpoint>, services: Vec<Arc<Service>>) -> Door {
        let blocks: Option<Vec<(&[String], &tls::server::Context)>> = services
            .iter()
            .map(|service| Some((service.conf.server_names.as_slice(), service.tls.as_ref()?)))
            .collect();
        let entrance = blocks.map(|blocks| Entrance::new(&blocks));
        Door { endpoint: endpoint.clone(), text: Arc::from(endpoint.text.as_str()), services, entrance }
    }

    /// The log of what concerns no session.
    pub fn log(&self) -> &Log {
        &self.services[0].log
    }
}

/// Makes the doors of every socket, in the order of [`Config::sockets`]. This is all that a configuration needs besides
/// its sockets, so `-t` tests it too.
///
/// # Errors
/// When a log or a users file cannot be opened: one message for each mistake.
pub fn doors(config: &Config, logs: &Logs, shared: &Shared) -> Result<Vec<Vec<Arc<Door>>>, Vec<String>> {
    let mut mistakes = Vec::new();
    let mut services = Vec::with_capacity(config.servers.len());
    for server in &config.servers {
        match open(server, logs, shared) {
            Ok(service) => services.push(service),
            Err(more) => mistakes.extend(more),
        }
    }
    if !mistakes.is_empty() {
        mistakes.dedup();
        return Err(mistakes);
    }
    let service = |server: &Arc<config::Server>| {
        let found = services.iter().find(|service: &&Arc<Service>| Arc::ptr_eq(&service.conf, server));
        found.expect("every endpoint belongs to servers of the same configuration").clone()
    };
    let door = |endpoint: &Arc<config::Endpoint>| {
        let servers = std::iter::once(&endpoint.server).chain(&endpoint.others);
        Arc::new(Door::new(endpoint, servers.map(service).collect()))
    };
    Ok(config.sockets.iter().map(|socket| socket.endpoints.iter().map(door).collect()).collect())
}

/// What there is to say of a configuration that works: nginx's warnings, each once, and that it serves nobody.
pub fn warnings(process: &Process, doors: &[Vec<Arc<Door>>]) -> Vec<String> {
    let services = doors.iter().flatten().flat_map(|door| &door.services);
    let mut warnings: Vec<String> = process::too_few_descriptors(process).into_iter().collect();
    for warning in services.filter_map(|service| service.tls.as_ref()).flat_map(tls::server::Context::warnings) {
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
    if doors.is_empty() {
        warnings.push("no \"mail\" section with a \"server\" in it: nobody is served".to_string());
    }
    warnings
}

/// What services share.
pub struct Shared {
    auth: auth::Shared,
    caches: Arc<tls::Caches>,
    zones: Arc<Zones>,
    failed_logins: Arc<Tables>,
}

impl Shared {
    /// For a process that begins. Certificates, keys and users come from `files`.
    pub fn new(files: SharedFiles) -> Shared {
        Shared {
            auth: auth::Shared::new(files),
            caches: Arc::default(),
            zones: Arc::default(),
            failed_logins: Arc::default(),
        }
    }

    /// For a new configuration: TLS caches, counts and idle connections are taken over, and what certificates and keys were read
    /// for is not.
    pub fn renewed(&self, files: SharedFiles) -> Shared {
        Shared {
            auth: self.auth.renewed(files),
            caches: self.caches.clone(),
            zones: self.zones.clone(),
            failed_logins: self.failed_logins.clone(),
        }
    }
}

fn open(server: &Arc<config::Server>, logs: &Logs, shared: &Shared) -> Result<Arc<Service>, Vec<String>> {
    let files = &*shared.auth.connectors.files;
    let log = logs.open(&server.error_log).map_err(|error| vec![error.to_string()]);
    let auth = auth::Backend::open(&server.auth, &shared.auth).map_err(|error| error.messages);
    let tls =
        server.tls.as_ref().map(|options| tls::server::Context::new(options, server.protocol(), &shared.caches, files));
    let upstream_tls = OnDemand::new(&server.proxy.tls, &shared.auth.connectors);
    // Read now what cannot be read later, and what is needed for certain.
    let early = if needs_upstream_tls(server) { upstream_tls.connector().map(drop) } else { Ok(()) };
    if matches!(server.auth, config::Auth::Http(_)) {
        upstream_tls.read_ahead();
    }
    match (log, auth, tls.transpose(), early) {
        (Ok(log), Ok(auth), Ok(tls), Ok(())) => {
            let resolver = server.resolver.as_ref().map(Resolver::new);
            let connections = server.limits.connections.iter().map(|limit| shared.zones.named(&limit.zone)).collect();
            Ok(Arc::new(Service {
                conf: server.clone(),
                log,
                seldom: Arc::default(),
                connections,
                failed_logins: Guard::new(&server.limits.failed_logins, &shared.failed_logins),
                auth,
                resolver,
                upstream_tls,
                tls,
            }))
        }
        (log, auth, tls, early) => {
            Err(log.err().into_iter().chain(auth.err()).chain(tls.err()).chain(early.err()).flatten().collect())
        }
    }
}

/// An authentication server may ask for TLS where the configuration has none. Who says how it is to be is told now whether
/// that can be.
fn needs_upstream_tls(server: &config::Server) -> bool {
    let may_be_asked_for = matches!(server.auth, config::Auth::Http(_));
    server.proxy.ssl != UpstreamTls::Off || (may_be_asked_for && server.proxy.is_tls_set)
}

/// The files that are read while Gatepost serves, if ever.
pub fn read_later() -> Vec<PathBuf> {
    tls::client::authorities_files()
}
