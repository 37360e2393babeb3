//! What `-t` tries besides reading: that a start with this configuration would find its files and addresses.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket as RawSocket, Type};

use super::diagnostic::{Diagnostics, Place};
use super::{Config, Machine, Socket};
use crate::addr::Address;
use crate::log::{Errno, Level, Logs};
use crate::service::{self, Shared};

/// Opens the pid file and the logs, which creates them, makes all that a start would make of the configuration, and binds
/// the sockets for a moment. As in nginx an address that is in use is no mistake: it may be a running Gatepost's.
pub fn start_up(config: &Config) -> Diagnostics {
    let mut found = Diagnostics::default();
    pid_file(&config.process.pid, &mut found);
    logs(config, &mut found);
    services(config, &mut found);
    for socket in &config.sockets {
        if let Err(error) = try_bind(socket)
            && error.raw_os_error() != Some(libc::EADDRINUSE)
        {
            found.error(&Place::Nowhere, format!("bind() to {} failed{}", socket.address, Errno(&error)));
        }
    }
    found
}

fn pid_file(path: &Path, found: &mut Diagnostics) {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path);
    if let Err(error) = opened {
        found.error(&Place::Nowhere, format!("open() \"{}\" failed{}", path.display(), Errno(&error)));
    }
}

fn logs(config: &Config, found: &mut Diagnostics) {
    let logs = Logs::default();
    let of_servers = config.servers.iter().map(|server| &server.error_log);
    for specs in of_servers.chain([&config.process.error_log]) {
        for spec in specs {
            if let Err(error) = logs.open(std::slice::from_ref(spec)) {
                found.error(&Place::Nowhere, error.to_string());
            }
        }
    }
}

/// What cannot be opened of the logs is told a second time, which [`Diagnostics`] leaves out.
fn services(config: &Config, found: &mut Diagnostics) {
    match service::doors(config, &Logs::default(), &Shared::new(Arc::new(Machine))) {
        Ok(doors) => {
            service::warnings(&config.process, &doors)
                .into_iter()
                .for_each(|text| found.push(Level::Warn, &Place::Nowhere, text));
        }
        Err(mistakes) => mistakes.into_iter().for_each(|mistake| found.error(&Place::Nowhere, mistake)),
    }
}

fn try_bind(socket: &Socket) -> io::Result<()> {
    let (domain, address) = match &socket.address {
        Address::Ip(address) => (Domain::for_address(*address), SockAddr::from(*address)),
        Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
    };
    let raw = RawSocket::new(domain, Type::STREAM, None)?;
    raw.set_reuse_address(true)?;
    if domain == Domain::IPV6 {
        raw.set_only_v6(socket.options.ipv6only)?;
    }
    raw.bind(&address)?;
    if let Address::Unix(path) = &socket.address {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
