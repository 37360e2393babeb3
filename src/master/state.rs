//! A configuration as the master has it: what a worker is given.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use crate::addr::Address;
use crate::bundle::Sealed;
use crate::channel::ToWorker;
use crate::config::{Config, Paths, Process, Recording, Socket};
use crate::log::{Level, Log, Logs};
use crate::process::User;
use crate::service::{self, Shared};

/// Which configuration: the command line's words.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where the files are.
    pub paths: Paths,
    /// The option `-g`.
    pub globals: Option<String>,
    /// All of them, the program's name first.
    pub command_line: Vec<OsString>,
}

/// A configuration that was read, tried, and packed for the worker. Its sockets are not open yet.
pub struct Prepared {
    /// The main-level directives.
    pub process: Process,
    /// What to listen on.
    pub sockets: Vec<Socket>,
    bundle: Sealed,
    logs: Logs,
    /// The log of the main level.
    pub log: Arc<Log>,
    /// So that they stay open.
    _others: Vec<Arc<Log>>,
}

/// Listening sockets, by what they are bound to.
pub type Listeners = Vec<(Address, OwnedFd)>;

impl Prepared {
    /// Opens the logs, builds what the worker is going to build, which records all that it reads, and packs it.
    ///
    /// # Errors
    /// One message for each mistake, for level `emerg`.
    pub fn new(
        source: &Source,
        config: Config,
        recording: &Arc<Recording>,
        say: &dyn Fn(Level, fmt::Arguments<'_>),
    ) -> Result<Prepared, Vec<String>> {
        let logs = Logs::default();
        let log = logs.open(&config.process.error_log).map_err(|error| vec![error.to_string()])?;
        User::find(config.process.user.as_ref()).map_err(|error| vec![format!("{error:#}")])?;
        let doors = service::doors(&config, &logs, &Shared::new(recording.clone()))?;
        for warning in service::warnings(&config.process, &doors) {
            say(Level::Warn, format_args!("{warning}"));
        }
        let others =
            doors.iter().flatten().flat_map(|door| &door.services).map(|service| service.log.clone()).collect();
        let bundle = Sealed::new(&source.paths, source.globals.as_deref(), &recording.record());
        let bundle = bundle.map_err(|error| vec![format!("the configuration cannot be packed: {error}")])?;
        Ok(Prepared { process: config.process, sockets: config.sockets, bundle, logs, log, _others: others })
    }

    /// Opens the logs anew. Gives what went wrong.
    pub fn reopen_logs(&self) -> Vec<String> {
        self.logs.reopen().iter().map(ToString::to_string).collect()
    }

    /// What a worker is told, and the descriptors that go with it.
    pub fn load(
        &self,
        listeners: &Listeners,
        send: impl FnOnce(&ToWorker, &[BorrowedFd<'_>]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let (names, files) = self.log_files();
        let message = ToWorker::Load { sockets: listeners.len(), logs: names };
        let sockets = listeners.iter().map(|(_, socket)| socket.as_fd());
        let descriptors: Vec<_> =
            [self.bundle.as_fd()].into_iter().chain(sockets).chain(files.iter().map(|file| file.as_fd())).collect();
        send(&message, &descriptors)
    }

    /// The logs, opened anew, and the descriptors that go with that.
    pub fn reopened(
        &self,
        send: impl FnOnce(&ToWorker, &[BorrowedFd<'_>]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let (logs, files) = self.log_files();
        let descriptors: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
        send(&ToWorker::Reopened { logs }, &descriptors)
    }

    fn log_files(&self) -> (Vec<String>, Vec<File>) {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        self.logs.files().into_iter().map(|(path, file)| (text(path), file)).unzip()
    }
}
