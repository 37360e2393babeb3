//! From what the master sends to a configuration at work.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::Listener;
use crate::bundle::{Bundle, Sealed};
use crate::config::{self, Config, Process, Recording};
use crate::log::{Log, Logs};
use crate::service::{self, Shared};

/// Open files and their names.
pub type Files = Vec<(PathBuf, File)>;

/// What there is to say where less came than was sent.
pub const NO_DESCRIPTORS: &str =
    "the worker process has no descriptors left for it: \"worker_rlimit_nofile\" is too low";

/// Gives open files their names.
pub fn name(names: Vec<String>, descriptors: impl IntoIterator<Item = OwnedFd>) -> Files {
    names.into_iter().map(PathBuf::from).zip(descriptors.into_iter().map(File::from)).collect()
}

/// A configuration as it arrives.
pub struct Load {
    bundle: Sealed,
    sockets: Vec<OwnedFd>,
    /// The logs that it names.
    pub logs: Files,
}

impl Load {
    /// Sorts the descriptors that came with [`crate::channel::ToWorker::Load`].
    ///
    /// # Errors
    /// When some are missing.
    pub fn new(sockets: usize, logs: Vec<String>, descriptors: Vec<OwnedFd>) -> Result<Load, Vec<String>> {
        if descriptors.len() != 1 + sockets + logs.len() {
            return Err(vec![NO_DESCRIPTORS.to_string()]);
        }
        let mut descriptors = descriptors.into_iter();
        let bundle = descriptors.next().map(Sealed::from).expect("there is one at least");
        let sockets = descriptors.by_ref().take(sockets).collect();
        Ok(Load { bundle, sockets, logs: name(logs, descriptors) })
    }

    /// Reads the configuration, as the master did.
    ///
    /// # Errors
    /// What is wrong with it: the master should have found that.
    pub fn read(self) -> Result<Read, Vec<String>> {
        let Bundle { paths, globals, record } = self.bundle.open().map_err(|error| vec![error.to_string()])?;
        let recording = Arc::new(Recording::replay(record));
        let loaded = config::load(&paths, globals.as_deref(), &*recording);
        match loaded.config {
            Some(config) if config.sockets.len() == self.sockets.len() => {
                Ok(Read { config, recording, sockets: self.sockets })
            }
            Some(_) => Err(vec!["the worker has other listening sockets than the master".to_string()]),
            None => Err(loaded.diagnostics.iter().map(ToString::to_string).collect()),
        }
    }
}

/// A configuration that was read.
pub struct Read {
    /// It.
    pub config: Config,
    recording: Arc<Recording>,
    sockets: Vec<OwnedFd>,
}

impl Read {
    /// Makes of it what serves. What it takes over from the last one is in `before`.
    ///
    /// # Errors
    /// One message for each mistake.
    pub fn build(self, logs: &Logs, before: Option<&Shared>) -> Result<Loaded, Vec<String>> {
        let Read { config, recording, sockets } = self;
        let files = recording.clone();
        let shared = before.map_or_else(|| Shared::new(files.clone()), |before| before.renewed(files.clone()));
        let log = logs.open(&config.process.error_log).map_err(|error| vec![error.to_string()])?;
        let doors = service::doors(&config, logs, &shared)?;
        recording.forget_all_but(&service::read_later());
        let addresses = config.sockets.into_iter().map(|socket| socket.address);
        let listeners = addresses.zip(sockets).zip(doors);
        let listeners = listeners.map(|((address, socket), doors)| Listener { address, socket, doors }).collect();
        Ok(Loaded { process: config.process, listeners, log, shared })
    }
}

/// A configuration that is ready to be put in force.
pub struct Loaded {
    /// The main-level directives.
    pub process: Process,
    /// The listening sockets, all of them.
    pub listeners: Vec<Listener>,
    /// The log of the main level.
    pub log: Arc<Log>,
    /// What the next one takes over.
    pub shared: Shared,
}
