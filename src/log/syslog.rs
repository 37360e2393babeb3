//! Lines to a syslog server: RFC 3164 as nginx writes it, over UDP or a Unix datagram socket.
//!
//! A server that was restarted is found again with the next line. Nothing waits: what the socket does not take is lost.

use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};

use super::clock::Stamp;
use super::{Errno, Level, Syslog};
use crate::addr::Address;

/// The way to one server.
#[derive(Debug)]
pub(super) struct Sender {
    syslog: Syslog,
    /// Between tag and time: the host's name and a space, or nothing.
    host: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    socket: Option<Socket>,
    message: Vec<u8>,
    /// Whether the last line was lost, and that was told.
    unreachable: bool,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// A server that cannot be reached, in nginx's words.
#[derive(Debug, thiserror::Error)]
#[error("{} failed{} while logging to syslog, server: {}", .call, Errno(.source), .server)]
pub(super) struct Unreachable {
    call: &'static str,
    server: Address,
    source: io::Error,
}

impl Sender {
    pub(super) fn new(syslog: Syslog) -> Sender {
        let host = match syslog.nohostname {
            true => String::new(),
            false => format!("{} ", rustix::system::uname().nodename().to_string_lossy().to_lowercase()),
        };
        Sender { syslog, host, state: Mutex::default() }
    }

    /// Sends a line without its line feed.
    ///
    /// # Errors
    /// When the server cannot be reached, the first time only until it can be again.
    pub(super) fn send(&self, stamp: &Stamp, level: Level, line: &[u8]) -> Result<(), Unreachable> {
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.spell(&mut state.message, stamp, level, line);
        let sent = match self.try_send(state) {
            // The server may have been restarted.
            Err(_) if state.socket.take().is_some() => self.try_send(state),
            first => first,
        };
        match sent {
            Ok(()) => {
                state.unreachable = false;
                Ok(())
            }
            Err(error) => {
                state.socket = None;
                let told = std::mem::replace(&mut state.unreachable, true);
                if told { Ok(()) } else { Err(error) }
            }
        }
    }

    /// `<PRI>Nov 23 02:04:04 host tag: line`
    fn spell(&self, message: &mut Vec<u8>, stamp: &Stamp, level: Level, line: &[u8]) {
        let priority = u32::from(self.syslog.facility) * 8 + level as u32 - 1;
        message.clear();
        let _ = write!(message, "<{priority}>");
        message.extend_from_slice(&stamp.syslog);
        let _ = write!(message, " {}{}: ", self.host, self.syslog.tag);
        message.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
    }

    fn try_send(&self, state: &mut State) -> Result<(), Unreachable> {
        let failed = |call, source| Unreachable { call, server: self.syslog.server.clone(), source };
        let socket = match state.socket.take() {
            Some(socket) => socket,
            None => Socket::connect(&self.syslog.server).map_err(|error| failed("connect()", error))?,
        };
        let sent = state.socket.insert(socket).send(&state.message);
        sent.map_err(|error| failed("send()", error))
    }
}

impl Socket {
    fn connect(server: &Address) -> io::Result<Socket> {
        match server {
            Address::Ip(address) => {
                let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
                socket.set_nonblocking(true)?;
                socket.connect(address)?;
                Ok(Socket::Udp(socket))
            }
            Address::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                socket.connect(path)?;
                Ok(Socket::Unix(socket))
            }
        }
    }

    /// Sends one datagram, or loses it if the socket is full.
    fn send(&self, message: &[u8]) -> io::Result<()> {
        let sent = match self {
            Socket::Udp(socket) => socket.send(message),
            Socket::Unix(socket) => socket.send(message),
        };
        match sent {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            other => other.map(drop),
        }
    }
}
