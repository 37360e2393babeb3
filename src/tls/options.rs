//! What the configuration says of TLS: values only. Certificates and keys are not opened yet, passwords are read.

use std::path::PathBuf;
use std::time::Duration;

use gatepost_proto::Secret;

/// TLS towards clients: the `ssl_*` directives of a server block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// `ssl_certificate` with its `ssl_certificate_key`, each as often as given: RSA and ECDSA side by side.
    pub certificates: Vec<KeyPair>,
    /// The lines of `ssl_password_file`, each a password to try on an encrypted key.
    pub passwords: Vec<Secret>,
    /// `ssl_protocols` (TLSv1.2 TLSv1.3)
    pub protocols: Protocols,
    /// `ssl_ciphers` (HIGH:!aNULL:!MD5), in OpenSSL's syntax.
    pub ciphers: String,
    /// `ssl_prefer_server_ciphers` (off)
    pub prefer_server_ciphers: bool,
    /// `ssl_ecdh_curve` (auto): names with colons between them.
    pub ecdh_curve: String,
    /// `ssl_dhparam`
    pub dhparam: Option<PathBuf>,
    /// `ssl_conf_command`, in order.
    pub conf_commands: Vec<(String, String)>,
    /// `ssl_certificate_compression` (off)
    pub certificate_compression: bool,
    /// `ssl_session_cache` (none)
    pub session_cache: SessionCache,
    /// `ssl_session_tickets` (on)
    pub session_tickets: bool,
    /// `ssl_session_ticket_key`, in order: the first encrypts, all decrypt.
    pub ticket_keys: Vec<PathBuf>,
    /// `ssl_session_timeout` (5m)
    pub session_timeout: Duration,
    /// `ssl_verify_client` (off)
    pub verify_client: VerifyClient,
    /// `ssl_verify_depth` (1)
    pub verify_depth: u32,
    /// `ssl_client_certificate`: authorities that are named to clients.
    pub client_certificate: Option<PathBuf>,
    /// `ssl_trusted_certificate`: authorities that are not.
    pub trusted_certificate: Option<PathBuf>,
    /// `ssl_crl`
    pub crl: Option<PathBuf>,
}

/// A certificate and its key, as the directives name them: files (absolute), or what they begin with: `data:` (both),
/// `engine:`, `store:` (the key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// PEM: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// `ssl_protocols` and `proxy_ssl_protocols`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protocols {
    /// `SSLv2`, which no library has any more.
    pub sslv2: bool,
    /// `SSLv3`
    pub sslv3: bool,
    /// `TLSv1`
    pub tlsv1: bool,
    /// `TLSv1.1`
    pub tlsv1_1: bool,
    /// `TLSv1.2`
    pub tlsv1_2: bool,
    /// `TLSv1.3`
    pub tlsv1_3: bool,
}

/// `ssl_session_cache`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionCache {
    /// How sessions are kept where neither of the following is given.
    pub without: WithoutCache,
    /// `builtin[:n]`: a cache of the server block's own, of that many sessions (20480).
    pub builtin: Option<usize>,
    /// `shared:name:size`
    pub shared: Option<SharedCache>,
}

/// `shared:name:size` of `ssl_session_cache`: one cache for all server blocks that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCache {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: usize,
}

/// `ssl_session_cache none|off`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithoutCache {
    /// `none`: clients are told that sessions may be resumed, and they are not kept.
    #[default]
    None,
    /// `off`: clients are told that they may not.
    Off,
}

/// `ssl_verify_client`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyClient {
    /// No certificate is asked for.
    #[default]
    Off,
    /// `on`: a good one is needed.
    On,
    /// `optional`: one that is given must be good.
    Optional,
    /// `optional_no_ca`: one that is given may come from any authority.
    OptionalNoCa,
}

/// What the value of a command of SSL_CONF_cmd(3) is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfValue {
    /// No file.
    Text,
    /// A file with a certificate and its chain.
    Certificate,
    /// A file with a key.
    PrivateKey,
    /// A file with parameters for DHE.
    DhParameters,
    /// Another file or directory; this directive is for the same.
    OtherFile(&'static str),
}

/// What the value of that command is. Case does not matter in its name.
pub fn conf_value(command: &str) -> ConfValue {
    match command.to_ascii_lowercase().as_str() {
        "certificate" => ConfValue::Certificate,
        "privatekey" => ConfValue::PrivateKey,
        "dhparameters" => ConfValue::DhParameters,
        "chaincafile" | "chaincapath" | "chaincastore" | "serverinfofile" => ConfValue::OtherFile("ssl_certificate"),
        "verifycafile" | "verifycapath" | "verifycastore" => ConfValue::OtherFile("ssl_trusted_certificate"),
        "requestcafile" | "requestcapath" | "requestcastore" | "clientcafile" | "clientcapath" | "clientcastore" => {
            ConfValue::OtherFile("ssl_client_certificate")
        }
        _ => ConfValue::Text,
    }
}

/// TLS towards mail servers (`proxy_ssl_*`) or an authentication server (`auth_http_ssl_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// `*_ssl_verify` (on)
    pub verify: bool,
    /// `*_ssl_verify_depth` (1)
    pub verify_depth: u32,
    /// `*_ssl_trusted_certificate`; the system's authorities where it is not given.
    pub trusted_certificate: Option<PathBuf>,
    /// `proxy_ssl_crl`
    pub crl: Option<PathBuf>,
    /// `*_ssl_name`: the name that the certificate must have, in place of the server's own.
    pub name: Option<String>,
    /// `proxy_ssl_server_name`: whether the name is told to the server (SNI).
    pub server_name: bool,
    /// `*_ssl_certificate`, `*_ssl_certificate_key`
    pub certificate: Option<KeyPair>,
    /// The lines of `proxy_ssl_password_file`, each a password to try on an encrypted key.
    pub passwords: Vec<Secret>,
    /// `*_ssl_protocols` (TLSv1.2 TLSv1.3)
    pub protocols: Protocols,
    /// `*_ssl_ciphers` (DEFAULT)
    pub ciphers: String,
    /// `proxy_ssl_session_reuse` (on)
    pub session_reuse: bool,
    /// `proxy_ssl_conf_command`, in order.
    pub conf_commands: Vec<(String, String)>,
}

/// `proxy_ssl`, and `Auth-SSL-Upstream`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpstreamTls {
    /// Plain.
    #[default]
    Off,
    /// TLS from the first byte.
    On,
    /// STARTTLS or STLS, or no login.
    StartTls,
}
