//! Sessions taken up again, and those that must not be.

use super::*;
use crate::tls::ffi;
use crate::tls::options::{SessionCache, SharedCache, VerifyClient, WithoutCache};
#[cfg(not(feature = "aws-lc"))]
use openssl::ssl::SslOptions;
use openssl::ssl::SslVersion;
use std::time::Duration;

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

/// AWS-LC keeps sessions of TLS 1.3 in tickets only.
const WITHOUT_TICKETS: &[SslVersion] = if cfg!(feature = "aws-lc") { &[SslVersion::TLS1_2] } else { &VERSIONS };

fn client(version: SslVersion) -> Client {
    Client::new().with(|client| client.set_max_proto_version(Some(version)).unwrap())
}

fn shared() -> SessionCache {
    let cache = SharedCache { name: "SSL".into(), size: 1 << 20 };
    SessionCache { shared: Some(cache), ..SessionCache::default() }
}

fn alone(options: &ServerOptions, caches: &Caches) -> Entrance {
    Entrance::new(&[(&[], &context(options, caches))])
}

/// Whether a session that began at one entrance goes on at another.
async fn resumes(version: SslVersion, from: &Entrance, to: &Entrance) -> bool {
    let session = client(version).connect(from).await.session().await;
    client(version).resuming(&session).connect(to).await.resumed()
}

#[tokio::test]
async fn by_ticket() {
    let world = World::new();
    for version in VERSIONS {
        let entrance = entrance(&world.options());
        assert!(resumes(version, &entrance, &entrance).await);
    }
}

