//! What stands behind the proxies: an authentication server that takes everybody, and mail servers that do the least.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::lines::Lines;
use crate::wire::Protocol;

/// How many addresses the mail servers have, so that connections to them do not run out of ports.
const ADDRESSES: u8 = 8;
/// How long the sessions of a measurement may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The servers. They run as long as the runtime.
pub(crate) struct Servers {
    pub(crate) auth: SocketAddr,
    sessions: Sessions,
    /// How many sessions are there to stay.
    staying: AtomicUsize,
}

impl Servers {
    /// Starts them, on loopback addresses.
    pub(crate) async fn start() -> Result<Servers> {
        let sessions = Sessions::default();
        let mut places = Vec::new();
        for protocol in Protocol::ALL {
            for last in 1..=ADDRESSES {
                let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 2, last), 0)).await?;
                places.push((protocol, listener.local_addr()?));
                let sessions = sessions.clone();
                tokio::spawn(accept(listener, move |stream| mail(protocol, stream, sessions.clone())));
            }
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let auth = listener.local_addr()?;
        let directory = Arc::new(Directory { places, next: AtomicUsize::new(0) });
        tokio::spawn(accept(listener, move |stream| authenticate(stream, directory.clone())));
        Ok(Servers { auth, sessions, staying: AtomicUsize::new(0) })
    }

    /// From here on that many sessions are there to stay: [`Servers::idle`] waits for the others only.
    pub(crate) fn ignore(&self, sessions: usize) {
        self.staying.store(sessions, Ordering::Relaxed);
    }

    /// Waits until no session is left at the mail servers.
    pub(crate) async fn idle(&self) -> Result<()> {
        let staying = self.staying.load(Ordering::Relaxed);
        let mut count = self.sessions.0.subscribe();
        let idle = timeout(PATIENCE, count.wait_for(|count| *count <= staying)).await;
        idle.context("sessions do not end")?.map(drop).context("the count is gone")
    }
}

/// Counts the sessions at the mail servers.
#[derive(Clone, Default)]
struct Sessions(Arc<watch::Sender<usize>>);

impl Sessions {
    fn enter(&self) -> Entered {
        self.0.send_modify(|count| *count += 1);
        Entered(self.clone())
    }
}

struct Entered(Sessions);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// Serves every connection, each in a task of its own. A connection that breaks is the client's to notice.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        if stream.set_nodelay(true).is_ok() {
            tokio::spawn(serve(stream));
        }
    }
}

/// Where the mail servers are.
struct Directory {
    places: Vec<(Protocol, SocketAddr)>,
    next: AtomicUsize,
}

impl Directory {
    /// Each of the servers of a protocol in turn.
    fn find(&self, protocol: &str) -> Option<SocketAddr> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % usize::from(ADDRESSES);
        let fitting = |(known, _): &&(Protocol, SocketAddr)| known.name() == protocol;
        self.places.iter().filter(fitting).nth(turn).map(|&(_, place)| place)
    }
}

/// HTTP/1.0. The connection is kept for a client that asks for it, as any web server does.
async fn authenticate(stream: TcpStream, directory: Arc<Directory>) -> Result<()> {
    let mut lines = Lines::new(stream);
    let (mut protocol, mut keep) = (String::new(), false);
    while let Some(line) = lines.next().await? {
        if let Some(name) = line.strip_prefix("Auth-Protocol: ") {
            protocol = name.to_string();
        }
        keep |= line == "Connection: keep-alive";
        if !line.is_empty() {
            continue;
        }
        let place = directory.find(&protocol).context("no such protocol")?;
        lines.send(answer(place, keep).as_bytes()).await?;
        if !keep {
            return Ok(());
        }
        keep = false;
    }
    Ok(())
}

fn answer(place: SocketAddr, keep: bool) -> String {
    let connection = if keep { "keep-alive" } else { "close" };
    let (ip, port): (IpAddr, u16) = (place.ip(), place.port());
    format!(
        "HTTP/1.0 200 OK\r\nConnection: {connection}\r\nContent-Length: 0\r\n\
         Auth-Status: OK\r\nAuth-Server: {ip}\r\nAuth-Port: {port}\r\n\r\n"
    )
}

async fn mail(protocol: Protocol, stream: TcpStream, sessions: Sessions) -> Result<()> {
    let _entered = sessions.enter();
    let mut lines = Lines::new(stream);
    match protocol {
        Protocol::Imap => imap(&mut lines).await,
        Protocol::Pop3 => pop3(&mut lines).await,
        Protocol::Smtp => smtp(&mut lines).await,
    }
}

async fn pop3(lines: &mut Lines<TcpStream>) -> Result<()> {
    lines.send(b"+OK ready\r\n").await?;
    while lines.next().await?.is_some() {
        lines.send(b"+OK\r\n").await?;
    }
    Ok(())
}

async fn smtp(lines: &mut Lines<TcpStream>) -> Result<()> {
    lines.send(b"220 mail.example ESMTP\r\n").await?;
    while let Some(line) = lines.next().await? {
        let reply: &[u8] = match line.split(' ').next() {
            Some("EHLO") => b"250-mail.example\r\n250-PIPELINING\r\n250 XCLIENT ADDR NAME LOGIN\r\n",
            Some("XCLIENT") => b"220 mail.example ESMTP\r\n",
            _ => b"250 2.0.0 OK\r\n",
        };
        lines.send(reply).await?;
    }
    Ok(())
}

/// IMAP, of which it knows literals, any command that is to be answered with OK, and two of its own: `DOWN n` and `UP n`
/// send and take n bytes of no meaning before the answer.
async fn imap(lines: &mut Lines<TcpStream>) -> Result<()> {
    lines.send(b"* OK ready\r\n").await?;
    let mut tag = None;
    while let Some(line) = lines.next().await? {
        let mut words = line.split(' ');
        let first = tag.take().unwrap_or_else(|| words.next().unwrap_or_default().to_string());
        if line.ends_with('}') {
            tag = Some(first);
            lines.send(b"+ OK\r\n").await?;
            continue;
        }
        let length = |words: &mut std::str::Split<'_, char>| words.next().and_then(|word| word.parse().ok());
        match words.next() {
            Some("DOWN") => lines.send_block(length(&mut words).context("how many?")?).await?,
            Some("UP") => lines.skip(length(&mut words).context("how many?")?).await?,
            _ => {}
        }
        lines.send(format!("{first} OK done\r\n").as_bytes()).await?;
    }
    Ok(())
}
