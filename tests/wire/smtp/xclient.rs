//! `xclient on`, the default: the backend is told who the client is.

use super::{EXTENSIONS, INTERNAL, LOGGED_IN, LOGIN, at_backend};
use crate::harness::{Conn, Reply, Subject, Wire, b64, differs, since};

const EHLO_PROXY: &str = "EHLO proxy.test\r\n";

/// Takes the proxy through the greeting and EHLO, to this command.
#[track_caller]
fn hears(backend: &mut Conn, xclient: &str) {
    backend.ask("220 hi\r\n", EHLO_PROXY).ask(EXTENSIONS, xclient);
}

/// The XCLIENT line for that user.
#[track_caller]
fn line_for(user: &[u8]) -> String {
    let wire = Wire::smtp("");
    let login = [b"\0", user, b"\0p"].concat();
    let (_client, mut backend) = at_backend(&wire, &format!("AUTH PLAIN {}\r\n", b64(login)));
    backend.ask("220 hi\r\n", EHLO_PROXY).send(EXTENSIONS).line()
}

#[test]
fn address_login_and_name() {
    let wire = Wire::smtp("");
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    hears(&mut backend, "XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n");
    client.expect_silence();
    backend.send("220 once more\r\n").expect_silence();
    client.expect(LOGGED_IN).send("MAIL FROM:<a>\r\n");
    backend.expect("MAIL FROM:<a>\r\n");
}

#[test]
fn greeting_or_ok_may_answer_it() {
    for answer in ["220 mail.test ESMTP\r\n", "250 ok\r\n", "220-a\r\n220 b\r\n"] {
        let wire = Wire::smtp("");
        let (mut client, mut backend) = at_backend(&wire, LOGIN);
        hears(&mut backend, "XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n");
        backend.send(answer);
        client.expect(LOGGED_IN);
    }
}

#[test]
fn any_other_answer_is_an_error() {
    let wire = Wire::smtp("");
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    hears(&mut backend, "XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n");
    backend.send("550 insufficient authorization\r\n").expect_close();
    client.expect(INTERNAL).expect_close();
}

#[test]
fn login_is_xtext() {
    if !since(1, 29, 2) {
        return;
    }
    let expected = "XCLIENT ADDR=127.0.0.1 LOGIN=a+20b+2Bc+3Dd@x NAME=[UNAVAILABLE]\r\n";
    assert_eq!(line_for(b"a b+c=d@x"), expected);
    let expected = "XCLIENT ADDR=127.0.0.1 LOGIN=+01+09+7F+C3+A9 NAME=[UNAVAILABLE]\r\n";
    assert_eq!(line_for(b"\x01\x09\x7f\xc3\xa9"), expected);
}

#[test]
fn empty_login_is_left_out() {
    assert_eq!(line_for(b""), "XCLIENT ADDR=127.0.0.1 NAME=[UNAVAILABLE]\r\n");
}

#[test]
fn user_of_the_auth_server_is_told() {
    let wire = Wire::smtp("");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-User", "mapped"));
    let (_client, mut backend) = at_backend(&wire, LOGIN);
    hears(&mut backend, "XCLIENT ADDR=127.0.0.1 LOGIN=mapped NAME=[UNAVAILABLE]\r\n");
}

#[test]
fn ipv6_clients_are_marked() {
    let wire = Wire::mail("server { listen @main6@; protocol smtp; }");
    let mut client = Conn::connect(wire.place("main6"));
    client.expect("220 proxy.test ESMTP ready\r\n").send(LOGIN);
    hears(&mut wire.backend.accept(), "XCLIENT ADDR=IPV6:::1 LOGIN=u NAME=[UNAVAILABLE]\r\n");
    assert_eq!(wire.auth.request().header("Client-IP").as_deref(), Some("::1"));
}

