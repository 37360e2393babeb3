//! Messages of 50 MB, each way, in each protocol.

use crate::curl::curl;
use crate::messages::{assert_delivered, assert_same, large_message};
use crate::mode::{Mode, with_and_without_tls};
use crate::proxy::Proxy;
use crate::python::copy_mailbox;
use crate::site::DOMAIN;

const SIZE: usize = 50 * 1024 * 1024;

with_and_without_tls!(by_smtp_and_pop3, by_imap);

/// Up by SMTP, down by POP3.
fn by_smtp_and_pop3(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = &proxy.user("bigsmtp");
    let message = large_message(SIZE);
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("message");
    std::fs::write(&file, &message).unwrap();
    let mailbox = format!("{user}@{DOMAIN}");
    let envelope = ["--mail-from", &mailbox, "--mail-rcpt", &mailbox, "-T", file.to_str().unwrap()];
    curl("smtp", proxy.fronts.smtp, "/", user, &envelope).success();
    let [stored] = <[_; 1]>::try_from(proxy.site.inbox(user, 1)).unwrap();
    assert_delivered(&stored, &message);
    let copy = curl("pop3", proxy.fronts.pop3, "/1", user, &[]).success();
    assert_same(&copy, &stored);
}

/// Up by IMAP, down by IMAP, with two clients.
fn by_imap(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = &proxy.user("bigimap");
    let message = large_message(SIZE);
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("message");
    std::fs::write(&file, &message).unwrap();
    curl("imap", proxy.fronts.imap, "/INBOX", user, &["-T", file.to_str().unwrap()]).success();
    let [stored] = <[_; 1]>::try_from(proxy.site.inbox(user, 1)).unwrap();
    assert_same(&stored, &message);
    let copy = curl("imap", proxy.fronts.imap, "/INBOX;MAILINDEX=1", user, &[]).success();
    assert_same(&copy, &message);
    copy_mailbox(&proxy, "up", user, files.path());
    std::fs::remove_file(&file).unwrap();
    copy_mailbox(&proxy, "down", user, files.path());
    let copies = crate::messages::read_all(files.path());
    assert_eq!(copies.len(), 2);
    copies.iter().for_each(|copy| assert_same(copy, &message));
}
