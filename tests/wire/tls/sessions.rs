//! `ssl_session_cache`, `ssl_session_tickets`, `ssl_session_ticket_key`, `ssl_session_timeout`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use openssl::ssl::{SslSession, SslVersion};

use super::{IMAP, PROTOCOLS, Talk, wire, wire_with};
use crate::harness::tls::Client;
use crate::harness::{Conn, File, PATIENCE, Wanted, Wire};

/// AWS-LC keeps sessions of TLS 1.3 in tickets only.
const TLS_1_3_BY_TICKET_ONLY: bool = cfg!(feature = "aws-lc");

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

/// A session with that server, which has been used for a while: TLS 1.3 tells it after the handshake.
fn session(talk: &Talk, at: SocketAddr, client: Client) -> SslSession {
    let mut client = Conn::connect(at).tls(client);
    talk.greeted(&mut client);
    assert!(!client.ssl().session_reused());
    left(client)
}

/// Ends the connection, and gives its session; without a good end OpenSSL takes it for broken.
fn left(mut client: Conn) -> SslSession {
    client.close_notify();
    client.session()
}

/// Whether that server goes on with the session.
fn resumes(talk: &Talk, at: SocketAddr, client: Client, session: &SslSession) -> bool {
    let mut client = Conn::connect(at).tls(client.resuming(session));
    talk.greeted(&mut client);
    talk.goes_on(&mut client);
    let resumed = client.ssl().session_reused();
    client.close_notify();
    resumed
}

/// Whether a server resumes its own sessions.
fn resumes_itself(wire: &Wire, client: fn() -> Client) -> bool {
    let at = wire.place("main");
    resumes(&IMAP, at, client(), &session(&IMAP, at, client()))
}

fn tls_1_2() -> Client {
    Client::new().version(SslVersion::TLS1_2)
}

fn tls_1_3() -> Client {
    Client::new().version(SslVersion::TLS1_3)
}

fn by_id() -> Client {
    tls_1_2().without_tickets()
}

/// One IMAP server with TLS 1.2 and 1.3 and these directives.
fn server(directives: &str) -> Wire {
    IMAP.implicit(&format!("ssl_protocols TLSv1.2 TLSv1.3; {directives}"))
}

#[test]
fn by_default_tickets_are_given_and_nothing_is_kept() {
    let wire = server("");
    assert!(resumes_itself(&wire, tls_1_2));
    assert!(resumes_itself(&wire, tls_1_3));
    assert!(!resumes_itself(&wire, by_id));
}

#[test]
fn in_every_protocol_and_after_starttls() {
    for talk in PROTOCOLS {
        for version in VERSIONS {
            let wire = talk.plain("starttls on; ssl_protocols TLSv1.2 TLSv1.3;");
            let client = || Client::new().version(version);
            let mut first = talk.at_starttls(&wire).tls(client());
            talk.goes_on(&mut first);
            let session = left(first);
            let mut second = talk.at_starttls(&wire).tls(client().resuming(&session));
            talk.goes_on(&mut second);
            assert!(second.ssl().session_reused(), "{} {version:?}", talk.name);
        }
    }
}

#[test]
fn a_shared_cache_keeps_sessions() {
    let wire = server("ssl_session_cache shared:one:1m; ssl_session_tickets off;");
    assert!(resumes_itself(&wire, by_id));
    assert!(resumes_itself(&wire, tls_1_2));
    assert_eq!(resumes_itself(&wire, tls_1_3), !TLS_1_3_BY_TICKET_ONLY);
}

#[test]
fn a_builtin_cache_keeps_sessions() {
    for cache in ["builtin", "builtin:20", "builtin:20 shared:one:1m"] {
        let wire = server(&format!("ssl_session_cache {cache}; ssl_session_tickets off;"));
        assert!(resumes_itself(&wire, by_id), "{cache}");
        assert_eq!(resumes_itself(&wire, tls_1_3), !TLS_1_3_BY_TICKET_ONLY, "{cache}");
    }
}

#[test]
fn without_cache_and_tickets_nothing_is_resumed() {
    for cache in ["none", "off"] {
        let wire = server(&format!("ssl_session_cache {cache}; ssl_session_tickets off;"));
        assert!(!resumes_itself(&wire, by_id), "{cache}");
        assert!(!resumes_itself(&wire, tls_1_2), "{cache}");
        assert!(!resumes_itself(&wire, tls_1_3), "{cache}");
    }
}

#[test]
fn tickets_need_no_cache() {
    let wire = server("ssl_session_cache none;");
    assert!(resumes_itself(&wire, tls_1_2));
    assert!(resumes_itself(&wire, tls_1_3));
    let wire = server("ssl_session_cache off;");
    assert!(resumes_itself(&wire, tls_1_2));
    assert!(resumes_itself(&wire, tls_1_3));
}

#[test]
fn a_connection_that_breaks_off_does_not_spoil_its_session() {
    for cache in ["builtin", "shared:one:1m"] {
        let wire = server(&format!("ssl_session_cache {cache}; ssl_session_tickets off;"));
        let mut client = wire.connect().tls(by_id());
        IMAP.greeted(&mut client);
        // OpenSSL spoils the client's own copy.
        let session = SslSession::from_der(&client.session().to_der().unwrap()).unwrap();
        drop(client);
        assert!(resumes(&IMAP, wire.place("main"), by_id(), &session), "{cache}");
    }
}

