//! A log file, and the lines it could not take: when it can again, it says how many.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::clock::Stamp;
use super::sink::OpenError;
use super::{Errno, Level, line};

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: RwLock<File>,
    /// How many lines were lost since the last that was written.
    lost: AtomicU64,
    /// The last line there is without its end. Remembered when the file is opened anew, for it may be the same.
    cut: AtomicBool,
}

/// A file that cannot be written: the disk is full.
#[derive(Debug, thiserror::Error)]
#[error("write() to \"{}\" failed{}, lines are lost", .path.display(), Errno(.source))]
pub(super) struct Unwritable {
    path: PathBuf,
    source: io::Error,
}

impl LogFile {
    pub(super) fn open(path: &Path, open: impl FnOnce(&Path) -> io::Result<File>) -> Result<LogFile, OpenError> {
        let file = RwLock::new(named(path, open)?);
        Ok(LogFile { path: path.to_path_buf(), file, lost: AtomicU64::new(0), cut: AtomicBool::new(false) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn reopen(&self, open: impl FnOnce(&Path) -> io::Result<File>) -> Result<(), OpenError> {
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = named(&self.path, open)?;
        Ok(())
    }

    /// A second descriptor of it.
    pub(super) fn duplicate(&self) -> io::Result<File> {
        self.file.read().unwrap_or_else(PoisonError::into_inner).try_clone()
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When it cannot be written, the first time only until one can be again.
    pub(super) fn write(&self, stamp: &Stamp, line: &[u8]) -> Result<(), Unwritable> {
        match self.try_write(line) {
            Ok(()) if self.lost.load(Ordering::Relaxed) == 0 => Ok(()),
            Ok(()) => {
                self.tell_of_lost_lines(stamp);
                Ok(())
            }
            Err(_) if self.lost.fetch_add(1, Ordering::Relaxed) > 0 => Ok(()),
            Err(source) => Err(Unwritable { path: self.path.clone(), source }),
        }
    }

    fn tell_of_lost_lines(&self, stamp: &Stamp) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let mut text = Vec::new();
        let message = format_args!("{lost} lines before this could not be written to this log, and are lost");
        line::spell(&mut text, stamp, Level::Alert, None, message);
        if lost > 0 && self.try_write(&text).is_err() {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }

    fn try_write(&self, line: &[u8]) -> io::Result<()> {
        let mut file = &*self.file.read().unwrap_or_else(PoisonError::into_inner);
        if self.cut.load(Ordering::Relaxed) {
            file.write_all(b"\n")?;
            self.cut.store(false, Ordering::Relaxed);
        }
        let written = file.write(line)?;
        if written < line.len() {
            self.cut.store(true, Ordering::Relaxed);
            file.write_all(&line[written..])?;
            self.cut.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn named(path: &Path, open: impl FnOnce(&Path) -> io::Result<File>) -> Result<File, OpenError> {
    open(path).map_err(|source| OpenError { path: path.to_path_buf(), source })
}
