//! Certificates, keys and revocation lists, made while a test runs.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};

const DAY: i64 = 24 * 60 * 60;

/// A file for the subject's directory: its name and content.
pub(crate) type File = (String, Vec<u8>);

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

/// A certificate that is wanted: ECDSA, valid from yesterday to tomorrow.
#[derive(Clone)]
pub(crate) struct Wanted {
    name: String,
    rsa: bool,
    authority: bool,
    days: (i64, i64),
}

impl Wanted {
    /// For that host name or address.
    pub(crate) fn new(name: &str) -> Wanted {
        Wanted { name: name.to_owned(), rsa: false, authority: false, days: (-1, 1) }
    }

    /// With an RSA key.
    pub(crate) fn rsa(self) -> Wanted {
        Wanted { rsa: true, ..self }
    }

    /// May sign others.
    pub(crate) fn authority(self) -> Wanted {
        Wanted { authority: true, ..self }
    }

    /// Valid until yesterday.
    pub(crate) fn expired(self) -> Wanted {
        Wanted { days: (-2, -1), ..self }
    }

    /// Signed by itself.
    pub(crate) fn alone(self) -> Identity {
        self.made(None)
    }

    /// Signed by that authority.
    pub(crate) fn by(self, issuer: &Identity) -> Identity {
        self.made(Some(issuer))
    }

    fn made(self, issuer: Option<&Identity>) -> Identity {
        let key = if self.rsa {
            PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
        } else {
            let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
            PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
        };
        let subject = subject(&self.name);
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&serial()).unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name())).unwrap();
        builder.set_not_before(&days_from_now(self.days.0)).unwrap();
        builder.set_not_after(&days_from_now(self.days.1)).unwrap();
        builder.set_pubkey(&key).unwrap();
        self.extend(&mut builder);
        builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
        Identity { certificate: builder.build(), key }
    }

    fn extend(&self, builder: &mut X509Builder) {
        let mut constraints = BasicConstraints::new();
        constraints.critical();
        if self.authority {
            constraints.ca();
        }
        builder.append_extension(constraints.build().unwrap()).unwrap();
        if self.authority {
            return;
        }
        let mut names = SubjectAlternativeName::new();
        match self.name.parse::<IpAddr>() {
            Ok(_) => names.ip(&self.name),
            Err(_) => names.dns(&self.name),
        };
        let names = names.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
    }
}

impl Identity {
    /// A root: an authority signed by itself.
    pub(crate) fn root(name: &str) -> Identity {
        Wanted::new(name).authority().alone()
    }

    /// The certificate.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// `<name>.crt` and `<name>.key`.
    pub(crate) fn files(&self, name: &str) -> Vec<File> {
        let key = self.key.private_key_to_pem_pkcs8().unwrap();
        vec![(format!("{name}.crt"), self.pem()), (format!("{name}.key"), key)]
    }

    /// A list of what this authority (ECDSA) has revoked; the crate cannot make one.
    pub(crate) fn revokes(&self, revoked: &[&Identity]) -> Vec<u8> {
        // AlgorithmIdentifier { ecdsa-with-SHA256 }
        const ALGORITHM: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
        let time = |text: &str| der(0x17, text.as_bytes());
        let entry = |identity: &&Identity| {
            let serial = identity.certificate.serial_number().to_bn().unwrap().to_vec();
            der(0x30, &[der(0x02, &serial), time("200101000000Z")].concat())
        };
        let mut list = vec![
            der(0x02, &[1]),
            ALGORITHM.to_vec(),
            self.certificate.subject_name().to_der().unwrap(),
            time("200101000000Z"),
            time("491231235959Z"),
        ];
        if !revoked.is_empty() {
            list.push(der(0x30, &revoked.iter().map(entry).collect::<Vec<_>>().concat()));
        }
        let list = der(0x30, &list.concat());
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(&list).unwrap();
        let signature = der(0x03, &[vec![0], signature].concat());
        pem("X509 CRL", &der(0x30, &[list, ALGORITHM.to_vec(), signature].concat()))
    }
}

/// A name with a comma in it, which has to be escaped where it is shown.
fn subject(common_name: &str) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("O", "Wire, tested").unwrap();
    name.append_entry_by_text("CN", common_name).unwrap();
    name.build()
}

/// Positive, and 16 bytes long.
fn serial() -> Asn1Integer {
    let mut number = BigNum::new().unwrap();
    number.rand(127, MsbOption::ONE, false).unwrap();
    number.to_asn1_integer().unwrap()
}

fn days_from_now(days: i64) -> Asn1Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Asn1Time::from_unix(i64::try_from(now).unwrap() + days * DAY).unwrap()
}

/// One value in DER, of less than 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match (high, low) {
        (0, ..0x80) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [vec![tag], length, content.to_vec()].concat()
}

fn pem(label: &str, content: &[u8]) -> Vec<u8> {
    let lines: Vec<String> = BASE64_STANDARD
        .encode(content)
        .as_bytes()
        .chunks(64)
        .map(|l| String::from_utf8_lossy(l).into_owned())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into_bytes()
}
