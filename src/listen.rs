//! Listening sockets.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use crate::addr::Address;
use crate::config::{self, Keepalive, SocketOptions};
use crate::inherit::Inherited;
use crate::log::{Errno, Level};

/// How often, and at what interval, a socket that is in use is tried: its last user may be on its way out.
const ATTEMPTS: u32 = 5;
const INTERVAL: Duration = Duration::from_millis(500);

/// Opens every socket that is not inherited, or none: then no file of a Unix domain socket is left either. What goes wrong
/// is told to `say`, in nginx's words.
pub fn open_all(
    sockets: &[&config::Socket],
    inherited: &mut Inherited,
    say: &dyn Fn(Level, fmt::Arguments<'_>),
) -> Option<Vec<OwnedFd>> {
    let mut opened: Vec<Option<OwnedFd>> = sockets.iter().map(|socket| inherited.find(&socket.address)).collect();
    for (socket, open) in sockets.iter().zip(&opened).filter_map(|(socket, open)| Some((socket, open.as_ref()?))) {
        say(Level::Notice, format_args!("using inherited socket {}", socket.address));
        adjust(open, socket, say);
    }
    let mut missing: Vec<_> = sockets.iter().zip(&mut opened).filter(|(_, slot)| slot.is_none()).collect();
    if !open_missing(&mut missing, say) {
        let new = missing.into_iter().filter(|(_, slot)| slot.is_some());
        remove_files(new.map(|(socket, _)| &socket.address));
        return None;
    }
    opened.into_iter().collect()
}

/// Fills each place, or tells that it cannot.
fn open_missing(
    missing: &mut [(&&config::Socket, &mut Option<OwnedFd>)],
    say: &dyn Fn(Level, fmt::Arguments<'_>),
) -> bool {
    for attempt in 1..=ATTEMPTS {
        for (socket, slot) in missing.iter_mut().filter(|(_, slot)| slot.is_none()) {
            match open(socket) {
                Ok(descriptor) => **slot = Some(descriptor),
                Err(Failure { call, error }) => {
                    say(Level::Emerg, format_args!("{call} to {} failed{}", socket.address, Errno(&error)));
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return false;
                    }
                }
            }
        }
        if missing.iter().all(|(_, slot)| slot.is_some()) {
            return true;
        }
        if attempt < ATTEMPTS {
            say(Level::Notice, format_args!("try again to bind() after 500ms"));
            std::thread::sleep(INTERVAL);
        }
    }
    say(Level::Emerg, format_args!("still could not bind()"));
    false
}

/// Gives a socket that is open the options of a new configuration, as far as they can be changed: all but `ipv6only` and
/// `multipath`, as with nginx.
pub fn adjust(open: &OwnedFd, socket: &config::Socket, say: &dyn Fn(Level, fmt::Arguments<'_>)) {
    let listener = socket2::SockRef::from(open);
    let adjusted =
        tune(&listener, &socket.options).and_then(|()| listener.listen(socket.options.backlog).named("listen()"));
    if let Err(Failure { call, error }) = adjusted {
        say(Level::Alert, format_args!("{call} to {} failed, ignored{}", socket.address, Errno(&error)));
    }
}

/// Removes the files of Unix domain sockets, so that the next start can bind them.
pub fn remove_files<'a>(addresses: impl IntoIterator<Item = &'a Address>) {
    for address in addresses {
        if let Address::Unix(path) = address {
            // What is gone already, or may not be removed, is not worth a word on the way out.
            let _ = std::fs::remove_file(path);
        }
    }
}

struct Failure {
    call: &'static str,
    error: io::Error,
}

trait Naming<T> {
    fn named(self, call: &'static str) -> Result<T, Failure>;
}

impl<T> Naming<T> for io::Result<T> {
    fn named(self, call: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure { call, error })
    }
}

fn open(socket: &config::Socket) -> Result<OwnedFd, Failure> {
    let options = &socket.options;
    let (domain, protocol, address) = match &socket.address {
        Address::Ip(address) => (Domain::for_address(*address), Some(transport(options)), SockAddr::from(*address)),
        Address::Unix(path) => (Domain::UNIX, None, SockAddr::unix(path).named("bind()")?),
    };
    let listener = Socket::new(domain, Type::STREAM.nonblocking(), protocol).named("socket()")?;
    if domain != Domain::UNIX {
        listener.set_reuse_address(true).named("setsockopt(SO_REUSEADDR)")?;
    }
    if domain == Domain::IPV6 {
        listener.set_only_v6(options.ipv6only).named("setsockopt(IPV6_V6ONLY)")?;
    }
    tune(&listener, options)?;
    if let Address::Unix(path) = &socket.address {
        remove_what_is_left(path, &address);
    }
    listener.bind(&address).named("bind()")?;
    begin(&listener, socket).inspect_err(|_| remove_files([&socket.address]))?;
    Ok(listener.into())
}

/// Lets everybody connect.
fn begin(listener: &Socket, socket: &config::Socket) -> Result<(), Failure> {
    if let Address::Unix(path) = &socket.address {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).named("chmod()")?;
    }
    listener.listen(socket.options.backlog).named("listen()")
}

/// Removes the file of a Unix domain socket where nobody listens any more: a master that was killed leaves it.
fn remove_what_is_left(path: &Path, address: &SockAddr) {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let knock = || Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?.connect(address);
    if is_socket && knock().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        let _ = std::fs::remove_file(path);
    }
}

fn transport(options: &SocketOptions) -> Protocol {
    if options.multipath { Protocol::MPTCP } else { Protocol::TCP }
}

/// Sets what connections inherit.
fn tune(listener: &Socket, options: &SocketOptions) -> Result<(), Failure> {
    if let Some(size) = options.rcvbuf {
        listener.set_recv_buffer_size(size).named("setsockopt(SO_RCVBUF)")?;
    }
    if let Some(size) = options.sndbuf {
        listener.set_send_buffer_size(size).named("setsockopt(SO_SNDBUF)")?;
    }
    match &options.keepalive {
        None => Ok(()),
        Some(Keepalive::Off) => listener.set_keepalive(false).named("setsockopt(SO_KEEPALIVE)"),
        Some(Keepalive::On { idle, interval, count }) => {
            listener.set_keepalive(true).named("setsockopt(SO_KEEPALIVE)")?;
            let mut keepalive = TcpKeepalive::new();
            if let Some(idle) = idle {
                keepalive = keepalive.with_time(*idle);
            }
            if let Some(interval) = interval {
                keepalive = keepalive.with_interval(*interval);
            }
            if let Some(count) = count {
                keepalive = keepalive.with_retries(*count);
            }
            listener.set_tcp_keepalive(&keepalive).named("setsockopt(TCP_KEEPIDLE)")
        }
    }
}
