//! How TLS ends, and what it must not do meanwhile.

use std::time::{Duration, Instant};

use super::{IMAP, POP3, PROTOCOLS, SMTP, Talk, s_client};
use crate::harness::tls::{Client, max_early_data};
use crate::harness::{Conn, Reply, Subject, Wire};

/// How a client takes its leave, and the answer.
const QUITS: [(Talk, &str, &str); 3] = [
    (IMAP, "q LOGOUT\r\n", "* BYE\r\nq OK completed\r\n"),
    (POP3, "QUIT\r\n", "+OK\r\n"),
    (SMTP, "QUIT\r\n", "221 2.0.0 Bye\r\n"),
];

/// A client of an IMAP server with TLS, and its backend, after the login.
fn session(wire: &Wire) -> (Conn, Conn) {
    let mut client = wire.connect().tls(Client::new());
    IMAP.greeted(&mut client).send("t LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK ready\r\n", "t LOGIN {1}\r\n").ask("+ go\r\n", "u {1}\r\n").ask("+ go\r\n", "p\r\n");
    backend.send("t OK in\r\n");
    client.expect("t OK in\r\n");
    (client, backend)
}

#[test]
fn quit_ends_with_close_notify() {
    for (talk, quit, answer) in QUITS {
        let wire = talk.implicit("");
        let mut client = wire.connect().tls(Client::new());
        talk.greeted(&mut client).ask(quit, answer).expect_close_notify();
    }
}

#[test]
fn a_refusal_ends_with_close_notify() {
    for (talk, answer) in [(IMAP, "l NO no\r\n"), (POP3, "-ERR no\r\n"), (SMTP, "535 5.7.0 no\r\n")] {
        let wire = talk.plain("starttls on;");
        wire.auth.reply(Reply::refuse("no"));
        let mut client = talk.at_starttls(&wire).tls(Client::new());
        client.ask(talk.login, answer).expect_close_notify();
    }
}

#[test]
fn the_end_of_the_backend_is_told_with_close_notify() {
    let wire = IMAP.implicit("");
    let (mut client, mut backend) = session(&wire);
    backend.send("* BYE\r\n");
    drop(backend);
    client.expect("* BYE\r\n").expect_close_notify();
}

#[test]
fn the_end_of_the_client_is_told_to_the_backend() {
    let wire = IMAP.implicit("");
    let (mut client, mut backend) = session(&wire);
    client.send("b LOGOUT\r\n").close_notify();
    drop(client);
    backend.expect("b LOGOUT\r\n").expect_close();
}

/// Its connection stays open, so nothing but close_notify tells of the end.
#[test]
fn the_end_of_a_client_that_waits_for_its_answers_is_told_to_the_backend() {
    let wire = IMAP.implicit("");
    let mut client = wire.connect().tls(Client::new());
    IMAP.greeted(&mut client).send("t LOGIN u p\r\nb NOOP\r\n").close_notify();
    let mut backend = wire.backend.accept();
    backend.ask("* OK ready\r\n", "t LOGIN {1}\r\n").ask("+ go\r\n", "u {1}\r\n").ask("+ go\r\n", "p\r\n");
    backend.send("t OK in\r\n").expect("b NOOP\r\n").expect_close();
}

/// nginx just closes.
#[test]
fn a_client_that_ends_as_tls_wants_it_is_answered_so() {
    if Subject::is_nginx() {
        return;
    }
    let wire = IMAP.implicit("");
    let (mut client, mut backend) = session(&wire);
    client.close_notify();
    backend.expect_close();
    drop(backend);
    client.expect_close_notify();
}

#[test]
fn a_client_that_is_cut_off_ends_the_session() {
    let wire = IMAP.implicit("");
    let (mut client, mut backend) = session(&wire);
    client.send("b NOOP\r\n");
    drop(client);
    backend.expect("b NOOP\r\n").expect_close();
}

#[test]
fn nobody_waits_for_the_clients_close_notify() {
    for (talk, quit, answer) in QUITS {
        let wire = talk.implicit("");
        let mut client = wire.connect().tls(Client::new());
        talk.greeted(&mut client).ask(quit, answer).expect_close_notify();
        client.expect_end_of_tcp();
    }
}

#[test]
fn a_client_that_does_not_begin_the_handshake_is_given_up() {
    let wire = IMAP.implicit("timeout 1s;");
    let mut client = wire.connect();
    let start = Instant::now();
    assert_eq!(client.rest(), b"");
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn a_client_that_stays_silent_behind_starttls_is_given_up() {
    for talk in PROTOCOLS {
        let wire = talk.plain("starttls on; timeout 1s;");
        let mut client = talk.at_starttls(&wire);
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn a_client_that_stays_silent_within_tls_is_given_up() {
    for talk in PROTOCOLS {
        let wire = talk.implicit("timeout 1s;");
        let mut client = wire.connect().tls(Client::new());
        talk.greeted(&mut client).expect_close();
        wire.await_log("client timed out");
    }
}

#[test]
fn early_data_is_not_accepted() {
    let wire = IMAP.implicit("ssl_protocols TLSv1.3;");
    let mut client = wire.connect().tls(Client::new());
    IMAP.greeted(&mut client);
    let session = client.session();
    assert_eq!(client.ssl().version_str(), "TLSv1.3");
    assert_eq!(max_early_data(&session), 0);
}

#[test]
fn renegotiation_is_refused() {
    for talk in PROTOCOLS {
        let wire = talk.implicit("");
        // A line "R" makes it ask for a renegotiation.
        let told = s_client(wire.place("main"), &["-tls1_2"], "ready", "R\n");
        assert!(told.contains("no renegotiation"), "{told}");
    }
}
