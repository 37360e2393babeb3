//! `auth_users_file` and `proxy_pass`, which nginx does not have: without an authentication server.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use tempfile::TempDir;

use crate::harness::{Backend, Conn, Subject, Wire, b64, unb64};

/// What alice's line has, where it says nothing else.
const ALICE: &str = "alice:{PLAIN}wonderland\n";

const REFUSED: &str = "a NO Invalid login or password\r\n";

/// A wire that knows these users, with a server of each protocol: `@main@` for IMAP, `@pop3@`, `@smtp@`.
/// None if the subject is nginx.
fn wire(users: &str, directives: &str) -> Option<(Wire, TempDir)> {
    if Subject::is_nginx() {
        return None;
    }
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("users");
    fs::write(&file, users).unwrap();
    let wire = Wire::conf(&format!(
        "mail {{
            server_name proxy.test; xclient off;
            auth_users_file {}; proxy_pass @backend@; {directives}
            server {{ listen @main@; protocol imap; imap_auth plain cram-md5 external; }}
            server {{ listen @pop3@; protocol pop3; pop3_auth plain apop cram-md5; }}
            server {{ listen @smtp@; protocol smtp; smtp_auth plain login cram-md5 none; proxy_smtp_auth on; }}
        }}",
        file.display()
    ));
    Some((wire, dir))
}

/// A client of that server, greeted.
#[track_caller]
fn client(wire: &Wire, place: &str) -> (Conn, String) {
    let mut client = Conn::connect(wire.place(place));
    let greeting = client.line();
    (client, greeting)
}

/// A user logs in over IMAP and comes to that backend with that password.
#[track_caller]
fn logs_in(wire: &Wire, backend: &Backend, user: &str, password: &str) {
    let (mut client, _) = client(wire, "main");
    client.send(format!("a LOGIN {user} {password}\r\n"));
    let mut backend = backend.accept();
    backend.ask("* OK hi\r\n", format!("a LOGIN {{{}}}\r\n", user.len()));
    backend.ask("+ \r\n", format!("{user} {{{}}}\r\n", password.len())).ask("+ \r\n", format!("{password}\r\n"));
    backend.send("a OK in\r\n");
    client.expect("a OK in\r\n");
}

