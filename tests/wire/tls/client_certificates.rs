//! `ssl_verify_client` and what the auth server is told of client certificates.

use openssl::hash::MessageDigest;

use super::{IMAP, POP3, PROTOCOLS, SMTP, Talk, s_client, wire_with};
use crate::harness::tls::Client;
use crate::harness::{Conn, Identity, Request, Wanted, Wire, since};

/// An authority that is trusted, and the server's directives for it; `crl` has revoked nobody of those below.
struct Site {
    trusted: Identity,
    wire: Wire,
}

impl Site {
    /// One server that trusts the authority, with these directives.
    #[track_caller]
    fn new(talk: &Talk, directives: &str) -> Site {
        let trusted = Identity::root("Trusted");
        let wire = wire_with(
            &[("ca.crt".to_owned(), trusted.pem())],
            &format!("server {{ listen @main@ ssl; protocol {}; {directives} }}", talk.name),
        );
        Site { trusted, wire }
    }

    fn good(&self) -> Identity {
        Wanted::new("user").by(&self.trusted)
    }

    fn connect(&self, identity: &Identity) -> Conn {
        self.wire.connect().tls(Client::new().certificate(identity))
    }

    /// What the auth server is told of that client.
    #[track_caller]
    fn told(&self, talk: &Talk, mut client: Conn) -> Request {
        talk.greeted(&mut client).send(talk.login);
        self.wire.auth.request()
    }
}

fn stranger() -> Identity {
    Wanted::new("stranger").alone()
}

/// What a client hears that shows no certificate where one is needed, and one with a bad one.
const REFUSALS: [(Talk, &str, &str); 3] = [
    (IMAP, "* BYE No required SSL certificate\r\n", "* BYE SSL certificate error\r\n"),
    (POP3, "-ERR No required SSL certificate\r\n", "-ERR SSL certificate error\r\n"),
    (SMTP, "421 4.7.1 No required SSL certificate\r\n", "421 4.7.1 SSL certificate error\r\n"),
];

const ON: &str = "ssl_verify_client on; ssl_client_certificate ca.crt;";
const OPTIONAL: &str = "ssl_verify_client optional; ssl_client_certificate ca.crt;";
/// With a hyphen since OpenSSL 3.
const SELF_SIGNED: &str = if cfg!(feature = "aws-lc") { "self signed certificate" } else { "self-signed certificate" };

const OPTIONAL_NO_CA: &str = "ssl_verify_client optional_no_ca; ssl_client_certificate ca.crt;";

/// The lines that begin with `Auth-SSL-`, but for protocol and cipher.
fn facts(request: &Request) -> String {
    let text = String::from_utf8_lossy(&request.raw);
    let facts = text.split_inclusive("\r\n").filter(|line| {
        let other = ["Auth-SSL-Protocol:", "Auth-SSL-Cipher:"].iter().any(|name| line.starts_with(name));
        line.starts_with("Auth-SSL-") && !other
    });
    facts.collect()
}

/// These lines for a certificate.
fn expected(verify: &str, subject: &str, issuer: &str, identity: &Identity) -> String {
    let certificate = &identity.certificate;
    let serial = certificate.serial_number().to_bn().unwrap().to_hex_str().unwrap().to_string();
    let fingerprint = certificate.digest(MessageDigest::sha1()).unwrap();
    let fingerprint: String = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "Auth-SSL-Verify: {verify}\r\nAuth-SSL-Subject: CN={subject},O=Wire\\, tested\r\n\
         Auth-SSL-Issuer: CN={issuer},O=Wire\\, tested\r\nAuth-SSL-Serial: {serial}\r\n\
         Auth-SSL-Fingerprint: {fingerprint}\r\n",
    )
}

#[test]
fn off_asks_for_none_and_tells_nothing() {
    let site = Site::new(&IMAP, "ssl_verify_client off; ssl_client_certificate ca.crt;");
    let client = site.connect(&site.good());
    assert_eq!(facts(&site.told(&IMAP, client)), "");
}

#[test]
fn on_needs_one_that_is_good() {
    for (talk, missing, bad) in REFUSALS {
        let site = Site::new(&talk, ON);
        let good = site.good();
        let request = site.told(&talk, site.connect(&good));
        assert_eq!(facts(&request), expected("SUCCESS", "user", "Trusted", &good));

        site.wire.connect().tls(Client::new()).expect(missing).expect_close_notify();
        site.connect(&stranger()).expect(bad).expect_close_notify();
        site.connect(&Wanted::new("late").expired().by(&site.trusted)).expect(bad).expect_close_notify();
        site.wire.auth.expect_unasked();
    }
}

