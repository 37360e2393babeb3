//! Passwords and the like: bytes that never print, and are wiped when dropped.

use std::fmt;

use zeroize::Zeroize;

/// A password, digest or token.
///
/// It has no `Display`, and its `Debug` tells nothing: not even the length. To use the bytes is to name
/// [`Secret::expose`], which makes each such place easy to find.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(bytes)
    }

    /// None yet, and room for so many.
    pub(crate) fn with_capacity(capacity: usize) -> Secret {
        Secret(Vec::with_capacity(capacity))
    }

    /// Adds bytes. Memory that is too small is wiped.
    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        if bytes.len() > self.0.capacity() - self.0.len() {
            self.grow(bytes.len());
        }
        self.0.extend_from_slice(bytes);
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let mut larger = Secret::with_capacity(2 * (self.0.len() + more));
        larger.0.extend_from_slice(&self.0);
        *self = larger;
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Secret {
        Secret(bytes.to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Empties a vector and wipes all of its memory at once: its own `zeroize` takes byte after byte.
pub fn wipe(bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.spare_capacity_mut().zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows() {
        let mut secret = Secret::with_capacity(2);
        for _ in 0..3 {
            secret.append(b"abc");
        }
        assert_eq!(secret.expose(), b"abcabcabc");
    }

    #[test]
    fn a_wiped_vector_is_empty() {
        let mut bytes = b"s3cret".to_vec();
        wipe(&mut bytes);
        bytes.extend([b'x'; 2]);
        assert_eq!(bytes, b"xx");
    }

    #[test]
    fn never_prints() {
        assert_eq!(format!("{:?}", Secret::from(&b"canary"[..])), "Secret(..)");
    }
}
