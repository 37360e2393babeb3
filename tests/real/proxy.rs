//! The proxy under test, in front of the back ends: one configuration, whichever program it is.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::auth::{AuthServer, Request};
use crate::front::{Front, Security};
use crate::instance::{Instance, directory};
use crate::mode::Mode;
use crate::process::free_addresses;
use crate::site::pki::BACKEND;
use crate::site::{SECOND, Site, site, users_file};

/// Where the proxy listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fronts {
    /// IMAP to Dovecot.
    pub(crate) imap: Front,
    /// POP3 to Dovecot.
    pub(crate) pop3: Front,
    /// SMTP with logins, to Postfix with XCLIENT.
    pub(crate) smtp: Front,
    /// SMTP without logins (`smtp_auth none`), to Postfix with XCLIENT.
    pub(crate) inbound: Front,
    /// SMTP with logins that are repeated (`proxy_smtp_auth`), to Dovecot's submission server with XCLIENT.
    pub(crate) submission: Front,
    /// IMAP to Dovecot with a PROXY protocol header.
    pub(crate) imap_proxied: Front,
    /// POP3 to Dovecot with a PROXY protocol header.
    pub(crate) pop3_proxied: Front,
    /// SMTP with logins, to Postfix with a PROXY protocol header.
    pub(crate) smtp_proxied: Front,
    /// IMAP that takes a PROXY protocol header itself, to Dovecot with a PROXY protocol header.
    pub(crate) imap_behind: Front,
}

/// What differs from proxy to proxy.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Who decides on logins, and what is encrypted.
    pub(crate) mode: Mode,
    /// The value of `proxy_protocol` where there is a PROXY protocol header.
    pub(crate) proxy_protocol: &'static str,
    /// The file for `auth_users_file`.
    pub(crate) users: String,
}

impl Settings {
    /// PROXY protocol version 1, and all users with their passwords in plain text.
    pub(crate) fn new(mode: Mode) -> Settings {
        Settings { mode, proxy_protocol: "on", users: users_file() }
    }
}

/// The running proxy, with its authentication server.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) fronts: Fronts,
    /// What it stands in front of.
    pub(crate) site: Arc<Site>,
    mode: Mode,
    _instance: Instance,
    auth: AuthServer,
}

impl Proxy {
    /// Starts the proxy, and the back ends if need be.
    pub(crate) fn start(mode: Mode) -> Proxy {
        Proxy::start_with(Settings::new(mode))
    }

    /// As [`Proxy::start`], with settings of one's own.
    pub(crate) fn start_with(settings: Settings) -> Proxy {
        let site = site();
        let auth = AuthServer::start(site.routes());
        let directory = directory();
        let mode = settings.mode;
        let fronts = Fronts::choose(mode.front());
        let users = directory.path().join("users");
        fs::write(&users, &settings.users).unwrap();
        let servers = Servers { settings, site: &site, auth: &auth, users };
        let instance =
            Instance::start(directory, &servers.configuration(&fronts), &fronts.all().map(|front| front.address));
        Proxy { fronts, site, mode, _instance: instance, auth }
    }

    /// The mailbox of a test: tests that run in several modes have several.
    pub(crate) fn user(&self, name: &str) -> String {
        let suffix = match self.mode {
            Mode::AuthHttp => "",
            Mode::UsersFile => SECOND[0],
            Mode::Tls => SECOND[1],
            Mode::StartTls => SECOND[2],
        };
        format!("{name}{suffix}")
    }

    /// The latest request to the authentication server about `user`.
    #[track_caller]
    pub(crate) fn last_request(&self, user: &str) -> Request {
        self.auth.requests(user).pop().expect("a request to the authentication server")
    }

    /// Checks what the authentication server, if there is one, was last told about `user`.
    #[track_caller]
    pub(crate) fn assert_asked(&self, user: &str, method: &str, client: &str) {
        if self.mode.asks() {
            let request = self.last_request(user);
            let ssl = if self.mode.front() == Security::Plain { "" } else { "on" };
            let told = ["auth-method", "client-ip", "auth-ssl"].map(|name| request.header(name));
            assert_eq!(told, [method, client, ssl], "{request:?}");
        }
    }

    /// Waits until Dovecot has logged a login of `user` from `client` (as it knows of it), by TLS or not as configured.
    #[track_caller]
    pub(crate) fn assert_dovecot_login(&self, service: &str, user: &str, client: &str) {
        let line = self.site.dovecot_logged(&[service, "Login:", &format!("user=<{user}>"), &format!("rip={client},")]);
        assert_eq!(line.contains(", TLS"), self.mode.back() != Security::Plain, "{line}");
    }
}

