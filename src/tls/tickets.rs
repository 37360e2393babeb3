//! Keys for session tickets (RFC 5077; RFC 8446, section 4.6.1).
//!
//! They come from `ssl_session_ticket_key` files: the first encrypts, all decrypt, so that keys can be rotated over many
//! machines. Where no file is given they are made here, and made anew once a session's life has passed; the last one
//! stays good for as long as its tickets are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gatepost_conf::Files;
use zeroize::Zeroizing;

use crate::log::Errno;

/// The keys of a server block, or of all server blocks that share a session cache.
pub(super) enum TicketKeys {
    /// From files.
    Files(Vec<Arc<Key>>),
    /// Our own.
    Automatic(Mutex<Vec<Automatic>>),
}

/// One key.
pub(super) struct Key {
    /// Tells it from others. Every ticket begins with it.
    pub(super) name: [u8; 16],
    /// For AES in CBC mode: 16 or 32 bytes.
    pub(super) aes: Zeroizing<Vec<u8>>,
    /// For HMAC with SHA-256.
    pub(super) hmac: Zeroizing<Vec<u8>>,
}

/// A key made here.
pub(super) struct Automatic {
    key: Arc<Key>,
    /// When it stops encrypting, in seconds since 1970.
    retires: u64,
    /// When the last ticket that it encrypted ends.
    dies: u64,
}

impl TicketKeys {
    /// Reads key files.
    ///
    /// # Errors
    /// When one cannot be read, or has not 48 or 80 bytes.
    pub(super) fn read(paths: &[PathBuf], files: &dyn Files) -> Result<TicketKeys, String> {
        paths.iter().map(|path| Key::read(path, files).map(Arc::new)).collect::<Result<_, _>>().map(TicketKeys::Files)
    }

    /// Keys that are made here, at first use.
    pub(super) fn automatic() -> TicketKeys {
        TicketKeys::Automatic(Mutex::default())
    }

    /// The key for a new ticket, which is good for `lifetime`. All times are in seconds, `now` since 1970.
    pub(super) fn newest(&self, now: u64, lifetime: u64) -> Option<Arc<Key>> {
        let keys = match self {
            TicketKeys::Files(keys) => return keys.first().cloned(),
            TicketKeys::Automatic(keys) => keys,
        };
        let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|key| key.dies > now);
        if keys.first().is_none_or(|key| key.retires <= now) {
            let key = Arc::new(Key::random()?);
            keys.insert(0, Automatic { key, retires: now.saturating_add(lifetime), dies: 0 });
        }
        let newest = &mut keys[0];
        newest.dies = newest.dies.max(now.saturating_add(lifetime));
        Some(newest.key.clone())
    }

    /// The key of that name, and whether it is the one for new tickets.
    pub(super) fn named(&self, name: [u8; 16], now: u64) -> Option<(Arc<Key>, bool)> {
        match self {
            TicketKeys::Files(keys) => {
                keys.iter().position(|key| key.name == name).map(|place| (keys[place].clone(), place == 0))
            }
            TicketKeys::Automatic(keys) => {
                let keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
                let place = keys.iter().position(|key| key.key.name == name && key.dies > now)?;
                Some((keys[place].key.clone(), place == 0 && keys[0].retires > now))
            }
        }
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TicketKeys::Files(_) => "Files(..)",
            TicketKeys::Automatic(_) => "Automatic(..)",
        })
    }
}

impl Key {
    fn read(path: &Path, files: &dyn Files) -> Result<Key, String> {
        let shown = path.display();
        let bytes = files
            .read(path)
            .map(Zeroizing::new)
            .map_err(|error| format!("open() \"{shown}\" failed{}", Errno(&error)))?;
        Key::parse(&bytes).ok_or_else(|| format!("\"{shown}\" must be 48 or 80 bytes"))
    }

    /// 48 bytes: name, key for AES-128, key for HMAC. 80 bytes: name, key for HMAC, key for AES-256.
    fn parse(bytes: &[u8]) -> Option<Key> {
        let (name, keys) = bytes.split_first_chunk()?;
        let (aes, hmac) = match bytes.len() {
            48 => keys.split_at(16),
            80 => (&keys[32..], &keys[..32]),
            _ => return None,
        };
        Some(Key { name: *name, aes: Zeroizing::new(aes.to_vec()), hmac: Zeroizing::new(hmac.to_vec()) })
    }

    fn random() -> Option<Key> {
        let mut bytes = Zeroizing::new([0; 80]);
        openssl::rand::rand_bytes(&mut *bytes).ok()?;
        Key::parse(&*bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::Machine;

    #[test]
    fn both_file_formats() {
        let bytes: Vec<u8> = (0..80).collect();
        let short = Key::parse(&bytes[..48]).unwrap();
        assert_eq!((&short.name[..], &short.aes[..], &short.hmac[..]), (&bytes[..16], &bytes[16..32], &bytes[32..48]));
        let long = Key::parse(&bytes).unwrap();
        assert_eq!((&long.name[..], &long.hmac[..], &long.aes[..]), (&bytes[..16], &bytes[16..48], &bytes[48..]));
        assert!(Key::parse(&bytes[..79]).is_none() && Key::parse(b"").is_none());
    }

    #[test]
    fn keys_of_our_own_change_and_stay_good_for_their_tickets() {
        let keys = TicketKeys::automatic();
        let first = keys.newest(1000, 300).unwrap();
        assert_eq!(keys.newest(1299, 300).unwrap().name, first.name);
        let second = keys.newest(1300, 300).unwrap();
        assert_ne!(second.name, first.name);
        let found = |name, now| keys.named(name, now).map(|(_, newest)| newest);
        assert_eq!(found(second.name, 1300), Some(true));
        assert_eq!(found(first.name, 1598), Some(false));
        assert_eq!(found(first.name, 1599), None);
        assert_eq!(found([0; 16], 1300), None);
    }

    #[test]
    fn the_first_file_encrypts_and_all_decrypt() {
        let directory = tempfile::tempdir().unwrap();
        let paths: Vec<_> = [(1_u8, 48), (2, 80)]
            .map(|(fill, size)| {
                let path = directory.path().join(fill.to_string());
                std::fs::write(&path, vec![fill; size]).unwrap();
                path
            })
            .into();
        let keys = TicketKeys::read(&paths, &Machine).unwrap();
        assert_eq!(keys.newest(0, 0).unwrap().name, [1; 16]);
        assert!(keys.named([1; 16], 0).unwrap().1);
        assert!(!keys.named([2; 16], 0).unwrap().1);
        assert!(keys.named([3; 16], 0).is_none());
    }

    #[test]
    fn bad_files_are_told_in_nginx_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let message = |path: &PathBuf| TicketKeys::read(std::slice::from_ref(path), &Machine).err().unwrap();
        assert_eq!(message(&path), format!("open() \"{}\" failed (2: No such file or directory)", path.display()));
        std::fs::write(&path, [0; 47]).unwrap();
        assert_eq!(message(&path), format!("\"{}\" must be 48 or 80 bytes", path.display()));
    }
}
