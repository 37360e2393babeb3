//! Versions, ciphers, names, ALPN, certificates.

use super::*;
use crate::log::Level;
use crate::stream::{ReadFailed, WriteFailed};
use crate::tls::testing::{allow_signatures, comparable};
use openssl::ssl::SslVersion;
use std::future::poll_fn;
use std::task::Poll;
use tokio::io::{AsyncRead, ReadBuf};

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
    assert_eq!(comparable(&refused.to_string()), comparable(expected));
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
    assert_eq!((refused.level(), comparable(&refused.to_string())), (Level::Info, comparable(expected)));
}

#[tokio::test]
async fn rsa_and_ecdsa_side_by_side() {
    let world = World::new();
    let rsa = world.authority.issue_rsa("rsa.example.com", 3);
    let mut options = world.options();
    options.certificates.push(world.files.pair("rsa", &rsa));
    let entrance = entrance(&options);
    for (algorithms, name) in [("ECDSA+SHA256", "mail.example.com"), ("rsa_pss_rsae_sha256", "rsa.example.com")] {
        let client = Client::new().with(|client| allow_signatures(client, algorithms));
        assert_eq!(client.connect(&entrance).await.server_name(), name);
    }
}

#[tokio::test]
async fn each_certificate_comes_with_its_chain() {
    let world = World::new();
    let low = world.authority.authority("Low", 5);
    let (ecdsa, rsa) = (low.issue("ecdsa", 6), world.authority.issue_rsa("rsa", 7));
    let mut pair = world.files.pair("ecdsa", &ecdsa);
    pair.certificate = world.files.certificates("chain.crt", &[&ecdsa.certificate, &low.certificate]);
    let entrance = entrance(&server_options(vec![pair, world.files.pair("rsa", &rsa)]));
    for (algorithms, length) in [("ECDSA+SHA256", 2), ("rsa_pss_rsae_sha256", 1)] {
        let client = Client::new().with(|client| allow_signatures(client, algorithms));
        let meeting = client.connect(&entrance).await;
        assert_eq!(meeting.client.ssl().peer_cert_chain().unwrap().len(), length);
    }
}

#[tokio::test]
async fn ciphers_and_their_order() {
    let world = World::new();
    let rsa = world.authority.issue_rsa("rsa", 3);
    let (aes128, aes256) = ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384");
    let mut options = server_options(vec![world.files.pair("rsa", &rsa)]);
    options.protocols.tlsv1_3 = false;
    options.ciphers = format!("{aes256}:{aes128}");
    for (prefer, expected) in [(false, aes128), (true, aes256)] {
        options.prefer_server_ciphers = prefer;
        let client = Client::new().with(|client| client.set_cipher_list(&format!("{aes128}:{aes256}")).unwrap());
        let meeting = client.connect(&entrance(&options)).await;
        assert_eq!(meeting.server.ssl().current_cipher().unwrap().name(), expected);
    }
    let client = Client::new().with(|client| client.set_cipher_list("ECDHE-RSA-CHACHA20-POLY1305").unwrap());
    let refused = client.try_connect(&entrance(&options)).await.0.err().unwrap();
    let expected = "SSL_do_handshake() failed (SSL: error:0A0000C1:SSL routines::no shared cipher)";
    assert_eq!((refused.level(), comparable(&refused.to_string())), (Level::Info, comparable(expected)));
}

#[cfg(not(feature = "aws-lc"))]
#[tokio::test]
async fn finite_field_key_exchange_with_parameters_of_our_own() {
    let world = World::new();
    let rsa = world.authority.issue_rsa("rsa", 3);
    let mut options = server_options(vec![world.files.pair("rsa", &rsa)]);
    let dhe = || {
        Client::new().with(|client| {
            client.set_cipher_list("DHE-RSA-AES128-GCM-SHA256").unwrap();
            client.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        })
    };
    assert!(dhe().try_connect(&entrance(&options)).await.0.is_err(), "none without ssl_dhparam");
    let parameters = openssl::dh::Dh::get_2048_256().unwrap().params_to_pem().unwrap();
    options.dhparam = Some(world.files.write("dh", parameters));
    let meeting = dhe().connect(&entrance(&options)).await;
    assert_eq!(meeting.client.ssl().peer_tmp_key().unwrap().bits(), 2048);
}

