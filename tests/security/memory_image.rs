//! What is left of a login in the memory of the process: nothing.

use std::fs;
use std::os::unix::fs::FileExt as _;

use crate::harness::tls::{Client, Server};
use crate::harness::upstream::UPSTREAMS;
use crate::harness::{Conn, Reply, Subject, Wanted, Wire, b64};

/// What the client knows, and what the auth server adds. No text of either is anywhere else.
const PASSWORD: &str = "xyzzy-canary-of-the-client-4711";
const OTHER: &str = "plugh-canary-of-the-server-0815";

/// Where in the memory of the process each of the texts is.
fn found(wire: &Wire, texts: &[String]) -> Vec<String> {
    let pid = fs::read_to_string(wire.prefix().join("pid")).unwrap().trim().to_owned();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let pages = fs::File::open(format!("/proc/{pid}/pagemap")).unwrap();
    let mut found = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if !fields[1].starts_with("rw") {
            continue;
        }
        let (from, to) = fields[0].split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        for (from, to) in there(&pages, from, to) {
            let mut bytes = vec![0; (to - from) as usize];
            // Some mappings cannot be read by anybody.
            if memory.read_exact_at(&mut bytes, from).is_err() {
                continue;
            }
            for text in texts {
                if let Some(at) = position(&bytes, text.as_bytes()) {
                    let around = &bytes[at.saturating_sub(40)..(at + text.len() + 40).min(bytes.len())];
                    let place = fields.get(5).unwrap_or(&"anonymous memory");
                    found.push(format!("{text} in {place}: {}", around.escape_ascii()));
                }
            }
        }
    }
    found
}

/// The parts of that mapping that have memory: allocators reserve much more than they use.
fn there(pages: &fs::File, from: u64, to: u64) -> Vec<(u64, u64)> {
    let page = rustix::param::page_size() as u64;
    let mut entries = vec![0; ((to - from) / page * 8) as usize];
    if pages.read_exact_at(&mut entries, from / page * 8).is_err() {
        return Vec::new();
    }
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for (index, entry) in entries.chunks_exact(8).enumerate() {
        // The highest bits: in memory, or swapped out.
        if entry[7] >> 6 == 0 {
            continue;
        }
        let at = from + index as u64 * page;
        match parts.last_mut() {
            Some(part) if part.1 == at => part.1 += page,
            _ => parts.push((at, at + page)),
        }
    }
    parts
}

#[track_caller]
fn has_forgotten(wire: &Wire, user: &str) {
    // Something that is there is found.
    assert_ne!(found(wire, &["proxy.test".to_owned()]), [""; 0]);
    // An allocator may have written on the beginning of what was freed.
    let texts = [PASSWORD, OTHER].map(|secret| [secret[16..].to_owned(), b64(secret)[16..36].to_owned()]).concat();
    let plain = [PASSWORD, OTHER].map(|secret| b64(format!("\0{user}\0{secret}"))[16..36].to_owned());
    assert_eq!(found(wire, &[texts, plain.to_vec()].concat()), [""; 0]);
}

/// Where the text begins. Few places have its first two bytes, so the rest is seldom looked at.
fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == text[0]) {
        from += at + 1;
        if bytes[from - 1..].starts_with(text) {
            return Some(from - 1);
        }
    }
    None
}

#[test]
fn of_a_login() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        // Buffers grow, so passwords of other lengths leave other traces.
        for length in [0, 20, 70, 150] {
            let wire = upstream.wire("");
            let mut client = wire.client();
            log_in_behind("", &"!".repeat(length), &wire, upstream.talk.name, &mut client, |backend| backend);
            has_forgotten(&wire, "user");
        }
    }
}

#[test]
fn of_a_login_by_tls() {
    if Subject::is_nginx() {
        return;
    }
    let server = Server::new(&Wanted::new("mail.test").alone());
    for upstream in UPSTREAMS {
        let wire = upstream.wire("starttls on; proxy_ssl on; proxy_ssl_verify off;");
        let mut client = upstream.talk.at_starttls(&wire).tls(Client::new());
        log_in(&wire, upstream.talk.name, &mut client, |backend| backend.accept_tls(&server));
        has_forgotten(&wire, "user");
    }
}

#[test]
fn of_a_login_that_comes_with_a_proxy_header() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::mail("server { listen @main@ proxy_protocol; protocol imap; }");
    let mut client = wire.connect();
    log_in_behind("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n", "", &wire, "imap", &mut client, |backend| backend);
    has_forgotten(&wire, "user");
}

#[test]
fn of_a_login_that_is_refused() {
    if Subject::is_nginx() {
        return;
    }
    for upstream in UPSTREAMS {
        let wire = upstream.wire("");
        wire.auth.always(Reply::refuse("no").with("Auth-Wait", "1"));
        let mut client = wire.client();
        client.send(login(upstream.talk.name, ""));
        client.until("no\r\n");
        upstream.talk.goes_on(&mut client);
        has_forgotten(&wire, "user");
    }
}

