//! `ssl_certificate`, `ssl_certificate_key`, `ssl_password_file`.

use openssl::pkey::Id;
use openssl::symm::Cipher;

use super::{IMAP, certificate, wire_with};
use crate::harness::tls::Client;
use crate::harness::{Identity, Wanted};

#[test]
fn rsa_and_ecdsa_side_by_side() {
    let root = Identity::root("Root");
    let files = [Wanted::new("mail.test").rsa().by(&root).files("rsa"), Wanted::new("mail.test").by(&root).files("ec")];
    let server = |first, second| {
        format!(
            "server {{ listen @main@ ssl; protocol imap; ssl_protocols TLSv1.2 TLSv1.3; {} {} }}",
            certificate(first),
            certificate(second),
        )
    };
    for servers in [server("rsa", "ec"), server("ec", "rsa")] {
        let wire = wire_with(&files.concat(), &servers);
        for (client, key) in [
            (Client::new().signatures("ECDSA+SHA256:RSA-PSS+SHA256"), Id::EC),
            (Client::new().signatures("RSA-PSS+SHA256"), Id::RSA),
            (Client::new().ciphers("ECDHE-ECDSA-AES128-GCM-SHA256"), Id::EC),
            (Client::new().ciphers("ECDHE-RSA-AES128-GCM-SHA256"), Id::RSA),
            (Client::new().ciphers("AES128-SHA"), Id::RSA),
        ] {
            let mut client = wire.connect().tls(client.trusting(&root));
            assert_eq!(client.ssl().peer_certificate().unwrap().public_key().unwrap().id(), key);
            IMAP.greeted(&mut client);
        }
    }
}

#[test]
fn the_chain_in_the_file_is_sent() {
    let root = Identity::root("Root");
    let middle = Wanted::new("Middle").authority().by(&root);
    let mut files = Wanted::new("mail.test").by(&middle).files("chain");
    files[0].1.extend(middle.pem());
    let wire = wire_with(&files, &format!("server {{ listen @main@ ssl; protocol imap; {} }}", certificate("chain")));
    let mut client = wire.connect().tls(Client::new().trusting(&root));
    assert_eq!(client.ssl().peer_cert_chain().unwrap().len(), 2);
    IMAP.greeted(&mut client);
}

#[test]
fn encrypted_keys() {
    let identity = Wanted::new("mail.test").alone();
    let encrypted = identity.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"open sesame").unwrap();
    let files = [
        ("locked.crt".to_owned(), identity.pem()),
        ("locked.key".to_owned(), encrypted),
        ("passwords".to_owned(), b"wrong\nopen sesame\n".to_vec()),
    ];
    let certificate = certificate("locked");
    let wire = wire_with(
        &files,
        &format!("server {{ listen @main@ ssl; protocol imap; {certificate} ssl_password_file passwords; }}"),
    );
    IMAP.greeted(&mut wire.connect().tls(Client::new().trusting(&identity)));
}
