//! curl: IMAP, POP3 and SMTP by every mechanism it has.

use std::path::Path;
use std::process::Command;
use std::thread;

use crate::front::{Front, Security, authorities};
use crate::messages::{assert_delivered, assert_same, message};
use crate::mode::{Mode, in_all_modes, with_all_logins};
use crate::process::{Outcome, run};
use crate::proxy::Proxy;
use crate::site::pki::PROXY;
use crate::site::{AWKWARD_USER, DOMAIN, password_of};

/// Where curl comes from in these tests.
const CLIENT: &str = "127.0.0.7";

in_all_modes!(imap, pop3, smtp);
with_all_logins!(awkward_password, wrong_password);

fn imap(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("curl");
    let files = tempfile::tempdir().unwrap();
    let methods =
        [("AUTH=PLAIN", "plain"), ("AUTH=LOGIN", "plain"), ("AUTH=CRAM-MD5", "cram-md5"), ("AUTH=*", "plain")];
    for (number, (option, method)) in (1..).zip(methods) {
        let file = write(files.path(), &message(number));
        let login = ["--login-options", option, "--sasl-ir"];
        // Every other login without an initial response.
        let login = &login[..2 + number % 2];
        curl("imap", proxy.fronts.imap, "/INBOX", &user, &[login, &["-T", &file]].concat()).success();
        if option != "AUTH=*" {
            proxy.assert_asked(&user, method, CLIENT);
        }
        let copy = curl("imap", proxy.fronts.imap, &format!("/INBOX;MAILINDEX={number}"), &user, login).success();
        assert_same(&copy, &message(number));
    }
    proxy.assert_dovecot_login("imap-login", &user, "127.0.0.1");
}

fn pop3(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("poplib");
    let methods =
        [("AUTH=+APOP", "apop"), ("AUTH=CRAM-MD5", "cram-md5"), ("AUTH=PLAIN", "plain"), ("AUTH=LOGIN", "plain")];
    for (option, method) in methods {
        curl("pop3", proxy.fronts.pop3, "/", &user, &["--login-options", option]).success();
        proxy.assert_asked(&user, method, CLIENT);
    }
    proxy.assert_dovecot_login("pop3-login", &user, "127.0.0.1");
}

fn smtp(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("curlsmtp");
    let files = tempfile::tempdir().unwrap();
    let methods = [("AUTH=PLAIN", "plain"), ("AUTH=LOGIN", "plain"), ("AUTH=CRAM-MD5", "cram-md5")];
    for (number, (option, method)) in (1..).zip(methods) {
        let file = write(files.path(), &message(number));
        let (from, to) = (format!("{user}@{DOMAIN}"), format!("{user}@{DOMAIN}"));
        let envelope = ["--mail-from", &from, "--mail-rcpt", &to, "-T", &file, "--login-options", option];
        curl("smtp", proxy.fronts.smtp, "/client.example.test", &user, &envelope).success();
        proxy.assert_asked(&user, method, CLIENT);
        let inbox = proxy.site.inbox(&user, number);
        let copy = inbox.iter().find(|copy| copy.ends_with(&message(number)));
        let copy = copy.unwrap_or_else(|| panic!("message {number} came otherwise than it was sent"));
        assert_delivered(copy, &message(number));
        let trace = String::from_utf8_lossy(&copy[..copy.len() - message(number).len()]).into_owned();
        assert!(trace.contains("from client.example.test (unknown [127.0.0.7])"), "{trace}");
        assert!(trace.contains(&format!("(Authenticated sender: {user})")), "{trace}");
    }
    proxy.site.postfix_logged(&[&format!("client=unknown[{CLIENT}]"), &format!("sasl_username={user}")]);
}

fn awkward_password(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user(AWKWARD_USER);
    for option in ["AUTH=PLAIN", "AUTH=LOGIN", "AUTH=CRAM-MD5"] {
        let login = ["--login-options", option];
        curl("imap", proxy.fronts.imap, "/", &user, &login).success();
        curl("pop3", proxy.fronts.pop3, "/", &user, &login).success();
        let envelope = ["--mail-from", "a@example.test", "--mail-rcpt", "inbound@example.test", "-X", "NOOP"];
        curl("smtp", proxy.fronts.smtp, "/", &user, &[&login[..], &envelope].concat()).success();
    }
    curl("pop3", proxy.fronts.pop3, "/", &user, &["--login-options", "AUTH=+APOP"]).success();
}

fn wrong_password(mode: Mode) {
    let proxy = Proxy::start(mode);
    let fronts = proxy.fronts;
    let servers = [("imap", fronts.imap), ("pop3", fronts.pop3), ("smtp", fronts.smtp)];
    let denied = |protocol: &str, front: Front, option: &str| {
        let mut command = command(protocol, front, "/");
        command.args(["-u", "curl:wrong", "--login-options", option]);
        let outcome = run(&mut command, b"");
        assert_eq!(outcome.status, Some(67), "curl was not denied: {}", outcome.text());
    };
    // At the same time: a failure may be told late, on purpose.
    thread::scope(|scope| {
        for (protocol, front) in servers {
            for option in ["AUTH=PLAIN", "AUTH=LOGIN", "AUTH=CRAM-MD5"] {
                scope.spawn(move || denied(protocol, front, option));
            }
        }
    });
}

/// Runs curl as `user`, from [`CLIENT`].
pub(crate) fn curl(protocol: &str, front: Front, path: &str, user: &str, arguments: &[&str]) -> Outcome {
    let credentials = format!("{user}:{}", password_of(user).expect("a known user"));
    run(command(protocol, front, path).args(["-u", &credentials]).args(arguments), b"")
}

fn command(protocol: &str, front: Front, path: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "100", "--interface", CLIENT]);
    let (host, port) = (front.address.ip(), front.address.port());
    command.args(["--resolve", &format!("{PROXY}:{port}:{host}")]);
    command.arg(format!("{}://{PROXY}:{port}{path}", front.scheme(protocol)));
    if front.security != Security::Plain {
        command.args(["--ssl-reqd", "--cacert", &authorities()]);
    }
    command
}

fn write(directory: &Path, message: &[u8]) -> String {
    let file = directory.join("message");
    std::fs::write(&file, message).unwrap();
    file.to_str().unwrap().to_string()
}
