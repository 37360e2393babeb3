//! Python's imaplib, poplib and smtplib: the scripts in `python/`, which fail where something is not as it should be.

use std::path::Path;
use std::process::Command;

use crate::front::authorities;
use crate::messages::{assert_same_mailbox, message, read_all, write_all};
use crate::mode::{Mode, in_all_modes, with_all_logins};
use crate::process::run;
use crate::proxy::Proxy;
use crate::site::{DOMAIN, password_of};

/// Where the scripts come from in these tests.
const CLIENT: &str = "127.0.0.9";

in_all_modes!(imaplib, poplib, smtplib, idle);
with_all_logins!(a_thousand_messages);

fn imaplib(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("imaplib");
    python("check_imap.py", &[&proxy.fronts.imap.to_string(), &user, password(&user), CLIENT]);
    proxy.assert_asked(&user, "plain", CLIENT);
}

fn poplib(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("poplib");
    for text in ["first\r\n.\r\n..\r\n.end\r\n", "second\r\n"] {
        proxy.site.deliver(&user, format!("Subject: for poplib\r\n\r\n{text}").as_bytes());
    }
    proxy.site.inbox(&user, 2);
    python("check_pop3.py", &[&proxy.fronts.pop3.to_string(), &user, password(&user), CLIENT]);
    proxy.assert_asked(&user, "plain", CLIENT);
}

fn smtplib(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("smtplib");
    python("check_smtp.py", &[&proxy.fronts.smtp.to_string(), &user, password(&user), CLIENT]);
    for copy in proxy.site.inbox(&user, 4) {
        let copy = String::from_utf8(copy).unwrap();
        assert!(copy.contains(&format!("from smtplib.example.test (unknown [{CLIENT}])")), "{copy}");
        assert!(copy.contains(&format!("(Authenticated sender: {user})")), "{copy}");
        assert!(copy.ends_with("\r\n\r\n.\r\n..\r\nGrüße\r\n"), "{copy}");
    }
    proxy.site.postfix_logged(&[&format!("client=unknown[{CLIENT}]"), &format!("sasl_username={user}")]);
    proxy.site.postfix_logged(&[&format!("from=<{user}@{DOMAIN}>"), "nrcpt=1"]);
}

fn idle(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("idle");
    let (imap, smtp) = (proxy.fronts.imap.to_string(), proxy.fronts.smtp.to_string());
    python("idle.py", &[&imap, &smtp, &user, password(&user)]);
}

fn a_thousand_messages(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("copy");
    let directory = tempfile::tempdir().unwrap();
    let [up, down] = ["up", "down"].map(|direction| directory.path().join(direction));
    let messages: Vec<Vec<u8>> = (0..1000).map(message).collect();
    write_all(&up, &messages);
    std::fs::create_dir(&down).unwrap();
    copy_mailbox(&proxy, "up", &user, &up);
    assert_same_mailbox(proxy.site.inbox(&user, messages.len()), messages.clone());
    copy_mailbox(&proxy, "down", &user, &down);
    // In the order in which they went.
    assert!(read_all(&down) == messages, "messages changed on their way");
}

/// Appends each file of `files` to INBOX (`up`), or writes each message of INBOX to a file there (`down`).
pub(crate) fn copy_mailbox(proxy: &Proxy, direction: &str, user: &str, files: &Path) {
    let address = proxy.fronts.imap.to_string();
    python("copy_mailbox.py", &[direction, &address, user, password(user), files.to_str().unwrap()]);
}

fn password(user: &str) -> &'static str {
    password_of(user).expect("a known user")
}

/// Runs one of the scripts; it must succeed.
pub(crate) fn python(script: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/python").join(script);
    let mut command = Command::new("python3");
    command.env("AUTHORITIES", authorities()).arg("-B").arg(path).args(arguments);
    run(&mut command, b"").success();
}
