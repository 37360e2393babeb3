//! Connections to mail servers, up to the first byte of the login.

use gatepost_proto::FrontEnd;
use gatepost_proto::proxy_protocol::{self, Addresses};

use super::{CONNECTING, send, timed_out, unless_gone};
use crate::accept::Permit;
use crate::addr::Address;
use crate::auth::Route;
use crate::config::ProxyProtocol;
use crate::event_loop::time::{now, timeout};
use crate::log::{Errno, Level};
use crate::session::{Ended, Session};
use crate::stream::{Socket, Stream};
use crate::tls::client::Name;

/// Where a connection leads.
pub(super) struct Destination {
    address: Address,
    /// Whom to expect there.
    name: Name,
    /// Whether anybody is there is for the first read to find out.
    pub(super) is_open: bool,
}

/// Connects to the first of the route's addresses that answers. Each gets its share of the time that is left. Where the
/// only one is to speak first, its greeting will tell that it has answered.
pub(super) async fn connect(
    session: &mut Session,
    front: &mut dyn FrontEnd,
    route: &Route,
    speaks_first: bool,
) -> Result<(Stream, Destination), Ended> {
    session.log.context.action = CONNECTING;
    if !session.permit.take_one_more() {
        session.log.write(Level::Alert, format_args!("{}", Permit::EXHAUSTED));
        return Err(session.internal_error(front).await);
    }
    let mut left = 1 + route.alternatives.len() as u32;
    for address in std::iter::once(&route.address).chain(&route.alternatives) {
        let share = session.deadline.saturating_duration_since(now()) / left;
        left -= 1;
        let is_open = speaks_first && route.alternatives.is_empty();
        let outcome = if is_open {
            Some(Ok(Socket::connect_to_speaker(address)))
        } else {
            unless_gone(session, front, timeout(share, Socket::connect(address))).await?
        };
        match outcome {
            Some(Ok(Ok(socket))) => {
                let name = route.verify_name.as_deref().map_or_else(|| Name::of(address), Name::parse);
                return Ok((Stream::Plain(socket), Destination { address: address.clone(), name, is_open }));
            }
            Some(Ok(Err(error))) => {
                let to = if route.alternatives.is_empty() { String::new() } else { format!(" to {address}") };
                session.log.write(Level::Error, format_args!("connect(){to} failed{}", Errno(&error)));
            }
            Some(Err(_)) if left > 0 => {
                session.log.write(Level::Error, format_args!("{address} timed out (110: Connection timed out)"));
            }
            Some(Err(_)) | None => return Err(timed_out(session, front).await),
        }
    }
    Err(session.internal_error(front).await)
}

/// Tells the mail server who the client is, before anything else.
pub(super) async fn send_proxy_protocol(
    session: &mut Session,
    front: &mut dyn FrontEnd,
    stream: &mut Stream,
) -> Result<(), Ended> {
    let version = session.service.conf.proxy.proxy_protocol;
    if version == ProxyProtocol::Off {
        return Ok(());
    }
    session.log.context.action = "sending PROXY protocol header to upstream";
    let local = session.stream.socket().map(Socket::local_address);
    let local = local.as_ref().and_then(Address::socket);
    let addresses = session.client.address.socket().zip(local);
    let addresses = addresses.map(|(source, destination)| Addresses { source, destination });
    let header = match version {
        ProxyProtocol::V2 => proxy_protocol::v2(addresses.as_ref()),
        _ => proxy_protocol::v1(addresses.as_ref()),
    };
    send(session, front, stream, &header).await
}

/// Begins TLS, or ends the session.
pub(super) async fn encrypt(
    session: &mut Session,
    front: &mut dyn FrontEnd,
    stream: &mut Stream,
    destination: &Destination,
) -> Result<(), Ended> {
    session.log.context.action = "SSL handshaking to upstream";
    let connector = match session.service.upstream_tls.connector() {
        Ok(connector) => connector,
        Err(messages) => {
            messages.iter().for_each(|message| session.log.write(Level::Error, format_args!("{message}")));
            return Err(session.internal_error(front).await);
        }
    };
    let socket = stream.take_socket().expect("a connection is encrypted once");
    let handshake = connector.connect(socket, &destination.address, &destination.name);
    match unless_gone(session, front, handshake).await? {
        Some(Ok(encrypted)) => {
            *stream = encrypted.into();
            Ok(())
        }
        Some(Err(error)) => {
            let whose = if error.is_about_certificate() { "upstream " } else { "" };
            session.log.write(error.level(), format_args!("{whose}{error}"));
            Err(session.internal_error(front).await)
        }
        None => Err(timed_out(session, front).await),
    }
}
