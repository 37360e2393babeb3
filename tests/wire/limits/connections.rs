//! `limit_conn_zone` and `limit_conn`

use std::time::Instant;

use super::{IMAP, PROTOCOLS, Talk};
use crate::harness::tls::Client;
use crate::harness::{Conn, PATIENCE, Reply, Subject, Wanted, Wire};

fn refusal(talk: &Talk) -> &'static str {
    talk.one_of(
        "* BYE [UNAVAILABLE] Too many connections\r\n",
        "-ERR [SYS/TEMP] Too many connections\r\n",
        "421 4.7.0 Too many connections\r\n",
    )
}

/// A `mail` block with a zone `one` with this key, and this limit of it.
#[track_caller]
fn limited(zone: &str, most: usize, servers: &str) -> Option<Wire> {
    (!Subject::is_nginx())
        .then(|| Wire::mail(&format!("limit_conn_zone {zone} zone=one:1m; limit_conn one {most}; {servers}")))
}

/// A client whose first line is as it should be, as soon as others are known to have gone.
#[track_caller]
fn greeted(connect: impl Fn() -> Conn) -> Conn {
    let start = Instant::now();
    loop {
        let mut client = connect();
        let line = client.line();
        if !line.contains("Too many") {
            return client;
        }
        client.expect_close();
        assert!(start.elapsed() < PATIENCE, "{line}");
    }
}

#[test]
fn by_address_in_every_protocol() {
    for talk in PROTOCOLS {
        let servers = format!("server {{ listen @main@; protocol {}; }}", talk.name);
        let Some(wire) = limited("$binary_remote_addr", 2, &servers) else { return };
        let first = greeted(|| wire.connect());
        let mut second = greeted(|| wire.connect());
        wire.connect().expect(refusal(&talk)).expect_close();
        let line = wire.await_log("limiting connections by zone \"one\"");
        assert!(line.contains("[error]"), "{line}");
        drop(first);
        greeted(|| wire.connect());
        let (noop, answer) = talk.noop;
        second.ask(noop, answer);
    }
}

#[test]
fn a_session_counts_until_its_end_on_whatever_thread() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::conf(
        "worker_processes 4; mail { auth_http @auth@; limit_conn_zone $remote_addr zone=one:1m; limit_conn one 3;
            server { listen @main@; protocol imap; } }",
    );
    for _ in 0..3 {
        let sessions: Vec<_> = (0..3)
            .map(|_| {
                let mut client = greeted(|| wire.connect());
                client.send("t LOGIN u p\r\n");
                wire.auth.request();
                let mut backend = wire.backend.accept();
                backend.ask("* OK\r\n", "t LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
                backend.send("t OK in\r\n");
                client.expect("t OK in\r\n");
                (client, backend)
            })
            .collect();
        wire.connect().expect(refusal(&IMAP)).expect_close();
        drop(sessions);
    }
    // Those that end in other ways: in the middle of a command, of a login, and by a mail server.
    for _ in 0..3 {
        greeted(|| wire.connect()).send("a LOGIN");
        wire.auth.reply(Reply::ByHand);
        let mut client = greeted(|| wire.connect());
        client.send("a LOGIN u p\r\n");
        let _request = wire.auth.request();
        drop(client);
        let mut client = greeted(|| wire.connect());
        client.send("a LOGIN u p\r\n");
        wire.auth.request();
        drop(wire.backend.accept());
        client.expect("* BAD internal server error\r\n").expect_close();
    }
    let _all: Vec<_> = (0..3).map(|_| greeted(|| wire.connect())).collect();
}

#[test]
fn by_network_of_an_address() {
    let servers = "set_real_ip_from 127.0.0.1; server { listen @main@ proxy_protocol; protocol imap; }";
    let from = |wire: &Wire, address: &str| {
        let (family, local) = if address.contains(':') { ("6", "::1") } else { ("4", "127.0.0.1") };
        let mut client = wire.connect();
        client.send(format!("PROXY TCP{family} {address} {local} 4711 143\r\n"));
        client
    };
    let greeting = "* OK IMAP4 ready\r\n";
    let Some(wire) = limited("$binary_remote_addr", 1, servers) else { return };
    let _kept = ["2001:db8::1", "192.0.2.1", "192.0.2.2", "2001:db8:0:1::1"].map(|address| {
        let mut client = from(&wire, address);
        client.expect(greeting);
        client
    });
    for address in ["2001:db8::ffff:ffff:ffff:ffff", "192.0.2.1"] {
        from(&wire, address).expect(refusal(&IMAP)).expect_close();
    }
    let wire = Wire::mail(&format!(
        "limit_conn_zone $remote_addr zone=one:1m ipv4_prefix=24 ipv6_prefix=128; limit_conn one 1; {servers}"
    ));
    let _kept = ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|address| {
        let mut client = from(&wire, address);
        client.expect(greeting);
        client
    });
    from(&wire, "192.0.2.255").expect(refusal(&IMAP)).expect_close();
}

