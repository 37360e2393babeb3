//! The worker, as the master has it: a process, and a line to it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;

use super::state::{Listeners, Prepared};
use crate::channel::{self, Inbox, ToMaster, ToWorker};
use crate::title;

/// A worker that dies sooner than this after its start dies of its start.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// What a worker has of the environment, besides what the configuration gives it: the time zone, and where the TLS
/// library finds its own configuration and authorities.
const ENVIRONMENT: [&str; 3] = ["TZ", "OPENSSL_CONF", "SSL_CERT_FILE"];

/// A worker.
pub struct Worker {
    child: Child,
    socket: OwnedFd,
    inbox: Inbox,
    started: Instant,
    /// How many configurations it was given and has not answered for.
    unanswered: u32,
    /// It has said what makes no sense, or that it will say no more. It is not listened to any longer.
    mute: bool,
}

impl Worker {
    /// Starts one: this same program again, even where its file has been replaced meanwhile. It has these variables in
    /// its environment (directive `env`).
    ///
    /// # Errors
    /// When the system has no process to give.
    pub fn start(env: &[(String, Option<String>)]) -> io::Result<Worker> {
        let (socket, theirs) = channel::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0(title::WORKER).args([""; title::ROOM]).env_clear().stdin(Stdio::from(theirs));
        let kept = ENVIRONMENT.iter().map(|name| (*name, None));
        for (name, value) in kept.chain(env.iter().map(|(name, value)| (name.as_str(), value.as_ref()))) {
            if let Some(value) = value.map(OsString::from).or_else(|| std::env::var_os(name)) {
                command.env(name, value);
            }
        }
        let child = command.spawn()?;
        Ok(Worker { child, socket, inbox: Inbox::wary(), started: Instant::now(), unanswered: 0, mute: false })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says something to it. One that does not hear it any more is about to be found dead.
    pub fn say(&self, message: &ToWorker, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        channel::send(self.socket.as_fd(), message, descriptors)
    }

    /// Gives it a configuration.
    ///
    /// # Errors
    /// When it is gone.
    pub fn load(&mut self, prepared: &Prepared, listeners: &Listeners) -> io::Result<()> {
        self.unanswered += 1;
        prepared.load(listeners, |message, descriptors| self.say(message, descriptors))
    }

    /// What it says of a configuration, if it says something.
    ///
    /// # Errors
    /// `WouldBlock` when it does not; others when it is gone.
    pub fn hear(&mut self) -> io::Result<ToMaster> {
        let received = self.inbox.receive(self.socket.as_fd(), RecvFlags::DONTWAIT);
        let received = received.and_then(|received| received.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        match received {
            Ok((message, _)) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                Ok(message)
            }
            Err(error) => {
                self.mute |= error.kind() != io::ErrorKind::WouldBlock;
                Err(error)
            }
        }
    }

    /// Whether it can still say something.
    pub fn speaks(&self) -> bool {
        !self.mute
    }

    /// What it says of the last configuration.
    ///
    /// # Errors
    /// `WouldBlock` when it says nothing yet; others when it is gone.
    pub fn answer(&mut self) -> io::Result<ToMaster> {
        loop {
            let answer = self.hear()?;
            if self.unanswered == 0 {
                return Ok(answer);
            }
        }
    }

    /// How it ended, if it has.
    pub fn end(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends it, whatever it does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// The same, and waits for it.
    pub fn kill_now(mut self) {
        self.kill();
        let _ = self.child.wait();
    }

    /// Whether it lived too short a time to have been of use.
    pub fn died_of_its_start(&self) -> bool {
        self.started.elapsed() < SHORT_LIFE
    }
}

impl AsFd for Worker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `exited on signal 9`, `exited with code 2`, as nginx writes it.
pub fn describe(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) if status.core_dumped() => format!("exited on signal {signal} (core dumped)"),
        Some(signal) => format!("exited on signal {signal}"),
        None => format!("exited with code {}", status.code().unwrap_or_default()),
    }
}

/// How long to wait before a worker that died is replaced.
#[derive(Debug, Default)]
pub struct Patience {
    /// How many in a row died of their start.
    failures: u32,
}

impl Patience {
    const LONGEST: Duration = Duration::from_secs(30);

    /// The delay for the next one: none at first, then a second, and twice as much each time.
    pub fn after(&mut self, died_of_its_start: bool) -> Duration {
        if !died_of_its_start {
            self.failures = 0;
            return Duration::ZERO;
        }
        self.failures += 1;
        match self.failures {
            1 => Duration::ZERO,
            more => Duration::from_secs(1 << (more - 2).min(5)).min(Patience::LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows() {
        let mut patience = Patience::default();
        let delays: Vec<u64> = (0..9).map(|_| patience.after(true).as_secs()).collect();
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(patience.after(false), Duration::ZERO);
        assert_eq!(patience.after(true), Duration::ZERO);
        assert_eq!(patience.after(true).as_secs(), 1);
    }
}
