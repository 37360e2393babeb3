//! The configuration, typed: parsed, merged from `mail` into `server`, cross-checked, and immutable.
//!
//! It holds values only. What touches the operating system (sockets, logs, users files, connections) is made from it
//! when Gatepost starts.
//!
//! [`load()`] makes one from text. On the way there: [`settings`] are the directives as set by [`setters`] and the other
//! modules named after directives, [`merge`] turns them into what stands here.

pub mod affinity;
pub mod call;
#[cfg(not(fuzzing))]
pub mod check;
mod diagnostic;
pub mod error_log;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod ignored;
pub mod limits;
pub mod listen;
mod load;
mod merge;
mod network;
pub mod paths;
mod record;
pub mod setters;
pub mod settings;
mod sharing;
mod system;
#[cfg(test)]
mod tests;
pub mod tls;
mod unused;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gatepost_proto::{Protocol, imap, pop3, smtp};

use crate::addr::Address;
use crate::log;
use crate::tls::options::{ClientOptions, ServerOptions, UpstreamTls};

pub use affinity::Affinity;
pub use diagnostic::Diagnostic;
pub use load::load;
pub use network::Network;
pub use paths::Paths;
pub use record::{Record, Recording};
pub use system::{Machine, SharedFiles};

/// A whole configuration.
#[derive(Debug)]
pub struct Config {
    /// Everything outside `mail {}`.
    pub process: Process,
    /// Whether there is a `mail {}` at all.
    pub has_mail: bool,
    /// The sockets to listen on.
    pub sockets: Vec<Socket>,
    /// The `server` blocks of `mail {}` in the order of the file.
    pub servers: Vec<Arc<Server>>,
}

impl Config {
    /// Whether a log is standard error.
    pub fn logs_to_stderr(&self) -> bool {
        let logs = self.servers.iter().map(|server| &server.error_log).chain([&self.process.error_log]);
        logs.flatten().any(|spec| spec.destination == log::Destination::Stderr)
    }
}

/// Main-level directives.
#[derive(Debug)]
pub struct Process {
    /// `error_log` of the main level, or its default.
    pub error_log: Vec<log::Spec>,
    /// `user`: name and group.
    pub user: Option<(String, Option<String>)>,
    /// `daemon` (default on).
    pub daemon: bool,
    /// `master_process` (default on).
    pub master_process: bool,
    /// `pid`, absolute.
    pub pid: PathBuf,
    /// `sandbox` (default on).
    pub sandbox: bool,
    /// `worker_processes`: threads; `auto` is already a number.
    pub worker_processes: usize,
    /// `worker_connections` of `events`.
    pub worker_connections: usize,
    /// `worker_rlimit_nofile`.
    pub worker_rlimit_nofile: Option<u64>,
    /// `worker_rlimit_core`, bytes.
    pub worker_rlimit_core: Option<u64>,
    /// `worker_priority`.
    pub worker_priority: i32,
    /// `worker_shutdown_timeout`.
    pub worker_shutdown_timeout: Option<Duration>,
    /// `working_directory`.
    pub working_directory: Option<PathBuf>,
    /// `worker_cpu_affinity`.
    pub cpu_affinity: Option<Affinity>,
    /// `env`: names, and values where they are not the master's.
    pub env: Vec<(String, Option<String>)>,
}

/// One listening socket. On a port that one `listen` takes on the wildcard address, that one alone is bound, and the
/// local address of a connection tells which `listen` it came by.
#[derive(Debug)]
pub struct Socket {
    /// What is bound.
    pub address: Address,
    /// Its options.
    pub options: SocketOptions,
    /// The `listen`s that arrive here; the last is for every local address that no other names.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// Parameters of `listen` that concern the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    /// `backlog=` (511).
    pub backlog: i32,
    /// `rcvbuf=`, bytes.
    pub rcvbuf: Option<usize>,
    /// `sndbuf=`, bytes.
    pub sndbuf: Option<usize>,
    /// `ipv6only=` (on).
    pub ipv6only: bool,
    /// `multipath`: Multipath TCP.
    pub multipath: bool,
    /// `so_keepalive=`.
    pub keepalive: Option<Keepalive>,
}

/// `so_keepalive=`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keepalive {
    /// `off`.
    Off,
    /// `on`, or `idle:interval:count`, where what is not given stays the system's.
    On {
        /// Idle time before the first probe.
        idle: Option<Duration>,
        /// Time between probes.
        interval: Option<Duration>,
        /// Probes without answer before the connection is given up.
        count: Option<u32>,
    },
}

/// A `listen` as a connection meets it.
#[derive(Debug)]
pub struct Endpoint {
    /// The local address it names.
    pub address: Address,
    /// As the log writes it (`0.0.0.0:143`).
    pub text: String,
    /// `proxy_protocol`: every connection begins with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// `ssl`, or `ssl on`: TLS from the first byte.
    pub ssl: bool,
    /// The block it stands in.
    pub server: Arc<Server>,
    /// More blocks that listen here, with TLS: a client that asks for a name in [`Server::server_names`] of one of them
    /// is theirs. They have the same protocol, and TLS in the same way.
    pub others: Vec<Arc<Server>>,
}

