//! The relay: bytes between a client and its mail server, both ways, until both have said all they had to say.
//!
//! * An idle relay holds two sockets and no buffer. Bytes pass through the thread's scratch buffer within one poll, or, if
//!   there are many and neither side is encrypted, through none ([`splice`]); only what the other side did not take is
//!   kept, and then nothing more is read until it is gone (backpressure).
//! * Nothing is lost or reordered: what was left over from the login goes first.
//! * A half-close is passed on, and the other direction goes on. From then on the session may be idle no longer than
//!   [`Limits::half_closed`], so that a server that ignores it does not hold the session for a day.
//! * What a client says to a server that has gone is read all the same, for so long: else it would lose what it was sent.
//! * The idle time-out is the time between two reads or writes on either side (`proxy_timeout`).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::event_loop::time;
use crate::scratch;
use crate::stream::Stream;

mod splice;

/// How many times a direction is served before the other sessions of the thread have their turn.
const TURNS: usize = 8;

/// The most that a record of TLS holds, bytes.
const RECORD: usize = 16 * 1024;

/// Bytes at once that are worth the trouble of [`splice`].
const BULK: usize = 16 * 1024;

/// How long a session may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `proxy_timeout`
    pub idle: Duration,
    /// The same once one side has ended its direction.
    pub half_closed: Duration,
}

/// One direction: where its bytes come from is the index of the other.
#[derive(Debug, Default)]
struct Direction {
    /// What the destination has not taken yet. In a box, since an idle session has none.
    pending: Option<Box<Pending>>,
    state: State,
    /// The last read filled its buffer.
    bulk: bool,
    /// The other direction is done.
    is_last: bool,
    /// Its source is read on when its destination takes nothing any more: where a socket is closed that has not been read,
    /// the kernel throws away what it was to send, too.
    drains: bool,
    /// How the source broke, if it did.
    broken: Option<io::Error>,
}

#[derive(Debug)]
struct Pending {
    /// At least one.
    bytes: Vec<u8>,
    /// How many of them the destination took.
    sent: usize,
}

impl Pending {
    fn new(bytes: Vec<u8>) -> Option<Box<Pending>> {
        (!bytes.is_empty()).then(|| Box::new(Pending { bytes, sent: 0 }))
    }
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum State {
    /// The source may send more.
    #[default]
    Open,
    /// The source has ended; what is pending is still to be delivered.
    Ending,
    /// The destination takes nothing any more; the source has not ended.
    Draining,
    /// All delivered, or nobody there to take it.
    Done,
}

/// How a relay ended.
#[derive(Debug)]
pub enum End {
    /// Both sides have ended.
    Done,
    /// A side broke: which, and how.
    Broken(Side, io::Error),
    /// Nobody said anything for too long.
    TimedOut,
    /// It was ended from outside, with its configuration (`worker_shutdown_timeout`).
    ShutDown,
    /// By a mistake of ours; what the panic says.
    Panicked(String),
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The mail client.
    Client,
    /// The mail server.
    Upstream,
}

/// Two connections, and what is under way between them.
#[derive(Debug)]
pub struct Relay {
    client: Stream,
    upstream: Stream,
    up: Direction,
    down: Direction,
    limits: Limits,
    last_activity: Instant,
}

impl Relay {
    /// Between these two. `to_upstream` and `to_client` are left over from the login, and go first.
    pub fn new(client: Stream, upstream: Stream, to_upstream: Vec<u8>, to_client: Vec<u8>, limits: Limits) -> Relay {
        let up = Direction { pending: Pending::new(to_upstream), drains: true, ..Direction::default() };
        let down = Direction { pending: Pending::new(to_client), ..Direction::default() };
        Relay { client, upstream, up, down, limits, last_activity: time::now() }
    }

