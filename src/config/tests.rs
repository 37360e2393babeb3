//! What a configuration comes to: inheritance, defaults, sockets.

#![allow(clippy::unwrap_used)]

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatepost_conf::Files;
use gatepost_proto::{Mechanisms, Protocol};

use super::system::System;
use super::*;
use crate::log::{Destination, Level};

/// A machine with two files.
struct Fake {
    text: String,
}

impl Files for Fake {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/conf/passwords") => Ok(b"one\r\n\n two".to_vec()),
            Some("/conf/main") => Ok(self.text.clone().into_bytes()),
            _ => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        }
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

impl System for Fake {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        match host {
            "two.test" => vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            _ => Vec::new(),
        }
    }

    fn hostname(&self) -> String {
        "host.test".into()
    }

    fn processors(&self) -> usize {
        8
    }

    fn page_size(&self) -> usize {
        4096
    }

    fn is_root(&self) -> bool {
        true
    }

    fn has_user(&self, name: &str) -> bool {
        name == "mail"
    }

    fn has_group(&self, name: &str) -> bool {
        name == "mail"
    }
}

pub(super) fn read(text: &str) -> (Option<Config>, Vec<String>) {
    let paths = Paths {
        prefix: "/prefix/".into(),
        file: "/conf/main".into(),
        error_log: "logs/error.log".into(),
        pid: "/run/gatepost.pid".into(),
    };
    let loaded = load(&paths, None, &Fake { text: text.into() });
    (loaded.config, loaded.diagnostics.iter().map(ToString::to_string).collect())
}