#[tokio::test]
async fn curves() {
    let world = World::new();
    let mut options = world.options();
    options.ecdh_curve = "secp384r1:X25519".into();
    let entrance = entrance(&options);
    let with = |groups: &'static str| Client::new().with(|client| client.set_groups_list(groups).unwrap());
    with("P-384").connect(&entrance).await;
    assert!(with("P-521").try_connect(&entrance).await.0.is_err());
}

#[cfg(not(feature = "aws-lc"))]
#[tokio::test]
async fn old_versions_need_an_old_security_level() {
    let world = World::new();
    let rsa = world.authority.issue_rsa("rsa", 3);
    let mut options = server_options(vec![world.files.pair("rsa", &rsa)]);
    options.protocols.tlsv1 = true;
    let client = || {
        Client::new().with(|client| {
            client.set_cipher_list("DEFAULT:@SECLEVEL=0").unwrap();
            client.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
            client.set_max_proto_version(Some(SslVersion::TLS1)).unwrap();
        })
    };
    assert!(client().try_connect(&entrance(&options)).await.0.is_err());
    options.ciphers = "HIGH:!aNULL:!MD5:@SECLEVEL=0".into();
    assert_eq!(client().connect(&entrance(&options)).await.server.ssl().version_str(), "TLSv1");
}

#[cfg(not(feature = "aws-lc"))]
#[tokio::test]
async fn configuration_commands_have_the_last_word() {
    let world = World::new();
    let mut options = world.options();
    let suite = "TLS_CHACHA20_POLY1305_SHA256";
    options.conf_commands.push(("Ciphersuites".into(), suite.into()));
    let meeting = Client::new().connect(&entrance(&options)).await;
    assert_eq!(meeting.server.ssl().current_cipher().unwrap().name(), suite);
}

#[tokio::test]
async fn the_name_chooses_certificate_and_server_block() {
    let world = World::new();
    let caches = Caches::default();
    let (first, second) = (world.authority.issue("first", 3), world.authority.issue("second", 4));
    let first = context(&server_options(vec![world.files.pair("first", &first)]), &caches);
    let mut old = server_options(vec![world.files.pair("second", &second)]);
    old.protocols.tlsv1_3 = false;
    let second = context(&old, &caches);
    let names = ["second.example".to_owned(), "*.second.example".to_owned(), "*.a.first.example".to_owned()];
    let also = ["first.example".to_owned(), "*.first.example".to_owned(), "second.example".to_owned()];
    let entrance = Entrance::new(&[(&also, &first), (&names, &second)]);
    for (name, expected) in [
        ("first.example", 0),
        ("second.example", 0),
        ("x.second.example", 1),
        ("X.Y.Second.Example", 1),
        ("x.second.example.", 1),
        ("x.first.example", 0),
        ("x.a.first.example", 1),
        ("a.first.example", 0),
        ("xsecond.example", 0),
        ("third", 0),
    ] {
        let mut meeting = Client::new().named(name).connect(&entrance).await;
        meeting.talk().await;
        let certificate = ["first", "second"][expected];
        let version = ["TLSv1.3", "TLSv1.2"][expected];
        assert_eq!((meeting.block, meeting.server_name().as_str()), (expected, certificate), "{name}");
        assert_eq!(meeting.server.ssl().version_str(), version);
    }
    assert_eq!(Client::new().connect(&entrance).await.block, 0);
}

#[tokio::test]
async fn the_protocol_for_alpn_is_that_of_the_chosen_block() {
    let world = World::new();
    let caches = Caches::default();
    let imap = context(&world.options(), &caches);
    let pop3 = Context::new(&world.options(), Protocol::Pop3, &caches, &Machine).unwrap();
    let entrance = Entrance::new(&[(&["imap".into()], &imap), (&["pop3".into()], &pop3)]);
    let offering = Client::new().named("pop3").with(|client| client.set_alpn_protos(b"\x04pop3").unwrap());
    let meeting = offering.connect(&entrance).await;
    assert_eq!((meeting.block, meeting.client.ssl().selected_alpn_protocol()), (1, Some(&b"pop3"[..])));
}

