//! Connectors against servers in the same process.
#![allow(clippy::unwrap_used)]

use openssl::ssl::{NameType, SslSessionCacheMode, SslVersion};
use openssl::symm::Cipher;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::testing::{accept, certify, demand, options, revoke, server, server_identity};
use super::*;
use crate::config::Machine;
use crate::tls::options::KeyPair;
use crate::tls::testing::{Authority, Files, Identity, comparable};

/// What a server has seen of a client.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    sni: Option<String>,
    resumed: bool,
    certificate: bool,
}

/// One authority, in a file.
struct World {
    files: Files,
    authority: Authority,
}

impl World {
    fn new() -> World {
        World { files: Files::new(), authority: Authority::new("Root") }
    }

    fn options(&self) -> ClientOptions {
        options(self.files.certificates("ca.pem", &[&self.authority.certificate]))
    }

    fn connector(&self, change: impl FnOnce(&mut ClientOptions)) -> Connector {
        let mut options = self.options();
        change(&mut options);
        Connector::new(&options, &Machine).unwrap()
    }

    fn server(&self, names: &[&str]) -> SslContext {
        server(&server_identity(&self.authority, names), &[]).build()
    }
}

fn address() -> Address {
    Address::Ip("192.0.2.1:993".parse().unwrap())
}

