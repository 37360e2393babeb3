//! `listen`, and the sockets that all of them make together.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gatepost_conf::{address, value};
use gatepost_proto::Protocol;

use super::call::{Call, Found, Outcome};
use super::diagnostic::Place;
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
    /// `ssl`
    pub ssl: bool,
    /// Where the directive stands.
    pub place: Place,
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
    let parameters = parameters(&call.args[1..], &call.place)?;
    if parameters.ssl {
        tls::server::listen(server, call);
    }
    for address in addresses(&found, ports) {
        if server.listens.iter().any(|earlier| earlier.address == address) {
            return Err(duplicate(&address));
        }
        server.listens.push(Listen { address, ..parameters.clone() });
    }
    Ok(())
}

/// What is wrong with a second `listen` on an address.
pub fn duplicate(address: &Address) -> String {
    format!("duplicate \"{address}\" address and port pair")
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
fn parameters(args: &[String], place: &Place) -> Outcome<Listen> {
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
        ssl: false,
        place: place.clone(),
    };
    for text in args {
        match text.as_str() {
            "proxy_protocol" => listen.proxy_protocol = true,
            "ssl" => listen.ssl = true,
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

/// A server and its `listen`s.
pub struct Listening {
    /// Its `listen`s.
    pub listens: Vec<Listen>,
    /// `ssl on`: they all have TLS.
    pub ssl: bool,
    /// The server.
    pub server: Arc<Server>,
}

/// The sockets for all `listen`s, grouped by port: where one of them is on the wildcard address, it alone is bound, and
/// takes the connections of the others on that port as well, except for those that ask for a socket of their own.
pub fn sockets(servers: &[Listening]) -> Vec<Socket> {
    let mut ports: Vec<Port<'_>> = Vec::new();
    for arrival in arrivals(servers) {
        let key = PortKey::of(&arrival.listen.address);
        match ports.iter_mut().find(|port| port.key == key) {
            Some(port) => port.arrivals.push(arrival),
            None => ports.push(Port { key, arrivals: vec![arrival] }),
        }
    }
    ports.into_iter().flat_map(Port::sockets).collect()
}

/// A `listen`, with the servers that share its address.
struct Arrival<'a> {
    listen: &'a Listen,
    ssl: bool,
    server: &'a Arc<Server>,
    others: Vec<Arc<Server>>,
}

/// One for each address, in the order of the first `listen`s there. The parameters are those of the `listen` that has
/// some.
fn arrivals(servers: &[Listening]) -> Vec<Arrival<'_>> {
    let mut arrivals: Vec<Arrival<'_>> = Vec::new();
    for Listening { listens, ssl, server } in servers {
        for listen in listens {
            match arrivals.iter_mut().find(|arrival| arrival.listen.address == listen.address) {
                Some(arrival) => {
                    arrival.others.push(Arc::clone(server));
                    if listen.bind {
                        arrival.listen = listen;
                    }
                }
                None => arrivals.push(Arrival { listen, ssl: *ssl || listen.ssl, server, others: Vec::new() }),
            }
        }
    }
    arrivals
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
    arrivals: Vec<Arrival<'a>>,
}

impl Port<'_> {
    fn sockets(self) -> Vec<Socket> {
        let is_wildcard = |one: &Arrival<'_>| one.listen.address.ip().is_some_and(|ip| ip.is_unspecified());
        let (mut wildcard, others): (Vec<_>, Vec<_>) = self.arrivals.into_iter().partition(is_wildcard);
        let (own, shared): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|one| one.listen.bind || wildcard.is_empty());
        let mut sockets: Vec<Socket> = own.into_iter().map(|one| socket(one.listen, &[one])).collect();
        if let Some(last) = wildcard.pop() {
            let bound = last.listen;
            let arrivals: Vec<_> = shared.into_iter().chain([last]).collect();
            sockets.push(socket(bound, &arrivals));
        }
        sockets
    }
}

fn socket(bound: &Listen, arrivals: &[Arrival<'_>]) -> Socket {
    let endpoint = |arrival: &Arrival<'_>| {
        Arc::new(Endpoint {
            address: arrival.listen.address.clone(),
            text: arrival.listen.address.to_string(),
            proxy_protocol: arrival.listen.proxy_protocol,
            ssl: arrival.ssl,
            server: Arc::clone(arrival.server),
            others: arrival.others.clone(),
        })
    };
    Socket {
        address: bound.address.clone(),
        options: bound.options.clone(),
        endpoints: arrivals.iter().map(endpoint).collect(),
    }
}
