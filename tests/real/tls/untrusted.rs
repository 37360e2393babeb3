//! Mail servers that cannot prove who they are: nobody's password gets there, and the log says why.
//!
//! Dovecot and Postfix choose among their certificates by the name that the proxy asks for.

use super::gate::{Block, CERTIFICATE, Gate};
use super::upstream::{Service, log_in};
use crate::site::pki::{EXPIRED, REVOKED, UNKNOWN};
use crate::subject;

const VERIFY: &str = "proxy_ssl_trusted_certificate @pki@/root.crt; proxy_ssl_crl @pki@/root.crl;\n\
    proxy_ssl_server_name on;\n";

#[test]
fn wrong_name() {
    // They show their usual certificate for a name that they do not have.
    refused("misnamed", "wrong.example.test", "upstream SSL certificate does not match \"wrong.example.test\"");
}

#[test]
fn expired() {
    refused("outdated", EXPIRED, "(10:certificate has expired)");
}

#[test]
fn unknown_authority() {
    refused("foreign", UNKNOWN, "(20:unable to get local issuer certificate)");
}

#[test]
fn revoked() {
    refused("withdrawn", REVOKED, "(23:certificate revoked)");
}

fn refused(user: &str, name: &str, reason: &str) {
    if subject::is_nginx() {
        return;
    }
    let gate = gate(name, "on");
    for (service, front) in Service::all().iter().zip(&gate.fronts) {
        let outcome = log_in(service, *front, user);
        assert_ne!(outcome.status, Some(0), "{service:?}: {}", outcome.text());
        let server = format!("upstream: {}", gate.site.place(service.route));
        gate.instance.logged(&["[error]", reason, &format!("login: \"{user}\""), &server]);
    }
    assert!(!gate.site.logs().contains(user), "the back ends heard of {user}");
    // The same servers let the same user in when nobody looks: nothing else was wrong, and their logs do tell of logins.
    drop(gate);
    let gate = self::gate(name, "off");
    for (service, front) in Service::all().iter().zip(&gate.fronts) {
        log_in(service, *front, user).success();
    }
    for service in ["imap-login", "pop3-login", "submission-login"] {
        gate.site.dovecot_logged(&[service, "Login:", &format!("user=<{user}>"), ", TLS"]);
    }
    gate.site.postfix_logged(&[&format!("sasl_username={user}")]);
}

fn gate(name: &str, verify: &str) -> Gate {
    let more = format!("proxy_ssl_name {name}; proxy_ssl_verify {verify};");
    let blocks: Vec<Block> = Service::all().iter().map(|service| service.block(&more)).collect();
    Gate::start(&[CERTIFICATE, VERIFY].concat(), &blocks)
}
