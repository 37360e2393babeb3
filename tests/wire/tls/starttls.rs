//! `starttls on|only`: STARTTLS in IMAP and SMTP, STLS in POP3.

use super::{IMAP, POP3, PROTOCOLS, SMTP};
use crate::harness::tls::Client;
use crate::harness::{Reply, differs};

/// What SMTP says to a login before TLS.
const SMTP_LOCKED: &str = "500 5.5.1 Invalid command\r\n";

#[test]
fn the_session_goes_on_without_another_greeting() {
    for talk in PROTOCOLS {
        for directive in ["starttls on;", "starttls only;"] {
            let wire = talk.plain(directive);
            let mut client = talk.at_starttls(&wire).tls(Client::new());
            client.expect_silence();
            talk.goes_on(&mut client);
            client.send(talk.login);
            assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
        }
    }
}

#[test]
fn an_argument_is_overlooked() {
    for (talk, command) in [(IMAP, "s STARTTLS now\r\n"), (POP3, "STLS now\r\n"), (SMTP, "STARTTLS now\r\n")] {
        let wire = talk.plain("starttls on;");
        let mut client = wire.connect();
        talk.greeted(&mut client).ask(command, talk.starttls[1]);
        talk.goes_on(&mut client.tls(Client::new()));
    }
}

#[test]
fn it_is_refused_where_it_is_off() {
    for (talk, refusal) in [
        (IMAP, "s BAD invalid command\r\n"),
        (POP3, "-ERR invalid command\r\n"),
        (SMTP, "500 5.5.1 Invalid command\r\n"),
    ] {
        let wire = talk.plain("starttls off;");
        let mut client = wire.connect();
        talk.greeted(&mut client).ask(talk.starttls[0], refusal);
        talk.goes_on(&mut client);
    }
}

#[test]
fn it_is_refused_within_tls() {
    for (talk, refusal) in [
        (IMAP, "s BAD invalid command\r\n"),
        (POP3, "-ERR invalid command\r\n"),
        (SMTP, "500 5.5.1 Invalid command\r\n"),
    ] {
        let wire = talk.plain("starttls on;");
        let mut client = talk.at_starttls(&wire).tls(Client::new());
        client.ask(talk.starttls[0], refusal);
        talk.goes_on(&mut client);
    }
}

#[test]
fn pop3_has_none_between_user_and_pass() {
    let wire = POP3.plain("starttls on;");
    let mut client = wire.client();
    client
        .ask("USER u\r\n", "+OK\r\n")
        .ask("CAPA\r\n", "+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n")
        .ask("STLS\r\n", "-ERR invalid command\r\n")
        .ask("STLS\r\n", "+OK\r\n");
}

#[test]
fn imap_capabilities_before_and_after() {
    let encrypted = "* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=CRAM-MD5\r\na OK completed\r\n";
    for (value, clear) in [
        ("off", encrypted),
        ("on", "* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=CRAM-MD5 STARTTLS\r\na OK completed\r\n"),
        ("only", "* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS STARTTLS LOGINDISABLED\r\na OK completed\r\n"),
    ] {
        let wire = IMAP.plain(&format!("starttls {value}; imap_auth plain cram-md5;"));
        wire.client().ask("a CAPABILITY\r\n", clear);
        if value != "off" {
            IMAP.at_starttls(&wire).tls(Client::new()).ask("a CAPABILITY\r\n", encrypted);
        }
    }
}

#[test]
fn pop3_capabilities_before_and_after() {
    let list = |lines: &str| format!("+OK Capability list follows\r\n{lines}.\r\n");
    let encrypted = list("TOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN CRAM-MD5\r\n");
    for (value, clear) in [
        ("off", encrypted.clone()),
        ("on", list("TOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN CRAM-MD5\r\nSTLS\r\n")),
        ("only", list("TOP\r\nUIDL\r\nSTLS\r\n")),
    ] {
        let wire = POP3.plain(&format!("starttls {value}; pop3_auth plain cram-md5;"));
        wire.client().ask("CAPA\r\n", clear);
        if value != "off" {
            // Its greeting has a challenge.
            let mut client = wire.client();
            client.ask(POP3.starttls[0], POP3.starttls[1]);
            client.tls(Client::new()).ask("CAPA\r\n", &encrypted);
        }
    }
}

#[test]
fn smtp_extensions_before_and_after() {
    let encrypted = "250-proxy.test\r\n250-SIZE 1\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n";
    for (value, clear) in [
        ("off", encrypted),
        ("on", "250-proxy.test\r\n250-SIZE 1\r\n250-AUTH PLAIN LOGIN CRAM-MD5\r\n250 STARTTLS\r\n"),
        ("only", "250-proxy.test\r\n250-SIZE 1\r\n250 STARTTLS\r\n"),
    ] {
        let wire =
            SMTP.plain(&format!("starttls {value}; smtp_auth plain login cram-md5; smtp_capabilities 'SIZE 1';"));
        wire.client().ask("EHLO c\r\n", clear);
        if value != "off" {
            SMTP.at_starttls(&wire).tls(Client::new()).ask("EHLO c\r\n", encrypted);
        }
    }
}

