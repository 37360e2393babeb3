//! `ssl_protocols`, `ssl_ciphers`, `ssl_prefer_server_ciphers`, `ssl_ecdh_curve`.

use openssl::ssl::SslVersion;

use super::{IMAP, PROTOCOLS, VERSIONS, wire};
use crate::harness::tls::Client;
use crate::harness::{Conn, Wire, since};

/// Lowers the security level that OpenSSL 3 has, and AWS-LC has not, for the versions before 1.2, whose signatures are SHA-1.
const OLD: &str = if cfg!(feature = "aws-lc") { "" } else { "ssl_ciphers ALL:@SECLEVEL=0;" };

/// A client that has been greeted, or why not.
pub(super) fn greeted(wire: &Wire, client: Client) -> Result<Conn, String> {
    let mut conn = wire.connect().try_tls(client)?;
    IMAP.greeted(&mut conn);
    Ok(conn)
}

#[test]
fn each_version_by_itself() {
    for (name, version) in VERSIONS {
        let wire = IMAP.implicit(&format!("ssl_protocols {name}; {OLD}"));
        for (other_name, other) in VERSIONS {
            let result = greeted(&wire, Client::new().version(other));
            assert_eq!(result.is_ok(), other == version, "{other_name} where there is {name}");
        }
    }
}

#[test]
fn the_best_version_is_taken() {
    let wire = IMAP.implicit(&format!("ssl_protocols TLSv1 TLSv1.1 TLSv1.2; {OLD}"));
    assert_eq!(greeted(&wire, Client::new()).unwrap().ssl().version_str(), "TLSv1.2");
}

#[test]
fn the_default_is_1_2_and_1_3() {
    if !since(1, 23, 4) {
        return;
    }
    let wire = IMAP.implicit("");
    for (name, version) in VERSIONS {
        let result = greeted(&wire, Client::new().version(version));
        assert_eq!(result.is_ok(), name == "TLSv1.2" || name == "TLSv1.3", "{name}");
    }
}

#[test]
fn a_version_that_is_missing_is_named_by_the_alert() {
    let wire = IMAP.implicit("ssl_protocols TLSv1.3;");
    let Err(why) = greeted(&wire, Client::new().version(SslVersion::TLS1_2)) else { panic!("it was accepted") };
    assert!(why.contains("alert number 70"), "{why}");
}

#[test]
fn the_auth_server_is_told_version_and_cipher() {
    if !since(1, 21, 2) {
        return;
    }
    for talk in PROTOCOLS {
        let wire = talk.implicit("ssl_protocols TLSv1.2 TLSv1.3;");
        for (version, cipher) in
            [(SslVersion::TLS1_2, Some("ECDHE-ECDSA-AES128-GCM-SHA256")), (SslVersion::TLS1_3, None)]
        {
            let client = Client::new().ciphers("ECDHE-ECDSA-AES128-GCM-SHA256").version(version);
            let mut client = wire.connect().tls(client);
            let agreed = client.ssl().current_cipher().unwrap().name();
            assert_eq!(agreed, cipher.unwrap_or(agreed));
            talk.greeted(&mut client).send(talk.login);
            let host = if talk.name == "smtp" { "Client-Host: [UNAVAILABLE]\r\n" } else { "" };
            wire.auth.request().expect(format!(
                "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: u\r\nAuth-Pass: p\r\n\
                 Auth-Protocol: {}\r\nAuth-Login-Attempt: 1\r\nClient-IP: 127.0.0.1\r\n{host}\
                 Auth-SSL: on\r\nAuth-SSL-Protocol: {}\r\nAuth-SSL-Cipher: {agreed}\r\n\r\n",
                talk.name,
                client.ssl().version_str(),
            ));
        }
    }
}

#[test]
fn the_auth_server_is_told_of_starttls_too() {
    for talk in PROTOCOLS {
        let wire = talk.plain("starttls on;");
        let mut client = talk.at_starttls(&wire).tls(Client::new());
        client.send(talk.login);
        let request = wire.auth.request();
        assert_eq!(request.header("Auth-SSL").as_deref(), Some("on"));
        let mut client = wire.client();
        client.send(talk.login);
        assert_eq!(wire.auth.request().header("Auth-SSL"), None);
    }
}

#[test]
fn only_the_configured_ciphers() {
    let wire =
        IMAP.implicit("ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA;");
    for (cipher, taken) in [
        ("ECDHE-ECDSA-AES256-GCM-SHA384", true),
        ("ECDHE-ECDSA-AES128-SHA", true),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", false),
    ] {
        assert_eq!(greeted(&wire, Client::new().ciphers(cipher)).is_ok(), taken, "{cipher}");
    }
}

#[test]
fn whose_order_of_ciphers_counts() {
    let ciphers = "ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256;";
    let clients = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
    for (value, chosen) in [("on", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("off", "ECDHE-ECDSA-AES128-GCM-SHA256")] {
        let wire = IMAP.implicit(&format!("{ciphers} ssl_prefer_server_ciphers {value};"));
        let client = greeted(&wire, Client::new().ciphers(clients)).unwrap();
        assert_eq!(client.ssl().current_cipher().unwrap().name(), chosen, "ssl_prefer_server_ciphers {value}");
    }
}

#[test]
fn only_the_configured_curves() {
    let wire = IMAP.implicit("ssl_protocols TLSv1.3; ssl_ecdh_curve secp384r1:X25519;");
    for (group, taken) in [("P-384", true), ("X25519", true), ("P-256", false)] {
        assert_eq!(greeted(&wire, Client::new().groups(group)).is_ok(), taken, "{group}");
    }
}

#[test]
fn by_default_the_library_chooses_the_curves() {
    let wire = IMAP.implicit("ssl_protocols TLSv1.3;");
    for group in ["X25519", "P-256", "P-384"] {
        assert!(greeted(&wire, Client::new().groups(group)).is_ok(), "{group}");
    }
}

#[test]
fn servers_of_one_configuration_have_their_own_settings() {
    let wire = wire(
        "ssl_protocols TLSv1.3;
         server { listen @main@ ssl; protocol imap; }
         server { listen @older@ ssl; protocol imap; ssl_protocols TLSv1.2; }",
    );
    assert_eq!(greeted(&wire, Client::new()).unwrap().ssl().version_str(), "TLSv1.3");
    let older = Conn::connect(wire.place("older")).tls(Client::new());
    assert_eq!(older.ssl().version_str(), "TLSv1.2");
}
