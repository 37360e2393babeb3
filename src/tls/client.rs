//! TLS towards mail servers and authentication servers: `proxy_ssl_*`, `auth_http_ssl_*`.
//!
//! A [`Connector`] is made of the directives when Gatepost starts, and then makes connections. With verification on
//! (`*_ssl_verify`) a handshake fails, and nothing has been sent to the server, unless its certificate leads to an
//! authority that is trusted, is in force, is not revoked, and has the server's name: a DNS name, where `*` may stand for
//! the whole first label, or an IP address. What the certificate names the address by is no matter of DNS or of what the
//! network says.
//!
//! A session is resumed only by the connector that made it, for the same name at the same address, so that what was
//! verified once was verified by the same settings.
//!
//! Unlike nginx, which ends the handshake first and looks then, a server whose certificate is refused gets an alert.

mod authorities;
mod connectors;
mod name;
mod sessions;
#[cfg(test)]
pub(crate) mod testing;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use gatepost_conf::Files;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslRef, SslVerifyMode};
use openssl::x509::X509VerifyResult;
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

pub use self::authorities::files as authorities_files;
pub use self::connectors::{Connectors, OnDemand};
pub use self::name::Name;
use self::sessions::Sessions;
use super::options::ClientOptions;
use super::{Gather, HandshakeError, basics, conf, error, ffi, pem};
use crate::addr::Address;
use crate::log::Level;

/// Makes TLS connections to servers as the directives of a server block say.
#[derive(Debug)]
pub struct Connector {
    context: SslContext,
    verify: bool,
    /// `*_ssl_name`
    name: Option<Name>,
    /// `*_ssl_server_name`
    sni: bool,
    /// `*_ssl_session_reuse`
    sessions: Option<Arc<Sessions>>,
}

impl Connector {
    /// Reads certificates, keys and authorities, and checks that the library takes everything else.
    ///
    /// # Errors
    /// nginx's messages, for the log at level `emerg`.
    pub fn new(options: &ClientOptions, files: &dyn Files) -> Result<Connector, Vec<String>> {
        ffi::clear_errors();
        let connector = build(options, files).map_err(|message| vec![message]);
        ffi::clear_errors();
        connector
    }

    /// Runs a handshake with the server at `address`, which has to be the one of that name, or that of `*_ssl_name`.
    ///
    /// # Errors
    /// When it fails. There is nothing left to be said to the server then.
    pub async fn connect<S>(
        &self,
        socket: S,
        address: &Address,
        name: &Name,
    ) -> Result<SslStream<Gather<S>>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.name.as_ref().unwrap_or(name);
        let mut stream = self.begin(Gather::new(socket), address, name)?;
        let done = poll_fn(|cx| {
            ffi::clear_errors();
            Pin::new(&mut stream).poll_connect(cx)
        })
        .await;
        let outcome = match done {
            Err(_) if self.verify && ffi::verdict(stream.ssl()) != X509VerifyResult::OK => {
                Err(refusal(stream.ssl(), name))
            }
            Err(error) => Err(HandshakeError::new(&error, Level::Error)),
            Ok(()) if self.verify && !is_proved(stream.ssl()) => Err(refusal(stream.ssl(), name)),
            Ok(()) => Ok(()),
        };
        ffi::clear_errors();
        stream.get_mut().handshake_done(outcome.is_err()).await;
        match outcome {
            Ok(()) => Ok(stream),
            Err(error) => {
                if let Some(sessions) = &self.sessions {
                    sessions.forget(address, name);
                }
                Err(error)
            }
        }
    }

    fn begin<S>(&self, socket: S, address: &Address, name: &Name) -> Result<SslStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite,
    {
        ffi::clear_errors();
        let fail = |call: &'static str| move |errors: ErrorStack| HandshakeError::setup(call, &errors);
        let mut ssl = Ssl::new(&self.context).map_err(fail("SSL_new()"))?;
        ffi::shed_after_handshake(&mut ssl);
        if self.verify {
            expect_name(&mut ssl, name).map_err(fail("X509_VERIFY_PARAM_set1_host()"))?;
        }
        if let (true, Name::Host(host)) = (self.sni, name) {
            ssl.set_hostname(host).map_err(fail("SSL_set_tlsext_host_name()"))?;
        }
        if let Some(sessions) = &self.sessions {
            sessions.resume(&mut ssl, address, name).map_err(fail("SSL_set_session()"))?;
        }
        SslStream::new(ssl, socket).map_err(fail("SSL_set_bio()"))
    }
}

