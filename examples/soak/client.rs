//! Mail clients: a login, messages in both directions, and an end, each in one of many ways.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep, timeout};
use tokio_openssl::SslStream;

use crate::lines::Lines;
use crate::mail::PASSWORD;
use crate::pattern::Pattern;
use crate::peer::{GARBAGE, reset};
use crate::random::Random;
use crate::servers::{Name, UPSTREAM};
use crate::stream::Stream;
use crate::weather::{Phase, Plan};
use crate::wire::Protocol;

/// How many addresses the clients come from, so that they do not run out of ports.
const SOURCES: u64 = 64;
/// How much is read or written at once, bytes.
const BLOCK: usize = 64 * 1024;

/// How a client secures its connection to Gatepost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    Tls,
    StartTls,
}

impl Way {
    pub(crate) const ALL: [Way; 3] = [Way::Plain, Way::Tls, Way::StartTls];
}

/// What a client is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should be.
    Polite,
    /// It sends commands that nobody knows before it logs in.
    Mumbles,
    /// It sends the first message with its login, without waiting (never SMTP, which forbids it).
    Hurries,
    /// It ends its direction first and waits for the other end.
    HalfCloses,
    /// It resets the connection before it logs in.
    LeavesBeforeLogin,
    /// It resets the connection while its login is worked on.
    LeavesAtLogin,
    /// It resets the connection in the middle of a message.
    LeavesInRelay,
}

impl Manner {
    pub(crate) const ALL: [Manner; 7] = [
        Manner::Polite,
        Manner::Mumbles,
        Manner::Hurries,
        Manner::HalfCloses,
        Manner::LeavesBeforeLogin,
        Manner::LeavesAtLogin,
        Manner::LeavesInRelay,
    ];
}

/// A session as it is to be.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Different for each.
    pub(crate) number: u64,
    pub(crate) protocol: Protocol,
    pub(crate) way: Way,
    pub(crate) name: Name,
    pub(crate) manner: Manner,
    /// How many messages there are each way, ...
    pub(crate) messages: usize,
    /// ... of how many bytes at most, ...
    pub(crate) size: usize,
    /// ... and how long the client waits between them, milliseconds at most.
    pub(crate) pause: usize,
}

impl Session {
    /// One of any kind, in which that goes wrong. Its client is polite and in no hurry.
    pub(crate) fn any(number: u64, plan: Option<Plan>, random: &mut Random) -> Session {
        let upstream = match plan.map(|plan| plan.phase) {
            Some(Phase::StartTls) => "starttls",
            Some(Phase::Handshake) => random.pick(&UPSTREAM[1..]),
            _ => random.pick(&UPSTREAM),
        };
        Session {
            number,
            protocol: random.pick(&Protocol::ALL),
            way: random.pick(&Way::ALL),
            name: Name { plan, upstream },
            manner: Manner::Polite,
            messages: 1 + random.below(3),
            size: random.pick(&[100, 10_000, 100_000]),
            pause: 2000,
        }
    }
}

/// How one ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All was as it should be.
    Done { down: usize },
    /// Gatepost said that it does not go on.
    Answered,
    /// The connection ended before that.
    Closed,
    /// The client left, as it meant to.
    Left,
    /// The server said something that is no answer, and it was passed on.
    Garbage,
    /// So little came that the client left.
    TooSlow,
    /// Nothing came, not even an end.
    Late(&'static str),
    /// Something came that nobody sent.
    Wrong(String),
}

/// Where clients go, and how long they wait there.
pub(crate) struct Target {
    pub(crate) place: SocketAddr,
    /// What Gatepost may show from the session's beginning on, in DER form.
    pub(crate) certificates: Shown,
    /// How long an answer before the login may take, and a step of the login.
    pub(crate) login: Duration,
    /// How long the relay may say nothing.
    pub(crate) relay: Duration,
}

/// Certificates that Gatepost may show: while it is being told of a new one, the old one too.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Vec<Vec<u8>>>>);

impl Shown {
    /// One more.
    pub(crate) fn add(&self, certificate: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(certificate);
    }

    /// From now on the last one only.
    pub(crate) fn settle(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = all.len().saturating_sub(1);
        all.drain(..old);
    }

