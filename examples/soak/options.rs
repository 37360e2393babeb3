//! What the soak is told by its environment.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

/// The environment's variables, or what stands for those that are not there.
#[derive(Debug)]
pub(crate) struct Options {
    /// `SOAK_SECONDS`: how long it runs.
    pub(crate) time: Duration,
    /// `SOAK_SEED`: what chance is made of.
    pub(crate) seed: u64,
    /// `SOAK_CLIENTS`: how many clients come again and again.
    pub(crate) clients: u64,
    /// `GATEPOST`: the binary; the one of the same build as this program.
    pub(crate) gatepost: PathBuf,
    /// `SOAK_CALM`: nothing fails.
    pub(crate) calm: bool,
}

impl Options {
    pub(crate) fn from_environment() -> Result<Options> {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let number = |name: &str, otherwise: u64| {
            text(name).map_or(Ok(otherwise), |value| {
                value.parse().with_context(|| format!("{name} is \"{value}\", and must be a number"))
            })
        };
        let built = env::current_exe()?;
        let target = built.ancestors().nth(2).context("this program stands in no build directory")?;
        let gatepost = env::var_os("GATEPOST").map_or_else(|| target.join("gatepost"), PathBuf::from);
        if !gatepost.exists() {
            bail!("{} is not there; GATEPOST=/path/to/it says where it is", gatepost.display());
        }
        let chance = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        Ok(Options {
            time: Duration::from_secs(number("SOAK_SECONDS", 600)?),
            seed: number("SOAK_SEED", chance)?,
            clients: number("SOAK_CLIENTS", 400)?,
            gatepost,
            calm: text("SOAK_CALM").is_some(),
        })
    }
}
