//! The part that serves: threads, signals, and the way out.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::accept::{self, Accepted, Dispatcher};
use crate::config::Process;
use crate::log::{Level, Log, Logs};
use crate::service::Door;

/// How often the way out looks whether everybody has left.
const LOOK: Duration = Duration::from_millis(50);

/// What a worker is given.
pub struct Bundle {
    /// The listening sockets, each with its doors.
    pub sockets: Vec<(OwnedFd, Vec<Arc<Door>>)>,
    /// All logs, for reopening.
    pub logs: Logs,
    /// The log of the main level.
    pub log: Arc<Log>,
}

/// Serves until told to stop: TERM or INT at once, QUIT when the last session has ended, or after
/// `worker_shutdown_timeout`.
///
/// # Errors
/// When the system does not give what is needed to begin.
pub fn run(process: &Process, bundle: Bundle) -> anyhow::Result<()> {
    let limit = process.worker_connections.saturating_mul(process.worker_processes);
    let (dispatcher, queues) = Dispatcher::new(limit, process.worker_processes - 1);
    for queue in queues {
        start_thread(queue)?;
    }
    let runtime = new_runtime()?;
    let done = runtime.block_on(serve(process, bundle, Arc::new(dispatcher)));
    // Sessions that are still there are not waited for.
    runtime.shutdown_background();
    done
}

fn new_runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("the event loop cannot start")
}

fn start_thread(queue: UnboundedReceiver<Accepted>) -> anyhow::Result<()> {
    let runtime = new_runtime()?;
    let serve = move || runtime.block_on(accept::serve(queue));
    thread::Builder::new().name("worker".to_string()).spawn(serve).context("pthread_create() failed")?;
    Ok(())
}

async fn serve(process: &Process, bundle: Bundle, dispatcher: Arc<Dispatcher>) -> anyhow::Result<()> {
    let Bundle { sockets, logs, log } = bundle;
    let mut signals = Signals::new()?;
    let mut acceptors = Vec::with_capacity(sockets.len());
    for (socket, doors) in sockets {
        // SAFETY: an `OwnedFd` is the same open descriptor for as long as it lives.
        let listener = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        let listener = listener.context("a socket cannot be waited for")?;
        acceptors.push(tokio::spawn(accept::accept(listener, doors, dispatcher.clone())));
    }
    loop {
        match signals.next().await {
            Command::Stop => return Ok(()),
            Command::Quit => break,
            Command::Reopen => reopen(&logs, &log),
            Command::Reload => {
                let line = "signal HUP: reloading is not there yet, the configuration stays as it is";
                log.write(Level::Error, None, format_args!("{line}"));
            }
        }
    }
    log.write(Level::Notice, None, format_args!("gracefully shutting down"));
    drain(process, &dispatcher, acceptors, &mut signals, &logs, &log).await;
    Ok(())
}

/// Waits for the last session.
async fn drain(
    process: &Process,
    dispatcher: &Dispatcher,
    acceptors: Vec<JoinHandle<()>>,
    signals: &mut Signals,
    logs: &Logs,
    log: &Log,
) {
    for acceptor in acceptors {
        acceptor.abort();
    }
    let patience = process.worker_shutdown_timeout.unwrap_or(Duration::MAX);
    let deadline = Instant::now().checked_add(patience);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while dispatcher.connections() > 0 {
        tokio::select! {
            _ = look.tick() => {}
            () = until(deadline) => {
                log.write(Level::Notice, None, format_args!("worker_shutdown_timeout: the last sessions are closed"));
                return;
            }
            command = signals.next() => match command {
                Command::Stop => return,
                Command::Reopen => reopen(logs, log),
                Command::Quit | Command::Reload => {}
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn reopen(logs: &Logs, log: &Log) {
    log.write(Level::Notice, None, format_args!("reopening logs"));
    for error in logs.reopen() {
        log.write(Level::Emerg, None, format_args!("{error}"));
    }
}

/// What a signal asks for, with nginx's meanings.
enum Command {
    Stop,
    Quit,
    Reopen,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    reopen: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            reopen: listen(SignalKind::user_defined1())?,
            reload: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Command {
        tokio::select! {
            _ = self.terminate.recv() => Command::Stop,
            _ = self.interrupt.recv() => Command::Stop,
            _ = self.quit.recv() => Command::Quit,
            _ = self.reopen.recv() => Command::Reopen,
            _ = self.reload.recv() => Command::Reload,
        }
    }
}
