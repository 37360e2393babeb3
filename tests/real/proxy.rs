//! The proxy under test, in front of the back ends: one configuration, whichever program it is.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::auth::{AuthServer, Request};
use crate::process::{Server, free_addresses, read_lossy};
use crate::site::{AWKWARD_PASSWORD, PASSWORD, SECOND, Site, site, users_file};
use crate::subject;

/// Who decides on logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logins {
    /// `auth_http`.
    AuthHttp,
    /// `auth_users_file`, which nginx lacks.
    UsersFile,
}

/// Makes of each function of [`Logins`] a test for each kind of logins that the subject has.
macro_rules! with_all_logins {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use $crate::proxy::Logins;
            use $crate::subject;

            #[test]
            fn auth_http() {
                super::$test(Logins::AuthHttp);
            }

            #[test]
            fn users_file() {
                if !subject::is_nginx() {
                    super::$test(Logins::UsersFile);
                }
            }
        }
    )+};
}
pub(crate) use with_all_logins;

/// Where the proxy listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fronts {
    /// IMAP to Dovecot.
    pub(crate) imap: SocketAddr,
    /// POP3 to Dovecot.
    pub(crate) pop3: SocketAddr,
    /// SMTP with logins, to Postfix with XCLIENT.
    pub(crate) smtp: SocketAddr,
    /// SMTP without logins (`smtp_auth none`), to Postfix with XCLIENT.
    pub(crate) inbound: SocketAddr,
    /// SMTP with logins that are repeated (`proxy_smtp_auth`), to Dovecot's submission server with XCLIENT.
    pub(crate) submission: SocketAddr,
    /// IMAP to Dovecot with a PROXY protocol header.
    pub(crate) imap_proxied: SocketAddr,
    /// POP3 to Dovecot with a PROXY protocol header.
    pub(crate) pop3_proxied: SocketAddr,
    /// SMTP with logins, to Postfix with a PROXY protocol header.
    pub(crate) smtp_proxied: SocketAddr,
    /// IMAP that takes a PROXY protocol header itself, to Dovecot with a PROXY protocol header.
    pub(crate) imap_behind: SocketAddr,
}

/// What differs from proxy to proxy.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Who decides on logins.
    pub(crate) logins: Logins,
    /// The value of `proxy_protocol` where there is a PROXY protocol header.
    pub(crate) proxy_protocol: &'static str,
    /// The file for `auth_users_file`.
    pub(crate) users: String,
}

impl Settings {
    /// PROXY protocol version 1, and all users with their passwords in plain text.
    pub(crate) fn new(logins: Logins) -> Settings {
        Settings { logins, proxy_protocol: "on", users: users_file() }
    }
}

/// The running proxy. When it is dropped it must end well, and its log hold no password and nothing grave.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) fronts: Fronts,
    /// What it stands in front of.
    pub(crate) site: Arc<Site>,
    logins: Logins,
    server: Server,
    auth: AuthServer,
    directory: TempDir,
}

impl Proxy {
    /// Starts the proxy, and the back ends if need be.
    pub(crate) fn start(logins: Logins) -> Proxy {
        Proxy::start_with(Settings::new(logins))
    }

    /// As [`Proxy::start`], with settings of one's own.
    pub(crate) fn start_with(settings: Settings) -> Proxy {
        let site = site();
        let auth = AuthServer::start(routes(&site));
        let directory = tempfile::Builder::new().prefix("gatepost-proxy.").tempdir().unwrap();
        let fronts = Fronts::choose();
        let users = directory.path().join("users");
        fs::write(&users, &settings.users).unwrap();
        let logins = settings.logins;
        let servers = Servers { settings, site: &site, auth: &auth, users };
        fs::create_dir(directory.path().join("logs")).unwrap();
        let configuration = directory.path().join("proxy.conf");
        fs::write(&configuration, servers.configuration(&fronts)).unwrap();
        let server = start_subject(directory.path(), &configuration, &fronts);
        Proxy { fronts, site, logins, server, auth, directory }
    }

