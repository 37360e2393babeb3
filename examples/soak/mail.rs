//! The mail servers: as much of a protocol as a login needs, and then messages of bytes that tell where they belong.
//!
//! After the login all protocols are the same to a relay, so there is one command only: `X user up down message`. The
//! client then sends `up` bytes of that message, and gets `down` bytes of the next.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use tokio::net::TcpStream;

use crate::pattern::Pattern;
use crate::peer::Peer;
use crate::servers::{Kind, Site};
use crate::weather::{Phase, Who};
use crate::wire::Protocol;

/// How much is read at once, bytes.
const BLOCK: usize = 64 * 1024;

/// Serves a connection.
pub(crate) async fn serve(stream: TcpStream, kind: Kind, site: Arc<Site>) -> Result<()> {
    let mut peer = Peer::new(stream, &site.weather, Who::Mail, kind.plan);
    peer.say(Phase::ProxyHeader, b"").await?;
    let header = peer.line_alone().await?;
    if !header.starts_with(b"PROXY TCP4 127.0.3.") {
        site.tally.wrong(&format!("PROXY protocol header: {}", header.escape_ascii()));
    }
    if kind.tls {
        peer = peer.encrypt(&site.tls).await?;
    }
    peer.say(Phase::Greeting, greeting(kind.protocol)).await?;
    let (mut peer, user) = log_in(peer, kind.protocol, &site).await?;
    while let Some(line) = peer.next().await? {
        message(&mut peer, &line, &user, &site).await?;
    }
    Ok(())
}

fn greeting(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Imap => b"* OK ready\r\n",
        Protocol::Pop3 => b"+OK ready\r\n",
        Protocol::Smtp => b"220 mail.example ESMTP\r\n",
    }
}

/// Talks until somebody is logged in, and gives their name.
async fn log_in(mut peer: Peer, protocol: Protocol, site: &Site) -> Result<(Peer, String)> {
    let mut user = String::new();
    loop {
        let line = peer.line().await?;
        let words: Vec<&str> = line.split(' ').collect();
        match (protocol, words.as_slice()) {
            (_, ["STARTTLS" | "STLS"] | ["STARTTLS", "STARTTLS"]) => {
                let consent: &[u8] = match protocol {
                    Protocol::Imap => b"STARTTLS OK go\r\n",
                    Protocol::Pop3 => b"+OK go\r\n",
                    Protocol::Smtp => b"220 go\r\n",
                };
                peer.say(Phase::StartTls, consent).await?;
                peer = peer.encrypt(&site.tls).await?;
            }
            (Protocol::Imap, [tag, "LOGIN", _]) => {
                let done = format!("{tag} OK in\r\n");
                peer.say(Phase::Login, b"+ user\r\n").await?;
                let user = peer.line().await?.split(' ').next().unwrap_or_default().to_owned();
                peer.say(Phase::Login, b"+ password\r\n").await?;
                check_password(&peer.line().await?, site);
                peer.say(Phase::Login, done.as_bytes()).await?;
                return Ok((peer, user));
            }
            (Protocol::Pop3, ["USER", name]) => {
                user = (*name).to_owned();
                peer.say(Phase::Login, b"+OK\r\n").await?;
            }
            (Protocol::Pop3, ["PASS", password]) => {
                check_password(password, site);
                peer.say(Phase::Login, b"+OK in\r\n").await?;
                return Ok((peer, user));
            }
            (Protocol::Smtp, ["EHLO" | "HELO", _]) => {
                peer.say(Phase::Login, b"250-mail.example\r\n250 STARTTLS\r\n").await?;
            }
            (Protocol::Smtp, ["AUTH", "PLAIN", message]) => {
                let message = String::from_utf8(BASE64_STANDARD.decode(message)?)?;
                let mut parts = message.split('\0').skip(1);
                let user = parts.next().context("no user")?.to_owned();
                check_password(parts.next().context("no password")?, site);
                peer.say(Phase::Login, b"235 in\r\n").await?;
                return Ok((peer, user));
            }
            _ => {
                site.tally.wrong(&format!("a {} server got {line:?}", protocol.name()));
                bail!("not of the protocol");
            }
        }
    }
}

/// The password of every client.
pub(crate) const PASSWORD: &str = "open-sesame";

fn check_password(password: &str, site: &Site) {
    if password != PASSWORD {
        site.tally.wrong(&format!("a password: {password:?}"));
    }
}

/// Takes a message and gives the next one.
async fn message(peer: &mut Peer, line: &str, user: &str, site: &Site) -> Result<()> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["X", name, up, down, message] = words.as_slice() else {
        site.tally.wrong(&format!("instead of a command: {line:?}"));
        bail!("no command");
    };
    if *name != user {
        site.tally.wrong(&format!("{name} speaks in the session of {user}"));
    }
    let (up, mut down, message): (usize, usize, u64) = (up.parse()?, down.parse()?, message.parse()?);
    let mut pattern = Pattern::new(message);
    let mut buffer = vec![0; BLOCK.min(up)];
    let mut received = 0;
    while received < up {
        let room = buffer.len().min(up - received);
        let count = peer.read(&mut buffer[..room]).await?;
        if count == 0 {
            bail!("the end in the middle of a message");
        }
        if let Err(at) = pattern.check(&buffer[..count]) {
            site.tally.wrong(&format!("byte {} of {up} to the mail server", received + at));
            bail!("wrong");
        }
        received += count;
    }
    site.tally.up(up);
    drop(buffer);
    let mut pattern = Pattern::new(message + 1);
    while down > 0 {
        let piece = pattern.take(down);
        peer.say(Phase::Relay, piece).await?;
        down -= piece.len();
    }
    Ok(())
}
