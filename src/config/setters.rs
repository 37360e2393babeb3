//! The setters that belong to one directive.

use gatepost_conf::address::{self, Form, Host};
use gatepost_conf::value;
use gatepost_proto::{Mechanisms, Protocol};

use super::call::{Call, Outcome};
use super::settings::{AuthChoice, Dialect, Given, MailSettings, MainSettings, ProxyPass, ProxyTarget};
use super::{Network, Resolver};
use crate::addr::Address;

/// `user name [group];`
pub fn user(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    call.once(&main.user)?;
    if !call.system.is_root() {
        call.warn(
            "the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored",
        );
        return Ok(());
    }
    let name = &call.args[0];
    if !call.system.has_user(name) {
        return Err(format!("getpwnam(\"{name}\") failed"));
    }
    let group = call.args.get(1);
    let group_name = group.unwrap_or(name);
    if !call.system.has_group(group_name) {
        return Err(format!("getgrnam(\"{group_name}\") failed"));
    }
    main.user = Some((name.clone(), Some(group_name.clone())));
    Ok(())
}

/// `worker_processes number|auto;`
pub fn worker_processes(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    let processors = call.system.processors() as u64;
    let parse = |text: &str| if text == "auto" { Some(processors) } else { value::number(text) };
    call.parsed(&mut main.worker_processes, parse)
}

/// `worker_priority number;`, with a sign or none.
pub fn worker_priority(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    call.once(&main.worker_priority)?;
    let text = &call.args[0];
    let (digits, sign) = match text.strip_prefix('-') {
        Some(digits) => (digits, -1),
        None => (text.strip_prefix('+').unwrap_or(text), 1),
    };
    let number = value::number(digits).ok_or_else(|| call.wrong("invalid number"))?;
    main.worker_priority = Some(sign * i32::try_from(number).unwrap_or(i32::MAX));
    Ok(())
}

/// `worker_connections number;`
pub fn worker_connections(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    call.once(&main.worker_connections)?;
    let text = &call.args[0];
    main.worker_connections = Some(value::number(text).ok_or_else(|| format!("invalid number \"{text}\""))?);
    Ok(())
}

/// `pid file;`, where `""` stands for the default.
pub fn pid(main: &mut MainSettings, call: &mut Call<'_>) -> Outcome {
    call.once(&main.pid)?;
    main.pid = Some(Some(&call.args[0]).filter(|name| !name.is_empty()).map(|name| call.paths.full(name)));
    Ok(())
}

/// `protocol imap|pop3|smtp;`, the last of which wins.
pub fn protocol(server: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    let text = &call.args[0];
    let protocols = [Protocol::Imap, Protocol::Pop3, Protocol::Smtp];
    match protocols.into_iter().find(|protocol| protocol.name() == text) {
        Some(protocol) => server.protocol = Given::Good(protocol),
        None => {
            server.protocol = Given::Bad;
            return Err(format!("unknown protocol \"{text}\""));
        }
    }
    Ok(())
}

/// `server_name name ...;`, where `""` stands for the host's name.
pub fn server_name(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    call.once(&mail.server_names)?;
    // What nginx's `http` takes for an expression or a wildcard.
    let no_name = |text: &&String| {
        let text = text.strip_prefix("*.").unwrap_or(text);
        text.starts_with(['~', '.']) || text.contains('*')
    };
    let args = call.args;
    for text in args.iter().filter(no_name) {
        let name = call.name;
        call.warn(format!(
            "no client asks for \"{text}\" in \"{name}\" directive, it must be a name or \"*.example.org\""
        ));
    }
    mail.server_names = Some(call.args.iter().filter(|name| !name.is_empty()).cloned().collect());
    Ok(())
}

/// `resolver address ... [valid=time] [ipv4=on|off] [ipv6=on|off];` or `off`
pub fn resolver(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    call.once(&mail.resolver)?;
    mail.resolver = Some(match call.args[0].as_str() {
        "off" => None,
        _ => Some(name_servers(call)?),
    });
    Ok(())
}