    /// Those of this moment.
    pub(crate) fn now(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// TLS of all clients, who look at the certificate themselves.
pub(crate) fn tls() -> Result<SslContext> {
    let mut tls = SslContext::builder(SslMethod::tls_client())?;
    tls.set_verify(SslVerifyMode::NONE);
    Ok(tls.build())
}

/// A client with a connection.
struct Client<'a> {
    session: &'a Session,
    target: &'a Target,
    lines: Lines<Stream>,
    random: Random,
    user: String,
    down: usize,
}

/// Runs a session to its end.
pub(crate) async fn run(session: &Session, target: &Target, tls: &SslContext) -> Ending {
    live(session, target, tls).await.unwrap_or_else(|ending| ending)
}

async fn live(session: &Session, target: &Target, tls: &SslContext) -> Go<Ending> {
    let shown = target.certificates.now();
    let connected = timeout(target.login, connect(session, target)).await;
    let socket = connected.map_err(|_| Ending::Late("connect"))?.map_err(closed)?;
    let user = session.name.of(session.number);
    let random = Random::new(session.number);
    let mut client = Client { session, target, lines: Lines::new(socket), random, user, down: 0 };
    if session.way == Way::Tls {
        client = client.encrypt(tls, &shown).await?;
    }
    client.greeting().await?;
    if session.way == Way::StartTls {
        client.ask_for_tls().await?;
        client = client.encrypt(tls, &shown).await?;
    }
    client.go_on().await
}

async fn connect(session: &Session, target: &Target) -> Result<Stream> {
    let socket = TcpSocket::new_v4()?;
    // A port that another connection of this address has had lately may be had again.
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::new(127, 0, 3, 1 + (session.number % SOURCES) as u8), 0).into())?;
    let stream = socket.connect(target.place).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::Plain(stream))
}

type Go<T> = Result<T, Ending>;

/// A connection that breaks is one that ends.
fn closed(_: anyhow::Error) -> Ending {
    Ending::Closed
}

