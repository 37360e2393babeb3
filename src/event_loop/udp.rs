//! UDP.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::{Interest, Source};

/// A socket that talks with one other.
#[derive(Debug)]
pub struct UdpSocket(Source);

impl UdpSocket {
    /// One that sends to `peer` and hears it alone, from a port that the kernel chooses.
    ///
    /// # Errors
    /// What `socket(2)` and `connect(2)` say.
    pub fn connect(peer: SocketAddr) -> io::Result<UdpSocket> {
        let family = if peer.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
        rustix::net::connect(&socket, &peer)?;
        Ok(UdpSocket(Source::new(socket)?))
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// What `send(2)` says.
    pub async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let send = |socket: BorrowedFd<'_>| Ok(rustix::net::send(socket, datagram, SendFlags::NOSIGNAL).map(drop)?);
        self.0.when_ready(Interest::Writable, send).await
    }

    /// Receives a datagram, cut where there is no more room. Gives its length.
    ///
    /// # Errors
    /// What `recv(2)` says: also that the one before did not arrive.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let receive = |socket: BorrowedFd<'_>| {
            Ok(rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count)?)
        };
        self.0.when_ready(Interest::Readable, receive).await
    }
}
