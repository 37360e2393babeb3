//! Certificates for the proxies.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{Asn1Flag, EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};
use tempfile::TempDir;

use crate::wire::Security;

/// Two certificates, signed by themselves, and their keys, in files that live as long as this.
pub(crate) struct Certificates {
    ecdsa: Files,
    rsa: Files,
    _directory: TempDir,
}

/// Where one stands.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    pub(crate) fn make() -> Result<Certificates> {
        let directory = tempfile::Builder::new().prefix("gatepost-bench-").tempdir()?;
        let write = |name: &str, key: PKey<Private>| -> Result<Files> {
            let path = |kind: &str| directory.path().join(format!("{name}.{kind}"));
            let files = Files { certificate: path("crt"), key: path("key") };
            fs::write(&files.certificate, certificate(&key)?.to_pem()?)?;
            fs::write(&files.key, key.private_key_to_pem_pkcs8()?)?;
            Ok(files)
        };
        let mut group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
        let ecdsa = write("ecdsa", PKey::from_ec_key(EcKey::generate(&group)?)?)?;
        let rsa = write("rsa", PKey::from_rsa(Rsa::generate(2048)?)?)?;
        Ok(Certificates { ecdsa, rsa, _directory: directory })
    }

    /// Those of a listener; none if it is a plain one.
    pub(crate) fn files(&self, security: Security) -> Option<&Files> {
        match security {
            Security::Plain => None,
            Security::Rsa => Some(&self.rsa),
            Security::Ecdsa | Security::Resumed => Some(&self.ecdsa),
        }
    }
}

fn certificate(key: &PKey<Private>) -> Result<X509> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "bench.example")?;
    let name = name.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = BigNum::from_u32(1)?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    let (begin, end) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(2)?);
    builder.set_not_before(&begin)?;
    builder.set_not_after(&end)?;
    builder.set_pubkey(key)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}
