//! `error_log`, with nginx's checks.

use gatepost_conf::address::{self, Form};

use super::call::{Call, Outcome};
use crate::log::{Destination, Level, Spec, Syslog};

/// The tag of syslog messages that no `tag=` names.
const DEFAULT_TAG: &str = "gatepost";

/// RFC 3164: the longest tag.
const LONGEST_TAG: usize = 32;

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp",
    "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

const LOCAL7: u8 = 23;

const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];

const LEVELS: [Level; 8] =
    [Level::Emerg, Level::Alert, Level::Crit, Level::Error, Level::Warn, Level::Notice, Level::Info, Level::Debug];

/// nginx's parts of `debug`, several of which may be given together.
const DEBUG_LEVELS: [&str; 7] =
    ["debug_core", "debug_alloc", "debug_mutex", "debug_event", "debug_http", "debug_mail", "debug_stream"];

/// The directive, which may be repeated.
pub fn directive(logs: &mut Vec<Spec>, call: &mut Call<'_>) -> Outcome {
    let text = &call.args[0];
    let destination = if text == "stderr" || text.is_empty() {
        Destination::Stderr
    } else if text.starts_with("memory:") {
        return Err("gatepost was built without debug support".to_string());
    } else if let Some(parameters) = text.strip_prefix("syslog:") {
        Destination::Syslog(syslog(parameters, call)?)
    } else {
        Destination::File(call.paths.full(text))
    };
    let level = level(&call.args[1..])?;
    logs.push(Spec { destination, level });
    Ok(())
}

fn level(args: &[String]) -> Outcome<Level> {
    let mut level = None;
    let mut debug = false;
    for text in args {
        if let Some(found) = LEVELS.into_iter().find(|level| level.name() == text) {
            if level.is_some() || debug {
                return Err(format!("duplicate log level \"{text}\""));
            }
            level = Some(found);
        } else if DEBUG_LEVELS.contains(&text.as_str()) && level.is_none() {
            debug = true;
        } else {
            return Err(format!("invalid log level \"{text}\""));
        }
    }
    Ok(level.unwrap_or(if debug { Level::Debug } else { Level::Error }))
}

/// What follows `syslog:`.
#[derive(Default)]
struct Parameters<'a> {
    server: Option<crate::addr::Address>,
    facility: Option<u8>,
    severity: Option<u8>,
    tag: Option<&'a str>,
    nohostname: bool,
}

fn syslog(text: &str, call: &Call<'_>) -> Outcome<Syslog> {
    let mut parameters = Parameters::default();
    for parameter in text.split(',') {
        parameters.set(parameter, call)?;
    }
    Ok(Syslog {
        server: parameters.server.ok_or("no syslog server specified")?,
        facility: parameters.facility.unwrap_or(LOCAL7),
        tag: parameters.tag.unwrap_or(DEFAULT_TAG).to_string(),
        nohostname: parameters.nohostname,
    })
}

impl<'a> Parameters<'a> {
    fn set(&mut self, text: &'a str, call: &Call<'_>) -> Outcome {
        match text.split_once('=') {
            Some(("server", operand)) => {
                let address = || server(operand, call);
                fill(&mut self.server, "server", address)
            }
            Some(("facility", operand)) => fill(&mut self.facility, "facility", || {
                known(&FACILITIES, operand).ok_or_else(|| format!("unknown syslog facility \"{operand}\""))
            }),
            // The level of a line is its severity, whatever is said here; nginx does the same.
            Some(("severity", operand)) => fill(&mut self.severity, "severity", || {
                known(&SEVERITIES, operand).ok_or_else(|| format!("unknown syslog severity \"{operand}\""))
            }),
            Some(("tag", operand)) => fill(&mut self.tag, "tag", || tag(operand)),
            None if text == "nohostname" => {
                self.nohostname = true;
                Ok(())
            }
            _ => Err(format!("unknown syslog parameter \"{text}\"")),
        }
    }
}

fn fill<T>(slot: &mut Option<T>, name: &str, value: impl FnOnce() -> Outcome<T>) -> Outcome {
    if slot.is_some() {
        return Err(format!("duplicate syslog \"{name}\""));
    }
    *slot = Some(value()?);
    Ok(())
}

fn known(names: &[&str], text: &str) -> Option<u8> {
    names.iter().position(|name| *name == text).and_then(|index| u8::try_from(index).ok())
}

fn server(text: &str, call: &Call<'_>) -> Outcome<crate::addr::Address> {
    const SYSLOG_PORT: u16 = 514;
    let found = address::parse(text, Form::Plain).and_then(|written| {
        let port = written.ports.as_ref().map_or(SYSLOG_PORT, |ports| *ports.start());
        Ok(call.resolve(&written)?.with_port(port).swap_remove(0))
    });
    found.map_err(|reason| format!("{reason} in syslog server \"{text}\""))
}

fn tag(text: &str) -> Outcome<&str> {
    if text.len() > LONGEST_TAG {
        return Err("syslog tag length exceeds 32".to_string());
    }
    match text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        true => Ok(text),
        false => Err("syslog \"tag\" only allows alphanumeric characters and underscore".to_string()),
    }
}
