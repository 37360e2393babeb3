//! An open destination.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
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
    pub(super) fn open(destination: &Destination) -> Result<Sink, OpenError> {
        Ok(match destination {
            Destination::Stderr => Sink::Stderr,
            Destination::File(path) => Sink::File { path: path.clone(), file: RwLock::new(open(path)?) },
            Destination::Syslog(syslog) => Sink::Syslog(Sender::new(syslog.clone())),
        })
    }

    pub(super) fn reopen(&self) -> Result<(), OpenError> {
        if let Sink::File { path, file } = self {
            *file.write().unwrap_or_else(PoisonError::into_inner) = open(path)?;
        }
        Ok(())
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

fn open(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new().append(true).create(true).mode(0o644).open(path);
    file.map_err(|source| OpenError { path: path.to_path_buf(), source })
}
