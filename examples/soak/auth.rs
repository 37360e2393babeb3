//! The authentication server: it lets everybody in, and says where.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use crate::peer::Peer;
use crate::servers::{Kind, Name, Site};
use crate::weather::{Phase, Who};
use crate::wire::Protocol;

/// Serves a connection, which is kept between requests where it may be.
pub(crate) async fn serve(stream: TcpStream, site: Arc<Site>) -> Result<()> {
    let mut peer = Peer::new(stream, &site.weather, Who::Auth, None);
    while answer(&mut peer, &site).await? {}
    Ok(())
}

/// Answers one request. Tells whether there may be another.
async fn answer(peer: &mut Peer, site: &Site) -> Result<bool> {
    let Some(headers) = head(peer).await? else { return Ok(false) };
    let header = |name: &str| headers.get(name).map(String::as_str).context("a header is missing");
    let name = Name::parse(header("Auth-User")?)?;
    let spoken = header("Auth-Protocol")?;
    let protocol = Protocol::ALL.into_iter().find(|known| known.name() == spoken).context("no such protocol")?;
    // What goes wrong with the authentication server is not the mail server's business.
    let plan = name.plan.filter(|plan| !matches!(plan.phase, Phase::AuthConnect | Phase::AuthAnswer));
    let place = site.find(Kind { protocol, tls: name.upstream == "on", plan }).context("no such mail server")?;
    let keep = headers.get("Connection").is_some_and(|value| value == "keep-alive");
    let reply = format!(
        "HTTP/1.0 200 OK\r\nConnection: {}\r\nContent-Length: 0\r\nAuth-Status: OK\r\n\
         Auth-Server: {}\r\nAuth-Port: {}\r\nAuth-SSL-Upstream: {}\r\n\r\n",
        if keep { "keep-alive" } else { "close" },
        place.ip(),
        place.port(),
        name.upstream,
    );
    // Requests of many sessions come by one connection.
    peer.plan = name.plan;
    peer.say(Phase::AuthAnswer, reply.as_bytes()).await?;
    Ok(keep)
}

/// The head of a request; none at the end.
async fn head(peer: &mut Peer) -> Result<Option<HashMap<String, String>>> {
    let mut headers = HashMap::new();
    while let Some(line) = peer.next().await? {
        if line.is_empty() {
            return Ok(Some(headers));
        }
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(None)
}
