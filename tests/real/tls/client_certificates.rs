//! Clients that prove themselves with a certificate, and log in by EXTERNAL.

use std::process::Command;

use super::dialogue::Dialogue;
use super::gate::{Block, CERTIFICATE, Gate};
use crate::front::Front;
use crate::process::run;

const USER: &str = "external";
const VERIFY: &str = "ssl_verify_client on; ssl_client_certificate @pki@/root.crt; ssl_crl @pki@/root.crl;\n\
    auth_http_pass_client_cert on; imap_auth external; pop3_auth external; smtp_auth external;\n";

/// What the authentication server is told is what openssl says of the certificate.
#[test]
fn external() {
    let (gate, blocks) = start();
    let certificate = gate.site.pki.file("external.crt");
    let fingerprint = told(&certificate, "-fingerprint").to_ascii_lowercase().replace(':', "");
    let serial = told(&certificate, "-serial");
    for (block, front) in blocks.iter().zip(&gate.fronts) {
        let mut client = client(&gate, block, *front, USER);
        client.expect("Verify return code: 0 (ok)");
        log_in(&mut client, block.protocol);
        let request = gate.auth.requests(USER).pop().unwrap();
        for (header, value) in [
            ("auth-method", "external"),
            ("auth-protocol", block.protocol),
            ("auth-ssl", "on"),
            ("auth-ssl-protocol", "TLSv1.3"),
            ("auth-ssl-verify", "SUCCESS"),
            ("auth-ssl-subject", "CN=external"),
            ("auth-ssl-issuer", "CN=root authority"),
            ("auth-ssl-serial", &serial),
            ("auth-ssl-fingerprint", &fingerprint),
        ] {
            assert_eq!(request.header(header), value, "{request:?}");
        }
        assert!(request.header("auth-ssl-cipher").starts_with("TLS_AES_"), "{request:?}");
        let passed = request.header("auth-ssl-cert").replace("%0A", "\n").replace("%20", " ");
        let passed = passed.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        assert_eq!(passed, std::fs::read_to_string(&certificate).unwrap());
    }
}

/// Without a certificate, with one that was revoked, and with one of another authority: no login, whatever they say.
#[test]
fn refused() {
    let (gate, blocks) = start();
    for (block, front) in blocks.iter().zip(&gate.fronts) {
        let missing = Dialogue::openssl(block.protocol, *front, &[]).end();
        assert!(missing.contains("No required SSL certificate"), "{block:?}: {missing}");
        for name in ["former", "stranger"] {
            let bad = client(&gate, block, *front, name).end();
            assert!(bad.contains("SSL certificate error"), "{block:?}, {name}: {bad}");
        }
    }
    gate.instance.logged(&["client SSL certificate verify error: (23:certificate revoked)"]);
    gate.instance.logged(&["client SSL certificate verify error: (21:"]);
    gate.instance.logged(&["client sent no required SSL certificate"]);
    assert!(gate.auth.requests("").is_empty() && gate.auth.requests(USER).is_empty());
}

fn start() -> (Gate, Vec<Block>) {
    let blocks = Block::all();
    (Gate::start(&[CERTIFICATE, VERIFY].concat(), &blocks), blocks)
}

fn client(gate: &Gate, block: &Block, front: Front, name: &str) -> Dialogue {
    let [certificate, key] = ["crt", "key"].map(|suffix| gate.site.pki.file(&format!("{name}.{suffix}")));
    Dialogue::openssl(block.protocol, front, &["-cert", &certificate, "-key", &key])
}

/// EXTERNAL with the user's name, in base64.
#[track_caller]
fn log_in(client: &mut Dialogue, protocol: &str) {
    const NAME: &str = "ZXh0ZXJuYWw=";
    let (line, prompt, answer) = match protocol {
        "imap" => ("a AUTHENTICATE EXTERNAL", "+ ", "a OK"),
        "pop3" => ("AUTH EXTERNAL", "+ ", "+OK"),
        _ => ("AUTH EXTERNAL", "334 ", "235 2.0.0 OK"),
    };
    if protocol == "smtp" {
        client.send("EHLO client.example.test");
        client.expect("AUTH EXTERNAL");
    }
    client.send(line);
    client.expect(prompt);
    client.send(NAME);
    client.expect(answer);
}

/// What `openssl x509` says, behind the `=`.
fn told(certificate: &str, what: &str) -> String {
    let output =
        run(Command::new("openssl").args(["x509", "-noout", "-sha1", what, "-in", certificate]), b"").success();
    let text = String::from_utf8(output).unwrap();
    text.trim().split_once('=').expect("openssl says name=value").1.to_string()
}
