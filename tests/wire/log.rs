//! The error log, line by line: the level, the words and the context that operators and their tools look for.

use crate::harness::{Conn, Reply, Wire, b64, differs};

/// Waits for the line with that message, and gives its level and what follows the number of the connection.
#[track_caller]
fn entry(wire: &Wire, message: &str) -> String {
    let line = wire.await_log(message);
    let (_, rest) = line.split_once('[').unwrap();
    let (level, rest) = rest.split_once("] ").unwrap();
    let (process, rest) = rest.split_once(": *").unwrap();
    assert!(process.split('#').all(|id| id.parse::<u32>().is_ok()), "{line}");
    let (connection, message) = rest.split_once(' ').unwrap();
    assert!(connection.parse::<u64>().is_ok(), "{line}");
    format!("{level}: {message}")
}

/// That the log gets this line; `context` is what it has behind the client and the server.
#[track_caller]
fn logs(wire: &Wire, level: &str, message: &str, context: &str) {
    let expected = format!("{level}: {message}, client: 127.0.0.1, server: {}{context}", wire.place("main"));
    assert_eq!(entry(wire, message), expected);
}

/// What a line has behind the server once `u` is being logged in at the backend.
fn at_backend(wire: &Wire) -> String {
    format!(", login: \"u\", upstream: {}", wire.backend.address())
}

/// A client that has sent LOGIN.
fn logging_in(wire: &Wire) -> Conn {
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    client
}

#[test]
fn connection() {
    let wire = Wire::imap("");
    let client = wire.client();
    let from = client.local();
    let expected = format!("info: client {from} connected to {}", wire.place("main"));
    assert_eq!(entry(&wire, &format!("client {from} connected")), expected);
}

#[test]
fn session() {
    let wire = Wire::imap("");
    let (client, backend) = wire.imap_session();
    logs(&wire, "info", "client logged in", &at_backend(&wire));
    drop((client, backend));
    logs(&wire, "info", "proxied session done", &at_backend(&wire));
}

#[test]
fn refused_login() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::refuse("No such user"));
    logging_in(&wire).expect("a NO No such user\r\n");
    logs(&wire, "info", "client login failed: \"No such user\" while in http auth state", ", login: \"u\"");
}

#[test]
fn bad_base64() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a AUTHENTICATE PLAIN !\r\n", "a BAD invalid command\r\n");
    logs(&wire, "info", "client sent invalid base64 encoding in AUTH PLAIN command while in auth state", "");
    client.ask("a AUTHENTICATE LOGIN !\r\n", "a BAD invalid command\r\n");
    logs(&wire, "info", "client sent invalid base64 encoding in AUTH LOGIN command while in auth state", "");
}

#[test]
fn bad_messages() {
    let wire = Wire::pop3("pop3_auth plain cram-md5;");
    let mut client = wire.client();
    client.ask(format!("AUTH PLAIN {}\r\n", b64("u")), "-ERR invalid command\r\n");
    logs(&wire, "info", "client sent invalid login in AUTH PLAIN command while in auth state", "");
    client.ask(format!("AUTH PLAIN {}\r\n", b64("\0u")), "-ERR invalid command\r\n");
    logs(&wire, "info", "client sent invalid password in AUTH PLAIN command while in auth state", "");
    client.send("AUTH CRAM-MD5\r\n").line();
    client.ask("dSBw\r\n", "-ERR invalid command\r\n");
    let line = entry(&wire, "client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command");
    assert!(line.starts_with("info: "), "{line}");
}

#[test]
fn too_many_errors_and_too_long_commands() {
    let wire = Wire::imap("max_errors 1; imap_client_buffer 64;");
    wire.client().ask("a BOGUS\r\n", "a BAD invalid command\r\n").expect_close();
    logs(&wire, "info", "client sent too many invalid commands while in auth state", "");
    let long = format!("b NOOP {}", "x".repeat(57));
    wire.client().ask(&long, "b BAD invalid command\r\n").expect_close();
    let told = differs("it may hold a password", long.as_str(), "b...");
    logs(&wire, "info", &format!("client sent too long command \"{told}\" while in auth state"), "");
}

#[test]
fn silent_client() {
    let wire = Wire::imap("timeout 1s;");
    wire.client().expect_close();
    logs(&wire, "info", "client timed out (110: Connection timed out) while in auth state", "");
}

