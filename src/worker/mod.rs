//! The part that serves: threads, and the way from beginning to end.
//!
//! In a process of its own (directive `master_process on`) it begins in [`entry`], with no file system and no rights, and
//! does what the master says through [`control`]. Else it is the only process, and [`run`] gets signals alone.
//!
//! A new configuration is built aside. When it is whole, listening sockets that stay get new doors, without being closed
//! for a moment; sessions run on with what they began with.

mod control;
pub mod entry;
mod load;
mod signals;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use self::control::Control;
use self::load::{Load, Loaded};
use crate::accept::{self, Dispatcher, Gate, Queue};
use crate::addr::Address;
use crate::boot::log_panics;
use crate::channel::ToMaster;
use crate::config::Process;
use crate::event_loop::time::{now, sleep};
use crate::event_loop::{EventLoop, Source, Task, run_aside, spawn};
use crate::life::Life;
use crate::log::{Level, Log, Logs};
use crate::process;
use crate::reply;
use crate::service::{Door, Shared};
use crate::signals::Signals;
use crate::title;

/// How often the way out looks whether everybody has left.
const LOOK: Duration = Duration::from_millis(50);

/// What a worker begins with.
pub struct Start {
    /// The main-level directives.
    pub process: Process,
    /// The listening sockets, each with its doors.
    pub listeners: Vec<Listener>,
    /// All logs, for reopening.
    pub logs: Arc<Logs>,
    /// The log of the main level.
    pub log: Arc<Log>,
    /// The line to the master, where there is one.
    pub master: Option<Master>,
}

/// The master, as the worker has it.
pub struct Master {
    /// The line to it.
    pub socket: OwnedFd,
    /// What a new configuration takes over.
    pub shared: Shared,
}

/// A listening socket.
pub struct Listener {
    /// What it is bound to.
    pub address: Address,
    /// The socket.
    pub socket: OwnedFd,
    /// Who is behind it.
    pub doors: Vec<Arc<Door>>,
}

/// Serves until told to stop: at once, or when the last session has ended, or after `worker_shutdown_timeout`.
///
/// # Errors
/// When the system does not give what is needed to begin.
pub fn run(start: Start) -> anyhow::Result<()> {
    let dispatcher = Arc::new(Dispatcher::new(connections(&start.process)));
    // Before there are other threads, which a signal would find unprepared.
    let signals = Signals::new().context("signals cannot be received")?;
    start_threads(&dispatcher, &start.process)?;
    process::bind_to(&process::processors(&start.process, 0));
    // Sessions that are still there when it ends are not waited for.
    new_loop()?.run(serve(start, dispatcher, signals))
}

fn new_loop() -> anyhow::Result<EventLoop> {
    EventLoop::new().context("the event loop cannot start")
}

/// How many connections there may be.
fn connections(process: &Process) -> usize {
    process.worker_connections.saturating_mul(process.worker_processes)
}

/// Starts the threads that are missing.
fn start_threads(dispatcher: &Dispatcher, process: &Process) -> anyhow::Result<()> {
    let queues = dispatcher.set_threads(process.worker_processes);
    let first = process.worker_processes - queues.len();
    (first..).zip(queues).try_for_each(|(number, queue)| start_thread(queue, process, number))
}

fn start_thread(queue: Queue, process: &Process, number: usize) -> anyhow::Result<()> {
    let event_loop = new_loop()?;
    let processors = process::processors(process, number);
    let serve = move || {
        process::bind_to(&processors);
        event_loop.run(accept::serve(queue));
    };
    thread::Builder::new().name("worker".to_string()).spawn(serve).context("pthread_create() failed")?;
    Ok(())
}

