//! TLS: the directives, what they are set to, and what is made of that.
//!
//! Certificates and keys are not opened here, but when a configuration is put to work.

pub mod client;
pub mod options;
pub mod server;
mod session_cache;
pub mod settings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use gatepost_proto::Secret;

use super::call::{Call, Outcome};
use super::paths::Paths;
use crate::log::Errno;
use crate::tls::options::{ConfValue, Protocols, conf_value};

/// What `*_ssl_protocols` is where it is not set.
const DEFAULT_PROTOCOLS: Protocols =
    Protocols { sslv2: false, sslv3: false, tlsv1: false, tlsv1_1: false, tlsv1_2: true, tlsv1_3: true };

/// What `*_ssl_verify_depth` is where it is not set.
const DEFAULT_DEPTH: u64 = 1;

type Protocol = (&'static str, fn(&mut Protocols) -> &mut bool);

const PROTOCOLS: &[Protocol] = &[
    ("SSLv2", |p| &mut p.sslv2),
    ("SSLv3", |p| &mut p.sslv3),
    ("TLSv1", |p| &mut p.tlsv1),
    ("TLSv1.1", |p| &mut p.tlsv1_1),
    ("TLSv1.2", |p| &mut p.tlsv1_2),
    ("TLSv1.3", |p| &mut p.tlsv1_3),
];

/// `*_ssl_protocols name ...;`, which adds, and warns about what was there.
pub fn protocols(slot: &mut Option<Protocols>, call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    for text in args {
        let found = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let (_, bit) = found.ok_or_else(|| format!("invalid value \"{text}\""))?;
        if std::mem::replace(bit(slot.get_or_insert_default()), true) {
            call.warn(format!("duplicate value \"{text}\""));
        }
    }
    Ok(())
}

/// `*_ssl_conf_command name value;`, which repeats. A file is one beside the configuration.
pub fn conf_command(slot: &mut Vec<(String, String)>, call: &mut Call<'_>) -> Outcome {
    let (name, value) = (&call.args[0], &call.args[1]);
    let value = if conf_value(name) != ConfValue::Text {
        call.paths.beside_configuration(value).display().to_string()
    } else {
        value.clone()
    };
    slot.push((name.clone(), value));
    Ok(())
}

/// `name text;`, which repeats.
pub fn repeated(slot: &mut Vec<String>, call: &mut Call<'_>) -> Outcome {
    slot.push(call.args[0].clone());
    Ok(())
}

/// `*_ssl_name name;`
pub fn name(slot: &mut Option<String>, call: &Call<'_>) -> Outcome {
    call.text(slot)?;
    // To OpenSSL none is as good as any.
    match slot.as_deref() {
        Some(text @ ("" | ".")) => Err(format!("invalid name \"{text}\" in \"{}\"", call.name)),
        _ => Ok(()),
    }
}

/// `*_ssl_password_file file;`, which is read at once: it may be a pipe.
pub fn password_file(slot: &mut Option<Vec<Secret>>, call: &mut Call<'_>) -> Outcome {
    call.once(slot)?;
    let path = call.paths.beside_configuration(&call.args[0]);
    let bytes = call.system.read(&path).map_err(|error| {
        // Directories can be opened.
        let what = if error.kind() == std::io::ErrorKind::IsADirectory { "read" } else { "open" };
        format!("{what}() \"{}\" failed{}", path.display(), Errno(&error))
    })?;
    let bytes = Secret::new(bytes);
    *slot = Some(passwords(bytes.expose()).ok_or_else(|| format!("too long line in \"{}\"", path.display()))?);
    Ok(())
}

/// The lines that are not empty, or one that is: with a file, nobody is asked. None if one is too long for nginx.
fn passwords(text: &[u8]) -> Option<Vec<Secret>> {
    const LONGEST: usize = 4095;
    let lines = text.split(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    if lines.iter().any(|line| line.len() > LONGEST) {
        return None;
    }
    let mut passwords: Vec<Secret> = lines.into_iter().filter(|line| !line.is_empty()).map(Secret::from).collect();
    if passwords.is_empty() {
        passwords.push(Secret::from(&b""[..]));
    }
    Some(passwords)
}

/// A file beside the configuration, or what is not a file by how it begins.
fn certificate(text: &str, paths: &Paths) -> PathBuf {
    if text.starts_with("data:") { text.into() } else { paths.beside_configuration(text) }
}

/// As [`certificate`], for its key.
fn key(text: &str, paths: &Paths) -> PathBuf {
    let elsewhere = ["data:", "engine:", "store:"].iter().any(|scheme| text.starts_with(scheme));
    if elsewhere { text.into() } else { paths.beside_configuration(text) }
}

/// A file beside the configuration; `""` is none.
fn file(own: &Option<String>, mail: &Option<String>, paths: &Paths) -> Option<PathBuf> {
    let text = own.as_ref().or(mail.as_ref()).filter(|text| !text.is_empty());
    text.map(|text| paths.beside_configuration(text))
}

/// A list: the server's own, or else that of `mail`.
fn list<T: Clone>(own: &[T], mail: &[T]) -> Vec<T> {
    if own.is_empty() { mail.to_vec() } else { own.to_vec() }
}

/// A depth that fits what OpenSSL counts it with.
fn depth(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(i32::MAX.unsigned_abs()).min(i32::MAX.unsigned_abs())
}