/// One `server` block, with what it inherits from `mail`.
#[derive(Debug)]
pub struct Server {
    /// `protocol`, with that protocol's settings.
    pub front_end: FrontEnd,
    /// The first of `server_name` that is no wildcard, or the host's name.
    pub server_name: String,
    /// `server_name`: the names by which clients ask for this server in TLS, `*.example.com` for all under one. The
    /// host's name where there is none.
    pub server_names: Vec<String>,
    /// TLS towards clients, where a `listen` or `starttls` asks for it.
    pub tls: Option<ServerOptions>,
    /// `timeout` (60s).
    pub timeout: Duration,
    /// `error_log`.
    pub error_log: Vec<log::Spec>,
    /// `auth_http` or `auth_users_file`.
    pub auth: Auth,
    /// How to reach and log in to mail servers.
    pub proxy: Proxy,
    /// `resolver`, unless `off`.
    pub resolver: Option<Resolver>,
    /// `resolver_timeout` (30s).
    pub resolver_timeout: Duration,
    /// `set_real_ip_from`.
    pub real_ip_from: Vec<Network>,
    /// What clients may not overstep.
    pub limits: limits::Limits,
}

impl Server {
    /// The protocol clients speak here.
    pub fn protocol(&self) -> Protocol {
        match self.front_end {
            FrontEnd::Imap(_) => Protocol::Imap,
            FrontEnd::Pop3(_) => Protocol::Pop3,
            FrontEnd::Smtp { .. } => Protocol::Smtp,
        }
    }
}

/// The settings of the protocol that clients speak.
#[derive(Debug)]
pub enum FrontEnd {
    /// `protocol imap`.
    Imap(Arc<imap::Options>),
    /// `protocol pop3`.
    Pop3(Arc<pop3::Options>),
    /// `protocol smtp`.
    Smtp {
        /// What the protocol machine needs.
        options: Arc<smtp::Options>,
        /// `smtp_greeting_delay` (0).
        greeting_delay: Duration,
    },
}

impl FrontEnd {
    /// Whether a client can log in by answering a challenge.
    pub fn challenges(&self) -> bool {
        let mechanisms = match self {
            FrontEnd::Imap(options) => options.auth,
            FrontEnd::Pop3(options) => options.auth,
            FrontEnd::Smtp { options, .. } => options.auth,
        };
        mechanisms.apop || mechanisms.cram_md5
    }
}

/// Who decides whether a login is good.
#[derive(Debug)]
pub enum Auth {
    /// `auth_http`.
    Http(AuthHttp),
    /// `auth_users_file`.
    UsersFile {
        /// The file, absolute.
        path: PathBuf,
        /// `proxy_pass`: the server where a line names none.
        proxy_pass: Option<MailServer>,
        /// The port where a line or `proxy_pass` names none: that of the protocol, with TLS (`proxy_ssl on`) or without.
        port: u16,
    },
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Where it is.
    pub address: Address,
    /// Its host name, if it is known by one: what its certificate is checked for.
    pub host: Option<String>,
}

impl From<Address> for MailServer {
    fn from(address: Address) -> MailServer {
        MailServer { address, host: None }
    }
}

impl Auth {
    /// Whether somebody wants a client's whole certificate (`auth_http_pass_client_cert`).
    pub fn passes_client_cert(&self) -> bool {
        matches!(self, Auth::Http(AuthHttp { pass_client_cert: true, .. }))
    }
}

/// `auth_http` and its kin.
#[derive(Debug, Clone)]
pub struct AuthHttp {
    /// The addresses of the server; host names are resolved when the configuration is read.
    pub addresses: Vec<Address>,
    /// The value of the header `Host`.
    pub host: String,
    /// The request's target, `/` if the directive names none.
    pub uri: String,
    /// `auth_http_header`, in order.
    pub headers: Vec<(String, String)>,
    /// `auth_http_timeout` (60s).
    pub timeout: Duration,
    /// `auth_http_pass_client_cert` (off): whether the server is told the client's whole certificate.
    pub pass_client_cert: bool,
    /// `https://`, with `auth_http_ssl_*`.
    pub tls: Option<Box<ClientOptions>>,
}

/// `proxy_*` and `xclient`.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// `proxy_buffer`, bytes (the page size): the longest answer of a mail server before login.
    pub buffer: usize,
    /// `proxy_timeout` (24h).
    pub timeout: Duration,
    /// `proxy_pass_error_message` (off).
    pub pass_error_message: bool,
    /// `proxy_smtp_auth` (off).
    pub smtp_auth: bool,
    /// `xclient` (on).
    pub xclient: bool,
    /// `proxy_protocol` (off).
    pub proxy_protocol: ProxyProtocol,
    /// `proxy_ssl` (off), unless the authentication server says otherwise.
    pub ssl: UpstreamTls,
    /// `proxy_ssl_*`: how, where there is TLS.
    pub tls: ClientOptions,
    /// Whether there is any of these, `proxy_ssl` itself aside.
    pub is_tls_set: bool,
}

/// `proxy_protocol` towards mail servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// No header.
    Off,
    /// `on`: version 1.
    V1,
    /// `v2`.
    V2,
}

/// `resolver`
#[derive(Debug, Clone)]
pub struct Resolver {
    /// The name servers, asked in turn.
    pub servers: Vec<std::net::SocketAddr>,
    /// `valid=`: how long an answer is kept, whatever its TTL.
    pub valid: Option<Duration>,
    /// `ipv4=` (on).
    pub ipv4: bool,
    /// `ipv6=` (on).
    pub ipv6: bool,
}