/// Lets the two have a word with each other.
async fn meet(connector: &Connector, server: &SslContext, name: &str) -> Result<Seen, String> {
    let (near, far) = duplex(64 * 1024);
    let serve = async {
        let mut stream = accept(server, far).await.ok()?;
        stream.write_all(b"hi").await.ok()?;
        stream.read_u8().await.ok()?;
        let ssl = stream.ssl();
        let sni = ssl.servername(NameType::HOST_NAME).map(str::to_owned);
        Some(Seen { sni, resumed: ssl.session_reused(), certificate: ssl.peer_certificate().is_some() })
    };
    let (client, server) = tokio::join!(talk(connector, near, name), serve);
    client.map(|()| server.expect("both are content"))
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(connector: &Connector, socket: S, name: &str) -> Result<(), String> {
    let stream = connector.connect(socket, &address(), &Name::parse(name)).await;
    let mut stream =
        stream.map_err(|error| format!("{}{error}", if error.is_about_certificate() { "! " } else { "" }))?;
    let mut hi = [0; 2];
    stream.read_exact(&mut hi).await.map_err(|error| format!("refused by the server: {error}"))?;
    stream.write_all(b"x").await.unwrap();
    Ok(())
}

fn seen() -> Result<Seen, String> {
    Ok(Seen { sni: None, resumed: false, certificate: false })
}

#[tokio::test]
async fn the_name_must_be_in_the_certificate() {
    let world = World::new();
    let server = world.server(&["mail.example", "*.wild.example", "m*.part.example", "192.0.2.9", "2001:db8::9"]);
    for name in ["mail.example", "MAIL.example.", "a.wild.example", "192.0.2.9", "2001:db8::9"] {
        assert_eq!(meet(&world.connector(|_| {}), &server, name).await, seen(), "{name}");
    }
    for name in ["mail.example.org", "wild.example", "a.b.wild.example", "mail.part.example", "192.0.2.8", "::1"] {
        let expected = Err(format!("! SSL certificate does not match \"{name}\""));
        assert_eq!(meet(&world.connector(|_| {}), &server, name).await, expected);
    }
    for none in ["", "."] {
        assert!(meet(&world.connector(|_| {}), &server, none).await.is_err(), "{none:?} is not any name");
    }
    let by_common_name = super::testing::server(&world.authority.issue("old.example", 3), &[]).build();
    assert_eq!(meet(&world.connector(|_| {}), &by_common_name, "old.example").await, seen());
}

#[tokio::test]
async fn another_name_may_be_told() {
    let world = World::new();
    let server = world.server(&["mail.example", "192.0.2.9"]);
    let named = world.connector(|options| options.name = Some("mail.example".into()));
    assert_eq!(meet(&named, &server, "127.0.0.1").await, seen());
    let named = world.connector(|options| options.name = Some("other.example".into()));
    let expected = Err("! SSL certificate does not match \"other.example\"".to_owned());
    assert_eq!(meet(&named, &server, "mail.example").await, expected);
}

#[tokio::test]
async fn the_server_is_told_a_name_and_no_address() {
    let world = World::new();
    let server = world.server(&["mail.example", "192.0.2.9"]);
    let connector = world.connector(|options| options.server_name = true);
    let sni = Some("mail.example".to_owned());
    assert_eq!(meet(&connector, &server, "mail.example").await.unwrap().sni, sni);
    assert_eq!(meet(&connector, &server, "192.0.2.9").await.unwrap().sni, None);
}

#[tokio::test]
async fn certificates_that_are_not_good() {
    let world = World::new();
    let names = &["mail.example"];
    let stranger = Authority::new("Stranger");
    let between = world.authority.authority("Between", 2);
    for (identity, chain, expected) in [
        (certify(&world.authority, names, 3, -2, -1), vec![], "10:certificate has expired"),
        (certify(&world.authority, names, 3, 1, 2), vec![], "9:certificate is not yet valid"),
        (server_identity(&stranger, names), vec![], "20:unable to get local issuer certificate"),
        (
            server_identity(&stranger, names),
            vec![&stranger.certificate],
            // As before OpenSSL 3.
            match cfg!(feature = "aws-lc") {
                true => "19:self signed certificate in certificate chain",
                false => "19:self-signed certificate in certificate chain",
            },
        ),
        (server_identity(&between, names), vec![], "20:unable to get local issuer certificate"),
    ] {
        let server = server(&identity, &chain).build();
        let expected = Err(format!("! SSL certificate verify error: ({expected})"));
        assert_eq!(meet(&world.connector(|_| {}), &server, "mail.example").await, expected);
        assert_eq!(meet(&world.connector(|options| options.verify = false), &server, "x.example").await, seen());
    }
    let server = server(&server_identity(&between, names), &[&between.certificate]).build();
    assert_eq!(meet(&world.connector(|_| {}), &server, "mail.example").await, seen());
    let shallow = world.connector(|options| options.verify_depth = 0);
    let error = meet(&shallow, &server, "mail.example").await.unwrap_err();
    assert!(error.starts_with("! SSL certificate verify error: "), "{error}");
}

#[tokio::test]
async fn revoked_certificates() {
    let world = World::new();
    let list = world.files.write("crl.pem", revoke(&world.authority, &[3]));
    let connector = world.connector(|options| options.crl = Some(list));
    for (serial, expected) in [(3, Err("! SSL certificate verify error: (23:certificate revoked)".into())), (4, seen())]
    {
        let identity = certify(&world.authority, &["mail.example"], serial, -1, 1);
        assert_eq!(meet(&connector, &server(&identity, &[]).build(), "mail.example").await, expected);
    }
}

/// AWS-LC has no ciphers without certificates.
#[cfg(not(feature = "aws-lc"))]
#[tokio::test]
async fn a_server_without_a_certificate_is_refused() {
    let world = World::new();
    let mut server = server(&server_identity(&world.authority, &["mail.example"]), &[]);
    server.set_cipher_list("aNULL:@SECLEVEL=0").unwrap();
    server.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    let connector = world.connector(|options| options.ciphers = "ALL:@SECLEVEL=0".into());
    let expected = Err("! SSL certificate does not match \"mail.example\": there is none".to_owned());
    assert_eq!(meet(&connector, &server.build(), "mail.example").await, expected);
}

#[tokio::test]
async fn a_client_certificate() {
    let world = World::new();
    let mut server = server(&server_identity(&world.authority, &["mail.example"]), &[]);
    demand(&mut server, &world.authority);
    let server = server.build();
    let refused = meet(&world.connector(|_| {}), &server, "mail.example").await.unwrap_err();
    assert!(refused.starts_with("refused by the server"), "{refused}");
    let identity = world.authority.issue("proxy", 5);
    let pair = encrypted(&world.files, &identity, b"open sesame");
    let connector = world.connector(|options| {
        options.certificate = Some(pair);
        options.passwords = [&b"wrong"[..], b"open sesame"].map(gatepost_proto::Secret::from).to_vec();
    });
    assert!(meet(&connector, &server, "mail.example").await.unwrap().certificate);
}

#[tokio::test]
async fn a_certificate_that_is_not_verified_is_not_to_blame() {
    let (world, stranger) = (World::new(), Authority::new("Stranger"));
    let mut server = server(&server_identity(&stranger, &["mail.example"]), &[]);
    server.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    demand(&mut server, &world.authority);
    let connector = world.connector(|options| options.verify = false);
    let error = meet(&connector, &server.build(), "mail.example").await.unwrap_err();
    assert!(error.starts_with("SSL_do_handshake() failed (SSL: "), "{error}");
}

fn encrypted(files: &Files, identity: &Identity, password: &[u8]) -> KeyPair {
    let certificate = files.certificates("client.crt", &[&identity.certificate]);
    let key = identity.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), password).unwrap();
    KeyPair { certificate, key: files.write("client.key", key) }
}

#[tokio::test]
async fn sessions_are_resumed_with_the_same_server_only() {
    let world = World::new();
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let mut server = server(&server_identity(&world.authority, &["mail.example", "pop.example"]), &[]);
        server.set_max_proto_version(Some(version)).unwrap();
        server.set_session_cache_mode(SslSessionCacheMode::SERVER);
        let server = server.build();
        let connector = world.connector(|_| {});
        let resumed = async |connector: &Connector, name| meet(connector, &server, name).await.unwrap().resumed;
        assert!(!resumed(&connector, "mail.example").await);
        assert!(resumed(&connector, "mail.example").await);
        assert!(!resumed(&connector, "pop.example").await);
        assert!(resumed(&connector, "mail.example").await);
        connector.sessions.as_ref().unwrap().forget(&address(), &Name::parse("mail.example"));
        assert!(!resumed(&connector, "mail.example").await);
        let other = world.connector(|options| options.session_reuse = false);
        assert!(!resumed(&other, "mail.example").await);
        assert!(!resumed(&other, "mail.example").await);
    }
}

