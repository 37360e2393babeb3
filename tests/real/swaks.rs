//! swaks: SMTP, told in full.

use std::process::Command;

use crate::front::{Front, authorities};
use crate::mode::{Mode, in_all_modes, with_all_logins};
use crate::process::{Outcome, run};
use crate::proxy::Proxy;
use crate::site::{DOMAIN, PASSWORD};

/// Where swaks comes from in these tests.
const CLIENT: &str = "127.0.0.8";

in_all_modes!(mechanisms);
with_all_logins!(wrong_password, relaying_needs_a_login);

fn mechanisms(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("swaks");
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let login = ["--auth", mechanism, "--auth-user", &user, "--auth-password", PASSWORD];
        let text = swaks(proxy.fronts.smtp, &format!("{user}@{DOMAIN}"), &login).text();
        assert!(text.contains("235 2.0.0 OK"), "{text}");
        assert!(text.contains(" 250 2.0.0 Ok: queued as "), "{text}");
    }
    for copy in proxy.site.inbox(&user, 3) {
        let copy = String::from_utf8(copy).unwrap();
        assert!(copy.contains("from swaks.example.test (unknown [127.0.0.8])"), "{copy}");
        assert!(copy.contains(&format!("(Authenticated sender: {user})")), "{copy}");
        assert!(copy.trim_end().ends_with("\r\n\r\none\r\n..two\r\n.\r\nlast"), "{copy}");
    }
    let client = format!("client=unknown[{CLIENT}]");
    proxy.site.postfix_logged(&[&client, "sasl_method=XCLIENT", &format!("sasl_username={user}")]);
}

fn wrong_password(mode: Mode) {
    let proxy = Proxy::start(mode);
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let login = ["--auth", mechanism, "--auth-user", "swaks", "--auth-password", "wrong"];
        let outcome = swaks(proxy.fronts.smtp, "swaks@example.test", &login);
        assert_eq!(outcome.status, Some(28), "swaks was not denied: {}", outcome.text());
        assert!(outcome.text().contains("535 5.7.0"), "{}", outcome.text());
    }
}

/// Postfix relays for whom XCLIENT names, and the proxy lets nobody through without a login.
fn relaying_needs_a_login(mode: Mode) {
    let proxy = Proxy::start(mode);
    let outcome = swaks(proxy.fronts.smtp, "somebody@elsewhere.test", &[]);
    assert_eq!(outcome.status, Some(23), "MAIL was not refused: {}", outcome.text());
    assert!(outcome.text().contains("530 5.7.1 Authentication required"), "{}", outcome.text());
    let stop = ["--quit-after", "RCPT", "--auth", "PLAIN", "--auth-user", "swaks", "--auth-password", PASSWORD];
    let outcome = swaks(proxy.fronts.smtp, "somebody@elsewhere.test", &stop);
    assert_eq!(outcome.status, Some(0), "{}", outcome.text());
}

/// Sends a short message from [`CLIENT`].
pub(crate) fn swaks(front: Front, to: &str, arguments: &[&str]) -> Outcome {
    let (host, port) = (front.address.ip().to_string(), front.address.port().to_string());
    let mut command = Command::new("swaks");
    command.args(["--server", &host, "--port", &port, "--local-interface", CLIENT, "--timeout", "60"]);
    command.args(["--helo", "swaks.example.test", "--from", "swaks@example.test", "--to", to]);
    command.args(["--header", "Subject: by swaks", "--body", "one\n..two\n.\nlast"]);
    let authorities = authorities();
    let verify = |option: &'static str| vec![option, "--tls-verify", "--tls-ca-path", &authorities];
    command.args(front.choose(vec![], verify("--tls-on-connect"), verify("--tls")));
    run(command.args(arguments), b"")
}
