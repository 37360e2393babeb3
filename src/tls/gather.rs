//! Sends the end of a handshake together with what is said first behind it.
//!
//! The last thing that a handshake sends is nothing that the other side waits for: the server's session tickets (TLS 1.3),
//! or the client's Finished. The greeting, or a command, mostly follows at once: one packet is enough for both. What is
//! held goes by itself as soon as somebody waits for input instead.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket with what it still has to send.
#[derive(Debug)]
pub struct Gather<S> {
    socket: S,
    held: Vec<u8>,
    state: State,
    has_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// What is written is held.
    Handshake,
    /// The next that is written takes along what is held.
    Done,
    /// What is written is sent.
    Passing,
}

impl<S> Gather<S> {
    /// For a handshake.
    pub(super) fn new(socket: S) -> Gather<S> {
        Gather { socket, held: Vec::new(), state: State::Handshake, has_ended: false }
    }

    /// What it runs over.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// Whether the end of its input has been read.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    /// The handshake is over, well or badly. What it sent last goes out with what is written next, or at once where
    /// somebody `waits` for it. Should that fail, so will what is written next.
    pub(super) async fn handshake_done(&mut self, waits: bool) {
        self.state = State::Done;
        if waits || self.held.is_empty() {
            poll_fn(|cx| Poll::Ready(self.poll_send_held(cx).is_ready())).await;
        }
    }

    /// Sends what is held, as before any wait for input.
    ///
    /// # Errors
    /// What `send(2)` says.
    pub fn poll_send_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state == State::Done {
            self.state = State::Passing;
        }
        while !self.held.is_empty() {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.held))?;
            self.held.drain(..sent);
        }
        // Sessions are many, and few say anything.
        if self.state == State::Passing && self.held.capacity() > 0 {
            self.held = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    fn hold(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send_held(cx))?;
        let before = buf.remaining();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        this.has_ended |= before > 0 && buf.remaining() == before;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.state {
            State::Handshake => this.hold(buf),
            State::Done => {
                let taken = this.hold(buf);
                match this.poll_send_held(cx) {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    _ => taken,
                }
            }
            State::Passing => {
                ready!(this.poll_send_held(cx))?;
                Pin::new(&mut this.socket).poll_write(cx, buf)
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The library flushes at the end of each flight: what follows it decides.
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send_held(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Notes each write, and takes at most `room` bytes at once. There is nothing to be read.
    struct Recorder {
        writes: Vec<Vec<u8>>,
        room: usize,
    }

    impl AsyncRead for Recorder {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Recorder {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = buf.len().min(self.room);
            self.writes.push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn gather(room: usize) -> Gather<Recorder> {
        Gather::new(Recorder { writes: Vec::new(), room })
    }

    #[tokio::test]
    async fn an_end_without_close_notify_is_known() {
        let mut gather = gather(100);
        assert!(!gather.has_ended());
        assert_eq!(gather.read(&mut [0; 5]).await.unwrap(), 0);
        assert!(gather.has_ended());
    }

    fn writes(gather: &Gather<Recorder>) -> Vec<&[u8]> {
        gather.socket().writes.iter().map(Vec::as_slice).collect()
    }

    #[tokio::test]
    async fn a_flight_goes_when_the_answer_is_waited_for_and_the_last_with_what_follows() {
        let mut gather = gather(100);
        gather.write_all(b"hello ").await.unwrap();
        gather.write_all(b"certificate").await.unwrap();
        assert!(writes(&gather).is_empty());
        assert_eq!(gather.read(&mut [0]).await.unwrap(), 0);
        gather.write_all(b"ticket ").await.unwrap();
        gather.handshake_done(false).await;
        gather.write_all(b"greeting").await.unwrap();
        gather.write_all(b"more").await.unwrap();
        assert_eq!(writes(&gather), [&b"hello certificate"[..], b"ticket greeting", b"more"]);
        assert_eq!(gather.held.capacity(), 0);
    }

    #[tokio::test]
    async fn the_last_flight_goes_alone_where_nothing_follows() {
        for waits in [true, false] {
            let mut gather = gather(100);
            gather.write_all(b"ticket").await.unwrap();
            gather.handshake_done(waits).await;
            assert_eq!(writes(&gather).len(), usize::from(waits));
            assert_eq!(gather.read(&mut [0]).await.unwrap(), 0);
            gather.write_all(b"answer").await.unwrap();
            assert_eq!(writes(&gather), [b"ticket", b"answer"]);
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_in_a_narrow_socket() {
        let mut gather = gather(2);
        gather.write_all(b"ticket").await.unwrap();
        gather.handshake_done(false).await;
        gather.write_all(b"greeting").await.unwrap();
        gather.write_all(b"more").await.unwrap();
        gather.shutdown().await.unwrap();
        assert_eq!(writes(&gather).concat(), b"ticketgreetingmore");
    }
}