#[tokio::test]
async fn a_client_that_goes_away_or_speaks_another_language() {
    let world = World::new();
    let entrance = entrance(&world.options());
    let after = async |sent: &[u8]| {
        let (mut near, far) = duplex(1024);
        near.write_all(sent).await.unwrap();
        drop(near);
        let error = entrance.accept(far).await.err().unwrap();
        (error.level(), error.to_string())
    };
    let closed = (Level::Info, "peer closed connection in SSL handshake".to_owned());
    assert_eq!(after(b"").await, closed);
    assert_eq!(after(b"\x16\x03\x01\x02\x00").await, closed);
    let (level, message) = after(b"a LOGIN b c\r\n").await;
    assert_eq!(level, Level::Info);
    let expected = "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)";
    assert_eq!(comparable(&message), comparable(expected));
}

#[tokio::test]
async fn what_is_left_in_the_error_queue_is_nobodys_fault() {
    let world = World::new();
    let entrance = entrance(&world.options());
    let leave_an_error = || openssl::x509::X509::from_pem(b"none").unwrap_err().put();
    leave_an_error();
    let mut meeting = Client::new().connect(&entrance).await;
    let mut space = [0; 1];
    let mut buffer = ReadBuf::new(&mut space);
    let waits = poll_fn(|cx| {
        leave_an_error();
        Poll::Ready(crate::tls::clean(&mut meeting.server).poll_read(cx, &mut buffer).is_pending())
    });
    assert!(waits.await);
    meeting.talk().await;
}

#[tokio::test]
async fn the_end_is_said_and_no_answer_waited_for() {
    let world = World::new();
    let mut meeting = Client::new().connect(&entrance(&world.options())).await;
    meeting.talk().await;
    meeting.server.shutdown().await.unwrap();
    assert_eq!(meeting.client.read(&mut [0; 8]).await.unwrap(), 0, "close_notify");
}

#[tokio::test]
async fn early_data_is_not_offered() {
    let world = World::new();
    let session = Client::new().connect(&entrance(&world.options())).await.session().await;
    #[cfg(not(feature = "aws-lc"))]
    assert_eq!(session.max_early_data(), 0);
    // SAFETY: the session lives.
    #[cfg(feature = "aws-lc")]
    assert_eq!(unsafe { openssl_sys::SSL_SESSION_early_data_capable(foreign_types::ForeignType::as_ptr(&session)) }, 0);
}

#[tokio::test]
async fn what_fails_later_is_told_in_nginx_words() {
    let world = World::new();
    let mut meeting = Client::new().connect(&entrance(&world.options())).await;
    meeting.talk().await;
    meeting.client.get_mut().write_all(b"\x17\x03\x03\x00\x13 no TLS record at all").await.unwrap();
    let error = meeting.server.read(&mut [0; 8]).await.unwrap_err();
    let expected = "SSL_read() failed (SSL: error:0A000119:SSL routines::decryption failed or bad record mac)";
    assert_eq!(comparable(&ReadFailed(&error).to_string()), comparable(expected));
    let system = std::io::Error::from_raw_os_error(libc::EPIPE);
    assert_eq!(WriteFailed(&system).to_string(), "send() failed (32: Broken pipe)");
}

#[tokio::test]
async fn the_choice_stands_when_the_client_has_to_say_hello_again() {
    let world = World::new();
    let caches = Caches::default();
    let mut options = world.options();
    options.ecdh_curve = "X25519".into();
    let context = context(&options, &caches);
    let entrance = Entrance::new(&[(&["first".into()], &context), (&["second".into()], &context)]);
    let offers_another_curve = Client::new().with(|client| client.set_groups_list("P-521:X25519").unwrap());
    assert_eq!(offers_another_curve.named("second").connect(&entrance).await.block, 1);
}
