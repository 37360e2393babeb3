#![allow(clippy::unwrap_used)]

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod handshake;
mod messages;
mod resumption;
mod verify;

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use gatepost_proto::Protocol;
use openssl::ssl::{Ssl, SslConnector, SslConnectorBuilder, SslMethod, SslSession, SslSessionCacheMode, SslVerifyMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_openssl::SslStream;

use super::{Context, Entrance};
use crate::config::Machine;
use crate::tls::options::ServerOptions;
use crate::tls::testing::{Authority, Files, Identity, server_options};
use crate::tls::{Caches, Gather, HandshakeError};

/// An authority, a server's certificate, and a place for files.
struct World {
    files: Files,
    authority: Authority,
    server: Identity,
}

impl World {
    fn new() -> World {
        let authority = Authority::new("Root");
        let server = authority.issue("mail.example.com", 2);
        World { files: Files::new(), authority, server }
    }

    fn options(&self) -> ServerOptions {
        server_options(vec![self.files.pair("server", &self.server)])
    }
}

fn context(options: &ServerOptions, caches: &Caches) -> Context {
    Context::new(options, Protocol::Imap, caches, &Machine).unwrap()
}

fn entrance(options: &ServerOptions) -> Entrance {
    Entrance::new(&[(&[], &context(options, &Caches::default()))])
}

/// A client that remembers the sessions it is given.
struct Client {
    builder: SslConnectorBuilder,
    name: Option<&'static str>,
    sessions: Arc<Mutex<Vec<SslSession>>>,
}

impl Client {
    fn new() -> Client {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
        let sessions = Arc::new(Mutex::new(Vec::new()));
        let kept = sessions.clone();
        builder.set_new_session_callback(move |_, session| kept.lock().unwrap().push(session));
        Client { builder, name: None, sessions }
    }

    fn with(mut self, configure: impl FnOnce(&mut SslConnectorBuilder)) -> Client {
        configure(&mut self.builder);
        self
    }

    fn named(mut self, name: &'static str) -> Client {
        self.name = Some(name);
        self
    }

    fn identity(self, identity: &Identity) -> Client {
        self.with(|builder| {
            builder.set_certificate(&identity.certificate).unwrap();
            builder.set_private_key(&identity.key).unwrap();
        })
    }

    fn resuming(self, session: &SslSession) -> Attempt {
        // A copy: a session that was in use once may be marked as spoilt.
        let copy = SslSession::from_der(&session.to_der().unwrap()).unwrap();
        self.ready(Some(&copy))
    }

    fn ready(self, session: Option<&SslSession>) -> Attempt {
        let connector = self.builder.build();
        let mut ssl = Ssl::new(connector.context()).unwrap();
        if let Some(name) = self.name {
            ssl.set_hostname(name).unwrap();
        }
        if let Some(session) = session {
            // SAFETY: both are of clients configured alike.
            unsafe { ssl.set_session(session).unwrap() };
        }
        Attempt { ssl, sessions: self.sessions }
    }

    async fn connect(self, entrance: &Entrance) -> Meeting {
        self.ready(None).connect(entrance).await
    }

    async fn try_connect(self, entrance: &Entrance) -> (Result<Meeting, HandshakeError>, Option<String>) {
        self.ready(None).try_connect(entrance).await
    }
}

struct Attempt {
    ssl: Ssl,
    sessions: Arc<Mutex<Vec<SslSession>>>,
}

/// Both ends of a connection.
struct Meeting {
    client: SslStream<DuplexStream>,
    server: SslStream<Gather<DuplexStream>>,
    block: usize,
    sessions: Arc<Mutex<Vec<SslSession>>>,
}

impl Attempt {
    async fn connect(self, entrance: &Entrance) -> Meeting {
        let (meeting, client_error) = self.try_connect(entrance).await;
        assert_eq!(client_error, None);
        meeting.unwrap()
    }

    /// The outcome at the server, and the error of the client.
    async fn try_connect(self, entrance: &Entrance) -> (Result<Meeting, HandshakeError>, Option<String>) {
        let (near, far) = duplex(64 * 1024);
        let mut client = SslStream::new(self.ssl, near).unwrap();
        let connect = async {
            let outcome = Pin::new(&mut client).connect().await;
            // A client that fails goes away.
            outcome.map(|()| client).map_err(|error| error.to_string())
        };
        let (client, accepted) = tokio::join!(connect, entrance.accept(far));
        match (client, accepted) {
            (Ok(client), Ok((server, block))) => (Ok(Meeting { client, server, block, sessions: self.sessions }), None),
            (Err(error), Ok(_)) => panic!("only the client failed: {error}"),
            (client, Err(error)) => (Err(error), client.err()),
        }
    }
}

impl Meeting {
    /// Says a word each way: after it the client has its sessions.
    async fn talk(&mut self) {
        let mut word = [0; 4];
        self.server.write_all(b"ping").await.unwrap();
        self.client.read_exact(&mut word).await.unwrap();
        self.client.write_all(b"pong").await.unwrap();
        self.server.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"pong");
    }

    fn resumed(&self) -> bool {
        let (client, server) = (self.client.ssl().session_reused(), self.server.ssl().session_reused());
        assert_eq!(client, server);
        server
    }

    /// The last session that the client was given.
    async fn session(mut self) -> SslSession {
        self.talk().await;
        // OpenSSL forgets the session of a connection that ends otherwise.
        self.client.shutdown().await.unwrap();
        self.server.shutdown().await.unwrap();
        let sessions = self.sessions.lock().unwrap();
        let kept = sessions.last().cloned();
        // One that goes on with a new ticket (TLS 1.2) is told to nobody.
        kept.unwrap_or_else(|| self.client.ssl().session().expect("the server gave a session").to_owned())
    }

    fn server_name(&self) -> String {
        let certificate = self.client.ssl().peer_certificate().unwrap();
        let name = certificate.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME).next().unwrap();
        name.data().to_string().unwrap()
    }
}
