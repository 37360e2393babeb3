//! Who decides whether a login is good, and where it goes: `auth_http` or `auth_users_file`.
//!
//! A [`Backend`] is opened for each server block when Gatepost starts. It answers each [`Request`] with a [`Verdict`],
//! or with an [`AuthError`]: then the client is told of an internal error, and the log why.
//!
//! Nothing here blocks the event loop: passwords are hashed on other threads, a bounded number at a time. The caller sets
//! the deadline: dropping the future ends the work.

mod connection;
mod http;
mod pool;
pub mod users;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gatepost_proto::{Attempt, Protocol, Rejection, Secret, auth_http};

use crate::addr::Address;
use crate::config::{self, SharedFiles};
use crate::log::Level;
use crate::resolver::{self, Resolver};
use crate::tls::client::Connectors;
use crate::tls::facts::Facts;
use crate::tls::options::UpstreamTls;

/// What is known of a client besides what it says.
#[derive(Debug)]
pub struct Client {
    /// Its address, by the PROXY protocol where that is trusted.
    pub address: Address,
    /// SMTP: its name by DNS, or `[UNAVAILABLE]` or `[TEMPUNAVAIL]`.
    pub host: Option<String>,
    /// The addresses of the PROXY protocol header it came with: source and destination.
    pub proxy_protocol: Option<(Address, Address)>,
    /// Its TLS connection, if it has one.
    pub tls: Option<Facts>,
}

/// A question to a backend.
#[derive(Debug)]
pub struct Request<'a> {
    /// The protocol the client speaks.
    pub protocol: Protocol,
    /// What it says.
    pub attempt: &'a Attempt,
    /// Who it is.
    pub client: &'a Client,
    /// What finds the mail server that is named, and how long that may take (`resolver`, `resolver_timeout`).
    pub resolver: Option<(&'a Resolver, Duration)>,
}

/// The answer.
#[derive(Debug)]
pub enum Verdict {
    /// Welcome.
    Accept(Route),
    /// The login is refused, after `wait`; the session goes on if `wait` is not zero.
    Reject {
        /// What the client is told.
        rejection: Rejection,
        /// How long it is kept waiting for that (`Auth-Wait`).
        wait: Duration,
    },
}

/// Where a login goes, and as whom.
#[derive(Debug)]
pub struct Route {
    /// The mail server.
    pub address: Address,
    /// Where it can be reached too, if it cannot be reached there.
    pub alternatives: Vec<Address>,
    /// Whether the way there is encrypted; what the configuration says (`proxy_ssl`), if nothing else is known.
    pub tls: Option<UpstreamTls>,
    /// The name that its certificate must have; its IP address, if it is not known by a name.
    pub verify_name: Option<String>,
    /// The mail server as the log names it: `Auth-Server:Auth-Port`.
    pub name: String,
    /// The user name at the mail server.
    pub user: Vec<u8>,
    /// The password at the mail server; none where nobody knows it.
    pub password: Option<Secret>,
}

/// Why there is no verdict. `Display` is the log's message, in nginx's words where it has any.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The authentication server's fault, or the network's.
    #[error(transparent)]
    Server(#[from] http::ServerError),
    /// The client's fault: what it said cannot be put into a request.
    #[error(transparent)]
    Client(#[from] auth_http::EncodeError),
    /// The name server's fault, or the authentication server's: it sent a name that leads nowhere.
    #[error("{0} could not be resolved ({1})")]
    Resolve(String, resolver::Failure),
    /// A client that does not log in, and no mail server for it. A configuration is refused that would lead there.
    #[error("no \"proxy_pass\" for a client that does not log in")]
    NoProxyPass,
    /// More logins than can be checked.
    #[error("too many logins wait for their password to be checked")]
    Busy,
    /// A check was given up, because Gatepost stops.
    #[error("the check of a password was interrupted")]
    Interrupted,
}

impl AuthError {
    /// The level at which the log gets it.
    pub fn level(&self) -> Level {
        match self {
            AuthError::Client(_) => Level::Info,
            _ => Level::Error,
        }
    }
}

/// What all backends of the process share: idle connections to authentication servers, TLS towards them, and the right to
/// hash passwords.
#[derive(Debug, Clone)]
pub struct Shared {
    /// TLS towards servers. Those that clients are proxied to have part in it.
    pub connectors: Connectors,
    pool: Arc<pool::Pool>,
    hashing: Arc<users::Hashing>,
}

impl Shared {
    /// For a process that begins.
    pub fn new(files: SharedFiles) -> Shared {
        Shared { connectors: Connectors::new(files), pool: Arc::default(), hashing: Arc::default() }
    }

    /// For a new configuration, whose certificates may be others.
    pub fn renewed(&self, files: SharedFiles) -> Shared {
        Shared { connectors: Connectors::new(files), ..self.clone() }
    }
}

/// Why a backend cannot be opened: one message for each mistake, each of one line.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenError {
    /// The messages, ready for the log at level `emerg`.
    pub messages: Vec<String>,
}

/// `auth_http` or `auth_users_file`, in force for one server block.
#[derive(Debug)]
pub enum Backend {
    /// `auth_http`
    Http(http::Server),
    /// `auth_users_file`
    Users(users::Directory),
}

impl Backend {
    /// Makes the backend of a server block. Reads the users file.
    ///
    /// # Errors
    /// When the users file cannot be read or has mistakes, or when something in the configuration cannot be part of a
    /// request.
    pub fn open(config: &config::Auth, shared: &Shared) -> Result<Backend, OpenError> {
        match config {
            config::Auth::Http(config) => http::Server::open(config, shared).map(Backend::Http),
            config::Auth::UsersFile { path, proxy_pass, port } => users::Directory::open(
                path,
                proxy_pass.clone(),
                *port,
                shared.hashing.clone(),
                &*shared.connectors.files,
            )
            .map(Backend::Users),
        }
    }

    /// Asks whether a client may come in. `Auth-Status: WAIT` is obeyed in here, for as long as the caller has patience.
    ///
    /// # Errors
    /// When there is no verdict. The client is to be told of an internal error.
    pub async fn authenticate(&self, request: &Request<'_>) -> Result<Verdict, AuthError> {
        match self {
            Backend::Http(server) => server.authenticate(request).await,
            Backend::Users(directory) => directory.authenticate(request).await,
        }
    }
}

/// `111: Connection refused`, as nginx writes it.
fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => format!("{code}: {}", text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text)),
        None => text,
    }
}