impl Fronts {
    fn choose(security: Security) -> Fronts {
        let [imap, pop3, smtp, inbound, submission, imap_proxied, pop3_proxied, smtp_proxied, imap_behind] =
            free_addresses().map(|address| Front { address, security });
        Fronts { imap, pop3, smtp, inbound, submission, imap_proxied, pop3_proxied, smtp_proxied, imap_behind }
    }

    fn all(&self) -> [Front; 9] {
        let Fronts { imap, pop3, smtp, inbound, submission, imap_proxied, pop3_proxied, smtp_proxied, imap_behind } =
            *self;
        [imap, pop3, smtp, inbound, submission, imap_proxied, pop3_proxied, smtp_proxied, imap_behind]
    }
}

/// Writes the configuration.
struct Servers<'a> {
    settings: Settings,
    site: &'a Site,
    auth: &'a AuthServer,
    users: PathBuf,
}

const IMAP: &str = "protocol imap; imap_auth plain login cram-md5;";
const POP3: &str = "protocol pop3; pop3_auth plain apop cram-md5;";
const SMTP: &str = "protocol smtp; smtp_auth plain login cram-md5; smtp_capabilities 'SIZE 104857600' 8BITMIME;";

impl Servers<'_> {
    fn configuration(&self, fronts: &Fronts) -> String {
        let proxied =
            |protocol: &str| format!("{protocol} xclient off; proxy_protocol {};", self.settings.proxy_protocol);
        let behind = format!("{} set_real_ip_from 127.0.0.0/8;", proxied(IMAP));
        let servers = [
            self.server("imap", &fronts.imap, "", IMAP),
            self.server("pop3", &fronts.pop3, "", POP3),
            self.server("smtp", &fronts.smtp, "", SMTP),
            self.server("submission", &fronts.submission, "", &format!("{SMTP} proxy_smtp_auth on;")),
            self.server("imap_proxied", &fronts.imap_proxied, "", &proxied(IMAP)),
            self.server("pop3_proxied", &fronts.pop3_proxied, "", &proxied(POP3)),
            self.server("smtp_proxied", &fronts.smtp_proxied, "", &format!("{} proxy_smtp_auth on;", proxied(SMTP))),
            self.server("imap_proxied", &fronts.imap_behind, "proxy_protocol", &behind),
            server(&fronts.inbound, "", "protocol smtp; smtp_auth none;", &self.auth_http("smtp")),
        ];
        format!("server_name proxy.example.test;\n{}{}", self.tls(), servers.concat())
    }

    fn tls(&self) -> String {
        if self.settings.mode.front() == Security::Plain {
            return String::new();
        }
        let pki = &self.site.pki;
        let front = format!(
            "ssl_certificate {};\nssl_certificate_key {};\n",
            pki.file("proxy-ecdsa.crt"),
            pki.file("proxy-ecdsa.key")
        );
        let mode = match self.settings.mode.back() {
            Security::Plain => return front,
            Security::Tls => "on",
            Security::StartTls => "starttls",
        };
        format!(
            "{front}proxy_ssl {mode};\nproxy_ssl_name {BACKEND};\nproxy_ssl_trusted_certificate {};\nproxy_ssl_crl {};\n",
            pki.file("root.crt"),
            pki.file("root.crl")
        )
    }

    fn server(&self, service: &str, listen: &Front, parameters: &str, body: &str) -> String {
        let route = if self.settings.mode.back() == Security::Tls { over_tls(service) } else { service.to_string() };
        let logins = if self.settings.mode.asks() {
            self.auth_http(&route)
        } else {
            format!("auth_users_file {}; proxy_pass {};", self.users.display(), self.site.place(&route))
        };
        server(listen, parameters, body, &logins)
    }

    fn auth_http(&self, route: &str) -> String {
        format!("auth_http {};", self.auth.url(route))
    }
}

/// From `imap_proxied` to `imaps_proxied`, for example.
fn over_tls(service: &str) -> String {
    match service.strip_suffix("_proxied") {
        Some(protocol) => format!("{protocol}s_proxied"),
        None => format!("{service}s"),
    }
}

fn server(listen: &Front, parameters: &str, body: &str, logins: &str) -> String {
    let ssl = listen.choose("", "ssl", "");
    let starttls = listen.choose("", "", "starttls only;");
    format!("server {{ listen {} {ssl} {parameters}; {starttls} {body} {logins} }}\n", listen.address)
}
