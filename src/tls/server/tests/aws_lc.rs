//! What AWS-LC lacks is told, and what it does without being asked.

use super::*;
use openssl::bn::BigNum;
use openssl::dh::Dh;
use openssl::ssl::SslVersion;

fn refusal(options: &ServerOptions) -> String {
    Context::new(options, Protocol::Imap, &Caches::default(), &Machine).unwrap_err().join("\n")
}

#[test]
fn what_the_library_lacks_is_refused() {
    let world = World::new();
    let mut options = world.options();
    let (prime, two) = (BigNum::get_rfc3526_prime_2048().unwrap(), BigNum::from_u32(2).unwrap());
    let parameters = Dh::from_pqg(prime, None, two).unwrap().params_to_pem().unwrap();
    options.dhparam = Some(world.files.write("dh", parameters));
    assert_eq!(refusal(&options), "\"ssl_dhparam\" is not supported on this platform");
    let mut options = world.options();
    options.conf_commands.push(("Ciphersuites".into(), "TLS_CHACHA20_POLY1305_SHA256".into()));
    assert_eq!(refusal(&options), "SSL_CONF_cmd() is not available on this platform");
    let mut options = world.options();
    options.ciphers = "HIGH:@SECLEVEL=0".into();
    assert!(refusal(&options).starts_with("SSL_CTX_set_cipher_list(\"HIGH:@SECLEVEL=0\") failed (SSL: error:"));
}

#[tokio::test]
async fn old_versions_need_no_security_level() {
    let world = World::new();
    let mut options = world.options();
    options.protocols.tlsv1 = true;
    let client = Client::new().with(|client| {
        client.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
        client.set_max_proto_version(Some(SslVersion::TLS1)).unwrap();
    });
    assert_eq!(client.connect(&entrance(&options)).await.server.ssl().version_str(), "TLSv1");
}