#[test]
fn refusing_backend() {
    let wire = Wire::imap("");
    let mut client = logging_in(&wire);
    wire.backend.accept().send("* BYE busy\r\n").expect_close();
    client.expect("* BAD internal server error\r\n");
    let message = "upstream sent invalid response: \"* BYE busy\" while reading response from upstream";
    logs(&wire, "error", message, &at_backend(&wire));
}

#[test]
fn refusing_backend_that_the_client_hears_of() {
    let wire = Wire::imap("proxy_pass_error_message on;");
    let mut client = logging_in(&wire);
    wire.backend.accept().send("* BYE busy\r\n").expect_close();
    client.expect("* BYE busy\r\n");
    let message = "upstream sent invalid response: \"* BYE busy\" while reading response from upstream";
    logs(&wire, "info", message, &at_backend(&wire));
}

#[test]
fn rambling_backend() {
    let wire = Wire::imap("proxy_buffer 64;");
    let _client = logging_in(&wire);
    let greeting = format!("* OK {}", "x".repeat(58));
    wire.backend.accept().send(format!("{greeting}x")).expect_close();
    let line = entry(&wire, &format!("upstream sent too long response line: \"{greeting}"));
    assert!(line.starts_with("error: "), "{line}");
    assert!(line.ends_with(&at_backend(&wire)), "{line}");
}

#[test]
fn silent_backend() {
    let wire = Wire::imap("timeout 1s;");
    let mut client = logging_in(&wire);
    let _backend = wire.backend.accept();
    client.expect("* BAD internal server error\r\n");
    let line = entry(&wire, "upstream timed out (110: Connection timed out) while connecting to upstream");
    assert!(line.ends_with(&at_backend(&wire)), "{line}");
    // It has been told something, and says nothing to that.
    let mut client = logging_in(&wire);
    let mut backend = wire.backend.accept();
    backend.ask("* OK\r\n", "a LOGIN {1}\r\n");
    client.expect("* BAD internal server error\r\n");
    entry(&wire, "upstream timed out (110: Connection timed out) while sending LOGIN command to upstream");
}

#[test]
fn unreachable_backend() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::accept("127.0.0.1:1".parse().unwrap()));
    logging_in(&wire).expect("* BAD internal server error\r\n");
    let line = entry(&wire, "failed (111: Connection refused)");
    assert!(line.starts_with("error: "), "{line}");
    assert!(line.ends_with(", login: \"u\", upstream: 127.0.0.1:1"), "{line}");
}

#[test]
fn levels_below_the_configured_one_are_left_out() {
    let wire = Wire::imap("error_log error.log error;");
    let mut client = logging_in(&wire);
    wire.backend.accept().send("* BYE busy\r\n").expect_close();
    client.expect("* BAD internal server error\r\n").expect_close();
    entry(&wire, "upstream sent invalid response");
    assert!(!wire.log().contains("[info]"), "{}", wire.log());
}

#[test]
fn names_in_the_log_hold_no_control_bytes() {
    let wire = Wire::pop3("");
    wire.auth.reply(Reply::refuse("no"));
    let mut client = wire.client();
    client.ask("USER u\u{1b}[2J\r\n", "+OK\r\n").ask("PASS p\r\n", "-ERR no\r\n");
    let line = entry(&wire, "client login failed");
    let raw = differs("a log is read on terminals", true, false);
    assert_eq!(line.contains(", login: \"u\u{1b}[2J\""), raw, "{line}");
}

#[test]
fn nobody_makes_up_the_rest_of_a_line() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.send("MAIL FROM:<\", client: 192.0.2.1>\r\n").line();
    let quote = differs("a line is read by programs", "\"", "\\x22");
    wire.await_log(&format!("client was rejected: \"MAIL FROM:<{quote}, client: 192.0.2.1>"));
    let wire = Wire::conf("mail { auth_http @auth@; server { listen @main@ proxy_protocol; protocol imap; } }");
    wire.connect().send("PROXY \", client: 192.0.2.1\r\n").expect_close();
    wire.await_log(&format!("broken header: \"PROXY {quote}, client: 192.0.2.1"));
}

#[test]
fn a_long_answer_leaves_room_for_the_rest_of_the_line() {
    let wire = Wire::imap("");
    let _client = logging_in(&wire);
    wire.backend.accept().send(format!("* BYE {}\r\n", "x".repeat(3000))).expect_close();
    let line = wire.await_log("upstream sent invalid response: \"* BYE xxx");
    let rest =
        format!("xxx...\" while reading response from upstream, client: 127.0.0.1, server: {}", wire.place("main"));
    assert_eq!(line.contains(&rest), differs("a line says whom it is about", false, true), "{line}");
}
