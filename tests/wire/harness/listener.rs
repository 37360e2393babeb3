//! The listening sockets of stubs, and a stub backend: the place where the auth server sends sessions to.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Conn, PATIENCE, QUIET};

/// A listening socket; the test accepts from it and plays the mail server.
pub(crate) struct Backend {
    listener: TcpListener,
}

/// A listening socket, for as many connections at once as the system allows: where they do not fit, cookies take the place of
/// the kernel's memory of them, and now and then one is refused.
pub(super) fn listen(address: &str) -> TcpListener {
    let listener = TcpListener::bind(address).unwrap();
    rustix::net::listen(&listener, 4096).unwrap();
    listener
}

impl Backend {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn new() -> Backend {
        Backend::at("127.0.0.1:0")
    }

    /// Listens on that address.
    pub(crate) fn at(address: &str) -> Backend {
        Backend { listener: listen(address) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> Conn {
        assert!(readable(&self.listener, PATIENCE), "no connection came to the backend");
        Conn::tcp(self.listener.accept().unwrap().0)
    }

    /// The next connection, if one comes within a short while.
    pub(crate) fn try_accept(&self) -> Option<Conn> {
        readable(&self.listener, QUIET).then(|| Conn::tcp(self.listener.accept().unwrap().0))
    }

    /// Nobody connects for a while.
    #[track_caller]
    pub(crate) fn expect_nobody(&self) {
        assert!(!readable(&self.listener, QUIET), "a connection came to the backend");
    }
}

/// Whether the descriptor becomes readable within that time.
pub(super) fn readable(fd: &impl AsFd, within: Duration) -> bool {
    let within = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&within)).unwrap() > 0
}
