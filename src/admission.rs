//! Whether a client may come in: `allow` and `deny`, `limit_conn`.

use gatepost_proto::Refusal;

use crate::config::limits::access;
use crate::config::limits::connections::Key;
use crate::session::{Ended, Session};
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
            let refused = match zone.take(&value, limit.most) {
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