async fn serve(start: Start, dispatcher: Arc<Dispatcher>, signals: Signals) -> anyhow::Result<()> {
    let Start { process, listeners, logs, log, master } = start;
    let mut signals = signals::Listener::new(signals, master.is_some())?;
    spawn(dispatcher.give_memory_back());
    let (mut control, shared) = match master {
        Some(Master { socket, shared }) => (Some(Control::new(socket)?), Some(Arc::new(shared))),
        None => (None, None),
    };
    let mut worker = Worker {
        process,
        acceptors: Vec::new(),
        dispatcher,
        logs,
        log,
        shared,
        generation: Arc::default(),
        leaving: None,
    };
    worker.open(listeners)?;
    if let Some(control) = &control {
        control.say(&ToMaster::Ready)?;
    }
    while !worker.may_leave() {
        let order = tokio::select! {
            order = signals.next() => order,
            order = control::next(&mut control) => order,
            () = sleep(LOOK), if worker.leaving.is_some() => Order::Look,
        };
        match order {
            Order::Stop => break,
            Order::Look => {}
            Order::Quit => worker.leave("gracefully shutting down"),
            Order::Reopen => worker.reopen(),
            Order::Reopened { files, missing } => worker.take_logs(files, missing),
            Order::Load(load) => {
                let answer = worker.load(load).await;
                control.as_ref().map_or(Ok(()), |control| control.say(&answer))?;
            }
            Order::CannotReload { asked_by } => {
                let why = "with \"master_process off\" the configuration stays as it is";
                worker.log.write(Level::Error, None, format_args!("signal HUP: {why}"));
                reply::answer(asked_by, Err(&[why.to_string()]));
            }
            Order::MasterGone => {
                control = None;
                worker.log.write(Level::Alert, None, format_args!("the master process is gone"));
                worker.leave("gracefully shutting down");
            }
        }
    }
    Ok(())
}

/// What there is to do.
enum Order {
    /// End now.
    Stop,
    /// End with the last session.
    Quit,
    /// Open the logs anew.
    Reopen,
    /// The master has opened the logs anew.
    Reopened { files: load::Files, missing: usize },
    /// Take a new configuration, if all of it came.
    Load(Result<Load, Vec<String>>),
    /// Somebody wants a new configuration, and there is no master to make it.
    CannotReload {
        /// Who waits for the answer: see [`reply`].
        asked_by: u32,
    },
    /// Nobody is there to give orders any more.
    MasterGone,
    /// See whether the last session has ended.
    Look,
}

struct Worker {
    process: Process,
    acceptors: Vec<Acceptor>,
    dispatcher: Arc<Dispatcher>,
    logs: Arc<Logs>,
    log: Arc<Log>,
    /// What a new configuration takes over; none where none can come.
    shared: Option<Arc<Shared>>,
    /// The life of the configuration in force.
    generation: Arc<Life>,
    /// It ends with the last session, or then.
    leaving: Option<Leaving>,
}

struct Leaving {
    /// `worker_shutdown_timeout`
    deadline: Option<Instant>,
}

/// A listening socket at work.
struct Acceptor {
    address: Address,
    gate: Gate,
    task: Task,
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.task.stop();
    }
}

impl Worker {
    /// Accepts connections from these sockets, and from no others. One that it accepts from already is not touched.
    fn open(&mut self, listeners: Vec<Listener>) -> anyhow::Result<()> {
        let known = |address: &Address| self.acceptors.iter().any(|acceptor| acceptor.address == *address);
        let (staying, new): (Vec<_>, Vec<_>) = listeners.into_iter().partition(|one| known(&one.address));
        let new = new.into_iter().map(|Listener { address, socket, doors }| {
            self.accept(address, socket, Gate::new(doors, &self.generation))
        });
        let new = new.collect::<anyhow::Result<Vec<_>>>()?;
        self.acceptors.retain(|acceptor| staying.iter().any(|one| one.address == acceptor.address));
        for Listener { address, doors, .. } in staying {
            let acceptor = self.acceptors.iter().find(|acceptor| acceptor.address == address);
            acceptor.expect("it was found a moment ago").gate.exchange(doors, &self.generation);
        }
        self.acceptors.extend(new);
        Ok(())
    }

