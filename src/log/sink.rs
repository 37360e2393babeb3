//! An open destination.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::clock::Stamp;
use super::file::{LogFile, Unwritable};
use super::syslog::{Sender, Unreachable};
use super::{Destination, Errno, Level};

#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File(LogFile),
    Syslog(Sender),
}

/// A log file that cannot be opened, in nginx's words.
#[derive(Debug, thiserror::Error)]
#[error("open() \"{}\" failed{}", .path.display(), Errno(.source))]
pub struct OpenError {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

/// A line is lost, and perhaps more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

impl Sink {
    pub(super) fn open(
        destination: &Destination,
        open: impl FnOnce(&Path) -> io::Result<File>,
    ) -> Result<Sink, OpenError> {
        Ok(match destination {
            Destination::Stderr => Sink::Stderr,
            Destination::File(path) => Sink::File(LogFile::open(path, open)?),
            Destination::Syslog(syslog) => Sink::Syslog(Sender::new(syslog.clone())),
        })
    }

    pub(super) fn reopen(&self, open: impl FnOnce(&Path) -> io::Result<File>) -> Result<(), OpenError> {
        match self {
            Sink::File(file) => file.reopen(open),
            Sink::Stderr | Sink::Syslog(_) => Ok(()),
        }
    }

    /// A second descriptor of its file, if it is one.
    pub(super) fn file(&self) -> Option<(PathBuf, File)> {
        match self {
            Sink::File(file) => Some((file.path().to_path_buf(), file.duplicate().ok()?)),
            Sink::Stderr | Sink::Syslog(_) => None,
        }
    }

    /// Writes a line, which ends in a line feed. The error comes only once as long as it lasts; that standard error
    /// cannot be written is not told at all, for there is nobody to tell.
    pub(super) fn write(&self, stamp: &Stamp, level: Level, line: &[u8]) -> Result<(), Lost> {
        match self {
            Sink::Stderr => {
                let _ = rustix::io::write(rustix::stdio::stderr(), line);
            }
            Sink::File(file) => file.write(stamp, line)?,
            Sink::Syslog(sender) => sender.send(stamp, level, line)?,
        }
        Ok(())
    }
}
