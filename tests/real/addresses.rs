//! The client's address on its way to the mail servers: XCLIENT, and PROXY protocol of both versions, in and out.

use crate::curl::curl;
use crate::mode::{Mode, in_all_modes};
use crate::process::Outcome;
use crate::proxy::{Proxy, Settings};
use crate::python::python;
use crate::site::{DOMAIN, PASSWORD};
use crate::subject;
use crate::swaks::swaks;

in_all_modes!(proxy_protocol_v1, proxy_protocol_v2, proxy_protocol_in, submission);

fn proxy_protocol_v1(mode: Mode) {
    proxy_protocol(Proxy::start(mode), "proxied");
}

fn proxy_protocol_v2(mode: Mode) {
    if subject::sends_v2() {
        proxy_protocol(Proxy::start_with(Settings { proxy_protocol: "v2", ..Settings::new(mode) }), "proxied2");
    }
}

/// Dovecot and Postfix close a connection without the header at once, so that a login shows that it came.
fn proxy_protocol(proxy: Proxy, user: &str) {
    let user = proxy.user(user);
    curl("imap", proxy.fronts.imap_proxied, "/", &user, &[]).success();
    curl("pop3", proxy.fronts.pop3_proxied, "/", &user, &[]).success();
    for service in ["imap-login", "pop3-login"] {
        proxy.assert_dovecot_login(service, &user, "127.0.0.7");
    }
    swaks(proxy.fronts.smtp_proxied, &format!("{user}@{DOMAIN}"), &login(&user)).success();
    let [copy] = <[_; 1]>::try_from(proxy.site.inbox(&user, 1)).unwrap();
    assert_trace(&copy, "from proxy.example.test (unknown [127.0.0.8])");
    assert_trace(&copy, &format!("(Authenticated sender: {user})"));
    proxy.site.postfix_logged(&["client=unknown[127.0.0.8]", "sasl_method=PLAIN", &format!("sasl_username={user}")]);
}

/// What a balancer in front says goes to the authentication server and to Dovecot.
fn proxy_protocol_in(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("behind");
    for (version, client) in [("1", "192.0.2.77"), ("2", "192.0.2.78")] {
        let address = proxy.fronts.imap_behind.to_string();
        python("check_proxied.py", &[&address, &user, PASSWORD, version, client]);
        proxy.assert_asked(&user, "plain", client);
        proxy.assert_dovecot_login("imap-login", &user, client);
    }
}

/// Dovecot wants a login of its own, and tells Postfix by XCLIENT what the proxy told it.
fn submission(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("submission");
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let login = ["--auth", mechanism, "--auth-user", &user, "--auth-password", PASSWORD];
        let text = succeeded(swaks(proxy.fronts.submission, &format!("{user}@{DOMAIN}"), &login));
        assert!(text.contains("235 2.0.0 OK"), "{text}");
    }
    proxy.assert_dovecot_login("submission-login", &user, "127.0.0.8");
    for copy in proxy.site.inbox(&user, 3) {
        assert_trace(&copy, "from swaks.example.test ([127.0.0.8])");
        assert_trace(&copy, "from mail.example.test (unknown [127.0.0.8])");
        assert_trace(&copy, &format!("(Authenticated sender: {user})"));
    }
}

/// Mail from elsewhere, with `smtp_auth none`: Postfix decides, by the client's address, and its refusals get through.
#[test]
fn inbound() {
    let proxy = Proxy::start(Mode::AuthHttp);
    let text = succeeded(swaks(proxy.fronts.inbound, "inbound@example.test", &[]));
    assert!(text.contains(" 250 2.1.5 Ok"), "{text}");
    let request = proxy.last_request("");
    for (header, value) in [
        ("auth-method", "none"),
        ("client-ip", "127.0.0.8"),
        ("client-host", "[UNAVAILABLE]"),
        ("auth-smtp-helo", "swaks.example.test"),
        ("auth-smtp-from", "MAIL FROM:<swaks@example.test>"),
        ("auth-smtp-to", "RCPT TO:<inbound@example.test>"),
    ] {
        assert_eq!(request.header(header), value, "{request:?}");
    }
    let [copy] = <[_; 1]>::try_from(proxy.site.inbox("inbound", 1)).unwrap();
    assert_trace(&copy, "from swaks.example.test (unknown [127.0.0.8])");
    for (recipient, refusal) in [
        ("nobody-here@example.test", "550 5.1.1 <nobody-here@example.test>: Recipient address rejected"),
        ("somebody@elsewhere.test", "554 5.7.1 <somebody@elsewhere.test>: Relay access denied"),
    ] {
        let outcome = swaks(proxy.fronts.inbound, recipient, &[]);
        assert_eq!(outcome.status, Some(24), "{}", outcome.text());
        assert!(outcome.text().contains(refusal), "{}", outcome.text());
        proxy.site.postfix_logged(&["NOQUEUE: reject: RCPT from unknown[127.0.0.8]", recipient]);
    }
}

fn login(user: &str) -> [&str; 6] {
    ["--auth", "PLAIN", "--auth-user", user, "--auth-password", PASSWORD]
}

#[track_caller]
fn succeeded(outcome: Outcome) -> String {
    String::from_utf8_lossy(&outcome.success()).into_owned()
}

#[track_caller]
fn assert_trace(message: &[u8], wanted: &str) {
    let text = String::from_utf8_lossy(message);
    assert!(text.contains(wanted), "no {wanted} in {text}");
}
