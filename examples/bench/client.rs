//! Mail clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslMode, SslSession, SslSessionCacheMode, SslVerifyMode, SslVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio_openssl::SslStream;

use crate::lines::Lines;
use crate::proxy::Proxy;
use crate::stream::Stream;
use crate::wire::{Protocol, Security};

/// How many addresses the clients come from, so that they do not run out of ports.
const SOURCES: u8 = 64;

/// What all clients have in common.
pub(crate) struct Clients {
    next_source: AtomicU8,
    tls: SslContext,
    /// The session that all of them resume, in its DER form: OpenSSL resumes one of TLS 1.3 once only.
    session: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Clients {
    pub(crate) fn new() -> Result<Clients> {
        let session = Arc::new(Mutex::new(None));
        let mut tls = SslContext::builder(SslMethod::tls_client())?;
        tls.set_verify(SslVerifyMode::NONE);
        tls.set_min_proto_version(Some(SslVersion::TLS1_3))?;
        tls.set_mode(SslMode::RELEASE_BUFFERS);
        tls.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
        let kept = session.clone();
        tls.set_new_session_callback(move |_, session| {
            kept.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert_with(|| session.to_der().unwrap_or_default());
        });
        Ok(Clients { next_source: AtomicU8::new(0), tls: tls.build(), session })
    }

    /// A client that is logged in.
    pub(crate) async fn log_in(&self, proxy: &Proxy, protocol: Protocol, security: Security) -> Result<Client> {
        let mut client = self.greeted(proxy, protocol, security).await?;
        client.log_in(protocol).await?;
        Ok(client)
    }

    /// One that was greeted.
    pub(crate) async fn greeted(&self, proxy: &Proxy, protocol: Protocol, security: Security) -> Result<Client> {
        let mut client = Client::connect(self, proxy.address(protocol, security)).await?;
        if security != Security::Plain {
            client = client.encrypt(self, security == Security::Resumed).await?;
        }
        client.greeting(protocol).await?;
        Ok(client)
    }

    /// Prepares clients of a proxy for [`Security::Resumed`]: one has a full handshake.
    pub(crate) async fn obtain_session(&self, proxy: &Proxy, protocol: Protocol) -> Result<()> {
        *self.session() = None;
        self.log_in(proxy, protocol, Security::Ecdsa).await?.close().await
    }

    fn source(&self) -> SocketAddr {
        let last = self.next_source.fetch_add(1, Ordering::Relaxed) % SOURCES;
        SocketAddr::from((Ipv4Addr::new(127, 0, 3, last + 1), 0))
    }

    fn session(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client with a connection.
pub(crate) struct Client(Lines<Stream>);

impl Client {
    pub(crate) async fn connect(clients: &Clients, place: SocketAddr) -> Result<Client> {
        let socket = TcpSocket::new_v4()?;
        // A port that another connection of this address has had lately may be had again.
        socket.set_reuseaddr(true)?;
        socket.bind(clients.source())?;
        let stream = socket.connect(place).await.context("connect() failed")?;
        stream.set_nodelay(true)?;
        Ok(Client(Lines::new(Stream::Plain(stream))))
    }

    async fn encrypt(self, clients: &Clients, resume: bool) -> Result<Client> {
        let Stream::Plain(socket) = self.0.stream else { return Ok(self) };
        let mut ssl = Ssl::new(&clients.tls)?;
        if resume {
            let der = clients.session().clone().context("no session to resume")?;
            let session = SslSession::from_der(&der)?;
            // SAFETY: the session is one of the same context.
            unsafe { ssl.set_session(&session)? };
        }
        let mut stream = Box::new(SslStream::new(ssl, socket)?);
        Pin::new(&mut *stream).connect().await.context("TLS handshake failed")?;
        ensure!(stream.ssl().session_reused() == resume, "the session should be resumed: {resume}");
        Ok(Client(Lines::new(Stream::Tls(stream))))
    }

    pub(crate) async fn greeting(&mut self, protocol: Protocol) -> Result<()> {
        let beginning = match protocol {
            Protocol::Imap => "* OK",
            Protocol::Pop3 => "+OK",
            Protocol::Smtp => "220 ",
        };
        self.0.expect(beginning).await
    }

    async fn log_in(&mut self, protocol: Protocol) -> Result<()> {
        match protocol {
            Protocol::Imap => self.ask("a LOGIN joe secret\r\n", "a OK").await,
            Protocol::Pop3 => {
                self.ask("USER joe\r\n", "+OK").await?;
                self.ask("PASS secret\r\n", "+OK").await
            }
            Protocol::Smtp => {
                self.0.send(b"EHLO client.example\r\n").await?;
                while !self.0.next().await?.context("no answer to EHLO")?.starts_with("250 ") {}
                self.ask("AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", "235").await
            }
        }
    }

    async fn ask(&mut self, command: &str, beginning: &str) -> Result<()> {
        self.0.send(command.as_bytes()).await?;
        self.0.expect(beginning).await
    }

    /// A command, and its answer. Like the following, for IMAP.
    pub(crate) async fn noop(&mut self) -> Result<()> {
        self.ask("b NOOP\r\n", "b OK").await
    }

    /// Takes that many bytes from the server.
    pub(crate) async fn download(&mut self, length: usize) -> Result<()> {
        self.0.send(format!("c DOWN {length}\r\n").as_bytes()).await?;
        self.0.skip(length).await?;
        self.0.expect("c OK").await
    }

    /// Gives that many bytes to the server.
    pub(crate) async fn upload(&mut self, length: usize) -> Result<()> {
        self.0.send(format!("d UP {length}\r\n").as_bytes()).await?;
        self.0.send_block(length).await?;
        self.0.expect("d OK").await
    }

    pub(crate) async fn close(mut self) -> Result<()> {
        // The other side may have closed first.
        let _ = self.0.stream.shutdown().await;
        Ok(())
    }
}