#[test]
fn clients_helo_follows() {
    let wire = Wire::smtp("");
    let (_client, mut backend) = at_backend(&wire, "HELO c.test\r\nAUTH PLAIN AHUAcA==\r\n");
    hears(&mut backend, "XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n");
    backend.ask("220 hi\r\n", "HELO c.test\r\n");
}

#[test]
fn clients_ehlo_follows() {
    let wire = Wire::smtp("");
    let (mut client, mut backend) = at_backend(&wire, "EHLO c.test\r\nAUTH PLAIN AHUAcA==\r\n");
    hears(&mut backend, "XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n");
    backend.ask("220 hi\r\n", "EHLO c.test\r\n").send("250-mail.test\r\n250 SIZE\r\n");
    client.expect("250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n").expect(LOGGED_IN);
}

#[test]
fn refused_helo_of_the_client_is_an_error() {
    let wire = Wire::smtp("proxy_pass_error_message on;");
    let (mut client, mut backend) = at_backend(&wire, "HELO c.test\r\nAUTH PLAIN AHUAcA==\r\n");
    hears(&mut backend, "XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n");
    backend.ask("220 hi\r\n", "HELO c.test\r\n").send("550 not from there\r\n").expect_close();
    client.expect("250 proxy.test\r\n").expect("550 not from there\r\n").expect_close();
}

#[test]
fn with_proxy_smtp_auth_the_login_is_left_to_auth() {
    let wire = Wire::smtp("proxy_smtp_auth on;");
    let (mut client, mut backend) = at_backend(&wire, "HELO c.test\r\nAUTH PLAIN AHUAcA==\r\n");
    hears(&mut backend, "XCLIENT ADDR=127.0.0.1 NAME=[UNAVAILABLE]\r\n");
    backend.ask("220 hi\r\n", "HELO c.test\r\n").ask("250 ok\r\n", LOGIN).send("235 in\r\n");
    client.expect("250 proxy.test\r\n").expect(LOGGED_IN);
}

#[test]
fn with_proxy_smtp_auth_and_no_helo() {
    let wire = Wire::smtp("proxy_smtp_auth on;");
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    hears(&mut backend, "XCLIENT ADDR=127.0.0.1 NAME=[UNAVAILABLE]\r\n");
    backend.ask("250 ok\r\n", LOGIN).send("235 in\r\n");
    client.expect(LOGGED_IN);
}

#[test]
fn backend_that_does_not_announce_it() {
    let wire = Wire::smtp("");
    let (mut client, mut backend) = at_backend(&wire, LOGIN);
    backend.ask("220 hi\r\n", EHLO_PROXY).send("250-mail.test\r\n250-SIZE\r\n250 XCLIENTS\r\n");
    if differs("who takes the proxy for the client may relay for anybody", true, false) {
        backend.expect("XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n");
    } else {
        backend.expect_close();
        client.expect(INTERNAL).expect_close();
        wire.await_log("XCLIENT");
    }
}

#[test]
fn backend_that_announces_nothing_is_tried() {
    let wire = Wire::smtp("");
    let (_client, mut backend) = at_backend(&wire, LOGIN);
    backend.ask("220 hi\r\n", EHLO_PROXY);
    backend.ask("250 mail.test\r\n", "XCLIENT ADDR=127.0.0.1 LOGIN=u NAME=[UNAVAILABLE]\r\n");
}

#[test]
fn user_with_a_line_break() {
    if !since(1, 29, 2) {
        return;
    }
    if Subject::is_nginx() {
        assert_eq!(line_for(b"a\r\nQUIT"), "XCLIENT ADDR=127.0.0.1 LOGIN=a+0D+0AQUIT NAME=[UNAVAILABLE]\r\n");
    } else {
        // Refused before anybody is asked.
        let wire = Wire::smtp("");
        wire.client().ask(format!("AUTH PLAIN {}\r\n", b64("\0a\r\nQUIT\0p")), super::INVALID);
        wire.backend.expect_nobody();
    }
}
