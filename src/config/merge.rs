//! What a configuration comes to: `server` inherits from `mail`, what is not set gets its default, and what contradicts
//! itself is found.

use std::sync::Arc;
use std::time::Duration;

use gatepost_proto::{Mechanisms, Protocol, StartTls, imap, pop3, smtp};

use super::diagnostic::{Diagnostics, Place};
use super::listen::Listening;
use super::paths::Paths;
use super::settings::{AuthChoice, Dialect, Given, MailSettings, MainSettings, ProxyPass, ProxyTarget};
use super::system::System;
use super::tls::{client, options};
use super::{Auth, AuthHttp, FrontEnd, MailServer, Process, Proxy, ProxyProtocol, Server, limits, sharing, unused};
use crate::addr::Address;
use crate::log::{Destination, Level, Spec};
use crate::tls::options::UpstreamTls;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_RESOLVER_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_PROXY_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_MAX_ERRORS: u64 = 5;
const DEFAULT_CONNECTIONS: u64 = 512;

/// The process.
pub fn process(main: &MainSettings, paths: &Paths) -> Process {
    Process {
        error_log: main_log(&main.error_log, paths),
        user: main.user.clone(),
        daemon: main.daemon.unwrap_or(true),
        master_process: main.master_process.unwrap_or(true),
        pid: main.pid.clone().flatten().unwrap_or_else(|| paths.full(&paths.pid)),
        sandbox: main.sandbox.unwrap_or(true),
        worker_processes: count(main.worker_processes, 1),
        worker_connections: count(main.worker_connections, DEFAULT_CONNECTIONS),
        worker_rlimit_nofile: main.worker_rlimit_nofile,
        worker_rlimit_core: main.worker_rlimit_core,
        worker_priority: main.worker_priority.unwrap_or(0),
        worker_shutdown_timeout: main.worker_shutdown_timeout.filter(|time| !time.is_zero()),
        working_directory: main.working_directory.clone(),
        cpu_affinity: main.cpu_affinity.clone(),
        env: main.env.clone(),
    }
}

fn count(number: Option<u64>, default: u64) -> usize {
    usize::try_from(number.unwrap_or(default)).unwrap_or(usize::MAX).max(1)
}

/// nginx wants one log on this machine: where the configuration names none, the default one joins in.
fn main_log(specs: &[Spec], paths: &Paths) -> Vec<Spec> {
    let mut specs = specs.to_vec();
    if specs.iter().all(|spec| matches!(spec.destination, Destination::Syslog(_))) {
        let destination = match paths.error_log.as_str() {
            "" => Destination::Stderr,
            name => Destination::File(paths.full(name)),
        };
        specs.push(Spec { destination, level: Level::Error });
    }
    specs
}

/// A `mail` block and the servers in it.
pub struct Mail<'a> {
    /// The block.
    pub mail: &'a MailSettings,
    /// Its servers.
    pub servers: &'a [MailSettings],
    /// The logs of the main level.
    pub error_log: &'a [Spec],
    /// The machine.
    pub system: &'a dyn System,
    /// What relative names are relative to.
    pub paths: &'a Paths,
}

