//! ALPN: `imap`, `pop3` and `smtp` (RFC 7301 and the registry of protocol IDs).

use super::{IMAP, PROTOCOLS};
use crate::harness::tls::Client;

#[test]
fn each_protocol_has_its_name() {
    for talk in PROTOCOLS {
        let wire = talk.implicit("");
        for offer in [&[talk.name][..], &["h2", talk.name, "http/1.1"]] {
            let mut client = wire.connect().tls(Client::new().alpn(offer));
            assert_eq!(client.ssl().selected_alpn_protocol(), Some(talk.name.as_bytes()));
            talk.greeted(&mut client);
        }
    }
}

#[test]
fn a_client_that_offers_nothing_is_welcome() {
    for talk in PROTOCOLS {
        let wire = talk.implicit("");
        let mut client = wire.connect().tls(Client::new());
        assert_eq!(client.ssl().selected_alpn_protocol(), None);
        talk.greeted(&mut client);
    }
}

#[test]
fn a_client_that_offers_only_others_gets_alert_120() {
    for talk in PROTOCOLS {
        let wire = talk.implicit("");
        let others = PROTOCOLS.map(|other| other.name).into_iter().filter(|name| *name != talk.name);
        let others: Vec<&str> = others.chain(["h2"]).collect();
        let Err(why) = wire.connect().try_tls(Client::new().alpn(&others)) else { panic!("it was accepted") };
        assert!(why.contains("alert number 120"), "{why}");
    }
}

#[test]
fn starttls_has_it_too() {
    for talk in PROTOCOLS {
        let wire = talk.plain("starttls on;");
        let client = talk.at_starttls(&wire).tls(Client::new().alpn(&[talk.name]));
        assert_eq!(client.ssl().selected_alpn_protocol(), Some(talk.name.as_bytes()));
        assert!(talk.at_starttls(&wire).try_tls(Client::new().alpn(&["h2"])).is_err());
    }
}

#[test]
fn what_the_log_says_of_a_wrong_offer() {
    let wire = IMAP.implicit("");
    assert!(wire.connect().try_tls(Client::new().alpn(&["h2"])).is_err());
    let line = wire.await_log("SSL_do_handshake() failed");
    assert!(line.contains("[info]") && line.contains("while SSL handshaking"), "{line}");
}
