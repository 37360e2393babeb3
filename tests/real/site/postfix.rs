//! Postfix: SMTP that takes XCLIENT or PROXY protocol, and delivers to Dovecot by LMTP.
//!
//! It trusts no network. Who is not one of its users, as XCLIENT tells, may only write to its own domain.

use std::fs;
use std::path::Path;

use super::pki::{EXPIRED, Pki, REVOKED, UNKNOWN};
use super::{DOMAIN, Ports, directory_of, users, write};
use crate::process::Server;

/// The programs, as Debian installs them.
const DAEMONS: &str = "/usr/lib/postfix/sbin";

/// What the queue consists of; `postfix check` would make it too, in seconds.
const QUEUE: &[&str] = &[
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "pid", "private",
    "public", "saved", "trace",
];

pub(super) fn start(directory: &Path, ports: &Ports, pki: &Pki) -> Server {
    let home = directory.join("postfix");
    let configuration = home.join("etc");
    fs::create_dir_all(&configuration).unwrap();
    for directory in QUEUE {
        directory_of(&home.join("queue").join(directory), "postfix");
    }
    directory_of(&home.join("data"), "postfix");
    write(&configuration.join("main.cf"), &main_cf(directory, ports, pki));
    write(&configuration.join("master.cf"), &master_cf(ports));
    let certificates = [EXPIRED, REVOKED, UNKNOWN].map(|name| format!("{name} {}\n", pki.file(&format!("{name}.pem"))));
    write(&configuration.join("certificates"), &certificates.concat());
    write(&configuration.join("mailboxes"), &users().map(|user| format!("{user}@{DOMAIN} x\n")).collect::<String>());
    let configuration = configuration.to_str().unwrap();
    let master = format!("{DAEMONS}/master");
    Server::start("Postfix", &[&master, "-d", "-c", configuration], directory.join("postfix.out"))
}

fn main_cf(directory: &Path, ports: &Ports, pki: &Pki) -> String {
    let directory = directory.display();
    format!(
        "compatibility_level = 3.6
queue_directory = {directory}/postfix/queue
data_directory = {directory}/postfix/data
command_directory = /usr/sbin
daemon_directory = {DAEMONS}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
myhostname = mx.{DOMAIN}
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_maps = texthash:{directory}/postfix/etc/mailboxes
virtual_transport = lmtp:inet:{lmtp_host}:{lmtp_port}
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = 104857600
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {directory}/sasl
smtpd_sasl_authenticated_header = yes
smtpd_tls_security_level = may
smtpd_tls_chain_files = {certificate}
tls_server_sni_maps = texthash:{directory}/postfix/etc/certificates
smtpd_tls_CAfile = {root}
smtpd_tls_ask_ccert = yes
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_client_connection_count_limit = 0
smtpd_authorized_xclient_hosts = 127.0.0.0/8
notify_classes =
in_flow_delay = 0
biff = no
",
        certificate = pki.file("backend.pem"),
        root = pki.file("root.crt"),
        lmtp_host = ports.lmtp.ip(),
        lmtp_port = ports.lmtp.port(),
    )
}

/// The services: name, type, private, unprivileged, chroot, wake-up, most processes, command.
fn master_cf(ports: &Ports) -> String {
    format!(
        "{smtp} inet n - n - - smtpd
{smtp_proxied} inet n - n - - smtpd
  -o smtpd_upstream_proxy_protocol=haproxy
  -o smtpd_authorized_xclient_hosts=
{smtps} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
{smtps_proxied} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_upstream_proxy_protocol=haproxy
  -o smtpd_authorized_xclient_hosts=
tlsmgr unix - - n 1000? 1 tlsmgr
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
",
        smtp = ports.smtp,
        smtps = ports.smtps,
        smtp_proxied = ports.smtp_proxied,
        smtps_proxied = ports.smtps_proxied,
    )
}
