//! What TLS directives come to: inheritance and defaults.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use gatepost_proto::{Secret, StartTls};

use crate::config::tests::{config, read, server};
use crate::config::{Auth, AuthHttp, FrontEnd};
use crate::tls::options::*;

const PAIR: &str = "ssl_certificate c.pem; ssl_certificate_key k.pem;";

/// The TLS of a server that has some.
fn tls(mail: &str, own: &str) -> ServerOptions {
    server(&format!("{PAIR} {mail}"), &format!("listen 993 ssl; {own}")).tls.clone().unwrap()
}

#[test]
fn defaults_towards_clients() {
    let expected = ServerOptions {
        certificates: vec![KeyPair { certificate: "/conf/c.pem".into(), key: "/conf/k.pem".into() }],
        passwords: Vec::new(),
        protocols: Protocols { tlsv1_2: true, tlsv1_3: true, ..Protocols::default() },
        ciphers: "HIGH:!aNULL:!MD5".into(),
        prefer_server_ciphers: false,
        ecdh_curve: "auto".into(),
        dhparam: None,
        conf_commands: Vec::new(),
        certificate_compression: false,
        session_cache: SessionCache::default(),
        session_tickets: true,
        ticket_keys: Vec::new(),
        session_timeout: Duration::from_secs(300),
        verify_client: VerifyClient::Off,
        verify_depth: 1,
        client_certificate: None,
        trusted_certificate: None,
        crl: None,
    };
    assert_eq!(tls("", ""), expected);
    assert_eq!(server(PAIR, "").tls, None);
}

#[test]
fn lists_are_inherited_whole_or_not_at_all() {
    let own = tls(
        "ssl_conf_command a b; ssl_session_ticket_key x; ssl_certificate d.pem; ssl_certificate_key l.pem;",
        "ssl_certificate /e.pem; ssl_certificate_key engine:pkcs11:m; ssl_conf_command c d; ssl_conf_command e f;",
    );
    assert_eq!(own.certificates, [KeyPair { certificate: "/e.pem".into(), key: "engine:pkcs11:m".into() }]);
    assert_eq!(own.conf_commands, [("c".into(), "d".into()), ("e".into(), "f".into())]);
    assert_eq!(own.ticket_keys, [PathBuf::from("/conf/x")]);
    let of_files = tls("", "ssl_conf_command certificate c.pem; ssl_conf_command PrivateKey /k.pem;");
    let expected = [("certificate".into(), "/conf/c.pem".into()), ("PrivateKey".into(), "/k.pem".into())];
    assert_eq!(of_files.conf_commands, expected);
    let both = tls("ssl_certificate d.pem; ssl_certificate_key data:x;", "");
    let names: Vec<&Path> = both.certificates.iter().map(|pair| pair.key.as_path()).collect();
    assert_eq!(names, [Path::new("/conf/k.pem"), Path::new("data:x")]);
}

#[test]
fn values_are_overridden() {
    let options = tls(
        "ssl_crl crl; ssl_dhparam dh; ssl_verify_client on; ssl_client_certificate ca; ssl_protocols TLSv1;",
        "ssl_crl ''; ssl_verify_client optional; ssl_protocols tlsv1.1 TLSV1.3; ssl_password_file passwords;",
    );
    assert_eq!((options.crl, options.dhparam), (None, Some("/conf/dh".into())));
    assert_eq!(options.verify_client, VerifyClient::Optional);
    assert_eq!(options.client_certificate, Some("/conf/ca".into()));
    assert_eq!(options.protocols, Protocols { tlsv1_1: true, tlsv1_3: true, ..Protocols::default() });
    assert_eq!(options.passwords, [Secret::from(&b"one"[..]), Secret::from(&b" two"[..])]);
}

#[test]
fn session_caches() {
    let cache = |mail, own| tls(mail, own).session_cache;
    let shared = |name: &str| Some(SharedCache { name: name.into(), size: 1 << 20 });
    let none = SessionCache::default;
    assert_eq!(cache("ssl_session_cache shared:a:1m;", ""), SessionCache { shared: shared("a"), ..none() });
    assert_eq!(
        cache("ssl_session_cache shared:a:1m;", "ssl_session_cache shared:b:1m builtin:5;"),
        SessionCache { builtin: Some(5), shared: shared("b"), ..none() }
    );
    assert_eq!(
        cache("ssl_session_cache shared:a:1m;", "ssl_session_cache builtin;"),
        SessionCache { builtin: Some(20_480), shared: shared("a"), ..none() }
    );
    assert_eq!(
        cache("ssl_session_cache shared:a:1m;", "ssl_session_cache off;"),
        SessionCache { without: WithoutCache::Off, ..none() }
    );
    assert_eq!(cache("ssl_session_cache shared:a:1m;", "ssl_session_cache none;"), none());
    // What stands before `shared` stays.
    assert_eq!(cache("", "ssl_session_cache none shared:a:1m;"), none());
}

/// `starttls` of the front end of an IMAP server.
fn starttls(mail: &str, own: &str) -> (StartTls, bool) {
    let server = server(&format!("{PAIR} {mail}"), own);
    let FrontEnd::Imap(options) = &server.front_end else { panic!() };
    (options.starttls, server.tls.is_some())
}

#[test]
fn starttls_reaches_the_protocol() {
    assert_eq!(starttls("", ""), (StartTls::Off, false));
    assert_eq!(starttls("starttls on;", ""), (StartTls::On, true));
    assert_eq!(starttls("starttls on;", "starttls only;"), (StartTls::Only, true));
    assert_eq!(starttls("starttls on;", "starttls off;"), (StartTls::Off, false));
}

