//! TLS towards clients and towards servers.

mod alpn;
mod auth_https;
mod certificates;
mod client_certificates;
mod close;
mod implicit;
mod layers;
#[cfg(not(feature = "aws-lc"))]
mod openssl_only;
mod sessions;
mod sni;
mod starttls;
mod upstream;
mod versions;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use openssl::ssl::SslVersion;

use crate::harness::talk::{IMAP, POP3, PROTOCOLS, SMTP, Talk, certificate, wire, wire_with};

/// The versions in use, oldest first, as `ssl_protocols` names them.
const VERSIONS: [(&str, SslVersion); 4] = [
    ("TLSv1", SslVersion::TLS1),
    ("TLSv1.1", SslVersion::TLS1_1),
    ("TLSv1.2", SslVersion::TLS1_2),
    ("TLSv1.3", SslVersion::TLS1_3),
];

/// What `openssl s_client` shows of that server when it gets this input after that text.
#[track_caller]
fn s_client(at: SocketAddr, options: &[&str], after: &str, input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &at.to_string()])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = Vec::new();
    let mut chunk = [0; 4096];
    while !String::from_utf8_lossy(&shown).contains(after) {
        let count = child.stdout.as_mut().unwrap().read(&mut chunk).unwrap();
        assert!(count > 0, "no {after:?} in {}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&chunk[..count]);
    }
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    [shown, output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}