    /// Relays until the end.
    pub async fn run(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let Relay { client, upstream, up, down, limits, last_activity } = self;
        up.is_last = down.state == State::Done;
        let mut moved = up.serve(cx, client, upstream) && up.state != State::Draining;
        down.is_last = up.state == State::Done;
        moved |= down.serve(cx, upstream, client);
        // A side that broke takes nothing any more. What the mail server has said before reaches the client all the same.
        if up.broken.is_some() && down.state != State::Done {
            down.abandon();
        }
        if down.broken.is_some() && matches!(up.state, State::Open | State::Ending) {
            up.refused();
            // It had its turn above, and may not be waiting for input.
            cx.waker().wake_by_ref();
        }
        let end = |up: &mut Direction, down: &mut Direction, end| match (up.broken.take(), down.broken.take()) {
            (Some(error), _) => End::Broken(Side::Client, error),
            (None, Some(error)) => End::Broken(Side::Upstream, error),
            (None, None) => end,
        };
        if up.state == State::Done && down.state == State::Done {
            return Poll::Ready(end(up, down, End::Done));
        }
        if moved {
            *last_activity = time::now();
        }
        let half_closed = up.state != State::Open || down.state != State::Open;
        let limit = if half_closed { limits.half_closed.min(limits.idle) } else { limits.idle };
        let is_late = time::is_reached(*last_activity + limit);
        if is_late { Poll::Ready(end(up, down, End::TimedOut)) } else { Poll::Pending }
    }
}

impl Direction {
    /// Moves what can be moved now; tells whether anything was.
    fn serve(&mut self, cx: &mut Context<'_>, source: &mut Stream, destination: &mut Stream) -> bool {
        let mut moved = false;
        for _ in 0..TURNS {
            match self.turn(cx, source, destination) {
                Poll::Ready(()) => moved = true,
                Poll::Pending => return moved,
            }
        }
        cx.waker().wake_by_ref();
        moved
    }

    /// One step: writes what is pending, ends what is ending, or reads once and passes it on. Pending if nothing can be
    /// done now, or ever.
    fn turn(&mut self, cx: &mut Context<'_>, source: &mut Stream, destination: &mut Stream) -> Poll<()> {
        if self.pending.is_some() {
            return self.flush(cx, destination);
        }
        match self.state {
            State::Open if self.bulk => self.splice(cx, source, destination),
            State::Open => self.pass(cx, source, destination),
            State::Ending => {
                // Where it ends the session, closing the socket may say the same.
                if !self.is_last || destination.waits_for_the_end() {
                    ready!(Pin::new(destination).poll_shutdown(cx)).ok();
                }
                self.state = State::Done;
                Poll::Ready(())
            }
            State::Draining => self.drain(cx, source),
            State::Done => Poll::Pending,
        }
    }

    /// Writes some of what is pending.
    fn flush(&mut self, cx: &mut Context<'_>, destination: &mut Stream) -> Poll<()> {
        let Some(pending) = &mut self.pending else { return Poll::Ready(()) };
        match ready!(Pin::new(destination).poll_write(cx, &pending.bytes[pending.sent..])) {
            Ok(sent) if sent > 0 => {
                pending.sent += sent;
                if pending.sent == pending.bytes.len() {
                    self.pending = None;
                }
            }
            _ => self.refused(),
        }
        Poll::Ready(())
    }

