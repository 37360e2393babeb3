//! Directives that are in order, and lead nowhere beside others.

use super::diagnostic::{Diagnostics, Place};
use super::merge::Mail;
use super::settings::MailSettings;
use super::tls::client::{asks_by_tls, speaks_tls_to_mail_servers};
use crate::log::Level;

/// Warns of those about what other servers are asked.
pub fn check(mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
    let without_effect = "without \"proxy_ssl\", and there is no \"auth_http\" to decide on it";
    warn(mail, speaks_tls_to_mail_servers, |block| &block.proxy_tls.met, without_effect, diagnostics);
    warn(mail, asks_by_tls, |block| &block.auth_tls.met, "without \"auth_http https://...\"", diagnostics);
    warn(mail, Mail::asks, |block| &block.auth_http_met, "with \"auth_users_file\"", diagnostics);
}

/// Warns of the directives of each block under which nobody uses them.
fn warn<'a>(
    mail: &Mail<'a>,
    used: impl Fn(&Mail<'a>, &MailSettings) -> bool,
    of: impl Fn(&MailSettings) -> &[(String, Place)],
    why: &str,
    diagnostics: &mut Diagnostics,
) {
    let mut tell = |block: &MailSettings| {
        for (name, place) in of(block) {
            let message = format!("the \"{name}\" directive has no effect {why}, ignored");
            diagnostics.push(Level::Warn, place, message);
        }
    };
    if !mail.mail.tainted && !mail.servers.iter().any(|server| used(mail, server)) {
        tell(mail.mail);
    }
    mail.servers.iter().filter(|server| !used(mail, server)).for_each(&mut tell);
}
