//! `error_log`: files, standard error and syslog, in nginx's line format.

use std::fmt;
use std::path::PathBuf;

use crate::addr::Address;

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

/// One `error_log` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Where lines go.
    pub destination: Destination,
    /// The least grave level that is written.
    pub level: Level,
}

/// Where an `error_log` writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `stderr`
    Stderr,
    /// A file, absolute.
    File(PathBuf),
    /// `syslog:server=...`
    Syslog(Syslog),
}

/// `syslog:server=address[,facility=][,severity=][,tag=][,nohostname]`
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Where the lines of one server block, or of the program, go.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// Whether a line at this level is written anywhere. Ask before building an expensive one.
    pub fn enabled(&self, _level: Level) -> bool {
        true
    }

    /// Writes one line: `2026/11/23 10:00:00 [info] PID#TID: *CONNECTION MESSAGE`. Never fails and never blocks long: a
    /// log that cannot be written is no reason to lose a session.
    pub fn write(&self, _level: Level, connection: Option<u64>, message: fmt::Arguments<'_>) {
        eprintln!("{connection:?} {message}");
    }
}
