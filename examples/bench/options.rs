//! What the benchmark is told by its environment.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The environment's variables, or what stands for those that are not there.
#[derive(Debug)]
pub(crate) struct Options {
    /// `NGINX`: the binary to compare with.
    pub(crate) nginx: PathBuf,
    /// `GATEPOST`: the one to be compared; the one of the same build as this program.
    pub(crate) gatepost: PathBuf,
    /// `QUICK`: a minute instead of ten.
    pub(crate) quick: bool,
    /// `ONLY`: runs the scenarios only whose names contain this.
    pub(crate) only: String,
    /// `OUT`: the directory for the results.
    pub(crate) out: PathBuf,
}

impl Options {
    pub(crate) fn from_environment() -> Result<Options> {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        let nginx = path("NGINX").unwrap_or_else(|| PathBuf::from("/usr/sbin/nginx"));
        let built = env::current_exe()?;
        let target = built.ancestors().nth(2).context("this program stands in no build directory")?;
        let options = Options {
            gatepost: path("GATEPOST").unwrap_or_else(|| target.join("gatepost")),
            nginx,
            quick: text("QUICK").is_some(),
            only: text("ONLY").unwrap_or_default(),
            out: path("OUT").unwrap_or_else(|| target.with_file_name("bench")),
        };
        for (binary, name) in [(&options.nginx, "NGINX"), (&options.gatepost, "GATEPOST")] {
            if !binary.exists() {
                bail!("{} is not there; {name}=/path/to/it says where it is", binary.display());
            }
        }
        Ok(options)
    }
}

/// What a proxy says of itself with `-V`.
pub(crate) fn version(binary: &Path) -> Result<String> {
    let output = Command::new(binary).arg("-V").output().with_context(|| format!("{}", binary.display()))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout))
}
