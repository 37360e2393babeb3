//! `limit_login` and `limit_login_exempt`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use gatepost_conf::value;

use super::connections::prefix;
use super::each_once;
use crate::config::Network;
use crate::config::call::{Call, Outcome};
use crate::config::setters::network;

/// By what failures are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The client's address.
    Address,
    /// The user name as the client gives it.
    Login,
}

/// How many failures there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `delay=`: from so many on, there is a delay.
    pub delay: Option<u32>,
    /// `refuse=`: from so many on, nobody is asked any more.
    pub refuse: Option<u32>,
    /// `within=`: the time in which they are counted.
    pub within: Duration,
}

/// `limit_login address`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressLimit {
    /// How many.
    pub limit: Limit,
    /// `ipv4_prefix=`: how much of an address counts, bits.
    pub ipv4: u8,
    /// `ipv6_prefix=`
    pub ipv6: u8,
}

const TEN_MINUTES: Duration = Duration::from_secs(600);

const BY_ADDRESS: AddressLimit =
    AddressLimit { limit: Limit { delay: Some(10), refuse: Some(100), within: TEN_MINUTES }, ipv4: 32, ipv6: 64 };

const BY_LOGIN: Limit = Limit { delay: Some(5), refuse: None, within: TEN_MINUTES };

/// What is in force for a server.
#[derive(Debug)]
pub struct FailedLogins {
    /// By address, unless `off`.
    pub address: Option<AddressLimit>,
    /// By login, unless `off`.
    pub login: Option<Limit>,
    /// `limit_login_exempt`: who is not counted by address.
    pub exempt: Vec<Network>,
}

/// The same as it is set; `Some(None)` is `off`.
#[derive(Debug, Default)]
pub struct Settings {
    address: Option<Option<AddressLimit>>,
    login: Option<Option<Limit>>,
    exempt: Option<Vec<Network>>,
}

/// `limit_login off;`, `limit_login address|login off|[delay=] [refuse=] [within=] ...;`
pub fn directive(settings: &mut Settings, call: &mut Call<'_>) -> Outcome {
    each_once(call)?;
    let off = matches!(call.args.get(1), Some(text) if text == "off" && call.args.len() == 2);
    match call.args[0].as_str() {
        "off" if call.args.len() == 1 => {
            call.once(&settings.address)?;
            call.once(&settings.login)?;
            (settings.address, settings.login) = (Some(None), Some(None));
        }
        "address" => {
            call.once(&settings.address)?;
            settings.address = Some(if off { None } else { Some(by_address(call)?) });
        }
        "login" => {
            call.once(&settings.login)?;
            settings.login = Some(if off { None } else { Some(by_login(call)?) });
        }
        _ => {
            let text = call.args.join(" ");
            return Err(format!(
                "invalid value \"{text}\", it must begin with \"address\" or \"login\", or be \"off\""
            ));
        }
    }
    Ok(())
}

fn by_address(call: &mut Call<'_>) -> Outcome<AddressLimit> {
    let mut by = BY_ADDRESS;
    for text in &call.args[1..] {
        match text.split_once('=') {
            Some(("ipv4_prefix", bits)) => by.ipv4 = prefix(text, bits, 32)?,
            Some(("ipv6_prefix", bits)) => by.ipv6 = prefix(text, bits, 128)?,
            _ => set(&mut by.limit, text, || {
                unknown(call, text, "\"delay=\", \"refuse=\", \"within=\", \"ipv4_prefix=\" or \"ipv6_prefix=\"")
            })?,
        }
    }
    warn_of_delay(call, &by.limit);
    Ok(by)
}

fn by_login(call: &mut Call<'_>) -> Outcome<Limit> {
    let mut limit = BY_LOGIN;
    for text in &call.args[1..] {
        set(&mut limit, text, || unknown(call, text, "\"delay=\", \"refuse=\" or \"within=\""))?;
    }
    warn_of_delay(call, &limit);
    Ok(limit)
}

fn unknown(call: &Call<'_>, text: &str, known: &str) -> String {
    format!("invalid parameter \"{text}\" in \"{} {}\" directive, it must be {known}", call.name, call.args[0])
}

/// Warns of a `delay=` that comes too late to be.
fn warn_of_delay(call: &mut Call<'_>, limit: &Limit) {
    let args = call.args;
    let given = args.iter().find(|text| text.starts_with("delay="));
    if let (Some(given), Some(delay), Some(refuse)) = (given, limit.delay, limit.refuse)
        && refuse <= delay
    {
        let (name, by) = (call.name, &args[0]);
        call.warn(format!("\"{given}\" has no effect in \"{name} {by}\": from \"refuse={refuse}\" on nobody is asked"));
    }
}

fn set(limit: &mut Limit, text: &str, unknown: impl FnOnce() -> String) -> Outcome {
    match text.split_once('=') {
        Some(("delay", number)) => limit.delay = count(text, number)?,
        Some(("refuse", number)) => limit.refuse = count(text, number)?,
        Some(("within", time)) => {
            let time = value::seconds(time).filter(|time| (MIN_WITHIN..=MAX_WITHIN).contains(time));
            limit.within = time.ok_or_else(|| format!("invalid time \"{text}\", it must be from 1s to 1d"))?;
        }
        _ => return Err(unknown()),
    }
    Ok(())
}

const MIN_WITHIN: Duration = Duration::from_secs(1);
const MAX_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

fn count(text: &str, number: &str) -> Outcome<Option<u32>> {
    /// The tables count no further.
    const MOST: u64 = 65535;
    if number == "off" {
        return Ok(None);
    }
    let number = value::number(number).filter(|number| (1..=MOST).contains(number));
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.map(Some).ok_or_else(|| format!("invalid number \"{text}\", it must be from 1 to {MOST}, or \"off\""))
}

/// `limit_login_exempt address|CIDR|unix:;`, which repeats, or `off`.
pub fn exempt(settings: &mut Settings, call: &mut Call<'_>) -> Outcome {
    let text = &call.args[0];
    if text == "off" {
        call.once(&settings.exempt)?;
        settings.exempt = Some(Vec::new());
        return Ok(());
    }
    let network = network(call, text)
        .ok_or_else(|| format!("invalid parameter \"{text}\", it must be an address, CIDR, \"unix:\" or \"off\""))?;
    if matches!(&settings.exempt, Some(off) if off.is_empty()) {
        return Err(call.wrong("is duplicate"));
    }
    settings.exempt.get_or_insert_default().push(network);
    Ok(())
}

/// What is in force of a server's own settings and those of `mail`.
pub fn in_force(own: &Settings, mail: &Settings) -> FailedLogins {
    FailedLogins {
        address: own.address.or(mail.address).unwrap_or(Some(BY_ADDRESS)),
        login: own.login.or(mail.login).unwrap_or(Some(BY_LOGIN)),
        exempt: own.exempt.as_ref().or(mail.exempt.as_ref()).cloned().unwrap_or_else(this_machine),
    }
}

/// Webmail and proxies on this machine: whoever fails there is somebody else.
fn this_machine() -> Vec<Network> {
    vec![
        Network::Ip { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 },
        Network::Ip { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
        Network::Unix,
    ]
}
