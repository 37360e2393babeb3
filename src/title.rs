//! What `ps` shows of the process: `gatepost: master process /usr/sbin/gatepost -c ...`, as nginx does it.
//!
//! Linux shows the memory in which the command line was when the program started, and the environment behind it. A title
//! is written there, once the environment is elsewhere. It is cut where there is no room for it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Mutex, PoisonError};

/// The worker's title, by which the program knows that it is one.
pub const WORKER: &str = "gatepost: worker process";

/// The same when it ends with its last session.
pub const LEAVING_WORKER: &str = "gatepost: worker process is shutting down";

/// How many empty arguments make room for the longest title of a worker, who has next to no environment.
pub const ROOM: usize = LEAVING_WORKER.len() - WORKER.len();

/// Where a title can be written.
static PLACE: Mutex<Option<&mut [u8]>> = Mutex::new(None);

/// Looks for the place of titles. Without, [`set`] does nothing. From now on [`env::args_os`] gives what cannot be used.
///
/// To be called once, while there is one thread: it moves the environment.
pub fn prepare() {
    let Some((start, end)) = place() else { return };
    // `env '=x=y' gatepost` gives it a name that `set_var` does not take, and nobody asks for.
    let environment: Vec<(OsString, OsString)> =
        env::vars_os().filter(|(name, _)| !name.as_bytes().contains(&b'=')).collect();
    // SAFETY: nobody else uses the environment, since there is no other thread.
    unsafe {
        libc::clearenv();
        // Of a name that is there twice, the first counts.
        environment.iter().rev().for_each(|(name, value)| env::set_var(name, value));
    }
    // SAFETY: the kernel put the strings of the command line and the environment there, in one piece, for the program to
    // have; it can be written, and lasts as long as the process. Nothing in the program looks there any more: the
    // environment was copied a moment ago, and the arguments are not asked for again.
    let bytes = unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(start), end - start) };
    *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
}

/// The addresses between which the kernel has put command line and environment.
fn place() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, in which there may be anything. The 48th, counted from 1, is next.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(45).map(str::parse::<usize>);
    let mut next = || fields.next()?.ok().filter(|address| *address != 0);
    let (arguments, arguments_end, environment, environment_end) = (next()?, next()?, next()?, next()?);
    (arguments < arguments_end && arguments_end == environment && environment <= environment_end)
        .then_some((arguments, environment_end))
}

/// Shows another title.
pub fn set(title: &[u8]) {
    if let Some(place) = &mut *PLACE.lock().unwrap_or_else(PoisonError::into_inner) {
        // The last byte stays NUL: where the kernel stops reading.
        let length = title.len().min(place.len() - 1);
        let (text, rest) = place.split_at_mut(length);
        text.copy_from_slice(&title[..length]);
        rest.fill(0);
    }
}

/// The master's title: how it was called.
pub fn of_master(command_line: &[OsString]) -> Vec<u8> {
    let words: Vec<&[u8]> = command_line.iter().map(|word| OsStr::as_bytes(word)).collect();
    [b"gatepost: master process ", words.join(&b' ').as_slice()].concat()
}
