//! What only OpenSSL has: `ssl_dhparam`, `ssl_conf_command`, ciphers without encryption or certificate.

use openssl::bn::BigNum;
use openssl::dh::Dh;

use super::versions::greeted;
use super::{IMAP, certificate, wire_with};
use crate::harness::tls::Client;
use crate::harness::{Conn, Wanted};

/// The 2048-bit group of RFC 3526.
fn dhparam() -> Vec<u8> {
    let prime = BigNum::get_rfc3526_prime_2048().unwrap();
    let dh = Dh::from_pqg(prime, None, BigNum::from_u32(2).unwrap()).unwrap();
    dh.params_to_pem().unwrap()
}

#[test]
fn finite_field_diffie_hellman_needs_parameters() {
    let mut files = Wanted::new("mail.test").rsa().alone().files("rsa");
    files.push(("dh.pem".to_owned(), dhparam()));
    let certificate = certificate("rsa");
    let wire = wire_with(
        &files,
        &format!(
            "server {{ listen @main@ ssl; protocol imap; {certificate} ssl_dhparam dh.pem; }}
             server {{ listen @without@ ssl; protocol imap; {certificate} }}"
        ),
    );
    let client = || Client::new().ciphers("DHE-RSA-AES128-GCM-SHA256");
    let with = greeted(&wire, client()).unwrap();
    assert_eq!(with.ssl().peer_tmp_key().unwrap().bits(), 2048);
    assert!(Conn::connect(wire.place("without")).try_tls(client()).is_err());
}

#[test]
fn commands_for_the_library() {
    let wire = IMAP.implicit(
        "ssl_protocols TLSv1.3;
         ssl_conf_command Options -SessionTicket; ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;",
    );
    let client = greeted(&wire, Client::new()).unwrap();
    assert_eq!(client.ssl().current_cipher().unwrap().name(), "TLS_CHACHA20_POLY1305_SHA256");
}

#[test]
fn by_default_no_cipher_is_null_or_anonymous() {
    let wire = IMAP.implicit("");
    for cipher in ["ECDHE-ECDSA-NULL-SHA", "AECDH-AES128-SHA", "ADH-AES128-SHA"] {
        assert!(greeted(&wire, Client::new().ciphers(cipher)).is_err(), "{cipher}");
    }
}
