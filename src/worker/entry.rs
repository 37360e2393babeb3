//! Where the worker's process begins: from the rights of root to none.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustix::net::RecvFlags;

use super::load::{Load, Loaded, Read};
use super::{Master, Start};
use crate::boot::log_panics;
use crate::channel::{self, Inbox, ToMaster, ToWorker};
use crate::log::{Level, Log, Logs};
use crate::process::{self, User};
use crate::title;

/// Lives as a worker. Standard input is the line to the master.
pub fn main() -> ExitCode {
    process::set_name();
    title::prepare();
    let socket = match take_line() {
        Ok(socket) => socket,
        Err(error) => {
            eprintln!("gatepost: [emerg] this is for the master process to start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match live(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_told) => ExitCode::from(2),
    }
}

/// The line to the master, out of the place where it came in.
fn take_line() -> io::Result<OwnedFd> {
    process::close_what_was_left_open();
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::net::sockopt::socket_type(&socket)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

fn live(socket: OwnedFd) -> anyhow::Result<()> {
    let logs = Arc::new(Logs::supplied());
    // For what it says last: later there may be no descriptor for that.
    let line = socket.try_clone()?;
    let Loaded { process, listeners, log, shared } = match begin(socket.as_fd(), &logs) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            channel::send(socket.as_fd(), &ToMaster::Failed(mistakes), &[])?;
            bail!("told the master");
        }
    };
    let master = Some(Master { socket, shared });
    // A reload may bring another log.
    let first_log = Arc::downgrade(&log);
    let served = super::run(Start { process, listeners, logs, log, master });
    served.inspect_err(|error| {
        // The master logs it, and tells whoever waits for the start.
        let told = channel::send(line.as_fd(), &ToMaster::Failed(vec![format!("{error:#}")]), &[]);
        if let (Err(_), Some(log)) = (told, first_log.upgrade()) {
            log.write(Level::Emerg, None, format_args!("{error:#}"));
        }
    })
}

/// Takes the first configuration, gives all rights away, and builds what serves.
fn begin(socket: impl AsFd, logs: &Logs) -> Result<Loaded, Vec<String>> {
    let mut load = receive(socket).map_err(|error| vec![format!("{error:#}")])??;
    logs.supply(std::mem::take(&mut load.logs));
    let read = load.read()?;
    let log = logs.open(&read.config.process.error_log).map_err(|error| vec![error.to_string()])?;
    log_panics(log.clone());
    give_rights_away(&read, &log).map_err(|error| vec![format!("{error:#}")])?;
    read.build(logs, None)
}

fn receive(socket: impl AsFd) -> anyhow::Result<Result<Load, Vec<String>>> {
    let received = Inbox::default().receive(socket.as_fd(), RecvFlags::empty()).context("recvmsg() failed")?;
    match received {
        Some((ToWorker::Load { sockets, logs }, descriptors)) => Ok(Load::new(sockets, logs, descriptors)),
        Some(_) => bail!("a worker begins with a configuration"),
        None => bail!("the master process is gone"),
    }
}

fn give_rights_away(read: &Read, log: &Log) -> anyhow::Result<()> {
    let process = &read.config.process;
    let user = User::find(process.user.as_ref())?;
    for failure in process::apply_limits(process) {
        log.write(Level::Alert, None, format_args!("{failure}"));
    }
    process::drop_privileges(&user)?;
    for notice in process::confine(process) {
        log.write(Level::Notice, None, format_args!("{notice}"));
    }
    Ok(())
}
