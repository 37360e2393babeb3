//! The client of an authentication server: nginx's `auth_http`.
//!
//! Each request goes over a connection kept from an earlier one where the server agreed to that, else over a new one.
//! A kept connection that turns out to be closed before any byte of the response costs nothing but the attempt: the
//! request is repeated once, on a new connection. Of several addresses the next is tried when a connection fails.
//! `auth_http_timeout` bounds all of it, the handshake of `https://` too.
//!
//! nginx's own lines of the request come first and unchanged; the one line added, `Connection: keep-alive`, comes last,
//! and is left out where `auth_http_header` sets a `Connection` of its own: `auth_http_header Connection close;` is how
//! to have a new connection for each request.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gatepost_proto::Secret;
use gatepost_proto::auth_http::{self, Encryption, Frame, Parser, ProxyProtocol, Reply, Response, ResponseError};

use super::connection::Connection;
use super::pool::Pool;
use super::{AuthError, OpenError, Request, Route, Shared, Verdict, os_error};
use crate::addr::Address;
use crate::config::AuthHttp;
use crate::event_loop::time::{after, now, sleep, timeout, timeout_at};
use crate::resolver::Resolver;
use crate::tls::HandshakeError;
use crate::tls::client::{Connector, Name};
use crate::tls::facts::Facts;
use crate::tls::options::UpstreamTls;

/// The least time between two requests for a client that is kept waiting (`Auth-Status: WAIT`).
const MIN_WAIT: Duration = Duration::from_secs(1);

/// How long the answer on a new connection may take before idle ones are suspected to stand in its way.
const PATIENCE: Duration = Duration::from_millis(250);

/// What went wrong with an authentication server. `Display` is the log's message.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// `auth_http_timeout`
    #[error("auth http server {0} timed out (110: Connection timed out)")]
    TimedOut(Address),
    /// It cannot be reached.
    #[error("connect() to {0} failed ({code})", code = os_error(.1))]
    Connect(Address, io::Error),
    /// There is no TLS with it, or it is not who it should be.
    #[error("auth http server {0} \"{1}\": {2}")]
    Tls(Address, Name, HandshakeError),
    /// The connection broke.
    #[error("{2} auth http server {0} failed ({code})", code = os_error(.1))]
    Broken(Address, io::Error, &'static str),
    /// It closed the connection before the end of the response's head.
    #[error("auth http server {0} prematurely closed connection")]
    Closed(Address),
    /// What it said makes no sense.
    #[error("auth http server {0} {1}")]
    Response(Address, ResponseError),
}

/// An authentication server.
#[derive(Debug)]
pub struct Server {
    config: AuthHttp,
    frame: Frame,
    keep_alive: bool,
    /// `https://`, and whom to expect there.
    tls: Option<(Arc<Connector>, Name)>,
    pool: Arc<Pool>,
    /// The index of the address that worked last.
    preferred: AtomicUsize,
}

impl Server {
    pub(super) fn open(config: &AuthHttp, shared: &Shared) -> Result<Server, OpenError> {
        let own = |(name, _): &(String, String)| name.eq_ignore_ascii_case("Connection");
        let keep_alive = !config.headers.iter().any(own);
        let tls = config.tls.as_ref().map(|options| shared.connectors.of(options)).transpose();
        let connector = tls.map_err(|messages| OpenError { messages })?;
        // A connection by TLS is for nobody else, who may have other ideas of whom to trust.
        let pool = if connector.is_some() { Arc::default() } else { shared.pool.clone() };
        let tls = connector.map(|connector| (connector, Name::parse(&config.host)));
        let frame = Frame::new(&config.uri, &config.host, &config.headers, keep_alive);
        let frame = frame.map_err(|error| OpenError { messages: vec![error.to_string()] })?;
        Ok(Server { config: config.clone(), frame, keep_alive, tls, pool, preferred: AtomicUsize::new(0) })
    }

