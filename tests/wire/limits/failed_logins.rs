//! `limit_login`
//!
//! Of delays, lower bounds only.

use std::time::{Duration, Instant};

use super::{IMAP, PROTOCOLS, Talk};
use crate::harness::{Conn, Reply, Subject, Wire};

fn refusal(talk: &Talk) -> &'static str {
    talk.one_of(
        "* BYE [UNAVAILABLE] Too many failed logins, try again later\r\n",
        "-ERR [SYS/TEMP] Too many failed logins, try again later\r\n",
        "421 4.7.0 Too many failed logins, try again later\r\n",
    )
}

/// What a client hears of a failure whose text is `no`.
fn failure(talk: &Talk) -> &'static str {
    talk.one_of("a NO no\r\n", "-ERR no\r\n", "535 5.7.0 no\r\n")
}

/// A client of the test's own address counts.
const STRICT: &str = "limit_login_exempt off; xclient off;";

/// A login that fails, and closes.
#[track_caller]
fn fails(wire: &Wire, talk: &Talk) {
    wire.auth.reply(Reply::refuse("no"));
    wire.client().ask(talk.login, failure(talk)).expect_close();
    wire.auth.request();
}

/// An IMAP login comes to its mail server, which lets it in if it is `good`.
#[track_caller]
fn tries(wire: &Wire, client: &mut Conn, user: &str, good: bool) {
    client.send(format!("a LOGIN {user} p\r\n"));
    wire.auth.request();
    let mut backend = wire.backend.accept();
    backend.ask("* OK\r\n", format!("a LOGIN {{{}}}\r\n", user.len()));
    backend.ask("+ \r\n", format!("{user} {{1}}\r\n")).ask("+ \r\n", "p\r\n");
    if good {
        backend.send("a OK in\r\n");
        client.expect("a OK in\r\n");
    } else {
        backend.send("a NO [AUTHENTICATIONFAILED] no\r\n");
        client.expect("* BAD internal server error\r\n").expect_close();
    }
}

/// The next login is refused, and nobody is asked about it.
#[track_caller]
fn is_refused(wire: &Wire, talk: &Talk) {
    wire.client().ask(talk.login, refusal(talk)).expect_close();
    wire.auth.expect_unasked();
}

#[test]
fn an_address_that_fails_too_often_is_refused_without_asking() {
    for talk in PROTOCOLS {
        let Some(wire) = talk.wire(&format!("{STRICT} limit_login address delay=off refuse=3; limit_login login off;"))
        else {
            return;
        };
        (0..3).for_each(|_| fails(&wire, &talk));
        is_refused(&wire, &talk);
        let line = wire.await_log("refusing logins from an address that fails too often");
        assert!(line.contains("[error]") && line.contains("client: 127.0.0.1"), "{line}");
    }
}

#[test]
fn failures_count_for_all_servers_and_protocols() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::mail(&format!(
        "{STRICT} limit_login address delay=off refuse=3; limit_login login off;
         server {{ listen @main@; protocol imap; }} server {{ listen @pop3@; protocol pop3; }}
         server {{ listen @lax@; protocol imap; limit_login off; }}"
    ));
    (0..3).for_each(|_| fails(&wire, &IMAP));
    let mut client = Conn::connect(wire.place("pop3"));
    client.expect("+OK POP3 ready\r\n").ask("AUTH PLAIN AHUAcA==\r\n", refusal(&PROTOCOLS[1])).expect_close();
    let mut client = Conn::connect(wire.place("lax"));
    client.expect("* OK IMAP4 ready\r\n");
    tries(&wire, &mut client, "u", true);
}

#[test]
fn who_leaves_before_the_answer_has_failed() {
    let Some(wire) = IMAP.wire(&format!("{STRICT} limit_login address delay=off refuse=2; limit_login login off;"))
    else {
        return;
    };
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let _request = wire.auth.request();
    drop(client);
    wire.await_log("client closed connection while in http auth state");
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.auth.request();
    let mut backend = wire.backend.accept();
    backend.ask("* OK\r\n", "a LOGIN {1}\r\n");
    drop(client);
    wire.await_log("client closed connection while sending LOGIN command to upstream");
    is_refused(&wire, &IMAP);
}

#[test]
fn who_begins_too_late_for_the_answer_has_failed() {
    let more = "login_timeout 1s; limit_login address delay=off refuse=2; limit_login login off;";
    let Some(wire) = IMAP.wire(&format!("{STRICT} {more}")) else { return };
    wire.auth.reply(Reply::ByHand);
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    let _request = wire.auth.request();
    client.expect("* BYE Login timed out\r\n").expect_close();
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.auth.request();
    let mut backend = wire.backend.accept();
    backend.ask("* OK\r\n", "a LOGIN {1}\r\n");
    client.expect("* BYE Login timed out\r\n").expect_close();
    is_refused(&wire, &IMAP);
}

