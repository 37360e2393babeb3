//! `auth_users_file`: names, passwords and mail servers in a file, no authentication server needed.
//!
//! Who guesses learns nothing: a wrong user and a wrong password get the same answer after the same time, since every
//! failure costs the hashing of the password in each way, and at each cost, that the file has. Failures are told after
//! [`FAILURE_DELAY`], then the client may try again, as often as the deadline before login allows.
//!
//! Gaps: the file is read when Gatepost starts, not when it changes; EXTERNAL is refused, since it needs a verified
//! client certificate.

mod challenge;
mod file;
mod hashing;
#[cfg(test)]
mod hostile;
mod passwd;
mod password;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatepost_conf::Files;
use gatepost_proto::{Attempt, Method, Rejection, Secret};

use self::file::{Server, User, Users};
pub use self::hashing::{Hashing, processors};
pub use self::passwd::passwd_command;
use self::password::Password;
use super::{AuthError, OpenError, Request, Route, Verdict};
use crate::addr::Address;
use crate::config::MailServer;

/// How long a client waits for the news that its login failed.
const FAILURE_DELAY: Duration = Duration::from_secs(1);

/// What it is told.
const FAILURE: &str = "Invalid login or password";

/// A users file in force for one server block.
#[derive(Debug)]
pub struct Directory {
    users: Users,
    /// `proxy_pass`: the mail server of clients that do not log in.
    proxy_pass: Option<MailServer>,
    /// The port of a mail server where a line names none.
    port: u16,
    hashing: Arc<Hashing>,
}

impl Directory {
    pub(super) fn open(
        path: &Path,
        proxy_pass: Option<MailServer>,
        port: u16,
        hashing: Arc<Hashing>,
        files: &dyn Files,
    ) -> Result<Directory, OpenError> {
        let bytes = files.read(path).map(Secret::new).map_err(|error| OpenError {
            messages: vec![format!("open() \"{}\" failed ({})", path.display(), super::os_error(&error))],
        })?;
        let users = Users::parse(path, bytes.expose(), proxy_pass.as_ref());
        let users = users.map_err(|messages| OpenError { messages })?;
        Ok(Directory { users, proxy_pass, port, hashing })
    }

    pub(super) async fn authenticate(&self, request: &Request<'_>) -> Result<Verdict, AuthError> {
        let attempt = request.attempt;
        let user = self.users.find(&attempt.user);
        let password = match attempt.method {
            Method::None => return self.anybody(),
            Method::Plain => self.check(user, &attempt.password).await?.then(|| attempt.password.clone()),
            Method::Apop | Method::CramMd5 => check_digest(user, attempt),
            Method::External => None,
        };
        match (user, password) {
            (Some(user), Some(password)) => Ok(welcome(user, self.port, attempt, password)),
            _ => Ok(failure()),
        }
    }

    /// Where clients go that do not log in.
    fn anybody(&self) -> Result<Verdict, AuthError> {
        let to = self.proxy_pass.clone().ok_or(AuthError::NoProxyPass)?;
        Ok(Verdict::Accept(route(to, Vec::new(), None)))
    }

    async fn check(&self, user: Option<&User>, candidate: &Secret) -> Result<bool, AuthError> {
        let check = Check::new(&self.users, user);
        if check.is_cheap() {
            return Ok(check.run(candidate));
        }
        let candidate = candidate.clone();
        self.hashing.run(move || check.run(&candidate)).await
    }
}

/// The work that one password costs.
struct Check {
    /// What it is compared with, if the user exists.
    password: Option<Arc<Password>>,
    /// What is hashed for nothing if it is wrong, so that all failures cost the same.
    decoys: Vec<Arc<Password>>,
}

impl Check {
    fn new(users: &Users, user: Option<&User>) -> Check {
        let password = user.map(|user| user.password.clone());
        let cost = password.as_ref().and_then(|password| password.cost());
        let decoys = users.decoys().iter().filter(|decoy| decoy.cost() != cost).cloned().collect();
        Check { password, decoys }
    }

    /// Whether there is nothing to hash.
    fn is_cheap(&self) -> bool {
        self.decoys.is_empty() && self.password.as_ref().is_none_or(|password| password.cost().is_none())
    }

    fn run(&self, candidate: &Secret) -> bool {
        let good = self.password.as_ref().is_some_and(|password| password.verify(candidate.expose()));
        if !good {
            for decoy in &self.decoys {
                std::hint::black_box(decoy.verify(candidate.expose()));
            }
        }
        good
    }
}

/// The password behind the digest of an APOP or CRAM-MD5 login, if it is right. Without a user, or with a user whose
/// password is hashed, the same digest is computed of something else.
fn check_digest(user: Option<&User>, attempt: &Attempt) -> Option<Secret> {
    let nothing = Secret::default();
    let known = user.and_then(|user| user.password.plain());
    let salt = attempt.salt.as_deref().unwrap_or_default();
    let good = challenge::verify(attempt.method, salt, known.unwrap_or(&nothing), attempt.password.expose());
    known.filter(|_| good && !salt.is_empty()).cloned()
}

fn welcome(user: &User, port: u16, attempt: &Attempt, password: Secret) -> Verdict {
    let to = match &user.server {
        Server::Known(to) => to.clone(),
        Server::AnyPort(ip) => Address::Ip((*ip, port).into()).into(),
    };
    Verdict::Accept(route(to, attempt.user.clone(), Some(password)))
}

fn route(to: MailServer, user: Vec<u8>, password: Option<Secret>) -> Route {
    let MailServer { address, host } = to;
    let name = address.to_string();
    Route { address, alternatives: Vec::new(), tls: None, verify_name: host, name, user, password }
}

fn failure() -> Verdict {
    Verdict::Reject { rejection: Rejection { text: FAILURE.into(), code: None }, wait: FAILURE_DELAY }
}

#[cfg(test)]
mod tests;