    pub(super) async fn authenticate(&self, request: &Request<'_>) -> Result<Verdict, AuthError> {
        let head = self.encode(request)?;
        let (route, from) = loop {
            let mut parser = Parser::new();
            let address = self.ask(head.expose(), &mut parser).await?;
            let reply = parser.into_response().reply(request.protocol, request.attempt);
            let pause = match reply.map_err(|error| ServerError::Response(address.clone(), error))? {
                Reply::Accept(route) => break (route, address),
                Reply::Reject(rejection, wait) => return Ok(Verdict::Reject { rejection, wait }),
                Reply::Wait(time) => time.max(MIN_WAIT),
            };
            sleep(pause).await;
        };
        let auth_http::Route { server, encryption, name, user, password } = route;
        let tls = encryption.map(UpstreamTls::from);
        let (address, alternatives, verify_name) = match server {
            auth_http::Server::Ip(address) => (Address::Ip(address), Vec::new(), None),
            auth_http::Server::Unix(path) => (Address::Unix(path.into()), Vec::new(), None),
            auth_http::Server::Name(host, port) => {
                let resolver = request.resolver.ok_or(from);
                let mut addresses = Box::pin(look_up(&host, port, resolver)).await?;
                (addresses.remove(0), addresses, Some(host))
            }
        };
        Ok(Verdict::Accept(Route { address, alternatives, tls, verify_name, name, user, password }))
    }

    fn encode(&self, request: &Request<'_>) -> Result<Secret, AuthError> {
        let client = request.client;
        let ip = client.address.host();
        let ends = client.proxy_protocol.as_ref().map(|(from, to)| (from.host(), from.port(), to.host(), to.port()));
        let proxy_protocol = ends.as_ref().map(|(from, from_port, to, to_port)| ProxyProtocol {
            source: (from, *from_port),
            destination: (to, *to_port),
        });
        let client = auth_http::Client { ip: &ip, host: client.host.as_deref(), proxy_protocol };
        let question = auth_http::Request {
            frame: &self.frame,
            protocol: request.protocol,
            attempt: request.attempt,
            client,
            tls: request.client.tls.as_ref().map(Facts::for_request),
        };
        Ok(question.encode()?)
    }

    /// Asks once, within `auth_http_timeout`. Gives who has answered.
    async fn ask(&self, head: &[u8], parser: &mut Parser) -> Result<&Address, ServerError> {
        let deadline = after(self.config.timeout);
        let exchange = pin!(self.exchange(head, parser, deadline));
        let late = |_| ServerError::TimedOut(self.preferred().clone());
        timeout_at(deadline, exchange).await.map_err(late)?
    }

    async fn exchange(&self, head: &[u8], parser: &mut Parser, deadline: Instant) -> Result<&Address, ServerError> {
        let address = self.preferred();
        if let Some(connection) = self.pool.take(address) {
            match self.talk(connection, head, parser, address).await {
                Ok(()) => return Ok(address),
                Err(Failure { stale: true, .. }) => {}
                Err(failure) => return Err(failure.error),
            }
        }
        Box::pin(self.exchange_anew(head, parser, deadline)).await
    }

