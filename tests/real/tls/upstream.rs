//! TLS towards mail servers: the name that is verified, client certificates, and what the authentication server decides.

use super::gate::{Block, CERTIFICATE, Gate};
use crate::curl::curl;
use crate::front::{Front, Security};
use crate::process::{Outcome, wait_for};
use crate::site::DOMAIN;
use crate::subject;

const TRUST: &str = "proxy_ssl_trusted_certificate @pki@/root.crt;\n";

/// A service of the back ends.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) protocol: &'static str,
    /// The value of `proxy_ssl`.
    pub(super) mode: &'static str,
    /// Where it is.
    pub(super) route: &'static str,
    more: &'static str,
}

impl Service {
    /// Dovecot's and Postfix's, each with TLS from the first byte and with STARTTLS.
    pub(super) fn all() -> [Service; 8] {
        let both = [
            ("imap", "imaps", "imap", ""),
            ("pop3", "pop3s", "pop3", ""),
            ("smtp", "smtps", "smtp", ""),
            ("smtp", "submissions", "submission", "proxy_smtp_auth on;"),
        ];
        std::array::from_fn(|number| {
            let (protocol, tls, starttls, more) = both[number / 2];
            let (mode, route) = if number % 2 == 0 { ("on", tls) } else { ("starttls", starttls) };
            Service { protocol, mode, route, more }
        })
    }

    /// A front end, with TLS itself.
    pub(super) fn block(&self, more: &str) -> Block {
        Block {
            route: self.route.to_string(),
            more: format!("proxy_ssl {}; {} {more}", self.mode, self.more),
            ..Block::new(self.protocol, Security::Tls)
        }
    }
}

/// Logs in, and does nothing, or, by SMTP, sends an empty message.
pub(super) fn log_in(service: &Service, front: Front, user: &str) -> Outcome {
    let to = format!("{user}@{DOMAIN}");
    let login = ["--login-options", "AUTH=PLAIN"];
    let message = ["--mail-from", "a@example.test", "--mail-rcpt", &to, "-T", "/dev/null"];
    let more: &[&str] = if service.protocol == "smtp" { &message } else { &[] };
    curl(service.protocol, front, "/", user, &[&login, more].concat())
}

/// Without `proxy_ssl_name`, the certificate must be for the address that was connected to.
#[test]
fn by_address() {
    if subject::is_nginx() {
        return;
    }
    let blocks: Vec<Block> = Service::all().iter().map(|service| service.block("")).collect();
    let gate = Gate::start(&[CERTIFICATE, TRUST].concat(), &blocks);
    for (service, front) in Service::all().iter().zip(&gate.fronts) {
        log_in(service, *front, "upstream").success();
    }
    for service in ["imap-login", "pop3-login", "submission-login"] {
        gate.site.dovecot_logged(&[service, "Login:", "user=<upstream>", ", TLS"]);
    }
}

/// `Auth-SSL-Upstream` has the last word.
#[test]
fn as_the_authentication_server_says() {
    if subject::is_nginx() {
        return;
    }
    let decided = |service: &Service, configured: &str| Block {
        route: format!("{}+{}", service.route, service.mode),
        more: format!("proxy_ssl {configured}; {}", service.more),
        ..Block::new(service.protocol, Security::Tls)
    };
    let services = Service::all();
    for configured in ["off", "on", "starttls"] {
        let blocks: Vec<Block> = services.iter().map(|service| decided(service, configured)).collect();
        let gate = Gate::start(&[CERTIFICATE, TRUST].concat(), &blocks);
        for (service, front) in services.iter().zip(&gate.fronts) {
            log_in(service, *front, "decided").success();
        }
        gate.site.dovecot_logged(&["imap-login", "Login:", "user=<decided>", ", TLS"]);
    }
    let plain = Service { protocol: "imap", mode: "off", route: "imap", more: "" };
    let gate = Gate::start(&[CERTIFICATE, TRUST].concat(), &[decided(&plain, "on")]);
    log_in(&plain, gate.fronts[0], "undecided").success();
    let line = gate.site.dovecot_logged(&["imap-login", "Login:", "user=<undecided>"]);
    assert!(!line.contains(", TLS"), "{line}");
}

/// Postfix verifies the proxy.
#[test]
fn client_certificate() {
    if subject::is_nginx() {
        return;
    }
    let services = Service::all();
    let services: Vec<&Service> = services.iter().filter(|service| service.route.starts_with("smtp")).collect();
    let own = "proxy_ssl_certificate @pki@/proxy-rsa.crt; proxy_ssl_certificate_key @pki@/proxy-rsa.key;";
    let blocks: Vec<Block> = services.iter().map(|service| service.block(own)).collect();
    let gate = Gate::start(&[CERTIFICATE, TRUST].concat(), &blocks);
    let trusted = || gate.site.logs().matches("Trusted TLS connection established from unknown[").count();
    for (number, (service, front)) in (1..).zip(services.iter().zip(&gate.fronts)) {
        log_in(service, *front, "proven").success();
        wait_for("a line about the proxy's certificate in Postfix's log", || (trusted() == number).then_some(()));
    }
}
