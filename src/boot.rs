//! From a configuration to a running program, in nginx's order: logs, sockets, background, pid file, limits, user.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::{Config, Machine};
use crate::listen;
use crate::log::{Level, Log, Logs};
use crate::process::{self, PidFile, User};
use crate::service::{self, Shared};
use crate::worker::{self, Bundle};

/// Runs until told to stop.
pub fn run(config: &Config) -> ExitCode {
    let logs = Logs::default();
    let log = match logs.open(&config.process.error_log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("gatepost: [emerg] {error}");
            return ExitCode::FAILURE;
        }
    };
    match start(config, logs, &log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

/// It does not start; why has been said.
struct Failed;

fn start(config: &Config, logs: Logs, log: &Arc<Log>) -> Result<(), Failed> {
    let say = |level: Level, message: fmt::Arguments<'_>| {
        if level <= Level::Notice {
            eprintln!("gatepost: [{}] {message}", level.name());
        }
        log.write(level, None, message);
    };
    let fail = |message: fmt::Arguments<'_>| {
        say(Level::Emerg, message);
        Failed
    };
    let user = match config.process.master_process {
        true => Some(User::find(config.process.user.as_ref()).map_err(|error| fail(format_args!("{error:#}")))?),
        false => None,
    };
    let doors = service::doors(config, &logs, &Shared::new(Arc::new(Machine))).map_err(|mistakes| {
        mistakes.iter().for_each(|mistake| say(Level::Emerg, format_args!("{mistake}")));
        Failed
    })?;
    for warning in service::warnings(&doors) {
        say(Level::Warn, format_args!("{warning}"));
    }
    let sockets = listen::open_all(&config.sockets, &say).ok_or(Failed)?;
    if config.process.daemon {
        process::daemonize().map_err(|error| fail(format_args!("{error:#}")))?;
    }
    let pid_file = PidFile::create(&config.process.pid).map_err(|error| fail(format_args!("{error:#}")))?;
    if config.process.daemon {
        process::detach_stderr();
    }
    log.write(Level::Notice, None, format_args!("gatepost/{}", env!("CARGO_PKG_VERSION")));
    for failure in process::apply_limits(&config.process) {
        log.write(Level::Alert, None, format_args!("{failure}"));
    }
    let served = match user.as_ref().map_or(Ok(()), process::drop_privileges) {
        Ok(()) => {
            log_panics(log.clone());
            let sockets = sockets.into_iter().zip(doors).collect();
            worker::run(&config.process, Bundle { sockets, logs, log: log.clone() })
        }
        Err(error) => Err(error),
    };
    pid_file.remove();
    listen::remove_files(&config.sockets);
    served.map_err(|error| {
        log.write(Level::Emerg, None, format_args!("{error:#}"));
        Failed
    })?;
    log.write(Level::Notice, None, format_args!("exit"));
    Ok(())
}

/// A panic costs the session it happens in, and is a mistake of ours that somebody must hear of.
fn log_panics(log: Arc<Log>) {
    std::panic::set_hook(Box::new(move |panic| {
        log.write(Level::Alert, None, format_args!("{panic}, the session it happened in is lost"));
    }));
}
