//! The greeting, capabilities, USER, PASS, APOP, and the commands that need no login.

use super::{INVALID, goes_on, with_salt};
use crate::harness::{Reply, Wire};

#[track_caller]
fn capabilities(directives: &str, expected: &str) {
    let wire = Wire::pop3(directives);
    wire.client().ask("CAPA\r\n", format!("+OK Capability list follows\r\n{expected}.\r\n"));
}

#[track_caller]
fn mechanisms(directives: &str, expected: &str) {
    let wire = Wire::pop3(directives);
    let mut client = wire.client();
    client.ask("AUTH\r\n", format!("+OK methods supported:\r\n{expected}.\r\n"));
    goes_on(&mut client);
}

/// That USER and PASS ask the auth server about this user and password.
#[track_caller]
fn logs_in(user: &str, password: &str, asked: [&str; 2]) {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask(format!("USER {user}\r\n"), "+OK\r\n").send(format!("PASS {password}\r\n"));
    assert_eq!(wire.auth.request().credentials()[1..], asked);
}

#[test]
fn greeting_comes_at_once() {
    let wire = Wire::pop3("");
    wire.connect().expect("+OK POP3 ready\r\n").expect_silence();
}

#[test]
fn greeting_has_a_salt_with_apop_and_cram_md5() {
    for directive in ["pop3_auth apop;", "pop3_auth plain cram-md5;"] {
        let wire = Wire::pop3(directive);
        let (_, first) = with_salt(&wire);
        let (_, second) = with_salt(&wire);
        assert_ne!(first, second);
    }
}

#[test]
fn capabilities_by_default() {
    capabilities("", "TOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n");
}

#[test]
fn capabilities_name_the_mechanisms_in_a_fixed_order() {
    capabilities("pop3_auth apop;", "TOP\r\nUSER\r\nUIDL\r\nSASL\r\n");
    capabilities("pop3_auth cram-md5;", "TOP\r\nUSER\r\nUIDL\r\nSASL CRAM-MD5\r\n");
    capabilities("pop3_auth external;", "TOP\r\nUSER\r\nUIDL\r\nSASL EXTERNAL\r\n");
    let all = "TOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN CRAM-MD5 EXTERNAL\r\n";
    capabilities("pop3_auth external cram-md5 apop plain;", all);
}

#[test]
fn capabilities_as_configured() {
    capabilities("pop3_capabilities TOP \"EXPIRE NEVER\" X;", "TOP\r\nEXPIRE NEVER\r\nX\r\nSASL PLAIN LOGIN\r\n");
}

#[test]
fn capabilities_after_user() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("USER u\r\n", "+OK\r\n");
    client.ask("CAPA\r\n", "+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n");
    client.send("PASS p\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
}

#[test]
fn auth_alone_lists_the_mechanisms() {
    mechanisms("", "PLAIN\r\nLOGIN\r\n");
    mechanisms("pop3_auth apop;", "");
    mechanisms("pop3_auth cram-md5 external;", "CRAM-MD5\r\nEXTERNAL\r\n");
    mechanisms("pop3_auth external cram-md5 apop plain;", "PLAIN\r\nLOGIN\r\nCRAM-MD5\r\nEXTERNAL\r\n");
}

#[test]
fn noop_and_quit() {
    let wire = Wire::pop3("");
    wire.client().ask("NOOP\r\n", "+OK\r\n").ask("QUIT\r\n", "+OK\r\n").expect_close();
}

#[test]
fn noop_and_quit_after_user() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("USER u\r\n", "+OK\r\n").ask("NOOP\r\n", "+OK\r\n").ask("QUIT\r\n", "+OK\r\n").expect_close();
}

#[test]
fn stls_is_refused_without_tls() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("STLS\r\n", INVALID);
    goes_on(&mut client);
}

#[test]
fn commands_that_need_a_login_are_invalid() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    for command in ["STAT", "LIST 1", "RETR 1"] {
        client.ask(format!("{command}\r\n"), INVALID);
    }
    goes_on(&mut client);
}

#[test]
fn names_are_compared_without_case() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("nOOp\r\n", "+OK\r\n").ask("user u\r\n", "+OK\r\n").send("Pass P\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "P"]);
}

#[test]
fn a_line_may_end_with_lf_alone() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("NOOP\n", "+OK\r\n").ask("USER u\n", "+OK\r\n").send("PASS p\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
}

#[test]
fn cr_must_be_followed_by_lf() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("NOOP\rX\r\n", INVALID).ask("USER u\rv\r\n", INVALID);
    goes_on(&mut client);
}