    /// The mailbox of a test: tests that run with either kind of logins have two.
    pub(crate) fn user(&self, name: &str) -> String {
        match self.logins {
            Logins::AuthHttp => name.to_string(),
            Logins::UsersFile => format!("{name}{SECOND}"),
        }
    }

    /// The latest request to the authentication server about `user`.
    #[track_caller]
    pub(crate) fn last_request(&self, user: &str) -> Request {
        self.auth.requests(user).pop().expect("a request to the authentication server")
    }

    /// Checks what the authentication server, if there is one, was last told about `user`.
    #[track_caller]
    pub(crate) fn assert_asked(&self, user: &str, method: &str, client: &str) {
        if self.logins == Logins::AuthHttp {
            let request = self.last_request(user);
            assert_eq!((request.header("auth-method"), request.header("client-ip")), (method, client), "{request:?}");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let status = self.server.stop();
        let log = read_lossy(&self.directory.path().join("error.log"));
        if std::thread::panicking() {
            eprintln!("the proxy's log:\n{log}");
            return;
        }
        assert!(status.success(), "TERM ended the proxy with {status}:\n{log}");
        for grave in ["[emerg]", "[alert]", "[crit]", "panicked"] {
            assert!(!log.contains(grave), "{grave} in the proxy's log:\n{log}");
        }
        for password in [PASSWORD, AWKWARD_PASSWORD] {
            assert!(subject::is_nginx() || !log.contains(password), "a password in the proxy's log:\n{log}");
        }
    }
}

fn start_subject(directory: &Path, configuration: &Path, fronts: &Fronts) -> Server {
    let binary = subject::path();
    let log = directory.join("error.log");
    let prefix = format!("{}/", directory.display());
    let (configuration, errors) = (configuration.to_str().unwrap(), log.to_str().unwrap());
    let command = [&*binary, "-p", &prefix, "-c", configuration, "-e", errors, "-g", "daemon off;"];
    let mut server = Server::start("the proxy", &command, directory.join("output.log"));
    server.wait_until_up(&fronts.all(), &log);
    server
}

/// From the names of the servers in the configuration to the back ends.
fn routes(site: &Site) -> Vec<(String, SocketAddr)> {
    let ports = site.ports;
    let routes = [
        ("imap", ports.imap),
        ("imap_proxied", ports.imap_proxied),
        ("pop3", ports.pop3),
        ("pop3_proxied", ports.pop3_proxied),
        ("smtp", ports.smtp),
        ("smtp_proxied", ports.smtp_proxied),
        ("submission", ports.submission),
    ];
    routes.map(|(name, address)| (name.to_string(), address)).to_vec()
}

impl Fronts {
    fn choose() -> Fronts {
        let [imap, pop3, smtp, inbound, submission, imap_proxied, pop3_proxied, smtp_proxied, imap_behind] =
            free_addresses();
        Fronts { imap, pop3, smtp, inbound, submission, imap_proxied, pop3_proxied, smtp_proxied, imap_behind }
    }

    fn all(&self) -> [SocketAddr; 9] {
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
        format!(
            "{}worker_processes 1;\nerror_log error.log {};\npid proxy.pid;\nevents {{ worker_connections 1024; }}\n\
             mail {{\nserver_name proxy.example.test;\n{}}}\n",
            subject::preamble(),
            // nginx shows passwords there.
            if subject::is_nginx() { "info" } else { "debug" },
            servers.concat()
        )
    }

    fn server(&self, route: &str, listen: &SocketAddr, parameters: &str, body: &str) -> String {
        let logins = match self.settings.logins {
            Logins::AuthHttp => self.auth_http(route),
            Logins::UsersFile => {
                let (_, backend) = routes(self.site).into_iter().find(|(name, _)| name == route).unwrap();
                format!("auth_users_file {}; proxy_pass {backend};", self.users.display())
            }
        };
        server(listen, parameters, body, &logins)
    }

    fn auth_http(&self, route: &str) -> String {
        format!("auth_http {};", self.auth.url(route))
    }
}

fn server(listen: &SocketAddr, parameters: &str, body: &str, logins: &str) -> String {
    format!("server {{ listen {listen} {parameters}; {body} {logins} }}\n")
}
