//! The table of every directive: where it may stand, how many arguments it takes, what it sets.
//!
//! A name that has different meanings in different blocks has several rows.

use gatepost_conf::table::{Arity, Contexts, Entry};
use gatepost_conf::value;

use crate::config::ProxyProtocol;
use crate::config::call::{Call, Outcome};
use crate::config::setters::{self, APOP, CRAM_MD5, EXTERNAL, LOGIN, NONE, PLAIN};
use crate::config::settings::{MailSettings, MainSettings};
use crate::config::{affinity, error_log, ignored, limits, listen, tls};
use crate::tls::options::{UpstreamTls, VerifyClient};

/// Outside every block, and in `-g`.
pub const MAIN: Contexts = Contexts(1);
/// In `events`.
pub const EVENTS: Contexts = Contexts(2);
/// In `mail`.
pub const MAIL: Contexts = Contexts(4);
/// In `server` in `mail`.
pub const SERVER: Contexts = Contexts(8);

/// In `mail`, and in `server`, which inherits from it.
const BOTH: Contexts = MAIL.or(SERVER);
const ANYWHERE: Contexts = MAIN.or(EVENTS).or(BOTH);

/// What a directive does.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Reads other files in its place.
    Include,
    /// Begins `events`.
    Events,
    /// Begins `mail`.
    Mail,
    /// Begins a `server`.
    Server,
    /// Has a block that is none of our business.
    Skip,
    /// Sets something of the main level.
    Main(fn(&mut MainSettings, &mut Call<'_>) -> Outcome),
    /// Sets something of `mail` or `server`.
    Block(fn(&mut MailSettings, &mut Call<'_>) -> Outcome),
}

use Action::{Block, Main};

const ONE: Arity = Arity::exactly(1);
const TWO: Arity = Arity::exactly(2);

const fn row(name: &'static str, contexts: Contexts, arity: Arity, action: Action) -> Entry<Action> {
    Entry { name, contexts, arity, block: false, action }
}

const fn block(name: &'static str, contexts: Contexts, action: Action) -> Entry<Action> {
    Entry { name, contexts, arity: Arity::NONE, block: true, action }
}

/// The table.
pub const DIRECTIVES: &[Entry<Action>] = &[
    row("include", ANYWHERE, ONE, Action::Include),
    block("events", MAIN, Action::Events),
    block("mail", MAIN, Action::Mail),
    block("server", MAIL, Action::Server),
    block("http", MAIN, Action::Skip),
    block("stream", MAIN, Action::Skip),
    // The process.
    row("daemon", MAIN, ONE, Main(|m, c| c.flag(&mut m.daemon))),
    row("error_log", MAIN, Arity::ANY, Main(|m, c| error_log::directive(&mut m.error_log, c))),
    row("master_process", MAIN, ONE, Main(|m, c| c.flag(&mut m.master_process))),
    row("pid", MAIN, ONE, Main(setters::pid)),
    row("sandbox", MAIN, ONE, Main(|m, c| c.flag(&mut m.sandbox))),
    row("user", MAIN, Arity::between(1, 2), Main(setters::user)),
    row("worker_priority", MAIN, ONE, Main(setters::worker_priority)),
    row("worker_processes", MAIN, ONE, Main(setters::worker_processes)),
    row("worker_rlimit_core", MAIN, ONE, Main(|m, c| c.offset(&mut m.worker_rlimit_core))),
    row("worker_rlimit_nofile", MAIN, ONE, Main(|m, c| c.number(&mut m.worker_rlimit_nofile))),
    row("worker_shutdown_timeout", MAIN, ONE, Main(|m, c| c.milliseconds(&mut m.worker_shutdown_timeout))),
    row("working_directory", MAIN, ONE, Main(|m, c| c.path(&mut m.working_directory))),
    row("debug_points", MAIN, ONE, Main(ignored::debug_points)),
    row("env", MAIN, ONE, Main(affinity::env)),
    row("load_module", MAIN, ONE, Main(ignored::load_module)),
    row("lock_file", MAIN, ONE, Main(ignored::text)),
    row("pcre_jit", MAIN, ONE, Main(ignored::flag)),
    row("ssl_engine", MAIN, ONE, Main(ignored::text)),
    row("ssl_object_cache_inheritable", MAIN, ONE, Main(ignored::flag)),
    row("thread_pool", MAIN, Arity::between(2, 3), Main(ignored::thread_pool)),
    row("timer_resolution", MAIN, ONE, Main(ignored::milliseconds)),
    row("worker_cpu_affinity", MAIN, Arity::ANY, Main(affinity::cpu_affinity)),
    // Events.
    row("worker_connections", EVENTS, ONE, Main(setters::worker_connections)),
    row("accept_mutex", EVENTS, ONE, Main(ignored::flag)),
    row("accept_mutex_delay", EVENTS, ONE, Main(ignored::milliseconds)),
    row("debug_connection", EVENTS, ONE, Main(ignored::debug_connection)),
    row("epoll_events", EVENTS, ONE, Main(ignored::number)),
    row("multi_accept", EVENTS, ONE, Main(ignored::flag)),
    row("use", EVENTS, ONE, Main(ignored::event_method)),
    row("worker_aio_requests", EVENTS, ONE, Main(ignored::number)),
    // Servers.
    row("error_log", BOTH, Arity::ANY, Block(|s, c| error_log::directive(&mut s.error_log, c))),
    row("listen", SERVER, Arity::ANY, Block(listen::directive)),
    row("max_errors", BOTH, ONE, Block(|s, c| c.number(&mut s.max_errors))),
    row("protocol", SERVER, ONE, Block(setters::protocol)),
    row("resolver", BOTH, Arity::ANY, Block(setters::resolver)),
    row("resolver_timeout", BOTH, ONE, Block(|s, c| c.milliseconds(&mut s.resolver_timeout))),
    row("server_name", BOTH, Arity::ANY, Block(setters::server_name)),
    row("set_real_ip_from", BOTH, ONE, Block(setters::real_ip_from)),
    row("timeout", BOTH, ONE, Block(|s, c| c.milliseconds(&mut s.timeout))),
    // Limits.
    row("allow", BOTH, ONE, Block(|s, c| limits::access::directive(&mut s.limits.access, true, c))),
    row("deny", BOTH, ONE, Block(|s, c| limits::access::directive(&mut s.limits.access, false, c))),
    row("limit_conn", BOTH, TWO, Block(|s, c| limits::connections::limit(&mut s.limits.connections, c))),
    row("limit_conn_dry_run", BOTH, ONE, Block(|s, c| c.flag(&mut s.limits.connections_dry_run))),
    row(
        "limit_conn_log_level",
        BOTH,
        ONE,
        Block(|s, c| c.choice(&mut s.limits.connections_log_level, limits::connections::LOG_LEVELS)),
    ),
    row("limit_conn_zone", MAIL, Arity::between(2, 4), Block(|s, c| limits::connections::zone(&mut s.limits.zones, c))),
    row("limit_login", BOTH, Arity::ANY, Block(|s, c| limits::logins::directive(&mut s.limits.failed_logins, c))),
    row("limit_login_exempt", BOTH, ONE, Block(|s, c| limits::logins::exempt(&mut s.limits.failed_logins, c))),
    row("login_timeout", BOTH, ONE, Block(|s, c| limits::positive(&mut s.limits.login_timeout, c))),
    row("max_commands", BOTH, ONE, Block(limits::max_commands)),
    // Who may log in.
    row("auth_http", BOTH, ONE, Block(setters::auth_http)),
    row("auth_http_header", BOTH, TWO, Block(|s, c| setters::auth_http_header(s.meet(c), c))),
    row("auth_http_pass_client_cert", BOTH, ONE, Block(|s, c| c.flag(&mut s.meet(c).auth_http_pass_client_cert))),
    row("auth_http_ssl_certificate", BOTH, ONE, Block(|s, c| c.text(&mut s.auth_tls.meet(c).certificate))),
    row("auth_http_ssl_certificate_key", BOTH, ONE, Block(|s, c| c.text(&mut s.auth_tls.meet(c).certificate_key))),
    row("auth_http_ssl_name", BOTH, ONE, Block(|s, c| tls::name(&mut s.auth_tls.meet(c).name, c))),
    row(
        "auth_http_ssl_trusted_certificate",
        BOTH,
        ONE,
        Block(|s, c| c.text(&mut s.auth_tls.meet(c).trusted_certificate)),
    ),
    row("auth_http_ssl_verify", BOTH, ONE, Block(|s, c| c.flag(&mut s.auth_tls.meet(c).verify))),
    row("auth_http_ssl_verify_depth", BOTH, ONE, Block(|s, c| c.number(&mut s.auth_tls.meet(c).verify_depth))),
    row("auth_http_timeout", BOTH, ONE, Block(|s, c| c.milliseconds(&mut s.meet(c).auth_http_timeout))),
    row("auth_users_file", BOTH, ONE, Block(setters::auth_users_file)),
    // The protocols.
    row("imap_auth", BOTH, Arity::ANY, Block(|s, c| setters::mechanisms(&mut s.imap, c, IMAP_MECHANISMS))),
    row("imap_capabilities", BOTH, Arity::ANY, Block(|s, c| setters::capabilities(&mut s.imap, c))),
    row("imap_client_buffer", BOTH, ONE, Block(|s, c| c.size(&mut s.imap.client_buffer))),
    row("pop3_auth", BOTH, Arity::ANY, Block(|s, c| setters::mechanisms(&mut s.pop3, c, POP3_MECHANISMS))),
    row("pop3_capabilities", BOTH, Arity::ANY, Block(|s, c| setters::capabilities(&mut s.pop3, c))),
    row("smtp_auth", BOTH, Arity::ANY, Block(|s, c| setters::mechanisms(&mut s.smtp, c, SMTP_MECHANISMS))),
    row("smtp_capabilities", BOTH, Arity::ANY, Block(|s, c| setters::capabilities(&mut s.smtp, c))),
    row("smtp_client_buffer", BOTH, ONE, Block(|s, c| c.size(&mut s.smtp.client_buffer))),
    row("smtp_greeting_delay", BOTH, ONE, Block(|s, c| c.milliseconds(&mut s.smtp_greeting_delay))),
    // Mail servers.
    row("proxy", BOTH, ONE, Block(ignored::proxy)),
    row("proxy_buffer", BOTH, ONE, Block(|s, c| c.size(&mut s.proxy_buffer))),
    row("proxy_pass", BOTH, ONE, Block(setters::proxy_pass)),
    row("proxy_pass_error_message", BOTH, ONE, Block(|s, c| c.flag(&mut s.proxy_pass_error_message))),
    row("proxy_protocol", BOTH, ONE, Block(|s, c| c.choice(&mut s.proxy_protocol, PROXY_PROTOCOLS))),
    row("proxy_smtp_auth", BOTH, ONE, Block(|s, c| c.flag(&mut s.proxy_smtp_auth))),
    row("proxy_timeout", BOTH, ONE, Block(|s, c| c.milliseconds(&mut s.proxy_timeout))),
    row("proxy_ssl", BOTH, ONE, Block(|s, c| c.choice(&mut s.proxy_ssl, PROXY_SSL))),
    row("proxy_ssl_certificate", BOTH, ONE, Block(|s, c| c.text(&mut s.proxy_tls.meet(c).certificate))),
    row("proxy_ssl_certificate_key", BOTH, ONE, Block(|s, c| c.text(&mut s.proxy_tls.meet(c).certificate_key))),
    row("proxy_ssl_ciphers", BOTH, ONE, Block(|s, c| c.text(&mut s.proxy_tls.meet(c).ciphers))),
    row(
        "proxy_ssl_conf_command",
        BOTH,
        TWO,
        Block(|s, c| tls::conf_command(&mut s.proxy_tls.meet(c).conf_commands, c)),
    ),
    row("proxy_ssl_crl", BOTH, ONE, Block(|s, c| c.text(&mut s.proxy_tls.meet(c).crl))),
    row("proxy_ssl_name", BOTH, ONE, Block(|s, c| tls::name(&mut s.proxy_tls.meet(c).name, c))),
    row("proxy_ssl_password_file", BOTH, ONE, Block(|s, c| tls::password_file(&mut s.proxy_tls.meet(c).passwords, c))),
    row("proxy_ssl_protocols", BOTH, Arity::ANY, Block(|s, c| tls::protocols(&mut s.proxy_tls.meet(c).protocols, c))),
    row("proxy_ssl_server_name", BOTH, ONE, Block(|s, c| c.flag(&mut s.proxy_tls.meet(c).server_name))),
    row("proxy_ssl_session_reuse", BOTH, ONE, Block(|s, c| c.flag(&mut s.proxy_tls.meet(c).session_reuse))),
    row("proxy_ssl_trusted_certificate", BOTH, ONE, Block(|s, c| c.text(&mut s.proxy_tls.meet(c).trusted_certificate))),
    row("proxy_ssl_verify", BOTH, ONE, Block(|s, c| c.flag(&mut s.proxy_tls.meet(c).verify))),
    row("proxy_ssl_verify_depth", BOTH, ONE, Block(|s, c| c.number(&mut s.proxy_tls.meet(c).verify_depth))),
    row("xclient", BOTH, ONE, Block(|s, c| c.flag(&mut s.xclient))),
    // TLS.
    row("ssl", BOTH, ONE, Block(tls::server::ssl)),
    row("starttls", BOTH, ONE, Block(tls::server::starttls)),
    row("ssl_certificate", BOTH, ONE, Block(|s, c| tls::repeated(&mut s.tls.certificates, c))),
    row("ssl_certificate_compression", BOTH, ONE, Block(|s, c| c.flag(&mut s.tls.certificate_compression))),
    row("ssl_certificate_key", BOTH, ONE, Block(|s, c| tls::repeated(&mut s.tls.certificate_keys, c))),
    row("ssl_ciphers", BOTH, ONE, Block(|s, c| c.text(&mut s.tls.ciphers))),
    row("ssl_client_certificate", BOTH, ONE, Block(|s, c| c.text(&mut s.tls.client_certificate))),
    row("ssl_conf_command", BOTH, TWO, Block(|s, c| tls::conf_command(&mut s.tls.conf_commands, c))),
    row("ssl_crl", BOTH, ONE, Block(|s, c| c.text(&mut s.tls.crl))),
    row("ssl_dhparam", BOTH, ONE, Block(|s, c| c.text(&mut s.tls.dhparam))),
    row("ssl_ecdh_curve", BOTH, ONE, Block(|s, c| c.text(&mut s.tls.ecdh_curve))),
    row("ssl_password_file", BOTH, ONE, Block(|s, c| tls::password_file(&mut s.tls.passwords, c))),
    row("ssl_prefer_server_ciphers", BOTH, ONE, Block(|s, c| c.flag(&mut s.tls.prefer_server_ciphers))),
    row("ssl_protocols", BOTH, Arity::ANY, Block(|s, c| tls::protocols(&mut s.tls.protocols, c))),
    row("ssl_session_cache", BOTH, Arity::between(1, 2), Block(tls::server::session_cache)),
    row("ssl_session_ticket_key", BOTH, ONE, Block(|s, c| tls::repeated(&mut s.tls.session_ticket_keys, c))),
    row("ssl_session_tickets", BOTH, ONE, Block(|s, c| c.flag(&mut s.tls.session_tickets))),
    row("ssl_session_timeout", BOTH, ONE, Block(|s, c| c.parsed(&mut s.tls.session_timeout, value::seconds))),
    row("ssl_trusted_certificate", BOTH, ONE, Block(|s, c| c.text(&mut s.tls.trusted_certificate))),
    row("ssl_verify_client", BOTH, ONE, Block(|s, c| c.choice(&mut s.tls.verify_client, VERIFY_CLIENT))),
    row("ssl_verify_depth", BOTH, ONE, Block(|s, c| c.number(&mut s.tls.verify_depth))),
];

const IMAP_MECHANISMS: &[setters::Mechanism] = &[PLAIN, LOGIN, CRAM_MD5, EXTERNAL];
const POP3_MECHANISMS: &[setters::Mechanism] = &[PLAIN, APOP, CRAM_MD5, EXTERNAL];
const SMTP_MECHANISMS: &[setters::Mechanism] = &[PLAIN, LOGIN, CRAM_MD5, EXTERNAL, NONE];

const PROXY_PROTOCOLS: &[(&str, ProxyProtocol)] =
    &[("off", ProxyProtocol::Off), ("on", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)];

const PROXY_SSL: &[(&str, UpstreamTls)] =
    &[("off", UpstreamTls::Off), ("on", UpstreamTls::On), ("starttls", UpstreamTls::StartTls)];

const VERIFY_CLIENT: &[(&str, VerifyClient)] = &[
    ("off", VerifyClient::Off),
    ("on", VerifyClient::On),
    ("optional", VerifyClient::Optional),
    ("optional_no_ca", VerifyClient::OptionalNoCa),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_row_for_each_context() {
        for (index, entry) in DIRECTIVES.iter().enumerate() {
            for other in &DIRECTIVES[..index] {
                let same = entry.name == other.name && entry.contexts.meets(other.contexts);
                assert!(!same, "{} stands twice in the table", entry.name);
            }
        }
    }

    #[test]
    fn setters_act_where_their_settings_are() {
        for entry in DIRECTIVES {
            let allowed = match entry.action {
                Action::Include => ANYWHERE,
                Action::Events | Action::Mail | Action::Skip => MAIN,
                Action::Server => MAIL,
                Main(_) => MAIN.or(EVENTS),
                Block(_) => BOTH,
            };
            assert_eq!(entry.contexts.or(allowed), allowed, "{}", entry.name);
        }
    }
}