fn cram_md5(user: &str, challenge: &str, password: &str) -> String {
    let mac = Hmac::<Md5>::new_from_slice(password.as_bytes()).unwrap().chain_update(challenge);
    b64(format!("{user} {}", hex(&mac.finalize().into_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `gatepost passwd` prints for that user and password.
fn passwd(algorithm: &str, user: &str, password: &str) -> String {
    let mut command = Command::new(Subject::current().path());
    command.args(["passwd", "-a", algorithm, user]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn imap() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    logs_in(&wire, &wire.backend, "alice", "wonderland");
    wire.auth.expect_unasked();
}

#[test]
fn pop3() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    let (mut client, _) = client(&wire, "pop3");
    client.ask("USER alice\r\n", "+OK\r\n").send("PASS wonderland\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("+OK hi\r\n", "USER alice\r\n").ask("+OK\r\n", "PASS wonderland\r\n").send("+OK in\r\n");
    client.expect("+OK in\r\n");
}

#[test]
fn smtp() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    let (mut client, _) = client(&wire, "smtp");
    let auth = format!("AUTH PLAIN {}\r\n", b64("\0alice\0wonderland"));
    client.send(&auth);
    let mut backend = wire.backend.accept();
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", auth).send("235 in\r\n");
    client.expect("235 2.0.0 OK\r\n");
}

#[test]
fn apop() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    let (mut client, greeting) = client(&wire, "pop3");
    let salt = greeting.trim_end().strip_prefix("+OK POP3 ready ").unwrap();
    let digest = hex(&Md5::new().chain_update(salt).chain_update("wonderland").finalize());
    client.send(format!("APOP alice {digest}\r\n"));
    // The backend gets the password that the file has.
    let mut backend = wire.backend.accept();
    backend.ask("+OK hi\r\n", "USER alice\r\n").ask("+OK\r\n", "PASS wonderland\r\n");
}

#[test]
fn cram_md5_in_each_protocol() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    for (place, command, prefix) in [
        ("main", "a AUTHENTICATE CRAM-MD5\r\n", "+ "),
        ("pop3", "AUTH CRAM-MD5\r\n", "+ "),
        ("smtp", "AUTH CRAM-MD5\r\n", "334 "),
    ] {
        let (mut client, _) = client(&wire, place);
        let challenge = unb64(client.send(command).line().trim_end().strip_prefix(prefix).unwrap());
        client.send(cram_md5("alice", &challenge, "wonderland") + "\r\n");
        wire.backend.accept();
    }
}

#[test]
fn wrong_digest() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    let (mut client, _) = client(&wire, "main");
    for (user, password) in [("alice", "looking-glass"), ("bob", "wonderland"), ("bob", "")] {
        let challenge = client.send("a AUTHENTICATE CRAM-MD5\r\n").line();
        let challenge = unb64(challenge.trim_end().strip_prefix("+ ").unwrap());
        client.ask(cram_md5(user, &challenge, password) + "\r\n", REFUSED);
    }
    wire.backend.expect_nobody();
}

#[test]
fn wrong_user_and_wrong_password_look_the_same() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    for (place, commands, refused) in [
        ("main", ["a LOGIN alice x\r\n", "a LOGIN bob wonderland\r\n"], REFUSED),
        (
            "pop3",
            ["USER alice\r\nPASS x\r\n", "USER bob\r\nPASS wonderland\r\n"],
            "+OK\r\n-ERR Invalid login or password\r\n",
        ),
        ("smtp", ["AUTH PLAIN AGFsaWNlAHg=\r\n", "AUTH PLAIN AGJvYgB4\r\n"], "535 5.7.0 Invalid login or password\r\n"),
    ] {
        let (mut client, _) = client(&wire, place);
        for command in commands {
            let start = Instant::now();
            client.ask(command, refused);
            assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
        }
    }
    wire.backend.expect_nobody();
}

#[test]
fn after_a_failure_the_client_may_try_again() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    let (mut client, _) = client(&wire, "main");
    client.ask("a LOGIN alice x\r\n", REFUSED).send("b LOGIN alice wonderland\r\n");
    wire.backend.accept().ask("* OK hi\r\n", "b LOGIN {5}\r\n");
}

#[test]
fn failures_are_logged_without_the_password() {
    let Some((wire, _dir)) = wire(ALICE, "error_log error.log debug;") else { return };
    let (mut client, _) = client(&wire, "main");
    client.ask("a LOGIN alice cAnArY-0815\r\n", REFUSED);
    let line = wire.await_log("client login failed: \"Invalid login or password\"");
    assert!(line.contains("[info]") && line.ends_with(", login: \"alice\""), "{line}");
    let log = wire.log();
    assert!(!log.contains("cAnArY") && !log.contains("wonderland"), "{log}");
}

#[test]
fn names_are_compared_byte_for_byte() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    let (mut client, _) = client(&wire, "main");
    for user in ["Alice", "\"alice \"", "alic", "alicee"] {
        client.ask(format!("a LOGIN {user} wonderland\r\n"), REFUSED);
    }
}

#[test]
fn a_users_own_server() {
    let (own, other) = (Backend::new(), Backend::at("[::1]:0"));
    let users = format!("{ALICE}bob:{{PLAIN}}b:{}\ncarol:{{PLAIN}}c:{}\n", own.address(), other.address());
    let Some((wire, _dir)) = wire(&users, "") else { return };
    logs_in(&wire, &own, "bob", "b");
    logs_in(&wire, &other, "carol", "c");
    logs_in(&wire, &wire.backend, "alice", "wonderland");
}