/// Every address with whether it has TLS at once, and the names of the servers there.
fn endpoints(servers: &str) -> Vec<String> {
    let config = config(&format!("mail {{ auth_http 127.0.0.1; {PAIR} {servers} }}"));
    let endpoints = config.sockets.iter().flat_map(|socket| &socket.endpoints);
    endpoints
        .map(|endpoint| {
            let servers = std::iter::once(&endpoint.server).chain(&endpoint.others);
            let names: Vec<String> = servers.map(|server| server.server_names.join("+")).collect();
            format!("{} {} {}", endpoint.text, endpoint.ssl, names.join(" "))
        })
        .collect()
}

#[test]
fn every_listen_has_tls_by_itself_or_by_ssl_on() {
    assert_eq!(
        endpoints("server { listen 143; listen 993 ssl; }"),
        ["0.0.0.0:143 false host.test", "0.0.0.0:993 true host.test"]
    );
    assert_eq!(endpoints("ssl on; server { listen 143; }"), ["0.0.0.0:143 true host.test"]);
    assert_eq!(endpoints("ssl on; server { listen 143; ssl off; }"), ["0.0.0.0:143 false host.test"]);
}

#[test]
fn servers_share_an_address_by_name() {
    let servers = "server { listen 993 ssl; } server { listen 993 ssl backlog=7; server_name B *.c; } \
                   server { listen 127.0.0.1:993 ssl; listen 993 ssl; server_name d; }";
    assert_eq!(endpoints(servers), ["127.0.0.1:993 true d", "0.0.0.0:993 true host.test B+*.c d"]);
    let config = config(&format!("mail {{ auth_http 127.0.0.1; {PAIR} {servers} }}"));
    assert_eq!((config.sockets.len(), config.sockets[0].options.backlog), (1, 7));
    let conflict = servers.replace("server_name d", "server_name b");
    let (_, said) = read(&format!("mail {{ auth_http 127.0.0.1; {PAIR} {conflict} }}"));
    assert_eq!(said, ["duplicate \"0.0.0.0:993\" address and port pair in /conf/main:1"]);
}

#[test]
fn a_wildcard_greets_nobody() {
    assert_eq!(server("", "server_name *.a b c;").server_name, "b");
    assert_eq!(server("", "server_name *.a;").server_name, "*.a");
}

#[test]
fn defaults_towards_mail_servers() {
    let proxy = server("", "").proxy.clone();
    let expected = ClientOptions {
        verify: true,
        verify_depth: 1,
        trusted_certificate: None,
        crl: None,
        name: None,
        server_name: false,
        certificate: None,
        passwords: Vec::new(),
        protocols: Protocols { tlsv1_2: true, tlsv1_3: true, ..Protocols::default() },
        ciphers: "DEFAULT".into(),
        session_reuse: true,
        conf_commands: Vec::new(),
    };
    assert_eq!((proxy.ssl, proxy.tls), (UpstreamTls::Off, expected));
}

#[test]
fn towards_mail_servers() {
    let proxy = server(
        "proxy_ssl on; proxy_ssl_certificate c; proxy_ssl_certificate_key k; proxy_ssl_verify_depth 3; proxy_ssl_name a; \
         proxy_ssl_conf_command x y;",
        "proxy_ssl StartTLS; proxy_ssl_verify off; proxy_ssl_name b; proxy_ssl_server_name on; proxy_ssl_crl r; \
         proxy_ssl_session_reuse off; proxy_ssl_password_file passwords; proxy_ssl_protocols TLSv1.3; \
         proxy_ssl_ciphers HIGH; proxy_ssl_trusted_certificate t;",
    )
    .proxy
    .clone();
    let expected = ClientOptions {
        verify: false,
        verify_depth: 3,
        trusted_certificate: Some("/conf/t".into()),
        crl: Some("/conf/r".into()),
        name: Some("b".into()),
        server_name: true,
        certificate: Some(KeyPair { certificate: "/conf/c".into(), key: "/conf/k".into() }),
        passwords: vec![Secret::from(&b"one"[..]), Secret::from(&b" two"[..])],
        protocols: Protocols { tlsv1_3: true, ..Protocols::default() },
        ciphers: "HIGH".into(),
        session_reuse: false,
        conf_commands: vec![("x".into(), "y".into())],
    };
    assert_eq!((proxy.ssl, proxy.tls), (UpstreamTls::StartTls, expected));
    let without = server("proxy_ssl_certificate c; proxy_ssl_certificate_key k;", "proxy_ssl_certificate '';");
    assert_eq!(without.proxy.tls.certificate, None);
}

#[test]
fn towards_the_authentication_server() {
    let http = |own: &str| -> AuthHttp {
        match &server("auth_http_ssl_name a; auth_http_ssl_certificate c; auth_http_ssl_certificate_key k;", own).auth {
            Auth::Http(http) => http.clone(),
            Auth::UsersFile { .. } => panic!(),
        }
    };
    assert_eq!(http("").tls, None);
    let secure = http("auth_http https://two.test/x; auth_http_ssl_verify off; auth_http_ssl_trusted_certificate t;");
    assert_eq!((secure.addresses[0].to_string().as_str(), secure.uri.as_str()), ("192.0.2.1:443", "/x"));
    let tls = secure.tls.unwrap();
    assert_eq!((tls.verify, tls.name.as_deref(), tls.server_name), (false, Some("a"), true));
    assert_eq!(tls.certificate, Some(KeyPair { certificate: "/conf/c".into(), key: "/conf/k".into() }));
    assert_eq!(tls.trusted_certificate, Some("/conf/t".into()));
}
