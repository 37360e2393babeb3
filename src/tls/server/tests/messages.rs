//! What is said of files and values that will not do: nginx's words (`nginx -t`, with OpenSSL 3.0).

use super::*;
use crate::tls::options::{KeyPair, VerifyClient};
use crate::tls::testing::comparable;
use gatepost_proto::Secret;
use openssl::symm::Cipher;
use std::path::PathBuf;

/// A mistake made in good options gives this message, in which `DIR` stands for the directory of files.
fn check(world: &World, mistake: impl FnOnce(&mut ServerOptions, &Files), expected: &str) {
    let mut options = world.options();
    mistake(&mut options, &world.files);
    let messages = Context::new(&options, Protocol::Imap, &Caches::default(), &Machine).unwrap_err();
    let directory = world.files.directory().to_str().unwrap();
    let messages: Vec<String> = messages.iter().map(|message| comparable(message)).collect();
    assert_eq!(messages, [comparable(&expected.replace("DIR", directory))]);
}

const MISSING: &str = "(SSL: error:80000002:system library::No such file or directory:calling fopen(DIR/none, r) \
                       error:10000080:BIO routines::no such file)";
const NO_CERTIFICATE: &str = "PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:\
                              Expecting: TRUSTED CERTIFICATE)";
const BROKEN: &str = "(SSL: error:068000A8:asn1 encoding routines::wrong tag error:0688010A:asn1 encoding routines::\
                      nested asn1 error:Type=X509 error:0488000D:PEM routines::ASN1 lib)";

fn broken_chain(files: &Files) -> PathBuf {
    let mut pem = std::fs::read(files.path("server.crt")).unwrap();
    pem.extend(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    files.write("broken", pem)
}

#[test]
fn certificates() {
    let world = World::new();
    let with = |path: PathBuf| move |options: &mut ServerOptions, _: &Files| options.certificates[0].certificate = path;
    let missing = format!("cannot load certificate \"DIR/none\": BIO_new_file() failed {MISSING}");
    check(&world, with(world.files.path("none")), &missing);
    let bad = world.files.write("bad", "garbage\n");
    check(&world, with(bad), &format!("cannot load certificate \"DIR/bad\": {NO_CERTIFICATE}"));
    let directory = world.files.directory().to_owned();
    check(&world, with(directory), &format!("cannot load certificate \"DIR\": {NO_CERTIFICATE}"));
    check(&world, with("data:foo".into()), &format!("cannot load certificate \"data:foo\": {NO_CERTIFICATE}"));
    let broken = format!("cannot load certificate \"DIR/broken\": PEM_read_bio_X509() failed {BROKEN}");
    check(&world, |options, files| options.certificates[0].certificate = broken_chain(files), &broken);
}

#[test]
fn keys() {
    let world = World::new();
    let with = |path: PathBuf| move |options: &mut ServerOptions, _: &Files| options.certificates[0].key = path;
    let missing = format!("cannot load certificate key \"DIR/none\": BIO_new_file() failed {MISSING}");
    check(&world, with(world.files.path("none")), &missing);
    check(
        &world,
        with(world.files.write("bad", "garbage\n")),
        "cannot load certificate key \"DIR/bad\": PEM_read_bio_PrivateKey() failed (SSL: error:1E08010C:DECODER \
         routines::unsupported:No supported data to decode. Input type: PEM)",
    );
    let other = world.authority.issue("other", 3);
    check(
        &world,
        with(world.files.pair("other", &other).key),
        "SSL_CTX_use_PrivateKey(\"DIR/other.key\") failed (SSL: error:05800074:x509 certificate routines::key values \
         mismatch)",
    );
}

#[test]
fn passwords_are_tried_one_after_the_other() {
    let world = World::new();
    let pem = world.server.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"secret").unwrap();
    let key = world.files.write("encrypted", pem);
    let with = |passwords: &[&str]| {
        let mut options = world.options();
        options.certificates[0].key = key.clone();
        options.passwords = passwords.iter().map(|password| Secret::new(password.as_bytes().to_vec())).collect();
        Context::new(&options, Protocol::Imap, &Caches::default(), &Machine).map(|_| ())
    };
    assert_eq!(with(&["secret"]), Ok(()));
    assert_eq!(with(&["wrong", "secret", "more"]), Ok(()));
    let refused = with(&["no", "wrong"]).unwrap_err().concat();
    let expected = format!(
        "cannot load certificate key \"{}\": PEM_read_bio_PrivateKey() failed (SSL: error:1C800064:Provider \
         routines::bad decrypt",
        key.display()
    );
    assert!(refused.starts_with(&comparable(&expected)), "{refused}");
}