    /// The same on a new connection.
    async fn exchange_anew(
        &self,
        head: &[u8],
        parser: &mut Parser,
        deadline: Instant,
    ) -> Result<&Address, ServerError> {
        let (connection, address) = self.connect(deadline).await?;
        let mut talk = pin!(self.talk(connection, head, parser, address));
        let outcome = match timeout(PATIENCE, &mut talk).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let _waiting = self.pool.make_way(address);
                talk.await
            }
        };
        outcome.map(|()| address).map_err(|failure| failure.error)
    }

    /// Connects to the first address that answers, beginning with the one that did last. Each gets its share of the time
    /// that is left.
    async fn connect(&self, deadline: Instant) -> Result<(Connection, &Address), ServerError> {
        let count = self.config.addresses.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = ServerError::TimedOut(self.preferred().clone());
        for tried in 0..count {
            let index = (first + tried) % count;
            let address = &self.config.addresses[index];
            let share = deadline.saturating_duration_since(now()) / (count - tried) as u32;
            match timeout(share, self.open_connection(address)).await {
                Ok(Ok(connection)) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok((connection, address));
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = ServerError::TimedOut(address.clone()),
            }
        }
        Err(failure)
    }

    async fn open_connection(&self, address: &Address) -> Result<Connection, ServerError> {
        let connection = Connection::open(address).await;
        let connection = connection.map_err(|error| ServerError::Connect(address.clone(), error))?;
        let Some((connector, name)) = &self.tls else { return Ok(connection) };
        let handshake = Box::pin(connection.encrypt(connector, address, name));
        handshake.await.map_err(|error| ServerError::Tls(address.clone(), name.clone(), error))
    }

    fn preferred(&self) -> &Address {
        &self.config.addresses[self.preferred.load(Ordering::Relaxed)]
    }

    /// Sends a request, reads the head of the response, and keeps the connection if the server agrees.
    async fn talk(
        &self,
        mut connection: Connection,
        head: &[u8],
        parser: &mut Parser,
        address: &Address,
    ) -> Result<(), Failure> {
        let broken = |error, stale, doing| Failure::new(ServerError::Broken(address.clone(), error, doing), stale);
        connection.send(head).await.map_err(|error| broken(error, true, "send() to"))?;
        let mut stale = true;
        loop {
            let mut parsed = Ok(None);
            let received = connection.receive(|bytes| parsed = parser.receive(bytes)).await;
            match (received, parsed) {
                (Ok(0), _) => return Err(Failure::new(ServerError::Closed(address.clone()), stale)),
                (Ok(_), Ok(None)) => stale = false,
                (Ok(_), Ok(Some(rest))) => {
                    self.keep(connection, address, parser.response(), rest);
                    return Ok(());
                }
                (Ok(_), Err(error)) => {
                    return Err(Failure::new(ServerError::Response(address.clone(), error), false));
                }
                (Err(error), _) => return Err(broken(error, stale, "recv() from")),
            }
        }
    }

    fn keep(&self, connection: Connection, address: &Address, response: &Response, rest: usize) {
        let body = response.keep_alive().and_then(|body| body.checked_sub(rest as u64));
        if let Some(body) = body.filter(|body| self.keep_alive && *body <= MAX_BODY) {
            self.pool.put(address, connection, body);
        }
    }
}

/// The longest body that is skipped for the sake of a connection, bytes.
const MAX_BODY: u64 = 64 * 1024;

/// Why an exchange failed.
struct Failure {
    error: ServerError,
    /// Not a byte of the response came: on a kept connection the server had gone before the request.
    stale: bool,
}

impl Failure {
    fn new(error: ServerError, stale: bool) -> Failure {
        Failure { error, stale }
    }
}

/// Finds a mail server. Where no resolver is configured, its name is nonsense from the authentication server at the
/// address given instead.
async fn look_up(
    host: &str,
    port: u16,
    resolver: Result<(&Resolver, Duration), &Address>,
) -> Result<Vec<Address>, AuthError> {
    let invalid = |server: &Address| ServerError::Response(server.clone(), ResponseError::Address(host.to_owned()));
    let (resolver, timeout) = resolver.map_err(invalid)?;
    let found = resolver.addresses(host, timeout).await;
    let found = found.map_err(|failure| AuthError::Resolve(host.to_owned(), failure))?;
    Ok(found.into_iter().map(|ip| Address::Ip((ip, port).into())).collect())
}

impl From<Encryption> for UpstreamTls {
    fn from(encryption: Encryption) -> UpstreamTls {
        match encryption {
            Encryption::Off => UpstreamTls::Off,
            Encryption::On => UpstreamTls::On,
            Encryption::StartTls => UpstreamTls::StartTls,
        }
    }
}

#[cfg(test)]
mod tests;
