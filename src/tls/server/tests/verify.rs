//! Client certificates, and what is told of them.

use super::*;
use crate::tls::facts::Facts;
use crate::tls::options::VerifyClient;
use crate::tls::server::{CertificateRefusal, check_client_certificate};
use crate::tls::testing::revocation_list;

impl World {
    fn verifying(&self, verify_client: VerifyClient) -> ServerOptions {
        let root = self.files.certificates("root.crt", &[&self.authority.certificate]);
        ServerOptions { verify_client, client_certificate: Some(root), ..self.options() }
    }
}

/// What becomes of a client: its refusal, or the words for `Auth-SSL-Verify`.
async fn outcome(options: &ServerOptions, client: Client) -> Result<String, String> {
    let meeting = client.connect(&entrance(options)).await;
    check_client_certificate(&meeting.server, options.verify_client).map_err(|refusal| refusal.to_string())?;
    Ok(Facts::of(meeting.server.ssl(), true, false).for_request().verify.to_owned())
}

const MISSING: &str = "client sent no required SSL certificate";
const UNKNOWN: &str = "FAILED:unable to verify the first certificate";

#[tokio::test]
async fn who_gets_in() {
    let world = World::new();
    let good = world.authority.issue("good", 3);
    let foreign = Authority::new("Other").issue("foreign", 3);
    let expired = world.authority.issue_expired("expired", 4);
    let unknown = Err("client SSL certificate verify error: (21:unable to verify the first certificate)".to_owned());
    let too_old = Err("client SSL certificate verify error: (10:certificate has expired)".to_owned());
    let ok = |verify: &str| Ok::<_, String>(verify.to_owned());
    for (verify, none, stranger) in [
        (VerifyClient::On, Err(MISSING.to_owned()), unknown.clone()),
        (VerifyClient::Optional, ok("NONE"), unknown.clone()),
        (VerifyClient::OptionalNoCa, ok("NONE"), ok(UNKNOWN)),
    ] {
        let options = world.verifying(verify);
        assert_eq!(outcome(&options, Client::new()).await, none, "{verify:?}");
        assert_eq!(outcome(&options, Client::new().identity(&good)).await, ok("SUCCESS"), "{verify:?}");
        assert_eq!(outcome(&options, Client::new().identity(&foreign)).await, stranger, "{verify:?}");
        assert_eq!(outcome(&options, Client::new().identity(&expired)).await, too_old, "{verify:?}");
    }
    let off = world.options();
    assert_eq!(outcome(&off, Client::new().identity(&foreign)).await, ok("NONE"), "it is not even asked for");
}

#[tokio::test]
async fn trusted_authorities_without_being_named() {
    let world = World::new();
    let mut options = world.verifying(VerifyClient::On);
    options.trusted_certificate = options.client_certificate.take();
    let good = world.authority.issue("good", 3);
    assert_eq!(outcome(&options, Client::new().identity(&good)).await.unwrap(), "SUCCESS");
}

#[tokio::test]
async fn the_depth_of_the_chain_is_limited() {
    let world = World::new();
    let middle = world.authority.authority("Middle", 5);
    let low = middle.authority("Low", 6);
    let leaf = low.issue("leaf", 7);
    let client = || {
        Client::new().identity(&leaf).with(|client| {
            for issuer in [&low, &middle] {
                client.add_extra_chain_cert(issuer.certificate.clone()).unwrap();
            }
        })
    };
    let mut options = world.verifying(VerifyClient::On);
    let refused = outcome(&options, client()).await.unwrap_err();
    assert!(refused.starts_with("client SSL certificate verify error: "), "{refused}");
    options.verify_depth = 3;
    assert_eq!(outcome(&options, client()).await.unwrap(), "SUCCESS");
}

#[tokio::test]
async fn revoked_certificates() {
    let world = World::new();
    let mut options = world.verifying(VerifyClient::OptionalNoCa);
    options.crl = Some(world.files.write("crl", revocation_list(&world.authority, &[4])));
    let (good, revoked) = (world.authority.issue("good", 3), world.authority.issue("revoked", 4));
    assert_eq!(outcome(&options, Client::new().identity(&good)).await.unwrap(), "SUCCESS");
    let refused = outcome(&options, Client::new().identity(&revoked)).await.unwrap_err();
    assert_eq!(refused, "client SSL certificate verify error: (23:certificate revoked)");
}

#[tokio::test]
async fn a_refused_session_is_not_resumed() {
    let world = World::new();
    let foreign = Authority::new("Other").issue("foreign", 3);
    let mut options = world.verifying(VerifyClient::On);
    options.session_tickets = false;
    options.session_cache.builtin = Some(10);
    let entrance = entrance(&options);
    let client = || {
        let identity = Client::new().identity(&foreign);
        identity.with(|client| client.set_max_proto_version(Some(openssl::ssl::SslVersion::TLS1_2)).unwrap())
    };
    let meeting = client().connect(&entrance).await;
    let refusal = check_client_certificate(&meeting.server, VerifyClient::On).unwrap_err();
    assert!(matches!(refusal, CertificateRefusal::Bad(_)));
    let session = meeting.session().await;
    assert!(!client().resuming(&session).connect(&entrance).await.resumed());
}

#[tokio::test]
async fn what_is_told_of_a_certificate() {
    let world = World::new();
    let client = world.authority.issue("Jos\u{e9}, \"x\"\r\nAuth-User: y", 0xabc);
    let options = world.verifying(VerifyClient::On);
    let meeting = Client::new().identity(&client).connect(&entrance(&options)).await;
    let told = Facts::of(meeting.server.ssl(), true, true);
    let told = told.for_request();
    let cipher = meeting.client.ssl().current_cipher().unwrap().name();
    assert_eq!((told.protocol, told.cipher, told.verify), ("TLSv1.3", cipher, "SUCCESS"));
    assert_eq!(told.subject, "CN=Jos\\C3\\A9\\, \\\"x\\\"\\0D\\0AAuth-User: y,O=Gatepost");
    assert_eq!((told.issuer, told.serial), ("CN=Root,O=Gatepost", "0ABC"));
    let digest = client.certificate.digest(openssl::hash::MessageDigest::sha1()).unwrap();
    assert_eq!(told.fingerprint, digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    assert_eq!(told.certificate.as_bytes(), client.certificate.to_pem().unwrap());
    assert_eq!(Facts::of(meeting.server.ssl(), true, false).for_request().certificate, "");
    let unasked = Facts::of(meeting.server.ssl(), false, true);
    assert_eq!((unasked.for_request().verify, unasked.for_request().certificate), ("", ""));
}

#[tokio::test]
async fn a_long_serial_number_stays_on_its_line() {
    let world = World::new();
    let serial = "41".repeat(60);
    let client = world.authority.issue_numbered("long", &serial);
    let options = world.verifying(VerifyClient::OptionalNoCa);
    let meeting = Client::new().identity(&client).connect(&entrance(&options)).await;
    assert_eq!(Facts::of(meeting.server.ssl(), true, false).for_request().serial, serial);
}