#[test]
fn of_a_login_by_any_mechanism() {
    if Subject::is_nginx() {
        return;
    }
    let (user, password) = (b64("user"), b64(PASSWORD));
    let plain = b64(format!("\0user\0{PASSWORD}"));
    let ways: [(&str, &[&str]); 9] = [
        ("imap", &["l LOGIN {4}", &format!("user {{{}}}", PASSWORD.len()), PASSWORD]),
        ("imap", &["l AUTHENTICATE PLAIN", &plain]),
        ("imap", &[&format!("l AUTHENTICATE PLAIN {plain}")]),
        ("imap", &["l AUTHENTICATE LOGIN", &user, &password]),
        ("pop3", &["AUTH PLAIN", &plain]),
        ("pop3", &["AUTH LOGIN", &user, &password]),
        ("smtp", &["HELO c", "AUTH PLAIN", &plain]),
        ("smtp", &["HELO c", "AUTH LOGIN", &user, &password]),
        ("smtp", &["HELO c", &format!("AUTH LOGIN {user}"), &password]),
    ];
    for (protocol, lines) in ways {
        let upstream = UPSTREAMS.into_iter().find(|upstream| upstream.talk.name == protocol).unwrap();
        let wire = upstream.wire("");
        wire.auth.always(Reply::accept(wire.backend.address()).with("Auth-Pass", OTHER));
        let mut client = wire.client();
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                client.line();
            }
            client.send(format!("{line}\r\n"));
        }
        relays(protocol, OTHER, &mut client, &mut wire.backend.accept());
        has_forgotten(&wire, "user");
    }
}

#[test]
fn of_a_login_by_a_file_of_users() {
    if Subject::is_nginx() {
        return;
    }
    let users = [
        "user:$argon2id$v=19$m=19456,t=2,p=1$uWqMiyquvboZCknrMc/xhw$lOe4I1kIX8EyPOwHVmfoS2sPEWoJJNfRq40j35hTVHs\n",
        "user:$2b$12$x4.y3CxkSW138AGsfGZ67eqnnMwmxaCp3kU78xqcefwyFxcCUdIQG\n",
        "user:$6$rounds=100000$4eMw.hErt/8oA3U0$Q7DlKtgc6DoNsdyspPpmP58x2iwIdop11QWA/r7vPnv7Zq9gd7y9RKLhqqCRMNqGuZpzKb58CcUybc778aQfa1\n",
    ];
    for users in users {
        let wire = Wire::with(
            &[("users".into(), users.into())],
            "mail { server_name proxy.test; auth_users_file users; proxy_pass @backend@;
                server { listen @main@; protocol imap; } }",
        );
        let mut client = wire.client();
        client.send(login("imap", ""));
        relays("imap", PASSWORD, &mut client, &mut wire.backend.accept());
        has_forgotten(&wire, "user");
    }
}

/// A login with the client's password, byte for byte, and `more` behind it.
fn login(protocol: &str, more: &str) -> String {
    match protocol {
        "imap" => format!("l LOGIN user {PASSWORD}{more}\r\n"),
        "pop3" => format!("USER user\r\nPASS {PASSWORD}{more}\r\n"),
        _ => format!("EHLO c\r\nAUTH PLAIN {}\r\n", b64(format!("\0user\0{PASSWORD}{more}"))),
    }
}

/// Logs in, as far as a relay that is at work.
#[track_caller]
fn log_in(wire: &Wire, protocol: &str, client: &mut Conn, secure: impl FnOnce(Conn) -> Conn) {
    log_in_behind("", "", wire, protocol, client, secure);
}

/// The same, with something in the same segment before it, and passwords with `more` at their end.
#[track_caller]
fn log_in_behind(
    first: &str,
    more: &str,
    wire: &Wire,
    protocol: &str,
    client: &mut Conn,
    secure: impl FnOnce(Conn) -> Conn,
) {
    let other = format!("{OTHER}{more}");
    wire.auth.always(Reply::accept(wire.backend.address()).with("Auth-Pass", &other));
    client.send(format!("{first}{}", login(protocol, more)));
    relays(protocol, &other, client, &mut secure(wire.backend.accept()));
}

/// The backend's part of a login, and a line of the relay.
#[track_caller]
fn relays(protocol: &str, password: &str, client: &mut Conn, backend: &mut Conn) {
    lets_in(protocol, password, backend);
    backend.send("there\r\n");
    client.until("there\r\n");
}

/// The backend's part of a login.
#[track_caller]
fn lets_in(protocol: &str, password: &str, backend: &mut Conn) {
    match protocol {
        "imap" => {
            backend.send("* OK hi\r\n").line();
            backend.send("+ go\r\n").line();
            assert_eq!(backend.send("+ go\r\n").line(), format!("{password}\r\n"));
            backend.send("l OK in\r\n");
        }
        "pop3" => {
            backend.send("+OK hi\r\n").line();
            assert_eq!(backend.send("+OK\r\n").line(), format!("PASS {password}\r\n"));
            backend.send("+OK in\r\n");
        }
        _ => {
            backend.send("220 hi\r\n").line();
            backend.send("250 hi\r\n").line();
            backend.send("235 in\r\n");
        }
    }
}
