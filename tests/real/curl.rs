//! curl: IMAP, POP3 and SMTP by every mechanism it has.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::messages::{assert_delivered, assert_same, message};
use crate::process::{Outcome, run};
use crate::proxy::{Logins, Proxy, with_all_logins};
use crate::site::{AWKWARD_USER, DOMAIN, password_of};

/// Where curl comes from in these tests.
const CLIENT: &str = "127.0.0.7";

with_all_logins!(imap, pop3, smtp, awkward_password, wrong_password);

fn imap(logins: Logins) {
    let proxy = Proxy::start(logins);
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
    proxy.site.dovecot_logged(&["imap-login", "Login:", &format!("user=<{user}>")]);
}

fn pop3(logins: Logins) {
    let proxy = Proxy::start(logins);
    let user = proxy.user("poplib");
    let methods =
        [("AUTH=+APOP", "apop"), ("AUTH=CRAM-MD5", "cram-md5"), ("AUTH=PLAIN", "plain"), ("AUTH=LOGIN", "plain")];
    for (option, method) in methods {
        curl("pop3", proxy.fronts.pop3, "/", &user, &["--login-options", option]).success();
        proxy.assert_asked(&user, method, CLIENT);
    }
    proxy.site.dovecot_logged(&["pop3-login", "Login:", &format!("user=<{user}>")]);
}

fn smtp(logins: Logins) {
    let proxy = Proxy::start(logins);
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

fn awkward_password(logins: Logins) {
    let proxy = Proxy::start(logins);
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

fn wrong_password(logins: Logins) {
    let proxy = Proxy::start(logins);
    let fronts = proxy.fronts;
    let servers = [("imap", fronts.imap), ("pop3", fronts.pop3), ("smtp", fronts.smtp)];
    let denied = |protocol: &str, address: SocketAddr, option: &str| {
        let mut command = command(protocol, address, "/");
        command.args(["-u", "curl:wrong", "--login-options", option]);
        let outcome = run(&mut command, b"");
        assert_eq!(outcome.status, Some(67), "curl was not denied: {}", outcome.text());
    };
    // At the same time: a failure may be told late, on purpose.
    thread::scope(|scope| {
        for (protocol, address) in servers {
            for option in ["AUTH=PLAIN", "AUTH=LOGIN", "AUTH=CRAM-MD5"] {
                scope.spawn(move || denied(protocol, address, option));
            }
        }
    });
}

/// Runs curl as `user`, from [`CLIENT`].
pub(crate) fn curl(protocol: &str, address: SocketAddr, path: &str, user: &str, arguments: &[&str]) -> Outcome {
    let credentials = format!("{user}:{}", password_of(user).expect("a known user"));
    run(command(protocol, address, path).args(["-u", &credentials]).args(arguments), b"")
}

fn command(protocol: &str, address: SocketAddr, path: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "100", "--interface", CLIENT]);
    command.arg(format!("{protocol}://{address}{path}"));
    command
}

fn write(directory: &Path, message: &[u8]) -> String {
    let file = directory.join("message");
    std::fs::write(&file, message).unwrap();
    file.to_str().unwrap().to_string()
}
