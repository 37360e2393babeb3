//! The challenge of APOP and CRAM-MD5: `<random.time@server_name>`, as in RFC 1939, section 7.

use std::time::{SystemTime, UNIX_EPOCH};

/// A challenge that was never given before. None if the system has no randomness to give.
pub fn new(server_name: &str) -> Option<String> {
    let random = getrandom::u64().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Some(format!("<{random}.{now}@{server_name}>"))
}
