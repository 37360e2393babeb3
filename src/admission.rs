//! Whether a client may come in: `allow` and `deny`, `limit_conn`, `limit_login`.

use std::time::Duration;

use gatepost_proto::{Attempt, Method, Refusal, Rejection};

use crate::config::limits::access;
use crate::config::limits::connections::Key;
use crate::config::limits::logins::By;
use crate::event_loop::time::now;
use crate::log::Level;
use crate::logins::Sentence;
use crate::session::{Ended, Front, Session};
use crate::zones::{Places, Refused, Value};

impl Session {
    /// Lets the client in, or not, by the rules of the server that it has come to. Those of a server that it came to before
    /// count no longer.
    pub async fn admit(&mut self) -> Result<(), Ended> {
        if !access::admits(&self.service.conf.limits.access, &self.client.address) {
            return Err(self.turn_away(Refusal::Denied).await);
        }
        self.permit.places = Places::default();
        self.take_places(None).await
    }

    /// The same for a user whose login is good.
    pub async fn admit_user(&mut self, user: &[u8]) -> Result<(), Ended> {
        if user.is_empty() || self.service.connections.is_empty() {
            return Ok(());
        }
        self.take_places(Some(&user.to_ascii_lowercase())).await
    }

    /// Makes the client wait, or turns it away, if too many logins have failed.
    pub async fn weigh(&mut self, front: &mut Front, attempt: &Attempt) -> Result<(), Ended> {
        let service = self.service.clone();
        let guard = service.failed_logins.as_ref().filter(|_| attempt.method != Method::None);
        self.attempt = None;
        let Some(guard) = guard else { return Ok(()) };
        let mut attempt = guard.attempt(&self.client.address, &attempt.user);
        if self.is_behind_a_proxy() {
            attempt = attempt.of_login_alone();
        }
        let mut sentence = guard.judge(&attempt, now());
        if let Sentence::Wait(time) = sentence {
            self.log.write_seldom(&service.seldom, Level::Warn, "delaying logins from an address that fails too often");
            self.keep_waiting(front.machine(), time).await?;
            // Others may have failed meanwhile.
            sentence = guard.judge(&attempt, now());
        }
        let message = match sentence {
            Sentence::Ask | Sentence::Wait(_) => {
                attempt.asked = Some(now());
                self.attempt = Some(attempt);
                return Ok(());
            }
            Sentence::Refuse(By::Address) => "refusing logins from an address that fails too often",
            Sentence::Refuse(By::Login) => "refusing logins of a user that fails too often",
        };
        Err(self.turn_away_as(Refusal::FailedLogins, Level::Error, message).await)
    }

    /// Counts a failure, and tells how long to wait with the news. A failure for the time being is none: the authentication
    /// server says so by a code of SMTP.
    pub fn count_failure(&mut self, rejection: &Rejection) -> Duration {
        if rejection.code.as_ref().is_some_and(|code| code.starts_with(b"4")) {
            self.nobody_is_asked();
        }
        self.count_bad_login()
    }

    /// The same, whoever said that the login is bad, if that is somebody who was asked.
    pub fn count_bad_login(&mut self) -> Duration {
        let Some((guard, attempt)) = self.service.failed_logins.as_ref().zip(self.attempt.as_mut()) else {
            return Duration::ZERO;
        };
        if attempt.asked.take().is_none() {
            return Duration::ZERO;
        }
        let Some(delay) = guard.failed(attempt, now()) else { return Duration::ZERO };
        let message = "delaying the answer to a user that fails too often";
        self.log.write_seldom(&self.service.seldom, Level::Warn, message);
        delay
    }

    /// From now on nobody says anything of the client's password.
    pub fn nobody_is_asked(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.asked = None;
        }
    }

    /// The client has left: whether that counts as a failure is seen from whom was asked, and when.
    pub fn count_abandoned(&self) {
        if let (Some(guard), Some(attempt)) = (&self.service.failed_logins, self.attempt) {
            guard.abandoned(&attempt, now());
        }
    }

    /// The mail server has let the user in, who is called so there.
    pub fn count_success(&self, user: &[u8]) {
        if let (Some(guard), Some(attempt)) = (&self.service.failed_logins, self.attempt) {
            guard.succeeded(&attempt, &self.client.address, user, now());
        }
    }

    /// Takes the places of a user, or else those of the connection.
    async fn take_places(&mut self, user: Option<&[u8]>) -> Result<(), Ended> {
        let service = self.service.clone();
        let limits = &service.conf.limits;
        for (zone, limit) in service.connections.iter().zip(&limits.connections) {
            let value = match (zone.key(), user) {
                (Key::Address { ipv4, ipv6 }, None) => Value::of_address(&self.client.address, ipv4, ipv6),
                (Key::Server, None) => Value::Name(&service.conf.server_name),
                (Key::User, Some(user)) => Value::User(user),
                _ => continue,
            };
            let refused = match zone.take(&value, limit) {
                Ok(place) => {
                    self.permit.places.add(place);
                    continue;
                }
                Err(refused) => refused,
            };
            let dry_run = if limits.connections_dry_run { ", dry run," } else { "" };
            let full = if refused == Refused::Full { ", which is full" } else { "" };
            let message = format!("limiting connections{dry_run} by zone \"{}\"{full}", limit.zone.name);
            let level = limits.connections_log_level;
            if !limits.connections_dry_run {
                return Err(self.turn_away_as(Refusal::Connections, level, &message).await);
            }
            self.log.write_seldom(&service.seldom, level, &message);
        }
        Ok(())
    }
}
