//! The directives of TLS as they are set.

use std::time::Duration;

use gatepost_proto::{Secret, StartTls};

use crate::config::call::Call;
use crate::config::diagnostic::Place;
use crate::tls::options::{Protocols, SharedCache, VerifyClient};

/// TLS towards clients, in a `mail` or `server` block. `None` and empty lists are "not set".
#[derive(Debug, Default)]
pub struct ServerSettings {
    /// `ssl`, which nginx had up to 1.25.0.
    pub ssl: Option<bool>,
    pub starttls: Option<StartTls>,
    /// There is a `listen ... ssl`.
    pub listen: bool,
    /// What asks for TLS: the last `listen ... ssl`, or else the last of `ssl` and `starttls`.
    pub place: Option<Place>,
    pub certificates: Vec<String>,
    pub certificate_keys: Vec<String>,
    pub passwords: Option<Vec<Secret>>,
    pub protocols: Option<Protocols>,
    pub ciphers: Option<String>,
    pub prefer_server_ciphers: Option<bool>,
    pub ecdh_curve: Option<String>,
    pub dhparam: Option<String>,
    pub conf_commands: Vec<(String, String)>,
    pub certificate_compression: Option<bool>,
    pub session_cache: Option<Cache>,
    pub shared_cache: Option<SharedCache>,
    pub session_tickets: Option<bool>,
    pub session_ticket_keys: Vec<String>,
    pub session_timeout: Option<Duration>,
    pub verify_client: Option<VerifyClient>,
    pub verify_depth: Option<u64>,
    pub client_certificate: Option<String>,
    pub trusted_certificate: Option<String>,
    pub crl: Option<String>,
}

/// `ssl_session_cache` without `shared:...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// `off`
    Off,
    /// `none`
    None,
    /// `builtin[:n]`
    Builtin(usize),
    /// Only `shared:...` is given.
    SharedOnly,
}

/// TLS towards mail servers or an authentication server, in a `mail` or `server` block. `None` and empty lists are "not
/// set".
#[derive(Debug, Default)]
pub struct ClientSettings {
    /// The directives that were met, and where.
    pub met: Vec<(String, Place)>,
    pub verify: Option<bool>,
    pub verify_depth: Option<u64>,
    pub trusted_certificate: Option<String>,
    pub crl: Option<String>,
    pub name: Option<String>,
    pub server_name: Option<bool>,
    pub certificate: Option<String>,
    pub certificate_key: Option<String>,
    pub passwords: Option<Vec<Secret>>,
    pub protocols: Option<Protocols>,
    pub ciphers: Option<String>,
    pub session_reuse: Option<bool>,
    pub conf_commands: Vec<(String, String)>,
}

impl ClientSettings {
    /// These, of which a directive is about to set something.
    pub fn meet(&mut self, call: &Call<'_>) -> &mut ClientSettings {
        self.met.push((call.name.to_string(), call.place.clone()));
        self
    }
}
