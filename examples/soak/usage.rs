//! What a process holds, from `/proc`.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result};

/// Descriptors, memory and threads of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Descriptors other than these:
    pub(crate) descriptors: usize,
    /// connections to the authentication server, of which some are kept for later,
    pub(crate) kept: usize,
    /// and ends of pipes, of which each thread keeps one once it has moved bulk.
    pub(crate) pipes: usize,
    /// What the process alone has in memory, bytes.
    pub(crate) memory: u64,
}

/// Threads of the worker.
pub(crate) const THREADS: usize = 2;
/// Connections to the authentication server that each may keep.
const KEPT: usize = 128;

impl Usage {
    /// How many descriptors there are more than before, beyond those that may be kept.
    pub(crate) fn leaked_since(&self, before: &Usage) -> usize {
        self.descriptors.saturating_sub(before.descriptors)
            + self.kept.saturating_sub(THREADS * KEPT)
            + self.pipes.saturating_sub(before.pipes + 2 * THREADS)
    }

    /// Of that process, whose authentication server that is.
    pub(crate) fn of(pid: u32, auth: SocketAddr) -> Result<Usage> {
        let to_auth = connections_to(auth)?;
        let (mut descriptors, mut kept, mut pipes) = (0, 0, 0);
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            // Closed since it was listed.
            let Ok(target) = fs::read_link(entry?.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if target.starts_with("pipe:") {
                pipes += 1;
            } else if inode.is_some_and(|inode| to_auth.contains(inode)) {
                kept += 1
            } else {
                descriptors += 1
            }
        }
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).context("no Pss_Anon")?;
        let kilobytes: u64 = line.split_whitespace().next().context("no number")?.parse()?;
        Ok(Usage { descriptors, kept, pipes, memory: kilobytes * 1024 })
    }
}

/// The inodes of the sockets whose other end that is.
fn connections_to(place: SocketAddr) -> Result<HashSet<String>> {
    let SocketAddr::V4(place) = place else { return Ok(HashSet::new()) };
    let wanted = format!("{:08X}:{:04X}", u32::from(*place.ip()).to_be(), place.port());
    let table = fs::read_to_string("/proc/net/tcp")?;
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    Ok(lines
        .filter(|fields| fields.get(2) == Some(&wanted.as_str()))
        .filter_map(|f| f.get(9).map(|i| (*i).to_owned()))
        .collect())
}
