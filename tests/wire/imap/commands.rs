//! The greeting, capabilities, tags, and the commands that need no login.

use super::goes_on;
use crate::harness::{Wire, b64};

#[track_caller]
fn capabilities(directives: &str, expected: &str) {
    let wire = Wire::imap(directives);
    wire.client().ask("a CAPABILITY\r\n", format!("* CAPABILITY {expected}\r\na OK completed\r\n"));
}

#[test]
fn greeting_comes_at_once() {
    let wire = Wire::imap("");
    wire.connect().expect("* OK IMAP4 ready\r\n").expect_silence();
}

#[test]
fn protocol_is_named_by_the_directive_not_the_port() {
    let wire = Wire::mail("server { listen @main@; protocol imap; } server { listen @other@; protocol pop3; }");
    wire.connect().expect("* OK IMAP4 ready\r\n");
    crate::harness::Conn::connect(wire.place("other")).expect("+OK POP3 ready\r\n");
}

#[test]
fn capabilities_by_default() {
    capabilities("", "IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN");
}

#[test]
fn capabilities_name_the_mechanisms_in_a_fixed_order() {
    capabilities("imap_auth login;", "IMAP4 IMAP4rev1 UIDPLUS AUTH=LOGIN");
    capabilities("imap_auth cram-md5;", "IMAP4 IMAP4rev1 UIDPLUS AUTH=CRAM-MD5");
    capabilities("imap_auth external;", "IMAP4 IMAP4rev1 UIDPLUS AUTH=EXTERNAL");
    capabilities("imap_auth cram-md5 plain;", "IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=CRAM-MD5");
    let all = "IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5 AUTH=EXTERNAL";
    capabilities("imap_auth external cram-md5 login plain;", all);
    capabilities("imap_auth external; imap_auth CRAM-MD5 login; imap_auth Plain;", all);
}

#[test]
fn capabilities_as_configured() {
    capabilities("imap_capabilities IMAP4rev1 IDLE;", "IMAP4rev1 IDLE AUTH=PLAIN");
    capabilities("imap_capabilities \"IMAP4rev1 ID\" 'X';", "IMAP4rev1 ID X AUTH=PLAIN");
}

#[test]
fn capabilities_are_inherited_and_replaced_whole() {
    let wire = Wire::mail(
        "imap_capabilities IMAP4rev1 OUTER; imap_auth login;
         server { listen @main@; protocol imap; }
         server { listen @inner@; protocol imap; imap_capabilities INNER; imap_auth plain; }",
    );
    wire.client().ask("a CAPABILITY\r\n", "* CAPABILITY IMAP4rev1 OUTER AUTH=LOGIN\r\na OK completed\r\n");
    let mut inner = crate::harness::Conn::connect(wire.place("inner"));
    inner.expect("* OK IMAP4 ready\r\n");
    inner.ask("a CAPABILITY\r\n", "* CAPABILITY INNER AUTH=PLAIN\r\na OK completed\r\n");
}

#[test]
fn noop() {
    let wire = Wire::imap("");
    wire.client().ask("a NOOP\r\n", "a OK completed\r\n").ask("b NOOP\r\n", "b OK completed\r\n");
}

#[test]
fn logout_says_bye_and_closes() {
    let wire = Wire::imap("");
    wire.client().ask("a LOGOUT\r\n", "* BYE\r\na OK completed\r\n").expect_close();
}

#[test]
fn starttls_is_refused_without_tls() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a STARTTLS\r\n", "a BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn commands_that_need_a_login_are_invalid() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a SELECT INBOX\r\n", "a BAD invalid command\r\n");
    client.ask("b ID NIL\r\n", "b BAD invalid command\r\n");
    client.ask("c UID FETCH 1 (FLAGS)\r\n", "c BAD invalid command\r\n");
    client.ask("d NOOPS\r\n", "d BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn names_are_compared_without_case() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a nOOp\r\n", "a OK completed\r\n");
    client.ask("b capability\r\n", "* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\nb OK completed\r\n");
    client.ask("c LogOut\r\n", "* BYE\r\nc OK completed\r\n").expect_close();
}

#[test]
fn arguments_that_a_command_does_not_want_are_ignored() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a NOOP one\r\n", "a OK completed\r\n");
    client.ask("a NOOP one \"two 2\" {5+}\r\nthree\r\n", "a OK completed\r\n");
    client.ask("a NOOP one two three four\r\n", "a BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn spaces_around_the_command_do_not_matter() {
    let wire = Wire::imap("");
    wire.client().ask("a   NOOP   \r\n", "a OK completed\r\n").ask("b NOOP  x  \r\n", "b OK completed\r\n");
}

#[test]
fn a_line_may_end_with_lf_alone() {
    let wire = Wire::imap("");
    wire.client().ask("a NOOP\n", "a OK completed\r\n").ask("b NOOP x\n", "b OK completed\r\n");
}

#[test]
fn cr_must_be_followed_by_lf() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a NOOP\rb\r\n", "a BAD invalid command\r\n");
    client.ask("a NOOP\r\r\n", "a BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn a_command_may_come_byte_by_byte() {
    let wire = Wire::imap("");
    wire.client().send_pieces("a NOOP\r\n".bytes().map(|byte| [byte])).expect("a OK completed\r\n");
}

#[test]
fn tags_are_letters_digits_dash_dot_underscore() {
    let wire = Wire::imap("max_errors 20;");
    let mut client = wire.client();
    client.ask("aZ0-._ NOOP\r\n", "aZ0-._ OK completed\r\n");
    for bad in ["a+b", "*", "a(b", "\"a\"", "ä", "a\tb", "a\0b"] {
        client.ask(format!("{bad} NOOP\r\n"), "* BAD invalid command\r\n");
    }
    goes_on(&mut client);
}

#[test]
fn a_tag_has_at_most_32_bytes() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    let tag = "t".repeat(32);
    client.ask(format!("{tag} NOOP\r\n"), format!("{tag} OK completed\r\n"));
    client.ask(format!("{tag}t NOOP\r\n"), "* BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn a_line_that_begins_with_a_space_has_an_empty_tag() {
    let wire = Wire::imap("");
    wire.client().ask(" NOOP\r\n", " OK completed\r\n").ask(" X\r\n", " BAD invalid command\r\n");
}

#[test]
fn a_line_without_command_is_invalid() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("\r\n", "* BAD invalid command\r\n");
    client.ask("a\r\n", "* BAD invalid command\r\n");
    client.ask("a \r\n", "a BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let wire = Wire::imap("");
    wire.client()
        .send("a NOOP\r\nb BOGUS x\r\nc CAPABILITY\r\nd LOGOUT\r\ne NOOP\r\n")
        .expect("a OK completed\r\nb BAD invalid command\r\n")
        .expect("* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\nc OK completed\r\n")
        .expect("* BYE\r\nd OK completed\r\n")
        .expect_close();
}

#[test]
fn commands_and_login_in_one_packet() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send(format!("a NOOP\r\nb AUTHENTICATE PLAIN\r\n{}\r\nc NOOP\r\n", b64("\0u\0p")));
    client.expect("a OK completed\r\n+ \r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "u", "p"]);
}
