//! Ways to the proxy and on to the backend: addresses of each family, and many sessions at once.

use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use crate::harness::{Backend, Conn, Reply, Subject, Wire, differs};

const PROTOCOLS: [&str; 3] = ["imap", "pop3", "smtp"];

/// The client logs in and both sides exchange a line.
#[track_caller]
fn session(client: &mut Conn, protocol: &str, backend: impl FnOnce() -> Conn) {
    client.line();
    let mut backend = match protocol {
        "imap" => {
            client.send("a LOGIN u p\r\n");
            let mut backend = backend();
            backend.ask("* OK hi\r\n", "a LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "p\r\n");
            backend.send("a OK in\r\n");
            client.expect("a OK in\r\n");
            backend
        }
        "pop3" => {
            client.ask("USER u\r\n", "+OK\r\n").send("PASS p\r\n");
            let mut backend = backend();
            backend.ask("+OK hi\r\n", "USER u\r\n").ask("+OK\r\n", "PASS p\r\n").send("+OK in\r\n");
            client.expect("+OK in\r\n");
            backend
        }
        _ => {
            client.send("AUTH PLAIN AHUAcA==\r\n");
            let mut backend = backend();
            backend.ask("220 hi\r\n", "HELO proxy.test\r\n").send("250 ok\r\n");
            client.expect("235 2.0.0 OK\r\n");
            backend
        }
    };
    client.send("there\r\n");
    backend.ask("and back\r\n", "there\r\n");
    client.expect("and back\r\n");
}

#[test]
fn clients_on_ipv6() {
    for protocol in PROTOCOLS {
        let wire = Wire::mail(&format!("xclient off; server {{ listen @main6@; protocol {protocol}; }}"));
        session(&mut Conn::connect(wire.place("main6")), protocol, || wire.backend.accept());
    }
}

#[test]
fn clients_on_unix_sockets() {
    for protocol in PROTOCOLS {
        let wire = Wire::mail(&format!(
            "xclient off; server {{ listen unix:@prefix@/socket; protocol {protocol}; }}
             server {{ listen @main@; protocol imap; }}"
        ));
        let path = wire.prefix().join("socket");
        session(&mut Conn::connect_unix(&path), protocol, || wire.backend.accept());
        let line = wire.await_log("client logged in");
        let context = format!(
            ", client: unix:, server: unix:{}, login: \"u\", upstream: {}",
            path.display(),
            wire.backend.address()
        );
        assert!(line.ends_with(&context), "{line}");
    }
}

#[test]
fn xclient_for_a_client_on_a_unix_socket() {
    let wire =
        Wire::mail("server { listen unix:@prefix@/socket; protocol smtp; } server { listen @main@; protocol imap; }");
    let mut client = Conn::connect_unix(&wire.prefix().join("socket"));
    client.send("AUTH PLAIN AHUAcA==\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("220 hi\r\n", "EHLO proxy.test\r\n");
    backend.ask("250 ok\r\n", "XCLIENT ADDR=unix: LOGIN=u NAME=[UNAVAILABLE]\r\n");
}

#[test]
fn backends_on_ipv6() {
    for protocol in PROTOCOLS {
        let wire = Wire::server(protocol, "xclient off;");
        let backend = Backend::at("[::1]:0");
        wire.auth.always(Reply::accept(backend.address()));
        session(&mut wire.connect(), protocol, || backend.accept());
    }
}

#[test]
fn backends_on_unix_sockets() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("backend");
    let listener = UnixListener::bind(&path).unwrap();
    let server = format!("unix:{}", path.display());
    let wire = Wire::imap("");
    wire.auth.always(Reply::headers(&[("Auth-Status", "OK"), ("Auth-Server", &server), ("Auth-Port", "143")]));
    if differs("mail servers listen there", true, false) {
        wire.client().ask("a LOGIN u p\r\n", "* BAD internal server error\r\n").expect_close();
    } else {
        session(&mut wire.connect(), "imap", || Conn::unix(listener.accept().unwrap().0));
    }
}

#[test]
fn a_listener_on_all_addresses() {
    let wire = Wire::mail("server { listen *:@any.port@; protocol imap; }");
    let port = wire.place("any").port();
    session(&mut Conn::connect(([127, 0, 0, 3], port).into()), "imap", || wire.backend.accept());
    let line = wire.await_log("client logged in");
    assert!(line.contains(&format!(", server: 0.0.0.0:{port}, ")), "{line}");
}

#[test]
fn addresses_of_their_own_beside_all_addresses() {
    let wire = Wire::mail(
        "server { listen @any.port@; protocol imap; } server { listen 127.0.0.2:@any.port@; protocol pop3; }
         server { listen 127.0.0.3:@any.port@; protocol smtp; }",
    );
    let at = |ip: [u8; 4]| Conn::connect((ip, wire.place("any").port()).into());
    at([127, 0, 0, 1]).expect("* OK IMAP4 ready\r\n");
    at([127, 0, 0, 2]).expect("+OK POP3 ready\r\n");
    at([127, 0, 0, 3]).expect("220 proxy.test ESMTP ready\r\n");
}

#[test]
fn several_listeners_of_one_server() {
    let wire = Wire::mail("server { listen @main@; listen @second@; listen @third6@; protocol imap; }");
    for place in ["main", "second", "third6"] {
        session(&mut Conn::connect(wire.place(place)), "imap", || wire.backend.accept());
    }
}

#[test]
fn sessions_at_once_do_not_mix() {
    let wire = Wire::conf(
        "worker_processes 1; mail { server_name proxy.test; auth_http @auth@/;
         server { listen @main@; protocol pop3; } }",
    );
    let mut sessions = Vec::new();
    for number in 0..12 {
        let mut client = wire.client();
        client.ask(format!("USER u{number}\r\n"), "+OK\r\n").send(format!("PASS p{number}\r\n"));
        let mut backend = wire.backend.accept();
        backend.ask("+OK\r\n", format!("USER u{number}\r\n")).ask("+OK\r\n", format!("PASS p{number}\r\n"));
        sessions.push((client, backend));
    }
    for (client, backend) in sessions.iter_mut().rev() {
        backend.send("+OK in\r\n");
        client.expect("+OK in\r\n");
    }
    for (number, (client, backend)) in sessions.iter_mut().enumerate() {
        client.send(format!("to {number}\r\n"));
        backend.expect(format!("to {number}\r\n")).send(format!("from {number}\r\n"));
    }
    for (number, (client, _)) in sessions.iter_mut().enumerate() {
        client.expect(format!("from {number}\r\n")).expect_silence();
    }
}

