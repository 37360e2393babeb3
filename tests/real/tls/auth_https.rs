//! An authentication server by HTTPS: nginx, as a web server in front of the usual one, takes the TLS off.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use tempfile::TempDir;

use super::gate::{Block, CERTIFICATE, Gate};
use crate::auth::AuthServer;
use crate::curl::curl;
use crate::front::Security;
use crate::instance::directory;
use crate::process::{Outcome, Server, free_addresses, program};
use crate::site::{Site, site};
use crate::subject;

const CLIENT: &str = "auth_http_ssl_certificate @pki@/proxy-ecdsa.crt;\n\
    auth_http_ssl_certificate_key @pki@/proxy-ecdsa.key;\n";
const ROOT: &str = "auth_http_ssl_trusted_certificate @pki@/root.crt;\n";
const OTHER: &str = "auth_http_ssl_trusted_certificate @pki@/other.crt;\n";

/// By its address, and by a name. The web server wants a certificate too.
#[test]
fn verified() {
    if subject::is_nginx() {
        return;
    }
    let web = Web::start();
    for name in ["", "auth_http_ssl_name backend.example.test;\n"] {
        let (gate, outcome) = web.log_in(&[ROOT, name]);
        outcome.success();
        gate.site.dovecot_logged(&["imap-login", "Login:", "user=<https>"]);
    }
    assert_eq!(web.auth.requests("https").len(), 2);
}

/// Who decides on logins sees passwords: only the right one may.
#[test]
fn untrusted() {
    if subject::is_nginx() {
        return;
    }
    let web = Web::start();
    let wrong = "auth_http_ssl_name wrong.example.test;\n";
    for (options, reason) in [
        ([ROOT, wrong], "certificate does not match \"wrong.example.test\""),
        ([OTHER, ""], "certificate verify error: (20:unable to get local issuer certificate)"),
    ] {
        let (gate, outcome) = web.log_in(&options);
        assert_ne!(outcome.status, Some(0), "{}", outcome.text());
        gate.instance.logged(&["[error]", reason, &web.address.to_string()]);
    }
    assert!(web.auth.requests("https").is_empty());
}

/// The web server, and what it stands in front of.
struct Web {
    address: SocketAddr,
    auth: AuthServer,
    /// Its certificates must not change between two proxies.
    _site: Arc<Site>,
    _server: Server,
    _directory: TempDir,
}

impl Web {
    fn start() -> Web {
        let site = site();
        let auth = AuthServer::start(site.routes());
        let [address] = free_addresses();
        let directory = directory();
        let path = directory.path().display();
        let pki = site.pki.path().display();
        let configuration = format!(
            "daemon off;\nmaster_process off;\nerror_log {path}/web.log;\npid {path}/web.pid;\nevents {{}}\n\
             http {{ access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
             fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
             server {{ listen {address} ssl; ssl_certificate {pki}/backend.crt; ssl_certificate_key {pki}/backend.key;\n\
             ssl_verify_client on; ssl_client_certificate {pki}/root.crt;\n\
             location / {{ proxy_pass {}; }} }} }}\n",
            auth.url("").trim_end_matches('/')
        );
        let file = directory.path().join("web.conf");
        fs::write(&file, configuration).unwrap();
        let binary = program("nginx");
        let command = [binary.to_str().unwrap(), "-c", file.to_str().unwrap()];
        let mut server = Server::start("the web server", &command, directory.path().join("web.out"));
        server.wait_until_up(&[address], &directory.path().join("web.log"));
        Web { address, auth, _site: site, _server: server, _directory: directory }
    }

    /// By IMAP, through a proxy that asks the web server.
    fn log_in(&self, options: &[&str]) -> (Gate, Outcome) {
        // The last auth_http counts.
        let more = format!("auth_http https://{}/imap;", self.address);
        let block = Block { more, ..Block::new("imap", Security::Tls) };
        let gate = Gate::start(&[CERTIFICATE, CLIENT, &options.concat()].concat(), &[block]);
        let outcome = curl("imap", gate.fronts[0], "/", "https", &["--login-options", "AUTH=PLAIN"]);
        (gate, outcome)
    }
}
