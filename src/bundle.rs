//! What the master hands the worker instead of a file system: the command line's words, and the record of all that was
//! read to make a configuration of them. It travels in a file in memory, which nobody can change once it is made.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, SealFlags};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{Paths, Record};

/// A configuration before it is read.
#[derive(Serialize, Deserialize)]
pub struct Bundle {
    /// Which file it is in.
    pub paths: Paths,
    /// The option `-g`.
    pub globals: Option<String>,
    /// All that it asks of the machine.
    pub record: Record,
}

/// The same as it travels.
#[derive(Serialize)]
struct Parts<'a> {
    paths: &'a Paths,
    globals: Option<&'a str>,
    record: &'a Record,
}

/// A bundle in a file in memory.
pub struct Sealed(File);

impl Sealed {
    /// Packs it.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(paths: &Paths, globals: Option<&str>, record: &Record) -> io::Result<Sealed> {
        let packed = postcard::to_allocvec(&Parts { paths, globals, record }).map_err(io::Error::other)?;
        let packed = Zeroizing::new(packed);
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create("configuration", flags)?);
        file.write_all(&packed)?;
        file.rewind()?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok(Sealed(file))
    }

    /// Unpacks it. It may be unpacked again.
    ///
    /// # Errors
    /// When it is not one.
    pub fn open(&self) -> io::Result<Bundle> {
        // A confined worker may not ask for the length.
        let size = (&self.0).seek(SeekFrom::End(0)).map(usize::try_from)?.map_err(io::Error::other)?;
        let mut packed = Zeroizing::new(vec![0; size]);
        self.0.read_exact_at(&mut packed, 0)?;
        postcard::from_bytes(&packed).map_err(io::Error::other)
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Sealed {
    fn from(descriptor: OwnedFd) -> Sealed {
        Sealed(descriptor.into())
    }
}