    /// Reads, and writes what was read as far as the destination takes it.
    fn pass(&mut self, cx: &mut Context<'_>, source: &mut Stream, destination: &mut Stream) -> Poll<()> {
        ready!(source.poll_input(cx));
        scratch::with(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            loop {
                let before = buffer.filled().len();
                match Pin::new(&mut *source).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) if buffer.filled().len() > before => {}
                    Poll::Ready(Ok(())) => {
                        self.state = State::Ending;
                        break;
                    }
                    Poll::Ready(Err(error)) => {
                        self.broken = Some(error);
                        self.state = State::Ending;
                        break;
                    }
                    Poll::Pending if before == 0 => return Poll::Pending,
                    Poll::Pending => break,
                }
                // TLS gives one record at a time, and one write for each would take longer.
                if source.bare().is_some() || buffer.remaining() < RECORD || source.poll_input(cx).is_pending() {
                    break;
                }
            }
            self.bulk = buffer.remaining() == 0;
            let mut rest = buffer.filled();
            while !rest.is_empty() {
                match Pin::new(&mut *destination).poll_write(cx, rest) {
                    Poll::Ready(Ok(sent)) if sent > 0 => rest = &rest[sent..],
                    Poll::Ready(_) => {
                        self.refused();
                        break;
                    }
                    Poll::Pending => {
                        self.pending = Pending::new(rest.to_vec());
                        break;
                    }
                }
            }
            Poll::Ready(())
        })
    }

    /// The same by [`splice`], where that can be.
    fn splice(&mut self, cx: &mut Context<'_>, source: &mut Stream, destination: &mut Stream) -> Poll<()> {
        let (Some(from), Some(to)) = (source.bare(), destination.bare()) else {
            return self.pass(cx, source, destination);
        };
        match ready!(splice::pass(cx, from, to)) {
            Ok(None) => return self.pass(cx, source, destination),
            Ok(Some(moved)) => {
                self.bulk = moved.received >= BULK;
                self.pending = Pending::new(moved.left);
            }
            Err(error) => {
                self.broken = Some(error);
                self.state = State::Ending;
            }
        }
        Poll::Ready(())
    }

    /// Reads, for nobody.
    fn drain(&mut self, cx: &mut Context<'_>, source: &mut Stream) -> Poll<()> {
        ready!(source.poll_input(cx));
        scratch::with(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let outcome = ready!(Pin::new(source).poll_read(cx, &mut buffer));
            if outcome.is_err() || buffer.filled().is_empty() {
                self.abandon();
            }
            Poll::Ready(())
        })
    }

    /// The destination takes nothing any more. What it has said before may still be under way in the other direction.
    fn refused(&mut self) {
        self.abandon();
        if self.drains {
            self.state = State::Draining;
        }
    }

    /// Gives the direction up.
    fn abandon(&mut self) {
        self.pending = None;
        self.state = State::Done;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::event_loop::testing::{self, JoinHandle, connection, pair};
    use crate::stream::Socket;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const LIMITS: Limits = Limits { idle: Duration::from_secs(3600), half_closed: Duration::from_secs(60) };

    /// A relay at work: the client's end, the mail server's end, and how it will end.
    fn start(to_upstream: &[u8], to_client: &[u8], limits: Limits) -> (Socket, Socket, JoinHandle<End>) {
        let ((client_end, client), (upstream_end, upstream)) = (pair(), pair());
        let (client, upstream) = (Stream::Plain(client), Stream::Plain(upstream));
        let mut relay = Relay::new(client, upstream, to_upstream.to_vec(), to_client.to_vec(), limits);
        let end = testing::spawn(async move { relay.run().await });
        (client_end, upstream_end, end)
    }

    async fn expect(stream: &mut Socket, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(got, expected);
    }

    #[test]
    fn leftovers_go_first() {
        testing::run(|| async {
            let (mut client, mut upstream, end) = start(b"b SELECT\r\n", b"a OK\r\n", LIMITS);
            client.write_all(b"c NOOP\r\n").await.unwrap();
            upstream.write_all(b"* 1 EXISTS\r\n").await.unwrap();
            expect(&mut upstream, b"b SELECT\r\nc NOOP\r\n").await;
            expect(&mut client, b"a OK\r\n* 1 EXISTS\r\n").await;
            drop((client, upstream));
            assert!(matches!(end.await.unwrap(), End::Done | End::Broken(..)));
        });
    }

    #[test]
    fn what_is_under_way_survives_a_half_close() {
        testing::run(|| async {
            let (mut client, mut upstream, end) = start(b"", b"", LIMITS);
            client.write_all(b"QUIT\r\n").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            upstream.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"QUIT\r\n");
            upstream.write_all(b"+OK bye\r\n").await.unwrap();
            drop(upstream);
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"+OK bye\r\n");
            assert!(matches!(end.await.unwrap(), End::Done));
        });
    }

    /// The two ends of a connection by TCP: the far one, and ours.
    async fn connect() -> (Socket, Stream) {
        let (far, near) = connection().await;
        (far, Stream::Plain(near))
    }

    #[test]
    fn bulk_between_sockets_is_whole_and_in_order_with_slow_readers_on_both_sides() {
        testing::run(|| async {
            const LENGTH: usize = 16 * 1024 * 1024;
            let message: Arc<Vec<u8>> = Arc::new((0..LENGTH).map(|i| (i % 251) as u8).collect());
            let ((client, ours), (upstream, theirs)) = (connect().await, connect().await);
            let mut relay = Relay::new(ours, theirs, Vec::new(), Vec::new(), LIMITS);
            let end = testing::spawn(async move { relay.run().await });
            let mut ends = Vec::new();
            for far in [client, upstream] {
                let (mut read, mut write) = (testing::again(&far), far);
                let sent = message.clone();
                ends.push(testing::spawn(async move {
                    write.write_all(&sent).await.unwrap();
                    write.shutdown().await.unwrap();
                }));
                let expected = message.clone();
                ends.push(testing::spawn(async move {
                    let mut heard = Vec::new();
                    let mut chunk = [0; 7919];
                    loop {
                        match read.read(&mut chunk).await.unwrap() {
                            0 => break,
                            count => heard.extend_from_slice(&chunk[..count]),
                        }
                        testing::yield_now().await;
                    }
                    assert!(heard == *expected, "{} of {LENGTH} bytes, or others", heard.len());
                }));
            }
            for end in ends {
                end.await.unwrap();
            }
            assert!(matches!(end.await.unwrap(), End::Done));
            assert!(splice::was_used());
        });
    }

    #[test]
    fn a_connection_that_breaks_while_bulk_comes_from_it_is_seen_to_break() {
        testing::run(|| async {
            let ((client, ours), (_upstream, theirs)) = (connect().await, connect().await);
            let mut relay = Relay::new(ours, theirs, Vec::new(), Vec::new(), LIMITS);
            relay.up.bulk = true;
            socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            drop(client);
            let end = relay.run().await;
            let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
            assert!(matches!(&end, End::Broken(Side::Client, error) if is_reset(error)), "{end:?}");
        });
    }

    #[test]
    fn urgent_data_is_left_out_and_stops_nothing() {
        testing::run(|| async {
            const HALF: usize = 4 * 1024 * 1024;
            let ((client, ours), (upstream, theirs)) = (connect().await, connect().await);
            let mut relay = Relay::new(ours, theirs, Vec::new(), Vec::new(), LIMITS);
            let end = testing::spawn(async move { relay.run().await });
            let writer = testing::spawn(async move {
                let mut client = client;
                client.write_all(&vec![b'a'; HALF]).await.unwrap();
                while rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).is_err() {
                    testing::yield_now().await;
                }
                client.write_all(&vec![b'b'; HALF]).await.unwrap();
                client.shutdown().await.unwrap();
                client
            });
            let mut heard = Vec::new();
            let mut upstream = upstream;
            upstream.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard.len(), 2 * HALF);
            assert!(heard[..HALF].iter().all(|byte| *byte == b'a') && heard[HALF..].iter().all(|byte| *byte == b'b'));
            drop((upstream, writer.await.unwrap()));
            assert!(matches!(end.await.unwrap(), End::Done));
        });
    }

    #[test]
    fn a_slow_reader_stops_the_writer_and_gets_everything_in_order() {
        testing::run(|| async {
            const LENGTH: usize = 8 * 1024 * 1024;
            let message: Vec<u8> = (0..LENGTH).map(|i| (i % 251) as u8).collect();
            let (mut client, mut upstream, end) = start(b"", b"", LIMITS);
            let sent = message.clone();
            let writer = testing::spawn(async move {
                upstream.write_all(&sent).await.unwrap();
                upstream
            });
            let mut heard = Vec::new();
            let mut chunk = [0; 7919];
            while heard.len() < LENGTH {
                let count = client.read(&mut chunk).await.unwrap();
                heard.extend_from_slice(&chunk[..count]);
                testing::yield_now().await;
            }
            assert_eq!(heard, message);
            drop((client, writer.await.unwrap()));
            assert!(matches!(end.await.unwrap(), End::Done | End::Broken(..)));
        });
    }

    #[test]
    fn a_server_that_says_goodbye_and_closes_is_heard_by_a_client_that_still_talks() {
        testing::run(|| async {
            let (mut client, mut upstream, end) = start(b"", b"", LIMITS);
            upstream.write_all(b"* BYE\r\n").await.unwrap();
            drop(upstream);
            // Fails or not: the relay finds nobody to take it.
            let _ = client.write_all(b"a NOOP\r\n").await;
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"* BYE\r\n");
            drop(client);
            assert!(matches!(end.await.unwrap(), End::Done | End::Broken(..)));
        });
    }

    #[test]
    fn what_a_server_said_last_reaches_a_slow_client_that_still_talks() {
        for breaks in [false, true] {
            testing::run(move || async move {
                // More than a client's window, and less than our own buffer for it.
                const LENGTH: usize = 300_000;
                let ((mut client, ours), (mut upstream, theirs)) = (connect().await, connect().await);
                let mut relay = Relay::new(ours, theirs, Vec::new(), Vec::new(), LIMITS);
                let end = testing::spawn(async move { relay.run().await });
                upstream.write_all(&[b'm'; LENGTH]).await.unwrap();
                if breaks {
                    for _ in 0..50 {
                        testing::yield_now().await;
                    }
                    // As the kernel ends a connection where a command is left unread.
                    socket2::SockRef::from(&upstream).set_linger(Some(Duration::ZERO)).unwrap();
                }
                drop(upstream);
                // The first is answered by a reset, which the second meets. The third must not find a closed socket.
                for _ in 0..3 {
                    for _ in 0..50 {
                        testing::yield_now().await;
                    }
                    client.write_all(b"a NOOP\r\n").await.unwrap();
                }
                let mut heard = Vec::new();
                client.read_to_end(&mut heard).await.unwrap();
                assert_eq!(heard.len(), LENGTH);
                drop(client);
                match (end.await.unwrap(), breaks) {
                    (End::Done, false) | (End::Broken(Side::Upstream, _), true) => {}
                    (end, _) => panic!("{end:?}"),
                }
            });
        }
    }

    #[test]
    fn a_client_that_ignores_the_end_of_a_broken_server_is_not_waited_for_long() {
        testing::run_paused(|| async {
            let ((_client, ours), (upstream, theirs)) = (connect().await, connect().await);
            let mut relay = Relay::new(ours, theirs, Vec::new(), Vec::new(), LIMITS);
            socket2::SockRef::from(&upstream).set_linger(Some(Duration::ZERO)).unwrap();
            drop(upstream);
            let begin = time::now();
            let end = relay.run().await;
            assert!(matches!(end, End::Broken(Side::Upstream, _)), "{end:?}");
            assert_eq!((time::now() - begin).as_secs(), 60);
        });
    }

    #[test]
    fn silence_ends_it_and_either_side_breaks_the_silence() {
        testing::run_paused(|| async {
            let limits = Limits { idle: Duration::from_secs(100), half_closed: Duration::from_secs(10) };
            let (mut client, mut upstream, end) = start(b"", b"", limits);
            let begin = time::now();
            time::sleep(Duration::from_secs(90)).await;
            upstream.write_all(b"* OK still here\r\n").await.unwrap();
            expect(&mut client, b"* OK still here\r\n").await;
            assert!(matches!(end.await.unwrap(), End::TimedOut));
            assert_eq!((time::now() - begin).as_secs(), 190);
        });
    }

    #[test]
    fn a_server_that_ignores_the_end_of_its_client_is_not_waited_for_long() {
        testing::run_paused(|| async {
            let limits = Limits { idle: Duration::from_secs(86400), half_closed: Duration::from_secs(60) };
            let (client, _upstream, end) = start(b"", b"", limits);
            let begin = time::now();
            let mut client = client;
            client.shutdown().await.unwrap();
            assert!(matches!(end.await.unwrap(), End::TimedOut));
            assert_eq!((time::now() - begin).as_secs(), 60);
        });
    }
}
