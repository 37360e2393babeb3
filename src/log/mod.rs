//! `error_log`: files, standard error and syslog, in nginx's line format.
//!
//! [`Logs`] opens what the directives name, once for each destination however many blocks name it, and hands out a
//! [`Log`] for each block. Writing costs one system call for each destination, and never waits for a syslog server. A
//! destination that fails is told of once, to the others or to standard error. A line is one line: control characters are
//! escaped.
//!
//! Known gaps: standard error and files are written as the system lets us, so a pipe that nobody reads can block.

mod clock;
mod context;
mod errno;
mod file;
mod line;
mod sink;
mod syslog;

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::addr::Address;
use sink::{Lost, Sink};

pub use context::Context;
pub use errno::Errno;
pub use sink::OpenError;

/// Reads the time zone (`TZ`, `/etc/localtime`), which otherwise the first line of the process does.
pub fn read_time_zone() {
    clock::now();
}

/// nginx's levels, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The program cannot go on.
    Emerg = 1,
    /// Somebody should look at once.
    Alert,
    /// Something essential failed.
    Crit,
    /// Something failed.
    Error,
    /// Something looks wrong.
    Warn,
    /// Worth knowing.
    Notice,
    /// What happens to each session.
    Info,
    /// Everything.
    Debug,
}

impl Level {
    /// As the configuration and log lines name it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Emerg => "emerg",
            Level::Alert => "alert",
            Level::Crit => "crit",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// One `error_log` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Where lines go.
    pub destination: Destination,
    /// The least grave level that is written.
    pub level: Level,
}

/// Where an `error_log` writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `stderr`
    Stderr,
    /// A file, absolute.
    File(PathBuf),
    /// `syslog:server=...`
    Syslog(Syslog),
}

/// `syslog:server=address[,facility=][,severity=][,tag=][,nohostname]`. The severity of a line is its level, as in
/// nginx, whatever `severity=` says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Syslog {
    /// UDP (port 514 if none is given) or a Unix datagram socket.
    pub server: Address,
    /// The facility's number (local7 is 23).
    pub facility: u8,
    /// The tag (`nginx` in nginx).
    pub tag: String,
    /// `nohostname`
    pub nohostname: bool,
}

/// All that is open, so that each destination is opened once, and reopened wherever it is used.
#[derive(Debug, Default)]
pub struct Logs {
    open: Mutex<HashMap<Destination, Weak<Sink>>>,
    /// Files that somebody else opens, where this process may not.
    supplied: Option<Mutex<HashMap<PathBuf, File>>>,
}

impl Logs {
    /// Logs whose files somebody else opens: see [`Logs::supply`].
    pub fn supplied() -> Logs {
        Logs { open: Mutex::default(), supplied: Some(Mutex::default()) }
    }

    /// Takes open files by their names, for [`Logs::open`] and [`Logs::reopen`] to use.
    pub fn supply(&self, files: impl IntoIterator<Item = (PathBuf, File)>) {
        if let Some(supplied) = &self.supplied {
            *supplied.lock().unwrap_or_else(PoisonError::into_inner) = files.into_iter().collect();
        }
    }

    /// The files that are open, for another process to use.
    pub fn files(&self) -> Vec<(PathBuf, File)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().filter_map(Weak::upgrade).filter_map(|sink| sink.file()).collect()
    }

    /// Opens the destinations of one block, sharing those that are in use already.
    ///
    /// # Errors
    /// When a file cannot be opened. An unreachable syslog server is not an error.
    pub fn open(&self, specs: &[Spec]) -> Result<Arc<Log>, OpenError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, sink| sink.strong_count() > 0);
        let mut targets = Vec::with_capacity(specs.len());
        for Spec { destination, level } in specs {
            let sink = match open.get(destination).and_then(Weak::upgrade) {
                Some(sink) => sink,
                None => {
                    let sink = Arc::new(Sink::open(destination, |path| self.open_file(path))?);
                    open.insert(destination.clone(), Arc::downgrade(&sink));
                    sink
                }
            };
            targets.push(Target { sink, level: *level });
        }
        Ok(Arc::new(Log { targets }))
    }

    /// Opens every file anew (signal USR1, and HUP as in nginx): for those who rename logs. A file that cannot be opened
    /// goes on being written where it is; its error is for the log, at level `emerg`.
    pub fn reopen(&self) -> Vec<OpenError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let sinks = open.values().filter_map(Weak::upgrade).filter(|sink| self.can_open(sink));
        sinks.filter_map(|sink| sink.reopen(|path| self.open_file(path)).err()).collect()
    }

    /// Whether there is a file to replace the one that a sink has.
    fn can_open(&self, sink: &Sink) -> bool {
        match (&self.supplied, sink) {
            (Some(supplied), Sink::File(file)) => {
                supplied.lock().unwrap_or_else(PoisonError::into_inner).contains_key(file.path())
            }
            _ => true,
        }
    }

    /// Opens a file, or takes the one that was supplied.
    fn open_file(&self, path: &Path) -> io::Result<File> {
        match &self.supplied {
            None => File::options().append(true).create(true).mode(0o644).open(path),
            Some(supplied) => {
                let file = supplied.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
                file.ok_or_else(|| io::ErrorKind::NotFound.into())
            }
        }
    }
}

/// Where the lines of one server block, or of the program, go.
#[derive(Debug)]
pub struct Log {
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    sink: Arc<Sink>,
    level: Level,
}

impl Log {
    /// Whether a line at this level is written anywhere. Ask before building an expensive one.
    pub fn enabled(&self, level: Level) -> bool {
        self.targets.iter().any(|target| level <= target.level)
    }

    /// Writes one line: `2026/11/23 10:00:00 [info] PID#TID: *CONNECTION MESSAGE`. Never fails and never blocks long: a
    /// log that cannot be written is no reason to lose a session.
    pub fn write(&self, level: Level, connection: Option<u64>, message: fmt::Arguments<'_>) {
        if !self.enabled(level) {
            return;
        }
        let stamp = clock::now();
        let complaints = with_buffer(|line| {
            line::spell(line, &stamp, level, connection, message);
            let targets = self.targets.iter().filter(|target| level <= target.level);
            let written =
                targets.filter_map(|target| Some((&target.sink, target.sink.write(&stamp, level, line).err()?)));
            written.collect::<Vec<_>>()
        });
        for (sink, complaint) in complaints {
            self.complain(&stamp, sink, &complaint);
        }
    }

    /// Tells the other destinations, or else standard error, that a file cannot be written or a syslog server not be
    /// reached.
    fn complain(&self, stamp: &clock::Stamp, of: &Arc<Sink>, complaint: &Lost) {
        let others = self.targets.iter().map(|target| &*target.sink).filter(|sink| !std::ptr::eq(*sink, &**of));
        let mut others: Vec<&Sink> = others.collect();
        if others.is_empty() {
            others.push(&Sink::Stderr);
        }
        with_buffer(|line| {
            line::spell(line, stamp, Level::Alert, None, format_args!("{complaint}"));
            for sink in others {
                let _ = sink.write(stamp, Level::Alert, line);
            }
        });
    }
}

/// Lends the thread's buffer. What is written may itself write to a log: that finds an empty buffer, and makes its own.
fn with_buffer<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    let result = work(&mut buffer);
    let _ = BUFFER.try_with(|cell| cell.set(buffer));
    result
}

#[cfg(test)]
mod tests;
