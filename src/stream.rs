//! One connection, whatever it runs over.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_openssl::SslStream;
use zeroize::{Zeroize, Zeroizing};

use crate::accept;
use crate::addr::Address;
use crate::event_loop::{Interest, Source};
use crate::log::Errno;
use crate::scratch;
use crate::tls::{self, Gather};

/// A connection to a client, a mail server or an authentication server.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(Socket),
    /// Encrypted.
    Tls(Box<Encrypted>),
    /// Given away, for a handshake that is under way or has failed.
    Gone,
}

/// A connection behind its TLS handshake.
///
/// However it ends, its session may be resumed, as in nginx: OpenSSL forgets those that end without close_notify.
#[derive(Debug)]
pub struct Encrypted(SslStream<Gather<Socket>>);

impl Encrypted {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        tls::clean(&mut self.0).poll_read(cx, buf)
    }
}

impl Deref for Encrypted {
    type Target = SslStream<Gather<Socket>>;

    fn deref(&self) -> &SslStream<Gather<Socket>> {
        &self.0
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        tls::keep_session(self.0.ssl());
    }
}

impl From<SslStream<Gather<Socket>>> for Stream {
    fn from(stream: SslStream<Gather<Socket>>) -> Stream {
        Stream::Tls(Box::new(Encrypted(stream)))
    }
}

/// What a connection runs over: TCP, with Nagle's algorithm off, or a Unix domain socket.
#[derive(Debug)]
pub struct Socket(Source);

impl Socket {
    /// Connects.
    ///
    /// # Errors
    /// What `connect(2)` says.
    pub async fn connect(address: &Address) -> io::Result<Socket> {
        let source = Source::connecting(begin_to_connect(address)?)?;
        poll_fn(|cx| source.poll_ready(cx, Interest::Writable)).await;
        sockopt::socket_error(&source)??;
        Ok(Socket(source))
    }

    /// Begins to connect to a server that speaks first: what comes of it is for the first read to find out, which saves
    /// waiting twice.
    ///
    /// # Errors
    /// What `connect(2)` says at once.
    pub fn connect_to_speaker(address: &Address) -> io::Result<Socket> {
        Ok(Socket(Source::new(begin_to_connect(address)?)?))
    }

    /// Takes over what was accepted, by a listening socket with Nagle's algorithm off.
    ///
    /// # Errors
    /// When the event loop does not take it.
    pub fn from_accepted(socket: OwnedFd) -> io::Result<Socket> {
        Ok(Socket(Source::new(socket)?))
    }

    /// The address of this end.
    pub fn local_address(&self) -> Address {
        rustix::net::getsockname(self).map_or_else(|_| Address::nameless(), |address| accept::address(Some(address)))
    }

    /// Waits for input, and appends to `seen` what can be read next, without reading it. Gives how much; 0 is the end. A
    /// login may be among it, so no copy is left behind when `seen` grows.
    ///
    /// # Errors
    /// What `recv(2)` says.
    pub async fn peek(&self, seen: &mut Zeroizing<Vec<u8>>) -> io::Result<usize> {
        let peek = |socket: BorrowedFd<'_>| {
            scratch::with(|scratch| {
                let (count, _) = rustix::net::recv(socket, &mut *scratch, RecvFlags::PEEK)?;
                append(seen, &scratch[..count]);
                scratch[..count].zeroize();
                Ok(count)
            })
        };
        self.0.when_ready(Interest::Readable, peek).await
    }
}

/// A socket that connects, or has connected.
fn begin_to_connect(address: &Address) -> io::Result<OwnedFd> {
    let open = |family| {
        rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
    };
    let (socket, begun) = match address {
        Address::Ip(address) => {
            let socket = open(if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 })?;
            sockopt::set_tcp_nodelay(&socket, true)?;
            let begun = rustix::net::connect(&socket, address);
            (socket, begun)
        }
        Address::Unix(path) => {
            let socket = open(AddressFamily::UNIX)?;
            let begun = rustix::net::connect(&socket, &SocketAddrUnix::new(path)?);
            (socket, begun)
        }
    };
    match begun {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Grows by moving to a larger allocation, so that the old one is wiped.
fn append(seen: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let needed = seen.len() + more.len();
    if needed > seen.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * seen.capacity())));
        larger.extend_from_slice(seen);
        *seen = larger;
    }
    seen.extend_from_slice(more);
}

