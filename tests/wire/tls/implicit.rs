//! `listen ... ssl` and `ssl on`: TLS from the first byte.

use super::{IMAP, POP3, PROTOCOLS, SMTP, wire};
use crate::harness::tls::Client;
use crate::harness::{Conn, Subject, Wanted, Wire, since};

/// Whether the subject has `ssl on`, which nginx had up to 1.25.0.
fn has_ssl_on() -> bool {
    !(Subject::is_nginx() && since(1, 25, 1))
}

#[test]
fn greeting_and_commands_are_encrypted() {
    for talk in PROTOCOLS {
        let wire = talk.implicit("");
        let mut client = wire.connect().tls(Client::new());
        talk.greeted(&mut client);
        talk.goes_on(&mut client);
    }
}

#[test]
fn nothing_is_said_in_the_clear() {
    for talk in PROTOCOLS {
        let wire = talk.implicit("");
        let mut client = wire.connect();
        client.expect_silence().send(talk.noop[0]);
        let said = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(!said.contains("ready") && !said.contains("OK"), "{said}");
    }
}

#[test]
fn starttls_is_neither_offered_nor_taken() {
    let imap = IMAP.implicit("starttls on;");
    IMAP.greeted(&mut imap.connect().tls(Client::new()))
        .ask("a CAPABILITY\r\n", "* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\na OK completed\r\n")
        .ask("b STARTTLS\r\n", "b BAD invalid command\r\n");
    let pop3 = POP3.implicit("starttls on;");
    POP3.greeted(&mut pop3.connect().tls(Client::new()))
        .ask("CAPA\r\n", "+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n")
        .ask("STLS\r\n", "-ERR invalid command\r\n");
    let smtp = SMTP.implicit("starttls on;");
    SMTP.greeted(&mut smtp.connect().tls(Client::new()))
        .ask("EHLO c\r\n", "250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n")
        .ask("STARTTLS\r\n", "500 5.5.1 Invalid command\r\n");
}

#[test]
fn starttls_only_does_not_lock_what_is_encrypted_already() {
    for talk in PROTOCOLS {
        let wire = talk.implicit("starttls only;");
        let mut client = wire.connect().tls(Client::new());
        talk.greeted(&mut client).send(talk.login);
        assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
    }
}

#[test]
fn a_session_after_login() {
    let wire = IMAP.implicit("");
    let mut client = wire.connect().tls(Client::new());
    IMAP.greeted(&mut client).send("t LOGIN u p\r\nt2 SELECT INBOX\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK ready\r\n", "t LOGIN {1}\r\n").ask("+ go\r\n", "u {1}\r\n").ask("+ go\r\n", "p\r\n");
    backend.ask("t OK in\r\n", "t2 SELECT INBOX\r\n").send("* 1 EXISTS\r\n");
    client.expect("t OK in\r\n* 1 EXISTS\r\n").send("t3 LOGOUT\r\n");
    backend.expect("t3 LOGOUT\r\n");
}

#[test]
fn much_in_both_directions() {
    let wire = IMAP.implicit("");
    let mut client = wire.connect().tls(Client::new());
    IMAP.greeted(&mut client).send("t LOGIN u p\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK ready\r\n", "t LOGIN {1}\r\n").ask("+ go\r\n", "u {1}\r\n").ask("+ go\r\n", "p\r\n");
    backend.send("t OK in\r\n");
    client.expect("t OK in\r\n");

    let much: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let sending = backend.send_aside(much.clone());
    assert!(client.take(much.len()) == much, "the client got something else");
    sending.join().unwrap();

    let expected = much.clone();
    let receiving = std::thread::spawn(move || assert!(backend.take(expected.len()) == expected));
    client.send(much);
    receiving.join().unwrap();
}

#[test]
fn the_older_ssl_on() {
    if !has_ssl_on() {
        return;
    }
    for talk in PROTOCOLS {
        let wire = talk.plain("ssl on;");
        let mut client = wire.connect().tls(Client::new());
        talk.greeted(&mut client);
    }
}

#[test]
fn ssl_on_is_inherited_and_may_be_turned_off() {
    if !has_ssl_on() {
        return;
    }
    let wire = wire(
        "ssl on;
         server { listen @main@; protocol imap; }
         server { listen @clear@; protocol imap; ssl off; }
         server { listen @always@ ssl; protocol imap; ssl off; }",
    );
    for place in ["main", "always"] {
        IMAP.greeted(&mut Conn::connect(wire.place(place)).tls(Client::new()));
    }
    IMAP.greeted(&mut Conn::connect(wire.place("clear")));
}

/// The complete example of nginx's admin guide ("Configuring NGINX as a Mail Proxy Server"), on other ports.
#[test]
fn the_example_of_the_manual() {
    if !has_ssl_on() {
        return;
    }
    let wire = Wire::with(
        &Wanted::new("mail.example.com").rsa().alone().files("server"),
        "mail {
         server_name mail.example.com;
         auth_http   @auth@/cgi-bin/nginxauth.cgi;
         proxy_pass_error_message on;

         ssl                 on;
         ssl_certificate     server.crt;
         ssl_certificate_key server.key;
         ssl_protocols       TLSv1 TLSv1.1 TLSv1.2;
         ssl_ciphers         HIGH:!aNULL:!MD5;
         ssl_session_cache   shared:SSL:10m;
         ssl_session_timeout 10m;

         server { listen @main@; protocol smtp; smtp_auth login plain cram-md5; }
         server { listen @pop3@; protocol pop3; pop3_auth plain apop cram-md5; }
         server { listen @imap@; protocol imap; }
         }",
    );
    for (place, greeting) in [
        ("main", "220 mail.example.com ESMTP ready\r\n"),
        ("pop3", "+OK POP3 ready <"),
        ("imap", "* OK IMAP4 ready\r\n"),
    ] {
        let mut client = Conn::connect(wire.place(place)).tls(Client::new());
        assert_eq!(client.ssl().version_str(), "TLSv1.2");
        client.expect(greeting);
    }
}