#[test]
fn optional_takes_none_or_a_good_one() {
    for (talk, _, bad) in REFUSALS {
        let site = Site::new(&talk, OPTIONAL);
        let good = site.good();
        assert_eq!(facts(&site.told(&talk, site.connect(&good))), expected("SUCCESS", "user", "Trusted", &good));
        let none = site.wire.connect().tls(Client::new());
        assert_eq!(facts(&site.told(&talk, none)), "Auth-SSL-Verify: NONE\r\n");
        site.connect(&stranger()).expect(bad).expect_close_notify();
    }
}

#[test]
fn optional_no_ca_takes_any_authority_and_says_so() {
    for talk in PROTOCOLS {
        let site = Site::new(&talk, OPTIONAL_NO_CA);
        let stranger = stranger();
        let told = facts(&site.told(&talk, site.connect(&stranger)));
        assert_eq!(told, expected(&format!("FAILED:{SELF_SIGNED}"), "stranger", "stranger", &stranger));

        let unknown = Wanted::new("unknown").by(&Identity::root("Other"));
        let told = facts(&site.told(&talk, site.connect(&unknown)));
        assert_eq!(told, expected("FAILED:unable to verify the first certificate", "unknown", "Other", &unknown));

        let none = site.wire.connect().tls(Client::new());
        assert_eq!(facts(&site.told(&talk, none)), "Auth-SSL-Verify: NONE\r\n");
    }
}

#[test]
fn optional_no_ca_does_not_excuse_an_expired_one() {
    for (talk, _, bad) in REFUSALS {
        let site = Site::new(&talk, OPTIONAL_NO_CA);
        site.connect(&Wanted::new("late").expired().by(&site.trusted)).expect(bad).expect_close_notify();
    }
}

#[test]
fn after_starttls_the_refusal_comes_in_tls() {
    let files = [("ca.crt".to_owned(), Identity::root("Trusted").pem())];
    for (talk, missing, bad) in REFUSALS {
        let wire = wire_with(&files, &format!("server {{ listen @main@; protocol {}; starttls on; {ON} }}", talk.name));
        talk.at_starttls(&wire).tls(Client::new()).expect(missing).expect_close_notify();
        talk.at_starttls(&wire).tls(Client::new().certificate(&stranger())).expect(bad).expect_close_notify();
    }
}

#[test]
fn what_the_log_says() {
    let site = Site::new(&IMAP, ON);
    site.wire.connect().tls(Client::new()).rest();
    let line = site.wire.await_log("client sent no required SSL certificate");
    assert!(line.contains("[info]") && line.contains("client: 127.0.0.1"), "{line}");
    site.connect(&stranger()).rest();
    let line = site.wire.await_log(&format!("client SSL certificate verify error: (18:{SELF_SIGNED})"));
    assert!(line.contains("[info]"), "{line}");
}

#[test]
fn the_certificate_itself_on_request() {
    for talk in PROTOCOLS {
        let site = Site::new(&talk, &format!("{ON} auth_http_pass_client_cert on;"));
        let good = site.good();
        let told = facts(&site.told(&talk, site.connect(&good)));
        let pem = String::from_utf8(good.pem()).unwrap().replace('%', "%25").replace(' ', "%20").replace('\n', "%0A");
        let mut all = expected("SUCCESS", "user", "Trusted", &good);
        all += &format!("Auth-SSL-Cert: {pem}\r\n");
        assert_eq!(told, all);
    }
}

#[test]
fn no_certificate_no_header() {
    let site = Site::new(&IMAP, &format!("{OPTIONAL} auth_http_pass_client_cert on;"));
    let none = site.wire.connect().tls(Client::new());
    assert_eq!(facts(&site.told(&IMAP, none)), "Auth-SSL-Verify: NONE\r\n");
}

