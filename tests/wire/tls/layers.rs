//! TLS between its neighbours: PROXY protocol headers before it, delayed greetings, threads that share sessions.

use super::{IMAP, POP3, PROTOCOLS, SMTP, certificate, wire_with};
use crate::harness::tls::Client;
use crate::harness::upstream::UPSTREAMS;
use crate::harness::{Conn, Subject, Wanted, Wire, since};

#[test]
fn a_proxy_header_comes_before_the_handshake() {
    if !since(1, 19, 8) {
        return;
    }
    for talk in PROTOCOLS {
        let wire = super::wire(&format!("server {{ listen @main@ ssl proxy_protocol; protocol {}; }}", talk.name));
        let mut front = wire.connect();
        front.send("PROXY TCP4 192.0.2.1 192.0.2.2 1234 993\r\n");
        let mut client = front.tls(Client::new());
        talk.greeted(&mut client).send(talk.login);
        let request = wire.auth.request();
        assert_eq!(request.header("Proxy-Protocol-Addr").as_deref(), Some("192.0.2.1"));
        assert_eq!(request.header("Auth-SSL").as_deref(), Some("on"));
    }
}

#[test]
fn a_proxy_header_comes_before_starttls() {
    for talk in PROTOCOLS {
        let wire =
            super::wire(&format!("server {{ listen @main@ proxy_protocol; protocol {}; starttls only; }}", talk.name));
        let mut front = wire.connect();
        front.send("PROXY TCP4 192.0.2.1 192.0.2.2 1234 143\r\n");
        talk.greeted(&mut front).ask(talk.starttls[0], talk.starttls[1]);
        let mut client = front.tls(Client::new());
        client.send(talk.login);
        assert_eq!(wire.auth.request().header("Proxy-Protocol-Addr").as_deref(), Some("192.0.2.1"));
    }
}

#[test]
fn a_proxy_header_goes_to_the_backend_before_the_handshake() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        for way in ["on", "starttls"] {
            let wire = upstream.wire(&format!("proxy_protocol on; proxy_ssl {way}; proxy_ssl_verify off;"));
            let server = crate::harness::tls::Server::new(&Wanted::new("mail.test").alone());
            let mut client = upstream.login(&wire);
            let mut backend = wire.backend.accept();
            let header = backend.line_alone();
            assert!(header.starts_with("PROXY TCP4 127.0.0.1 "), "{header}");
            if way == "starttls" {
                upstream.start_tls(&mut backend);
                upstream.serve_greeted(&mut client, &mut backend.accept_tls(&server));
            } else {
                upstream.serve(&mut client, &mut backend.accept_tls(&server));
            }
        }
    }
}

#[test]
fn a_delayed_greeting_is_within_tls() {
    let wire = SMTP.implicit("smtp_greeting_delay 1s;");
    let mut client = wire.connect().tls(Client::new());
    client.expect_silence();
    SMTP.greeted(&mut client);
    SMTP.goes_on(&mut client);

    let mut early = wire.connect().tls(Client::new());
    // nginx overlooks what comes together with the end of the handshake.
    early.expect_silence();
    early.ask("EHLO c\r\n", "503 5.5.0 Improper use of SMTP command pipelining\r\n").expect_close();
}

/// nginx overlooks what comes together with the end of the handshake, until more comes.
#[test]
fn commands_in_the_segment_that_ends_the_handshake() {
    if Subject::is_nginx() {
        return;
    }
    for talk in PROTOCOLS {
        let wire = talk.implicit("ssl_protocols TLSv1.3;");
        let mut client = wire.connect().corked().tls(Client::new());
        client.send(talk.noop[0]);
        talk.greeted(&mut client).expect(talk.noop[1]);

        let wire = talk.plain("ssl_protocols TLSv1.3; starttls on;");
        let mut client = talk.at_starttls(&wire).corked().tls(Client::new());
        client.ask(talk.noop[0], talk.noop[1]);
    }
}

#[test]
fn a_challenge_holds_over_starttls() {
    let wire = POP3.plain("starttls on; pop3_auth apop;");
    let mut client = wire.connect();
    let greeting = client.line();
    let salt = greeting.trim_end().strip_prefix("+OK POP3 ready ").unwrap().to_owned();
    client.ask(POP3.starttls[0], POP3.starttls[1]);
    let mut client = client.tls(Client::new());
    client.send("APOP u 0123456789abcdef0123456789abcdef\r\n");
    assert_eq!(wire.auth.request().header("Auth-Salt"), Some(salt));
}

#[test]
fn every_thread_has_the_sessions_of_a_shared_cache() {
    let files = Wanted::new("mail.test").alone().files("mail");
    let wire = Wire::with(
        &files,
        &format!(
            "worker_processes 4;
             mail {{ server_name proxy.test; auth_http @auth@/auth; {}
             ssl_session_cache shared:one:1m; ssl_session_tickets off; ssl_protocols TLSv1.2;
             server {{ listen @main@ ssl; protocol imap; }} }}",
            certificate("mail"),
        ),
    );
    let mut first = wire.connect().tls(Client::new());
    IMAP.greeted(&mut first).close_notify();
    let session = first.session();
    // All stay open, so that they are spread over the threads.
    let others: Vec<Conn> = (0..16).map(|_| wire.connect().tls(Client::new().resuming(&session))).collect();
    for mut other in others {
        assert!(other.ssl().session_reused());
        IMAP.greeted(&mut other);
    }
}

#[test]
fn many_at_once() {
    let wire = wire_with(&[], "server { listen @main@ ssl; protocol imap; }");
    let at = wire.place("main");
    let clients: Vec<_> = (0..40)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Conn::connect(at).tls(Client::new());
                IMAP.greeted(&mut client);
                IMAP.goes_on(&mut client);
                client
            })
        })
        .collect();
    for client in clients {
        let mut client = client.join().unwrap();
        IMAP.goes_on(&mut client);
    }
}
