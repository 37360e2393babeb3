//! `ssl_session_cache off|none|builtin[:n] shared:name:size;`

use gatepost_conf::value;

use super::settings::{Cache, ServerSettings};
use crate::config::call::{Call, Outcome};
use crate::tls::options::SharedCache;

/// OpenSSL's own number of sessions.
const DEFAULT_BUILTIN: usize = 20_480;

/// The directive. A second one changes only what it names.
pub fn directive(tls: &mut ServerSettings, call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    for text in args {
        let invalid = || format!("invalid session cache \"{text}\"");
        tls.session_cache = Some(match text.split_once(':') {
            None if text == "off" => Cache::Off,
            None if text == "none" => Cache::None,
            None if text == "builtin" => Cache::Builtin(DEFAULT_BUILTIN),
            Some(("builtin", number)) => {
                Cache::Builtin(value::number(number).ok_or_else(invalid)?.try_into().unwrap_or(usize::MAX))
            }
            Some(("shared", rest)) => {
                let (name, size) = rest.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(invalid)?;
                let size = value::size(size).and_then(|size| usize::try_from(size).ok()).ok_or_else(invalid)?;
                tls.shared_cache = Some(shared(text, name, size, call)?);
                tls.session_cache.unwrap_or(Cache::SharedOnly)
            }
            _ => return Err(invalid()),
        });
    }
    Ok(())
}

/// A cache is one wherever it is named, so it has one size.
fn shared(text: &str, name: &str, size: usize, call: &mut Call<'_>) -> Outcome<SharedCache> {
    const FEWEST_PAGES: usize = 8;
    if size < FEWEST_PAGES * call.system.page_size() {
        return Err(format!("session cache \"{text}\" is too small"));
    }
    match call.caches.iter().find(|known| known.name == name) {
        Some(known) if known.size != size => Err(format!(
            "the size {size} of shared memory zone \"{name}\" conflicts with already declared size {}",
            known.size
        )),
        Some(known) => Ok(known.clone()),
        None => {
            let cache = SharedCache { name: name.to_string(), size };
            call.caches.push(cache.clone());
            Ok(cache)
        }
    }
}
