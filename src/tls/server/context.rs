//! From the directives of a server block to a context of OpenSSL, in nginx's order, since the first mistake is the one
//! that is told.

use std::sync::Arc;

use gatepost_conf::Files;
use gatepost_proto::Protocol;
use openssl::ssl::{AlpnError, SslContext, SslContextBuilder, SslMethod, SslOptions, select_next_proto};
use openssl::x509::X509;

use super::{entrance, resumption, verify};
use crate::tls::options::{ServerOptions, VerifyClient};
use crate::tls::{Caches, basics, conf, error, ffi, pem};

/// TLS as one server block wants it.
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) ssl: SslContext,
    pub(super) verify: VerifyClient,
    pub(super) verify_depth: u32,
    warnings: Arc<[String]>,
}

impl Context {
    /// Reads certificates and keys, and checks that the library takes everything else.
    ///
    /// # Errors
    /// nginx's messages, for the log at level `emerg`.
    pub fn new(
        options: &ServerOptions,
        protocol: Protocol,
        caches: &Caches,
        files: &dyn Files,
    ) -> Result<Context, Vec<String>> {
        ffi::clear_errors();
        let context = build(options, protocol, caches, files).map_err(|message| vec![message]);
        ffi::clear_errors();
        context
    }

    /// What was ignored, for the log at level `warn`.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What is demanded of clients.
    pub fn verify_client(&self) -> VerifyClient {
        self.verify
    }
}

fn build(options: &ServerOptions, protocol: Protocol, caches: &Caches, files: &dyn Files) -> Result<Context, String> {
    let mut context =
        SslContext::builder(SslMethod::tls()).map_err(|errors| error::failed("SSL_CTX_new()", &errors))?;
    let mut warnings = Vec::new();
    basics::set(&mut context, options.protocols)
        .map_err(|errors| error::failed("SSL_CTX_set_min_proto_version()", &errors))?;
    set_alpn(&mut context, protocol);
    set_ciphers(&mut context, options)?;
    let certificates = use_certificates(&mut context, options, files)?;
    compress_certificates(&mut context, options, &mut warnings);
    verify::demand(&mut context, options, files)?;
    set_key_exchange(&mut context, options, files)?;
    resumption::set_up(&mut context, options, &certificates, caches, files)?;
    conf::apply(&mut context, &options.conf_commands, files)?;
    entrance::set_callbacks(&mut context);
    Ok(Context {
        ssl: context.build(),
        verify: options.verify_client,
        verify_depth: options.verify_depth,
        warnings: warnings.into(),
    })
}

/// RFC 7301: the protocol's name is taken, or the handshake ends with alert 120.
fn set_alpn(context: &mut SslContextBuilder, protocol: Protocol) {
    let ours: &'static [u8] = match protocol {
        Protocol::Imap => b"\x04imap",
        Protocol::Pop3 => b"\x04pop3",
        Protocol::Smtp => b"\x04smtp",
    };
    context.set_alpn_select_callback(move |_, theirs| select_next_proto(ours, theirs).ok_or(AlpnError::ALERT_FATAL));
}

fn set_ciphers(context: &mut SslContextBuilder, options: &ServerOptions) -> Result<(), String> {
    let ciphers = ffi::c_text(&options.ciphers);
    context
        .set_cipher_list(ciphers)
        .map_err(|errors| error::failed(&format!("SSL_CTX_set_cipher_list(\"{ciphers}\")"), &errors))?;
    if options.prefer_server_ciphers {
        context.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
    }
    Ok(())
}

fn use_certificates(
    context: &mut SslContextBuilder,
    options: &ServerOptions,
    files: &dyn Files,
) -> Result<Vec<X509>, String> {
    options.certificates.iter().map(|pair| pem::use_key_pair(context, pair, &options.passwords, files)).collect()
}

fn compress_certificates(context: &mut SslContextBuilder, options: &ServerOptions, warnings: &mut Vec<String>) {
    let outcome = ffi::compress_certificates(context, options.certificate_compression);
    if !options.certificate_compression {
        return;
    }
    match outcome {
        Ok(()) => {}
        Err(None) => {
            warnings.push("\"ssl_certificate_compression\" is not supported on this platform, ignored".to_owned());
        }
        Err(Some(errors)) => {
            let why = error::in_brackets(&errors);
            warnings.push(format!("SSL_CTX_compress_certs() failed, ignored{why}"));
        }
    }
}

/// `ssl_dhparam`, `ssl_ecdh_curve`
fn set_key_exchange(context: &mut SslContextBuilder, options: &ServerOptions, files: &dyn Files) -> Result<(), String> {
    if let Some(path) = &options.dhparam {
        pem::use_dh_parameters(context, path, files)?;
    }
    let curves = ffi::c_text(&options.ecdh_curve);
    if curves == "auto" {
        return Ok(());
    }
    context
        .set_groups_list(curves)
        .map_err(|errors| error::failed(&format!("SSL_CTX_set1_curves_list(\"{curves}\")"), &errors))
}
