//! Dovecot 2.3: IMAP, POP3, LMTP and submission.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::pki::{EXPIRED, Pki, REVOKED, UNKNOWN};
use super::{Ports, directory_of, id, users_file, write};
use crate::process::{Server, program};

/// Owns the mail.
const MAIL_USER: &str = "nobody";

pub(super) fn start(directory: &Path, ports: &Ports, pki: &Pki) -> Server {
    let home = directory.join("dovecot");
    fs::create_dir(&home).unwrap();
    directory_of(&directory.join("mail"), MAIL_USER);
    write(&home.join("users"), &users_file());
    let configuration = home.join("dovecot.conf");
    write(&configuration, &text(directory, ports, pki));
    let binary = program("dovecot");
    let command = [binary.to_str().unwrap(), "-F", "-c", configuration.to_str().unwrap()];
    Server::start("Dovecot", &command, directory.join("dovecot.out"))
}

/// The configuration. Logins from the loopback network may tell the client's address, as a proxy does. Every attempt to
/// log in is logged with the user's name.
fn text(directory: &Path, ports: &Ports, pki: &Pki) -> String {
    let directory = directory.display();
    let (uid, gid) = (id(&["-u", MAIL_USER]), id(&["-g", MAIL_USER]));
    let Ports { lmtp, smtp, .. } = ports;
    format!(
        "base_dir = {directory}/dovecot/run
state_dir = {directory}/dovecot/state
log_path = {directory}/dovecot.log
protocols = imap pop3 lmtp submission
listen = {host}
ssl = yes
{certificates}auth_verbose = yes
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_username_format = %n
auth_failure_delay = 0
login_trusted_networks = 127.0.0.0/8
haproxy_trusted_networks = 127.0.0.0/8
mail_max_userip_connections = 1000
mail_fsync = never
mail_location = maildir:{directory}/mail/%n
first_valid_uid = 1
hostname = mail.example.test
postmaster_address = postmaster@example.test
submission_relay_host = {relay_host}
submission_relay_port = {relay_port}
submission_relay_trusted = yes
submission_max_mail_size = 100M
protocol lda {{
  quota_full_tempfail = yes
}}
passdb {{
  driver = passwd-file
  args = username_format=%n {directory}/dovecot/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/mail/%n
}}
service auth {{
  unix_listener {directory}/sasl {{
    mode = 0666
  }}
}}
{logins}service lmtp {{
{lmtp}}}
",
        certificates = certificates(pki),
        logins = login_services(ports),
        lmtp = listener("lmtp", lmtp, ""),
        host = lmtp.ip(),
        relay_host = smtp.ip(),
        relay_port = smtp.port(),
    )
}

/// By the name that the client asks for.
fn certificates(pki: &Pki) -> String {
    let pair = |name: &str| {
        let [certificate, key] = ["crt", "key"].map(|suffix| pki.file(&format!("{name}.{suffix}")));
        format!("ssl_cert = <{certificate}\nssl_key = <{key}\n")
    };
    let named = [EXPIRED, REVOKED, UNKNOWN].map(|name| format!("local_name {name} {{\n{}}}\n", pair(name)));
    pair("backend") + &named.concat()
}

fn login_services(ports: &Ports) -> String {
    let Ports { imap, imaps, imap_proxied, imaps_proxied, .. } = ports;
    let Ports { pop3, pop3s, pop3_proxied, pop3s_proxied, submission, submissions, .. } = ports;
    let implicit = "ssl = yes\n";
    let proxied = "haproxy = yes\n";
    let both = "ssl = yes\nhaproxy = yes\n";
    let imap = [
        listener("imap", imap, ""),
        listener("imaps", imaps, implicit),
        listener("imap_proxied", imap_proxied, proxied),
        listener("imaps_proxied", imaps_proxied, both),
    ];
    let pop3 = [
        listener("pop3", pop3, ""),
        listener("pop3s", pop3s, implicit),
        listener("pop3_proxied", pop3_proxied, proxied),
        listener("pop3s_proxied", pop3s_proxied, both),
    ];
    let submission = [listener("submission", submission, ""), listener("submissions", submissions, implicit)];
    let service = |name: &str, listeners: &[String]| format!("service {name}-login {{\n{}}}\n", listeners.concat());
    service("imap", &imap) + &service("pop3", &pop3) + &service("submission", &submission)
}

fn listener(name: &str, address: &SocketAddr, more: &str) -> String {
    format!("inet_listener {name} {{\naddress = {}\nport = {}\n{more}}}\n", address.ip(), address.port())
}
