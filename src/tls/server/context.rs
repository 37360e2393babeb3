//! From the directives of a server block to a context of OpenSSL, in nginx's order, since the first mistake is the one
//! that is told.

use std::sync::Arc;

use gatepost_proto::Protocol;
use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::ssl::{AlpnError, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, select_next_proto};
use openssl::x509::X509;

use super::{entrance, resumption, verify};
use crate::tls::options::{Protocols, ServerOptions, VerifyClient};
use crate::tls::{Caches, error, ffi, pem};

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
    pub fn new(options: &ServerOptions, protocol: Protocol, caches: &Caches) -> Result<Context, Vec<String>> {
        ffi::clear_errors();
        let context = build(options, protocol, caches).map_err(|message| vec![message]);
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

fn build(options: &ServerOptions, protocol: Protocol, caches: &Caches) -> Result<Context, String> {
    let mut context =
        SslContext::builder(SslMethod::tls()).map_err(|errors| error::failed("SSL_CTX_new()", &errors))?;
    let mut warnings = Vec::new();
    set_basics(&mut context, options.protocols)
        .map_err(|errors| error::failed("SSL_CTX_set_min_proto_version()", &errors))?;
    set_alpn(&mut context, protocol);
    set_ciphers(&mut context, options)?;
    let certificates = use_certificates(&mut context, options)?;
    compress_certificates(&mut context, options, &mut warnings);
    verify::demand(&mut context, options)?;
    set_key_exchange(&mut context, options)?;
    resumption::set_up(&mut context, options, &certificates, caches)?;
    ffi::conf_commands(&mut context, &options.conf_commands)?;
    entrance::set_callbacks(&mut context);
    Ok(Context {
        ssl: context.build(),
        verify: options.verify_client,
        verify_depth: options.verify_depth,
        warnings: warnings.into(),
    })
}

/// What no directive can change, and the protocol versions.
fn set_basics(context: &mut SslContextBuilder, protocols: Protocols) -> Result<(), ErrorStack> {
    let versions = [
        (protocols.sslv3, SslOptions::NO_SSLV3),
        (protocols.tlsv1, SslOptions::NO_TLSV1),
        (protocols.tlsv1_1, SslOptions::NO_TLSV1_1),
        (protocols.tlsv1_2, SslOptions::NO_TLSV1_2),
        (protocols.tlsv1_3, SslOptions::NO_TLSV1_3),
    ];
    for (enabled, option) in versions {
        match enabled {
            true => context.clear_options(option),
            false => context.set_options(option),
        };
    }
    // Whatever openssl.cnf says: ssl_protocols is the answer.
    context.set_min_proto_version(None)?;
    context.set_max_proto_version(None)?;
    context.set_options(
        SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::IGNORE_UNEXPECTED_EOF
            | SslOptions::DONT_INSERT_EMPTY_FRAGMENTS
            | SslOptions::SINGLE_DH_USE
            | SslOptions::SINGLE_ECDH_USE,
    );
    context.set_mode(
        SslMode::RELEASE_BUFFERS
            | SslMode::NO_AUTO_CHAIN
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER,
    );
    context.set_read_ahead(true);
    Ok(())
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
    let ciphers = &options.ciphers;
    context
        .set_cipher_list(ciphers)
        .map_err(|errors| error::failed(&format!("SSL_CTX_set_cipher_list(\"{ciphers}\")"), &errors))?;
    if options.prefer_server_ciphers {
        context.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
    }
    Ok(())
}

fn use_certificates(context: &mut SslContextBuilder, options: &ServerOptions) -> Result<Vec<X509>, String> {
    options.certificates.iter().map(|pair| pem::use_key_pair(context, pair, &options.passwords)).collect()
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
fn set_key_exchange(context: &mut SslContextBuilder, options: &ServerOptions) -> Result<(), String> {
    if let Some(path) = &options.dhparam {
        let named = |call: &str| format!("{call}(\"{}\")", path.display());
        let pem = std::fs::read(path)
            .map_err(|error| format!("{} failed{}", named("BIO_new_file"), error::open_failed(path, &error)))?;
        let dh = Dh::params_from_pem(&pem).map_err(|errors| error::failed(&named("PEM_read_bio_DHparams"), &errors))?;
        context.set_tmp_dh(&dh).map_err(|errors| error::failed(&named("SSL_CTX_set_tmp_dh"), &errors))?;
    }
    if options.ecdh_curve == "auto" {
        return Ok(());
    }
    context
        .set_groups_list(&options.ecdh_curve)
        .map_err(|errors| error::failed(&format!("SSL_CTX_set1_curves_list(\"{}\")", options.ecdh_curve), &errors))
}
