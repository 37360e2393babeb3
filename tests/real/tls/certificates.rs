//! The proxy's certificates, as openssl's and GnuTLS's own clients see them.

use super::dialogue::Dialogue;
use super::gate::{Block, CERTIFICATE, Gate};
use crate::front::Security;
use crate::site::pki::PROXY;
use crate::subject;

const VERIFIED: &str = "Verify return code: 0 (ok)";

/// Of two certificates, each client gets the one that it can use.
#[test]
fn by_what_the_client_can_do() {
    let mail = "ssl_certificate @pki@/proxy-rsa.crt; ssl_certificate_key @pki@/proxy-rsa.key;\n";
    let blocks = Block::all();
    let gate = Gate::start(&[mail, CERTIFICATE].concat(), &blocks);
    for (block, front) in blocks.iter().zip(&gate.fronts) {
        for (option, value, certificate) in [
            ("-sigalgs", "RSA-PSS+SHA256", "proxy-rsa"),
            ("-sigalgs", "ECDSA+SHA256", "proxy-ecdsa"),
            ("-cipher", "aRSA", "proxy-rsa"),
            ("-cipher", "aECDSA", "proxy-ecdsa"),
        ] {
            let version = if option == "-cipher" { "-tls1_2" } else { "-tls1_3" };
            let mut client = Dialogue::openssl(block.protocol, *front, &[version, option, value]);
            let text = client.expect(VERIFIED);
            assert!(text.contains(&format!("subject=CN = {certificate}\n")), "{block:?}, {value}: {text}");
            client.session(block.protocol, *front, "certificates");
        }
    }
}

/// Servers that share an address: by the name that the client asks for, in the three protocols; the first for others.
#[test]
fn by_the_name_that_the_client_asks_for() {
    if subject::is_nginx() {
        return;
    }
    let blocks: Vec<Block> = Block::all()
        .into_iter()
        .flat_map(|block| {
            let second = "server_name mail.example.test *.second.example.test; ssl_certificate @pki@/proxy-rsa.crt; \
                ssl_certificate_key @pki@/proxy-rsa.key;";
            [block.clone(), Block { shares: true, more: second.to_string(), ..block }]
        })
        .collect();
    let gate = Gate::start(CERTIFICATE, &blocks);
    for (block, front) in blocks.iter().zip(&gate.fronts).filter(|(block, _)| block.shares) {
        for (name, certificate) in [
            ("mail.example.test", "proxy-rsa"),
            ("any.second.example.test", "proxy-rsa"),
            (PROXY, "proxy-ecdsa"),
            ("unheard-of.example.test", "proxy-ecdsa"),
        ] {
            let mut client = Dialogue::openssl(block.protocol, *front, &["-servername", name]);
            let text = client.expect(VERIFIED);
            assert!(text.contains(&format!("subject=CN = {certificate}\n")), "{block:?}, {name}: {text}");
            client.session(block.protocol, *front, "certificates");
        }
    }
}

/// GnuTLS verifies the proxy by its name and by its address.
#[test]
fn gnutls() {
    let blocks = Block::all();
    let gate = Gate::start(CERTIFICATE, &blocks);
    for (block, front) in blocks.iter().zip(&gate.fronts) {
        for priority in ["NORMAL", "NORMAL:-VERS-ALL:+VERS-TLS1.2"] {
            let mut client = Dialogue::gnutls(block.protocol, *front, &["--priority", priority]);
            client.expect("The certificate is trusted.");
            client.session(block.protocol, *front, "gnutls");
        }
        if front.security == Security::Tls {
            let alpn = Dialogue::gnutls(block.protocol, *front, &["--alpn", "http/1.1"]).end();
            assert!(alpn.contains("No supported application protocol could be negotiated"), "{alpn}");
            let mut client = Dialogue::gnutls(block.protocol, *front, &["--alpn", block.protocol]);
            client.expect(&format!("- Application protocol: {}", block.protocol));
        }
    }
}
