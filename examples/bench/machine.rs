//! The machine: its CPUs, who runs on which, and how many descriptors there are.

use std::fs;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which CPUs the program may use.
#[derive(Debug, Clone)]
pub(crate) struct Cpus(Vec<usize>);

impl Cpus {
    /// # Errors
    /// When there is one only: a proxy and its load have to be apart.
    pub(crate) fn find() -> Result<Cpus> {
        let set = sched_getaffinity(None).context("sched_getaffinity() failed")?;
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect();
        if cpus.len() < 2 {
            bail!("two CPUs are needed, one for the proxy and one for the load");
        }
        Ok(Cpus(cpus))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether that many workers have a CPU each that they do not share with the load.
    pub(crate) fn suffice_for(&self, workers: usize) -> bool {
        workers < self.0.len()
    }

    /// From here on this thread runs where the load does: on the last CPU.
    pub(crate) fn enter_load(&self) -> Result<()> {
        pin(&self.0[self.0.len() - 1..])
    }

    /// From here on this thread, and what it starts, runs where proxies of that many workers do: on the first CPUs.
    pub(crate) fn enter_proxy(&self, workers: usize) -> Result<()> {
        pin(&self.0[..workers.min(self.0.len())])
    }
}

fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    sched_setaffinity(None, &set).context("sched_setaffinity() failed")
}

/// Allows as many descriptors as the machine does, to this process and to those that it starts. Gives their number.
pub(crate) fn raise_descriptor_limit() -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    // A million is more than any scenario takes.
    Ok(limit.maximum.map_or(1 << 20, |limit| limit.min(1 << 20) as usize))
}

/// What the machine is, in one line.
pub(crate) fn describe(cpus: &Cpus, descriptors: usize) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown CPU");
    let kernel = read("/proc/sys/kernel/osrelease");
    let (count, model, kernel) = (cpus.count(), model.trim_start_matches([' ', '\t', ':']), kernel.trim());
    format!("{count} CPUs ({model}), Linux {kernel}, {descriptors} descriptors a process, load average {}", busy())
}

/// The load average of the last minute.
pub(crate) fn busy() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_string()
}
