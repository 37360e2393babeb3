//! What the mechanisms PLAIN and LOGIN send.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// User and password of a PLAIN response (RFC 4616), still in base64.
pub(crate) fn plain(response: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let decoded = decode(response)?;
    let mut parts = decoded.splitn(3, |&byte| byte == 0);
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    Some((user.to_vec(), password.to_vec()))
}

/// One response of LOGIN.
pub(crate) fn decode(response: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(response).ok()
}
