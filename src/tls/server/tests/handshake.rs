//! Versions, ciphers, names, ALPN, certificates.

use super::*;
use crate::log::Level;
use openssl::ssl::SslVersion;

#[tokio::test]
async fn a_handshake_with_the_defaults() {
    let world = World::new();
    let mut meeting = Client::new().connect(&entrance(&world.options())).await;
    meeting.talk().await;
    assert_eq!(meeting.server.ssl().version_str(), "TLSv1.3");
    assert_eq!((meeting.block, meeting.resumed()), (0, false));
}

#[tokio::test]
async fn the_protocol_of_the_server_block_is_the_only_one_for_alpn() {
    let world = World::new();
    let entrance = entrance(&world.options());
    let offering = |protocols: &'static [u8]| Client::new().with(|client| client.set_alpn_protos(protocols).unwrap());
    let meeting = offering(b"\x04pop3\x04imap").connect(&entrance).await;
    assert_eq!(meeting.client.ssl().selected_alpn_protocol(), Some(&b"imap"[..]));
    let (refused, client) = offering(b"\x04pop3").try_connect(&entrance).await;
    let refused = refused.err().unwrap();
    assert_eq!(refused.level(), Level::Info);
    let expected = "SSL_do_handshake() failed (SSL: error:0A0000EB:SSL routines::no application protocol)";
    assert_eq!(refused.to_string(), expected);
    assert!(client.unwrap().contains("alert number 120"));
}

#[tokio::test]
async fn only_the_versions_that_are_enabled() {
    let world = World::new();
    let mut options = world.options();
    options.protocols.tlsv1_3 = false;
    let entrance = entrance(&options);
    assert_eq!(Client::new().connect(&entrance).await.server.ssl().version_str(), "TLSv1.2");
    let newest = Client::new().with(|client| client.set_min_proto_version(Some(SslVersion::TLS1_3)).unwrap());
    let refused = newest.try_connect(&entrance).await.0.err().unwrap();
    let expected = "SSL_do_handshake() failed (SSL: error:0A000102:SSL routines::unsupported protocol)";
    assert_eq!((refused.level(), refused.to_string()), (Level::Info, expected.to_owned()));
}
