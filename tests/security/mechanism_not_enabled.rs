//! Mechanisms that are not enabled, yet accepted: to this day EXTERNAL with an initial response in nginx. Whatever form a
//! mechanism comes in, no auth request is made where it is not enabled.

use crate::harness::talk::{IMAP, POP3, SMTP, wire_with};
use crate::harness::tls::Client;
use crate::harness::{Identity, Subject, Wanted, Wire, b64, differs};

/// The forms in which a client names a mechanism, with what it would say first.
fn forms(command: &str, mechanism: &str, response: &str) -> [String; 4] {
    let lower = mechanism.to_lowercase();
    [
        format!("{command} {mechanism} {response}\r\n"),
        format!("{command} {lower} {response}\r\n"),
        format!("{command} {mechanism}\r\n{response}\r\n"),
        format!("{command} {mechanism} =\r\n"),
    ]
}

fn servers(imap: &str, pop3: &str, smtp: &str) -> [(Wire, &'static str, &'static str); 3] {
    [
        (Wire::imap(imap), "a AUTHENTICATE", "a BAD invalid command\r\n"),
        (Wire::pop3(pop3), "AUTH", "-ERR invalid command\r\n"),
        (Wire::smtp(smtp), "AUTH", "5"),
    ]
}

#[track_caller]
fn is_refused(servers: &[(Wire, &str, &str)], mechanism: &str, response: &str) {
    for (wire, command, refusal) in servers {
        for form in forms(command, mechanism, response) {
            wire.client().send(&form).expect(refusal);
            wire.auth.expect_unasked();
        }
    }
}

#[test]
fn external() {
    let enabled = differs("it takes it with an initial response", false, true);
    if enabled {
        is_refused(&servers("", "", ""), "EXTERNAL", &b64("user"));
    }
}

/// Where clients are asked for certificates, EXTERNAL is for those who have shown one.
#[test]
fn external_without_a_certificate() {
    if Subject::is_nginx() {
        return;
    }
    let authority = Identity::root("Trusted");
    let external = "imap_auth plain external; pop3_auth plain external; smtp_auth plain external; starttls on;";
    for verify in ["optional", "optional_no_ca"] {
        for (talk, login, refusal) in [
            (IMAP, "l AUTHENTICATE EXTERNAL dXNlcg==\r\n", "l NO No required SSL certificate\r\n"),
            (POP3, "AUTH EXTERNAL dXNlcg==\r\n", "-ERR No required SSL certificate\r\n"),
            (SMTP, "AUTH EXTERNAL dXNlcg==\r\n", "535 5.7.0 No required SSL certificate\r\n"),
        ] {
            let wire = wire_with(
                &[("ca.crt".to_owned(), authority.pem())],
                &format!(
                    "ssl_verify_client {verify}; ssl_client_certificate ca.crt; {external}
                    server {{ listen @main@; protocol {}; }}",
                    talk.name
                ),
            );
            wire.client().ask(login, refusal).expect_close();
            let mut anybody = talk.at_starttls(&wire).tls(Client::new());
            anybody.ask(login, refusal).expect_close();
            wire.auth.expect_unasked();
            let known = Client::new().certificate(&Wanted::new("user").by(&authority));
            let mut somebody = talk.at_starttls(&wire).tls(known);
            somebody.send(login);
            assert_eq!(wire.auth.request().credentials(), ["external", "user", ""]);
        }
    }
}

#[test]
fn cram_md5() {
    if !Subject::is_nginx() {
        is_refused(&servers("", "", ""), "CRAM-MD5", &b64("user 0123456789abcdef0123456789abcdef"));
    }
}

#[test]
fn apop() {
    let wire = Wire::pop3("");
    wire.client().ask("APOP user 0123456789abcdef0123456789abcdef\r\n", "-ERR invalid command\r\n");
    wire.auth.expect_unasked();
}

#[test]
fn none() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask("MAIL FROM:<a@test>\r\n", "530 5.7.1 Authentication required\r\n");
    client.ask("RCPT TO:<b@test>\r\n", "503 5.5.1 Bad sequence of commands\r\n");
    client.ask("AUTH NONE\r\n", "5");
    wire.auth.expect_unasked();
}

#[test]
fn unencrypted_where_starttls_is_demanded() {
    if Subject::is_nginx() {
        return;
    }
    for talk in crate::harness::talk::PROTOCOLS {
        let wire = talk.plain("starttls only;");
        let mut client = wire.client();
        client.send(talk.login).line();
        wire.auth.expect_unasked();
    }
}
