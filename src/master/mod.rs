//! The master: keeps the rights, and touches no byte that comes from the network.
//!
//! It reads and checks the configuration, opens sockets and logs, writes the pid file, and has a worker serve. It starts
//! another when the worker dies, and does what signals ask for, with nginx's meanings. It has one thread.

mod child;
mod reload;
pub mod state;
mod upgrade;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitOptions, waitpid};

use self::child::{Patience, Worker, describe};
use self::state::{Listeners, Prepared, Source};
use crate::channel::{ToMaster, ToWorker};
use crate::listen;
use crate::log::Level;
use crate::process::{self, PidFile, Waiting};
use crate::signals::{Order, Received, Signals};
use crate::{notify, reply};

/// How long a worker may take to end when told to end now.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A master at work.
pub struct Master {
    signals: Signals,
    source: Source,
    pid_file: PidFile,
    state: Prepared,
    listeners: Listeners,
    worker: Option<Worker>,
    patience: Patience,
    /// When the next worker is started, if there is to be one.
    start_at: Option<Instant>,
    plan: Plan,
    /// The new binary, and what the pid file is called when it has ended.
    successor: Option<Child>,
    name: Option<PathBuf>,
    /// The master of the last binary.
    predecessor: Option<Pid>,
    /// When systemd is to hear next that we live, and how often.
    watchdog: Option<(Instant, Duration)>,
    /// Signals that came while a worker was waited for: they have their turn after that.
    heard: VecDeque<Received>,
    /// Who waits to hear that the first worker serves.
    waiting: Option<Waiting>,
}

/// What becomes of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// It serves, and is replaced if it dies.
    Serve,
    /// It has been told to end with its last session, and there will be no other until HUP (WINCH).
    Drain,
    /// The same, and the master ends with it.
    Quit,
    /// It is to end at once, by then at the latest.
    Stop(Instant),
}

impl Master {
    /// A master that has not begun. `waiting` hears when it serves, or why not.
    pub fn new(
        source: Source,
        signals: Signals,
        pid_file: PidFile,
        state: Prepared,
        listeners: Listeners,
        predecessor: Option<Pid>,
        waiting: Option<Waiting>,
    ) -> Master {
        Master {
            signals,
            source,
            pid_file,
            state,
            listeners,
            worker: None,
            patience: Patience::default(),
            start_at: Some(Instant::now()),
            plan: Plan::Serve,
            successor: None,
            name: None,
            predecessor,
            watchdog: notify::watchdog_interval().map(|interval| (Instant::now(), interval)),
            heard: VecDeque::new(),
            waiting,
        }
    }

    /// Lives until told to end. Tells whether it ever served.
    pub fn run(&mut self) -> bool {
        loop {
            if self.start_at.is_some_and(|at| at <= Instant::now()) {
                self.start_worker();
            }
            if let Plan::Stop(by) = self.plan
                && by <= Instant::now()
                && let Some(worker) = &mut self.worker
            {
                worker.kill();
                // What is left to do is to wait for that.
                self.plan = Plan::Quit;
            }
            if self.worker.is_none() && self.plan.ends_with_the_worker() {
                return self.waiting.is_none();
            }
            let until = match self.plan {
                Plan::Stop(by) => Some(by),
                _ => self.start_at,
            };
            self.wait(until);
            self.hear_worker();
            while let Some(signal) = self.heard.pop_front().or_else(|| self.signals.next()) {
                self.obey(signal);
            }
        }
    }

    /// Sleeps until a signal comes, the worker says something, or it is time for something. Tells systemd that we live.
    fn wait(&mut self, until: Option<Instant>) {
        if let Some((at, interval)) = self.watchdog
            && at <= Instant::now()
        {
            notify::watchdog();
            self.watchdog = Some((Instant::now() + interval, interval));
        }
        let until = until.into_iter().chain(self.watchdog.map(|(at, _)| at)).min();
        let timeout = until.map(|until| Timespec::try_from(until.saturating_duration_since(Instant::now())));
        let timeout = timeout.and_then(Result::ok);
        let mut descriptors = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let speaking = self.worker.iter().filter(|worker| worker.speaks());
        descriptors.extend(speaking.map(|worker| PollFd::new(worker, PollFlags::IN)));
        // An error can only be a signal that nobody waits for.
        let _ = poll(&mut descriptors, timeout.as_ref());
    }

    fn start_worker(&mut self) {
        self.start_at = None;
        let started = Worker::start(&self.state.process.env).and_then(|mut worker| {
            match worker.load(&self.state, &self.listeners) {
                Ok(()) => Ok(worker),
                Err(error) => {
                    worker.kill_now();
                    Err(error)
                }
            }
        });
        match started {
            Ok(worker) => {
                self.log(Level::Notice, format_args!("start worker process {}", worker.pid()));
                self.worker = Some(worker);
            }
            Err(error) => {
                self.log(Level::Alert, format_args!("the worker process cannot be started: {error}"));
                self.try_again(true);
            }
        }
    }