fn name_servers(call: &Call<'_>) -> Outcome<Resolver> {
    let mut resolver = Resolver { servers: Vec::new(), valid: None, ipv4: true, ipv6: true };
    for text in call.args {
        let invalid = || format!("invalid parameter: {text}");
        match text.split_once('=') {
            Some(("valid", time)) => resolver.valid = Some(value::seconds(time).ok_or_else(invalid)?),
            Some(("ipv4", flag)) => resolver.ipv4 = on_off(flag).ok_or_else(invalid)?,
            Some(("ipv6", flag)) => resolver.ipv6 = on_off(flag).ok_or_else(invalid)?,
            _ => add_name_servers(&mut resolver, text, call)?,
        }
    }
    if !resolver.ipv4 && !resolver.ipv6 {
        return Err("\"ipv4\" and \"ipv6\" cannot both be \"off\"".to_string());
    }
    if resolver.servers.is_empty() {
        return Err("no name servers defined".to_string());
    }
    Ok(resolver)
}

fn add_name_servers(resolver: &mut Resolver, text: &str, call: &Call<'_>) -> Outcome {
    const DNS_PORT: u16 = 53;
    for address in call.addresses(text, DNS_PORT, "resolver")? {
        match address {
            Address::Ip(address) => resolver.servers.push(address),
            Address::Unix(_) => return Err(format!("invalid host in resolver \"{text}\"")),
        }
    }
    Ok(())
}