impl Mail<'_> {
    /// Finds what is missing or contradicts itself.
    pub fn check(&self, diagnostics: &mut Diagnostics) {
        for server in self.servers {
            if server.protocol == Given::Absent && !server.tainted {
                let message = format!("unknown mail protocol for server{}", server.place);
                diagnostics.error(&Place::Nowhere, message);
            }
        }
        sharing::check(self, diagnostics);
        for server in self.servers {
            self.tls(server).check(diagnostics);
        }
        for server in self.servers {
            self.check_auth(server, diagnostics);
        }
        limits::check(self, diagnostics);
        client::check(self, diagnostics);
        unused::check(self, diagnostics);
        client::warn_of_external(self, diagnostics);
        let users_file = |server| matches!(self.auth(server), Given::Good(AuthChoice::UsersFile(_)) | Given::Bad);
        if !self.servers.iter().any(users_file) {
            without_users_file(self.mail, diagnostics);
        }
    }

    fn check_auth(&self, server: &MailSettings, diagnostics: &mut Diagnostics) {
        match self.auth(server) {
            Given::Absent if !server.tainted && !self.mail.tainted => {
                let message = format!("no \"auth_http\" is defined for server{}", server.place);
                diagnostics.error(&Place::Nowhere, message);
            }
            Given::Good(AuthChoice::Http { .. }) => without_users_file(server, diagnostics),
            Given::Good(AuthChoice::UsersFile(_)) => self.check_where_strangers_go(server, diagnostics),
            Given::Absent | Given::Bad => {}
        }
    }

    /// Clients that do not log in are in no users file.
    fn check_where_strangers_go(&self, server: &MailSettings, diagnostics: &mut Diagnostics) {
        let lets_strangers_in = server.smtp.auth.or(self.mail.smtp.auth).is_some_and(|auth| auth.none);
        let proxy_pass = server.proxy_pass.as_ref().or(self.mail.proxy_pass.as_ref());
        if server.protocol == Given::Good(Protocol::Smtp) && lets_strangers_in && proxy_pass.is_none() {
            let message = "no \"proxy_pass\" is defined for \"smtp_auth none\"";
            diagnostics.error(&server.place, message);
        }
    }

    /// Who decides about its logins.
    pub fn auth<'s>(&'s self, server: &'s MailSettings) -> &'s Given<AuthChoice> {
        if server.auth == Given::Absent { &self.mail.auth } else { &server.auth }
    }

    /// Whether that is an authentication server, as far as is known.
    pub fn asks(&self, server: &MailSettings) -> bool {
        !matches!(self.auth(server), Given::Good(AuthChoice::UsersFile(_)))
    }

    /// Its TLS towards clients.
    pub fn tls<'s>(&'s self, server: &'s MailSettings) -> options::InForce<'s> {
        options::InForce { own: &server.tls, mail: &self.mail.tls }
    }

    /// `proxy_ssl`
    pub fn upstream_tls(&self, server: &MailSettings) -> UpstreamTls {
        either(&server.proxy_ssl, &self.mail.proxy_ssl, UpstreamTls::Off)
    }

    /// Its TLS towards mail servers.
    pub fn proxy_tls<'s>(&'s self, server: &'s MailSettings) -> client::InForce<'s> {
        client::InForce { own: &server.proxy_tls, mail: &self.mail.proxy_tls, tell_name: false }
    }

    /// Its TLS towards the authentication server.
    pub fn auth_tls<'s>(&'s self, server: &'s MailSettings) -> client::InForce<'s> {
        client::InForce { own: &server.auth_tls, mail: &self.mail.auth_tls, tell_name: true }
    }

    /// The servers with all that they inherit, and their `listen`s.
    pub fn merge(&self) -> Option<Vec<Listening>> {
        let merged = |server: &MailSettings| {
            let listens = server.listens.clone();
            Some(Listening { listens, ssl: self.tls(server).ssl(), server: Arc::new(self.server(server)?) })
        };
        self.servers.iter().map(merged).collect()
    }

    fn server(&self, own: &MailSettings) -> Option<Server> {
        let mail = self.mail;
        let Given::Good(protocol) = own.protocol else { return None };
        let server_names = self.server_names(own);
        let server_name = server_names.iter().find(|name| !name.starts_with("*.")).unwrap_or(&server_names[0]).clone();
        let logs = [&own.error_log, &mail.error_log].into_iter().find(|logs| !logs.is_empty());
        let networks = if own.real_ip_from.is_empty() { &mail.real_ip_from } else { &own.real_ip_from };
        Some(Server {
            front_end: self.front_end(own, protocol, &server_name),
            server_name,
            server_names,
            tls: self.tls(own).options(self.paths),
            timeout: either(&own.timeout, &mail.timeout, DEFAULT_TIMEOUT),
            error_log: logs.map_or(self.error_log, Vec::as_slice).to_vec(),
            auth: self.auth_settings(own, protocol)?,
            proxy: self.proxy(own),
            resolver: own.resolver.clone().or_else(|| mail.resolver.clone()).flatten(),
            resolver_timeout: either(&own.resolver_timeout, &mail.resolver_timeout, DEFAULT_RESOLVER_TIMEOUT),
            real_ip_from: networks.clone(),
            limits: self.limits(own),
        })
    }

    /// `server_name`, or the host's name: at least one.
    pub fn server_names(&self, own: &MailSettings) -> Vec<String> {
        let names = own.server_names.as_ref().or(self.mail.server_names.as_ref()).filter(|names| !names.is_empty());
        names.cloned().unwrap_or_else(|| vec![self.system.hostname()])
    }

    fn front_end(&self, own: &MailSettings, protocol: Protocol, server_name: &str) -> FrontEnd {
        let max_errors = either(&own.max_errors, &self.mail.max_errors, DEFAULT_MAX_ERRORS);
        let max_errors = u32::try_from(max_errors).unwrap_or(u32::MAX);
        let common = Common {
            server_name: server_name.to_string(),
            max_errors,
            max_commands: self.max_commands(own),
            starttls: self.tls(own).starttls(),
        };
        match protocol {
            Protocol::Imap => FrontEnd::Imap(Arc::new(self.imap(own, common))),
            Protocol::Pop3 => FrontEnd::Pop3(Arc::new(self.pop3(own, common))),
            Protocol::Smtp => FrontEnd::Smtp {
                options: Arc::new(self.smtp(own, common)),
                greeting_delay: either(&own.smtp_greeting_delay, &self.mail.smtp_greeting_delay, Duration::ZERO),
            },
        }
    }

    fn imap(&self, own: &MailSettings, common: Common) -> imap::Options {
        let Common { server_name, max_errors, max_commands, starttls } = common;
        let default = &["IMAP4", "IMAP4rev1", "UIDPLUS"];
        let (client_buffer, capabilities, auth) = self.dialect(&own.imap, &self.mail.imap, default);
        let auth = auth.unwrap_or(Mechanisms { plain: true, ..Mechanisms::default() });
        imap::Options { server_name, capabilities, auth, client_buffer, max_errors, max_commands, starttls }
    }

    fn pop3(&self, own: &MailSettings, common: Common) -> pop3::Options {
        let Common { server_name, max_errors, max_commands, starttls } = common;
        let (_, capabilities, auth) = self.dialect(&own.pop3, &self.mail.pop3, &["TOP", "USER", "UIDL"]);
        let auth = auth.unwrap_or(Mechanisms { plain: true, ..Mechanisms::default() });
        // In nginx `plain` brings LOGIN with it.
        let auth = Mechanisms { login: auth.plain, ..auth };
        pop3::Options { server_name, capabilities, auth, max_errors, max_commands, starttls }
    }

    fn smtp(&self, own: &MailSettings, common: Common) -> smtp::Options {
        let Common { server_name, max_errors, max_commands, starttls } = common;
        let (client_buffer, capabilities, auth) = self.dialect(&own.smtp, &self.mail.smtp, &[]);
        let auth = auth.unwrap_or(Mechanisms { plain: true, login: true, ..Mechanisms::default() });
        smtp::Options { server_name, capabilities, auth, client_buffer, max_errors, max_commands, starttls }
    }

    fn dialect(&self, own: &Dialect, mail: &Dialect, default: &[&str]) -> (usize, Vec<String>, Option<Mechanisms>) {
        let client_buffer = own.client_buffer.or(mail.client_buffer).unwrap_or_else(|| self.system.page_size());
        let set = [&own.capabilities, &mail.capabilities].into_iter().find(|list| !list.is_empty());
        let capabilities = set.cloned().unwrap_or_else(|| default.iter().map(ToString::to_string).collect());
        (client_buffer, capabilities, own.auth.or(mail.auth))
    }

    fn auth_settings(&self, own: &MailSettings, protocol: Protocol) -> Option<Auth> {
        let mail = self.mail;
        let headers = if own.auth_http_headers.is_empty() { &mail.auth_http_headers } else { &own.auth_http_headers };
        match self.auth(own) {
            Given::Good(AuthChoice::Http { addresses, host, uri, https }) => Some(Auth::Http(AuthHttp {
                addresses: addresses.clone(),
                host: host.clone(),
                uri: uri.clone(),
                headers: headers.clone(),
                timeout: either(&own.auth_http_timeout, &mail.auth_http_timeout, DEFAULT_TIMEOUT),
                pass_client_cert: either(&own.auth_http_pass_client_cert, &mail.auth_http_pass_client_cert, false),
                tls: https.then(|| Box::new(self.auth_tls(own).options(self.paths))),
            })),
            Given::Good(AuthChoice::UsersFile(path)) => {
                let port = default_port(protocol, self.upstream_tls(own));
                let proxy_pass = own.proxy_pass.as_ref().or(mail.proxy_pass.as_ref()).map(|to| target(to, port));
                Some(Auth::UsersFile { path: path.clone(), proxy_pass, port })
            }
            Given::Absent | Given::Bad => None,
        }
    }

    fn proxy(&self, own: &MailSettings) -> Proxy {
        let mail = self.mail;
        Proxy {
            buffer: own.proxy_buffer.or(mail.proxy_buffer).unwrap_or_else(|| self.system.page_size()),
            timeout: either(&own.proxy_timeout, &mail.proxy_timeout, DEFAULT_PROXY_TIMEOUT),
            pass_error_message: either(&own.proxy_pass_error_message, &mail.proxy_pass_error_message, false),
            smtp_auth: either(&own.proxy_smtp_auth, &mail.proxy_smtp_auth, false),
            xclient: either(&own.xclient, &mail.xclient, true),
            proxy_protocol: either(&own.proxy_protocol, &mail.proxy_protocol, ProxyProtocol::Off),
            ssl: self.upstream_tls(own),
            tls: self.proxy_tls(own).options(self.paths),
            is_tls_set: [own, mail].iter().any(|block| !block.proxy_tls.met.is_empty()),
        }
    }
}

