//! The mail servers behind the proxy: private instances of Dovecot and Postfix in a temporary directory.
//!
//! Everything is shared by the tests that run at the same time, and gone when the last of them ends. Each test uses a
//! mailbox of its own, so none sees another's messages.

mod dovecot;
mod postfix;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::process::{Server, free_addresses, program, read_lossy, run, wait_for};

/// The domain of every mailbox.
pub(crate) const DOMAIN: &str = "example.test";
/// Everybody's password, but [`AWKWARD_USER`]'s.
pub(crate) const PASSWORD: &str = "canary-84c1";
/// The user whose password needs quoting or escaping in every protocol on the way.
pub(crate) const AWKWARD_USER: &str = "awkward";
/// See [`AWKWARD_USER`].
pub(crate) const AWKWARD_PASSWORD: &str = r#"p %41+"ss\ (w)=rd{3}"#;

/// The mailboxes. Of each there is a second, with this suffix, for the same test with other logins.
const USERS: &[&str] = &[
    AWKWARD_USER,
    "argon2",
    "bcrypt",
    "behind",
    "bigimap",
    "bigsmtp",
    "copy",
    "curl",
    "curlsmtp",
    "fetchmail",
    "idle",
    "imaplib",
    "inbound",
    "mbsync",
    "mutt",
    "poplib",
    "proxied",
    "proxied2",
    "sha512",
    "smtplib",
    "submission",
    "swaks",
    "waiting",
];
/// See [`USERS`].
pub(crate) const SECOND: &str = "-second";

fn users() -> impl Iterator<Item = String> {
    USERS.iter().flat_map(|user| [user.to_string(), format!("{user}{SECOND}")])
}

/// The password of a mailbox, by name or by address; `None` if there is no such mailbox.
pub(crate) fn password_of(login: &str) -> Option<&'static str> {
    let name = login.strip_suffix(&format!("@{DOMAIN}")).unwrap_or(login);
    let name = name.strip_suffix(SECOND).unwrap_or(name);
    let password = if name == AWKWARD_USER { AWKWARD_PASSWORD } else { PASSWORD };
    USERS.contains(&name).then_some(password)
}

/// One line for each mailbox, as Dovecot's `passwd-file` and Gatepost's `auth_users_file` read it.
pub(crate) fn users_file() -> String {
    users().map(|user| format!("{user}:{{PLAIN}}{}\n", password_of(&user).expect("a known user"))).collect()
}

/// Where each service of the back ends listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// Dovecot, IMAP.
    pub(crate) imap: SocketAddr,
    /// Dovecot, IMAP behind a PROXY protocol header.
    pub(crate) imap_proxied: SocketAddr,
    /// Dovecot, POP3.
    pub(crate) pop3: SocketAddr,
    /// Dovecot, POP3 behind a PROXY protocol header.
    pub(crate) pop3_proxied: SocketAddr,
    /// Dovecot's submission server, which hands its messages to Postfix.
    pub(crate) submission: SocketAddr,
    /// Dovecot, where Postfix delivers.
    lmtp: SocketAddr,
    /// Postfix, which takes XCLIENT from every loopback address.
    pub(crate) smtp: SocketAddr,
    /// Postfix behind a PROXY protocol header; no XCLIENT.
    pub(crate) smtp_proxied: SocketAddr,
}

/// The running back ends.
#[derive(Debug)]
pub(crate) struct Site {
    /// Where they listen.
    pub(crate) ports: Ports,
    _dovecot: Server,
    _postfix: Server,
    directory: TempDir,
}

/// The site that all tests share: started by the first, stopped by the last.
pub(crate) fn site() -> Arc<Site> {
    static SHARED: Mutex<Weak<Site>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    shared.upgrade().unwrap_or_else(|| {
        let site = Arc::new(Site::start());
        *shared = Arc::downgrade(&site);
        site
    })
}

