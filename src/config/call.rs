//! One directive as its setter sees it, and the setters that many directives share.
//!
//! Each shared setter has nginx's behaviour and messages: a value is set once, and a second time "is duplicate".

use std::path::PathBuf;
use std::time::Duration;

use gatepost_conf::{address, value};

use super::diagnostic::{Diagnostics, Place};
use super::paths::Paths;
use super::system::System;
use crate::addr::Address;
use crate::log::Level;
use crate::tls::options::SharedCache;

/// What a setter gives: nothing, or what is wrong, in nginx's words and without the place.
pub type Outcome<T = ()> = Result<T, String>;

/// One directive.
pub struct Call<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a [String],
    /// Where it stands.
    pub place: Place,
    /// The machine.
    pub system: &'a dyn System,
    /// What relative names are relative to.
    pub paths: &'a Paths,
    /// The caches that earlier `ssl_session_cache`s name.
    pub caches: &'a mut Vec<SharedCache>,
    /// Where warnings go.
    pub diagnostics: &'a mut Diagnostics,
}

impl Call<'_> {
    /// Something that does not make the configuration unusable.
    pub fn warn(&mut self, message: impl Into<String>) {
        self.diagnostics.push(Level::Warn, &self.place, message);
    }

    /// The message of a directive that is wrong as a whole: `"name" directive is duplicate`.
    pub fn wrong(&self, what: &str) -> String {
        format!("\"{}\" directive {what}", self.name)
    }

    /// Refuses a second value.
    pub fn once<T>(&self, slot: &Option<T>) -> Outcome {
        if slot.is_some() { Err(self.wrong("is duplicate")) } else { Ok(()) }
    }

    /// `name text;`
    pub fn text(&self, slot: &mut Option<String>) -> Outcome {
        self.once(slot)?;
        *slot = Some(self.args[0].clone());
        Ok(())
    }

    /// `name path;`, relative to the prefix.
    pub fn path(&self, slot: &mut Option<PathBuf>) -> Outcome {
        self.once(slot)?;
        *slot = Some(self.paths.full(&self.args[0]));
        Ok(())
    }

    /// `name on|off;`
    pub fn flag(&self, slot: &mut Option<bool>) -> Outcome {
        self.once(slot)?;
        let text = &self.args[0];
        *slot = match text.to_ascii_lowercase().as_str() {
            "on" => Some(true),
            "off" => Some(false),
            _ => {
                let name = self.name;
                return Err(format!("invalid value \"{text}\" in \"{name}\" directive, it must be \"on\" or \"off\""));
            }
        };
        Ok(())
    }

    /// `name number;`
    pub fn number(&self, slot: &mut Option<u64>) -> Outcome {
        self.once(slot)?;
        *slot = Some(value::number(&self.args[0]).ok_or_else(|| self.wrong("invalid number"))?);
        Ok(())
    }

    /// `name size;`: bytes, with `k` or `m`.
    pub fn size(&self, slot: &mut Option<usize>) -> Outcome {
        self.parsed(slot, |text| value::size(text).and_then(|size| size.try_into().ok()))
    }

    /// `name size;`: bytes, with `k`, `m` or `g`.
    pub fn offset(&self, slot: &mut Option<u64>) -> Outcome {
        self.parsed(slot, value::offset)
    }

    /// `name time;`
    pub fn milliseconds(&self, slot: &mut Option<Duration>) -> Outcome {
        self.parsed(slot, value::milliseconds)
    }

    /// `name value;`, with any parser.
    pub fn parsed<T>(&self, slot: &mut Option<T>, parse: impl Fn(&str) -> Option<T>) -> Outcome {
        self.once(slot)?;
        *slot = Some(parse(&self.args[0]).ok_or_else(|| self.wrong("invalid value"))?);
        Ok(())
    }

    /// `name choice;`, whatever the case.
    pub fn choice<T: Copy>(&self, slot: &mut Option<T>, choices: &[(&str, T)]) -> Outcome {
        self.once(slot)?;
        let text = &self.args[0];
        match choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            Some((_, choice)) => *slot = Some(*choice),
            None => return Err(format!("invalid value \"{text}\"")),
        }
        Ok(())
    }

    /// Looks a host up.
    ///
    /// # Errors
    /// In nginx's words, for ` in ...` to follow.
    pub fn resolve(&self, written: &address::Written<'_>) -> Result<Found, &'static str> {
        match written.host {
            address::Host::Ip(ip) => Ok(Found::Ip(vec![ip])),
            address::Host::Unix(path) => Ok(Found::Unix(path.into())),
            address::Host::Name(name) => match self.system.resolve(name) {
                found if found.is_empty() => Err("host not found"),
                found => Ok(Found::Ip(found)),
            },
        }
    }

    /// An address that must name one port at most, looked up.
    ///
    /// # Errors
    /// `REASON in WHERE "TEXT"`.
    pub fn addresses(&self, text: &str, default_port: u16, place: &str) -> Outcome<Vec<Address>> {
        let found = address::parse(text, address::Form::Plain).and_then(|written| {
            let port = written.ports.as_ref().map_or(default_port, |ports| *ports.start());
            Ok(self.resolve(&written)?.with_port(port))
        });
        found.map_err(|reason| format!("{reason} in {place} \"{text}\""))
    }
}

/// A host that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its addresses, at least one.
    Ip(Vec<std::net::IpAddr>),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
}

impl Found {
    /// The addresses, with a port.
    pub fn with_port(self, port: u16) -> Vec<Address> {
        match self {
            Found::Ip(ips) => ips.into_iter().map(|ip| Address::Ip((ip, port).into())).collect(),
            Found::Unix(path) => vec![Address::Unix(path)],
        }
    }
}
