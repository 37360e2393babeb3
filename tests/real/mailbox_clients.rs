//! mbsync, fetchmail and mutt: programs that keep mailboxes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::front::{Front, Security, authorities};
use crate::messages::{assert_same_mailbox, message, read_all};
use crate::mode::{Mode, in_all_modes};
use crate::process::{Outcome, Server, run, wait_for};
use crate::proxy::Proxy;
use crate::site::pki::PROXY;
use crate::site::{DOMAIN, PASSWORD, site, with_crlf};

in_all_modes!(mbsync, fetchmail, fetchmail_idle, mutt);

/// A thousand messages, from a local mailbox to the server and back into another.
fn mbsync(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("mbsync");
    let home = Home::new();
    let messages: Vec<Vec<u8>> = (0..1000).map(message).collect();
    for (number, message) in messages.iter().enumerate() {
        home.write(&format!("one/INBOX/new/{number}"), &with_lf(message));
    }
    let sync = |near: &str, direction: &str, mechanism: &str| {
        for part in ["new", "cur", "tmp"] {
            fs::create_dir_all(home.path().join(near).join("INBOX").join(part)).unwrap();
        }
        let configuration = mbsyncrc(home.path(), near, direction, mechanism, proxy.fronts.imap, &user);
        let file = home.write(&format!("{near}.rc"), configuration.as_bytes());
        home.run("mbsync", &["-c", &file, "-a"], b"").success();
    };
    sync("one", "Push", "LOGIN");
    let stored = proxy.site.inbox(&user, messages.len());
    assert_same_mailbox(stored.iter().map(|copy| without_tuid(copy)).collect(), messages);
    sync("two", "Pull", "CRAM-MD5");
    let copies: Vec<Vec<u8>> = ["new", "cur"]
        .iter()
        .flat_map(|part| read_all(&home.path().join("two/INBOX").join(part)))
        .map(|copy| without_tuid(&with_crlf(&copy)))
        .collect();
    assert_same_mailbox(copies, stored.iter().map(|copy| without_tuid(copy)).collect());
}

fn mbsyncrc(home: &Path, near: &str, direction: &str, mechanism: &str, server: Front, user: &str) -> String {
    let home = home.display();
    let (host, port) = (server.address.ip(), server.address.port());
    // It does not know addresses in certificates, but takes one that it is shown.
    let pinned = site().pki.file("proxy-ecdsa.crt");
    let security = match server.security {
        Security::Plain => "SSLType None".to_string(),
        Security::Tls => format!("SSLType IMAPS\nCertificateFile {pinned}"),
        Security::StartTls => format!("SSLType STARTTLS\nCertificateFile {pinned}"),
    };
    format!(
        "IMAPStore far\nHost {host}\nPort {port}\nUser {user}\nPass {PASSWORD}\n{security}\nAuthMechs {mechanism}\n\n\
         MaildirStore near\nPath {home}/{near}/\nInbox {home}/{near}/INBOX\n\n\
         Channel all\nFar :far:INBOX\nNear :near:INBOX\nSync {direction}\nSyncState *\n"
    )
}

/// By POP3 and by IMAP: every message comes out as it went in.
fn fetchmail(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("fetchmail");
    let messages: Vec<Vec<u8>> = (1..=20).map(message).collect();
    messages.iter().for_each(|message| proxy.site.deliver(&user, message));
    // Its APOP knows no STLS.
    let apop = if mode == Mode::StartTls { "pop3" } else { "apop" };
    for (protocol, server) in [("pop3", proxy.fronts.pop3), (apop, proxy.fronts.pop3), ("imap", proxy.fronts.imap)] {
        let home = Home::new();
        fs::create_dir(home.path().join("got")).unwrap();
        let configuration = fetchmailrc(home.path(), protocol, server, &user, "keep");
        let file = home.write("fetchmailrc", configuration.as_bytes());
        home.run("fetchmail", &["--fetchmailrc", &file, "--nodetach", "--nosyslog"], b"").success();
        assert_same_mailbox(contents(&home.path().join("got")), messages.clone());
    }
    if mode == Mode::AuthHttp {
        assert_eq!(proxy.last_request(&user).header("auth-protocol"), "imap");
    }
}

/// fetchmail stays, and takes the second message when IDLE tells of it.
fn fetchmail_idle(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("waiting");
    let home = Home::new();
    let got = home.path().join("got");
    fs::create_dir(&got).unwrap();
    proxy.site.deliver(&user, &message(1));
    let configuration = fetchmailrc(home.path(), "imap", proxy.fronts.imap, &user, "nokeep idle");
    let file = home.write("fetchmailrc", configuration.as_bytes());
    let command = ["fetchmail", "--fetchmailrc", &file, "--nodetach", "--nosyslog"];
    let mut client = Server::start("fetchmail", &command, home.path().join("output"));
    wait_for("first message from fetchmail", || (contents(&got) == [message(1)]).then_some(()));
    proxy.site.deliver(&user, &message(2));
    let both = [message(1), message(2)];
    wait_for("second message from fetchmail", || both.iter().all(|one| contents(&got).contains(one)).then_some(()));
    client.stop();
    assert_eq!(contents(&got).len(), 2);
}