#[test]
fn what_a_mail_server_says_of_another_password_does_not_count() {
    let Some(wire) = IMAP.wire(&format!("{STRICT} limit_login address delay=off refuse=1; limit_login login off;"))
    else {
        return;
    };
    wire.auth.always(Reply::accept(wire.backend.address()).with("Auth-Pass", "q"));
    for _ in 0..2 {
        let mut client = wire.client();
        client.send("a LOGIN u p\r\n");
        wire.auth.request();
        let mut backend = wire.backend.accept();
        backend.ask("* OK\r\n", "a LOGIN {1}\r\n").ask("+ \r\n", "u {1}\r\n").ask("+ \r\n", "q\r\n");
        backend.send("a NO [AUTHENTICATIONFAILED] no\r\n");
        client.expect("* BAD internal server error\r\n").expect_close();
    }
}

#[test]
fn many_names_of_one_user_are_one_user() {
    let Some(wire) = IMAP.wire(&format!("{STRICT} limit_login address delay=off refuse=2; limit_login login off;"))
    else {
        return;
    };
    wire.auth.always(Reply::accept(wire.backend.address()).with("Auth-User", "me").with("Auth-Pass", "q"));
    for number in 0..3 {
        let mut client = wire.client();
        client.send(format!("a LOGIN me+{number} p\r\n"));
        wire.auth.request();
        let mut backend = wire.backend.accept();
        backend.ask("* OK\r\n", "a LOGIN {2}\r\n").ask("+ \r\n", "me {1}\r\n").ask("+ \r\n", "q\r\n");
        backend.send("a OK in\r\n");
        client.expect("a OK in\r\n");
    }
    (0..2).for_each(|_| fails(&wire, &IMAP));
    is_refused(&wire, &IMAP);
}

#[test]
fn a_mail_server_that_says_no_counts_too() {
    let Some(wire) = IMAP.wire(&format!("{STRICT} limit_login address delay=off refuse=2; limit_login login off;"))
    else {
        return;
    };
    (0..2).for_each(|_| tries(&wire, &mut wire.client(), "u", false));
    is_refused(&wire, &IMAP);
}

#[test]
fn trouble_with_servers_is_no_failure() {
    let Some(wire) = IMAP.wire(&format!("{STRICT} limit_login address delay=off refuse=1; limit_login login off;"))
    else {
        return;
    };
    for reply in [Reply::headers(&[("Auth-Status", "OK")]), Reply::refuse("later").with("Auth-Error-Code", "454 4.3.0")]
    {
        wire.auth.reply(reply);
        wire.client().send("a LOGIN u p\r\n").rest();
        wire.auth.request();
    }
    for answer in ["* BYE busy\r\n", "* OK\r\n"] {
        let mut client = wire.client();
        client.send("a LOGIN u p\r\n");
        wire.auth.request();
        let mut backend = wire.backend.accept();
        backend.send(answer);
        drop(backend);
        client.expect("* BAD internal server error\r\n").expect_close();
    }
    tries(&wire, &mut wire.client(), "u", true);
}

