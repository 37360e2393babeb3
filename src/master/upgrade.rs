//! Another binary in place of this one, and the way back (USR2), as with nginx: the old master names its pid file
//! `.oldbin` and starts the new binary, which inherits the listening sockets. Both serve until somebody tells one of them
//! to QUIT. When the new one ends, for whatever reason, the old one is what it was.

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::process::{Child, Command};

use super::child::describe;
use super::{Master, Plan};
use crate::inherit;
use crate::log::{Errno, Level};
use crate::notify;

impl Master {
    pub(super) fn upgrade(&mut self) {
        if self.successor.is_some() {
            self.log(Level::Notice, format_args!("the new binary is running already"));
            return;
        }
        if self.predecessor_lives() {
            self.log(Level::Notice, format_args!("the old binary is running still"));
            return;
        }
        match self.start_successor() {
            Ok(successor) => {
                self.log(Level::Notice, format_args!("start new binary process {}", successor.id()));
                self.successor = Some(successor);
            }
            Err(error) => {
                self.log(Level::Alert, format_args!("the new binary cannot be started: {error:#}"));
                self.take_name_back();
            }
        }
    }

    fn start_successor(&mut self) -> anyhow::Result<Child> {
        let name = self.pid_file.path().as_os_str().to_owned();
        let mut old = name.clone();
        old.push(".oldbin");
        self.pid_file.rename(old.as_ref())?;
        self.name = Some(name.into());
        let (copies, (variable, list)) = inherit::bequeath(self.listeners.iter().map(|(_, socket)| socket.as_fd()))?;
        let mut words = self.source.command_line.iter();
        let program = words.next().map_or("/proc/self/exe".as_ref(), OsString::as_os_str);
        let started = Command::new(program).args(words).env(variable, list).env_remove(notify::WATCHDOG_PID).spawn();
        drop(copies);
        Ok(started?)
    }

    /// Looks whether the new binary has ended.
    pub(super) fn reap_successor(&mut self) {
        let Some(successor) = &mut self.successor else { return };
        let Ok(Some(status)) = successor.try_wait() else { return };
        let pid = successor.id();
        self.successor = None;
        self.log(Level::Alert, format_args!("new binary process {pid} {}", describe(status)));
        self.take_name_back();
        if self.plan == Plan::Drain {
            self.resume();
        }
    }

    fn take_name_back(&mut self) {
        if let Some(name) = self.name.take()
            && let Err(error) = self.pid_file.rename(&name)
        {
            self.log(Level::Alert, format_args!("{error:#}"));
        }
    }

    /// Serves again after WINCH.
    fn resume(&mut self) {
        self.plan = Plan::Serve;
        let told = match &mut self.worker {
            Some(worker) => worker.load(&self.state, &self.listeners),
            None => {
                self.start_at = Some(std::time::Instant::now());
                Ok(())
            }
        };
        if let Err(error) = told {
            self.log(Level::Alert, format_args!("the worker process cannot be told{}", Errno(&error)));
        }
    }

    /// Tells systemd how the service ends, or else who goes on.
    pub(super) fn notify_of_end(&mut self, tell: fn()) {
        match &self.successor {
            None => tell(),
            Some(successor) => {
                notify::main_process(successor.id());
                self.watchdog = None;
            }
        }
    }

    /// Whether somebody else serves with the same sockets: then the files of Unix domain sockets are theirs too.
    pub(super) fn shares_sockets(&self) -> bool {
        self.successor.is_some() || self.predecessor_lives()
    }

    fn predecessor_lives(&self) -> bool {
        self.predecessor.is_some() && self.predecessor == rustix::process::getppid()
    }
}
