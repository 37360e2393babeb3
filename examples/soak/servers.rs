//! The authentication server and the mail servers, in front of which Gatepost stands.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use openssl::ssl::{SslContext, SslFiletype, SslMethod};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::tally::Tally;
use crate::tls::Files;
use crate::weather::{Fault, Phase, Plan, Weather, Who};
use crate::wire::Protocol;
use crate::{auth, mail};

/// How many mail servers of each protocol have no plan, so that connections to them do not run out of ports.
const SOUND: usize = 8;

/// What a mail server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) protocol: Protocol,
    /// Whether TLS begins with the first byte behind the PROXY protocol header.
    pub(crate) tls: bool,
    /// What is wrong with it.
    pub(crate) plan: Option<Plan>,
}

impl Kind {
    fn all() -> impl Iterator<Item = Kind> {
        let plans = Plan::all().into_iter().map(Some).chain([None; SOUND]);
        let each = |plan| {
            Protocol::ALL.into_iter().flat_map(move |protocol| [false, true].map(|tls| Kind { protocol, tls, plan }))
        };
        plans.flat_map(each)
    }
}

/// All servers. They run as long as the runtime.
pub(crate) struct Servers {
    pub(crate) weather: Arc<Weather>,
    /// An authentication server.
    pub(crate) auth: SocketAddr,
    /// One that is not there.
    pub(crate) refusing: SocketAddr,
    /// One that takes no connections, and refuses none.
    pub(crate) hanging: SocketAddr,
    /// So that nobody else is given the port that refuses.
    _nobody: TcpSocket,
}

/// What the servers have in common.
pub(crate) struct Site {
    pub(crate) weather: Arc<Weather>,
    pub(crate) tally: Arc<Tally>,
    /// TLS of the mail servers.
    pub(crate) tls: SslContext,
    places: Vec<(Kind, SocketAddr)>,
    turn: AtomicUsize,
}

impl Site {
    /// The mail server for a session.
    pub(crate) fn find(&self, wanted: Kind) -> Option<SocketAddr> {
        let fitting: Vec<_> = self.places.iter().filter(|(kind, _)| *kind == wanted).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % fitting.len().max(1);
        fitting.get(turn).map(|place| place.1)
    }
}

/// Listens on a loopback address of this process, where nobody else's connections take a port meanwhile.
fn bind(port: u16, backlog: u32) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((own_address(), port).into())?;
    Ok(socket.listen(backlog)?)
}

/// A port where nobody listens, as long as the socket is there.
fn nobody() -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // It shares the port with nobody.
    socket.set_reuseaddr(false)?;
    socket.bind((own_address(), 0).into())?;
    Ok(socket)
}

fn own_address() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 96 | (high & 31), low, 1)
}

impl Servers {
    /// Starts them. The mail servers do TLS with that certificate.
    pub(crate) async fn start(files: &Files, tally: &Arc<Tally>) -> Result<Servers> {
        let weather = Arc::new(Weather::new());
        let nobody = nobody()?;
        let refusing = nobody.local_addr()?;
        let hanging = hanging().await?;
        let mut places = Vec::new();
        let mut listeners = Vec::new();
        for kind in Kind::all() {
            let at = match kind.plan {
                Some(Plan { phase: Phase::Connect, fault: Fault::Stop }) => refusing,
                Some(Plan { phase: Phase::Connect, .. }) => hanging,
                _ => {
                    let listener = bind(0, 1024)?;
                    let at = listener.local_addr()?;
                    listeners.push((kind, listener));
                    at
                }
            };
            places.push((kind, at));
        }
        let mut tls = SslContext::builder(SslMethod::tls_server())?;
        tls.set_certificate_file(&files.certificate, SslFiletype::PEM)?;
        tls.set_private_key_file(&files.key, SslFiletype::PEM)?;
        tls.set_session_id_context(b"soak")?;
        let site = Arc::new(Site {
            weather: weather.clone(),
            tally: tally.clone(),
            tls: tls.build(),
            places,
            turn: AtomicUsize::new(0),
        });
        for (kind, listener) in listeners {
            let site = site.clone();
            let serve = move |stream| mail::serve(stream, kind, site.clone());
            tokio::spawn(listen(listener, weather.clone(), Who::Mail, serve));
        }
        let listener = bind(0, 1024)?;
        let auth = listener.local_addr()?;
        let serve = move |stream| auth::serve(stream, site.clone());
        tokio::spawn(listen(listener, weather.clone(), Who::Auth, serve));
        Ok(Servers { weather, auth, refusing, hanging, _nobody: nobody })
    }
}

/// Serves every connection, each in a task of its own. While servers are stopped nobody listens, and connections that
/// there are end with a reset.
async fn listen<F>(mut listener: TcpListener, weather: Arc<Weather>, who: Who, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let stopped = |fault| fault == Some(Fault::Stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                if stream.set_nodelay(true).is_ok() {
                    tokio::spawn(serve(stream));
                }
            }
            () = weather.until(who, stopped) => {
                let port = listener.local_addr().map(|at| at.port()).unwrap_or_default();
                drop(listener);
                weather.until(who, |fault| !stopped(fault)).await;
                listener = bind(port, 1024).expect("the port is ours");
            }
        }
    }
}

/// A listener whose queue is full: connections to it are neither taken nor refused.
async fn hanging() -> Result<SocketAddr> {
    let listener = bind(0, 0)?;
    let at = listener.local_addr()?;
    let mut queued = Vec::new();
    while let Ok(connected) = tokio::time::timeout(std::time::Duration::from_millis(200), TcpStream::connect(at)).await
    {
        queued.push(connected?);
    }
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop((listener, queued));
    });
    Ok(at)
}

/// How a mail server is reached: `Auth-SSL-Upstream`.
pub(crate) const UPSTREAM: [&str; 3] = ["off", "on", "starttls"];

/// What a login name says: what is to go wrong, and how the mail server is to be reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    pub(crate) plan: Option<Plan>,
    /// One of [`UPSTREAM`].
    pub(crate) upstream: &'static str,
}

impl Name {
    /// As text that is different for each number.
    pub(crate) fn of(&self, number: u64) -> String {
        let all = Plan::all();
        let plan = self.plan.and_then(|plan| all.iter().position(|other| *other == plan));
        format!("u{number}.{}.{}", plan.map_or("ok".to_owned(), |index| index.to_string()), self.upstream)
    }

    pub(crate) fn parse(text: &str) -> Result<Name> {
        let mut parts = text.split('.').skip(1);
        let plan = parts.next().context("no plan")?;
        let plan = if plan == "ok" { None } else { Plan::all().get(plan.parse::<usize>()?).copied() };
        let upstream = parts.next().context("no upstream")?;
        let upstream = UPSTREAM.into_iter().find(|known| *known == upstream).context("a strange upstream")?;
        Ok(Name { plan, upstream })
    }
}
