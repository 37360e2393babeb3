//! A connection to an authentication server, by TLS or not.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroize;

use crate::addr::Address;
use crate::scratch;
use crate::stream::{Socket, Stream};
use crate::tls::HandshakeError;
use crate::tls::client::{Connector, Name};

/// How long a request may stay unacknowledged, by the other side's kernel, before the connection counts as broken: a
/// server that was replaced, or a firewall that forgot the connection, costs seconds and not `auth_http_timeout`.
const MAX_UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// How much is read at once, bytes.
const READ: usize = 2048;

/// A connection to an authentication server.
#[derive(Debug)]
pub(super) struct Connection(Stream);

impl Connection {
    pub(super) async fn open(address: &Address) -> io::Result<Connection> {
        let socket = Socket::connect(address).await?;
        if matches!(address, Address::Ip(_)) {
            socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(MAX_UNACKNOWLEDGED))?;
        }
        Ok(Connection(Stream::Plain(socket)))
    }

    /// Begins TLS.
    pub(super) async fn encrypt(
        mut self,
        connector: &Connector,
        address: &Address,
        name: &Name,
    ) -> Result<Connection, HandshakeError> {
        let socket = self.0.take_socket().expect("a connection is encrypted once");
        let stream = connector.connect(socket, address, name).await?;
        Ok(Connection(stream.into()))
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.send(bytes).await
    }

    /// Waits for input, reads once, and hands it to `take`. Gives how many bytes; 0 is the end.
    pub(super) async fn receive(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        poll_fn(|cx| self.poll_receive(cx, &mut take)).await
    }

    /// How many bytes can be read now, which are dropped; nothing if none can.
    pub(super) fn drop_input(&mut self) -> Option<io::Result<usize>> {
        match self.poll_receive(&mut Context::from_waker(Waker::noop()), &mut |_| {}) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    /// Waits for input, or the end.
    #[cfg(test)]
    pub(super) async fn readable(&self) {
        let socket = self.0.socket().expect("no handshake is under way");
        socket.peek(&mut zeroize::Zeroizing::default()).await.expect("the connection is whole");
    }

    /// The buffer is the thread's, and is wiped: a password may pass through it.
    fn poll_receive(&mut self, cx: &mut Context<'_>, take: &mut dyn FnMut(&[u8])) -> Poll<io::Result<usize>> {
        ready!(self.0.poll_input(cx));
        scratch::with(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..READ]);
            ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer))?;
            take(buffer.filled());
            let count = buffer.filled().len();
            scratch[..count].zeroize();
            Poll::Ready(Ok(count))
        })
    }
}