#[tokio::test]
async fn a_client_gets_one_ticket_at_a_time() {
    let world = World::new();
    let entrance = entrance(&world.options());
    let mut meeting = client(SslVersion::TLS1_3).connect(&entrance).await;
    meeting.talk().await;
    assert_eq!(meeting.sessions.lock().unwrap().len(), 1);
    let session = meeting.session().await;
    let mut again = client(SslVersion::TLS1_3).resuming(&session).connect(&entrance).await;
    again.talk().await;
    assert!(again.resumed());
    assert_eq!(again.sessions.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn by_a_cache_that_server_blocks_share() {
    let world = World::new();
    let options = ServerOptions { session_tickets: false, session_cache: shared(), ..world.options() };
    for &version in WITHOUT_TICKETS {
        let caches = Caches::default();
        let (first, second) = (alone(&options, &caches), alone(&options, &caches));
        assert!(resumes(version, &first, &second).await, "{version:?}");
        assert!(!resumes(version, &first, &alone(&options, &Caches::default())).await);
    }
}

#[tokio::test]
async fn by_ticket_where_a_cache_is_shared() {
    let world = World::new();
    let options = ServerOptions { session_cache: shared(), ..world.options() };
    for version in VERSIONS {
        let caches = Caches::default();
        assert!(resumes(version, &alone(&options, &caches), &alone(&options, &caches)).await);
    }
}

#[tokio::test]
async fn by_a_cache_of_the_block_alone() {
    let world = World::new();
    let builtin = SessionCache { builtin: Some(100), ..SessionCache::default() };
    let options = ServerOptions { session_tickets: false, session_cache: builtin, ..world.options() };
    for &version in WITHOUT_TICKETS {
        let caches = Caches::default();
        let (first, second) = (alone(&options, &caches), alone(&options, &caches));
        assert!(resumes(version, &first, &first).await, "{version:?}");
        assert!(!resumes(version, &first, &second).await);
    }
}

/// OpenSSL lends the same session to all who resume it, whatever thread they are on.
#[tokio::test]
#[cfg(not(feature = "aws-lc"))]
async fn nobody_writes_to_a_session_that_is_in_the_cache() {
    let world = World::new();
    let builtin = SessionCache { builtin: Some(100), ..SessionCache::default() };
    let entrance = entrance(&ServerOptions { session_cache: builtin, ..world.options() });
    let old = client(SslVersion::TLS1_2).with(|client| {
        client.set_options(SslOptions::NO_TICKET);
    });
    let session = old.connect(&entrance).await.session().await;
    let meeting = client(SslVersion::TLS1_2).resuming(&session).connect(&entrance).await;
    assert!(meeting.resumed());
    assert_eq!(ffi::noted_end(meeting.server.ssl().session().unwrap()), None);
    // The ticket that it was given is as good as the session.
    let renewed = meeting.session().await;
    assert!(client(SslVersion::TLS1_2).resuming(&renewed).connect(&entrance).await.resumed());
}

#[tokio::test]
async fn not_without_cache_and_tickets() {
    let world = World::new();
    for without in [WithoutCache::None, WithoutCache::Off] {
        let session_cache = SessionCache { without, ..SessionCache::default() };
        let entrance = entrance(&ServerOptions { session_tickets: false, session_cache, ..world.options() });
        let mut meeting = client(SslVersion::TLS1_3).connect(&entrance).await;
        meeting.talk().await;
        let session = meeting.sessions.lock().unwrap().pop();
        if let Some(session) = session {
            assert!(!client(SslVersion::TLS1_3).resuming(&session).connect(&entrance).await.resumed());
        }
    }
}

#[tokio::test]
async fn not_where_certificates_are_verified_otherwise() {
    let world = World::new();
    let root = world.files.certificates("root.crt", &[&world.authority.certificate]);
    let lax = ServerOptions { session_cache: shared(), ..world.options() };
    let strict =
        ServerOptions { verify_client: VerifyClient::On, client_certificate: Some(root.clone()), ..lax.clone() };
    let optional = ServerOptions { verify_client: VerifyClient::OptionalNoCa, ..strict.clone() };
    let deeper = ServerOptions { verify_depth: 2, ..strict.clone() };
    let trusted = ServerOptions { trusted_certificate: Some(root), ..strict.clone() };
    for (tickets, versions) in [(true, &VERSIONS[..]), (false, WITHOUT_TICKETS)] {
        for &version in versions {
            let caches = Caches::default();
            let entrance = |options: &ServerOptions| {
                alone(&ServerOptions { session_tickets: tickets, ..options.clone() }, &caches)
            };
            let strict = entrance(&strict);
            assert!(resumes(version, &strict, &strict).await);
            for other in [&lax, &optional, &deeper, &trusted].map(entrance) {
                assert!(!resumes(version, &other, &strict).await);
                assert!(!resumes(version, &strict, &other).await);
            }
        }
    }
}

#[tokio::test]
async fn not_at_another_block_of_the_same_socket_that_verifies() {
    let world = World::new();
    let root = world.files.certificates("root.crt", &[&world.authority.certificate]);
    let lax = ServerOptions { session_cache: shared(), ..world.options() };
    let strict = ServerOptions { verify_client: VerifyClient::On, client_certificate: Some(root), ..lax.clone() };
    for version in VERSIONS {
        let caches = Caches::default();
        let (lax, strict) = (context(&lax, &caches), context(&strict, &caches));
        let both = Entrance::new(&[(&["lax".into()], &lax), (&["strict".into()], &strict)]);
        let at = |name| client(version).named(name);
        let lax = at("lax").connect(&both).await.session().await;
        assert!(at("lax").resuming(&lax).connect(&both).await.resumed());
        assert!(!at("strict").resuming(&lax).connect(&both).await.resumed());
        let strict = at("strict").connect(&both).await.session().await;
        assert!(at("strict").resuming(&strict).connect(&both).await.resumed(), "{version:?}");
        assert!(!at("lax").resuming(&strict).connect(&both).await.resumed());
    }
}

#[tokio::test]
async fn ticket_keys_are_rotated() {
    let world = World::new();
    let old = world.files.write("old", [1; 48]);
    let new = world.files.write("new", [2; 80]);
    let with = |keys: &[&std::path::PathBuf]| {
        let ticket_keys = keys.iter().map(|path| (*path).clone()).collect();
        entrance(&ServerOptions { ticket_keys, ..world.options() })
    };
    let (before, during, after) = (with(&[&old]), with(&[&new, &old]), with(&[&new]));
    for version in VERSIONS {
        let first = client(version).connect(&before).await.session().await;
        assert!(client(version).resuming(&first).connect(&with(&[&old])).await.resumed());
        assert!(!client(version).resuming(&first).connect(&after).await.resumed());
        let meeting = client(version).resuming(&first).connect(&during).await;
        assert!(meeting.resumed());
        let renewed = meeting.session().await;
        assert!(client(version).resuming(&renewed).connect(&after).await.resumed());
    }
}

#[tokio::test]
async fn a_session_does_not_live_longer_for_being_resumed() {
    let world = World::new();
    let ticket_keys = vec![world.files.write("key", [1; 80])];
    let with = |seconds| {
        let session_timeout = Duration::from_secs(seconds);
        entrance(&ServerOptions { ticket_keys: ticket_keys.clone(), session_timeout, ..world.options() })
    };
    let end = |meeting: &Meeting| ffi::noted_end(meeting.server.ssl().session().unwrap()).unwrap();
    let (short, long) = (with(1000), with(2000));
    let mut meeting = Client::new().connect(&short).await;
    meeting.talk().await;
    let first_end = end(&meeting);
    let session = meeting.session().await;
    let meeting = Client::new().resuming(&session).connect(&long).await;
    assert!(meeting.resumed());
    assert_eq!(end(&meeting), first_end);
    assert!(!resumes(SslVersion::TLS1_3, &with(0), &long).await);
}

#[tokio::test]
async fn sessions_in_a_cache_end_when_they_were_meant_to() {
    let world = World::new();
    let options = ServerOptions {
        session_tickets: false,
        session_cache: shared(),
        session_timeout: Duration::ZERO,
        ..world.options()
    };
    for version in VERSIONS {
        let entrance = entrance(&options);
        assert!(!resumes(version, &entrance, &entrance).await);
    }
}
