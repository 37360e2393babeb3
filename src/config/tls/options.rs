//! What a server's TLS comes to: it inherits from `mail`, defaults are filled in, and what is missing is found.

use std::time::Duration;

use gatepost_proto::StartTls;

use super::settings::{Cache, ServerSettings};
use super::{DEFAULT_DEPTH, DEFAULT_PROTOCOLS, certificate, depth, file, key, list};
use crate::config::diagnostic::{Diagnostics, Place};
use crate::config::paths::Paths;
use crate::tls::options::{KeyPair, ServerOptions, SessionCache, VerifyClient, WithoutCache};

const DEFAULT_CIPHERS: &str = "HIGH:!aNULL:!MD5";
const DEFAULT_CURVE: &str = "auto";
const DEFAULT_SESSION_TIMEOUT: Duration = Duration::from_secs(300);

/// The TLS directives that are in force for a server.
#[derive(Clone, Copy)]
pub struct InForce<'a> {
    /// Its own.
    pub own: &'a ServerSettings,
    /// Those of `mail`.
    pub mail: &'a ServerSettings,
}

impl<'a> InForce<'a> {
    /// `ssl on`: every `listen` has TLS.
    pub fn ssl(self) -> bool {
        self.own.ssl.or(self.mail.ssl).unwrap_or(false)
    }

    /// `starttls`
    pub fn starttls(self) -> StartTls {
        self.own.starttls.or(self.mail.starttls).unwrap_or(StartTls::Off)
    }

    /// `ssl_verify_client`
    pub fn verify_client(self) -> VerifyClient {
        self.own.verify_client.or(self.mail.verify_client).unwrap_or(VerifyClient::Off)
    }

    /// What asks for TLS, if something does.
    fn wanted_by(self) -> Option<&'static str> {
        if self.own.listen {
            Some("listen ... ssl")
        } else if self.ssl() {
            Some("ssl")
        } else if self.starttls() != StartTls::Off {
            Some("starttls")
        } else {
            None
        }
    }

    /// Finds what TLS lacks.
    pub fn check(self, diagnostics: &mut Diagnostics) {
        let Some(directive) = self.wanted_by() else { return };
        let place = self.own.place.as_ref().or(self.mail.place.as_ref());
        let place = place.map(ToString::to_string).unwrap_or_default();
        let certificates = self.list(|s| &s.certificates);
        let keys = self.list(|s| &s.certificate_keys);
        let missing = match certificates.last() {
            None => Some("\"ssl_certificate\" is defined for".to_string()),
            Some(_) if keys.is_empty() => Some("\"ssl_certificate_key\" is defined for".to_string()),
            Some(last) if keys.len() < certificates.len() => {
                Some(format!("\"ssl_certificate_key\" is defined for certificate \"{last}\" and"))
            }
            Some(_) => None,
        };
        if let Some(missing) = missing {
            diagnostics.error(&Place::Nowhere, format!("no {missing} the \"{directive}\" directive{place}"));
        } else if matches!(self.verify_client(), VerifyClient::On | VerifyClient::Optional) && !self.authorities() {
            let message = "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client";
            diagnostics.error(&Place::Nowhere, message);
        }
    }

    fn authorities(self) -> bool {
        let of = |own: &Option<String>, mail: &Option<String>| {
            own.as_ref().or(mail.as_ref()).is_some_and(|file| !file.is_empty())
        };
        of(&self.own.client_certificate, &self.mail.client_certificate)
            || of(&self.own.trusted_certificate, &self.mail.trusted_certificate)
    }

    /// All of them, if something asks for TLS.
    pub fn options(self, paths: &Paths) -> Option<ServerOptions> {
        self.wanted_by()?;
        let InForce { own, mail } = self;
        let certificates = self.list(|s| &s.certificates).iter().map(|text| certificate(text, paths));
        let keys = self.list(|s| &s.certificate_keys).iter().map(|text| key(text, paths));
        Some(ServerOptions {
            certificates: certificates.zip(keys).map(|(certificate, key)| KeyPair { certificate, key }).collect(),
            passwords: self.value(|s| s.passwords.as_ref(), Vec::new),
            protocols: self.value(|s| s.protocols.as_ref(), || DEFAULT_PROTOCOLS),
            ciphers: self.value(|s| s.ciphers.as_ref(), || DEFAULT_CIPHERS.to_string()),
            prefer_server_ciphers: self.value(|s| s.prefer_server_ciphers.as_ref(), || false),
            ecdh_curve: self.value(|s| s.ecdh_curve.as_ref(), || DEFAULT_CURVE.to_string()),
            dhparam: file(&own.dhparam, &mail.dhparam, paths),
            conf_commands: list(&own.conf_commands, &mail.conf_commands),
            certificate_compression: self.value(|s| s.certificate_compression.as_ref(), || false),
            session_cache: self.session_cache(),
            session_tickets: self.value(|s| s.session_tickets.as_ref(), || true),
            ticket_keys: self
                .list(|s| &s.session_ticket_keys)
                .iter()
                .map(|text| paths.beside_configuration(text))
                .collect(),
            session_timeout: self.value(|s| s.session_timeout.as_ref(), || DEFAULT_SESSION_TIMEOUT),
            verify_client: self.verify_client(),
            verify_depth: depth(self.value(|s| s.verify_depth.as_ref(), || DEFAULT_DEPTH)),
            client_certificate: file(&own.client_certificate, &mail.client_certificate, paths),
            trusted_certificate: file(&own.trusted_certificate, &mail.trusted_certificate, paths),
            crl: file(&own.crl, &mail.crl, paths),
        })
    }

    fn session_cache(self) -> SessionCache {
        let shared = self.own.shared_cache.as_ref().or(self.mail.shared_cache.as_ref()).cloned();
        let without = |without| SessionCache { without, builtin: None, shared: None };
        match self.own.session_cache.or(self.mail.session_cache) {
            Some(Cache::Off) => without(WithoutCache::Off),
            None | Some(Cache::None) => without(WithoutCache::None),
            Some(Cache::Builtin(sessions)) => {
                SessionCache { builtin: Some(sessions), shared, ..SessionCache::default() }
            }
            Some(Cache::SharedOnly) => SessionCache { shared, ..SessionCache::default() },
        }
    }

    fn list<T>(self, of: impl Fn(&'a ServerSettings) -> &'a Vec<T>) -> &'a Vec<T> {
        let own = of(self.own);
        if own.is_empty() { of(self.mail) } else { own }
    }

    fn value<T: Clone + 'a>(self, of: impl Fn(&'a ServerSettings) -> Option<&'a T>, default: impl FnOnce() -> T) -> T {
        of(self.own).or_else(|| of(self.mail)).cloned().unwrap_or_else(default)
    }
}