#[test]
fn the_whole_request() {
    if !since(1, 21, 2) {
        return;
    }
    let site = Site::new(&IMAP, &format!("{ON} ssl_protocols TLSv1.3; auth_http_header X-Last yes;"));
    let good = site.good();
    let facts = expected("SUCCESS", "user", "Trusted", &good);
    let client = site.connect(&good);
    let cipher = client.ssl().current_cipher().unwrap().name();
    site.told(&IMAP, client).expect(format!(
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: u\r\nAuth-Pass: p\r\n\
         Auth-Protocol: imap\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n\
         Auth-SSL: on\r\nAuth-SSL-Protocol: TLSv1.3\r\nAuth-SSL-Cipher: {cipher}\r\n{facts}X-Last: yes\r\n\r\n",
    ));
}

#[test]
fn a_chain_is_as_deep_as_allowed() {
    let root = Identity::root("Root");
    let middle = Wanted::new("Middle").authority().by(&root);
    let leaf = Wanted::new("user").by(&middle);
    for (depth, good) in [("ssl_verify_depth 0;", false), ("", true), ("ssl_verify_depth 2;", true)] {
        let wire = wire_with(
            &[("ca.crt".to_owned(), root.pem())],
            &format!("server {{ listen @main@ ssl; protocol imap; {ON} {depth} }}"),
        );
        let mut client = wire.connect().tls(Client::new().certificate(&leaf).chain(&middle));
        client.expect(if good { IMAP.greeting } else { "* BYE SSL certificate error\r\n" });
    }
}

#[test]
fn only_the_authorities_of_ssl_client_certificate_are_named() {
    let (named, unnamed) = (Identity::root("Named"), Identity::root("Unnamed"));
    let wire = wire_with(
        &[("named.crt".to_owned(), named.pem()), ("unnamed.crt".to_owned(), unnamed.pem())],
        "server { listen @main@ ssl; protocol imap; ssl_protocols TLSv1.2;
                  ssl_verify_client on; ssl_client_certificate named.crt; ssl_trusted_certificate unnamed.crt; }",
    );
    let leaf = Wanted::new("user").by(&unnamed);
    IMAP.greeted(&mut wire.connect().tls(Client::new().certificate(&leaf)));
    let told = s_client(wire.place("main"), &["-tls1_2"], "", "");
    let (_, names) = told.split_once("Acceptable client certificate CA names\n").unwrap();
    assert!(names.starts_with("O = \"Wire, tested\", CN = Named\nClient Certificate Types"), "{told}");
}

#[test]
fn a_revoked_certificate_is_bad() {
    let trusted = Identity::root("Trusted");
    let [good, revoked] = ["good", "revoked"].map(|name| Wanted::new(name).by(&trusted));
    let wire = wire_with(
        &[("ca.crt".to_owned(), trusted.pem()), ("crl.pem".to_owned(), trusted.revokes(&[&revoked]))],
        &format!("server {{ listen @main@ ssl; protocol imap; {ON} ssl_crl crl.pem; }}"),
    );
    IMAP.greeted(&mut wire.connect().tls(Client::new().certificate(&good)));
    let mut client = wire.connect().tls(Client::new().certificate(&revoked));
    client.expect("* BYE SSL certificate error\r\n").expect_close_notify();
    wire.await_log("client SSL certificate verify error: (23:certificate revoked)");
}

#[test]
fn external_with_a_certificate() {
    for (talk, login) in [
        (IMAP, "l AUTHENTICATE EXTERNAL dXNlcg==\r\n"),
        (POP3, "AUTH EXTERNAL dXNlcg==\r\n"),
        (SMTP, "AUTH EXTERNAL dXNlcg==\r\n"),
    ] {
        let site = Site::new(&talk, &format!("{ON} {}_auth external;", talk.name));
        let good = site.good();
        let mut client = site.connect(&good);
        client.line();
        client.send(login);
        let request = site.wire.auth.request();
        assert_eq!(request.credentials(), ["external", "user", ""]);
        assert_eq!(facts(&request), expected("SUCCESS", "user", "Trusted", &good));
    }
}

#[test]
fn a_resumed_session_keeps_the_certificate() {
    let site = Site::new(&IMAP, &format!("{ON} ssl_protocols TLSv1.2 TLSv1.3;"));
    let good = site.good();
    let mut first = site.connect(&good);
    IMAP.greeted(&mut first).close_notify();
    let session = first.session();
    let second = site.wire.connect().tls(Client::new().resuming(&session));
    assert!(second.ssl().session_reused());
    assert_eq!(facts(&site.told(&IMAP, second)), expected("SUCCESS", "user", "Trusted", &good));
}
