//! The mail servers behind the proxy: private instances of Dovecot and Postfix in a temporary directory.
//!
//! Everything is shared by the tests that run at the same time, and gone when the last of them ends. Each test uses a
//! mailbox of its own, so none sees another's messages.

mod dovecot;
pub(crate) mod pki;
mod postfix;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use self::pki::Pki;
use crate::process::{Server, free_addresses, own_address, program, read_lossy, run, wait_for};

/// The domain of every mailbox.
pub(crate) const DOMAIN: &str = "example.test";
/// Everybody's password, but [`AWKWARD_USER`]'s.
pub(crate) const PASSWORD: &str = "canary-84c1";
/// The user whose password needs quoting or escaping in every protocol on the way.
pub(crate) const AWKWARD_USER: &str = "awkward";
/// See [`AWKWARD_USER`].
pub(crate) const AWKWARD_PASSWORD: &str = r#"p %41+"ss\ (w)=rd{3}"#;

/// The mailboxes. Of each there are others, with the suffixes of [`SECOND`], for the same test in other modes.
const USERS: &[&str] = &[
    AWKWARD_USER,
    "argon2",
    "bcrypt",
    "behind",
    "bigimap",
    "bigsmtp",
    "certificates",
    "copy",
    "curl",
    "curlsmtp",
    "decided",
    "external",
    "fetchmail",
    "foreign",
    "gnutls",
    "https",
    "idle",
    "imaplib",
    "inbound",
    "mbsync",
    "misnamed",
    "mutt",
    "outdated",
    "poplib",
    "proven",
    "proxied",
    "proxied2",
    "resumption",
    "sha512",
    "smtplib",
    "submission",
    "swaks",
    "undecided",
    "upstream",
    "waiting",
    "withdrawn",
];
/// See [`USERS`].
pub(crate) const SECOND: [&str; 3] = ["-second", "-tls", "-starttls"];

fn users() -> impl Iterator<Item = String> {
    USERS.iter().flat_map(|user| [""].into_iter().chain(SECOND).map(move |suffix| format!("{user}{suffix}")))
}

/// The password of a mailbox, by name or by address; `None` if there is no such mailbox.
pub(crate) fn password_of(login: &str) -> Option<&'static str> {
    let name = login.strip_suffix(&format!("@{DOMAIN}")).unwrap_or(login);
    let name = SECOND.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let password = if name == AWKWARD_USER { AWKWARD_PASSWORD } else { PASSWORD };
    USERS.contains(&name).then_some(password)
}

/// One line for each mailbox, as Dovecot's `passwd-file` and Gatepost's `auth_users_file` read it.
pub(crate) fn users_file() -> String {
    users().map(|user| format!("{user}:{{PLAIN}}{}\n", password_of(&user).expect("a known user"))).collect()
}

/// Where each service of the back ends listens. Those whose names end in `s` have TLS from the first byte, the others
/// STARTTLS; behind a PROXY protocol header where the name says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// Dovecot.
    pub(crate) imap: SocketAddr,
    pub(crate) imaps: SocketAddr,
    pub(crate) imap_proxied: SocketAddr,
    pub(crate) imaps_proxied: SocketAddr,
    /// Dovecot.
    pub(crate) pop3: SocketAddr,
    pub(crate) pop3s: SocketAddr,
    pub(crate) pop3_proxied: SocketAddr,
    pub(crate) pop3s_proxied: SocketAddr,
    /// Dovecot's submission server, which hands its messages to Postfix.
    pub(crate) submission: SocketAddr,
    pub(crate) submissions: SocketAddr,
    /// Dovecot, where Postfix delivers: without TLS.
    lmtp: SocketAddr,
    /// Postfix, which takes XCLIENT from every loopback address.
    pub(crate) smtp: SocketAddr,
    pub(crate) smtps: SocketAddr,
    /// Postfix without XCLIENT.
    pub(crate) smtp_proxied: SocketAddr,
    pub(crate) smtps_proxied: SocketAddr,
}

impl Ports {
    fn choose() -> Ports {
        let [imap, imaps, imap_proxied, imaps_proxied] = free_addresses();
        let [pop3, pop3s, pop3_proxied, pop3s_proxied] = free_addresses();
        let [submission, submissions, lmtp] = free_addresses();
        let [smtp, smtps, smtp_proxied, smtps_proxied] = free_addresses();
        Ports {
            imap,
            imaps,
            imap_proxied,
            imaps_proxied,
            pop3,
            pop3s,
            pop3_proxied,
            pop3s_proxied,
            submission,
            submissions,
            lmtp,
            smtp,
            smtps,
            smtp_proxied,
            smtps_proxied,
        }
    }
}

/// The running back ends.
#[derive(Debug)]
pub(crate) struct Site {
    /// Where they listen.
    pub(crate) ports: Ports,
    /// What the back ends, the proxy and clients prove themselves with.
    pub(crate) pki: Pki,
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
        let ports = Ports::choose();
        let pki = Pki::make(directory.path().join("pki"), own_address());
        let mut dovecot = dovecot::start(directory.path(), &ports, &pki);
        let mut postfix = postfix::start(directory.path(), &ports, &pki);
        dovecot.wait_until_up(&[ports.imap, ports.pop3, ports.submission, ports.lmtp], &log(&directory, "dovecot"));
        postfix.wait_until_up(&[ports.smtp], &log(&directory, "postfix"));
        Site { ports, pki, _dovecot: dovecot, _postfix: postfix, directory }
    }

    /// From the names of [`Ports`] to their values.
    pub(crate) fn routes(&self) -> Vec<(String, SocketAddr)> {
        let ports = self.ports;
        let routes = [
            ("imap", ports.imap),
            ("imaps", ports.imaps),
            ("imap_proxied", ports.imap_proxied),
            ("imaps_proxied", ports.imaps_proxied),
            ("pop3", ports.pop3),
            ("pop3s", ports.pop3s),
            ("pop3_proxied", ports.pop3_proxied),
            ("pop3s_proxied", ports.pop3s_proxied),
            ("smtp", ports.smtp),
            ("smtps", ports.smtps),
            ("smtp_proxied", ports.smtp_proxied),
            ("smtps_proxied", ports.smtps_proxied),
            ("submission", ports.submission),
            ("submissions", ports.submissions),
        ];
        routes.map(|(name, address)| (name.to_string(), address)).to_vec()
    }

    /// One of [`Site::routes`].
    pub(crate) fn place(&self, route: &str) -> SocketAddr {
        self.routes().into_iter().find(|(name, _)| name == route).expect("a known route").1
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

    /// All that Dovecot and Postfix have logged.
    pub(crate) fn logs(&self) -> String {
        ["dovecot", "postfix"].map(|server| read_lossy(&log(&self.directory, server))).concat()
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
