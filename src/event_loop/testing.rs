//! Tests in an event loop.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::sync::oneshot;

use super::{EventLoop, Interest, Local, Source, Task, with};
use crate::addr::Address;
use crate::stream::Socket;

/// Runs a test in an event loop, on a thread of its own.
pub fn run<F: Future<Output = ()> + 'static>(test: impl FnOnce() -> F + Send + 'static) {
    let test = move || EventLoop::new().expect("there are descriptors").run(async { test().await });
    thread::spawn(test).join().unwrap_or_else(|panic| resume_unwind(panic));
}

/// The same with a clock that stands still as long as anything happens, and then goes on to the next time that anybody
/// waits for.
pub fn run_paused<F: Future<Output = ()> + 'static>(test: impl FnOnce() -> F + Send + 'static) {
    run(|| {
        with(|local| local.paused.set(true));
        test()
    });
}

impl Local {
    /// Moves the clock, if it is paused and nobody has anything to do.
    pub(super) fn advance(&self) {
        if self.paused.get()
            && self.tasks.borrow().scheduled() == 0
            && let Some(next) = self.timers.borrow().next()
        {
            self.now.set(next.max(self.now.get()));
        }
    }
}

/// A task whose outcome is waited for.
#[derive(Debug)]
pub struct JoinHandle<T> {
    task: Task,
    outcome: oneshot::Receiver<T>,
}

/// The same as [`super::spawn`], with an outcome: an error if it was stopped, or panicked.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    let (sender, outcome) = oneshot::channel();
    let task = super::spawn(async move { drop(sender.send(future.await)) });
    JoinHandle { task, outcome }
}

impl<T> JoinHandle<T> {
    /// Stops it.
    pub fn abort(&self) {
        self.task.stop();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.task.has_ended()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, oneshot::error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(cx)
    }
}

/// Lets the other tasks have their turn.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A server's socket.
#[derive(Debug)]
pub struct Listener(Source);

impl Listener {
    /// Listens at a TCP port that is free.
    pub fn new() -> Listener {
        Listener::from_std(std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port"))
    }

    /// Takes a socket over.
    pub fn from_std(listener: std::net::TcpListener) -> Listener {
        rustix::net::sockopt::set_tcp_nodelay(&listener, true).expect("it is TCP");
        Listener::listening(listener.into())
    }

    /// Listens at a path.
    pub fn unix(path: &Path) -> Listener {
        Listener::listening(std::os::unix::net::UnixListener::bind(path).expect("the path is free").into())
    }

    fn listening(socket: OwnedFd) -> Listener {
        rustix::io::ioctl_fionbio(&socket, true).expect("it is a socket");
        Listener(Source::new(socket).expect("the loop takes it"))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        rustix::net::getsockname(&self.0).expect("it is bound").try_into().expect("it is TCP")
    }

    /// The same.
    pub fn address(&self) -> Address {
        Address::Ip(self.local_addr())
    }

    /// Accepts a connection.
    pub async fn accept(&self) -> Socket {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = |fd: BorrowedFd<'_>| Ok(rustix::net::accept_with(fd, flags)?);
        let accepted = self.0.when_ready(Interest::Readable, accept).await.expect("it accepts");
        Socket::from_accepted(accepted).expect("the loop takes it")
    }
}

/// A connection by TCP, both ends.
pub async fn connection() -> (Socket, Socket) {
    let listener = Listener::new();
    let near = Socket::connect(&listener.address()).await.expect("it listens");
    (near, listener.accept().await)
}

/// Two sockets that are connected.
pub fn pair() -> (Socket, Socket) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let (one, other) = pair.expect("there are descriptors");
    let take = |socket| Socket::from_accepted(socket).expect("the loop takes it");
    (take(one), take(other))
}

/// The same socket once more, for another task.
pub fn again(socket: &Socket) -> Socket {
    let copy = socket.as_fd().try_clone_to_owned().expect("there are descriptors");
    Socket::from_accepted(copy).expect("the loop takes it")
}

/// A UDP socket that talks with anybody.
#[derive(Debug)]
pub struct UdpSocket(Source, std::net::UdpSocket);

impl UdpSocket {
    /// At that address.
    pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(UdpSocket(Source::new(socket.try_clone()?.into())?, socket))
    }

    /// At a port that is free.
    pub fn new() -> UdpSocket {
        UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("there is a free port")
    }

    /// Where it is.
    pub fn local_addr(&self) -> SocketAddr {
        self.1.local_addr().expect("it is bound")
    }

    /// Receives a datagram.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> (usize, SocketAddr) {
        self.0.when_ready(Interest::Readable, |_| self.1.recv_from(buffer)).await.expect("it is open")
    }

    /// Sends a datagram.
    pub fn send_to(&self, datagram: &[u8], to: SocketAddr) {
        self.1.send_to(datagram, to).expect("there is room for it");
    }
}
