//! `proxy_ssl_session_reuse`.

use openssl::ssl::SslVersion;

use super::{Site, TRUSTED, UPSTREAMS, Upstream};
use crate::harness::tls::Server;
use crate::harness::{Backend, Reply, Subject, Wire};

/// Whether a login at that backend resumes an earlier session.
#[track_caller]
fn resumes(upstream: &Upstream, wire: &Wire, backend: &Backend, server: &Server) -> bool {
    wire.auth.reply(Reply::accept(backend.address()));
    let mut client = upstream.login(wire);
    let mut backend = backend.accept().accept_tls(server);
    upstream.serve(&mut client, &mut backend);
    drop(client);
    backend.expect_close();
    backend.ssl().session_reused()
}

#[test]
fn sessions_are_resumed() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        for version in ["TLSv1.2", "TLSv1.3"] {
            let site = Site::new();
            let wire =
                upstream.wire_with(&site.files(), &format!("proxy_ssl on; {TRUSTED} proxy_ssl_protocols {version};"));
            assert!(!resumes(&upstream, &wire, &wire.backend, &site.server));
            assert!(resumes(&upstream, &wire, &wire.backend, &site.server), "{version}");
            assert!(resumes(&upstream, &wire, &wire.backend, &site.server), "{version}");
        }
    }
}

#[test]
fn not_where_that_is_off() {
    if Subject::is_nginx() {
        return;
    }
    let [upstream, ..] = UPSTREAMS;
    let site = Site::new();
    let wire = upstream.wire_with(&site.files(), &format!("proxy_ssl on; {TRUSTED} proxy_ssl_session_reuse off;"));
    for _ in 0..2 {
        assert!(!resumes(&upstream, &wire, &wire.backend, &site.server));
    }
}

#[test]
fn a_session_belongs_to_one_server() {
    if Subject::is_nginx() {
        return;
    }
    let [upstream, ..] = UPSTREAMS;
    let site = Site::new();
    let wire = upstream.wire_with(&site.files(), &format!("proxy_ssl on; {TRUSTED}"));
    let other = Backend::new();
    assert!(!resumes(&upstream, &wire, &wire.backend, &site.server));
    assert!(!resumes(&upstream, &wire, &other, &site.server));
    assert!(resumes(&upstream, &wire, &wire.backend, &site.server));
}

/// A session that was made without verification would tell nothing of the certificate.
#[test]
fn a_session_belongs_to_its_verification() {
    if Subject::is_nginx() {
        return;
    }
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let [upstream, ..] = UPSTREAMS;
        let site = Site::named("elsewhere.test");
        let server = |name: &str, verify: &str| {
            format!("server {{ listen @{name}@; protocol imap; proxy_ssl on; {TRUSTED} proxy_ssl_verify {verify}; }}")
        };
        let wire = crate::tls::wire_with(&site.files(), &(server("main", "off") + &server("strict", "on")));
        let versioned = Server::with(&crate::harness::Wanted::new("elsewhere.test").by(&site.authority), |context| {
            context.set_max_proto_version(Some(version)).unwrap();
        });
        assert!(!resumes(&upstream, &wire, &wire.backend, &versioned));
        let mut client = crate::harness::Conn::connect(wire.place("strict"));
        upstream.talk.greeted(&mut client).send(upstream.talk.login);
        if let Ok(mut backend) = wire.backend.accept().try_accept_tls(&versioned) {
            assert!(!backend.ssl().session_reused());
            backend.expect_close();
        }
        client.expect(upstream.talk.internal_error).expect_close();
    }
}
