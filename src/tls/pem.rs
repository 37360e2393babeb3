//! Certificates, keys and revocation lists, out of files or the configuration itself. Errors are nginx's.

use std::io;
use std::path::Path;

use gatepost_conf::Files;
use gatepost_proto::Secret;
use openssl::dh::Dh;
use openssl::pkey::{PKey, Private};
use openssl::ssl::SslContextBuilder;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilderRef;
use zeroize::Zeroizing;

use super::options::KeyPair;
use super::{error, ffi};

/// Gives a context a certificate, its chain and its key. Each kind of key has a place of its own in a context.
///
/// # Errors
/// When a file cannot be read, when it does not hold what it should, when the key is not the certificate's.
pub(super) fn use_key_pair(
    context: &mut SslContextBuilder,
    pair: &KeyPair,
    passwords: &[Secret],
    files: &dyn Files,
) -> Result<X509, String> {
    let certificate = use_certificate(context, &pair.certificate, files)?;
    use_key(context, &pair.key, passwords, files)?;
    Ok(certificate)
}

/// Gives a context a certificate and its chain.
///
/// # Errors
/// When the file cannot be read, or does not hold what it should.
pub(super) fn use_certificate(context: &mut SslContextBuilder, path: &Path, files: &dyn Files) -> Result<X509, String> {
    let mut chain = load_certificates(path, files, ffi::chain)?.into_iter();
    let certificate = chain.next().expect("a file without certificates is an error");
    context
        .set_certificate(&certificate)
        .map_err(|errors| error::failed(&format!("SSL_CTX_use_certificate(\"{}\")", path.display()), &errors))?;
    for issuer in chain {
        ffi::add_to_chain(context, issuer)
            .map_err(|errors| error::failed(&format!("SSL_CTX_set0_chain(\"{}\")", path.display()), &errors))?;
    }
    Ok(certificate)
}

/// Gives a context the key of the certificate that it was given last.
///
/// # Errors
/// When the file cannot be read, when it does not hold what it should, when the key is not the certificate's.
pub(super) fn use_key(
    context: &mut SslContextBuilder,
    path: &Path,
    passwords: &[Secret],
    files: &dyn Files,
) -> Result<(), String> {
    let key = key(path, passwords, files)?;
    context
        .set_private_key(&key)
        .map_err(|errors| error::failed(&format!("SSL_CTX_use_PrivateKey(\"{}\")", path.display()), &errors))
}

/// Adds the certificates of a file to a store, and gives them.
///
/// # Errors
/// When the file cannot be read, or does not hold any.
pub(super) fn trust(store: &mut X509StoreBuilderRef, path: &Path, files: &dyn Files) -> Result<Vec<X509>, String> {
    let found = load_certificates(path, files, ffi::authorities)?;
    for certificate in &found {
        store
            .add_cert(certificate.clone())
            .map_err(|errors| error::failed(&format!("X509_STORE_add_cert(\"{}\")", path.display()), &errors))?;
    }
    Ok(found)
}

/// Adds the revocation lists of a file to a store.
///
/// # Errors
/// When the file cannot be read, or does not hold any.
pub(super) fn add_crls(store: &mut X509StoreBuilderRef, path: &Path, files: &dyn Files) -> Result<(), String> {
    let fail = |why: String| format!("cannot load CRL \"{}\": {why}", path.display());
    let pem = read(path, files).map_err(fail)?;
    ffi::add_crls(store, &pem).map_err(|(call, errors)| fail(error::failed(call, &errors)))
}

/// Gives a context the parameters of `ssl_dhparam`.
///
/// # Errors
/// When the file cannot be read, or is something else; when the library has no DHE.
pub(super) fn use_dh_parameters(context: &mut SslContextBuilder, path: &Path, files: &dyn Files) -> Result<(), String> {
    let named = |call: &str| format!("{call}(\"{}\")", path.display());
    let pem = read_file(path, files).map_err(|why| format!("{} failed{why}", named("BIO_new_file")))?;
    let dh = Dh::params_from_pem(&pem).map_err(|errors| error::failed(&named("PEM_read_bio_DHparams"), &errors))?;
    ffi::set_dh_parameters(context, &dh).map_err(|errors| match errors {
        Some(errors) => error::failed(&named("SSL_CTX_set_tmp_dh"), &errors),
        None => "\"ssl_dhparam\" is not supported on this platform".to_owned(),
    })
}

