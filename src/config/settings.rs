//! The directives as they are set, before `server` inherits from `mail` and defaults are filled in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use gatepost_proto::{Mechanisms, Protocol};

use super::affinity::Affinity;
use super::call::Call;
use super::diagnostic::Place;
use super::listen::Listen;
use super::tls::settings::{ClientSettings, ServerSettings};
use super::{Network, ProxyProtocol, Resolver};
use crate::log;
use crate::tls::options::UpstreamTls;

/// The main level and `events`. `None` is "not set".
#[derive(Debug, Default)]
pub struct MainSettings {
    pub error_log: Vec<log::Spec>,
    pub user: Option<(String, Option<String>)>,
    pub daemon: Option<bool>,
    pub master_process: Option<bool>,
    /// `Some(None)` is `""`.
    pub pid: Option<Option<PathBuf>>,
    pub sandbox: Option<bool>,
    pub worker_processes: Option<u64>,
    pub worker_connections: Option<u64>,
    pub worker_rlimit_nofile: Option<u64>,
    pub worker_rlimit_core: Option<u64>,
    pub worker_priority: Option<i32>,
    pub worker_shutdown_timeout: Option<Duration>,
    pub working_directory: Option<PathBuf>,
    pub cpu_affinity: Option<Affinity>,
    pub env: Vec<(String, Option<String>)>,
    /// The names of the blocks that were met.
    pub blocks: Vec<&'static str>,
    /// Directives without effect.
    pub ignored: super::ignored::Ignored,
}

/// A `mail` or `server` block. `None` is "not set".
#[derive(Debug)]
pub struct MailSettings {
    /// Where the block begins.
    pub place: Place,
    /// Something in the block could not be understood at all, so what seems to be missing may be it.
    pub tainted: bool,
    pub protocol: Given<Protocol>,
    pub listens: Vec<Listen>,
    /// There is a `listen`, good or bad.
    pub listen_seen: bool,
    pub timeout: Option<Duration>,
    /// `Some` of none is `""`.
    pub server_names: Option<Vec<String>>,
    pub error_log: Vec<log::Spec>,
    /// `Some(None)` is `off`.
    pub resolver: Option<Option<Resolver>>,
    pub resolver_timeout: Option<Duration>,
    pub max_errors: Option<u64>,
    pub auth: Given<AuthChoice>,
    pub auth_http_timeout: Option<Duration>,
    pub auth_http_headers: Vec<(String, String)>,
    /// The directives that were met which only an authentication server gives a meaning, and where.
    pub auth_http_met: Vec<(String, Place)>,
    pub auth_http_pass_client_cert: Option<bool>,
    pub proxy_pass: Option<ProxyPass>,
    pub imap: Dialect,
    pub pop3: Dialect,
    pub smtp: Dialect,
    pub smtp_greeting_delay: Option<Duration>,
    pub proxy: Option<bool>,
    pub proxy_buffer: Option<usize>,
    pub proxy_timeout: Option<Duration>,
    pub proxy_pass_error_message: Option<bool>,
    pub proxy_smtp_auth: Option<bool>,
    pub proxy_protocol: Option<ProxyProtocol>,
    pub xclient: Option<bool>,
    pub real_ip_from: Vec<Network>,
    pub limits: super::limits::Settings,
    pub tls: ServerSettings,
    pub proxy_ssl: Option<UpstreamTls>,
    pub proxy_tls: ClientSettings,
    pub auth_tls: ClientSettings,
}

/// A value whose absence is a mistake, so that a bad one must not look like none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<T> {
    /// Not set.
    Absent,
    /// Set, but not to something that can be used.
    Bad,
    /// Set.
    Good(T),
}

/// What the three protocols have in common.
#[derive(Debug, Default)]
pub struct Dialect {
    pub client_buffer: Option<usize>,
    pub capabilities: Vec<String>,
    pub auth: Option<Mechanisms>,
}

/// Who decides about logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthChoice {
    /// `auth_http`
    Http { addresses: Vec<crate::addr::Address>, host: String, uri: String, https: bool },
    /// `auth_users_file`
    UsersFile(PathBuf),
}

/// `proxy_pass`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyPass {
    pub target: ProxyTarget,
    /// The host's name, if it is not a literal address.
    pub host: Option<String>,
    pub place: Place,
}

/// The operand of `proxy_pass`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyTarget {
    Ip(IpAddr, Option<u16>),
    Unix(PathBuf),
}

impl MailSettings {
    /// A block with nothing set.
    pub fn new(place: Place) -> Self {
        MailSettings {
            place,
            tainted: false,
            protocol: Given::Absent,
            listens: Vec::new(),
            listen_seen: false,
            timeout: None,
            server_names: None,
            error_log: Vec::new(),
            resolver: None,
            resolver_timeout: None,
            max_errors: None,
            auth: Given::Absent,
            auth_http_timeout: None,
            auth_http_headers: Vec::new(),
            auth_http_met: Vec::new(),
            auth_http_pass_client_cert: None,
            proxy_pass: None,
            imap: Dialect::default(),
            pop3: Dialect::default(),
            smtp: Dialect::default(),
            smtp_greeting_delay: None,
            proxy: None,
            proxy_buffer: None,
            proxy_timeout: None,
            proxy_pass_error_message: None,
            proxy_smtp_auth: None,
            proxy_protocol: None,
            xclient: None,
            real_ip_from: Vec::new(),
            limits: super::limits::Settings::default(),
            tls: ServerSettings::default(),
            proxy_ssl: None,
            proxy_tls: ClientSettings::default(),
            auth_tls: ClientSettings::default(),
        }
    }

    /// These, of which a directive is about to set something that only an authentication server gives a meaning.
    pub fn meet(&mut self, call: &Call<'_>) -> &mut MailSettings {
        self.auth_http_met.push((call.name.to_string(), call.place.clone()));
        self
    }
}