#[test]
fn by_user_when_the_login_is_good() {
    for talk in PROTOCOLS {
        let servers = format!("xclient off; server {{ listen @main@; protocol {}; }}", talk.name);
        let Some(wire) = limited("$remote_user", 1, &servers) else { return };
        let mut first = wire.client();
        first.send(talk.login);
        let backend = wire.backend.accept();
        // Clients that are not logged in do not count, whatever they say.
        let mut second = wire.client();
        let accept = || Reply::accept(wire.backend.address());
        wire.auth.reply(accept().with("Auth-User", "U"));
        second.send(talk.login).expect(refusal(&talk)).expect_close();
        let line = wire.await_log("limiting connections by zone");
        assert!(line.contains("login: \"U\""), "{line}");
        wire.backend.expect_nobody();
        wire.auth.reply(accept().with("Auth-User", "another"));
        let mut other = wire.client();
        other.send(talk.login);
        wire.backend.accept();
        drop(backend);
        first.rest();
        let start = Instant::now();
        loop {
            let mut client = wire.client();
            client.send(talk.login);
            if wire.backend.try_accept().is_some() {
                break;
            }
            assert!(start.elapsed() < PATIENCE);
        }
    }
}

#[test]
fn who_hears_late_of_a_failure_keeps_no_place_of_the_user() {
    let servers = "limit_login login delay=1; server { listen @main@; protocol imap; }";
    let Some(wire) = limited("$remote_user", 1, servers) else { return };
    let log_in = |client: &mut Conn, answer: &str| {
        client.send("a LOGIN u p\r\n");
        wire.auth.request();
        let mut backend = wire.backend.accept();
        backend.ask("* OK\r\n", "a LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
        backend.send(answer);
        backend
    };
    // The last of them waits for four seconds.
    let [mut first, mut second, mut third, mut last, mut good] = [(); 5].map(|()| wire.client());
    for client in [&mut first, &mut second, &mut third, &mut last] {
        log_in(client, "a NO no\r\n").expect_close();
    }
    let _backend = log_in(&mut good, "a OK in\r\n");
    good.expect("a OK in\r\n");
    for mut client in [first, second, third, last] {
        client.expect("* BAD internal server error\r\n").expect_close();
    }
}

#[test]
fn by_server() {
    let servers = "server { listen @main@; protocol imap; server_name a.test; }
        server { listen @same@; protocol pop3; server_name a.test; }
        server { listen @other@; protocol imap; server_name b.test; }";
    let Some(wire) = limited("$server_name", 1, servers) else { return };
    let _first = greeted(|| wire.connect());
    Conn::connect(wire.place("same")).expect("-ERR [SYS/TEMP] Too many connections\r\n").expect_close();
    greeted(|| Conn::connect(wire.place("other")));
}

#[test]
fn several_limits_hold_at_once_and_a_server_with_its_own_inherits_none() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::mail(
        "limit_conn few 1; limit_conn_zone $remote_addr zone=few:1m; limit_conn_zone $server_name zone=many:1m;
        server { listen @main@; protocol imap; limit_conn many 2; limit_conn few 3; }
        server { listen @strict@; protocol imap; }",
    );
    let first = greeted(|| wire.connect());
    let _second = greeted(|| wire.connect());
    wire.connect().expect(refusal(&IMAP)).expect_close();
    wire.await_log("limiting connections by zone \"many\"");
    // Those two count in the other zone too.
    Conn::connect(wire.place("strict")).expect(refusal(&IMAP)).expect_close();
    wire.await_log("limiting connections by zone \"few\"");
    // One that was refused for the one counts in the other no more.
    drop(first);
    greeted(|| wire.connect());
}

#[test]
fn a_dry_run_only_tells() {
    let servers = "limit_conn_dry_run on; limit_conn_log_level warn; server { listen @main@; protocol imap; }";
    let Some(wire) = limited("$remote_addr", 1, servers) else { return };
    let _first = greeted(|| wire.connect());
    wire.connect().expect("* OK IMAP4 ready\r\n").ask("a NOOP\r\n", "a OK completed\r\n");
    let line = wire.await_log("limiting connections, dry run, by zone \"one\"");
    assert!(line.contains("[warn]"), "{line}");
}

#[test]
fn before_tls_the_connection_is_closed_without_a_handshake() {
    if Subject::is_nginx() {
        return;
    }
    let files = Wanted::new("mail.test").alone().files("server");
    let conf = "mail { auth_http @auth@; ssl_certificate server.crt; ssl_certificate_key server.key;
        limit_conn_zone $remote_addr zone=one:1m; limit_conn one 2;
        server { listen @main@ ssl; protocol imap; } }";
    let wire = Wire::with(&files, conf);
    let _kept = [(); 2].map(|()| {
        let start = Instant::now();
        loop {
            match wire.connect().try_tls(Client::new()) {
                Ok(client) => break client,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
        }
    });
    assert!(wire.connect().try_tls(Client::new()).is_err());
}
