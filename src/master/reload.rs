//! A new configuration: all of it, or nothing.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit, setpriority_process};

use super::child::Worker;
use super::state::{Listeners, Prepared};
use super::{Master, Plan};
use crate::addr::Address;
use crate::channel::ToMaster;
use crate::config::{self, Process, Recording};
use crate::inherit::Inherited;
use crate::log::{Errno, Level};
use crate::process::PidFile;
use crate::signals::Order;
use crate::{listen, notify, reply};

/// How long the master may be busy with files, names to be looked up, and addresses that are in use.
const LONG_READING: Duration = Duration::from_secs(300);

/// How long a worker may take to build a configuration.
const PATIENCE: Duration = Duration::from_secs(50);

impl Master {
    /// Reads the configuration anew, and answers who asked for it.
    pub(super) fn reload(&mut self, asked_by: u32) {
        self.log(Level::Notice, format_args!("reconfiguring"));
        notify::reloading();
        let outcome = self.try_reload();
        notify::ready();
        match &outcome {
            Ok(()) => self.log(Level::Notice, format_args!("the new configuration is in force")),
            Err(mistakes) => {
                for mistake in mistakes {
                    self.log(Level::Emerg, format_args!("{mistake}"));
                }
                self.log(Level::Error, format_args!("the configuration stays as it is"));
            }
        }
        reply::answer(asked_by, outcome.as_ref().copied().map_err(Vec::as_slice));
    }

    fn try_reload(&mut self) -> Result<(), Vec<String>> {
        if self.watchdog.is_some() {
            notify::watchdog_within(LONG_READING);
        }
        let read = self.prepare().and_then(|prepared| {
            let opened = self.open(&self.new_sockets(&prepared))?;
            Ok((prepared, opened))
        });
        if let Some((_, interval)) = self.watchdog {
            notify::watchdog_within(2 * interval);
        }
        let (prepared, opened) = read?;
        let taken = self.join(&prepared, opened).and_then(|listeners| {
            self.hand_over(&prepared, &listeners)?;
            Ok(listeners)
        });
        let listeners = taken.inspect_err(|_| {
            let new = self.new_sockets(&prepared);
            listen::remove_files(new.into_iter().map(|socket| &socket.address));
        })?;
        self.adopt(prepared, listeners);
        Ok(())
    }

    fn prepare(&self) -> Result<Prepared, Vec<String>> {
        let recording = Arc::new(Recording::of_machine());
        let loaded = config::load(&self.source.paths, self.source.globals.as_deref(), &*recording);
        let Some(config) = loaded.config else {
            return Err(loaded.diagnostics.iter().map(ToString::to_string).collect());
        };
        if !config.has_mail {
            // A file that was cut off should not pass for the wish to serve nothing.
            return Err(vec!["no \"mail\" section in configuration".to_string()]);
        }
        if config.process.pid != self.state.process.pid {
            PidFile::check(&config.process.pid).map_err(|error| vec![format!("{error:#}")])?;
        }
        for diagnostic in &loaded.diagnostics {
            self.log(diagnostic.level, format_args!("{diagnostic}"));
        }
        Prepared::new(&self.source, config, &recording, &|level, message| self.log(level, message))
    }

