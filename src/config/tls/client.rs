//! TLS towards mail servers (`proxy_ssl_*`) and the authentication server (`auth_http_ssl_*`): what a server inherits.

use gatepost_proto::Protocol;

use super::settings::ClientSettings;
use super::{DEFAULT_DEPTH, DEFAULT_PROTOCOLS, certificate, depth, file, key, list};
use crate::config::diagnostic::{Diagnostics, Place};
use crate::config::merge::Mail;
use crate::config::paths::Paths;
use crate::config::settings::{AuthChoice, Given, MailSettings, ProxyTarget};
use crate::log::Level;
use crate::tls::options::{ClientOptions, KeyPair, UpstreamTls, VerifyClient};

/// As in nginx's stream proxy.
const DEFAULT_CIPHERS: &str = "DEFAULT";

/// The directives that are in force for a server.
#[derive(Clone, Copy)]
pub struct InForce<'a> {
    /// Its own.
    pub own: &'a ClientSettings,
    /// Those of `mail`.
    pub mail: &'a ClientSettings,
    /// Whether the name is told to the server where nothing says so.
    pub tell_name: bool,
}

impl<'a> InForce<'a> {
    /// All of them.
    pub fn options(self, paths: &Paths) -> ClientOptions {
        let InForce { own, mail, tell_name } = self;
        let certificate = self.certificate().map(|text| certificate(text, paths));
        let key = self.certificate_key().map(|text| key(text, paths));
        ClientOptions {
            verify: self.verifies(),
            verify_depth: depth(own.verify_depth.or(mail.verify_depth).unwrap_or(DEFAULT_DEPTH)),
            trusted_certificate: file(&own.trusted_certificate, &mail.trusted_certificate, paths),
            crl: file(&own.crl, &mail.crl, paths),
            name: self.name().cloned(),
            server_name: own.server_name.or(mail.server_name).unwrap_or(tell_name),
            certificate: certificate.zip(key).map(|(certificate, key)| KeyPair { certificate, key }),
            passwords: own.passwords.as_ref().or(mail.passwords.as_ref()).cloned().unwrap_or_default(),
            protocols: own.protocols.or(mail.protocols).unwrap_or(DEFAULT_PROTOCOLS),
            ciphers: own.ciphers.as_ref().or(mail.ciphers.as_ref()).map_or(DEFAULT_CIPHERS, |text| text).to_string(),
            session_reuse: own.session_reuse.or(mail.session_reuse).unwrap_or(true),
            conf_commands: list(&own.conf_commands, &mail.conf_commands),
        }
    }

    /// Whether the server has to have a certificate that is good.
    pub fn verifies(self) -> bool {
        self.own.verify.or(self.mail.verify).unwrap_or(true)
    }

    /// Whether there is a certificate to show to the server.
    pub fn shows_certificate(self) -> bool {
        self.certificate().is_some()
    }

    fn name(self) -> Option<&'a String> {
        self.own.name.as_ref().or(self.mail.name.as_ref()).filter(|name| !name.is_empty())
    }

    /// `""` is none.
    fn certificate(self) -> Option<&'a String> {
        self.own.certificate.as_ref().or(self.mail.certificate.as_ref()).filter(|text| !text.is_empty())
    }

    fn certificate_key(self) -> Option<&'a String> {
        self.own.certificate_key.as_ref().or(self.mail.certificate_key.as_ref())
    }

    fn check_key(self, prefix: &str, diagnostics: &mut Diagnostics) {
        if let (Some(certificate), None) = (self.certificate(), self.certificate_key()) {
            let message = format!("no \"{prefix}_certificate_key\" is defined for certificate \"{certificate}\"");
            diagnostics.error(&Place::Nowhere, message);
        }
    }
}

/// Finds what TLS towards other servers lacks.
pub fn check(mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
    for server in mail.servers {
        if speaks_tls_to_mail_servers(mail, server) {
            mail.proxy_tls(server).check_key("proxy_ssl", diagnostics);
            check_name(mail, server, diagnostics);
        }
        if asks_by_tls(mail, server) {
            mail.auth_tls(server).check_key("auth_http_ssl", diagnostics);
        }
    }
}

/// Whether it may come to TLS with a mail server: the authentication server may ask for it, too.
pub fn speaks_tls_to_mail_servers(mail: &Mail<'_>, server: &MailSettings) -> bool {
    mail.upstream_tls(server) != UpstreamTls::Off || mail.asks(server)
}

/// Whether an authentication server is asked by HTTPS.
pub fn asks_by_tls(mail: &Mail<'_>, server: &MailSettings) -> bool {
    match mail.auth(server) {
        Given::Good(AuthChoice::Http { https, .. }) => *https,
        Given::Good(AuthChoice::UsersFile(_)) => false,
        Given::Absent | Given::Bad => true,
    }
}

/// A socket's path is no name that a certificate could have.
fn check_name(mail: &Mail<'_>, server: &MailSettings, diagnostics: &mut Diagnostics) {
    let tls = mail.proxy_tls(server);
    let Given::Good(AuthChoice::UsersFile(_)) = mail.auth(server) else { return };
    if let Some(proxy_pass) = server.proxy_pass.as_ref().or(mail.mail.proxy_pass.as_ref())
        && let ProxyTarget::Unix(path) = &proxy_pass.target
        && tls.verifies()
        && tls.name().is_none()
    {
        let message = format!("no \"proxy_ssl_name\" is defined for \"proxy_pass unix:{}\"", path.display());
        diagnostics.error(&proxy_pass.place, message);
    }
}

/// EXTERNAL is the claim of a name that the client's certificate should prove. nginx leaves it to the authentication
/// server to find out that there is none; a users file knows nothing of certificates.
pub fn warn_of_external(mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
    for server in mail.servers {
        let Given::Good(protocol) = server.protocol else { continue };
        let (own, inherited) = match protocol {
            Protocol::Imap => (&server.imap, &mail.mail.imap),
            Protocol::Pop3 => (&server.pop3, &mail.mail.pop3),
            Protocol::Smtp => (&server.smtp, &mail.mail.smtp),
        };
        let external = own.auth.or(inherited.auth).is_some_and(|auth| auth.external);
        let why = if !mail.asks(server) {
            " has no effect with \"auth_users_file\": who claims a name is refused"
        } else if mail.tls(server).verify_client() == VerifyClient::Off {
            " without \"ssl_verify_client\": no certificate is asked for"
        } else {
            continue;
        };
        if external {
            let message = format!("\"{}_auth external\"{why}", protocol.name());
            // Once for all that inherit it.
            let place = if own.auth.is_some() { &server.place } else { &mail.mail.place };
            diagnostics.push(Level::Warn, place, message);
        }
    }
}