pub(super) fn config(text: &str) -> Config {
    let (config, diagnostics) = read(text);
    config.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

/// The one server of a `mail` block.
pub(super) fn server(mail: &str, server: &str) -> Arc<Server> {
    let text = format!("mail {{ auth_http 127.0.0.1; {mail} server {{ listen 143; {server} }} }}");
    Arc::clone(&config(&text).servers[0])
}

#[test]
fn defaults_of_the_process() {
    let process = config("").process;
    assert!(process.daemon && process.master_process && process.sandbox);
    assert_eq!((process.worker_processes, process.worker_connections, process.worker_priority), (1, 512, 0));
    assert_eq!(process.pid, PathBuf::from("/run/gatepost.pid"));
    assert_eq!((process.user, process.worker_rlimit_nofile, process.worker_shutdown_timeout), (None, None, None));
    let log = log::Spec { destination: Destination::File("/prefix/logs/error.log".into()), level: Level::Error };
    assert_eq!(process.error_log, [log]);
}

#[test]
fn the_process() {
    let process = config(
        "user mail; daemon off; master_process off; sandbox off; pid p; worker_processes auto; worker_priority -5; \
         worker_rlimit_nofile 100; worker_rlimit_core 2g; worker_shutdown_timeout 1m; working_directory /w; \
         events { worker_connections 7; }",
    )
    .process;
    assert_eq!(process.user, Some(("mail".into(), Some("mail".into()))));
    assert!(!process.daemon && !process.master_process && !process.sandbox);
    assert_eq!(process.pid, PathBuf::from("/prefix/p"));
    assert_eq!((process.worker_processes, process.worker_connections, process.worker_priority), (8, 7, -5));
    assert_eq!((process.worker_rlimit_nofile, process.worker_rlimit_core), (Some(100), Some(2 << 30)));
    assert_eq!(process.worker_shutdown_timeout, Some(Duration::from_secs(60)));
    assert_eq!(config("pid \"\";").process.pid, PathBuf::from("/run/gatepost.pid"));
    assert_eq!(process.working_directory, Some("/w".into()));
}

#[test]
fn logs() {
    let of = |text: &str| {
        let logs = config(text).process.error_log;
        logs.iter().map(|spec| format!("{:?} {:?}", spec.destination, spec.level)).collect::<Vec<_>>()
    };
    assert_eq!(of("error_log stderr info; error_log x;"), ["Stderr Info", "File(\"/prefix/x\") Error"]);
    // Syslog alone is not enough: the default log stays.
    let logs = of("error_log syslog:server=192.0.2.1,facility=mail,tag=t,nohostname crit;");
    assert_eq!(
        logs,
        [
            "Syslog(Syslog { server: Ip(192.0.2.1:514), facility: 2, tag: \"t\", nohostname: true }) Crit",
            "File(\"/prefix/logs/error.log\") Error"
        ]
    );
    // A server's own, else those of mail, else those of the main level.
    let level = |mail, own| server(mail, own).error_log[0].level;
    assert_eq!(level("", ""), Level::Error);
    assert_eq!(level("error_log stderr info;", ""), Level::Info);
    assert_eq!(level("error_log stderr info;", "error_log stderr debug_mail;"), Level::Debug);
}

#[test]
fn defaults_of_a_server() {
    let server = server("", "");
    assert_eq!(server.protocol(), Protocol::Imap);
    assert_eq!((server.server_name.as_str(), server.timeout), ("host.test", Duration::from_secs(60)));
    assert!(server.resolver.is_none() && server.real_ip_from.is_empty());
    assert_eq!(server.resolver_timeout, Duration::from_secs(30));
    let proxy = &server.proxy;
    assert_eq!((proxy.buffer, proxy.timeout), (4096, Duration::from_secs(86400)));
    assert!(proxy.xclient && !proxy.smtp_auth && !proxy.pass_error_message);
    assert_eq!(proxy.proxy_protocol, ProxyProtocol::Off);
    let FrontEnd::Imap(imap) = &server.front_end else { panic!() };
    assert_eq!(imap.capabilities, ["IMAP4", "IMAP4rev1", "UIDPLUS"]);
    assert_eq!(imap.auth, Mechanisms { plain: true, ..Mechanisms::default() });
    assert_eq!((imap.client_buffer, imap.max_errors, imap.server_name.as_str()), (4096, 5, "host.test"));
}

#[test]
fn a_server_inherits_and_overrides() {
    let timeout = |mail, own| server(mail, own).timeout.as_secs();
    assert_eq!(timeout("timeout 5;", ""), 5);
    assert_eq!(timeout("timeout 5;", "timeout 6;"), 6);
    // Also what stands behind it.
    let text = "mail { server { listen 25; auth_http 127.0.0.1; } timeout 7; smtp_auth none; smtp_capabilities A B; }";
    let config = config(text);
    assert_eq!(config.servers[0].timeout.as_secs(), 7);
    let FrontEnd::Smtp { options, greeting_delay } = &config.servers[0].front_end else { panic!() };
    assert_eq!((options.capabilities.as_slice(), greeting_delay.as_secs()), (["A".into(), "B".into()].as_slice(), 0));
    assert_eq!(options.auth, Mechanisms { none: true, ..Mechanisms::default() });

    let resolver = |mail, own| server(mail, own).resolver.clone().map(|resolver| resolver.servers);
    assert_eq!(resolver("resolver 192.0.2.1;", ""), Some(vec!["192.0.2.1:53".parse().unwrap()]));
    assert_eq!(resolver("resolver 192.0.2.1;", "resolver off;"), None);
    let name = |mail, own| server(mail, own).server_name.clone();
    assert_eq!(name("server_name a;", "server_name \"\";"), "host.test");
}

#[test]
fn pop3_plain_is_login_too() {
    let text = "mail { auth_http 127.0.0.1; server { listen 110; } server { listen 995; pop3_auth apop; } }";
    let auth = |index: usize| match &config(text).servers[index].front_end {
        FrontEnd::Pop3(options) => options.auth,
        other => panic!("{other:?}"),
    };
    assert_eq!(auth(0), Mechanisms { plain: true, login: true, ..Mechanisms::default() });
    assert_eq!(auth(1), Mechanisms { apop: true, ..Mechanisms::default() });
}

#[test]
fn auth_http() {
    let auth = |mail, own| match &server(mail, own).auth {
        Auth::Http(http) => http.clone(),
        other => panic!("{other:?}"),
    };
    let http = auth("auth_http_header a b; auth_http_timeout 3;", "auth_http http://two.test:81/x?y;");
    assert_eq!(
        (http.host.as_str(), http.uri.as_str(), http.addresses[0].to_string().as_str()),
        ("two.test", "/x?y", "192.0.2.1:81")
    );
    assert_eq!(http.addresses.len(), 2);
    assert_eq!(http.headers, [("a".to_string(), "b".to_string())]);
    assert_eq!(http.timeout, Duration::from_secs(3));
    let http = auth("", "auth_http unix:/run/a:/b;");
    assert_eq!(
        (http.host.as_str(), http.uri.as_str(), http.addresses[0].to_string().as_str()),
        ("localhost", "/b", "unix:/run/a")
    );
    let http = auth("", "auth_http [::1]/q;");
    assert_eq!(
        (http.host.as_str(), http.uri.as_str(), http.addresses[0].to_string().as_str()),
        ("[::1]", "/q", "[::1]:80")
    );
    let http = auth("auth_http_header a b;", "auth_http_header c d; auth_http 127.0.0.1;");
    assert_eq!(http.headers, [("c".to_string(), "d".to_string())]);
    assert_eq!(http.uri, "/");
}

#[test]
fn users_files() {
    let text = "mail { auth_users_file users; proxy_pass 192.0.2.1; \
                server { listen 143; } server { listen 110; } server { listen 587; } \
                server { listen 2525; protocol smtp; proxy_pass two.test:26; auth_users_file /u; } \
                server { listen 2526; protocol smtp; proxy_pass unix:/s; } \
                server { listen 2527; protocol smtp; auth_http 127.0.0.1; } \
                server { listen 995; proxy_ssl on; } }";
    let shown: Vec<String> = config(text)
        .servers
        .iter()
        .map(|server| match &server.auth {
            Auth::UsersFile { path, proxy_pass, .. } => {
                let to = proxy_pass.as_ref().unwrap();
                format!("{} {} {:?}", path.display(), to.address, to.host.as_deref().unwrap_or_default())
            }
            Auth::Http(_) => "http".to_string(),
        })
        .collect();
    let expected = [
        "/conf/users 192.0.2.1:143 \"\"",
        "/conf/users 192.0.2.1:110 \"\"",
        "/conf/users 192.0.2.1:25 \"\"",
        "/u 192.0.2.1:26 \"two.test\"",
        "/conf/users unix:/s \"\"",
        "http",
        "/conf/users 192.0.2.1:995 \"\"",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn networks() {
    let server = server(
        "set_real_ip_from ::/0;",
        "set_real_ip_from 10.1.2.3/8; set_real_ip_from unix:; set_real_ip_from two.test;",
    );
    let ip = |address: &str, prefix| Network::Ip { address: address.parse().unwrap(), prefix };
    let expected = [ip("10.0.0.0", 8), Network::Unix, ip("192.0.2.1", 32), ip("2001:db8::1", 128)];
    assert_eq!(server.real_ip_from, expected);
}

/// Each socket with the endpoints that arrive there.
fn sockets(listens: &[&str]) -> Vec<String> {
    let servers: String =
        listens.iter().map(|listen| format!("server {{ listen {listen}; protocol imap; }}")).collect();
    let config = config(&format!("mail {{ auth_http 127.0.0.1; {servers} }}"));
    let show = |socket: &Socket| {
        let endpoints: Vec<&str> = socket.endpoints.iter().map(|endpoint| endpoint.text.as_str()).collect();
        format!("{} <- {}", socket.address, endpoints.join(" "))
    };
    config.sockets.iter().map(show).collect()
}

#[test]
fn one_socket_for_a_port_on_the_wildcard_address() {
    assert_eq!(sockets(&["127.0.0.1:1", "127.0.0.2:1"]), ["127.0.0.1:1 <- 127.0.0.1:1", "127.0.0.2:1 <- 127.0.0.2:1"]);
    assert_eq!(sockets(&["127.0.0.1:1", "1", "127.0.0.2:1"]), ["0.0.0.0:1 <- 127.0.0.1:1 127.0.0.2:1 0.0.0.0:1"]);
    assert_eq!(
        sockets(&["*:1", "127.0.0.1:1 bind", "127.0.0.2:1"]),
        ["127.0.0.1:1 <- 127.0.0.1:1", "0.0.0.0:1 <- 127.0.0.2:1 0.0.0.0:1"]
    );
    assert_eq!(sockets(&["1", "[::]:1", "[::1]:1"]), ["0.0.0.0:1 <- 0.0.0.0:1", "[::]:1 <- [::1]:1 [::]:1"]);
    assert_eq!(sockets(&["1", "127.0.0.1:2"]), ["0.0.0.0:1 <- 0.0.0.0:1", "127.0.0.1:2 <- 127.0.0.1:2"]);
    assert_eq!(sockets(&["unix:/a", "unix:/b"]), ["unix:/a <- unix:/a", "unix:/b <- unix:/b"]);
    assert_eq!(sockets(&["two.test:1-2"]).len(), 4);
}

#[test]
fn options_of_sockets() {
    let options = |listen: &str| {
        let text = format!("mail {{ auth_http 127.0.0.1; server {{ protocol imap; listen 1 {listen}; }} }}");
        config(&text).sockets[0].options.clone()
    };
    let plain =
        SocketOptions { backlog: 511, rcvbuf: None, sndbuf: None, ipv6only: true, multipath: false, keepalive: None };
    assert_eq!(options(""), plain);
    assert_eq!(
        options("backlog=5 rcvbuf=1k sndbuf=2k ipv6only=off multipath so_keepalive=off"),
        SocketOptions {
            backlog: 5,
            rcvbuf: Some(1024),
            sndbuf: Some(2048),
            ipv6only: false,
            multipath: true,
            keepalive: Some(Keepalive::Off)
        }
    );
    let keepalive = |text: &str| options(&format!("so_keepalive={text}")).keepalive;
    let on = |idle: Option<u64>, interval: Option<u64>, count| {
        let seconds = |time: Option<u64>| time.map(Duration::from_secs);
        Some(Keepalive::On { idle: seconds(idle), interval: seconds(interval), count })
    };
    assert_eq!(keepalive("on"), on(None, None, None));
    assert_eq!(keepalive("1m::3"), on(Some(60), None, Some(3)));
    assert_eq!(keepalive(":5:"), on(None, Some(5), None));
}

#[test]
fn proxy_protocol_belongs_to_the_address() {
    let config = config("mail { auth_http 127.0.0.1; server { listen 143 proxy_protocol; listen 144; } }");
    let flags: Vec<bool> = config.sockets.iter().map(|socket| socket.endpoints[0].proxy_protocol).collect();
    assert_eq!(flags, [true, false]);
}

#[test]
fn directives_without_effect_are_named() {
    let (config, diagnostics) = read("pcre_jit on; lock_file x; events { use epoll; } mail { proxy on; } http { x; }");
    assert!(config.is_some());
    let names = ["pcre_jit", "lock_file", "use", "proxy"];
    for (name, message) in names.iter().zip(&diagnostics) {
        assert_eq!(*message, format!("the \"{name}\" directive has no effect in gatepost, ignored in /conf/main:1"));
    }
    assert_eq!(diagnostics[4], "the \"http\" block is not for a mail proxy, skipped in /conf/main:1");
}

#[test]
fn a_configuration_with_a_mistake_is_none() {
    let (config, diagnostics) = read("foo;\nbar;");
    assert!(config.is_none());
    assert_eq!(diagnostics, ["unknown directive \"foo\" in /conf/main:1", "unknown directive \"bar\" in /conf/main:2"]);
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let pieces = [
        "mail",
        "server",
        "{",
        "}",
        ";",
        " ",
        "listen",
        "143",
        "\"",
        "'",
        "\\",
        "$",
        "#",
        "\n",
        "include",
        "*",
        "é",
        "auth_http",
        "-",
        ":",
        "[",
        "timeout",
    ];
    let mut state: u64 = 1;
    for _ in 0..5000 {
        let text: String = (0..20)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                pieces[(state >> 33) as usize % pieces.len()]
            })
            .collect();
        read(&text);
    }
}
