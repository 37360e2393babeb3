//! Several `server` blocks that listen on one address. nginx's mail proxy refuses that; here TLS lets a client choose
//! among them, by the name it asks for (SNI), if they agree about all that comes before.

use gatepost_proto::StartTls;

use super::diagnostic::Diagnostics;
use super::listen::{Listen, duplicate};
use super::merge::Mail;
use super::settings::MailSettings;

/// Finds `listen`s that cannot share their address.
pub fn check(mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
    let all: Vec<One<'_>> = mail
        .servers
        .iter()
        .flat_map(|server| server.listens.iter().map(move |listen| One { mail, server, listen }))
        .collect();
    for (index, one) in all.iter().enumerate() {
        let address = &one.listen.address;
        let earlier: Vec<_> = all[..index].iter().filter(|other| other.listen.address == *address).collect();
        if !earlier.iter().all(|other| one.may_share_with(other)) {
            diagnostics.error(&one.listen.place, duplicate(address));
        } else if one.listen.bind && earlier.iter().any(|other| other.listen.bind) {
            diagnostics.error(&one.listen.place, format!("duplicate listen options for {address}"));
        }
    }
}

struct One<'a> {
    mail: &'a Mail<'a>,
    server: &'a MailSettings,
    listen: &'a Listen,
}

/// How a connection comes to have TLS.
#[derive(PartialEq, Eq)]
enum Way {
    Never,
    AtOnce,
    ByCommand,
}

impl One<'_> {
    fn may_share_with(&self, other: &One<'_>) -> bool {
        // What could not be understood has been reported, and may be what is missing here.
        let unclear = self.mail.mail.tainted || self.server.tainted || other.server.tainted;
        let same_before = self.way() != Way::Never
            && self.way() == other.way()
            && self.server.protocol == other.server.protocol
            && self.listen.proxy_protocol == other.listen.proxy_protocol;
        let names = self.mail.server_names(self.server);
        let apart = |theirs: &String| !names.iter().any(|name| name.eq_ignore_ascii_case(theirs));
        unclear || same_before && self.mail.server_names(other.server).iter().all(apart)
    }

    fn way(&self) -> Way {
        let tls = self.mail.tls(self.server);
        if self.listen.ssl || tls.ssl() {
            Way::AtOnce
        } else if tls.starttls() != StartTls::Off {
            Way::ByCommand
        } else {
            Way::Never
        }
    }
}