impl Site {
    fn start() -> Site {
        let directory = public_directory();
        let [imap, imap_proxied, pop3, pop3_proxied, submission, lmtp, smtp, smtp_proxied] = free_addresses();
        let ports = Ports { imap, imap_proxied, pop3, pop3_proxied, submission, lmtp, smtp, smtp_proxied };
        let mut dovecot = dovecot::start(directory.path(), &ports);
        let mut postfix = postfix::start(directory.path(), &ports);
        dovecot.wait_until_up(&[imap, imap_proxied, pop3, pop3_proxied, submission, lmtp], &log(&directory, "dovecot"));
        postfix.wait_until_up(&[smtp, smtp_proxied], &log(&directory, "postfix"));
        Site { ports, _dovecot: dovecot, _postfix: postfix, directory }
    }

    /// Waits for a line of Dovecot's log that holds all of `parts`.
    #[track_caller]
    pub(crate) fn dovecot_logged(&self, parts: &[&str]) -> String {
        logged(&log(&self.directory, "dovecot"), parts)
    }

    /// Waits for a line of Postfix's log that holds all of `parts`.
    #[track_caller]
    pub(crate) fn postfix_logged(&self, parts: &[&str]) -> String {
        logged(&log(&self.directory, "postfix"), parts)
    }

    /// Puts a message into the user's INBOX, past the proxy. Lines may end in CRLF.
    pub(crate) fn deliver(&self, user: &str, message: &[u8]) {
        let mut save = Command::new(program("doveadm"));
        save.arg("-c").arg(self.directory.path().join("dovecot/dovecot.conf")).args(["save", "-u", user]);
        run(&mut save, message).success();
    }

    /// Waits until the user's INBOX holds `count` messages, and reads them from Dovecot's disk: lines end in CRLF.
    #[track_caller]
    pub(crate) fn inbox(&self, user: &str, count: usize) -> Vec<Vec<u8>> {
        let inbox = self.directory.path().join("mail").join(user);
        let messages = wait_for(&format!("{count} messages for {user}"), || {
            messages(&inbox).filter(|messages| messages.len() >= count)
        });
        assert_eq!(messages.len(), count, "messages for {user}");
        messages
    }
}

/// The messages of a maildir; `None` if one was renamed in the meantime. Dovecot moves them from `new` to `cur`: in this
/// order none is seen twice.
fn messages(maildir: &Path) -> Option<Vec<Vec<u8>>> {
    let files = ["cur", "new"].iter().flat_map(|part| entries(&maildir.join(part)));
    files.map(|file| fs::read(file).ok().map(|stored| with_crlf(&stored))).collect()
}

fn public_directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("gatepost-real.").tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::metadata(directory.path()).map(|entry| entry.uid()).unwrap(), 0, "Postfix needs root");
    directory
}

fn log(directory: &TempDir, server: &str) -> PathBuf {
    directory.path().join(format!("{server}.log"))
}

#[track_caller]
fn logged(log: &Path, parts: &[&str]) -> String {
    wait_for(&format!("line with {parts:?} in {}", log.display()), || {
        let text = read_lossy(log);
        text.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_string)
    })
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// Dovecot stores LF where the wire had CRLF.
pub(crate) fn with_crlf(stored: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(stored.len() + stored.len() / 40);
    for line in stored.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(text) => wire.extend_from_slice(&[text.strip_suffix(b"\r").unwrap_or(text), b"\r\n"].concat()),
            None => wire.extend_from_slice(line),
        }
    }
    wire
}

/// Writes a file that everybody may read. It looks old: Postfix waits until nobody seems to be at work on a file.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// Makes a directory that belongs to `user`.
fn directory_of(path: &Path, user: &str) {
    fs::create_dir_all(path).unwrap();
    chown(path, Some(id(&["-u", user])), Some(id(&["-g", user]))).unwrap();
}

fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap().stdout;
    let text = String::from_utf8(output).unwrap();
    text.trim().parse().unwrap_or_else(|_| panic!("no user {}: run scripts/test-deps.sh", arguments[1]))
}
