//! Dovecot 2.3: IMAP, POP3, LMTP and submission.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::{Ports, directory_of, id, users_file, write};
use crate::process::{Server, program};

/// Owns the mail.
const MAIL_USER: &str = "nobody";

pub(super) fn start(directory: &Path, ports: &Ports) -> Server {
    let home = directory.join("dovecot");
    fs::create_dir(&home).unwrap();
    directory_of(&directory.join("mail"), MAIL_USER);
    write(&home.join("users"), &users_file());
    let configuration = home.join("dovecot.conf");
    write(&configuration, &text(directory, ports));
    let binary = program("dovecot");
    let command = [binary.to_str().unwrap(), "-F", "-c", configuration.to_str().unwrap()];
    Server::start("Dovecot", &command, directory.join("dovecot.out"))
}

/// The configuration. Logins from the loopback network may tell the client's address, as a proxy does.
fn text(directory: &Path, ports: &Ports) -> String {
    let directory = directory.display();
    let (uid, gid) = (id(&["-u", MAIL_USER]), id(&["-g", MAIL_USER]));
    let Ports { imap, imap_proxied, pop3, pop3_proxied, submission, lmtp, smtp, .. } = ports;
    format!(
        "base_dir = {directory}/dovecot/run
state_dir = {directory}/dovecot/state
log_path = {directory}/dovecot.log
protocols = imap pop3 lmtp submission
listen = {host}
ssl = no
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
service imap-login {{
{}{}{}}}
service pop3-login {{
{}{}{}}}
service submission-login {{
{}}}
service lmtp {{
{}}}
",
        listener("imap", imap, ""),
        listener("imap_proxied", imap_proxied, "haproxy = yes"),
        "  inet_listener imaps {\n    port = 0\n  }\n",
        listener("pop3", pop3, ""),
        listener("pop3_proxied", pop3_proxied, "haproxy = yes"),
        "  inet_listener pop3s {\n    port = 0\n  }\n",
        listener("submission", submission, ""),
        listener("lmtp", lmtp, ""),
        host = imap.ip(),
        relay_host = smtp.ip(),
        relay_port = smtp.port(),
    )
}

fn listener(name: &str, address: &SocketAddr, more: &str) -> String {
    format!(
        "  inet_listener {name} {{\n    address = {}\n    port = {}\n    {more}\n  }}\n",
        address.ip(),
        address.port()
    )
}
