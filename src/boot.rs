//! From a configuration to a running program, in nginx's order: logs, sockets, background, pid file; then the master has
//! a worker serve, or this process serves by itself.

use std::fmt;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::{self, Config, Machine, Recording};
use crate::inherit::Inherited;
use crate::listen;
use crate::log::{Level, Log, Logs};
use crate::master::Master;
use crate::master::state::{Prepared, Source};
use crate::notify;
use crate::process::{self, PidFile, Waiting};
use crate::service::{self, Shared};
use crate::signals::Signals;
use crate::title;
use crate::worker::{self, Listener, Start};

/// What to run.
pub struct Boot {
    /// The configuration.
    pub config: Config,
    /// How to read it again.
    pub source: Source,
    /// What it asked of the machine.
    pub recording: Arc<Recording>,
}

/// It does not start, or did not end well; why has been said.
struct Failed;

/// Runs until told to stop.
pub fn run(boot: Boot) -> ExitCode {
    process::set_name();
    let done = if boot.config.process.master_process { with_worker(boot) } else { alone(boot.config) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

/// As two processes.
fn with_worker(boot: Boot) -> Result<(), Failed> {
    let Boot { config, source, recording } = boot;
    let keeps_stderr = config.logs_to_stderr();
    title::prepare();
    let prepared = Prepared::new(&source, config, &recording, &|level, message| say(None, level, message));
    let prepared = prepared.map_err(|mistakes| fail_all(None, &mistakes))?;
    // What it holds is packed for the worker.
    drop(recording);
    let log = prepared.log.clone();
    let mut inherited = Inherited::take();
    let sockets = listen::open_all(&prepared.sockets.iter().collect::<Vec<_>>(), &mut inherited, &|level, message| {
        say(Some(&log), level, message)
    })
    .ok_or(Failed)?;
    let predecessor = inherited.predecessor;
    inherited.close(&|level, message| say(Some(&log), level, message));
    let addresses: Vec<_> = prepared.sockets.iter().map(|socket| socket.address.clone()).collect();
    let listeners = addresses.into_iter().zip(sockets).collect();
    // The child of another binary's master stays its child.
    let waiting = go_to_background(prepared.process.daemon && predecessor.is_none(), keeps_stderr, &log)?;
    // Before the pid file says whom to send them to.
    let signals = Signals::new();
    let signals = signals.map_err(|error| fail(&log, format_args!("signals cannot be received: {error}")))?;
    let pid_file = write_pid_file(&prepared.process, &waiting, &log)?;
    // A reload may bring another.
    drop(log);
    title::set(&title::of_master(&source.command_line));
    let mut master = Master::new(source, signals, pid_file, prepared, listeners, predecessor, Some(waiting));
    let served = master.run();
    master.clean_up();
    master.log(Level::Notice, format_args!("exit"));
    if served { Ok(()) } else { Err(Failed) }
}

/// As one process (directive `master_process off`).
fn alone(config: Config) -> Result<(), Failed> {
    let logs = Arc::new(Logs::default());
    let log = logs.open(&config.process.error_log).map_err(|error| fail_all(None, &[error.to_string()]))?;
    let tell = |level: Level, message: fmt::Arguments<'_>| say(Some(&log), level, message);
    let doors = service::doors(&config, &logs, &Shared::new(Arc::new(Machine)));
    let doors = doors.map_err(|mistakes| fail_all(Some(&log), &mistakes))?;
    for warning in service::warnings(&config.process, &doors) {
        tell(Level::Warn, format_args!("{warning}"));
    }
    let mut inherited = Inherited::take();
    let sockets = listen::open_all(&config.sockets.iter().collect::<Vec<_>>(), &mut inherited, &tell).ok_or(Failed)?;
    inherited.close(&tell);
    let keeps_stderr = config.logs_to_stderr();
    let Config { process, sockets: described, .. } = config;
    let waiting = go_to_background(process.daemon, keeps_stderr, &log)?;
    // Before the pid file says whom to send them to: from now on they wait.
    Signals::new().map_err(|error| fail(&log, format_args!("signals cannot be received: {error}")))?;
    let pid_file = write_pid_file(&process, &waiting, &log)?;
    for failure in process::apply_limits(&process) {
        log.write(Level::Alert, None, format_args!("{failure}"));
    }
    log_panics(log.clone());
    waiting.all_is_well();
    notify::ready();
    let listeners = listeners(&described, sockets, doors);
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.address.clone()).collect();
    let served = worker::run(Start { process, listeners, logs, log: log.clone(), master: None });
    pid_file.remove();
    listen::remove_files(&addresses);
    served.map_err(|error| {
        log.write(Level::Emerg, None, format_args!("{error:#}"));
        Failed
    })?;
    log.write(Level::Notice, None, format_args!("exit"));
    Ok(())
}

fn listeners(
    described: &[config::Socket],
    sockets: Vec<OwnedFd>,
    doors: Vec<Vec<Arc<service::Door>>>,
) -> Vec<Listener> {
    let addresses = described.iter().map(|socket| socket.address.clone());
    let all = addresses.zip(sockets).zip(doors);
    all.map(|((address, socket), doors)| Listener { address, socket, doors }).collect()
}

/// Goes to the background, if `wanted`.
fn go_to_background(wanted: bool, keeps_stderr: bool, log: &Log) -> Result<Waiting, Failed> {
    match wanted {
        true => process::daemonize(keeps_stderr).map_err(|error| fail(log, format_args!("{error:#}"))),
        false => Ok(Waiting::nobody()),
    }
}

fn write_pid_file(process: &config::Process, waiting: &Waiting, log: &Log) -> Result<PidFile, Failed> {
    let pid_file = PidFile::create(&process.pid).map_err(|error| {
        waiting.tell(Level::Emerg, format_args!("{error:#}"));
        log.write(Level::Emerg, None, format_args!("{error:#}"));
        Failed
    })?;
    log.write(Level::Notice, None, format_args!("gatepost/{}", env!("CARGO_PKG_VERSION")));
    Ok(pid_file)
}

/// Tells whoever started the program, and the log if it is open.
fn say(log: Option<&Log>, level: Level, message: fmt::Arguments<'_>) {
    if level <= Level::Notice {
        eprintln!("gatepost: [{}] {message}", level.name());
    }
    if let Some(log) = log {
        log.write(level, None, message);
    }
}

fn fail(log: &Log, message: fmt::Arguments<'_>) -> Failed {
    say(Some(log), Level::Emerg, message);
    Failed
}

fn fail_all(log: Option<&Log>, mistakes: &[String]) -> Failed {
    mistakes.iter().for_each(|mistake| say(log, Level::Emerg, format_args!("{mistake}")));
    Failed
}

/// A panic costs the session it happens in, and is a mistake of ours that somebody must hear of.
pub fn log_panics(log: Arc<Log>) {
    std::panic::set_hook(Box::new(move |panic| {
        log.write(Level::Alert, None, format_args!("{panic}, the session it happened in is lost"));
    }));
}
