//! A scripted end of a connection: a client of the proxy, or a server that the proxy came to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openssl::ssl::{HandshakeError, NameType, ShutdownState, Ssl, SslRef, SslSession, SslStream};

use super::bytes::{diff, show};
use super::tls::{Client, Server};
use super::{PATIENCE, QUIET};

/// One end of a connection. Every method panics, with what was expected and what came, when the script is not kept.
pub(crate) struct Conn {
    stream: Stream,
    /// Read from the socket and not yet expected.
    pending: Vec<u8>,
    ended: bool,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(SslStream<TcpStream>),
}

type Handshake = fn(Ssl, TcpStream) -> Result<SslStream<TcpStream>, HandshakeError<TcpStream>>;

impl Conn {
    /// Connects over TCP.
    #[track_caller]
    pub(crate) fn connect(to: SocketAddr) -> Conn {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap_or_else(|e| panic!("connecting to {to}: {e}"));
        Conn::tcp(stream)
    }

    /// Connects to a unix socket.
    #[track_caller]
    pub(crate) fn connect_unix(path: &std::path::Path) -> Conn {
        Conn::new(Stream::Unix(UnixStream::connect(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))))
    }

    pub(super) fn tcp(stream: TcpStream) -> Conn {
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(false).unwrap();
        Conn::new(Stream::Tcp(stream))
    }

    /// Takes over an accepted connection.
    pub(crate) fn unix(stream: UnixStream) -> Conn {
        stream.set_nonblocking(false).unwrap();
        Conn::new(Stream::Unix(stream))
    }

    fn new(stream: Stream) -> Conn {
        let conn = Conn { stream, pending: Vec::new(), ended: false };
        match &conn.stream {
            Stream::Tcp(s) => s.set_write_timeout(Some(PATIENCE)).unwrap(),
            Stream::Unix(s) => s.set_write_timeout(Some(PATIENCE)).unwrap(),
            Stream::Tls(s) => s.get_ref().set_write_timeout(Some(PATIENCE)).unwrap(),
        }
        conn
    }

    /// Does TLS from here on, as the client.
    #[track_caller]
    pub(crate) fn tls(self, client: Client) -> Conn {
        self.try_tls(client).unwrap_or_else(|e| panic!("the TLS handshake failed: {e}"))
    }

    /// The same; what OpenSSL says if the handshake fails.
    #[track_caller]
    pub(crate) fn try_tls(self, client: Client) -> Result<Conn, String> {
        self.handshake(client.ssl(), Ssl::connect)
    }

    /// Does TLS from here on, as the server.
    #[track_caller]
    pub(crate) fn accept_tls(self, server: &Server) -> Conn {
        self.try_accept_tls(server).unwrap_or_else(|e| panic!("the TLS handshake failed: {e}"))
    }

    /// The same; what OpenSSL says if the handshake fails.
    #[track_caller]
    pub(crate) fn try_accept_tls(self, server: &Server) -> Result<Conn, String> {
        self.handshake(server.ssl(), Ssl::accept)
    }

    #[track_caller]
    fn handshake(self, ssl: Ssl, run: Handshake) -> Result<Conn, String> {
        assert!(self.pending.is_empty(), "more came before the TLS handshake:\n{}", show(&self.pending));
        let Stream::Tcp(stream) = self.stream else { panic!("TLS is over TCP only") };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match run(ssl, stream) {
            Ok(stream) => Ok(Conn::new(Stream::Tls(stream))),
            Err(HandshakeError::Failure(failed)) => Err(failed.error().to_string()),
            Err(e) => panic!("the TLS handshake did not end: {e}"),
        }
    }

    /// The session, for a client to go on with.
    #[track_caller]
    pub(crate) fn session(&self) -> SslSession {
        super::tls::session(self.ssl()).expect("there is a session")
    }

    /// What was agreed upon in the handshake.
    #[track_caller]
    pub(crate) fn ssl(&self) -> &SslRef {
        match &self.stream {
            Stream::Tls(s) => s.ssl(),
            _ => panic!("this connection is not encrypted"),
        }
    }

    /// From here on what is sent in quick succession goes in one segment; the first of it waits for up to 200 ms.
    pub(crate) fn corked(self) -> Conn {
        match &self.stream {
            Stream::Tcp(s) => rustix::net::sockopt::set_tcp_cork(s, true).unwrap(),
            _ => panic!("only TCP has segments"),
        }
        self
    }

    /// The name that the client asked for by SNI.
    #[track_caller]
    pub(crate) fn server_name(&self) -> Option<String> {
        self.ssl().servername(NameType::HOST_NAME).map(str::to_owned)
    }

    /// This end's own address.
    pub(crate) fn local(&self) -> SocketAddr {
        match &self.stream {
            Stream::Tcp(s) => s.local_addr().unwrap(),
            Stream::Unix(_) => panic!("a unix socket has no port"),
            Stream::Tls(s) => s.get_ref().local_addr().unwrap(),
        }
    }

    /// Sends all of it.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Conn {
        let bytes = bytes.as_ref();
        if let Err(e) = self.write(bytes) {
            panic!("sending failed: {e}\n{}", show(bytes));
        }
        self
    }

    /// Sends each piece by itself, with enough time between them that they are read apart.
    #[track_caller]
    pub(crate) fn send_pieces<P: AsRef<[u8]>>(&mut self, pieces: impl IntoIterator<Item = P>) -> &mut Conn {
        for piece in pieces {
            self.send(piece);
            std::thread::sleep(Duration::from_millis(30));
        }
        self
    }

    /// The next bytes are these. Whatever follows is left for the next expectation.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: impl AsRef<[u8]>) -> &mut Conn {
        let expected = expected.as_ref();
        let deadline = Instant::now() + PATIENCE;
        while self.pending.len() < expected.len() && expected.starts_with(&self.pending) {
            if !self.read_until(deadline) {
                break;
            }
        }
        if !self.pending.starts_with(expected) {
            self.read_until(Instant::now() + QUIET);
            panic!("{}{}", diff(expected, &self.pending), self.how_it_ended());
        }
        self.pending.drain(..expected.len());
        self
    }

    /// Sends one thing, and the next bytes are the other.
    #[track_caller]
    pub(crate) fn ask(&mut self, sent: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) -> &mut Conn {
        self.send(sent).expect(expected)
    }

    /// Takes what comes up to the end of the line, and gives it with its CRLF.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        self.until("\r\n")
    }

    /// The next line, read byte by byte: what follows it is left to a TLS handshake.
    #[track_caller]
    pub(crate) fn line_alone(&mut self) -> String {
        let Stream::Tcp(stream) = &mut self.stream else { panic!("TLS is over TCP only") };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        while !self.pending.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            self.pending.extend(byte);
        }
        String::from_utf8(std::mem::take(&mut self.pending)).unwrap()
    }

    /// Takes what comes up to the end of the line; none if it does not come soon.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        let deadline = Instant::now() + QUIET;
        while !self.pending.contains(&b'\n') {
            if !self.read_until(deadline) {
                return None;
            }
        }
        Some(self.line())
    }

    /// Takes what comes up to and with that text.
    #[track_caller]
    pub(crate) fn until(&mut self, end: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.pending.windows(end.len()).position(|w| w == end.as_bytes()) {
                let taken: Vec<u8> = self.pending.drain(..at + end.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            if !self.read_until(deadline) {
                panic!("no {end:?} in\n{}{}", show(&self.pending), self.how_it_ended());
            }
        }
    }

    /// Takes an HTTP request's head; none if the connection ends before.
    pub(super) fn request_head(&mut self) -> Option<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.pending.windows(4).position(|w| w == b"\r\n\r\n") {
                return Some(self.pending.drain(..at + 4).collect());
            }
            if !self.read_until(deadline) {
                return None;
            }
        }
    }

    /// Takes exactly so many bytes.
    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.pending.len() < count {
            if !self.read_until(deadline) {
                panic!("{} of {count} bytes{}", self.pending.len(), self.how_it_ended());
            }
        }
        self.pending.drain(..count).collect()
    }

    /// Takes what comes until the other side closes.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.read_until(deadline) {}
        assert!(self.ended, "the connection stays open");
        std::mem::take(&mut self.pending)
    }

    /// The other side closes, by FIN or reset, and says nothing before.
    #[track_caller]
    pub(crate) fn expect_close(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.pending.is_empty() && self.read_until(deadline) {}
        if !self.pending.is_empty() || !self.ended {
            panic!("expected the end of the connection, got\n{}{}", show(&self.pending), self.how_it_ended());
        }
    }

    /// The other side says that it ends TLS, and nothing before.
    #[track_caller]
    pub(crate) fn expect_close_notify(&mut self) {
        self.expect_close();
        assert!(self.was_told_goodbye(), "the connection was closed without close_notify");
    }

    /// Nothing comes for a while, and the connection stays open.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self) -> &mut Conn {
        self.read_until(Instant::now() + QUIET);
        if !self.pending.is_empty() || self.ended {
            panic!("expected silence, got\n{}{}", show(&self.pending), self.how_it_ended());
        }
        self
    }

    /// Closes the sending direction only.
    pub(crate) fn finish(&mut self) -> &mut Conn {
        match &self.stream {
            Stream::Tcp(s) => s.shutdown(Shutdown::Write),
            Stream::Unix(s) => s.shutdown(Shutdown::Write),
            Stream::Tls(s) => s.get_ref().shutdown(Shutdown::Write),
        }
        .unwrap();
        self
    }

    /// Sends as much of it as the other side takes before it closes, from another thread, and ends that direction; drops
    /// all that comes meanwhile, up to the end.
    #[track_caller]
    pub(crate) fn flood(&mut self, bytes: Vec<u8>) {
        let mut sender = self.sender();
        let sending = std::thread::spawn(move || {
            // It may be closed long before the last of it.
            let _ = sender.write(&bytes).and_then(|()| match &sender.stream {
                Stream::Tcp(s) => s.shutdown(Shutdown::Write),
                _ => Ok(()),
            });
        });
        self.rest();
        sending.join().unwrap();
    }

    /// A second handle to the same connection, for another thread to send on.
    pub(crate) fn sender(&self) -> Conn {
        match &self.stream {
            Stream::Tcp(s) => Conn::tcp(s.try_clone().unwrap()),
            Stream::Unix(s) => Conn::unix(s.try_clone().unwrap()),
            Stream::Tls(_) => panic!("a TLS connection has one handle"),
        }
    }

    /// Sends from another thread, so that this one can receive.
    pub(crate) fn send_aside(&self, bytes: Vec<u8>) -> JoinHandle<()> {
        let mut sender = self.sender();
        std::thread::spawn(move || {
            sender.send(bytes);
        })
    }

    /// Sends the same again and again, from another thread, until the connection ends.
    pub(crate) fn chatter(&self, bytes: &'static str, pause: Duration, times: usize) -> JoinHandle<()> {
        let mut sender = self.sender();
        std::thread::spawn(move || {
            for _ in 0..times {
                if sender.write(bytes.as_bytes()).is_err() {
                    // Not finished in time: that is for the test to see.
                    std::thread::park();
                }
                std::thread::sleep(pause);
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(s) => s.write_all(bytes),
            Stream::Unix(s) => s.write_all(bytes),
            Stream::Tls(s) => s.write_all(bytes),
        }
    }

    /// Reads once; false when nothing came until the deadline, or the connection ended.
    fn read_until(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut chunk = [0; 65536];
        let read = match &mut self.stream {
            Stream::Tcp(s) => s.set_read_timeout(Some(left)).and_then(|()| s.read(&mut chunk)),
            Stream::Unix(s) => s.set_read_timeout(Some(left)).and_then(|()| s.read(&mut chunk)),
            Stream::Tls(s) => s.get_ref().set_read_timeout(Some(left)).and_then(|()| s.read(&mut chunk)),
        };
        match read {
            Ok(0) => self.ended = true,
            Ok(n) => self.pending.extend_from_slice(&chunk[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(e) if e.kind() == ErrorKind::Interrupted => return true,
            Err(_) => self.ended = true,
        }
        !self.ended
    }

    /// Behind the end of TLS comes the end of the connection, though this end has not agreed.
    #[track_caller]
    pub(crate) fn expect_end_of_tcp(&mut self) {
        let Stream::Tls(s) = &mut self.stream else { panic!("this connection is not encrypted") };
        s.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(s.get_mut().read(&mut [0]).unwrap(), 0, "bytes behind close_notify");
    }

    /// Whether the other side has said that it ends TLS.
    fn was_told_goodbye(&mut self) -> bool {
        match &mut self.stream {
            Stream::Tls(s) => s.get_shutdown().contains(ShutdownState::RECEIVED),
            _ => panic!("this connection is not encrypted"),
        }
    }

    /// Ends TLS in this direction; what the other side still sends can be read.
    #[track_caller]
    pub(crate) fn close_notify(&mut self) -> &mut Conn {
        match &mut self.stream {
            Stream::Tls(s) => s.shutdown().unwrap(),
            _ => panic!("this connection is not encrypted"),
        };
        self
    }

    fn how_it_ended(&self) -> &'static str {
        if self.ended { "  (the connection is closed)" } else { "  (the connection is open)" }
    }
}
