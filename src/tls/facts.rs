//! What the authentication server is told of a client's TLS connection.

use gatepost_proto::auth_http::Tls;
use openssl::hash::MessageDigest;
use openssl::ssl::SslRef;
use openssl::x509::{X509Ref, X509VerifyResult};

use super::ffi;

/// The values of the headers `Auth-SSL-*`; an empty one has no header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    protocol: String,
    cipher: String,
    verify: String,
    subject: String,
    issuer: String,
    serial: String,
    fingerprint: String,
    certificate: String,
}

impl Facts {
    /// Of a connection whose handshake is done. Of the certificate only where clients are asked for one (`verify`); the
    /// certificate itself with `auth_http_pass_client_cert`.
    pub fn of(ssl: &SslRef, verify: bool, pass_certificate: bool) -> Facts {
        let mut facts = Facts {
            protocol: ssl.version_str().to_owned(),
            cipher: ssl.current_cipher().map_or_else(String::new, |cipher| cipher.name().to_owned()),
            ..Facts::default()
        };
        if verify {
            match ssl.peer_certificate() {
                Some(certificate) => {
                    facts.verify = verify_text(ssl.verify_result());
                    facts.add_certificate(&certificate, pass_certificate);
                }
                None => facts.verify = "NONE".to_owned(),
            }
        }
        ffi::clear_errors();
        facts
    }

    /// Whether the client has shown a certificate.
    pub fn has_certificate(&self) -> bool {
        !self.serial.is_empty()
    }

    /// In the form that goes into a request.
    pub fn for_request(&self) -> Tls<'_> {
        Tls {
            protocol: &self.protocol,
            cipher: &self.cipher,
            verify: &self.verify,
            subject: &self.subject,
            issuer: &self.issuer,
            serial: &self.serial,
            fingerprint: &self.fingerprint,
            certificate: &self.certificate,
        }
    }

    fn add_certificate(&mut self, certificate: &X509Ref, whole: bool) {
        self.subject = ffi::rfc2253(certificate.subject_name()).unwrap_or_default();
        self.issuer = ffi::rfc2253(certificate.issuer_name()).unwrap_or_default();
        self.serial = serial(certificate).unwrap_or_default();
        self.fingerprint = certificate
            .digest(MessageDigest::sha1())
            .map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect())
            .unwrap_or_default();
        if whole {
            let pem = certificate.to_pem().unwrap_or_default();
            self.certificate = String::from_utf8(pem).unwrap_or_default();
        }
    }
}

fn verify_text(result: X509VerifyResult) -> String {
    match result {
        X509VerifyResult::OK => "SUCCESS".to_owned(),
        failed => format!("FAILED:{}", failed.error_string()),
    }
}

/// In hexadecimal, whole bytes.
fn serial(certificate: &X509Ref) -> Option<String> {
    let digits = certificate.serial_number().to_bn().ok()?.to_hex_str().ok()?.to_string();
    Some(if digits == "0" { "00".to_owned() } else { digits })
}