    /// Opens what is new. What stands in the way is for who asked for the reload, too, and each of it once, however often it
    /// was tried.
    fn open(&self, new: &[&config::Socket]) -> Result<Vec<OwnedFd>, Vec<String>> {
        let mistakes = RefCell::new(Vec::new());
        let say = |level, message: fmt::Arguments<'_>| match level {
            Level::Emerg if mistakes.borrow().contains(&message.to_string()) => {}
            Level::Emerg => mistakes.borrow_mut().push(message.to_string()),
            _ => self.log(level, message),
        };
        let opened = listen::open_all(new, &mut Inherited::default(), &say);
        let mut mistakes = mistakes.into_inner();
        if opened.is_some() {
            mistakes.iter().for_each(|overcome| self.log(Level::Emerg, format_args!("{overcome}")));
        }
        mistakes.push("the listening sockets of the new configuration cannot be opened".to_string());
        opened.ok_or(mistakes)
    }

    /// The sockets that are not open yet.
    fn new_sockets<'a>(&self, prepared: &'a Prepared) -> Vec<&'a config::Socket> {
        prepared.sockets.iter().filter(|socket| self.known(&socket.address).is_none()).collect()
    }

    /// The socket that is bound to this address already.
    fn known(&self, address: &Address) -> Option<&OwnedFd> {
        self.listeners.iter().find(|(known, _)| known == address).map(|(_, socket)| socket)
    }

    /// The sockets of a configuration: those that are open already, and those opened for it, in its order.
    fn join(&self, prepared: &Prepared, opened: Vec<OwnedFd>) -> Result<Listeners, Vec<String>> {
        let mut opened = opened.into_iter();
        let mut listeners = Vec::with_capacity(prepared.sockets.len());
        for socket in &prepared.sockets {
            let descriptor: io::Result<OwnedFd> = match self.known(&socket.address) {
                Some(open) => {
                    listen::adjust(open, socket, &|level, message| self.log(level, message));
                    open.try_clone()
                }
                None => Ok(opened.next().expect("one was opened for each that is new")),
            };
            let descriptor = descriptor.map_err(|error| vec![format!("dup() failed{}", Errno(&error))])?;
            listeners.push((socket.address.clone(), descriptor));
        }
        Ok(listeners)
    }

    /// Has the worker take the configuration; where there is none, or none any more since it was to end with its last
    /// session, the next one will.
    fn hand_over(&mut self, prepared: &Prepared, listeners: &Listeners) -> Result<(), Vec<String>> {
        let Some(worker) = &mut self.worker else { return Ok(()) };
        let may_be_gone = self.plan == Plan::Drain;
        let lost = |error: io::Error| match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof if may_be_gone => Ok(()),
            _ => Err(vec![format!("the worker process cannot be told: {error}")]),
        };
        if let Err(error) = worker.load(prepared, listeners) {
            return lost(error);
        }
        match self.await_answer() {
            Ok(ToMaster::Ready) => Ok(()),
            Ok(ToMaster::Failed(mistakes)) => Err(mistakes),
            Err(error) => {
                // Nobody knows what it has in force: the next one has what is good. Where there is to be none, it has its
                // time to end.
                if let Some(worker) = self.worker.as_mut().filter(|_| error.kind() != ErrorKind::Interrupted) {
                    worker.kill();
                }
                lost(error)
            }
        }
    }

    /// Waits for what the worker says of the configuration that it was given last. What is asked of the master meanwhile
    /// waits, but for its end.
    ///
    /// # Errors
    /// When the worker is gone, or takes too long; `Interrupted` when the master is to end.
    fn await_answer(&mut self) -> io::Result<ToMaster> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(signal) = self.signals.next() {
                self.heard.push_back(signal);
            }
            if self.heard.iter().any(|signal| signal.order == Order::Stop) {
                return Err(io::Error::new(ErrorKind::Interrupted, "it is shutting down"));
            }
            match self.worker.as_mut().map_or_else(|| Err(ErrorKind::UnexpectedEof.into()), Worker::answer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                answer => return answer,
            }
            if deadline <= Instant::now() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.wait(Some(deadline));
        }
    }

    fn adopt(&mut self, prepared: Prepared, listeners: Listeners) {
        if !self.shares_sockets() {
            let gone = self.listeners.iter().map(|(address, _)| address);
            listen::remove_files(gone.filter(|address| listeners.iter().all(|(other, _)| other != *address)));
        }
        self.listeners = listeners;
        if prepared.process.pid != self.state.process.pid
            && let Err(error) = self.pid_file.move_to(&prepared.process.pid)
        {
            self.log(Level::Alert, format_args!("{error:#}"));
        }
        self.adjust_worker(&prepared.process);
        self.state = prepared;
        if matches!(self.plan, Plan::Drain) {
            self.plan = Plan::Serve;
        }
        if self.worker.is_none() {
            self.start_at = Some(Instant::now());
        }
        self.served();
    }

    /// Sets what only root can set for a process that runs, and tells what nobody can.
    fn adjust_worker(&self, new: &Process) {
        let old = &self.state.process;
        let Some(worker) = &self.worker else { return };
        let pid = Pid::from_raw(worker.pid().cast_signed());
        for (what, name, before, value) in [
            (Resource::Nofile, "RLIMIT_NOFILE", old.worker_rlimit_nofile, new.worker_rlimit_nofile),
            (Resource::Core, "RLIMIT_CORE", old.worker_rlimit_core, new.worker_rlimit_core),
        ] {
            let Some(value) = value.filter(|_| value != before) else { continue };
            if let Err(error) = prlimit(pid, what, Rlimit { current: Some(value), maximum: Some(value) }) {
                let error = error.into();
                let message =
                    format_args!("prlimit({name}, {value}) failed{}, it is for the next worker", Errno(&error));
                self.log(Level::Alert, message);
            }
        }
        if old.worker_priority != new.worker_priority
            && let Err(error) = setpriority_process(pid, new.worker_priority)
        {
            let priority = new.worker_priority;
            self.log(Level::Alert, format_args!("setpriority({priority}) failed{}", Errno(&error.into())));
        }
        for (name, differs) in [
            ("user", old.user != new.user),
            ("sandbox", old.sandbox != new.sandbox),
            ("working_directory", old.working_directory != new.working_directory),
            ("worker_cpu_affinity", old.cpu_affinity != new.cpu_affinity),
            ("env", old.env != new.env),
        ] {
            if differs {
                let message = format_args!("a new \"{name}\" is for the next worker process, this one keeps its own");
                self.log(Level::Warn, message);
            }
        }
    }
}