/// `recv() failed (104: Connection reset by peer)`, or what TLS has to say.
#[derive(Debug)]
pub struct ReadFailed<'a>(pub &'a io::Error);

/// `send() failed (32: Broken pipe)`, or what TLS has to say.
#[derive(Debug)]
pub struct WriteFailed<'a>(pub &'a io::Error);

impl fmt::Display for ReadFailed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match tls::reason(self.0) {
            Some(reason) => write!(f, "SSL_read() failed{reason}"),
            None => write!(f, "recv() failed{}", Errno(self.0)),
        }
    }
}

impl fmt::Display for WriteFailed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match tls::reason(self.0) {
            Some(reason) => write!(f, "SSL_write() failed{reason}"),
            None => write!(f, "send() failed{}", Errno(self.0)),
        }
    }
}

impl Stream {
    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// What it runs over, unless that was given away.
    pub fn socket(&self) -> Option<&Socket> {
        match self {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(stream) => Some(stream.get_ref().socket()),
            Stream::Gone => None,
        }
    }

    /// The socket, where bytes pass it as they are.
    pub fn bare(&self) -> Option<&Socket> {
        match self {
            Stream::Plain(socket) => Some(socket),
            _ => None,
        }
    }

    /// Whether the peer, who has ended its own direction, may wait to be told more than that the socket is closed. One that
    /// ended it as TLS wants it is to hear the same (close_notify); one that just closed its socket hears nothing.
    pub fn waits_for_the_end(&self) -> bool {
        match self {
            Stream::Tls(stream) => !stream.get_ref().has_ended(),
            _ => false,
        }
    }