#[test]
fn a_users_own_server_on_a_unix_socket() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("mail");
    let listener = UnixListener::bind(&path).unwrap();
    let Some((wire, _dir)) = wire(&format!("bob:{{PLAIN}}b:unix:{}\n", path.display()), "") else { return };
    let (mut client, _) = client(&wire, "main");
    client.send("a LOGIN bob b\r\n");
    Conn::unix(listener.accept().unwrap().0).ask("* OK hi\r\n", "a LOGIN {3}\r\n").send("a BAD no\r\n");
    let line = wire.await_log("upstream sent invalid response");
    assert!(line.ends_with(&format!(", login: \"bob\", upstream: unix:{}", path.display())), "{line}");
}

#[test]
fn proxy_pass_of_a_server_overrides_that_of_mail() {
    let other = Backend::new();
    if Subject::is_nginx() {
        return;
    }
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("users"), ALICE).unwrap();
    let wire = Wire::conf(&format!(
        "mail {{ auth_users_file {}/users; proxy_pass @backend@;
            server {{ listen @main@; protocol imap; }}
            server {{ listen @other@; protocol imap; proxy_pass {}; }} }}",
        dir.path().display(),
        other.address()
    ));
    logs_in(&wire, &wire.backend, "alice", "wonderland");
    let (mut client, _) = client(&wire, "other");
    client.send("a LOGIN alice wonderland\r\n");
    other.accept();
}

#[test]
fn a_server_may_have_users_where_others_ask() {
    if Subject::is_nginx() {
        return;
    }
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("users"), ALICE).unwrap();
    let wire = Wire::mail(&format!(
        "server {{ listen @main@; protocol imap; }}
         server {{ listen @file@; protocol imap; auth_users_file {}/users; proxy_pass @backend@; }}",
        dir.path().display()
    ));
    let (mut first, _) = client(&wire, "main");
    first.send("a LOGIN u p\r\n");
    wire.auth.request();
    wire.backend.accept();
    let (mut second, _) = client(&wire, "file");
    second.send("a LOGIN alice wonderland\r\n");
    wire.backend.accept();
    wire.auth.expect_unasked();
}

#[test]
fn clients_that_do_not_log_in_go_to_proxy_pass() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    let (mut client, _) = client(&wire, "smtp");
    client.ask("MAIL FROM:<a>\r\n", "250 2.0.0 OK\r\n").send("RCPT TO:<b>\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("220 hi\r\n", "HELO proxy.test\r\n").ask("250 ok\r\n", "MAIL FROM:<a>\r\n");
    backend.ask("250 ok\r\n", "RCPT TO:<b>\r\n").send("550 no\r\n");
    client.expect("550 no\r\n");
}

#[test]
fn external_is_refused() {
    let Some((wire, _dir)) = wire(ALICE, "") else { return };
    let (mut client, _) = client(&wire, "main");
    client.ask(format!("a AUTHENTICATE EXTERNAL {}\r\n", b64("alice")), REFUSED);
}

#[test]
fn lines_that_passwd_prints() {
    if Subject::is_nginx() {
        return;
    }
    for algorithm in ["argon2", "bcrypt", "sha512", "plain"] {
        let line = passwd(algorithm, "alice", "wonder land");
        let Some((wire, _dir)) = wire(&line, "") else { return };
        let (mut client, _) = client(&wire, "main");
        client.send("a LOGIN alice \"wonder land\"\r\n");
        let mut backend = wire.backend.accept();
        backend.ask("* OK hi\r\n", "a LOGIN {5}\r\n").ask("+ \r\n", "alice {11}\r\n").ask("+ \r\n", "wonder land\r\n");
    }
}

#[test]
fn hashed_passwords_serve_no_challenge() {
    if Subject::is_nginx() {
        return;
    }
    let Some((wire, _dir)) = wire(&passwd("argon2", "alice", "wonderland"), "") else { return };
    let (mut client, _) = client(&wire, "main");
    let challenge = client.send("a AUTHENTICATE CRAM-MD5\r\n").line();
    let challenge = unb64(challenge.trim_end().strip_prefix("+ ").unwrap());
    client.ask(cram_md5("alice", &challenge, "wonderland") + "\r\n", REFUSED);
}
