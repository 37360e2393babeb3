//! Sessions that clients resume: by tickets, and from the proxy's cache.

use super::dialogue::Dialogue;
use super::gate::{Block, CERTIFICATE, Gate};
use crate::front::{Front, Security};

const TICKETS: &str = "ssl_session_tickets on;\n";
const CACHE: &str = "ssl_session_tickets off; ssl_session_cache shared:real:1m;\n";

#[test]
fn by_ticket() {
    resumes(TICKETS, "-tls1_3");
    resumes(TICKETS, "-tls1_2");
}

#[test]
fn from_the_cache() {
    resumes(CACHE, "-tls1_2");
    // AWS-LC keeps sessions of TLS 1.3 in tickets only.
    if !cfg!(feature = "aws-lc") {
        resumes(CACHE, "-tls1_3");
    }
}

fn resumes(mail: &str, version: &str) {
    let blocks = Block::all();
    let gate = Gate::start(&[CERTIFICATE, mail].concat(), &blocks);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("session");
    let file = file.to_str().unwrap();
    for (block, front) in blocks.iter().zip(&gate.fronts) {
        let first = connect(block.protocol, *front, &[version, "-sess_out", file]);
        assert!(first.contains("\nNew, "), "{block:?}: {first}");
        let second = connect(block.protocol, *front, &[version, "-sess_in", file]);
        assert!(second.contains("\nReused, "), "{block:?}: {second}");
        if front.security == Security::Tls && version == "-tls1_2" {
            reconnects(block.protocol, *front);
        }
    }
}

/// A whole session; returns what the client said of the connection.
fn connect(protocol: &str, front: Front, arguments: &[&str]) -> String {
    let mut client = Dialogue::openssl(protocol, front, arguments);
    let text = client.expect("Verify return code: 0 (ok)");
    client.session(protocol, front, "resumption");
    client.end();
    text
}

/// s_client's own test: five connections more.
fn reconnects(protocol: &str, front: Front) {
    let mut client = Dialogue::openssl(protocol, front, &["-tls1_2", "-reconnect"]);
    for _ in 0..5 {
        client.expect("\nReused, TLSv1.2");
    }
    client.expect("Verify return code: 0 (ok)");
    client.session(protocol, front, "resumption");
}
