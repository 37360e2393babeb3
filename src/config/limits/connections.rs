//! `limit_conn_zone` and `limit_conn`, with nginx's syntax and messages. Of its variables there are those that mean
//! something to a mail proxy, one for a zone.

use gatepost_conf::value;

use crate::config::call::{Call, Outcome};
use crate::config::diagnostic::{Diagnostics, Place};
use crate::config::merge::Mail;
use crate::config::settings::MailSettings;
use crate::log::Level;

/// By what connections are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// `$binary_remote_addr` or `$remote_addr`: the client's address, as far as these prefixes go, bits.
    Address {
        /// `ipv4_prefix=` (32)
        ipv4: u8,
        /// `ipv6_prefix=` (64): who has one address of a network has all of them.
        ipv6: u8,
    },
    /// `$remote_user`: the user that is logged in.
    User,
    /// `$server_name`
    Server,
}

impl Key {
    /// As the configuration names it.
    fn name(self) -> &'static str {
        match self {
            Key::Address { .. } => "$binary_remote_addr",
            Key::User => "$remote_user",
            Key::Server => "$server_name",
        }
    }
}

/// `limit_conn_zone`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// How much memory it may take, bytes.
    pub size: usize,
    /// By what it counts.
    pub key: Key,
}

/// `limit_conn`
#[derive(Debug, Clone)]
pub struct Limit {
    /// Where it counts.
    pub zone: Zone,
    /// How many there may be.
    pub most: u32,
}

/// `limit_conn` as it is set.
#[derive(Debug, Clone)]
pub struct Wanted {
    zone: String,
    most: u32,
    place: Place,
}

/// The zones of `mail`.
#[derive(Debug, Default)]
pub struct Zones {
    list: Vec<Zone>,
    /// One was given and not understood, so that a name that is unknown may be its.
    unclear: bool,
}

/// `limit_conn_zone key zone=name:size [ipv4_prefix=number] [ipv6_prefix=number];`
pub fn zone(zones: &mut Zones, call: &mut Call<'_>) -> Outcome {
    let outcome = super::each_once(call).and_then(|()| read_zone(&zones.list, call));
    zones.unclear |= outcome.is_err();
    zones.list.push(outcome?);
    Ok(())
}

fn read_zone(known: &[Zone], call: &Call<'_>) -> Outcome<Zone> {
    let (mut name_and_size, mut ipv4, mut ipv6) = (None, None, None);
    for text in &call.args[1..] {
        match text.split_once('=') {
            Some(("zone", rest)) => name_and_size = Some(name_and_size_of(text, rest, call)?),
            Some(("ipv4_prefix", bits)) => ipv4 = Some(prefix(text, bits, 32)?),
            Some(("ipv6_prefix", bits)) => ipv6 = Some(prefix(text, bits, 128)?),
            _ => return Err(format!("invalid parameter \"{text}\"")),
        }
    }
    let (name, size) = name_and_size.ok_or_else(|| format!("\"{}\" must have \"zone\" parameter", call.name))?;
    if let Some(zone) = known.iter().find(|zone| zone.name == name) {
        return Err(format!("{} \"{name}\" is already bound to key \"{}\"", call.name, zone.key.name()));
    }
    let key = match call.args[0].as_str() {
        "$binary_remote_addr" | "$remote_addr" => {
            return Ok(Zone { name, size, key: Key::Address { ipv4: ipv4.unwrap_or(32), ipv6: ipv6.unwrap_or(64) } });
        }
        "$remote_user" => Key::User,
        "$server_name" => Key::Server,
        other => {
            let known = "\"$binary_remote_addr\", \"$remote_addr\", \"$remote_user\" or \"$server_name\"";
            return Err(format!("unknown key \"{other}\" in \"{}\" directive, it must be {known}", call.name));
        }
    };
    if ipv4.or(ipv6).is_some() {
        return Err(call.wrong("has a prefix, which only \"$binary_remote_addr\" and \"$remote_addr\" have"));
    }
    Ok(Zone { name, size, key })
}

/// As in nginx: eight pages at least.
fn name_and_size_of(text: &str, rest: &str, call: &Call<'_>) -> Outcome<(String, usize)> {
    const FEWEST_PAGES: usize = 8;
    let invalid = || format!("invalid zone size \"{text}\"");
    let (name, size) = rest.split_once(':').ok_or_else(invalid)?;
    let size = value::size(size).and_then(|size| usize::try_from(size).ok()).ok_or_else(invalid)?;
    match size < FEWEST_PAGES * call.system.page_size() {
        true => Err(format!("zone \"{text}\" is too small")),
        false => Ok((name.to_string(), size)),
    }
}

/// A length of a prefix, from 1 to `most` bits.
pub fn prefix(text: &str, bits: &str, most: u8) -> Outcome<u8> {
    let bits = value::number(bits).and_then(|bits| u8::try_from(bits).ok()).filter(|bits| (1..=most).contains(bits));
    bits.ok_or_else(|| format!("invalid prefix length \"{text}\", it must be from 1 to {most}"))
}

/// `limit_conn zone number;`
pub fn limit(limits: &mut Vec<Wanted>, call: &mut Call<'_>) -> Outcome {
    const MOST: u64 = 65535;
    let (zone, number) = (&call.args[0], &call.args[1]);
    if limits.iter().any(|limit| limit.zone == *zone) {
        return Err(call.wrong("is duplicate"));
    }
    let most = value::number(number).filter(|most| *most > 0);
    let most = most.ok_or_else(|| format!("invalid number of connections \"{number}\""))?;
    if most > MOST {
        return Err("connection limit must be less 65536".to_string());
    }
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    limits.push(Wanted { zone: zone.clone(), most, place: call.place.clone() });
    Ok(())
}

/// `limit_conn_log_level`
pub const LOG_LEVELS: &[(&str, Level)] =
    &[("info", Level::Info), ("notice", Level::Notice), ("warn", Level::Warn), ("error", Level::Error)];

/// Finds limits whose zone is nowhere.
pub fn check(mail: &Mail<'_>, diagnostics: &mut Diagnostics) {
    let zones = &mail.mail.limits.zones;
    let blocks = mail.servers.iter().chain([mail.mail]);
    for limit in blocks.flat_map(|block| &block.limits.connections) {
        if !zones.unclear && !mail.mail.tainted && find(zones, limit).is_none() {
            let name = &limit.zone;
            let message = format!("unknown zone \"{name}\" in \"limit_conn\": no \"limit_conn_zone\" has that name");
            diagnostics.error(&limit.place, message);
        }
    }
}

/// The limits of a server.
pub fn in_force(mail: &Mail<'_>, own: &MailSettings) -> Vec<Limit> {
    let outer = &mail.mail.limits;
    let wanted = if own.limits.connections.is_empty() { &outer.connections } else { &own.limits.connections };
    let limit = |wanted: &Wanted| Some(Limit { zone: find(&outer.zones, wanted)?.clone(), most: wanted.most });
    wanted.iter().filter_map(limit).collect()
}

fn find<'z>(zones: &'z Zones, wanted: &Wanted) -> Option<&'z Zone> {
    zones.list.iter().find(|zone| zone.name == wanted.zone)
}
