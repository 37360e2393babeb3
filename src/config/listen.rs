//! `listen`, and the sockets that all of them make together.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gatepost_conf::{address, value};
use gatepost_proto::Protocol;

use super::call::{Call, Found, Outcome};
use super::settings::{Given, MailSettings};
use super::{Endpoint, Keepalive, Server, Socket, SocketOptions, tls};
use crate::addr::Address;

/// One address of one `listen`.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// It is to have a socket of its own (`bind`, or a parameter that implies it).
    pub bind: bool,
    /// Parameters of the socket.
    pub options: SocketOptions,
    /// `proxy_protocol`
    pub proxy_protocol: bool,
}

/// The `listen` directive.
pub fn directive(server: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    server.listen_seen = true;
    let text = &call.args[0];
    let parsed = address::parse(text, address::Form::Listen)
        .and_then(|written| call.resolve(&written).map(|found| (found, written.ports)));
    let (found, ports) = match parsed {
        Ok(parsed) => parsed,
        Err(reason) => {
            if server.protocol == Given::Absent {
                server.protocol = Given::Bad;
            }
            return Err(format!("{reason} in \"{text}\" of the \"listen\" directive"));
        }
    };
    // nginx takes port 0 where none is written: the system chooses one.
    let ports = ports.unwrap_or(0..=0);
    if matches!(server.protocol, Given::Absent | Given::Bad)
        && let Some(protocol) = protocol_of_port(*ports.start())
    {
        server.protocol = Given::Good(protocol);
    }
    let parameters = parameters(&call.args[1..])?;
    for address in addresses(&found, ports) {
        if call.listening.contains(&address) {
            return Err(format!("duplicate \"{address}\" address and port pair"));
        }
        call.listening.push(address.clone());
        server.listens.push(Listen { address, ..parameters.clone() });
    }
    Ok(())
}

fn protocol_of_port(port: u16) -> Option<Protocol> {
    match port {
        143 | 993 => Some(Protocol::Imap),
        110 | 995 => Some(Protocol::Pop3),
        25 | 465 | 587 => Some(Protocol::Smtp),
        _ => None,
    }
}

/// Every address with every port.
fn addresses(found: &Found, ports: std::ops::RangeInclusive<u16>) -> Vec<Address> {
    match found {
        Found::Unix(path) => vec![Address::Unix(path.clone())],
        Found::Ip(ips) => {
            let of = |ip: &IpAddr| ports.clone().map(|port| Address::Ip((*ip, port).into())).collect::<Vec<_>>();
            ips.iter().flat_map(of).collect()
        }
    }
}

/// Reads the parameters; the address in what it gives is none yet.
fn parameters(args: &[String]) -> Outcome<Listen> {
    let mut listen = Listen {
        address: Address::Unix("".into()),
        bind: false,
        options: SocketOptions {
            backlog: 511,
            rcvbuf: None,
            sndbuf: None,
            ipv6only: true,
            multipath: false,
            keepalive: None,
        },
        proxy_protocol: false,
    };
    for text in args {
        match text.as_str() {
            "proxy_protocol" => listen.proxy_protocol = true,
            "ssl" => tls::listen()?,
            _ => {
                socket_parameter(&mut listen.options, text)?;
                listen.bind = true;
            }
        }
    }
    Ok(listen)
}

fn socket_parameter(options: &mut SocketOptions, text: &str) -> Outcome {
    let (name, operand) = text.split_once('=').map_or((text, None), |(name, operand)| (name, Some(operand)));
    match (name, operand) {
        ("bind", None) => {}
        ("multipath", None) => options.multipath = true,
        ("backlog", Some(operand)) => {
            let backlog = value::number(operand).filter(|backlog| *backlog != 0);
            let backlog = backlog.ok_or_else(|| format!("invalid backlog \"{text}\""))?;
            options.backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        }
        ("rcvbuf", Some(operand)) => options.rcvbuf = Some(buffer(name, operand, text)?),
        ("sndbuf", Some(operand)) => options.sndbuf = Some(buffer(name, operand, text)?),
        ("ipv6only", Some("on")) => options.ipv6only = true,
        ("ipv6only", Some("off")) => options.ipv6only = false,
        // nginx looks at what follows `ipv6only=o` only.
        ("ipv6only", Some(operand)) if operand.starts_with('o') => {
            return Err(format!("invalid ipv6only flags \"{operand}\""));
        }
        ("so_keepalive", Some(operand)) => {
            options.keepalive =
                Some(keepalive(operand).ok_or_else(|| format!("invalid so_keepalive value: \"{operand}\""))?);
        }
        _ => return Err(format!("invalid parameter \"{text}\"")),
    }
    Ok(())
}