    /// Waits until it may be worth reading. A library of TLS that is asked in vain takes longer than to decrypt a command.
    pub fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Stream::Plain(socket) => socket.poll_ready(cx, Interest::Readable),
            Stream::Tls(stream) if tls::has_unread(&stream.0) => Poll::Ready(()),
            Stream::Tls(stream) => match ready!(stream.0.get_mut().poll_send_held(cx)) {
                Ok(()) => stream.get_ref().socket().poll_ready(cx, Interest::Readable),
                // The next read tells.
                Err(_) => Poll::Ready(()),
            },
            Stream::Gone => Poll::Ready(()),
        }
    }

    /// Gives what it runs over away, unless that is encrypted or gone.
    pub fn take_socket(&mut self) -> Option<Socket> {
        match std::mem::replace(self, Stream::Gone) {
            Stream::Plain(socket) => Some(socket),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Reads `count` bytes, and drops them.
    ///
    /// # Errors
    /// What `recv(2)` says; that the peer has ended before.
    pub async fn skip(&mut self, mut count: usize) -> io::Result<()> {
        while count > 0 {
            match self.receive(count, |_| {}).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                skipped => count -= skipped,
            }
        }
        Ok(())
    }

    /// Waits for input, reads at most `limit` bytes once, and hands them to `take`. Gives how many; 0 is the end.
    ///
    /// No buffer is held while it waits. It may be cancelled: nothing read is lost. What was read is wiped from the
    /// buffer of the thread: this is how credentials come.
    ///
    /// # Errors
    /// What `recv(2)` says.
    pub async fn receive(&mut self, limit: usize, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        poll_fn(|cx| {
            ready!(self.poll_input(cx));
            scratch::with(|scratch| {
                let room = limit.min(scratch.len());
                let mut buffer = ReadBuf::new(&mut scratch[..room]);
                ready!(Pin::new(&mut *self).poll_read(cx, &mut buffer))?;
                take(buffer.filled());
                let count = buffer.filled().len();
                scratch[..count].zeroize();
                Poll::Ready(Ok(count))
            })
        })
        .await
    }

    /// Writes everything.
    ///
    /// # Errors
    /// What `send(2)` says.
    pub async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = poll_fn(|cx| Pin::new(&mut *self).poll_write(cx, bytes)).await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Ends the connection so that what was sent arrives: closing a socket with unread input resets the connection, and
    /// a reset may overtake the last reply.
    pub async fn finish(&mut self) {
        const DRAIN: usize = 256 * 1024;
        if poll_fn(|cx| Pin::new(&mut *self).poll_shutdown(cx)).await.is_err() {
            return;
        }
        let mut drained = 0;
        while drained < DRAIN {
            let now = poll_fn(|cx| {
                scratch::with(|scratch| {
                    let mut buffer = ReadBuf::new(scratch);
                    // Without TLS this tries, whether or not the event loop has told of input.
                    let count = match Pin::new(&mut *self).poll_read(cx, &mut buffer) {
                        Poll::Ready(Ok(())) => buffer.filled().len(),
                        _ => 0,
                    };
                    scratch[..count].zeroize();
                    Poll::Ready(count)
                })
            })
            .await;
            if now == 0 {
                return;
            }
            drained += now;
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // Whoever reads has been told that there is something (`poll_input`), or does not wait to be told (`finish`).
            Stream::Plain(socket) => socket.poll_receive(cx, buf),
            Stream::Tls(stream) => stream.poll_read(cx, buf),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Stream::Tls(stream) => tls::clean(&mut stream.0).poll_write(cx, buf),
            Stream::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(stream) => tls::clean(&mut stream.0).poll_flush(cx),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(stream) => {
                // Asked a second time, the library would wait for the peer's end.
                ready!(stream.0.get_mut().poll_send_held(cx)).ok();
                tls::clean(&mut stream.0).poll_shutdown(cx)
            }
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl Socket {
    /// Waits until it may be worth trying: for input, or for room.
    pub fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<()> {
        self.0.poll_ready(cx, interest)
    }

    /// Reads once. Tries first and waits then.
    fn poll_receive(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let room = buf.initialize_unfilled();
            match rustix::net::recv(self, &mut *room, RecvFlags::empty()) {
                Err(rustix::io::Errno::AGAIN) => self.0.unready(Interest::Readable),
                Err(error) => return Poll::Ready(Err(error.into())),
                Ok((count, _)) => {
                    if count < room.len() {
                        self.0.exhausted();
                    }
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
            }
            ready!(self.poll_ready(cx, Interest::Readable));
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsyncRead for Socket {
    /// Waits first: a TLS handshake reads before there can be anything.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ready(cx, Interest::Readable));
        self.poll_receive(cx, buf)
    }
}

impl AsyncWrite for Socket {
    /// Tries first and waits then: a socket has nearly always room.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match rustix::net::send(&*self, buf, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::AGAIN) => self.0.unready(Interest::Writable),
                outcome => return Poll::Ready(outcome.map_err(io::Error::from)),
            }
            ready!(self.poll_ready(cx, Interest::Writable));
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&*self, Shutdown::Write).map_err(io::Error::from))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::event_loop::testing;

    #[test]
    fn no_reset_overtakes_the_last_words_for_input_not_told_of_yet() {
        testing::run(|| async {
            let (mut client, server) = testing::connection().await;
            client.write_all(b"too late").await.unwrap();
            let mut server = Stream::Plain(server);
            server.send(b"bye").await.unwrap();
            server.finish().await;
            drop(server);
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"bye");
            assert_eq!(sockopt::socket_error(&client).unwrap(), Ok(()), "no reset");
        });
    }

    #[test]
    fn small_writes_do_not_wait() {
        testing::run(|| async {
            let (connected, accepted) = testing::connection().await;
            for socket in [connected, accepted] {
                assert!(sockopt::tcp_nodelay(&socket).unwrap());
            }
        });
    }
}