#[test]
fn the_name_of_the_host_by_default() {
    let wire = Wire::conf("mail { auth_http @auth@/; server { listen @main@; protocol smtp; } }");
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    wire.connect().expect(format!("220 {host} ESMTP ready\r\n"));
}

#[test]
fn an_answer_before_the_question() {
    let wire = Wire::mail("server { listen @main@; protocol pop3; }");
    let mut client = wire.client();
    client.ask("USER u\r\n", "+OK\r\n").send("PASS p\r\n");
    let mut backend = wire.backend.accept();
    backend.send("+OK hi\r\n+OK\r\n");
    if differs("what comes behind an answer may be taken for the next", true, false) {
        backend.expect("USER u\r\n").ask("+OK\r\n", "PASS p\r\n").send("-ERR no\r\n");
    }
    backend.expect_close();
    client.expect("-ERR internal server error\r\n").expect_close();
    let line = differs("", "upstream sent invalid response: \"-ERR no\"", "upstream answered before it was asked");
    wire.await_log(line);
}

/// Its other half would make it the answer to the password.
#[test]
fn the_beginning_of_an_answer_before_the_question() {
    type Steps = &'static [(&'static str, &'static str)];
    let pop3: Steps = &[("+OK hi\r\n", "USER u\r\n"), ("+OK\r\n+OK", "")];
    let imap: Steps = &[("* OK hi\r\n", "a LOGIN {1}\r\n"), ("+ go\r\n", "u {1}\r\n"), ("+ go\r\na OK i", "")];
    let smtp: Steps = &[("220 hi\r\n", "EHLO proxy.test\r\n"), ("250 hi\r\n235 ", "")];
    for (protocol, login, steps) in [
        ("pop3", "USER u\r\nPASS p\r\n", pop3),
        ("imap", "a LOGIN u p\r\n", imap),
        ("smtp", "EHLO a\r\nAUTH PLAIN AHUAcA==\r\n", smtp),
    ] {
        let settings = "xclient off; proxy_smtp_auth on;";
        let wire = Wire::mail(&format!("{settings} server {{ listen @main@; protocol {protocol}; }}"));
        let mut client = wire.client();
        client.send(login);
        let mut backend = wire.backend.accept();
        for (said, asked) in steps {
            backend.send(said);
            if !asked.is_empty() {
                backend.expect(asked);
            } else if Subject::is_nginx() {
                // It waits for the other half.
                backend.expect_silence();
            } else {
                backend.expect_close();
                wire.await_log("upstream answered before it was asked");
            }
        }
    }
}
