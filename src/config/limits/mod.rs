//! The limits for clients: what they may not overstep, and what becomes of those who do.

pub mod access;
pub mod connections;
pub mod logins;

use std::time::Duration;

pub use access::Rule;

use super::call::{Call, Outcome};
use super::diagnostic::{Diagnostics, Place};
use super::merge::{Mail, either};
use super::settings::MailSettings;
use crate::log::Level;

/// Nobody needs so many to log in; freenginx's number.
pub const DEFAULT_MAX_COMMANDS: u64 = 1000;

const DEFAULT_LOGIN_TIMEOUT: Duration = Duration::from_secs(180);

/// The limits of a server that are not of its protocol.
#[derive(Debug)]
pub struct Limits {
    /// `login_timeout` (3m): from `accept` to the end of the login, whatever happens in between.
    pub login_timeout: Duration,
    /// `allow` and `deny`, in order.
    pub access: Vec<Rule>,
    /// `limit_conn`, with their zones.
    pub connections: Vec<connections::Limit>,
    /// `limit_conn_log_level` (error)
    pub connections_log_level: Level,
    /// `limit_conn_dry_run` (off)
    pub connections_dry_run: bool,
    /// `limit_login`
    pub failed_logins: logins::FailedLogins,
}

/// The same as they are set.
#[derive(Debug, Default)]
pub struct Settings {
    pub max_commands: Option<u64>,
    pub login_timeout: Option<Duration>,
    pub access: Vec<Rule>,
    /// In `mail` only.
    pub zones: connections::Zones,
    pub connections: Vec<connections::Wanted>,
    pub connections_log_level: Option<Level>,
    pub connections_dry_run: Option<bool>,
    pub failed_logins: logins::Settings,
}

/// `max_commands number;`
pub fn max_commands(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    call.number(&mut mail.limits.max_commands)?;
    if mail.limits.max_commands == Some(0) { Err(call.wrong("must be at least 1")) } else { Ok(()) }
}

/// `name time;`, and some of it.
pub fn positive(slot: &mut Option<Duration>, call: &mut Call<'_>) -> Outcome {
    call.milliseconds(slot)?;
    match slot.take_if(|time| time.is_zero()) {
        Some(_) => Err(call.wrong("must be longer than 0")),
        None => Ok(()),
    }
}

/// Refuses a parameter `name=value` whose name was there before.
fn each_once(call: &Call<'_>) -> Outcome {
    let mut names = Vec::new();
    for text in call.args {
        let Some((name, _)) = text.split_once('=') else { continue };
        if names.contains(&name) {
            return Err(format!("duplicate parameter \"{text}\" in \"{}\" directive", call.name));
        }
        names.push(name);
    }
    Ok(())
}

impl Mail<'_> {
    /// What is in force for a server.
    pub fn limits(&self, own: &MailSettings) -> Limits {
        let connections = connections::in_force(self, own);
        let (own, mail) = (&own.limits, &self.mail.limits);
        Limits {
            login_timeout: either(&own.login_timeout, &mail.login_timeout, DEFAULT_LOGIN_TIMEOUT),
            access: if own.access.is_empty() { &mail.access } else { &own.access }.clone(),
            connections,
            connections_log_level: either(&own.connections_log_level, &mail.connections_log_level, Level::Error),
            connections_dry_run: either(&own.connections_dry_run, &mail.connections_dry_run, false),
            failed_logins: logins::in_force(&own.failed_logins, &mail.failed_logins),
        }
    }

    /// `max_commands`
    pub fn max_commands(&self, own: &MailSettings) -> u32 {
        let number = either(&own.limits.max_commands, &self.mail.limits.max_commands, DEFAULT_MAX_COMMANDS);
        u32::try_from(number).unwrap_or(u32::MAX)
    }
}

/// Finds what contradicts itself.
pub fn check(mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
    connections::check(mail, diagnostics);
    warn_of_times(mail, diagnostics);
    warn_of_proxies(mail, diagnostics);
}

/// Warns where the addresses of clients are not known, though somebody tells them.
fn warn_of_proxies(mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
    for server in mail.servers {
        let nobody_is_believed = server.real_ip_from.is_empty() && mail.mail.real_ip_from.is_empty();
        let counts = logins::in_force(&server.limits.failed_logins, &mail.mail.limits.failed_logins).address.is_some();
        for listen in server.listens.iter().filter(|listen| listen.proxy_protocol && nobody_is_believed && counts) {
            let message =
                "\"proxy_protocol\" without \"set_real_ip_from\": \"limit_login address\" counts nobody there";
            diagnostics.push(Level::Warn, &listen.place, message);
        }
    }
}

/// Warns of what a configuration made for nginx promises to clients, and `login_timeout` takes away.
fn warn_of_times(mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
    for server in mail.servers {
        let outer = mail.mail;
        let limit = either(&server.limits.login_timeout, &outer.limits.login_timeout, DEFAULT_LOGIN_TIMEOUT);
        let named = [
            ("timeout", server.timeout.or(outer.timeout)),
            ("auth_http_timeout", server.auth_http_timeout.or(outer.auth_http_timeout)),
            ("smtp_greeting_delay", server.smtp_greeting_delay.or(outer.smtp_greeting_delay)),
            ("resolver_timeout", server.resolver_timeout.or(outer.resolver_timeout)),
        ];
        for (name, _) in named.into_iter().filter(|(_, time)| time.is_some_and(|time| time > limit)) {
            let message = format!(
                "\"{name}\" is longer than \"login_timeout\" ({}s), which ends a login before, for server{}",
                limit.as_secs_f32(),
                server.place
            );
            diagnostics.push(Level::Warn, &Place::Nowhere, message);
        }
    }
}
