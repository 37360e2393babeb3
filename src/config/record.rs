//! What a configuration was told by the machine: all it asked, with each answer.
//!
//! The master reads a configuration through a [`Recording`] that asks the machine. The worker reads it again through one
//! that only remembers: it gets the same answers without a right to any file, and so comes to the same configuration.
//! A question that is asked twice has one answer, even where the machine has changed its mind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gatepost_conf::Files;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use super::system::{Machine, System};

/// Questions and answers. The contents of files are wiped when it goes.
#[derive(Default, Serialize, Deserialize)]
pub struct Record {
    files: BTreeMap<Vec<u8>, Result<Vec<u8>, Errno>>,
    globs: BTreeMap<Vec<u8>, Result<Vec<Vec<u8>>, Errno>>,
    hosts: BTreeMap<String, Vec<IpAddr>>,
    users: BTreeMap<String, bool>,
    groups: BTreeMap<String, bool>,
    hostname: Option<String>,
    processors: Option<usize>,
    page_size: Option<usize>,
    is_root: Option<bool>,
}

/// The code of an error of the system.
type Errno = i32;

impl Drop for Record {
    fn drop(&mut self) {
        self.files.values_mut().flatten().for_each(|content| content.zeroize());
    }
}

/// A machine that takes notes, or the notes alone.
pub struct Recording {
    record: Mutex<Record>,
    asks_machine: bool,
}

impl Recording {
    /// Asks this machine, and remembers.
    pub fn of_machine() -> Recording {
        Recording { record: Mutex::default(), asks_machine: true }
    }

    /// Remembers only. What was never asked is not there.
    pub fn replay(record: Record) -> Recording {
        Recording { record: Mutex::new(record), asks_machine: false }
    }

    /// The notes, to look at.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets, and wipes, all but the files of these names.
    pub fn forget_all_but(&self, names: &[PathBuf]) {
        let mut record = self.record();
        let mut kept = BTreeMap::new();
        for name in names {
            kept.extend(record.files.remove_entry(name.as_os_str().as_bytes()));
        }
        *record = Record::default();
        record.files = kept;
    }

    /// The answer that is known, or the machine's; `without` where neither is to be had.
    fn answer<K: Ord, A: Clone>(
        &self,
        answers: impl Fn(&mut Record) -> &mut BTreeMap<K, A>,
        question: K,
        ask: impl FnOnce() -> A,
        without: A,
    ) -> A {
        if let Some(known) = answers(&mut self.record()).get(&question) {
            return known.clone();
        }
        if !self.asks_machine {
            return without;
        }
        let answer = ask();
        answers(&mut self.record()).insert(question, answer.clone());
        answer
    }

    /// The same for what there is one of.
    fn one<A: Clone>(&self, slot: impl Fn(&mut Record) -> &mut Option<A>, ask: impl FnOnce() -> A) -> A {
        slot(&mut self.record()).get_or_insert_with(ask).clone()
    }
}

impl Files for Recording {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = path.as_os_str().as_bytes().to_vec();
        let ask = || Machine.read(path).map_err(|error| code(&error));
        self.answer(|record| &mut record.files, name, ask, Err(libc::ENOENT)).map_err(io::Error::from_raw_os_error)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let name = pattern.as_os_str().as_bytes().to_vec();
        let bytes = |path: PathBuf| path.into_os_string().into_vec();
        let ask = || match Machine.glob(pattern) {
            Ok(found) => Ok(found.into_iter().map(bytes).collect()),
            Err(error) => Err(code(&error)),
        };
        let found = self.answer(|record| &mut record.globs, name, ask, Ok(Vec::new()));
        let path = |bytes| PathBuf::from(OsString::from_vec(bytes));
        found.map(|found| found.into_iter().map(path).collect()).map_err(io::Error::from_raw_os_error)
    }
}

impl System for Recording {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        self.answer(|record| &mut record.hosts, host.to_string(), || Machine.resolve(host), Vec::new())
    }

    fn hostname(&self) -> String {
        self.one(|record| &mut record.hostname, || Machine.hostname())
    }

    fn processors(&self) -> usize {
        self.one(|record| &mut record.processors, || Machine.processors())
    }

    fn page_size(&self) -> usize {
        self.one(|record| &mut record.page_size, || Machine.page_size())
    }

    fn is_root(&self) -> bool {
        self.one(|record| &mut record.is_root, || Machine.is_root())
    }

    fn has_user(&self, name: &str) -> bool {
        self.answer(|record| &mut record.users, name.to_string(), || Machine.has_user(name), false)
    }

    fn has_group(&self, name: &str) -> bool {
        self.answer(|record| &mut record.groups, name.to_string(), || Machine.has_group(name), false)
    }
}

fn code(error: &io::Error) -> Errno {
    error.raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_answers_without_the_machine() {
        let directory = tempfile::tempdir().unwrap();
        let (there, missing) = (directory.path().join("a.conf"), directory.path().join("b.conf"));
        std::fs::write(&there, "one").unwrap();
        let asking = Recording::of_machine();
        let answers = |files: &Recording| {
            let error = files.read(&missing).unwrap_err().raw_os_error();
            let globs = files.glob(&directory.path().join("*.conf")).unwrap();
            (
                files.read(&there).unwrap(),
                error,
                globs,
                files.hostname(),
                files.resolve("127.0.0.1"),
                files.has_user("root"),
            )
        };
        let first = answers(&asking);
        std::fs::write(&there, "two").unwrap();
        std::fs::write(&missing, "there").unwrap();
        assert_eq!(answers(&asking), first);
        let notes = postcard::to_allocvec(&*asking.record()).unwrap();
        let replay = Recording::replay(postcard::from_bytes(&notes).unwrap());
        assert_eq!(answers(&replay), first);
        assert_eq!(replay.read(Path::new("/etc/passwd")).unwrap_err().raw_os_error(), Some(libc::ENOENT));
        replay.forget_all_but(std::slice::from_ref(&missing));
        assert_eq!(replay.read(&missing).unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert!(replay.read(&there).is_err());
    }
}
