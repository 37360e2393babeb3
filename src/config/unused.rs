//! Directives that are in order, and lead nowhere beside others.

use super::diagnostic::{Diagnostics, Place};
use super::merge::Mail;
use super::settings::MailSettings;
use super::tls::client::{InForce, asks_by_tls, speaks_tls_to_mail_servers};
use crate::log::Level;

/// Warns of those about what other servers are asked.
pub fn check(mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
    warn(
        mail,
        |block| &block.auth_http_met,
        |_, _| true,
        Mail::asks,
        |_| true,
        "with \"auth_users_file\"",
        diagnostics,
    );
    let proxy = Tls {
        prefix: "proxy_ssl",
        spoken: speaks_tls_to_mail_servers,
        silent: "without \"proxy_ssl\", and there is no \"auth_http\" to decide on it",
        met: |block| &block.proxy_tls.met,
        in_force: |mail, server| Mail::proxy_tls(mail, server),
    };
    let auth = Tls {
        prefix: "auth_http_ssl",
        spoken: asks_by_tls,
        silent: "without \"auth_http https://...\"",
        met: |block| &block.auth_tls.met,
        in_force: |mail, server| Mail::auth_tls(mail, server),
    };
    proxy.check(mail, diagnostics);
    auth.check(mail, diagnostics);
}

/// The directives of TLS towards one kind of servers.
struct Tls {
    /// What their names begin with.
    prefix: &'static str,
    /// Whether it may come to TLS.
    spoken: fn(&Mail<'_>, &MailSettings) -> bool,
    /// Why it may not.
    silent: &'static str,
    /// Those that a block has.
    met: fn(&MailSettings) -> &[(String, Place)],
    /// Those that are in force for a server.
    in_force: for<'a> fn(&'a Mail<'_>, &'a MailSettings) -> InForce<'a>,
}

impl Tls {
    fn check(&self, mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
        let Tls { prefix, spoken, silent, met, in_force } = self;
        warn(mail, met, |_, _| true, spoken, |_| true, silent, diagnostics);
        let is_any = |name: &str, of: &[&str]| name.strip_prefix(prefix).is_some_and(|name| of.contains(&name));
        // Where there is no TLS at all, that has been said.
        let verifies = |mail: &Mail<'_>, server: &MailSettings| in_force(mail, server).verifies();
        let of_verification = |name: &str| is_any(name, &["_trusted_certificate", "_crl", "_verify_depth"]);
        warn(mail, met, spoken, verifies, of_verification, &format!("with \"{prefix}_verify off\""), diagnostics);
        let shows = |mail: &Mail<'_>, server: &MailSettings| in_force(mail, server).shows_certificate();
        let of_key = |name: &str| is_any(name, &["_certificate_key", "_password_file"]);
        warn(mail, met, spoken, shows, of_key, &format!("without \"{prefix}_certificate\""), diagnostics);
    }
}

/// Warns of the directives of each block, those of them with such a name, that nobody uses of those whom they `concern` there.
fn warn<'a>(
    mail: &Mail<'a>,
    met: impl Fn(&MailSettings) -> &[(String, Place)],
    concern: impl Fn(&Mail<'a>, &MailSettings) -> bool,
    used: impl Fn(&Mail<'a>, &MailSettings) -> bool,
    is_one: impl Fn(&str) -> bool,
    why: &str,
    diagnostics: &mut Diagnostics,
) {
    let mut tell = |block: &MailSettings| {
        for (name, place) in met(block).iter().filter(|(name, _)| is_one(name)) {
            let message = format!("the \"{name}\" directive has no effect {why}, ignored");
            diagnostics.push(Level::Warn, place, message);
        }
    };
    let concerned: Vec<&MailSettings> = mail.servers.iter().filter(|server| concern(mail, server)).collect();
    if !mail.mail.tainted && !concerned.is_empty() && !concerned.iter().any(|server| used(mail, server)) {
        tell(mail.mail);
    }
    concerned.into_iter().filter(|server| !used(mail, server)).for_each(&mut tell);
}
