//! `proxy_ssl on|off|starttls` and `Auth-SSL-Upstream`.

use super::{Site, TRUSTED, UPSTREAMS};
use crate::harness::tls::Client;
use crate::harness::{Dns, Reply, Subject, Wire};

#[test]
fn tls_from_the_first_byte() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::new();
        let wire = upstream.wire_with(&site.files(), &format!("proxy_ssl on; {TRUSTED}"));
        let mut client = upstream.login(&wire);
        let mut backend = wire.backend.accept().accept_tls(&site.server);
        upstream.serve(&mut client, &mut backend);
    }
}

#[test]
fn starttls() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::new();
        let wire = upstream.wire_with(&site.files(), &format!("proxy_ssl starttls; {TRUSTED}"));
        let mut client = upstream.login(&wire);
        let mut backend = wire.backend.accept();
        upstream.start_tls(&mut backend);
        let mut backend = backend.accept_tls(&site.server);
        upstream.serve_greeted(&mut client, &mut backend);
    }
}

#[test]
fn off_is_the_default() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        for directive in ["", "proxy_ssl off;"] {
            let wire = upstream.wire(directive);
            let mut client = upstream.login(&wire);
            upstream.serve(&mut client, &mut wire.backend.accept());
        }
    }
}

#[test]
fn from_an_encrypted_client_to_an_encrypted_server() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::new();
        let wire = upstream.wire_with(&site.files(), &format!("proxy_ssl on; {TRUSTED} starttls on;"));
        let mut client = wire.connect();
        upstream.talk.greeted(&mut client).ask(upstream.talk.starttls[0], upstream.talk.starttls[1]);
        let mut client = client.tls(Client::new());
        if upstream.talk.name == "smtp" {
            client.ask("EHLO c\r\n", "250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n");
        }
        client.send(upstream.talk.login);
        let mut backend = wire.backend.accept().accept_tls(&site.server);
        upstream.serve(&mut client, &mut backend);

        let much: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = much.clone();
        let receiving = std::thread::spawn(move || {
            assert!(backend.take(expected.len()) == expected);
            backend
        });
        client.send(&much);
        let mut backend = receiving.join().unwrap();
        let sent = much.clone();
        let sending = std::thread::spawn(move || {
            backend.send(sent);
            backend
        });
        assert!(client.take(much.len()) == much);
        let backend = sending.join().unwrap();
        drop(client);
        { backend }.expect_close_notify();
    }
}

#[test]
fn the_auth_server_decides() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::new();
        for directive in ["proxy_ssl off;", "proxy_ssl on;", "proxy_ssl starttls;"] {
            let wire = upstream.wire_with(&site.files(), &format!("{directive} {TRUSTED}"));
            for decision in ["off", "on", "starttls"] {
                wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-SSL-Upstream", decision));
                let mut client = upstream.login(&wire);
                let mut backend = wire.backend.accept();
                match decision {
                    "off" => upstream.serve(&mut client, &mut backend),
                    "on" => upstream.serve(&mut client, &mut backend.accept_tls(&site.server)),
                    _ => {
                        upstream.start_tls(&mut backend);
                        upstream.serve_greeted(&mut client, &mut backend.accept_tls(&site.server));
                    }
                }
            }
        }
    }
}

#[test]
fn a_decision_that_is_not_understood_is_an_error() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let wire = upstream.wire("");
        for decision in ["yes", "", "StartTLS now"] {
            wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-SSL-Upstream", decision));
            upstream.login(&wire).expect(upstream.talk.internal_error).expect_close();
            wire.backend.expect_nobody();
        }
    }
}

#[test]
fn a_name_from_the_auth_server_is_resolved_and_verified() {
    if Subject::is_nginx() {
        return;
    }
    let dns = Dns::start("mail.test A 127.0.0.1\nother.test A 127.0.0.1\n");
    for upstream in UPSTREAMS {
        let site = Site::named("mail.test");
        let resolver = format!("resolver {};", dns.address());
        let wire =
            upstream.wire_with(&site.files(), &format!("proxy_ssl on; proxy_ssl_server_name on; {TRUSTED} {resolver}"));
        let to = |name: &str| {
            let port = wire.backend.address().port().to_string();
            Reply::headers(&[("Auth-Status", "OK"), ("Auth-Server", name), ("Auth-Port", &port)])
        };
        wire.auth.reply(to("mail.test"));
        let mut client = upstream.login(&wire);
        let mut backend = wire.backend.accept().accept_tls(&site.server);
        assert_eq!(backend.server_name().as_deref(), Some("mail.test"));
        upstream.serve(&mut client, &mut backend);

        wire.auth.reply(to("other.test"));
        let mut client = upstream.login(&wire);
        assert!(wire.backend.accept().try_accept_tls(&site.server).is_err());
        client.expect(upstream.talk.internal_error).expect_close();
    }
}

#[test]
fn without_an_auth_server() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let site = Site::new();
        let mut files = site.files();
        files.push(("users".to_owned(), b"u:{PLAIN}p\n".to_vec()));
        for (name, good) in [("", true), ("proxy_ssl_name other.test;", false)] {
            let wire = Wire::with(
                &files,
                &format!(
                    "mail {{ server_name proxy.test; auth_users_file users; proxy_pass @backend@;
                     server {{ listen @main@; protocol {}; xclient off; proxy_smtp_auth on;
                               proxy_ssl on; {TRUSTED} {name} }} }}",
                    upstream.talk.name
                ),
            );
            let mut client = upstream.login(&wire);
            match wire.backend.accept().try_accept_tls(&site.server) {
                Ok(mut backend) if good => upstream.serve(&mut client, &mut backend),
                Ok(mut backend) => backend.expect_close(),
                Err(why) => assert!(!good, "{why}"),
            }
            if !good {
                client.expect(upstream.talk.internal_error).expect_close();
            }
        }
    }
}
