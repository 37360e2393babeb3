//! Certificates, keys and a revocation list, made by the openssl program: for the back ends, the proxy and clients.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the back ends are called in their certificate, which holds their address too.
pub(crate) const BACKEND: &str = "backend.example.test";
/// What the proxy is called in its certificates, which hold its address too.
pub(crate) const PROXY: &str = "proxy.example.test";
/// A name for which the back ends have a certificate of last year.
pub(crate) const EXPIRED: &str = "expired.example.test";
/// A name for which the back ends have a revoked certificate.
pub(crate) const REVOKED: &str = "revoked.example.test";
/// A name for which the back ends have a certificate from an authority that nobody knows.
pub(crate) const UNKNOWN: &str = "unknown.example.test";

const ECDSA: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: &[&str] = &["rsa:2048"];

/// A directory of files in PEM: `<name>.crt`, `<name>.key`, and `<name>.pem` with both.
#[derive(Debug)]
pub(crate) struct Pki(PathBuf);

impl Pki {
    /// Makes everything in `directory`. Back ends and proxy are at `address`.
    pub(super) fn make(directory: PathBuf, address: IpAddr) -> Pki {
        fs::create_dir(&directory).unwrap();
        let pki = Pki(directory);
        pki.authority("root");
        pki.authority("other");
        let at_address = |name: &str| format!("DNS:{name},IP:{address}");
        pki.issue("root", "backend", ECDSA, &at_address(BACKEND), &[]);
        pki.issue("root", "proxy-ecdsa", ECDSA, &at_address(PROXY), &[]);
        pki.issue("root", "proxy-rsa", RSA, &at_address(PROXY), &[]);
        let last_year = ["-startdate", "20200101000000Z", "-enddate", "20201231235959Z"];
        pki.issue("root", EXPIRED, ECDSA, &format!("DNS:{EXPIRED}"), &last_year);
        pki.issue("root", REVOKED, ECDSA, &format!("DNS:{REVOKED}"), &[]);
        pki.issue("other", UNKNOWN, ECDSA, &format!("DNS:{UNKNOWN}"), &[]);
        for (authority, client) in [("root", "external"), ("root", "former"), ("other", "stranger")] {
            pki.issue(authority, client, ECDSA, &format!("email:{client}@example.test"), &[]);
        }
        for revoked in [REVOKED, "former"] {
            pki.ca("root", &["-revoke", &format!("{revoked}.crt")]);
        }
        pki.ca("root", &["-gencrl", "-out", "root.crl"]);
        pki
    }

    /// The path of a file.
    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.path().join(name);
        assert!(path.is_file(), "{}", path.display());
        path.to_str().unwrap().to_string()
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn authority(&self, name: &str) {
        self.write(&format!("{name}.cnf"), &books(name));
        self.write(&format!("{name}.index"), "");
        self.write(&format!("{name}.serial"), "1000\n");
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let files = ["-nodes", "-keyout", &key, "-out", &certificate];
        let subject = format!("/CN={name} authority");
        self.openssl(&[&["req", "-x509", "-days", "2", "-subj", &subject, "-newkey"], ECDSA, &files]);
    }

    /// A certificate whose common name is `name`. It holds for two days, if `validity` says nothing else.
    fn issue(&self, authority: &str, name: &str, key: &[&str], names: &str, validity: &[&str]) {
        let [certificate, secret, request, extensions] =
            ["crt", "key", "csr", "ext"].map(|suffix| format!("{name}.{suffix}"));
        self.write(&extensions, &format!("basicConstraints = critical, CA:FALSE\nsubjectAltName = {names}\n"));
        let subject = format!("/CN={name}");
        let files = ["-nodes", "-subj", &subject, "-keyout", &secret, "-out", &request];
        self.openssl(&[&["req", "-newkey"], key, &files]);
        let files = ["-batch", "-notext", "-in", &request, "-extfile", &extensions, "-out", &certificate];
        self.ca(authority, &[&files, validity].concat());
        let both = [secret, certificate].map(|file| fs::read_to_string(self.path().join(file)).unwrap());
        self.write(&format!("{name}.pem"), &both.concat());
    }

    fn ca(&self, authority: &str, arguments: &[&str]) {
        let [books, key, certificate] = ["cnf", "key", "crt"].map(|suffix| format!("{authority}.{suffix}"));
        self.openssl(&[&["ca", "-config", &books, "-keyfile", &key, "-cert", &certificate], arguments]);
    }

    fn openssl(&self, arguments: &[&[&str]]) {
        let output = Command::new("openssl").current_dir(self.path()).args(arguments.concat()).output();
        let output = output.unwrap_or_else(|error| panic!("openssl: {error}; run scripts/test-deps.sh"));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn write(&self, name: &str, content: &str) {
        super::write(&self.path().join(name), content);
    }
}

/// How `openssl ca` keeps its books.
fn books(authority: &str) -> String {
    format!(
        "[ca]\ndefault_ca = books\n[books]\ndatabase = {authority}.index\nserial = {authority}.serial\n\
         new_certs_dir = .\ndefault_md = sha256\ndefault_days = 2\ndefault_crl_days = 2\nunique_subject = no\n\
         policy = policy\n[policy]\ncommonName = supplied\n"
    )
}
