//! What the tests of TLS towards servers need: certificates with names and times, revocation lists, and servers.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslVerifyMode};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Builder, X509CrlBuilder, X509Extension, X509RevokedBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use crate::tls::options::{ClientOptions, Protocols};
use crate::tls::testing::{Authority, Identity};

/// The defaults, and this authority.
pub(crate) fn options(trusted_certificate: PathBuf) -> ClientOptions {
    ClientOptions {
        verify: true,
        verify_depth: 1,
        trusted_certificate: Some(trusted_certificate),
        crl: None,
        name: None,
        server_name: false,
        certificate: None,
        passwords: Vec::new(),
        protocols: Protocols { tlsv1_2: true, tlsv1_3: true, ..Protocols::default() },
        ciphers: "DEFAULT".into(),
        session_reuse: true,
        conf_commands: Vec::new(),
    }
}

/// A server's certificate for these names, an IP address among them or not, good from and until so many days from now.
pub(crate) fn certify(authority: &Authority, names: &[&str], serial: u32, from: i64, until: i64) -> Identity {
    const DAY: i64 = 24 * 60 * 60;
    let Identity { certificate: model, key } = authority.issue(names[0], serial);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(model.serial_number()).unwrap();
    builder.set_subject_name(model.subject_name()).unwrap();
    builder.set_issuer_name(model.issuer_name()).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(now + from * DAY).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + until * DAY).unwrap()).unwrap();
    let mut alternatives = SubjectAlternativeName::new();
    for name in names {
        match name.parse::<std::net::IpAddr>() {
            Ok(_) => alternatives.ip(name),
            Err(_) => alternatives.dns(name),
        };
    }
    let alternatives = alternatives.build(&builder.x509v3_context(Some(&authority.certificate), None)).unwrap();
    builder.append_extension(alternatives).unwrap();
    builder.sign(&authority.key, MessageDigest::sha256()).unwrap();
    Identity { certificate: builder.build(), key }
}

/// One that is good today.
pub(crate) fn server_identity(authority: &Authority, names: &[&str]) -> Identity {
    certify(authority, names, 7, -1, 1)
}

/// The authority's list of what it has revoked.
pub(crate) fn revoke(authority: &Authority, serials: &[u32]) -> Vec<u8> {
    let (today, tomorrow) = (Asn1Time::days_from_now(0).unwrap(), Asn1Time::days_from_now(1).unwrap());
    let mut list = X509CrlBuilder::new().unwrap();
    list.set_issuer_name(authority.certificate.subject_name()).unwrap();
    list.set_last_update(&today).unwrap();
    list.set_next_update(&tomorrow).unwrap();
    // Which key of the authority's, without a word of it; the first list.
    for (name, value) in [("2.5.29.35", &b"\x30\x00"[..]), ("2.5.29.20", b"\x02\x01\x01")] {
        let name = Asn1Object::from_str(name).unwrap();
        let value = Asn1OctetString::new_from_bytes(value).unwrap();
        list.append_extension(X509Extension::new_from_der(&name, false, &value).unwrap()).unwrap();
    }
    for serial in serials {
        let mut entry = X509RevokedBuilder::new().unwrap();
        entry.set_serial_number(&BigNum::from_u32(*serial).unwrap().to_asn1_integer().unwrap()).unwrap();
        entry.set_revocation_date(&today).unwrap();
        list.add_revoked(entry.build()).unwrap();
    }
    list.sign(&authority.key, MessageDigest::sha256()).unwrap();
    list.build().unwrap().to_pem().unwrap()
}

/// A server with this certificate.
pub(crate) fn server(identity: &Identity, chain: &[&X509]) -> SslContextBuilder {
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_certificate(&identity.certificate).unwrap();
    context.set_private_key(&identity.key).unwrap();
    for issuer in chain {
        context.add_extra_chain_cert((*issuer).clone()).unwrap();
    }
    context.set_session_id_context(b"test").unwrap();
    context
}

/// Makes it demand a certificate of this authority's.
pub(crate) fn demand(context: &mut SslContextBuilder, authority: &Authority) {
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(authority.certificate.clone()).unwrap();
    context.set_cert_store(store.build());
    context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
}

/// Runs the server's side of a handshake.
pub(crate) async fn accept<S>(context: &SslContext, socket: S) -> Result<SslStream<S>, openssl::ssl::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = SslStream::new(Ssl::new(context).unwrap(), socket).unwrap();
    std::pin::Pin::new(&mut stream).accept().await.map(|()| stream)
}