impl Client<'_> {
    async fn ask_for_tls(&mut self) -> Go<()> {
        match self.session.protocol {
            Protocol::Imap => self.ask("s STARTTLS\r\n", "s OK").await,
            Protocol::Pop3 => self.ask("STLS\r\n", "+OK").await,
            Protocol::Smtp => {
                self.ask("EHLO client.example\r\n", "250 ").await?;
                self.ask("STARTTLS\r\n", "220").await
            }
        }
    }

    /// What comes behind the greeting, and TLS.
    async fn go_on(&mut self) -> Go<Ending> {
        let session = self.session;
        match session.manner {
            Manner::LeavesBeforeLogin => return Ok(self.leave()),
            Manner::Mumbles => self.mumble().await?,
            _ => {}
        }
        let messages: Vec<_> = (0..session.messages as u64).map(|n| (session.number * 64 + n) * 2).collect();
        let hurries = session.manner == Manner::Hurries && session.protocol != Protocol::Smtp;
        let first = messages.first().filter(|_| hurries).map(|message| self.command(*message, 0));
        self.log_in(first.as_ref().map_or("", |(text, _)| text)).await?;
        if let (Some((_, down)), Some(message)) = (first, messages.first()) {
            self.receive(*message, down).await?;
        }
        for message in messages.into_iter().skip(usize::from(hurries)) {
            let pause = self.random.millis(0, session.pause.max(1));
            sleep(pause).await;
            self.exchange(message).await?;
        }
        self.end().await
    }

    fn leave(&mut self) -> Ending {
        reset(&self.lines.stream);
        Ending::Left
    }

    async fn encrypt(self, tls: &SslContext, shown: &[Vec<u8>]) -> Go<Self> {
        let Stream::Plain(socket) = self.lines.stream else { return Err(Ending::Wrong("TLS twice".to_owned())) };
        let handshake = async {
            let mut stream = Box::new(SslStream::new(Ssl::new(tls)?, socket)?);
            Pin::new(&mut *stream).connect().await?;
            anyhow::Ok(stream)
        };
        let stream =
            timeout(self.target.login, handshake).await.map_err(|_| Ending::Late("handshake"))?.map_err(closed)?;
        let certificate = stream.ssl().peer_certificate().and_then(|certificate| certificate.to_der().ok());
        let certificate = certificate.unwrap_or_default();
        if !shown.contains(&certificate) && !self.target.certificates.now().contains(&certificate) {
            return Err(Ending::Wrong("an old certificate".to_owned()));
        }
        Ok(Client { lines: Lines::new(Stream::Tls(stream)), ..self })
    }

    async fn greeting(&mut self) -> Go<()> {
        match self.session.protocol {
            Protocol::Imap => self.expect("* OK").await,
            Protocol::Pop3 => self.expect("+OK").await,
            Protocol::Smtp => self.expect("220 ").await,
        }
    }

    async fn mumble(&mut self) -> Go<()> {
        for _ in 0..1 + self.random.below(3) {
            match self.session.protocol {
                Protocol::Imap => self.ask("x XYZZY\r\n", "x BAD").await?,
                Protocol::Pop3 => self.ask("XYZZY\r\n", "-ERR").await?,
                Protocol::Smtp => self.ask("XYZZY\r\n", "500").await?,
            }
        }
        Ok(())
    }

    /// Logs in, and sends `more` with that.
    async fn log_in(&mut self, more: &str) -> Go<()> {
        let user = self.user.clone();
        let (last, beginning) = match self.session.protocol {
            Protocol::Imap => (format!("a LOGIN {user} {PASSWORD}\r\n"), "a OK"),
            Protocol::Pop3 => {
                self.ask(&format!("USER {user}\r\n"), "+OK").await?;
                (format!("PASS {PASSWORD}\r\n"), "+OK")
            }
            Protocol::Smtp => {
                self.ask("EHLO client.example\r\n", "250 ").await?;
                let message = BASE64_STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
                (format!("AUTH PLAIN {message}\r\n"), "235")
            }
        };
        self.send(format!("{last}{more}").as_bytes()).await?;
        if self.session.manner == Manner::LeavesAtLogin {
            let pause = self.random.millis(0, 20);
            sleep(pause).await;
            return Err(self.leave());
        }
        self.expect(beginning).await
    }

    /// The command for a message, and how many bytes it will bring.
    fn command(&mut self, message: u64, up: usize) -> (String, usize) {
        let down = self.session.size / 2 + self.random.below(self.session.size / 2 + 1);
        (format!("X {} {up} {down} {message}\r\n", self.user), down)
    }

    /// Sends a message and receives the next.
    async fn exchange(&mut self, message: u64) -> Go<()> {
        let up = self.random.below(self.session.size + 1);
        let (command, down) = self.command(message, up);
        self.send(command.as_bytes()).await?;
        let mut pattern = Pattern::new(message);
        let mut left = up;
        while left > 0 {
            if self.session.manner == Manner::LeavesInRelay && left <= up / 2 {
                return Err(self.leave());
            }
            // Pieces of all sizes.
            let limit = 1 + self.random.below(BLOCK).min(left - 1);
            let piece = pattern.take(limit).to_vec();
            self.send(&piece).await?;
            left -= piece.len();
        }
        self.receive(message, down).await
    }

    async fn receive(&mut self, message: u64, down: usize) -> Go<()> {
        let mut pattern = Pattern::new(message + 1);
        let mut buffer = vec![0; BLOCK.min(down)];
        let mut received = 0;
        let begin = Instant::now();
        while received < down {
            if begin.elapsed() > self.target.relay / 2 && received < down / 2 {
                return Err(Ending::TooSlow);
            }
            let room = buffer.len().min(down - received);
            let read = timeout(self.target.relay, self.lines.read(&mut buffer[..room])).await;
            let count = read.map_err(|_| Ending::Late("message"))?.map_err(closed)?;
            if count == 0 {
                return Err(Ending::Closed);
            }
            if let Err(at) = pattern.check(&buffer[..count]) {
                return Err(if is_garbage(&buffer[..count], at) {
                    Ending::Garbage
                } else {
                    Ending::Wrong(format!("byte {} of {down} to the client", received + at))
                });
            }
            received += count;
        }
        self.down += down;
        Ok(())
    }

    async fn end(&mut self) -> Go<Ending> {
        if self.session.manner == Manner::HalfCloses {
            // The other side may have closed first.
            let _ = self.lines.stream.shutdown().await;
            let mut more = [0; 16];
            let read = timeout(self.target.relay, self.lines.read(&mut more)).await;
            match read.map_err(|_| Ending::Late("end"))? {
                Ok(0) | Err(_) => {}
                Ok(_) => return Err(Ending::Wrong("bytes behind the last message".to_owned())),
            }
        }
        Ok(Ending::Done { down: self.down })
    }

    async fn ask(&mut self, command: &str, beginning: &str) -> Go<()> {
        self.send(command.as_bytes()).await?;
        self.expect(beginning).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Go<()> {
        let sent = timeout(self.target.relay, self.lines.send(bytes)).await;
        sent.map_err(|_| Ending::Late("send"))?.map_err(closed)
    }

    /// Waits for a line that begins so. Others before it are a longer answer's.
    async fn expect(&mut self, beginning: &str) -> Go<()> {
        let deadline = Instant::now() + self.target.login;
        loop {
            let line = tokio::time::timeout_at(deadline, self.lines.next()).await;
            let line = line.map_err(|_| Ending::Late("answer"))?.map_err(closed)?.ok_or(Ending::Closed)?;
            if line.starts_with(beginning) {
                return Ok(());
            }
            if is_refusal(&line) {
                return Err(Ending::Answered);
            }
            if !line.starts_with("250-") {
                return Err(Ending::Wrong(format!("\"{line}\" instead of \"{beginning}\"")));
            }
        }
    }
}

/// Whether what a server says that is no answer begins at that byte, or just before: its first bytes may be those that
/// were due.
fn is_garbage(bytes: &[u8], at: usize) -> bool {
    let begins = |from: usize| bytes[from..].iter().zip(GARBAGE).all(|(byte, expected)| byte == expected);
    (at.saturating_sub(2)..=at).any(begins)
}

/// Gatepost's words for an error that is not the client's.
fn is_refusal(line: &str) -> bool {
    ["* BAD internal server error", "-ERR internal server error", "451 4.3.2 Internal server error", "* BYE", "421 "]
        .iter()
        .any(|words| line.starts_with(words))
}
