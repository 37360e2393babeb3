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