/// The messages in the files of `directory`.
fn contents(directory: &Path) -> Vec<Vec<u8>> {
    read_all(directory).iter().map(|copy| with_crlf(copy)).collect()
}

fn fetchmailrc(home: &Path, protocol: &str, server: Front, user: &str, handling: &str) -> String {
    let home = home.display();
    let (host, port) = (server.address.ip(), server.address.port());
    let verify = |option: &str| format!("{option} sslcertck sslcertfile {} sslcommonname {PROXY}", authorities());
    // Without `ssl`, and with a protocol of TLS: STARTTLS, or nothing.
    let security = server.choose("sslproto \"\"".to_string(), verify("ssl"), verify("sslproto TLS1.2+"));
    format!(
        "set invisible\nset no bouncemail\nset idfile {home}/ids\nset pidfile {home}/pid\n\
         poll {host} protocol {protocol} service {port} user \"{user}\" password \"{PASSWORD}\" {security} \
         fetchall {handling} no rewrite no mimedecode mda \"cat >$(mktemp {home}/got/XXXXXXXX)\"\n"
    )
}

/// Sends three messages, and reads them by IMAP and by POP3.
fn mutt(mode: Mode) {
    let proxy = Proxy::start(mode);
    let user = proxy.user("mutt");
    let home = Home::new();
    let mailbox = format!("{user}@{DOMAIN}");
    for (number, mechanism) in (1..).zip(["plain", "login", "cram-md5"]) {
        let file = home.write("sender", mutt_sender(proxy.fronts.smtp, &user, mechanism).as_bytes());
        let body = "Grüße\n.\nFrom mutt\n".as_bytes();
        home.run("mutt", &["-F", &file, "-s", mechanism, &mailbox], body).success();
        proxy.site.inbox(&user, number);
    }
    for (protocol, server) in [("imap", proxy.fronts.imap), ("pop", proxy.fronts.pop3)] {
        let got = home.path().join(protocol);
        fs::create_dir(&got).unwrap();
        let file = home.write("reader", mutt_reader(protocol, server, &user, 3, &got).as_bytes());
        let mutt = format!("mutt -F {file} -f {}://{user}@{}/", server.scheme(protocol), server.address);
        home.run("script", &["-qec", &mutt, "/dev/null"], b"").success();
        assert_same_mailbox(contents(&got), proxy.site.inbox(&user, 3));
    }
}

fn mutt_sender(server: Front, user: &str, mechanism: &str) -> String {
    format!(
        "set smtp_url=\"{}://{user}@{}/\" smtp_pass={PASSWORD} smtp_authenticators={mechanism}\n\
         set from={user}@{DOMAIN} hostname=mutt.example.test copy=no\n{}",
        server.scheme("smtp"),
        server.address,
        mutt_security(server)
    )
}

/// The keys it presses write each message to a file in `got`.
fn mutt_reader(protocol: &str, server: Front, user: &str, messages: usize, got: &Path) -> String {
    let keys: String = (1..=messages)
        .map(|number| format!("<jump>{number}<enter><pipe-message>cat >{}/{number}<enter>", got.display()))
        .collect();
    format!(
        "set {protocol}_user={user} {protocol}_pass={PASSWORD}\n\
         set wait_key=no quit=yes pipe_decode=no delete=no\n{}push \"{keys}<quit>\"\n",
        mutt_security(server)
    )
}

fn mutt_security(server: Front) -> String {
    match server.security {
        Security::Plain => "set ssl_starttls=no ssl_force_tls=no\n".to_string(),
        _ => format!("set ssl_starttls=yes ssl_force_tls=yes ssl_ca_certificates_file={}\n", authorities()),
    }
}

/// A home directory, so that nobody's own settings matter.
struct Home(TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file that only its owner may read, as programs want it where passwords stand; returns its path.
    fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut command = Command::new(program);
        command
            .env("HOME", self.path())
            .env("FETCHMAILHOME", self.path())
            .env("TERM", "vt100")
            .env("LC_ALL", "C.UTF-8");
        run(command.args(arguments), input)
    }
}

fn with_lf(message: &[u8]) -> Vec<u8> {
    message.iter().copied().filter(|byte| *byte != b'\r').collect()
}

/// Takes out the header by which mbsync knows its own copies.
fn without_tuid(message: &[u8]) -> Vec<u8> {
    message
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"X-TUID: "))
        .flatten()
        .copied()
        .collect()
}
