//! Listening sockets that were open before the program was: those of the last binary (USR2), which names them in the
//! environment as `GATEPOST=fd;fd;`, and those of systemd (socket activation, `sd_listen_fds(3)`).

use std::env;
use std::fmt;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::SocketAddr as UnixAddress;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::Pid;

use crate::addr::Address;
use crate::log::Level;

/// The variable that names the sockets of the last binary.
const VARIABLE: &str = "GATEPOST";

/// systemd's first descriptor.
const FIRST: RawFd = 3;

/// What was inherited.
#[derive(Default)]
pub struct Inherited {
    /// The sockets, by what they are bound to.
    pub sockets: Vec<(Address, OwnedFd)>,
    /// The master of the last binary, if it started this one.
    pub predecessor: Option<Pid>,
}

impl Inherited {
    /// Takes what the environment names. It is to be called once.
    pub fn take() -> Inherited {
        let of_last_binary = env::var(VARIABLE).ok();
        let numbers: Vec<RawFd> = match &of_last_binary {
            Some(list) => list.split(';').filter_map(|number| number.parse().ok()).collect(),
            None => of_systemd(),
        };
        let predecessor = if of_last_binary.is_some() { rustix::process::getppid() } else { None };
        Inherited { sockets: numbers.into_iter().filter_map(socket).collect(), predecessor }
    }

    /// The socket that is bound to this address.
    pub fn find(&mut self, address: &Address) -> Option<OwnedFd> {
        let place = self.sockets.iter().position(|(bound, _)| bound == address)?;
        Some(self.sockets.swap_remove(place).1)
    }

    /// Closes what the configuration does not name: clients would wait there for somebody who never accepts.
    pub fn close(self, say: &dyn Fn(Level, fmt::Arguments<'_>)) {
        for (address, _) in &self.sockets {
            say(Level::Warn, format_args!("no \"listen\" names {address}, which was open already: closed"));
        }
    }
}

fn of_systemd() -> Vec<RawFd> {
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() => {
            (FIRST..).take(usize::try_from(count).unwrap_or(0)).collect()
        }
        _ => Vec::new(),
    }
}

fn socket(number: RawFd) -> Option<(Address, OwnedFd)> {
    // SAFETY: the call only asks whether there is such a descriptor.
    if number < FIRST || unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
        return None;
    }
    // SAFETY: it is open, was made for this program to own, and nobody else here knows of it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC).ok()?;
    rustix::io::ioctl_fionbio(&descriptor, true).ok()?;
    Some((address(&descriptor)?, descriptor))
}

fn address(descriptor: &OwnedFd) -> Option<Address> {
    let bound = socket2::SockRef::from(descriptor).local_addr().ok()?;
    let unix = |bound: UnixAddress| bound.as_pathname().map(|path| Address::Unix(path.to_path_buf()));
    bound.as_socket().map(Address::Ip).or_else(|| bound.as_unix().and_then(unix))
}

/// Copies of sockets that a program started next inherits, and the variable that tells it of them. Drop the copies when it
/// has started.
///
/// # Errors
/// When there are no descriptors left.
pub fn bequeath<'a>(
    sockets: impl IntoIterator<Item = BorrowedFd<'a>>,
) -> std::io::Result<(Vec<OwnedFd>, (&'static str, String))> {
    let mut copies = Vec::new();
    let mut list = String::new();
    for socket in sockets {
        let copy = fcntl_dupfd_cloexec(socket, FIRST)?;
        fcntl_setfd(&copy, FdFlags::empty())?;
        list += &format!("{};", copy.as_raw_fd());
        copies.push(copy);
    }
    Ok((copies, (VARIABLE, list)))
}
