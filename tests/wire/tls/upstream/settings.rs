//! What is said to mail servers in the handshake.

use openssl::ssl::{SslVerifyMode, SslVersion};
use openssl::symm::Cipher;

use super::{Site, TRUSTED, UPSTREAMS, Upstream};
use crate::harness::tls::{ANY_CIPHER, Server};
use crate::harness::{Conn, File, Subject, Wanted, Wire};

/// A session with the backend, after the login.
#[track_caller]
fn session(upstream: &Upstream, wire: &Wire, server: &Server) -> (Conn, Conn) {
    let mut client = upstream.login(wire);
    let mut backend = wire.backend.accept().accept_tls(server);
    upstream.serve(&mut client, &mut backend);
    (client, backend)
}

#[test]
fn the_name_is_told_where_that_is_on() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::named("mail.test");
        for (directive, told) in
            [("", None), ("proxy_ssl_server_name off;", None), ("proxy_ssl_server_name on;", Some("mail.test"))]
        {
            let wire = upstream
                .wire_with(&site.files(), &format!("proxy_ssl on; {TRUSTED} proxy_ssl_name mail.test; {directive}"));
            let (_client, backend) = session(&upstream, &wire, &site.server);
            assert_eq!(backend.server_name().as_deref(), told, "{directive}");
        }
    }
}

#[test]
fn an_address_is_never_told() {
    if Subject::is_nginx() {
        return;
    }
    let [upstream, ..] = UPSTREAMS;
    let site = Site::new();
    let wire = upstream.wire_with(&site.files(), &format!("proxy_ssl on; {TRUSTED} proxy_ssl_server_name on;"));
    let (_client, backend) = session(&upstream, &wire, &site.server);
    assert_eq!(backend.server_name(), None);
}

#[test]
fn a_certificate_of_our_own() {
    if Subject::is_nginx() {
        return;
    }
    let site = Site::new();
    let proxy = Wanted::new("proxy.test").by(&site.authority);
    let encrypted = proxy.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"open sesame").unwrap();
    let own: Vec<File> =
        [("locked.key".to_owned(), encrypted), ("passwords".to_owned(), b"open sesame\n".to_vec())].into();
    let files = [site.files(), proxy.files("proxy"), own].concat();
    let wants = Server::with(&Wanted::new("127.0.0.1").by(&site.authority), |context| {
        context.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
    });
    for upstream in UPSTREAMS {
        for key in ["proxy.key", "locked.key; proxy_ssl_password_file passwords"] {
            let wire = upstream.wire_with(
                &files,
                &format!("proxy_ssl on; {TRUSTED} proxy_ssl_certificate proxy.crt; proxy_ssl_certificate_key {key};"),
            );
            let (_client, backend) = session(&upstream, &wire, &wants);
            assert!(backend.ssl().peer_certificate().unwrap() == proxy.certificate);
        }
    }
}

#[test]
fn versions_and_ciphers() {
    if Subject::is_nginx() {
        return;
    }
    let [upstream, ..] = UPSTREAMS;
    let site = Site::new();
    let agreed = |directives: &str| {
        let wire = upstream.wire_with(&site.files(), &format!("proxy_ssl on; {TRUSTED} {directives}"));
        let (_client, backend) = session(&upstream, &wire, &site.server);
        (backend.ssl().version_str(), backend.ssl().current_cipher().unwrap().name())
    };
    assert_eq!(agreed("").0, "TLSv1.3");
    assert_eq!(agreed("proxy_ssl_protocols TLSv1.2;").0, "TLSv1.2");
    assert_eq!(
        agreed("proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers ECDHE-ECDSA-AES128-SHA;"),
        ("TLSv1.2", "ECDHE-ECDSA-AES128-SHA")
    );
    if cfg!(feature = "aws-lc") {
        return;
    }
    assert_eq!(
        agreed("proxy_ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;"),
        ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256")
    );
}

#[test]
fn old_versions_are_not_spoken_by_default() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::new();
        let old = Server::with(&Wanted::new("127.0.0.1").by(&site.authority), |context| {
            context.set_cipher_list(ANY_CIPHER).unwrap();
            context.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
            context.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
        });
        let wire = upstream.wire_with(&site.files(), &format!("proxy_ssl on; {TRUSTED}"));
        let mut client = upstream.login(&wire);
        assert!(wire.backend.accept().try_accept_tls(&old).is_err());
        client.expect(upstream.talk.internal_error).expect_close();
    }
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let wire = upstream.wire("proxy_ssl on; timeout 1s;");
        let mut client = upstream.login(&wire);
        let _silent = wire.backend.accept();
        client.rest();
        wire.await_log("timed out");
    }
}