#[test]
fn only_refuses_every_imap_login_before_tls() {
    let wire = IMAP.plain("starttls only; imap_auth plain login cram-md5 external;");
    for command in
        ["LOGIN u p", "AUTHENTICATE PLAIN", "AUTHENTICATE LOGIN", "AUTHENTICATE CRAM-MD5", "AUTHENTICATE EXTERNAL"]
    {
        let mut client = wire.client();
        client.ask(format!("a {command}\r\n"), "a BAD invalid command\r\n");
        IMAP.goes_on(&mut client);
    }
    wire.auth.expect_unasked();
}

#[test]
fn only_refuses_every_pop3_login_before_tls() {
    let wire = POP3.plain("starttls only; pop3_auth plain apop cram-md5 external;");
    for command in
        ["USER u", "user u", "APOP u 0", "AUTH", "AUTH PLAIN", "AUTH LOGIN", "AUTH CRAM-MD5", "AUTH EXTERNAL"]
    {
        let mut client = wire.client();
        client.ask(format!("{command}\r\n"), "-ERR invalid command\r\n");
        POP3.goes_on(&mut client);
    }
    wire.auth.expect_unasked();
}

#[test]
fn only_refuses_every_smtp_login_before_tls() {
    let wire = SMTP.plain("starttls only; smtp_auth plain login cram-md5 external;");
    for command in ["AUTH PLAIN", "AUTH PLAIN AHUAcA==", "AUTH LOGIN", "AUTH CRAM-MD5", "AUTH EXTERNAL"] {
        let mut client = wire.client();
        client.ask(format!("{command}\r\n"), SMTP_LOCKED);
        SMTP.goes_on(&mut client);
    }
    wire.auth.expect_unasked();
}

#[test]
fn only_holds_for_smtp_without_authentication() {
    let wire = SMTP.plain("starttls only; smtp_auth none;");
    let mut client = wire.client();
    client.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
    if differs("`only` says that nothing goes in the clear", true, false) {
        assert_eq!(wire.auth.request().header("Auth-Method").as_deref(), Some("none"));
    } else {
        client.expect("530 5.7.0 Must issue a STARTTLS command first\r\n".repeat(2));
        wire.auth.expect_unasked();
    }
}

#[test]
fn smtp_forgets_helo_and_mail() {
    let wire = SMTP.plain("starttls on; smtp_auth none; xclient on;");
    let mut client = wire.client();
    client.ask("HELO before\r\n", "250 proxy.test\r\n").ask("MAIL FROM:<before@b.test>\r\n", "250 2.0.0 OK\r\n");
    client.ask("STARTTLS\r\n", SMTP.starttls[1]);
    let mut client = client.tls(Client::new());
    client.ask("RCPT TO:<c@d.test>\r\n", "503 5.5.1 Bad sequence of commands\r\n");
    client.ask("MAIL FROM:<after@b.test>\r\n", "250 2.0.0 OK\r\n").send("RCPT TO:<c@d.test>\r\n");
    let request = wire.auth.request();
    assert_eq!(request.header("Auth-SMTP-Helo").as_deref(), Some(""));
    assert_eq!(request.header("Auth-SMTP-From").as_deref(), Some("MAIL FROM:<after@b.test>"));
}

#[test]
fn smtp_remembers_that_ehlo_was_said() {
    for (before, said) in [("EHLO before\r\n", "EHLO proxy.test\r\n"), ("HELO before\r\n", "HELO proxy.test\r\n")] {
        let wire = SMTP.plain("starttls on; xclient off;");
        let mut client = wire.client();
        client.send(before).until("250 ");
        client.line();
        client.ask("STARTTLS\r\n", SMTP.starttls[1]);
        let mut client = client.tls(Client::new());
        client.ask("HELO after\r\n", "250 proxy.test\r\n").send(SMTP.login);
        wire.backend.accept().ask("220 mail.test\r\n", said);
    }
}

#[test]
fn errors_before_tls_count() {
    for (talk, wrong) in [(IMAP, "x\r\n"), (POP3, "x\r\n"), (SMTP, "x\r\n")] {
        let wire = talk.plain("starttls on; max_errors 2;");
        let mut client = wire.client();
        client.send(wrong).line();
        client.ask(talk.starttls[0], talk.starttls[1]);
        let mut client = client.tls(Client::new());
        client.send(wrong).line();
        client.expect_close_notify();
    }
}

#[test]
fn attempts_are_counted_on() {
    for talk in PROTOCOLS {
        let wire = talk.plain("starttls on;");
        wire.auth.reply(Reply::refuse("wrong").with("Auth-Wait", "1"));
        let mut client = wire.client();
        client.send(talk.login).line();
        assert_eq!(wire.auth.request().header("Auth-Login-Attempt").as_deref(), Some("1"));
        client.ask(talk.starttls[0], talk.starttls[1]);
        let mut client = client.tls(Client::new());
        client.send(talk.login);
        assert_eq!(wire.auth.request().header("Auth-Login-Attempt").as_deref(), Some("2"));
    }
}

#[test]
fn a_handshake_that_fails_ends_the_connection() {
    for talk in PROTOCOLS {
        let wire = talk.plain("starttls on;");
        let mut client = talk.at_starttls(&wire);
        client.send(talk.noop[0]);
        let said = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(!said.contains("OK"), "{said}");
    }
}