    /// Plans the next worker.
    fn try_again(&mut self, died_of_its_start: bool) {
        if self.plan != Plan::Serve {
            return;
        }
        if self.waiting.is_some() {
            // What never served is not tried again: somebody waits who can be told.
            self.plan = Plan::Quit;
            return;
        }
        let delay = self.patience.after(died_of_its_start);
        if !delay.is_zero() {
            self.log(Level::Alert, format_args!("the next worker process is started in {} s", delay.as_secs()));
        }
        self.start_at = Some(Instant::now() + delay);
    }

    fn hear_worker(&mut self) {
        let Some(worker) = &mut self.worker else { return };
        match worker.hear() {
            Ok(ToMaster::Ready) => self.served(),
            Ok(ToMaster::Failed(mistakes)) => {
                for mistake in &mistakes {
                    self.log(Level::Emerg, format_args!("{mistake}"));
                }
            }
            // The end of the worker is told by a signal.
            Err(_) => {}
        }
    }

    /// Tells whoever waits for the start.
    fn served(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.all_is_well();
            notify::ready();
        }
    }

    fn obey(&mut self, signal: Received) {
        let Received { number, name, order, sender, value } = signal;
        self.log(Level::Notice, format_args!("signal {number} ({name}) received from {sender}"));
        match order {
            Order::Stop => {
                self.notify_of_end(notify::stopping);
                self.plan = Plan::Stop(Instant::now() + LAST_WORDS);
                self.start_at = None;
                self.tell_worker(&ToWorker::Stop);
            }
            Order::Quit if !matches!(self.plan, Plan::Stop(_)) => {
                self.notify_of_end(notify::draining);
                self.plan = Plan::Quit;
                self.stop_accepting();
                self.close_listeners();
            }
            Order::Drain if self.plan == Plan::Serve => {
                self.plan = Plan::Drain;
                self.stop_accepting();
            }
            Order::Reopen => self.reopen(),
            Order::Reload if matches!(self.plan, Plan::Serve | Plan::Drain) => self.reload(value),
            Order::Reload => reply::answer(value, Err(&["it is shutting down".to_string()])),
            Order::Upgrade if self.plan == Plan::Serve => self.upgrade(),
            Order::Reap => {
                self.reap();
                self.reap_successor();
                self.reap_orphans();
            }
            Order::Quit | Order::Drain | Order::Upgrade => {}
        }
    }

    fn stop_accepting(&mut self) {
        self.start_at = None;
        self.tell_worker(&ToWorker::Quit);
    }

    fn tell_worker(&self, message: &ToWorker) {
        if let Some(worker) = &self.worker {
            // One that is gone does already what it is told.
            let _ = worker.say(message, &[]);
        }
    }

    fn reopen(&self) {
        self.log(Level::Notice, format_args!("reopening logs"));
        for error in self.state.reopen_logs() {
            self.log(Level::Emerg, format_args!("{error}"));
        }
        if let Some(worker) = &self.worker {
            let told = self.state.reopened(|message, descriptors| worker.say(message, descriptors));
            if let Err(error) = told {
                self.log(Level::Alert, format_args!("the worker process cannot be told: {error}"));
            }
        }
    }

    fn reap(&mut self) {
        let Some(worker) = &mut self.worker else { return };
        let Some(status) = worker.end() else { return };
        // Its last words may still be on the way.
        self.hear_worker();
        let Some(worker) = self.worker.take() else { return };
        let level = if status.code() == Some(0) { Level::Notice } else { Level::Alert };
        self.log(level, format_args!("worker process {} {}", worker.pid(), describe(status)));
        self.try_again(worker.died_of_its_start());
    }

    /// The first process of a container has the children of all others that ended.
    fn reap_orphans(&self) {
        if std::process::id() != 1 {
            return;
        }
        let own = [self.worker.as_ref().map(Worker::pid), self.successor.as_ref().map(Child::id)];
        while let Some(ended) = process::an_ended_child()
            && !own.contains(&Some(ended.as_raw_nonzero().get().cast_unsigned()))
        {
            let _ = waitpid(Some(ended), WaitOptions::NOHANG);
        }
    }

    /// Leaves nothing behind.
    pub fn clean_up(&mut self) {
        if self.successor.is_none() {
            notify::stopping();
        }
        self.pid_file.remove();
        self.close_listeners();
    }

    /// Listens no more.
    fn close_listeners(&mut self) {
        if !self.shares_sockets() {
            listen::remove_files(self.listeners.iter().map(|(address, _)| address));
        }
        self.listeners.clear();
    }

    /// Writes to the log, and at first to whoever started the program.
    pub fn log(&self, level: Level, message: std::fmt::Arguments<'_>) {
        if let (Level::Emerg | Level::Alert, Some(waiting)) = (level, &self.waiting) {
            waiting.tell(level, message);
        }
        self.state.log.write(level, None, message);
    }
}

impl Plan {
    fn ends_with_the_worker(self) -> bool {
        matches!(self, Plan::Quit | Plan::Stop(_))
    }
}
