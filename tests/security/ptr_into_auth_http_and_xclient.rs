//! Names from outside in requests and commands (CVE-2026-28753): whatever a PTR record, HELO or a login holds, exactly one
//! header of the auth request and one command to the mail server comes out of it.

use crate::harness::{Conn, Dns, Subject, Wire, b64, since};

const GREETING: &str = "220 proxy.test ESMTP ready\r\n";
const EXTENSIONS: &str = "250-mail.test\r\n250-XCLIENT NAME ADDR LOGIN\r\n250 SIZE\r\n";
/// Bytes that could end a line, a word or a value somewhere.
const HOSTILE: [&str; 10] = ["%0D%0A", "%0A", "%0D", "%00", "%20", "+", "=", "%22", "%7F", "%FF"];

/// The names of the headers of an auth request by an SMTP client, in order.
fn names(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw).into_owned();
    let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty()).skip(1);
    lines.map(|line| line.split(':').next().unwrap().to_owned()).filter(|name| name != "Connection").collect()
}

const NAMES: [&str; 10] = [
    "Host",
    "Auth-Method",
    "Auth-User",
    "Auth-Pass",
    "Auth-Protocol",
    "Auth-Login-Attempt",
    "Client-IP",
    "Client-Host",
    "Auth-SMTP-Helo",
    "Auth-SMTP-From",
];

/// What the mail server hears of a client, up to its login, and where it was refused.
#[track_caller]
fn commands(backend: &mut Conn) -> Vec<String> {
    let mut heard = Vec::new();
    for reply in ["220 hi\r\n", EXTENSIONS, "220 again\r\n", "250 ok\r\n", "250 ok\r\n"] {
        let Some(line) = backend.send(reply).next_line() else { break };
        heard.push(line);
    }
    heard
}

fn verbs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split([' ', '\r', '\n']).next().unwrap()).collect()
}

#[test]
fn a_hostile_ptr_record() {
    if !since(1, 29, 7) {
        return;
    }
    for bytes in HOSTILE {
        let name = format!("a{bytes}Auth-Status:%20OK{bytes}x.test");
        let ptr = "1.0.0.127.in-addr.arpa";
        let dns = Dns::start(&format!("{ptr} PTR {name}\n{name} A 127.0.0.1"));
        let wire = Wire::smtp(&format!("resolver {};", dns.address()));
        let mut client = wire.connect();
        client.expect(GREETING).send("AUTH PLAIN AHUAcA==\r\n");
        let request = wire.auth.request();
        let host = request.header("Client-Host").unwrap();
        assert!(["[TEMPUNAVAIL]", "[UNAVAILABLE]"].contains(&host.as_str()), "{name}: {host}");
        assert_eq!(names(&request.raw), NAMES[..8]);
        let heard = commands(&mut wire.backend.accept());
        assert_eq!(verbs(&heard), ["EHLO", "XCLIENT"], "{name}: {heard:?}");
        assert_eq!(heard[1], format!("XCLIENT ADDR=127.0.0.1 LOGIN=u NAME={host}\r\n"));
    }
}

#[test]
fn a_hostile_helo() {
    for bytes in ["\rRSET", "\0", "+", "=", " x y", "\x7f", "\u{ff}", "\t", " ADDR=192.0.2.1", "\u{b}"] {
        let wire = Wire::smtp("smtp_auth none;");
        let mut client = wire.client();
        let taken = client.send(format!("HELO c{bytes}.test\r\n")).line().starts_with("250");
        client.send("MAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\n").line();
        if Subject::is_nginx() {
            continue;
        }
        if bytes.contains(['\0', '\r', '\u{b}']) {
            // It cannot be said, or was refused when it was heard.
            assert!(wire.auth.request_or_none().is_none_or(|request| one_helo(&request.raw)));
            continue;
        }
        assert!(one_helo(&wire.auth.request().raw));
        let heard = commands(&mut wire.backend.accept());
        let helo: &[&str] = if taken { &["HELO"] } else { &[] };
        assert_eq!(verbs(&heard), [&["EHLO", "XCLIENT"], helo, &["MAIL", "RCPT"]].concat(), "{bytes:?}: {heard:?}");
        assert!(heard[1].starts_with("XCLIENT ADDR=127.0.0.1 NAME="), "{heard:?}");
    }
}

fn one_helo(raw: &[u8]) -> bool {
    names(raw).iter().filter(|name| *name == "Auth-SMTP-Helo").count() == 1
}

#[test]
fn a_hostile_login() {
    if Subject::is_nginx() {
        return;
    }
    for bytes in ["\r\nAuth-Method: none", "\n", "\r", "\0", " ", "+", "=", "%0D%0A", "\x7f", "\u{ff}", "\t", ":"] {
        for login in [format!("\0u{bytes}x\0p"), format!("\0u\0p{bytes}x")] {
            let wire = Wire::smtp("");
            let mut client = wire.client();
            client.send(format!("AUTH PLAIN {}\r\n", b64(&login)));
            if bytes.contains(['\r', '\n', '\0']) {
                client.expect("500 5.5.1 Invalid command\r\n");
                wire.auth.expect_unasked();
                continue;
            }
            assert_eq!(names(&wire.auth.request().raw), NAMES[..8], "{login:?}");
            let heard = commands(&mut wire.backend.accept());
            assert_eq!(verbs(&heard), ["EHLO", "XCLIENT"], "{login:?}: {heard:?}");
            let words: Vec<&str> = heard[1].trim_end().split(' ').collect();
            let values: Vec<_> = words[1..].iter().map(|word| word.split('=').next().unwrap()).collect();
            assert_eq!(values, ["ADDR", "LOGIN", "NAME"], "{heard:?}");
            assert!(words[1..].iter().all(|word| word.matches('=').count() == 1), "{heard:?}");
        }
    }
}
