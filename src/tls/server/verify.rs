//! Client certificates: `ssl_verify_client`.
//!
//! As with nginx a handshake does not fail for a bad certificate, or for none: the client gets a reply in its own protocol
//! instead, which it can show to somebody.

use std::fmt;

use gatepost_conf::Files;
use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslVerifyMode};
use openssl::stack::Stack;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Name, X509NameRef, X509VerifyResult};
use tokio_openssl::SslStream;

use super::resumption;
use crate::tls::options::{ServerOptions, VerifyClient};
use crate::tls::{error, pem};

/// Why a client's certificate is not good enough. `Display` is the log's message, for level `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateRefusal {
    /// It sent one that does not stand up.
    Bad(X509VerifyResult),
    /// It sent none.
    Missing,
}

impl fmt::Display for CertificateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateRefusal::Bad(why) => {
                let (code, text) = (why.as_raw(), why.error_string());
                write!(f, "client SSL certificate verify error: ({code}:{text})")
            }
            CertificateRefusal::Missing => f.write_str("client sent no required SSL certificate"),
        }
    }
}

/// Looks at the certificate that came with a finished handshake. A session that ends here is not resumed.
///
/// # Errors
/// The client is to be refused.
pub fn check_client_certificate<S>(stream: &SslStream<S>, verify: VerifyClient) -> Result<(), CertificateRefusal> {
    let ssl = stream.ssl();
    let result = ssl.verify_result();
    let good = result == X509VerifyResult::OK || (verify == VerifyClient::OptionalNoCa && is_about_authorities(result));
    let refusal = match verify {
        VerifyClient::Off => return Ok(()),
        _ if !good => CertificateRefusal::Bad(result),
        VerifyClient::On if ssl.peer_certificate().is_none() => CertificateRefusal::Missing,
        _ => return Ok(()),
    };
    resumption::forget(ssl);
    Err(refusal)
}

/// The errors that mean no more than that nobody here knows the issuer.
fn is_about_authorities(result: X509VerifyResult) -> bool {
    const DEPTH_ZERO_SELF_SIGNED_CERT: i32 = 18;
    const SELF_SIGNED_CERT_IN_CHAIN: i32 = 19;
    const UNABLE_TO_GET_ISSUER_CERT_LOCALLY: i32 = 20;
    const UNABLE_TO_VERIFY_LEAF_SIGNATURE: i32 = 21;
    const CERT_UNTRUSTED: i32 = 27;
    matches!(
        result.as_raw(),
        DEPTH_ZERO_SELF_SIGNED_CERT
            | SELF_SIGNED_CERT_IN_CHAIN
            | UNABLE_TO_GET_ISSUER_CERT_LOCALLY
            | UNABLE_TO_VERIFY_LEAF_SIGNATURE
            | CERT_UNTRUSTED
    )
}

/// Asks clients for a certificate, if the options say so.
pub(super) fn demand(
    context: &mut SslContextBuilder,
    options: &ServerOptions,
    files: &dyn Files,
) -> Result<(), String> {
    let verify = options.verify_client;
    if verify == VerifyClient::Off {
        return Ok(());
    }
    let authorities = [&options.client_certificate, &options.trusted_certificate];
    if verify != VerifyClient::OptionalNoCa && authorities.iter().all(|path| path.is_none()) {
        return Err("no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client".to_owned());
    }
    // The result is looked at after the handshake.
    context.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
    context.set_verify_depth(options.verify_depth);
    if let Some(path) = &options.client_certificate {
        let trusted = pem::trust(context.cert_store_mut(), path, files)?;
        let names = names(&trusted)
            .map_err(|errors| error::failed(&format!("X509_get_subject_name(\"{}\")", path.display()), &errors))?;
        context.set_client_ca_list(names);
    }
    if let Some(path) = &options.trusted_certificate {
        pem::trust(context.cert_store_mut(), path, files)?;
    }
    if let Some(path) = &options.crl {
        let store = context.cert_store_mut();
        pem::add_crls(store, path, files)?;
        store
            .set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)
            .map_err(|errors| error::failed("X509_STORE_set_flags()", &errors))?;
    }
    Ok(())
}

/// The subjects, each once, in order.
fn names(certificates: &[X509]) -> Result<Stack<X509Name>, ErrorStack> {
    let mut names: Stack<X509Name> = Stack::new()?;
    for certificate in certificates {
        let subject = certificate.subject_name();
        let equals = |other: &X509NameRef| other.try_cmp(subject).is_ok_and(|order| order.is_eq());
        if !names.iter().any(equals) {
            names.push(subject.to_owned()?)?;
        }
    }
    Ok(names)
}