#[tokio::test]
async fn a_session_does_not_outlive_a_failure() {
    let world = World::new();
    let connector = world.connector(|_| {});
    meet(&connector, &world.server(&["mail.example"]), "mail.example").await.unwrap();
    assert_eq!(format!("{:?}", connector.sessions.as_ref().unwrap()), "Sessions(1)");
    meet(&connector, &world.server(&["other.example"]), "mail.example").await.unwrap_err();
    assert_eq!(format!("{:?}", connector.sessions.as_ref().unwrap()), "Sessions(0)");
}

#[tokio::test]
async fn servers_that_do_not_speak_tls() {
    let world = World::new();
    for (said, expected) in [
        (&b"* OK hi\r\n"[..], "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)"),
        (b"", "peer closed connection in SSL handshake"),
    ] {
        let (near, mut far) = duplex(64 * 1024);
        let serve = async move {
            far.write_all(said).await.unwrap();
            far.shutdown().await.unwrap();
            let _ = far.read(&mut [0; 1024]).await;
        };
        let connector = world.connector(|_| {});
        let (outcome, ()) = tokio::join!(talk(&connector, near, "mail.example"), serve);
        assert_eq!(outcome.map_err(|error| comparable(&error)), Err(comparable(expected)));
    }
}

#[tokio::test]
async fn versions_and_commands_of_the_library() {
    let world = World::new();
    let mut server = server(&server_identity(&world.authority, &["mail.example"]), &[]);
    server.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    let server = server.build();
    let new_only = world.connector(|options| options.protocols.tlsv1_2 = false);
    let refused = meet(&new_only, &server, "mail.example").await.unwrap_err().to_lowercase();
    assert!(refused.replace('_', " ").contains("protocol version"), "{refused}");
    if cfg!(feature = "aws-lc") {
        return;
    }
    let command = ("MinProtocol".to_owned(), "TLSv1.3".to_owned());
    let commanded = world.connector(|options| options.conf_commands = vec![command]);
    assert!(meet(&commanded, &server, "mail.example").await.unwrap_err().contains("protocol version"));
}

/// What a test does to the options.
type Change<'a> = &'a dyn Fn(&mut ClientOptions);

#[test]
fn mistakes_are_told_as_nginx_does() {
    let world = World::new();
    let junk = world.files.write("junk.pem", "junk\n");
    let other = world.files.pair("other", &world.authority.issue("other", 2));
    let pair = world.files.pair("mine", &world.authority.issue("mine", 3));
    let mistake = |change: Change<'_>| {
        let mut options = world.options();
        change(&mut options);
        let text = Connector::new(&options, &Machine).unwrap_err().join("\n");
        text.replace(world.files.directory().to_str().unwrap(), "DIR")
    };
    let cases: [(Change<'_>, &str); 6] = [
        (
            &|options| options.trusted_certificate = Some(junk.clone()),
            "cannot load certificate \"DIR/junk.pem\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM \
             routines::no start line:Expecting: TRUSTED CERTIFICATE)",
        ),
        (
            &|options| options.trusted_certificate = Some(world.files.path("none")),
            "cannot load certificate \"DIR/none\": BIO_new_file() failed (SSL: error:80000002:system library::No such \
             file or directory:calling fopen(DIR/none, r) error:10000080:BIO routines::no such file)",
        ),
        (
            &|options| options.crl = Some(junk.clone()),
            "cannot load CRL \"DIR/junk.pem\": PEM_read_bio_X509_CRL() failed (SSL: error:0480006C:PEM routines::no \
             start line:Expecting: X509 CRL)",
        ),
        (
            &|options| options.certificate = Some(KeyPair { key: junk.clone(), ..pair.clone() }),
            "cannot load certificate key \"DIR/junk.pem\": PEM_read_bio_PrivateKey() failed (SSL: \
             error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM)",
        ),
        (
            &|options| options.certificate = Some(KeyPair { key: other.key.clone(), ..pair.clone() }),
            "SSL_CTX_use_PrivateKey(\"DIR/other.key\") failed (SSL: error:05800074:x509 certificate routines::key \
             values mismatch)",
        ),
        (
            &|options| options.ciphers = "foo".into(),
            "SSL_CTX_set_cipher_list(\"foo\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(comparable(&mistake(change)), comparable(expected));
    }
    let refused = if cfg!(feature = "aws-lc") {
        "SSL_CONF_cmd() is not available on this platform"
    } else {
        "SSL_CONF_cmd(\"foo\", \"bar\") failed (SSL: error:0A000182:SSL routines::unknown cmd name:cmd=foo)"
    };
    assert_eq!(mistake(&|options| options.conf_commands = vec![("foo".into(), "bar".into())]), refused);
}

/// The system's authorities know nothing of the test's.
#[tokio::test]
async fn without_a_file_the_system_is_asked() {
    let world = World::new();
    let connector = world.connector(|options| options.trusted_certificate = None);
    let expected = Err("! SSL certificate verify error: (20:unable to get local issuer certificate)".to_owned());
    assert_eq!(meet(&connector, &world.server(&["mail.example"]), "mail.example").await, expected);
}
