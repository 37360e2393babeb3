//! What the tests of TLS need: a certificate authority, options to start from, and a client.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::SslContextBuilder;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509Builder, X509CrlBuilder, X509Extension, X509NameBuilder, X509RevokedBuilder};
use tempfile::TempDir;

use super::options::{KeyPair, Protocols, ServerOptions, SessionCache, VerifyClient};

/// An authority with its key.
pub(crate) struct Authority {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

/// What somebody owns.
pub(crate) struct Identity {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let key = ec_key();
        let certificate = certificate(name, &key, None, 1, true);
        Authority { certificate, key }
    }

    /// An authority below this one.
    pub(crate) fn authority(&self, name: &str, serial: u32) -> Authority {
        let key = ec_key();
        let certificate = certificate(name, &key, Some(self), serial, true);
        Authority { certificate, key }
    }

    pub(crate) fn issue(&self, name: &str, serial: u32) -> Identity {
        self.issue_for(name, serial, ec_key())
    }

    pub(crate) fn issue_rsa(&self, name: &str, serial: u32) -> Identity {
        self.issue_for(name, serial, PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap())
    }

    /// One that was good until yesterday.
    pub(crate) fn issue_expired(&self, name: &str, serial: u32) -> Identity {
        let key = ec_key();
        let yesterday = std::time::SystemTime::now() - Duration::from_secs(86_400);
        let yesterday = yesterday.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let end = Asn1Time::from_unix(i64::try_from(yesterday).unwrap()).unwrap();
        let certificate = certificate_until(name, &key, Some(self), BigNum::from_u32(serial).unwrap(), false, &end);
        Identity { certificate, key }
    }

    /// One whose serial number has these digits in hexadecimal.
    pub(super) fn issue_numbered(&self, name: &str, serial: &str) -> Identity {
        let key = ec_key();
        let end = Asn1Time::days_from_now(2).unwrap();
        let serial = BigNum::from_hex_str(serial).unwrap();
        let certificate = certificate_until(name, &key, Some(self), serial, false, &end);
        Identity { certificate, key }
    }

    fn issue_for(&self, name: &str, serial: u32, key: PKey<Private>) -> Identity {
        let certificate = certificate(name, &key, Some(self), serial, false);
        Identity { certificate, key }
    }
}

fn ec_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn certificate(name: &str, key: &PKey<Private>, issuer: Option<&Authority>, serial: u32, authority: bool) -> X509 {
    certificate_until(
        name,
        key,
        issuer,
        BigNum::from_u32(serial).unwrap(),
        authority,
        &Asn1Time::days_from_now(2).unwrap(),
    )
}

fn certificate_until(
    name: &str,
    key: &PKey<Private>,
    issuer: Option<&Authority>,
    serial: BigNum,
    authority: bool,
    end: &Asn1Time,
) -> X509 {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("O", "Gatepost").unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&subject, |issuer| issuer.certificate.subject_name())).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    builder.set_not_after(end).unwrap();
    let mut constraints = BasicConstraints::new();
    constraints.critical();
    if authority {
        constraints.ca();
    }
    builder.append_extension(constraints.build().unwrap()).unwrap();
    builder.sign(issuer.map_or(key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
    builder.build()
}

/// In PEM.
pub(crate) fn revocation_list(authority: &Authority, serials: &[u32]) -> Vec<u8> {
    let mut builder = X509CrlBuilder::new().unwrap();
    builder.set_issuer_name(authority.certificate.subject_name()).unwrap();
    builder.set_last_update(&Asn1Time::from_unix(0).unwrap()).unwrap();
    builder.set_next_update(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    for serial in serials {
        let mut revoked = X509RevokedBuilder::new().unwrap();
        revoked.set_serial_number(&BigNum::from_u32(*serial).unwrap().to_asn1_integer().unwrap()).unwrap();
        revoked.set_revocation_date(&Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.add_revoked(revoked.build()).unwrap();
    }
    // Extensions that RFC 5280 wants: authority key identifier and CRL number.
    for (oid, contents) in [("2.5.29.35", &b"\x30\x03\x80\x01\x01"[..]), ("2.5.29.20", b"\x02\x01\x01")] {
        let contents = Asn1OctetString::new_from_bytes(contents).unwrap();
        let extension = X509Extension::new_from_der(&Asn1Object::from_str(oid).unwrap(), false, &contents).unwrap();
        builder.append_extension(extension).unwrap();
    }
    builder.sign(&authority.key, MessageDigest::sha256()).unwrap();
    builder.build().unwrap().to_pem().unwrap()
}

/// A directory with files for options to name.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn certificates(&self, name: &str, certificates: &[&X509]) -> PathBuf {
        self.write(name, certificates.iter().flat_map(|certificate| certificate.to_pem().unwrap()).collect::<Vec<_>>())
    }

    pub(crate) fn pair(&self, name: &str, identity: &Identity) -> KeyPair {
        let certificate = self.certificates(&format!("{name}.crt"), &[&identity.certificate]);
        let key = self.write(&format!("{name}.key"), identity.key.private_key_to_pem_pkcs8().unwrap());
        KeyPair { certificate, key }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }
}

/// nginx's defaults, with these certificates.
pub(crate) fn server_options(certificates: Vec<KeyPair>) -> ServerOptions {
    ServerOptions {
        certificates,
        passwords: Vec::new(),
        protocols: Protocols { tlsv1_2: true, tlsv1_3: true, ..Protocols::default() },
        ciphers: "HIGH:!aNULL:!MD5".into(),
        prefer_server_ciphers: false,
        ecdh_curve: "auto".into(),
        dhparam: None,
        conf_commands: Vec::new(),
        certificate_compression: false,
        session_cache: SessionCache::default(),
        session_tickets: true,
        ticket_keys: Vec::new(),
        session_timeout: Duration::from_secs(300),
        verify_client: VerifyClient::Off,
        verify_depth: 1,
        client_certificate: None,
        trusted_certificate: None,
        crl: None,
    }
}

/// Restricts a client to these signature algorithms.
pub(crate) fn allow_signatures(client: &mut SslContextBuilder, algorithms: &str) {
    let algorithms = std::ffi::CString::new(algorithms).unwrap();
    // SAFETY: the context lives; a terminated string, which the call does not keep.
    let set = unsafe { openssl_sys::SSL_CTX_set1_sigalgs_list(client.as_ptr(), algorithms.as_ptr()) };
    assert_eq!(set, 1);
}

/// A message for comparison: OpenSSL's own words are left out where the library is another one.
pub(crate) fn comparable(message: &str) -> String {
    match message.split_once(" (SSL: error:") {
        Some((ours, _)) if cfg!(feature = "aws-lc") => ours.to_owned(),
        _ => message.to_owned(),
    }
}