fn buffer(name: &str, operand: &str, text: &str) -> Outcome<usize> {
    let size = value::size(operand).and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| format!("invalid {name} \"{text}\""))
}

/// `on`, `off` or `idle:interval:count`, where each may be missing but not all.
fn keepalive(text: &str) -> Option<Keepalive> {
    match text {
        "on" => return Some(Keepalive::On { idle: None, interval: None, count: None }),
        "off" => return Some(Keepalive::Off),
        _ => {}
    }
    let mut parts = text.splitn(3, ':');
    let idle = keepalive_time(parts.next().unwrap_or(""))?;
    let interval = keepalive_time(parts.next().unwrap_or(""))?;
    let count = match parts.next().unwrap_or("") {
        "" => None,
        count => value::number(count).map(|count| Some(u32::try_from(count).unwrap_or(u32::MAX)))?,
    }
    .filter(|count| *count != 0);
    let any = idle.is_some() || interval.is_some() || count.is_some();
    any.then_some(Keepalive::On { idle, interval, count })
}

/// None if it is wrong; a missing or zero time stays the system's.
fn keepalive_time(text: &str) -> Option<Option<Duration>> {
    match text {
        "" => Some(None),
        text => value::seconds(text).map(|time| Some(time).filter(|time| !time.is_zero())),
    }
}

/// The sockets for all `listen`s, grouped by port: where one of them is on the wildcard address, it alone is bound, and
/// takes the connections of the others on that port as well, except for those that ask for a socket of their own.
pub fn sockets(servers: &[(Vec<Listen>, Arc<Server>)]) -> Vec<Socket> {
    let mut ports: Vec<Port<'_>> = Vec::new();
    for (listens, server) in servers {
        for listen in listens {
            let key = PortKey::of(&listen.address);
            match ports.iter_mut().find(|port| port.key == key) {
                Some(port) => port.listens.push((listen, server)),
                None => ports.push(Port { key, listens: vec![(listen, server)] }),
            }
        }
    }
    ports.into_iter().flat_map(Port::sockets).collect()
}

/// What the `listen`s of one port have in common.
#[derive(PartialEq, Eq)]
enum PortKey {
    V4(u16),
    V6(u16),
    Unix,
}

impl PortKey {
    fn of(address: &Address) -> PortKey {
        match address {
            Address::Ip(address) if address.is_ipv4() => PortKey::V4(address.port()),
            Address::Ip(address) => PortKey::V6(address.port()),
            Address::Unix(_) => PortKey::Unix,
        }
    }
}

struct Port<'a> {
    key: PortKey,
    listens: Vec<(&'a Listen, &'a Arc<Server>)>,
}

impl Port<'_> {
    fn sockets(self) -> Vec<Socket> {
        let is_wildcard = |listen: &Listen| listen.address.ip().is_some_and(|ip| ip.is_unspecified());
        let (wildcard, others): (Vec<_>, Vec<_>) = self.listens.into_iter().partition(|(l, _)| is_wildcard(l));
        let (own, shared): (Vec<_>, Vec<_>) = others.into_iter().partition(|(l, _)| l.bind || wildcard.is_empty());
        let mut sockets: Vec<Socket> = own.into_iter().map(|one| socket(one.0, &[one])).collect();
        if let Some(last) = wildcard.first() {
            let endpoints: Vec<_> = shared.into_iter().chain([*last]).collect();
            sockets.push(socket(last.0, &endpoints));
        }
        sockets
    }
}

fn socket(bound: &Listen, arrivals: &[(&Listen, &Arc<Server>)]) -> Socket {
    let endpoint = |(listen, server): &(&Listen, &Arc<Server>)| {
        Arc::new(Endpoint {
            address: listen.address.clone(),
            text: listen.address.to_string(),
            proxy_protocol: listen.proxy_protocol,
            server: Arc::clone(server),
        })
    };
    Socket {
        address: bound.address.clone(),
        options: bound.options.clone(),
        endpoints: arrivals.iter().map(endpoint).collect(),
    }
}
