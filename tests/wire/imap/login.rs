//! LOGIN with atoms, quoted strings and literals.

use super::{asked_for, goes_on};
use crate::harness::{Reply, Wire, differs, since};

/// That LOGIN asks the auth server about this user and password.
#[track_caller]
fn logs_in(arguments: &str, user: &str, password: &str) {
    let wire = Wire::imap("");
    let asked = asked_for(&wire, format!("a LOGIN {arguments}\r\n"));
    assert_eq!(asked.credentials(), ["plain", user, password], "{arguments}");
}

/// That LOGIN is refused, and nothing else happens.
#[track_caller]
fn refused(arguments: &str) {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask(format!("a LOGIN {arguments}\r\n"), "a BAD invalid command\r\n");
    goes_on(&mut client);
    wire.auth.expect_unasked();
}

#[test]
fn the_request_to_the_auth_server() {
    let wire = Wire::imap("");
    asked_for(&wire, "a LOGIN user@example.com secret\r\n").expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: user@example.com\r\n\
         Auth-Pass: secret\r\nAuth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
}

#[test]
fn login_works_whatever_mechanisms_are_enabled() {
    for directive in ["imap_auth cram-md5;", "imap_auth login;", "imap_auth external;"] {
        let wire = Wire::imap(directive);
        assert_eq!(asked_for(&wire, "a LOGIN u p\r\n").credentials(), ["plain", "u", "p"]);
    }
}

#[test]
fn atoms() {
    logs_in("user pass", "user", "pass");
    logs_in("us\"er p{1}s\\s", "us\"er", "p{1}s\\s");
    logs_in("  user   pass  ", "user", "pass");
}

#[test]
fn quoted_strings() {
    logs_in("\"user\" \"pass\"", "user", "pass");
    logs_in("\"a user\" \" pass {3} \"", "a%20user", "%20pass%20{3}%20");
    logs_in("user \"\"", "user", "");
}

#[test]
fn escapes_in_quoted_strings() {
    logs_in("\"a\\\"b\" \"c\\\\d\\e\"", "a\"b", "c\\de");
}

#[test]
fn quoted_strings_need_no_space_between() {
    logs_in("\"a\"\"b\"", "a", "b");
    logs_in("\"a\"b", "a", "b");
}

#[test]
fn wrong_arguments_are_refused() {
    refused("");
    refused("user");
    refused("user pass more");
    refused("user pass more evenmore");
    refused("\"\" pass");
}

#[test]
fn line_end_in_a_quoted_string_is_refused() {
    refused("user \"pa\\");
}

#[test]
fn quotes_end_with_their_line() {
    let wire = Wire::imap("");
    wire.auth.reply(Reply::refuse("no").with("Auth-Wait", "1"));
    let mut client = wire.client();
    client.ask("a LOGIN user \"pass\r\n", "a NO no\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
    client.send("b LOGIN user pass\r\n");
    if differs("a line leaves no quotes open for the next", true, false) {
        client.expect("b BAD invalid command\r\n");
    } else {
        assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
    }
}

#[test]
fn synchronising_literals() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a LOGIN {4}\r\n", "+ OK\r\n").ask("user {9}\r\n", "+ OK\r\n").send("pass word\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass%20word"]);
}

#[test]
fn synchronising_literals_need_not_be_waited_for() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN {4}\r\nuser {4}\r\npass\r\n").expect("+ OK\r\n+ OK\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn non_synchronising_literals() {
    logs_in("{4+}\r\nuser {4+}\r\npass", "user", "pass");
    logs_in("user {4+}\r\n\"{} ", "user", "\"{}%20");
    logs_in("{4+}\nuser pass", "user", "pass");
}

#[test]
fn literals_among_other_strings() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a LOGIN \"us er\" {4}\r\n", "+ OK\r\n").send("pass\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "us%20er", "pass"]);
    let mut client = wire.client();
    client.ask("a LOGIN {4}\r\n", "+ OK\r\n").send("user \"pa ss\"\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pa%20ss"]);
}

#[test]
fn literal_in_pieces() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send_pieces(["a LOGIN {", "4}\r", "\n"]).expect("+ OK\r\n");
    client.send_pieces(["us", "er {4+", "}\r\npa", "ss", "\r", "\n"]);
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn literal_of_no_bytes() {
    for literal in ["{0}", "{}"] {
        let wire = Wire::imap("");
        let mut client = wire.client();
        client.ask(format!("a LOGIN user {literal}\r\n"), "+ OK\r\n").send("\r\n");
        let password = differs("an empty literal is an empty string, not one byte", "%0D", "");
        assert_eq!(wire.auth.request().credentials(), ["plain", "user", password], "{literal}");
    }
}

#[test]
fn malformed_literals_are_refused() {
    refused("user {4x}");
    refused("user {4}x");
    refused("user {-1}");
}

#[test]
fn text_after_a_literal_is_refused() {
    if !since(1, 29, 6) {
        return;
    }
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a LOGIN {4+}\r\nuserX pass\r\n", "a BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn literal_length_beyond_all_bounds_is_refused() {
    if !since(1, 29, 6) {
        return;
    }
    let wire = Wire::imap("");
    let mut client = wire.client();
    for length in ["184467440737095516160", "18446744073709551616", "18446744073709551615"] {
        client.ask(format!("a LOGIN {{{length}}}\r\n"), "a BAD invalid command\r\n");
    }
    goes_on(&mut client);
    client.ask("b LOGIN {4}\r\n", "+ OK\r\n").send("user pass\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn refused_line_that_ends_in_a_non_synchronising_literal_closes() {
    // What follows is data that must not be taken for commands.
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a BOGUS {9+}\r\nb LOGOUT\r\n", "a BAD invalid command\r\n").expect_close();
}

#[test]
fn refused_line_that_ends_in_a_synchronising_literal_does_not_close() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a BOGUS {9}\r\n", "a BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn control_bytes_are_escaped_for_the_auth_server() {
    logs_in("u\u{1}%er p\u{7f}\t", "u%01%25er", "p\u{7f}%09");
    logs_in("us\u{e9}r \u{20ac}", "us\u{e9}r", "\u{20ac}");
}

#[test]
fn line_ends_and_nul_in_literals() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send("a LOGIN {3+}\r\nu\r\n {3+}\r\np\0q\r\n");
    if differs("CR, LF and NUL never reach a backend in a user name or password", true, false) {
        assert_eq!(wire.auth.request().credentials(), ["plain", "u%0D%0A", "p%00q"]);
    } else {
        client.expect("a BAD invalid command\r\n");
        wire.auth.expect_unasked();
    }
}
