//! What a configuration asks of the machine it is read on.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepost_conf::Files;

/// Files, and all else that a configuration depends on besides its text.
pub trait System: Files {
    /// The addresses of a host; empty if it is not known.
    fn resolve(&self, host: &str) -> Vec<IpAddr>;

    /// The host's name, in lower case.
    fn hostname(&self) -> String;

    /// How many processors there are.
    fn processors(&self) -> usize;

    /// The size of a page of memory, bytes.
    fn page_size(&self) -> usize;

    /// Whether this process may change its user.
    fn is_root(&self) -> bool;

    /// Whether there is a user of this name.
    fn has_user(&self, name: &str) -> bool;

    /// Whether there is a group of this name.
    fn has_group(&self, name: &str) -> bool;
}

/// Files that many may read.
pub type SharedFiles = Arc<dyn Files + Send + Sync>;

/// This machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl Files for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        // The shell's `**` is `*`, and its `[^` is `[!`.
        let mut pattern = pattern.to_string_lossy().replace("[^", "[!");
        while pattern.contains("**") {
            pattern = pattern.replace("**", "*");
        }
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..glob::MatchOptions::new()
        };
        // A pattern that is none (`a[`) matches nothing.
        let Ok(found) = glob::glob_with(&pattern, options) else { return Ok(Vec::new()) };
        let mut found: Vec<PathBuf> = found.filter_map(Result::ok).collect();
        found.sort();
        Ok(found)
    }
}

impl System for Machine {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for address in (host, 0).to_socket_addrs().into_iter().flatten() {
            if !addresses.contains(&address.ip()) {
                addresses.push(address.ip());
            }
        }
        addresses
    }

    fn hostname(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase()
    }

    fn processors(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn page_size(&self) -> usize {
        rustix::param::page_size()
    }

    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn has_user(&self, name: &str) -> bool {
        // SAFETY: the name ends in NUL; of the result only whether there is one is asked.
        CString::new(name).is_ok_and(|name| !unsafe { libc::getpwnam(name.as_ptr()) }.is_null())
    }

    fn has_group(&self, name: &str) -> bool {
        // SAFETY: as above.
        CString::new(name).is_ok_and(|name| !unsafe { libc::getgrnam(name.as_ptr()) }.is_null())
    }
}