/// In nginx's order, since the first mistake is the one that is told.
fn build(options: &ClientOptions, files: &dyn Files) -> Result<Connector, String> {
    let mut context =
        SslContext::builder(SslMethod::tls_client()).map_err(|errors| error::failed("SSL_CTX_new()", &errors))?;
    basics::set(&mut context, options.protocols)
        .map_err(|errors| error::failed("SSL_CTX_set_min_proto_version()", &errors))?;
    let ciphers = ffi::c_text(&options.ciphers);
    context
        .set_cipher_list(ciphers)
        .map_err(|errors| error::failed(&format!("SSL_CTX_set_cipher_list(\"{ciphers}\")"), &errors))?;
    if let Some(pair) = &options.certificate {
        pem::use_key_pair(&mut context, pair, &options.passwords, files)?;
    }
    verify(&mut context, options, files)?;
    let sessions = options.session_reuse.then(|| Sessions::kept_by(&mut context));
    conf::apply(&mut context, &options.conf_commands, files)?;
    let name = options.name.as_deref().map(Name::parse);
    Ok(Connector { context: context.build(), verify: options.verify, name, sni: options.server_name, sessions })
}

fn verify(context: &mut SslContextBuilder, options: &ClientOptions, files: &dyn Files) -> Result<(), String> {
    if !options.verify {
        context.set_verify(SslVerifyMode::NONE);
        return Ok(());
    }
    context.set_verify(SslVerifyMode::PEER);
    context.set_verify_depth(options.verify_depth);
    let store = context.cert_store_mut();
    match &options.trusted_certificate {
        Some(path) => pem::trust(store, path, files).map(drop)?,
        None => authorities::trust_the_systems(store, files)?,
    }
    if let Some(path) = &options.crl {
        pem::add_crls(store, path, files)?;
        store
            .set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)
            .map_err(|errors| error::failed("X509_STORE_set_flags()", &errors))?;
    }
    Ok(())
}

fn expect_name(ssl: &mut SslRef, name: &Name) -> Result<(), ErrorStack> {
    let wanted = ssl.param_mut();
    wanted.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
    match name {
        // To OpenSSL that would be any.
        Name::Host(name) if name.is_empty() => Err(ErrorStack::get()),
        Name::Host(name) | Name::Nameless(name) => wanted.set_host(name),
        Name::Ip(ip) => wanted.set_ip(*ip),
    }
}

/// Whether the server has shown a good certificate. With some ciphers it shows none.
fn is_proved(ssl: &SslRef) -> bool {
    ssl.verify_result() == X509VerifyResult::OK && ssl.peer_certificate().is_some()
}

/// Why the certificate is not good.
fn refusal(ssl: &SslRef, name: &Name) -> HandshakeError {
    const HOSTNAME_MISMATCH: i32 = 62;
    const IP_ADDRESS_MISMATCH: i32 = 64;
    let result = ssl.verify_result();
    HandshakeError::certificate(match result.as_raw() {
        HOSTNAME_MISMATCH | IP_ADDRESS_MISMATCH => format!("SSL certificate does not match \"{name}\""),
        _ if result == X509VerifyResult::OK => format!("SSL certificate does not match \"{name}\": there is none"),
        code => format!("SSL certificate verify error: ({code}:{})", result.error_string()),
    })
}

#[cfg(test)]
mod tests;
