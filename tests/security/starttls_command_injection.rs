//! STARTTLS command injection (CVE-2014-3556, CVE-2021-33515): what somebody puts behind a client's STARTTLS is not taken
//! for a command of the encrypted session.

use crate::harness::talk::{IMAP, POP3, PROTOCOLS, SMTP};
use crate::harness::tls::Client;

#[test]
fn commands_in_the_same_segment_are_dropped() {
    for talk in PROTOCOLS {
        for injected in [talk.noop[0], talk.login, "x"] {
            let wire = talk.plain("starttls on;");
            let mut client = wire.connect();
            talk.greeted(&mut client).ask([talk.starttls[0], injected].concat(), talk.starttls[1]);
            let mut client = client.tls(Client::new());
            client.expect_silence();
            talk.goes_on(&mut client);
            wire.auth.expect_unasked();
        }
    }
}

#[test]
fn much_in_the_same_segment_is_dropped() {
    for talk in PROTOCOLS {
        let wire = talk.plain("starttls on; imap_client_buffer 4k; smtp_client_buffer 4k;");
        let mut client = wire.connect();
        let injected = talk.noop[0].repeat(100 / talk.noop[0].len());
        talk.greeted(&mut client).ask(talk.starttls[0].to_owned() + &injected, talk.starttls[1]);
        let mut client = client.tls(Client::new());
        talk.goes_on(client.expect_silence());
    }
}

#[test]
fn a_login_half_done_is_forgotten() {
    let wire = POP3.plain("starttls on;");
    // STLS has no place between USER and PASS; a refused command forgets the user.
    let mut client = wire.client();
    client.ask("USER injected\r\n", "+OK\r\n").ask("STLS\r\n", "-ERR invalid command\r\n").ask("STLS\r\n", "+OK\r\n");
    client.tls(Client::new()).ask("PASS secret\r\n", "-ERR invalid command\r\n");
    wire.auth.expect_unasked();
}

#[test]
fn an_envelope_is_forgotten() {
    let wire = SMTP.plain("starttls on; smtp_auth none;");
    let mut client = wire.client();
    client
        .ask("EHLO c\r\n", "250-proxy.test\r\n250 STARTTLS\r\n")
        .ask("MAIL FROM:<injected@b.test>\r\n", "250 2.0.0 OK\r\n");
    client.ask("STARTTLS\r\n", SMTP.starttls[1]);
    let mut client = client.tls(Client::new());
    client.ask("RCPT TO:<c@d.test>\r\n", "503 5.5.1 Bad sequence of commands\r\n");
    wire.auth.expect_unasked();
}

#[test]
fn a_literal_does_not_reach_over_the_handshake() {
    let wire = IMAP.plain("starttls on;");
    let mut client = wire.client();
    client.ask("s STARTTLS\r\na LOGIN {4}\r\n", "s OK completed\r\n");
    let mut client = client.tls(Client::new());
    client.expect_silence();
    IMAP.goes_on(&mut client);
}
