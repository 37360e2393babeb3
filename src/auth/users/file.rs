//! The grammar of a users file.
//!
//! A line is `name:password[:address]`. Blank lines and lines that begin with `#` are skipped.
//!
//! * The name is what a client logs in as, byte for byte. It is not empty, does not begin with `#`, does not begin or
//!   end with a space, and has no `:` and no control character.
//! * The password is a bcrypt (`$2a$`, `$2b$`, `$2y$`), SHA-512 crypt (`$6$`) or Argon2 (`$argon2id$`, `$argon2i$`,
//!   `$argon2d$`) hash, or `{PLAIN}` and the password itself. It ends at the next `:`, so a password with a `:` can be
//!   stored as a hash only.
//! * The address is that of the mail server: `192.0.2.1`, `192.0.2.1:143`, `[2001:db8::1]`, `[2001:db8::1]:143` or
//!   `unix:/path`. Without a port it is that of the protocol, with TLS or without. Without an address it is what
//!   `proxy_pass` says.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use gatepost_proto::{auth_http, printable};

use super::password::Password;
use crate::addr::Address;
use crate::config::MailServer;

/// The users of a file.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_name: HashMap<Vec<u8>, User>,
    decoys: Vec<Arc<Password>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct User {
    pub(super) password: Arc<Password>,
    pub(super) server: Server,
    line: usize,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Server {
    Known(MailServer),
    /// At the port that the configuration gives.
    AnyPort(IpAddr),
}

impl Users {
    /// Reads a whole file.
    ///
    /// # Errors
    /// One message for each line with a mistake, ending in `in FILE:LINE`.
    pub(super) fn parse(path: &Path, bytes: &[u8], proxy_pass: Option<&MailServer>) -> Result<Users, Vec<String>> {
        let mut users = Users::default();
        let mut mistakes = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Err(mistake) = users.line(index + 1, line, proxy_pass) {
                mistakes.push(format!("{mistake} in {}:{}", path.display(), index + 1));
            }
        }
        if mistakes.is_empty() { Ok(users) } else { Err(mistakes) }
    }

    /// The user of this name.
    pub(super) fn find(&self, name: &[u8]) -> Option<&User> {
        self.by_name.get(name)
    }

    /// One password of each cost in the file.
    pub(super) fn decoys(&self) -> &[Arc<Password>] {
        &self.decoys
    }

    fn line(&mut self, number: usize, line: &[u8], proxy_pass: Option<&MailServer>) -> Result<(), String> {
        if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with(b"#") {
            return Ok(());
        }
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let name = fields.next().unwrap_or_default();
        let field = fields.next().ok_or("no \":\" in the line, which should be name:password:address[:port]")?;
        check_name(name)?;
        let user = format!("of user \"{}\"", printable(name));
        let password = Password::parse(field).map_err(|wrong| format!("password {user} {wrong}"))?;
        let server = match fields.next().map(<[u8]>::trim_ascii).filter(|address| !address.is_empty()) {
            Some(address) => parse_server(address).map_err(|wrong| complaint(&user, address, &password, wrong))?,
            None => Server::Known(proxy_pass.cloned().ok_or_else(|| {
                format!("no mail server {user}: add \":address\" to the line, or \"proxy_pass\" to the server")
            })?),
        };
        self.insert(name, User { password: Arc::new(password), server, line: number })
    }

    fn insert(&mut self, name: &[u8], user: User) -> Result<(), String> {
        let cost = user.password.cost();
        if cost.is_some() && !self.decoys.iter().any(|decoy| decoy.cost() == cost) {
            self.decoys.push(user.password.clone());
        }
        match self.by_name.entry(name.to_vec()) {
            Entry::Vacant(place) => {
                place.insert(user);
                Ok(())
            }
            Entry::Occupied(first) => {
                Err(format!("user \"{}\" is in line {} already", printable(name), first.get().line))
            }
        }
    }
}

/// Whether a name can stand in a users file. The error says why not.
pub(super) fn check_name(name: &[u8]) -> Result<(), String> {
    let wrong = match name {
        [] => "is empty",
        [b' ', ..] | [.., b' '] => "begins or ends with a space",
        [b'#', ..] => "begins with \"#\"",
        _ if name.contains(&b':') => "has a \":\"",
        _ if name.iter().any(u8::is_ascii_control) => "has a control character",
        _ => return Ok(()),
    };
    Err(format!("user name \"{}\" {wrong}", printable(name)))
}

/// An address field. The error says what is wrong with it.
pub(super) fn parse_server(field: &[u8]) -> Result<Server, &'static str> {
    let text = std::str::from_utf8(field).ok().filter(|text| !text.chars().any(char::is_control));
    let text = text.ok_or("has characters that no address has")?;
    if let Some(path) = text.strip_prefix("unix:") {
        let path = Some(path).filter(|path| path.starts_with('/')).ok_or("has no absolute path")?;
        return Ok(Server::Known(Address::Unix(path.into()).into()));
    }
    let (ip, port) = split_ip(text)?;
    let Some(port) = port else { return Ok(Server::AnyPort(ip)) };
    let port = auth_http::parse_port(port.as_bytes()).ok_or("has no port from 1 to 65535")?;
    Ok(Server::Known(Address::Ip((ip, port).into()).into()))
}

/// The IP address, and what follows the colon behind it.
fn split_ip(text: &str) -> Result<(IpAddr, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']').ok_or("has no \"]\"")?;
        let ip = ip.parse::<Ipv6Addr>().map_err(|_| "has no IPv6 address in its brackets")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((ip.into(), Some(port))),
            None if rest.is_empty() => Ok((ip.into(), None)),
            None => Err("goes on behind \"]\""),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err("is an IPv6 address without brackets");
    }
    let (ip, port) = text.split_once(':').map_or((text, None), |(ip, port)| (ip, Some(port)));
    let ip = auth_http::parse_ip(ip.as_bytes()).ok_or("is not an IP address with or without a port, nor unix:/path")?;
    Ok((ip, port))
}

/// What is wrong with an address. If it may be the rest of a password with a colon, it is not shown.
fn complaint(user: &str, address: &[u8], password: &Password, wrong: &str) -> String {
    match password.plain() {
        Some(_) => format!("address {user} {wrong} (a {{PLAIN}} password ends at the first \":\")"),
        None => format!("address \"{}\" {user} {wrong}", printable(address)),
    }
}
