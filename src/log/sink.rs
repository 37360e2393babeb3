//! An open destination.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::clock::Stamp;
use super::syslog::{Sender, Unreachable};
use super::{Destination, Errno, Level};

#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File { path: PathBuf, file: RwLock<File> },
    Syslog(Sender),
}

/// A log file that cannot be opened, in nginx's words.
#[derive(Debug, thiserror::Error)]
#[error("open() \"{}\" failed{}", .path.display(), Errno(.source))]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

impl Sink {
    pub(super) fn open(
        destination: &Destination,
        open: impl FnOnce(&Path) -> io::Result<File>,
    ) -> Result<Sink, OpenError> {
        Ok(match destination {
            Destination::Stderr => Sink::Stderr,
            Destination::File(path) => Sink::File { path: path.clone(), file: RwLock::new(named(path, open)?) },
            Destination::Syslog(syslog) => Sink::Syslog(Sender::new(syslog.clone())),
        })
    }

    pub(super) fn reopen(&self, open: impl FnOnce(&Path) -> io::Result<File>) -> Result<(), OpenError> {
        if let Sink::File { path, file } = self {
            *file.write().unwrap_or_else(PoisonError::into_inner) = named(path, open)?;
        }
        Ok(())
    }

    /// A second descriptor of its file, if it is one.
    pub(super) fn file(&self) -> Option<(PathBuf, File)> {
        match self {
            Sink::File { path, file } => {
                let file = file.read().unwrap_or_else(PoisonError::into_inner).try_clone().ok()?;
                Some((path.clone(), file))
            }
            Sink::Stderr | Sink::Syslog(_) => None,
        }
    }

    /// Writes a line, which ends in a line feed. The error comes only once as long as it lasts; that a file or standard
    /// error cannot be written is not told at all, for there is nobody to tell.
    pub(super) fn write(&self, stamp: &Stamp, level: Level, line: &[u8]) -> Result<(), Unreachable> {
        match self {
            Sink::Stderr => {
                let _ = rustix::io::write(rustix::stdio::stderr(), line);
            }
            Sink::File { file, .. } => {
                let _ = (&*file.read().unwrap_or_else(PoisonError::into_inner)).write(line);
            }
            Sink::Syslog(sender) => sender.send(stamp, level, line)?,
        }
        Ok(())
    }
}

fn named(path: &Path, open: impl FnOnce(&Path) -> io::Result<File>) -> Result<File, OpenError> {
    open(path).map_err(|source| OpenError { path: path.to_path_buf(), source })
}