fn load_certificates(
    path: &Path,
    files: &dyn Files,
    parse: impl Fn(&[u8]) -> Result<Vec<X509>, ffi::Failure>,
) -> Result<Vec<X509>, String> {
    let fail = |why: String| format!("cannot load certificate \"{}\": {why}", path.display());
    let pem = read(path, files).map_err(fail)?;
    parse(&pem).map_err(|(call, errors)| fail(error::failed(call, &errors)))
}

/// What a file holds, or the value itself behind `data:`.
fn read(path: &Path, files: &dyn Files) -> Result<Zeroizing<Vec<u8>>, String> {
    match after(path, "data:") {
        Some(data) => Ok(Zeroizing::new(data.as_bytes().to_vec())),
        None => read_file(path, files).map_err(|why| format!("BIO_new_file() failed{why}")),
    }
}

fn read_file(path: &Path, files: &dyn Files) -> Result<Zeroizing<Vec<u8>>, String> {
    match files.read(path) {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        // To OpenSSL a directory is a file without lines.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(Zeroizing::default()),
        Err(error) => Err(error::open_failed(path, &error)),
    }
}

/// The rest of a value that is not a path.
fn after<'a>(path: &'a Path, prefix: &str) -> Option<&'a str> {
    path.to_str()?.strip_prefix(prefix)
}

/// Reads a private key, trying each password if it is encrypted.
fn key(path: &Path, passwords: &[Secret], files: &dyn Files) -> Result<PKey<Private>, String> {
    let fail = |why: String| format!("cannot load certificate key \"{}\": {why}", path.display());
    if let Some((scheme @ ("engine" | "store"), _)) = path.to_str().and_then(|text| text.split_once(':')) {
        return Err(fail(format!("loading \"{scheme}:...\" certificate keys is not supported")));
    }
    let pem = read(path, files).map_err(fail)?;
    decrypt(&pem, passwords).map_err(fail)
}

/// Without a password an encrypted key is a mistake. nginx has OpenSSL ask on the terminal; who reads keys here are a
/// master that others wait for, and a worker without a terminal.
fn decrypt(pem: &[u8], passwords: &[Secret]) -> Result<PKey<Private>, String> {
    let failed = |errors| error::failed("PEM_read_bio_PrivateKey()", &errors);
    let Some((last, others)) = passwords.split_last() else {
        let mut is_encrypted = false;
        let key = PKey::private_key_from_pem_callback(pem, |_| {
            is_encrypted = true;
            Ok(0)
        });
        return key.map_err(|errors| match is_encrypted {
            true => "it is encrypted, and no \"..._password_file\" has its password".to_string(),
            false => failed(errors),
        });
    };
    let try_one = |password: &Secret| {
        PKey::private_key_from_pem_callback(pem, |buffer| {
            let length = password.expose().len().min(buffer.len());
            buffer[..length].copy_from_slice(&password.expose()[..length]);
            Ok(length)
        })
    };
    others.iter().find_map(|password| try_one(password).ok()).map_or_else(|| try_one(last), Ok).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use openssl::symm::Cipher;

    use super::*;

    #[test]
    fn an_encrypted_key_needs_its_password_and_asks_nobody() {
        let key = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
        let plain = key.private_key_to_pem_pkcs8().unwrap();
        let encrypted = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"sesame").unwrap();
        let [wrong, right] = [b"wrong", &b"sesame"[..]].map(Secret::from);
        assert!(decrypt(&plain, &[]).is_ok());
        assert!(decrypt(&encrypted, &[wrong.clone(), right]).is_ok());
        let why = |pem, passwords: &[Secret]| decrypt(pem, passwords).err().unwrap();
        assert_eq!(why(&encrypted, &[]), "it is encrypted, and no \"..._password_file\" has its password");
        assert!(why(&encrypted, &[wrong]).starts_with("PEM_read_bio_PrivateKey() failed"));
        assert!(why(b"", &[]).starts_with("PEM_read_bio_PrivateKey() failed"));
    }
}