#[test]
fn a_certificate_in_the_configuration_itself() {
    let world = World::new();
    let data = |bytes: Vec<u8>| PathBuf::from(format!("data:{}", String::from_utf8(bytes).unwrap()));
    let mut options = world.options();
    options.certificates = vec![KeyPair {
        certificate: data(world.server.certificate.to_pem().unwrap()),
        key: data(world.server.key.private_key_to_pem_pkcs8().unwrap()),
    }];
    assert!(Context::new(&options, Protocol::Imap, &Caches::default(), &Machine).is_ok());
}

#[test]
fn ciphers_and_key_exchange() {
    let world = World::new();
    check(
        &world,
        |options, _| options.ciphers = "NONE".into(),
        "SSL_CTX_set_cipher_list(\"NONE\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)",
    );
    check(
        &world,
        |options, _| options.ciphers = "NONE\0x".into(),
        "SSL_CTX_set_cipher_list(\"NONE\") failed (SSL: error:0A0000B9:SSL routines::no cipher match)",
    );
    check(
        &world,
        |options, _| options.ecdh_curve = "nocurve".into(),
        "SSL_CTX_set1_curves_list(\"nocurve\") failed (SSL: error:0A080106:SSL routines::passed invalid argument:\
         group 'nocurve' cannot be set)",
    );
    let missing = format!("BIO_new_file(\"DIR/none\") failed {MISSING}");
    check(&world, |options, files| options.dhparam = Some(files.path("none")), &missing);
    check(
        &world,
        |options, files| options.dhparam = Some(files.write("bad", "garbage\n")),
        "PEM_read_bio_DHparams(\"DIR/bad\") failed (SSL: error:0480006C:PEM routines::no start line:Expecting: DH \
         PARAMETERS)",
    );
}

#[cfg(not(feature = "aws-lc"))]
#[test]
fn configuration_commands() {
    let world = World::new();
    let with = |name: &str, value: &str| {
        let command = (name.to_owned(), value.to_owned());
        move |options: &mut ServerOptions, _: &Files| options.conf_commands.push(command)
    };
    check(
        &world,
        with("Foo", "bar"),
        "SSL_CONF_cmd(\"Foo\", \"bar\") failed (SSL: error:0A000182:SSL routines::unknown cmd name:cmd=Foo)",
    );
    check(
        &world,
        with("MinProtocol", "TLSv9"),
        "SSL_CONF_cmd(\"MinProtocol\", \"TLSv9\") failed (SSL: error:0A000180:SSL routines::bad value:\
         cmd=MinProtocol, value=TLSv9)",
    );
}

#[test]
fn client_verification() {
    let world = World::new();
    let no_authority = "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client";
    for verify in [VerifyClient::On, VerifyClient::Optional] {
        check(&world, |options, _| options.verify_client = verify, no_authority);
    }
    let with = |change: fn(&mut ServerOptions, &Files)| {
        move |options: &mut ServerOptions, files: &Files| {
            options.verify_client = VerifyClient::OptionalNoCa;
            change(options, files);
        }
    };
    check(
        &world,
        with(|options, files| options.client_certificate = Some(files.path("none"))),
        &format!("cannot load certificate \"DIR/none\": BIO_new_file() failed {MISSING}"),
    );
    check(
        &world,
        with(|options, files| options.trusted_certificate = Some(broken_chain(files))),
        &format!("cannot load certificate \"DIR/broken\": PEM_read_bio_X509_AUX() failed {BROKEN}"),
    );
    check(
        &world,
        with(|options, files| options.crl = Some(files.path("none"))),
        &format!("cannot load CRL \"DIR/none\": BIO_new_file() failed {MISSING}"),
    );
    check(
        &world,
        with(|options, _| options.crl = Some(options.certificates[0].certificate.clone())),
        "cannot load CRL \"DIR/server.crt\": PEM_read_bio_X509_CRL() failed (SSL: error:0480006C:PEM routines::no \
         start line:Expecting: X509 CRL)",
    );
}

#[test]
fn what_the_library_lacks_is_a_warning() {
    let world = World::new();
    let mut options = world.options();
    options.certificate_compression = true;
    let context = context(&options, &Caches::default());
    let lacking = openssl::version::number() < 0x3020_0000;
    let expected = "\"ssl_certificate_compression\" is not supported on this platform, ignored";
    assert_eq!(context.warnings().first().is_some_and(|warning| warning == expected), lacking);
}
