//! AUTHENTICATE: each mechanism, with and without initial response.

use super::{asked_for, goes_on};
use crate::harness::{Conn, Reply, Wire, b64, differs, unb64};

const ALL: &str = "imap_auth plain login cram-md5 external;";

/// Takes the CRAM-MD5 challenge and checks its form.
#[track_caller]
fn challenge(client: &mut Conn) -> String {
    let line = client.line();
    let salt = unb64(line.trim_end().strip_prefix("+ ").unwrap());
    let digits = salt.strip_prefix('<').unwrap().strip_suffix("@proxy.test>").unwrap();
    let (random, time) = digits.split_once('.').unwrap();
    assert!(random.parse::<u64>().is_ok() && time.parse::<u64>().is_ok(), "{salt}");
    salt
}

#[test]
fn plain() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a AUTHENTICATE PLAIN\r\n", "+ \r\n").send(b64("\0user\0pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn plain_with_initial_response() {
    let wire = Wire::imap("");
    let asked = asked_for(&wire, format!("a authenticate plain {}\r\n", b64("\0user\0pass")));
    assert_eq!(asked.credentials(), ["plain", "user", "pass"]);
}

#[test]
fn plain_works_where_it_is_not_enabled() {
    let wire = Wire::imap("imap_auth cram-md5;");
    let asked = asked_for(&wire, format!("a AUTHENTICATE PLAIN {}\r\n", b64("\0user\0pass")));
    assert_eq!(asked.credentials(), ["plain", "user", "pass"]);
    wire.client().ask("a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n");
}

#[test]
fn plain_drops_the_authorization_identity() {
    let wire = Wire::imap("");
    let asked = asked_for(&wire, format!("a AUTHENTICATE PLAIN {}\r\n", b64("other\0user\0pass")));
    assert_eq!(asked.credentials(), ["plain", "user", "pass"]);
}

#[test]
fn plain_may_be_empty() {
    let wire = Wire::imap("");
    let asked = asked_for(&wire, format!("a AUTHENTICATE PLAIN {}\r\n", b64("\0\0")));
    asked.expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: \r\nAuth-Pass: \r\n\
         Auth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
}

#[test]
fn plain_with_too_few_nuls_is_refused() {
    let wire = Wire::imap("max_errors 1;");
    let mut client = wire.client();
    for message in ["", "user", "\0user", "user\0pass"] {
        client.ask("a AUTHENTICATE PLAIN\r\n", "+ \r\n").ask(b64(message) + "\r\n", "a BAD invalid command\r\n");
    }
    goes_on(&mut client);
    wire.auth.expect_unasked();
}

#[test]
fn plain_with_more_nuls() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send(format!("a AUTHENTICATE PLAIN {}\r\n", b64("\0user\0pa\0ss")));
    if differs("CR, LF and NUL never reach a backend in a user name or password", true, false) {
        assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pa%00ss"]);
    } else {
        client.expect("a BAD invalid command\r\n");
        wire.auth.expect_unasked();
    }
}