    fn accept(&self, address: Address, socket: OwnedFd, gate: Gate) -> anyhow::Result<Acceptor> {
        if matches!(address, Address::Ip(_)) {
            // What is accepted has it from here. Fails only where there is no TCP.
            let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
        }
        let listener = Source::shared(socket).context("a socket cannot be waited for")?;
        let task = spawn(accept::accept(listener, gate.clone(), self.dispatcher.clone()));
        Ok(Acceptor { address, gate, task })
    }

    /// Accepts nothing more.
    fn leave(&mut self, message: &str) {
        if self.leaving.is_some() {
            return;
        }
        self.log.write(Level::Notice, None, format_args!("{message}"));
        title::set(title::LEAVING_WORKER.as_bytes());
        self.acceptors.clear();
        let patience = self.process.worker_shutdown_timeout;
        self.leaving = Some(Leaving { deadline: patience.and_then(|patience| now().checked_add(patience)) });
    }

    /// Whether it is leaving, and the last session has ended or has had its time.
    fn may_leave(&self) -> bool {
        let Some(leaving) = &self.leaving else { return false };
        let late = leaving.deadline.is_some_and(|end| end <= now());
        if late {
            self.log.write(Level::Notice, None, format_args!("worker_shutdown_timeout: the last sessions are closed"));
        }
        late || self.dispatcher.connections() == 0
    }

    fn reopen(&self) {
        self.log.write(Level::Notice, None, format_args!("reopening logs"));
        for error in self.logs.reopen() {
            self.log.write(Level::Emerg, None, format_args!("{error}"));
        }
    }

    /// Puts a new configuration in force, or nothing.
    async fn load(&mut self, load: Result<Load, Vec<String>>) -> ToMaster {
        match self.try_load(load).await {
            Ok(()) => ToMaster::Ready,
            Err(mistakes) => ToMaster::Failed(mistakes),
        }
    }

    async fn try_load(&mut self, load: Result<Load, Vec<String>>) -> Result<(), Vec<String>> {
        let mut load = load?;
        self.logs.supply(std::mem::take(&mut load.logs));
        let (logs, shared) = (self.logs.clone(), self.shared.clone());
        // Reading keys and users takes its time, and this thread has sessions.
        let built = run_aside(move || load.read()?.build(&logs, shared.as_deref())).await;
        let Loaded { process, listeners, log, shared } = built.map_err(|error| vec![error.to_string()])??;
        let superseded = std::mem::take(&mut self.generation);
        if let Err(error) = self.open(listeners) {
            self.generation = superseded;
            return Err(vec![format!("{error:#}")]);
        }
        if let Some(patience) = self.process.worker_shutdown_timeout {
            spawn(end_after(patience, superseded));
        }
        self.logs.reopen();
        self.adjust(&process);
        self.process = process;
        log_panics(log.clone());
        self.log = log;
        self.shared = Some(Arc::new(shared));
        if self.leaving.take().is_some() {
            title::set(title::WORKER.as_bytes());
        }
        Ok(())
    }

    /// Sets what is counted.
    fn adjust(&self, process: &Process) {
        self.dispatcher.set_limit(connections(process));
        if let Err(error) = start_threads(&self.dispatcher, process) {
            self.log.write(Level::Alert, None, format_args!("{error:#}"));
        }
    }

    /// From now on these are the logs. Those that are missing go on being written where they are.
    fn take_logs(&self, files: load::Files, missing: usize) {
        self.logs.supply(files);
        self.logs.reopen();
        if missing > 0 {
            let reason = load::NO_DESCRIPTORS;
            self.log.write(Level::Alert, None, format_args!("{missing} of the logs cannot be opened anew: {reason}"));
        }
    }
}

/// Ends the sessions of a superseded configuration when they have had their time.
async fn end_after(patience: Duration, generation: Arc<Life>) {
    sleep(patience).await;
    generation.end();
}
