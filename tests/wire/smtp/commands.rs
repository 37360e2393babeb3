//! What each command is answered before login.

use super::{AUTH_REQUIRED, BAD_ARGUMENT, BAD_SEQUENCE, INVALID, OK, goes_on};
use crate::harness::{Subject, Wire};

#[track_caller]
fn ehlo_answer(directives: &str, expected: &str) {
    let wire = Wire::smtp(directives);
    wire.client().ask("EHLO client.test\r\n", expected).expect_silence();
}

#[test]
fn greets_with_the_servers_name() {
    let wire = Wire::smtp("");
    wire.connect().expect("220 proxy.test ESMTP ready\r\n").expect_silence();
}

#[test]
fn server_name_of_the_server_is_used() {
    let wire = Wire::smtp("server_name other.test;");
    let mut client = wire.connect();
    client.expect("220 other.test ESMTP ready\r\n").ask("HELO x\r\n", "250 other.test\r\n");
}

#[test]
fn helo_is_answered_with_the_name_only() {
    let wire = Wire::smtp("smtp_capabilities SIZE;");
    wire.client().ask("HELO client.test\r\n", "250 proxy.test\r\n").ask("helo again\r\n", "250 proxy.test\r\n");
}

#[test]
fn ehlo_tells_plain_and_login_by_default() {
    ehlo_answer("", "250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n");
}

#[test]
fn ehlo_tells_capabilities_as_they_are_configured() {
    let lines = "250-SIZE 10240000\r\n250-VRFY\r\n250-8BITMIME\r\n";
    let expected = format!("250-proxy.test\r\n{lines}250 AUTH PLAIN LOGIN\r\n");
    ehlo_answer("smtp_capabilities \"SIZE 10240000\" VRFY 8BITMIME;", &expected);
}

#[test]
fn capabilities_are_inherited() {
    let wire = Wire::mail("smtp_capabilities PIPELINING; smtp_auth login; server { listen @main@; protocol smtp; }");
    wire.client().ask("EHLO x\r\n", "250-proxy.test\r\n250-PIPELINING\r\n250 AUTH LOGIN\r\n");
}

#[test]
fn ehlo_tells_the_mechanisms_in_a_fixed_order() {
    for (methods, told) in [
        ("login", "LOGIN"),
        ("plain", "PLAIN"),
        ("login plain", "PLAIN LOGIN"),
        ("cram-md5", "CRAM-MD5"),
        ("external", "EXTERNAL"),
        ("cram-md5 login external plain", "PLAIN LOGIN CRAM-MD5 EXTERNAL"),
        ("plain none", "PLAIN"),
    ] {
        ehlo_answer(&format!("smtp_auth {methods};"), &format!("250-proxy.test\r\n250 AUTH {told}\r\n"));
    }
}

#[test]
fn ehlo_tells_no_auth_where_there_is_none() {
    ehlo_answer("smtp_auth none;", "250 proxy.test\r\n");
    ehlo_answer("smtp_auth none; smtp_capabilities A B;", "250-proxy.test\r\n250-A\r\n250 B\r\n");
}

#[test]
fn commands_ignore_case_and_spaces_around_arguments() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask("ehLO   client.test  \r\n", "250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n");
    client.ask("nOOp\r\n", OK).ask("NOOP with arguments\r\n", OK);
}

#[test]
fn a_bare_lf_ends_a_line() {
    let wire = Wire::smtp("");
    wire.client().ask("HELO x\n", "250 proxy.test\r\n").ask("NOOP\n", OK);
}

#[test]
fn a_bare_cr_does_not() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.ask("NOOP\rNOOP\r\n", INVALID);
    goes_on(&mut client);
}

#[test]
fn commands_may_come_in_pieces() {
    let wire = Wire::smtp("");
    wire.client()
        .send_pieces(["E", "HL", "O cli", "ent\r", "\nNO"])
        .expect("250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n");
    wire.client().send_pieces(["NOOP\r", "\n"]).expect(OK);
}

