//! A stub auth server: answers as the test told it, and records what it was asked.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};

use super::bytes::diff;
use super::listener::listen;
use super::tls::Server;
use super::{Conn, PATIENCE, QUIET};

/// An HTTP server that every login asks. It ends with the test's process.
pub(crate) struct Auth {
    address: SocketAddr,
    requests: Receiver<Request>,
    replies: Arc<Mutex<Replies>>,
}

struct Replies {
    queue: VecDeque<Reply>,
    otherwise: Reply,
    tls: Option<Server>,
}

/// What the auth server answers.
#[derive(Clone)]
pub(crate) enum Reply {
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// Nothing: the test answers by itself, on [`Request::conn`].
    ByHand,
}

/// One request, as it came.
pub(crate) struct Request {
    /// The bytes of its head, the empty line included.
    pub(crate) raw: Vec<u8>,
    /// The connection it came on, where the reply was [`Reply::ByHand`].
    pub(crate) conn: Option<Conn>,
}

impl Auth {
    /// Starts a server that sends every login to that backend, if not told otherwise.
    pub(crate) fn start(backend: SocketAddr) -> Auth {
        Auth::at("127.0.0.1:0", backend)
    }

    /// The same on another address.
    pub(crate) fn at(address: &str, backend: SocketAddr) -> Auth {
        let listener = listen(address);
        let address = listener.local_addr().unwrap();
        let replies =
            Arc::new(Mutex::new(Replies { queue: VecDeque::new(), otherwise: Reply::accept(backend), tls: None }));
        let (sender, requests) = channel();
        let script = Arc::clone(&replies);
        std::thread::spawn(move || serve(&listener, &script, &sender));
        Auth { address, requests, replies }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues the reply to one request, behind those queued before.
    pub(crate) fn reply(&self, reply: Reply) -> &Auth {
        self.replies.lock().unwrap().queue.push_back(reply);
        self
    }

    /// The reply to every request that none is queued for.
    pub(crate) fn always(&self, reply: Reply) -> &Auth {
        self.replies.lock().unwrap().otherwise = reply;
        self
    }

    /// Does TLS on every connection from now on.
    pub(crate) fn tls(&self, server: Server) -> &Auth {
        self.replies.lock().unwrap().tls = Some(server);
        self
    }

    /// The next request that was not yet looked at.
    #[track_caller]
    pub(crate) fn request(&self) -> Request {
        match self.requests.recv_timeout(PATIENCE) {
            Ok(request) => request,
            Err(e) => panic!("the auth server was not asked: {e}"),
        }
    }

    /// The next request, if there is one soon.
    pub(crate) fn request_or_none(&self) -> Option<Request> {
        self.requests.recv_timeout(QUIET).ok()
    }

    /// Nobody asks for a while.
    #[track_caller]
    pub(crate) fn expect_unasked(&self) {
        match self.requests.recv_timeout(QUIET) {
            Err(RecvTimeoutError::Timeout) => (),
            Ok(request) => panic!("the auth server was asked:\n{}", String::from_utf8_lossy(&request.raw)),
            Err(e) => panic!("the auth server has ended: {e}"),
        }
    }
}

impl Reply {
    /// `Auth-Status: OK`, with that server.
    pub(crate) fn accept(server: SocketAddr) -> Reply {
        Reply::headers(&[
            ("Auth-Status", "OK"),
            ("Auth-Server", &server.ip().to_string()),
            ("Auth-Port", &server.port().to_string()),
        ])
    }

    /// A failure: the session ends with that text.
    pub(crate) fn refuse(text: &str) -> Reply {
        Reply::headers(&[("Auth-Status", text)])
    }

    /// A response with these headers and no other.
    pub(crate) fn headers(headers: &[(&str, &str)]) -> Reply {
        let mut head = "HTTP/1.0 200 OK\r\n".to_owned();
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        Reply::raw(head + "\r\n")
    }

    /// Exactly these bytes.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply::Bytes(bytes.into())
    }

    /// The reply with one more header at its end.
    pub(crate) fn with(self, name: &str, value: &str) -> Reply {
        let Reply::Bytes(mut bytes) = self else { panic!("this reply has no headers") };
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(format!("{name}: {value}\r\n\r\n").as_bytes());
        Reply::Bytes(bytes)
    }
}

impl Request {
    /// The value of a header; bytes that are not UTF-8 are replaced.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.raw);
        text.split("\r\n").find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    }

    /// Protocol's place in the conversation: method, user, password.
    pub(crate) fn credentials(&self) -> [String; 3] {
        ["Auth-Method", "Auth-User", "Auth-Pass"].map(|name| self.header(name).unwrap_or_default())
    }

    /// The whole head is this, but for a `Connection` line, which only Gatepost sends.
    #[track_caller]
    pub(crate) fn expect(&self, expected: impl AsRef<[u8]>) {
        let lines = self.raw.split_inclusive(|&b| b == b'\n');
        let got: Vec<u8> = lines.filter(|line| !line.starts_with(b"Connection:")).flatten().copied().collect();
        assert!(got == expected.as_ref(), "{}", diff(expected.as_ref(), &got));
    }
}

/// Accepts until the test is over; each connection has one request.
fn serve(listener: &TcpListener, replies: &Mutex<Replies>, requests: &Sender<Request>) {
    for stream in listener.incoming().flatten() {
        let mut conn = Conn::tcp(stream);
        let tls = replies.lock().unwrap().tls.clone();
        if let Some(tls) = tls {
            let Ok(encrypted) = conn.try_accept_tls(&tls) else { continue };
            conn = encrypted;
        }
        let Some(raw) = conn.request_head() else { continue };
        let mut replies = replies.lock().unwrap();
        let reply = replies.queue.pop_front().unwrap_or_else(|| replies.otherwise.clone());
        drop(replies);
        let request = match reply {
            Reply::ByHand => Request { raw, conn: Some(conn) },
            Reply::Bytes(bytes) => {
                conn.send(bytes);
                Request { raw, conn: None }
            }
        };
        if requests.send(request).is_err() {
            return;
        }
    }
}