#[test]
fn equals_sign_is_an_empty_response() {
    let wire = Wire::imap("");
    wire.client().ask("a AUTHENTICATE PLAIN =\r\n", "a BAD invalid command\r\n");
    let mut client = wire.client();
    client.ask("a AUTHENTICATE LOGIN =\r\n", "+ UGFzc3dvcmQ6\r\n").send(b64("pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "", "pass"]);
}

#[test]
fn base64_needs_no_padding_and_ends_with_it() {
    for text in ["AHVzZXIAcGFzcw", "AHVzZXIAcGFzcw=", "AHVzZXIAcGFzcw==", "AHVzZXIAcGFzcw==!?"] {
        let wire = Wire::imap("");
        let asked = asked_for(&wire, format!("a AUTHENTICATE PLAIN {text}\r\n"));
        assert_eq!(asked.credentials(), ["plain", "user", "pass"], "{text}");
    }
}

#[test]
fn bad_base64_is_refused_and_not_counted() {
    let wire = Wire::imap("max_errors 1;");
    let mut client = wire.client();
    for bad in ["A", "AHVzZ", "AHVz!XIA", "AHVz-XIA", "ÄHVzZXIA"] {
        client.ask(format!("a AUTHENTICATE PLAIN {bad}\r\n"), "a BAD invalid command\r\n");
        client.ask("b AUTHENTICATE PLAIN\r\n", "+ \r\n").ask(format!("{bad}\r\n"), "b BAD invalid command\r\n");
        client.ask(format!("c AUTHENTICATE LOGIN {bad}\r\n"), "c BAD invalid command\r\n");
    }
    goes_on(&mut client);
}

#[test]
fn login() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n");
    client.ask(b64("user") + "\r\n", "+ UGFzc3dvcmQ6\r\n").send(b64("pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn login_with_user_name() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask(format!("a AUTHENTICATE LOGIN {}\r\n", b64("user")), "+ UGFzc3dvcmQ6\r\n");
    client.send(b64("pass") + "\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn login_in_one_packet() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send(format!("a AUTHENTICATE LOGIN\r\n{}\r\n{}\r\n", b64("user"), b64("pass")));
    client.expect("+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n");
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn login_with_a_bad_user_name_is_refused_without_a_tag() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n").ask("!\r\n", "BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn login_with_a_bad_password_is_refused() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.ask("a AUTHENTICATE LOGIN dQ==\r\n", "+ UGFzc3dvcmQ6\r\n").ask("!\r\n", "a BAD invalid command\r\n");
    goes_on(&mut client);
}

#[test]
fn asterisk_cancels() {
    let wire = Wire::imap(ALL);
    let mut client = wire.client();
    client.ask("a AUTHENTICATE PLAIN\r\n", "+ \r\n").ask("*\r\n", "a BAD invalid command\r\n");
    client.ask("b AUTHENTICATE LOGIN dQ==\r\n", "+ UGFzc3dvcmQ6\r\n").ask("*\r\n", "b BAD invalid command\r\n");
    client.send("c AUTHENTICATE CRAM-MD5\r\n");
    challenge(&mut client);
    client.ask("*\r\n", "c BAD invalid command\r\n");
    client.ask("d AUTHENTICATE EXTERNAL\r\n", "+ VXNlcm5hbWU6\r\n").ask("*\r\n", "d BAD invalid command\r\n");
    client.send(format!("e AUTHENTICATE PLAIN {}\r\n", b64("\0user\0pass")));
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}

#[test]
fn cram_md5() {
    let wire = Wire::imap("imap_auth cram-md5;");
    let mut client = wire.client();
    client.send("a AUTHENTICATE CRAM-MD5\r\n");
    let salt = challenge(&mut client);
    let digest = "0123456789abcdef0123456789abcdef";
    client.send(b64(format!("user {digest}")) + "\r\n");
    wire.auth.request().expect(format!(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: cram-md5\r\nAuth-User: user\r\nAuth-Pass: {digest}\r\n\
         Auth-Salt: {salt}\r\nAuth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    ));
}

#[test]
fn cram_md5_logs_in_with_the_password_of_the_auth_server() {
    let wire = Wire::imap("imap_auth cram-md5;");
    wire.auth.reply(Reply::accept(wire.backend.address()).with("Auth-Pass", "clear"));
    let mut client = wire.client();
    client.send("a AUTHENTICATE CRAM-MD5\r\n");
    challenge(&mut client);
    client.send(b64("user 0123456789abcdef0123456789abcdef") + "\r\n");
    let mut backend = wire.backend.accept();
    backend.ask("* OK hi\r\n", "a LOGIN {4}\r\n").ask("+ \r\n", "user {5}\r\n").ask("+ \r\n", "clear\r\n");
}

#[test]
fn cram_md5_without_a_password_is_an_internal_error() {
    let wire = Wire::imap("imap_auth cram-md5;");
    let mut client = wire.client();
    client.send("a AUTHENTICATE CRAM-MD5\r\n");
    challenge(&mut client);
    client.ask(b64("user 0123456789abcdef0123456789abcdef") + "\r\n", "* BAD internal server error\r\n").expect_close();
}

#[test]
fn cram_md5_has_one_salt_a_session() {
    let wire = Wire::imap("imap_auth cram-md5;");
    let mut client = wire.client();
    client.send("a AUTHENTICATE CRAM-MD5\r\n");
    let first = challenge(&mut client);
    client.ask("*\r\n", "a BAD invalid command\r\n").send("b AUTHENTICATE CRAM-MD5\r\n");
    assert_eq!(challenge(&mut client), first);
    let mut another = wire.client();
    another.send("a AUTHENTICATE CRAM-MD5\r\n");
    assert_ne!(challenge(&mut another), first);
}

#[test]
fn cram_md5_is_refused_where_it_is_not_enabled_or_has_an_initial_response() {
    let wire = Wire::imap("");
    wire.client().ask("a AUTHENTICATE CRAM-MD5\r\n", "a BAD invalid command\r\n");
    let wire = Wire::imap("imap_auth cram-md5;");
    wire.client().ask("a AUTHENTICATE CRAM-MD5 dQ==\r\n", "a BAD invalid command\r\n");
}

#[test]
fn cram_md5_digest_has_32_characters() {
    let wire = Wire::imap("imap_auth cram-md5;");
    let mut client = wire.client();
    for message in ["user", "", "user 0123456789abcdef0123456789abcde", "user  0123456789abcdef0123456789abcdef"] {
        client.send("a AUTHENTICATE CRAM-MD5\r\n");
        challenge(&mut client);
        client.ask(b64(message) + "\r\n", "a BAD invalid command\r\n");
    }
    goes_on(&mut client);
    wire.auth.expect_unasked();
}

#[test]
fn external() {
    let wire = Wire::imap("imap_auth external;");
    let mut client = wire.client();
    client.ask("a AUTHENTICATE EXTERNAL\r\n", "+ VXNlcm5hbWU6\r\n").send(b64("user") + "\r\n");
    wire.auth.request().expect(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: external\r\nAuth-User: user\r\nAuth-Pass: \r\n\
         Auth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\r\n",
    );
}

#[test]
fn external_with_initial_response() {
    let wire = Wire::imap("imap_auth external;");
    let asked = asked_for(&wire, format!("a AUTHENTICATE EXTERNAL {}\r\n", b64("user")));
    assert_eq!(asked.credentials(), ["external", "user", ""]);
}

#[test]
fn external_is_refused_where_it_is_not_enabled() {
    let wire = Wire::imap("");
    wire.client().ask("a AUTHENTICATE EXTERNAL\r\n", "a BAD invalid command\r\n");
    let mut client = wire.client();
    client.send(format!("a AUTHENTICATE EXTERNAL {}\r\n", b64("user")));
    let reason = "a mechanism that is not enabled is not accepted, with an initial response either";
    if differs(reason, true, false) {
        assert_eq!(wire.auth.request().credentials(), ["external", "user", ""]);
    } else {
        client.expect("a BAD invalid command\r\n");
        wire.auth.expect_unasked();
    }
}

#[test]
fn unknown_mechanisms_are_refused_and_not_counted() {
    let wire = Wire::imap("max_errors 1; imap_auth plain login cram-md5 external;");
    let mut client = wire.client();
    for arguments in ["", " NTLM", " GSSAPI x", " PLAINS", " PLAIN eA== eA==", " LOGIN eA== eA==", " APOP"] {
        client.ask(format!("a AUTHENTICATE{arguments}\r\n"), "a BAD invalid command\r\n");
    }
    goes_on(&mut client);
}

#[test]
fn response_in_pieces() {
    let wire = Wire::imap("");
    let mut client = wire.client();
    client.send_pieces(["a AUTHENTI", "CATE PLAIN\r", "\n"]).expect("+ \r\n");
    client.send_pieces(["AHVzZX", "IAcGFzcw==\r", "\n"]);
    assert_eq!(wire.auth.request().credentials(), ["plain", "user", "pass"]);
}