/// Here case matters.
fn on_off(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// `auth_http [http://|https://]host[:port][uri];`, the last of which wins.
pub fn auth_http(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    const HTTP_PORT: u16 = 80;
    const HTTPS_PORT: u16 = 443;
    if matches!(mail.auth, Given::Good(AuthChoice::UsersFile(_))) {
        return Err(incompatible(call, "auth_users_file"));
    }
    mail.auth = Given::Bad;
    is_of_one_line(call)?;
    let url = &call.args[0];
    let (text, default_port) = match url.strip_prefix("https://") {
        Some(rest) => (rest, HTTPS_PORT),
        None => (url.strip_prefix("http://").unwrap_or(url), HTTP_PORT),
    };
    let https = default_port == HTTPS_PORT;
    let found = address::parse(text, Form::WithUri).and_then(|written| {
        let port = written.ports.as_ref().map_or(default_port, |ports| *ports.start());
        let addresses = call.resolve(&written)?.with_port(port);
        let host = if matches!(written.host, Host::Unix(_)) { "localhost" } else { written.host_text };
        let uri = if written.uri.is_empty() { "/" } else { written.uri };
        Ok(AuthChoice::Http { addresses, host: host.to_string(), uri: uri.to_string(), https })
    });
    mail.auth = Given::Good(found.map_err(|reason| format!("{reason} in auth_http \"{text}\""))?);
    Ok(())
}

/// What a request has in its lines could be more than one of them else.
fn is_of_one_line(call: &Call<'_>) -> Outcome {
    let is_control = |c: char| c.is_ascii_control() && c != '\t';
    match call.args.iter().any(|text| text.contains(is_control)) {
        true => Err(format!("control character in \"{}\"", call.name)),
        false => Ok(()),
    }
}

/// `auth_users_file file;`, relative to the directory of the configuration file.
pub fn auth_users_file(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    match &mail.auth {
        Given::Good(AuthChoice::UsersFile(_)) => return Err(call.wrong("is duplicate")),
        Given::Good(AuthChoice::Http { .. }) => return Err(incompatible(call, "auth_http")),
        Given::Absent | Given::Bad => {}
    }
    mail.auth = Given::Good(AuthChoice::UsersFile(call.paths.beside_configuration(&call.args[0])));
    Ok(())
}

fn incompatible(call: &Call<'_>, other: &str) -> String {
    call.wrong(&format!("is incompatible with \"{other}\" in the same block"))
}

/// `auth_http_header name value;`
pub fn auth_http_header(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    is_of_one_line(call)?;
    mail.auth_http_headers.push((call.args[0].clone(), call.args[1].clone()));
    Ok(())
}

/// `proxy_pass address[:port];`
pub fn proxy_pass(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    call.once(&mail.proxy_pass)?;
    let text = &call.args[0];
    let (mut host, mut port) = (None, None);
    let found = address::parse(text, Form::Plain).and_then(|written| {
        host = if let Host::Name(name) = written.host { Some(name.to_string()) } else { None };
        port = written.ports.as_ref().map(|ports| *ports.start());
        Ok(call.resolve(&written)?.with_port(0).swap_remove(0))
    });
    let target = match found.map_err(|reason| format!("{reason} in proxy_pass \"{text}\""))? {
        Address::Ip(address) => ProxyTarget::Ip(address.ip(), port),
        Address::Unix(path) => ProxyTarget::Unix(path),
    };
    mail.proxy_pass = Some(ProxyPass { target, host, place: call.place.clone() });
    Ok(())
}

/// `set_real_ip_from address|CIDR|unix:;`
pub fn real_ip_from(mail: &mut MailSettings, call: &mut Call<'_>) -> Outcome {
    let text = &call.args[0];
    if let Some(network) = network(call, text) {
        mail.real_ip_from.push(network);
    } else {
        let found = call.system.resolve(text);
        if found.is_empty() {
            return Err(format!("host not found in set_real_ip_from \"{text}\""));
        }
        let host =
            |address: std::net::IpAddr| Network::Ip { address, prefix: if address.is_ipv4() { 32 } else { 128 } };
        mail.real_ip_from.extend(found.into_iter().map(host));
    }
    Ok(())
}

/// `address|CIDR|unix:`; none if the text is something else.
pub fn network(call: &mut Call<'_>, text: &str) -> Option<Network> {
    if text == "unix:" {
        return Some(Network::Unix);
    }
    let cidr = address::cidr(text)?;
    if cidr.low_bits {
        call.warn(format!("low address bits of {text} are meaningless"));
    }
    Some(Network::Ip { address: cidr.address, prefix: cidr.prefix })
}

/// `*_capabilities text ...;`, which adds.
pub fn capabilities(dialect: &mut Dialect, call: &mut Call<'_>) -> Outcome {
    dialect.capabilities.extend_from_slice(call.args);
    Ok(())
}

/// A name of a mechanism in `*_auth`, and what it stands for.
pub type Mechanism = (&'static str, fn(&mut Mechanisms) -> &mut bool);

/// `plain`
pub const PLAIN: Mechanism = ("plain", |m| &mut m.plain);
/// `login`
pub const LOGIN: Mechanism = ("login", |m| &mut m.login);
/// `apop`
pub const APOP: Mechanism = ("apop", |m| &mut m.apop);
/// `cram-md5`
pub const CRAM_MD5: Mechanism = ("cram-md5", |m| &mut m.cram_md5);
/// `external`
pub const EXTERNAL: Mechanism = ("external", |m| &mut m.external);
/// `none`
pub const NONE: Mechanism = ("none", |m| &mut m.none);

/// `*_auth mechanism ...;`, which adds, and warns about what was there.
pub fn mechanisms(dialect: &mut Dialect, call: &mut Call<'_>, known: &[Mechanism]) -> Outcome {
    let args = call.args;
    for text in args {
        let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let (_, bit) = found.ok_or_else(|| format!("invalid value \"{text}\""))?;
        let bit = bit(dialect.auth.get_or_insert_default());
        if std::mem::replace(bit, true) {
            call.warn(format!("duplicate value \"{text}\""));
        }
    }
    Ok(())
}