#[test]
fn who_was_good_from_there_before_is_not_touched() {
    let Some(wire) = IMAP.wire(&format!("{STRICT} limit_login address delay=1 refuse=3; limit_login login off;"))
    else {
        return;
    };
    tries(&wire, &mut wire.client(), "joe", true);
    wire.auth.always(Reply::refuse("no").with("Auth-Wait", "1"));
    // One session; those after the first wait a second more.
    wire.client().ask("a LOGIN x p\r\n", "a NO no\r\n").ask("b LOGIN y p\r\n", "b NO no\r\n");
    wire.client().ask("a LOGIN z p\r\n", "a NO no\r\n");
    (0..3).for_each(|_| drop(wire.auth.request()));
    is_refused(&wire, &IMAP);
    wire.auth.always(Reply::accept(wire.backend.address()));
    let start = Instant::now();
    tries(&wire, &mut wire.client(), "JOE", true);
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn an_address_waits_before_anybody_is_asked() {
    let Some(wire) = IMAP.wire(&format!("{STRICT} limit_login address delay=1 refuse=off; limit_login login off;"))
    else {
        return;
    };
    fails(&wire, &IMAP);
    let start = Instant::now();
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.auth.expect_unasked();
    wire.auth.request();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    let line = wire.await_log("delaying logins from an address that fails too often");
    assert!(line.contains("[warn]"), "{line}");
    // Who leaves meanwhile has not failed, and nobody is asked.
    wire.backend.accept();
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.auth.expect_unasked();
    drop(client);
    wire.await_log("client closed connection while in http auth state");
    wire.auth.expect_unasked();
}

#[test]
fn a_user_hears_late_of_a_failure_and_at_once_of_a_success() {
    let Some(wire) = IMAP.wire(&format!("{STRICT} limit_login login delay=1; limit_login address off;")) else {
        return;
    };
    fails(&wire, &IMAP);
    wire.auth.reply(Reply::refuse("no"));
    let start = Instant::now();
    wire.client().ask("a LOGIN U p\r\n", "a NO no\r\n").expect_close();
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    wire.await_log("delaying the answer to a user that fails too often");
    wire.auth.request();
    let start = Instant::now();
    tries(&wire, &mut wire.client(), "u", true);
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn a_user_may_be_refused_where_that_is_wanted() {
    let Some(wire) = IMAP.wire("limit_login login delay=off refuse=2;") else { return };
    (0..2).for_each(|_| fails(&wire, &IMAP));
    is_refused(&wire, &IMAP);
    tries(&wire, &mut wire.client(), "another", true);
}

#[test]
fn this_machine_and_those_who_are_exempt_do_not_count() {
    if Subject::is_nginx() {
        return;
    }
    let from = |wire: &Wire, address: &str| {
        let mut client = wire.connect();
        client.ask(format!("PROXY TCP4 {address} 127.0.0.1 1 2\r\n"), "* OK IMAP4 ready\r\n");
        client
    };
    for (exempt, counted, free) in
        [("", "192.0.2.1", "127.0.0.1"), ("limit_login_exempt 192.0.2.0/24;", "127.0.0.1", "192.0.2.1")]
    {
        let wire = Wire::mail(&format!(
            "limit_login address delay=off refuse=1; limit_login login off; set_real_ip_from 127.0.0.1; {exempt}
             server {{ listen @main@ proxy_protocol; protocol imap; }}"
        ));
        wire.auth.always(Reply::refuse("no"));
        for _ in 0..3 {
            from(&wire, free).ask("a LOGIN u p\r\n", "a NO no\r\n").expect_close();
        }
        from(&wire, counted).ask("a LOGIN u p\r\n", "a NO no\r\n").expect_close();
        from(&wire, counted).ask("a LOGIN u p\r\n", refusal(&IMAP)).expect_close();
    }
}

/// A configuration for nginx may have the PROXY protocol for the authentication server's sake alone.
#[test]
fn the_address_of_a_proxy_that_is_not_believed_does_not_count() {
    if Subject::is_nginx() {
        return;
    }
    let servers = "limit_login login off; server { listen @main@ proxy_protocol; protocol imap; }";
    let wire = Wire::mail(&format!("{STRICT} limit_login address delay=off refuse=1; {servers}"));
    wire.auth.always(Reply::refuse("no"));
    for (header, is_counted) in [
        ("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n", false),
        ("PROXY TCP4 192.0.2.2 127.0.0.1 1 2\r\n", false),
        // It speaks for itself.
        ("PROXY UNKNOWN\r\n", false),
        ("PROXY UNKNOWN\r\n", true),
    ] {
        let mut client = wire.connect();
        client.ask(header, "* OK IMAP4 ready\r\n");
        let told = if is_counted { refusal(&IMAP) } else { "a NO no\r\n" };
        client.ask("a LOGIN u p\r\n", told).expect_close();
    }
    // Where somebody is believed, nobody else escapes by a header.
    let servers = "limit_login login off; server { listen @main@ proxy_protocol; protocol imap; }";
    let wire = Wire::mail(&format!(
        "{STRICT} set_real_ip_from 192.0.2.0/24; limit_login address delay=off refuse=1; {servers}"
    ));
    wire.auth.always(Reply::refuse("no"));
    for told in ["a NO no\r\n", refusal(&IMAP)] {
        let mut client = wire.connect();
        client.ask("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n", "* OK IMAP4 ready\r\n");
        client.ask("a LOGIN u p\r\n", told).expect_close();
    }
}

#[test]
fn ten_failures_of_a_login_make_no_difference_by_default_to_others() {
    let Some(wire) = IMAP.wire("limit_login_exempt off;") else { return };
    for user in 0..9 {
        wire.auth.reply(Reply::refuse("no"));
        wire.client().ask(format!("a LOGIN u{user} p\r\n"), "a NO no\r\n").expect_close();
        wire.auth.request();
    }
    let start = Instant::now();
    tries(&wire, &mut wire.client(), "u", true);
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn smtp_without_login_does_not_count() {
    if Subject::is_nginx() {
        return;
    }
    let wire = Wire::smtp(&format!("{STRICT} smtp_auth none; limit_login address delay=off refuse=1;"));
    for _ in 0..3 {
        wire.auth.reply(Reply::refuse("no"));
        let mut client = wire.client();
        client
            .ask("MAIL FROM:<a@b>\r\n", "250 2.0.0 OK\r\n")
            .ask("RCPT TO:<c@d>\r\n", "535 5.7.0 no\r\n")
            .expect_close();
    }
}

#[test]
fn users_in_a_file_are_guarded_too() {
    if Subject::is_nginx() {
        return;
    }
    let users = "u:{PLAIN}good:127.0.0.1\n";
    let conf = "mail { auth_users_file users; limit_login_exempt off; limit_login address delay=off refuse=2;
        server { listen @main@; protocol imap; } }";
    let wire = Wire::with(&[("users".into(), users.into())], conf);
    let mut client = wire.client();
    for _ in 0..2 {
        client.ask("a LOGIN u bad\r\n", "a NO Invalid login or password\r\n");
    }
    client.ask("a LOGIN u good\r\n", refusal(&IMAP)).expect_close();
}
