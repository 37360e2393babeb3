//! `max_commands`

use super::{IMAP, PROTOCOLS, Talk};
use crate::harness::tls::Client;
use crate::harness::{Subject, Wanted, Wire};

fn refusal(talk: &Talk) -> &'static str {
    talk.one_of(
        "* BYE Too many commands\r\n",
        "-ERR [SYS/TEMP] Too many commands\r\n",
        "421 4.7.0 Too many commands\r\n",
    )
}

#[test]
fn a_thousand_by_default_good_or_bad() {
    for talk in PROTOCOLS {
        let Some(wire) = talk.wire("max_errors 2000;") else { return };
        let (noop, answer) = talk.noop;
        let mut client = wire.client();
        for number in 0..1000 {
            if number % 2 == 0 {
                client.ask(noop, answer);
            } else {
                client.send("bad\r\n").line();
            }
        }
        client.ask(noop, refusal(&talk)).expect_close();
        wire.await_log("client sent too many commands while in auth state");
    }
}

#[test]
fn pipelined_commands_count_and_nothing_comes_of_those_behind() {
    for talk in PROTOCOLS {
        let Some(wire) = talk.wire("max_commands 3;") else { return };
        let (noop, answer) = talk.noop;
        let mut client = wire.client();
        client.send(noop.repeat(3) + talk.login).expect(answer.repeat(3) + refusal(&talk)).expect_close();
        wire.auth.expect_unasked();
    }
}

#[test]
fn starttls_does_not_make_them_forgotten_nor_does_another_server_behind_it() {
    if Subject::is_nginx() {
        return;
    }
    let mut files = Vec::new();
    let mut servers = String::new();
    for name in ["first", "second"] {
        files.extend(Wanted::new(&format!("{name}.test")).alone().files(name));
        servers += &format!(
            "server {{ listen @main@; starttls on; protocol imap; server_name {name}.test; max_commands 3;
                ssl_certificate {name}.crt; ssl_certificate_key {name}.key; }}"
        );
    }
    let wire = Wire::with(&files, &format!("mail {{ auth_http @auth@; {servers} }}"));
    for name in ["first.test", "second.test"] {
        let mut client = wire.client();
        client.ask("a NOOP\r\n", "a OK completed\r\n").ask("b STARTTLS\r\n", "b OK completed\r\n");
        let mut client = client.tls(Client::new().name(name));
        client.ask("c NOOP\r\n", "c OK completed\r\n").ask("d NOOP\r\n", refusal(&IMAP)).expect_close();
    }
}

#[test]
fn what_follows_the_login_is_not_counted() {
    let Some(wire) = IMAP.wire("max_commands 1;") else { return };
    let (mut client, mut backend) = wire.imap_session();
    client.send("a NOOP\r\n".repeat(10));
    backend.expect("a NOOP\r\n".repeat(10)).send("a OK\r\n".repeat(10));
    client.expect("a OK\r\n".repeat(10));
}
