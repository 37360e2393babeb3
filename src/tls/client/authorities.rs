//! The authorities that the system trusts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
pub(super) fn trust_the_systems(store: &mut X509StoreBuilderRef) -> Result<(), String> {
    let Some(path) = bundle(std::env::var_os("SSL_CERT_FILE")) else { return Ok(()) };
    let fail = |why: String| format!("cannot load certificate \"{}\": {why}", path.display());
    let pem = std::fs::read(&path)
        .map_err(|error| fail(format!("BIO_new_file() failed{}", error::open_failed(&path, &error))))?;
    let authorities =
        X509::stack_from_pem(&pem).map_err(|errors| fail(error::failed("PEM_read_bio_X509()", &errors)))?;
    for authority in authorities {
        store
            .add_cert(authority)
            .map_err(|errors| error::failed(&format!("X509_STORE_add_cert(\"{}\")", path.display()), &errors))?;
    }
    Ok(())
}

fn bundle(named: Option<OsString>) -> Option<PathBuf> {
    named.map(PathBuf::from).or_else(|| BUNDLES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned))
}
