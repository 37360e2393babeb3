//! The authorities that the system trusts.

use std::io;
use std::path::PathBuf;

use gatepost_conf::Files;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilderRef;

use crate::tls::error;

/// Where systems keep them all in one file: Debian and Alpine, Fedora, openSUSE, FreeBSD, OpenBSD.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/etc/ssl/cert.pem",
];

/// Adds them to a store, all at once, so that no file is read while connections are made. They come from the file that the
/// environment's `SSL_CERT_FILE` names, or else from where the system has them.
///
/// # Errors
/// When the file cannot be read. Where the system has none, none are trusted, and nothing can be verified.
pub(super) fn trust_the_systems(store: &mut X509StoreBuilderRef, files: &dyn Files) -> Result<(), String> {
    let Some((path, pem)) = bundle(files) else { return Ok(()) };
    let fail = |why: String| format!("cannot load certificate \"{}\": {why}", path.display());
    let pem = pem.map_err(|error| fail(format!("BIO_new_file() failed{}", error::open_failed(&path, &error))))?;
    let authorities =
        X509::stack_from_pem(&pem).map_err(|errors| fail(error::failed("PEM_read_bio_X509()", &errors)))?;
    for authority in authorities {
        store
            .add_cert(authority)
            .map_err(|errors| error::failed(&format!("X509_STORE_add_cert(\"{}\")", path.display()), &errors))?;
    }
    Ok(())
}

/// The system's authorities: the name of their file, and what it holds. Others may call it to have the file read.
pub fn bundle(files: &dyn Files) -> Option<(PathBuf, io::Result<Vec<u8>>)> {
    let read = |path: PathBuf| {
        files.read(&path).map_or_else(|error| (path.clone(), Err(error)), |pem| (path.clone(), Ok(pem)))
    };
    match std::env::var_os("SSL_CERT_FILE") {
        Some(path) => Some(read(path.into())),
        None => BUNDLES.iter().map(|path| read(path.into())).find(|(_, pem)| !is_missing(pem)),
    }
}

/// The files that [`bundle`] may read.
pub fn files() -> Vec<PathBuf> {
    match std::env::var_os("SSL_CERT_FILE") {
        Some(path) => vec![path.into()],
        None => BUNDLES.iter().map(PathBuf::from).collect(),
    }
}

fn is_missing(pem: &io::Result<Vec<u8>>) -> bool {
    pem.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