#[test]
fn arguments_that_a_command_does_not_want_are_ignored() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("NOOP one two three\r\n", "+OK\r\n").ask("NOOP one two three four\r\n", INVALID);
    goes_on(&mut client);
}

#[test]
fn a_command_may_come_byte_by_byte() {
    let wire = Wire::pop3("");
    wire.client().send_pieces("USER u\r\n".bytes().map(|byte| [byte])).expect("+OK\r\n");
}

#[test]
fn lines_without_a_command_are_invalid() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("\r\n", INVALID).ask(" NOOP\r\n", INVALID).ask("NO1P\r\n", INVALID);
    goes_on(&mut client);
}

#[test]
fn user_and_pass() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("USER user\r\n", "+OK\r\n").send("PASS pass\r\n");
    wire.auth.request().expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: user\r\nAuth-Pass: pass\r\n\
         Auth-Protocol: pop3\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
}

#[test]
fn user_and_password_may_have_spaces() {
    logs_in("a  user", "pass word ", ["a%20%20user", "pass%20word%20"]);
    logs_in("   user", "  pass", ["user", "pass"]);
    logs_in("us\u{1}%", "\u{20ac}\t", ["us%01%25", "\u{20ac}%09"]);
}

#[test]
fn user_and_pass_work_where_plain_is_not_enabled() {
    let wire = Wire::pop3("pop3_auth apop;");
    let mut client = wire.client();
    client.ask("USER u\r\n", "+OK\r\n").send("PASS p\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
}

#[test]
fn user_without_a_name_is_refused() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("USER\r\n", INVALID).ask("USER  \r\n", INVALID);
    goes_on(&mut client);
}

#[test]
fn pass_comes_after_user_only() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.ask("PASS p\r\n", INVALID);
    goes_on(&mut client);
    wire.auth.expect_unasked();
}

#[test]
fn a_refused_command_forgets_the_user() {
    for refused in ["PASS", "BOGUS", "USER v", "AUTH PLAIN", "APOP u x", "STLS"] {
        let wire = Wire::pop3("");
        let mut client = wire.client();
        client.ask("USER u\r\n", "+OK\r\n").ask(format!("{refused}\r\n"), INVALID).ask("PASS p\r\n", INVALID);
        wire.auth.expect_unasked();
    }
}

#[test]
fn pipelined_login() {
    let wire = Wire::pop3("");
    let mut client = wire.client();
    client.send("CAPA\r\nUSER u\r\nPASS p\r\nSTAT\r\n");
    client.expect("+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n+OK\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
}

#[test]
fn apop() {
    let wire = Wire::pop3("pop3_auth apop;");
    let (mut client, salt) = with_salt(&wire);
    client.send("APOP user c4c9334bac560ecc979e58001b3e22fb\r\n");
    wire.auth.request().expect(format!(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: apop\r\nAuth-User: user\r\n\
         Auth-Pass: c4c9334bac560ecc979e58001b3e22fb\r\nAuth-Salt: {salt}\r\n\
         Auth-Protocol: pop3\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    ));
}

#[test]
fn apop_logs_in_with_the_password_of_the_auth_server() {
    let wire = Wire::pop3("pop3_auth apop;");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-Pass", "clear"));
    let mut client = wire.client();
    client.send("APOP user c4c9334bac560ecc979e58001b3e22fb\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("+OK hi\r\n", "USER user\r\n").ask("+OK\r\n", "PASS clear\r\n");
}

#[test]
fn apop_without_a_password_is_an_internal_error() {
    let wire = Wire::pop3("pop3_auth apop;");
    let mut client = wire.client();
    client.ask("APOP u c4c9334bac560ecc979e58001b3e22fb\r\n", "-ERR internal server error\r\n").expect_close();
}

#[test]
fn apop_takes_any_digest() {
    let wire = Wire::pop3("pop3_auth apop;");
    let mut client = wire.client();
    client.send("APOP u x\r\n");
    assert_eq!(wire.auth.request().credentials(), ["apop", "u", "x"]);
}

#[test]
fn apop_is_refused_where_it_is_not_enabled_or_has_wrong_arguments() {
    let wire = Wire::pop3("");
    wire.client().ask("APOP u c4c9334bac560ecc979e58001b3e22fb\r\n", INVALID);
    let wire = Wire::pop3("pop3_auth apop; max_errors 1;");
    let mut client = wire.client();
    client.ask("APOP\r\n", INVALID).ask("APOP u\r\n", INVALID).ask("APOP u x y\r\n", INVALID);
    goes_on(&mut client);
}