#[test]
fn servers_that_name_the_same_cache_share_it() {
    let wire = wire(
        "ssl_session_tickets off; ssl_session_cache shared:one:1m; ssl_protocols TLSv1.2;
         server { listen @main@ ssl; protocol imap; }
         server { listen @second@ ssl; protocol imap; }
         server { listen @third@ ssl; protocol imap; ssl_session_cache shared:two:1m; }",
    );
    let session = session(&IMAP, wire.place("main"), by_id());
    assert!(resumes(&IMAP, wire.place("second"), by_id(), &session));
    assert!(!resumes(&IMAP, wire.place("third"), by_id(), &session));
}

#[test]
fn a_full_cache_drops_the_oldest() {
    let wire = server("ssl_session_cache shared:small:32k; ssl_session_tickets off;");
    let at = wire.place("main");
    let first = session(&IMAP, at, by_id());
    assert!(resumes(&IMAP, at, by_id(), &first));
    for _ in 0..300 {
        Conn::connect(at).tls(by_id());
    }
    assert!(!resumes(&IMAP, at, by_id(), &first));
    assert!(resumes_itself(&wire, by_id));
}

#[test]
fn sessions_end_with_the_timeout() {
    let cases = [
        ("ssl_session_cache shared:one:1m; ssl_session_tickets off;", by_id as fn() -> Client),
        ("ssl_session_cache builtin; ssl_session_tickets off;", by_id),
        ("", tls_1_2),
    ];
    let begun = cases.map(|(directives, client)| {
        let wire = server(&format!("ssl_session_timeout 2s; {directives}"));
        let session = session(&IMAP, wire.place("main"), client());
        assert!(resumes(&IMAP, wire.place("main"), client(), &session), "{directives}");
        (wire, session)
    });
    for ((directives, client), (wire, session)) in cases.iter().zip(begun) {
        let deadline = Instant::now() + PATIENCE;
        while resumes(&IMAP, wire.place("main"), client(), &session) {
            assert!(Instant::now() < deadline, "it is resumed for ever: {directives}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A file of so many bytes for `ssl_session_ticket_key`.
fn key(name: &str, size: u8) -> File {
    (name.to_owned(), (0..size).map(|n| n.wrapping_mul(7) ^ name.as_bytes()[0]).collect())
}

/// Processes with one certificate and these `ssl_session_ticket_key` each.
fn with_keys<const N: usize>(keys: [&[&str]; N]) -> [Wire; N] {
    let certificate = Wanted::new("mail.test").alone().files("mail");
    let files = [vec![key("a", 48), key("b", 80), key("c", 48), key("d", 80)], certificate].concat();
    keys.map(|keys| {
        let keys: String = keys.iter().map(|key| format!("ssl_session_ticket_key {key};")).collect();
        let server = format!("server {{ listen @main@ ssl; protocol imap; ssl_protocols TLSv1.2 TLSv1.3; {keys} }}");
        wire_with(&files, &server)
    })
}

/// Whether the second process resumes sessions of the first, in both versions.
#[track_caller]
fn resumed_by(one: &Wire, two: &Wire) -> bool {
    let [old, new] = [tls_1_2, tls_1_3].map(|client| {
        let session = session(&IMAP, one.place("main"), client());
        resumes(&IMAP, two.place("main"), client(), &session)
    });
    assert_eq!(old, new, "TLS 1.2, TLS 1.3");
    old
}

#[test]
fn processes_with_the_same_ticket_key_resume_each_others_sessions() {
    for key in ["a", "b"] {
        let [one, two] = with_keys([&[key], &[key]]);
        assert!(resumed_by(&one, &two), "{key}");
    }
}

#[test]
fn others_do_not() {
    for (first, second) in [(&["a"][..], &["c"][..]), (&["b"], &["d"]), (&["a"], &["b"]), (&["a"], &[]), (&[], &[])] {
        let [one, two] = with_keys([first, second]);
        assert!(!resumed_by(&one, &two), "{first:?} {second:?}");
        assert!(resumed_by(&one, &one), "{first:?}");
    }
}

#[test]
fn the_first_ticket_key_encrypts_and_all_decrypt() {
    let [old, rotated, new] = with_keys([&["a"], &["b", "a"], &["b"]]);
    assert!(resumed_by(&old, &rotated));
    assert!(resumed_by(&rotated, &new));
    assert!(!resumed_by(&rotated, &old));
}

#[test]
fn a_ticket_of_an_older_key_is_renewed() {
    let [old, rotated, new] = with_keys([&["a"], &["b", "a"], &["b"]]);
    let first = session(&IMAP, old.place("main"), tls_1_2());
    let mut client = rotated.connect().tls(tls_1_2().resuming(&first));
    IMAP.greeted(&mut client);
    assert!(client.ssl().session_reused());
    assert!(resumes(&IMAP, new.place("main"), tls_1_2(), &left(client)));
}