#[test]
fn helo_and_ehlo_want_one_argument() {
    let wire = Wire::smtp("max_errors 1;");
    let mut client = wire.client();
    for line in ["HELO\r\n", "EHLO\r\n", "EHLO a b\r\n", "HELO  \r\n"] {
        client.ask(line, BAD_ARGUMENT);
    }
    goes_on(&mut client);
}

#[test]
fn auth_wants_an_argument() {
    let wire = Wire::smtp("max_errors 1;");
    let mut client = wire.client();
    client.ask("AUTH\r\n", BAD_ARGUMENT);
    goes_on(&mut client);
}

#[test]
fn quit_says_bye_and_closes() {
    let wire = Wire::smtp("");
    wire.client().ask("QUIT\r\n", "221 2.0.0 Bye\r\n").expect_close();
    wire.client().ask("QUIT now\r\n", "221 2.0.0 Bye\r\n").expect_close();
}

#[test]
fn commands_behind_quit_are_not_answered() {
    let wire = Wire::smtp("");
    wire.client().ask("QUIT\r\nNOOP\r\n", "221 2.0.0 Bye\r\n").expect_close();
}

#[test]
fn rset_and_noop_are_fine() {
    let wire = Wire::smtp("");
    wire.client().ask("RSET\r\n", OK).ask("NOOP\r\n", OK).ask("RSET x\r\n", OK);
}

#[test]
fn mail_needs_authentication() {
    let wire = Wire::smtp("max_errors 1;");
    let mut client = wire.client();
    client.ask("MAIL FROM:<a@test>\r\n", AUTH_REQUIRED).ask("MAIL\r\n", AUTH_REQUIRED);
    client.ask("RCPT TO:<b@test>\r\n", BAD_SEQUENCE);
    goes_on(&mut client);
}

#[test]
fn rejected_mail_is_logged() {
    let wire = Wire::smtp("");
    wire.client().ask("MAIL FROM:<a@test>\r\n", AUTH_REQUIRED);
    let line = wire.await_log("client was rejected: \"MAIL FROM:<a@test>__\"");
    assert!(line.contains("[info]"), "{line}");
}

#[test]
fn known_commands_that_do_nothing_are_invalid_but_not_counted() {
    let wire = Wire::smtp("max_errors 1;");
    let mut client = wire.client();
    for line in ["HELP\r\n", "VRFY x\r\n", "EXPN x\r\n"] {
        client.ask(line, INVALID);
    }
    goes_on(&mut client);
}

#[test]
fn starttls_without_tls_is_invalid_but_not_counted() {
    let wire = Wire::smtp("max_errors 1;");
    let mut client = wire.client();
    client.ask("STARTTLS\r\n", INVALID);
    goes_on(&mut client);
}

#[test]
fn other_commands_are_invalid() {
    let wire = Wire::smtp("max_errors 100;");
    let mut client = wire.client();
    for line in [
        "DATA\r\n",
        "BDAT 1 LAST\r\n",
        "XCLIENT ADDR=1.2.3.4\r\n",
        "NOO\r\n",
        "NOOPE\r\n",
        "\r\n",
        " NOOP\r\n",
        "\0\r\n",
    ] {
        client.ask(line, INVALID);
    }
    goes_on(&mut client);
}

#[test]
fn eleven_arguments_are_too_many() {
    let wire = Wire::smtp("max_errors 2;");
    let mut client = wire.client();
    let line = |count| format!("NOOP{}\r\n", " a".repeat(count));
    client.ask(line(11), OK).ask(line(12), INVALID).ask(line(11), OK);
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.send("EHLO x\r\nNOOP\r\nBOGUS\r\nRSET\r\nQUIT\r\n");
    client.expect("250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n").expect(OK).expect(INVALID);
    client.expect(OK).expect("221 2.0.0 Bye\r\n").expect_close();
}

#[test]
fn commands_behind_a_rejected_mail_are_answered() {
    let wire = Wire::smtp("");
    let mut client = wire.client();
    client.send("MAIL FROM:<a>\r\nNOOP\r\n").expect(AUTH_REQUIRED);
    if Subject::is_nginx() {
        // Logging the command, it spoils the line ends of what is behind.
        client.expect_silence();
    } else {
        client.expect(OK);
    }
}
