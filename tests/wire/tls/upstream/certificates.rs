//! Which certificates of mail servers are good: `proxy_ssl_verify`, `proxy_ssl_name` and their kin.

use super::{Site, TRUSTED, UPSTREAMS, Upstream};
use crate::harness::tls::Server;
use crate::harness::{File, Identity, Subject, Wanted};

/// The login reaches a backend with that certificate.
#[track_caller]
fn good(upstream: &Upstream, files: &[File], directives: &str, server: &Server) {
    let wire = upstream.wire_with(files, &format!("proxy_ssl on; {directives}"));
    let mut client = upstream.login(&wire);
    upstream.serve(&mut client, &mut wire.backend.accept().accept_tls(server));
}

/// It does not, in either way, and the log says why.
#[track_caller]
fn bad(upstream: &Upstream, files: &[File], directives: &str, server: &Server, why: &str) {
    for way in ["on", "starttls"] {
        let wire = upstream.wire_with(files, &format!("proxy_ssl {way}; {directives}"));
        let mut client = upstream.login(&wire);
        let mut backend = wire.backend.accept();
        if way == "starttls" {
            upstream.start_tls(&mut backend);
        }
        // In TLS 1.3 the backend's part may be over before the proxy has seen the certificate.
        if let Ok(mut backend) = backend.try_accept_tls(server) {
            backend.expect_close();
        }
        client.expect(upstream.talk.internal_error).expect_close();
        let line = wire.await_log(why);
        assert!(line.contains("[error]") && line.contains("upstream"), "{line}");
    }
}

#[test]
fn the_name_is_verified() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::named("mail.test");
        good(&upstream, &site.files(), &format!("{TRUSTED} proxy_ssl_name mail.test;"), &site.server);
        bad(
            &upstream,
            &site.files(),
            &format!("{TRUSTED} proxy_ssl_name other.test;"),
            &site.server,
            "SSL certificate does not match",
        );
        bad(&upstream, &site.files(), TRUSTED, &site.server, "SSL certificate does not match");
    }
}

#[test]
fn wildcards_cover_one_label() {
    if Subject::is_nginx() {
        return;
    }
    let [upstream, ..] = UPSTREAMS;
    let site = Site::named("*.mail.test");
    let name = |name: &str| format!("{TRUSTED} proxy_ssl_name {name};");
    good(&upstream, &site.files(), &name("imap.mail.test"), &site.server);
    for wrong in ["mail.test", "a.imap.mail.test"] {
        bad(&upstream, &site.files(), &name(wrong), &site.server, "SSL certificate does not match");
    }
}

#[test]
fn the_authority_is_verified() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::new();
        let other = Server::new(&Wanted::new("127.0.0.1").by(&Identity::root("Other")));
        bad(&upstream, &site.files(), TRUSTED, &other, "unable to get local issuer certificate");
        // The system's authorities do not know it either.
        bad(&upstream, &[], "", &site.server, "unable to get local issuer certificate");
    }
}

#[test]
fn the_time_is_verified() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::new();
        let late = Server::new(&Wanted::new("127.0.0.1").expired().by(&site.authority));
        bad(&upstream, &site.files(), TRUSTED, &late, "certificate has expired");
    }
}

#[test]
fn revoked_certificates_are_bad() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let authority = Identity::root("Mail authority");
        let [good_one, revoked] = ["good", "revoked"].map(|_| Wanted::new("127.0.0.1").by(&authority));
        let files = [("ca.crt".to_owned(), authority.pem()), ("crl.pem".to_owned(), authority.revokes(&[&revoked]))];
        let directives = format!("{TRUSTED} proxy_ssl_crl crl.pem;");
        good(&upstream, &files, &directives, &Server::new(&good_one));
        bad(&upstream, &files, &directives, &Server::new(&revoked), "certificate revoked");
    }
}

#[test]
fn a_chain_is_as_deep_as_allowed() {
    if Subject::is_nginx() {
        return;
    }
    let [upstream, ..] = UPSTREAMS;
    let site = Site::new();
    let middle = Wanted::new("Middle").authority().by(&site.authority);
    let leaf = Wanted::new("127.0.0.1").by(&middle);
    let server = Server::with(&leaf, |context| context.add_extra_chain_cert(middle.certificate.clone()).unwrap());
    good(&upstream, &site.files(), TRUSTED, &server);
    let shallow = format!("{TRUSTED} proxy_ssl_verify_depth 0;");
    // AWS-LC looks no further than it may, and says so.
    let why = if cfg!(feature = "aws-lc") { "unable to get local issuer" } else { "certificate chain too long" };
    bad(&upstream, &site.files(), &shallow, &server, why);
}

#[test]
fn verification_can_be_turned_off() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let late = Server::new(&Wanted::new("elsewhere.test").expired().alone());
        good(&upstream, &[], "proxy_ssl_verify off;", &late);
    }
}