/// What the options of all protocols have.
struct Common {
    server_name: String,
    max_errors: u32,
    max_commands: u32,
    starttls: StartTls,
}

/// `proxy_pass` in a block where no users file needs it.
fn without_users_file(block: &MailSettings, diagnostics: &mut Diagnostics) {
    if let Some(proxy_pass) = &block.proxy_pass {
        diagnostics.error(&proxy_pass.place, "\"proxy_pass\" directive has no effect with \"auth_http\"");
    }
}

/// The port of mail servers for which nobody names one.
fn default_port(protocol: Protocol, tls: UpstreamTls) -> u16 {
    match (protocol, tls) {
        (Protocol::Imap, UpstreamTls::On) => 993,
        (Protocol::Imap, _) => 143,
        (Protocol::Pop3, UpstreamTls::On) => 995,
        (Protocol::Pop3, _) => 110,
        (Protocol::Smtp, UpstreamTls::On) => 465,
        (Protocol::Smtp, _) => 25,
    }
}

fn target(proxy_pass: &ProxyPass, default_port: u16) -> MailServer {
    let address = match &proxy_pass.target {
        ProxyTarget::Ip(ip, port) => Address::Ip((*ip, port.unwrap_or(default_port)).into()),
        ProxyTarget::Unix(path) => Address::Unix(path.clone()),
    };
    MailServer { address, host: proxy_pass.host.clone() }
}

/// A server's own value, or that of `mail`, or the default.
pub fn either<T: Clone>(own: &Option<T>, outer: &Option<T>, default: T) -> T {
    own.as_ref().or(outer.as_ref()).cloned().unwrap_or(default)
}
