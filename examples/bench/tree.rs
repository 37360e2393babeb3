//! What a process and all its descendants use, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// A process and its descendants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree {
    root: u32,
}

impl Tree {
    pub(crate) fn of(root: u32) -> Tree {
        Tree { root }
    }

    /// The CPU time of all threads that live, user and system. `schedstat` has nanoseconds of each thread, where
    /// utime and stime of `stat`, of which it is the sum, count in hundredths of a second.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for pid in self.pids()? {
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = fs::read_to_string(thread?.path().join("schedstat")).context("no /proc/PID/schedstat")?;
                nanoseconds += first_number(&text).context("/proc/PID/schedstat is strange")?;
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The proportional set size of all, bytes: a page that several processes share counts once.
    pub(crate) fn memory(&self) -> Result<u64> {
        let mut kilobytes = 0;
        for pid in self.pids()? {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
            kilobytes += first_number(line).context("Pss is strange")?;
        }
        Ok(kilobytes * 1024)
    }

    fn pids(&self) -> Result<Vec<u32>> {
        let all = parents()?;
        let mut pids = vec![self.root];
        let mut next = 0;
        while let Some(&parent) = pids.get(next) {
            pids.extend(all.iter().filter(|&&(_, of)| of == parent).map(|&(pid, _)| pid));
            next += 1;
        }
        Ok(pids)
    }
}

/// Every process with its parent.
fn parents() -> Result<Vec<(u32, u32)>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // Gone since it was listed, or with a name that is no text.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name, in parentheses, may hold anything; behind it come the state and the parent.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
        if let Some(parent) = fields.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()) {
            parents.push((pid, parent));
        }
    }
    Ok(parents)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_child_counts() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let tree = Tree::of(std::process::id());
        assert!(tree.pids().unwrap().contains(&child.id()));
        assert!(tree.memory().unwrap() > 100_000);
        assert!(tree.cpu().unwrap() > Duration::ZERO);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
