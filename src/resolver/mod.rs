//! `resolver`: the names of SMTP clients, and the addresses of mail servers, by DNS.
//!
//! A client's name is what its address points to (PTR), if that name leads back to the address (A or AAAA). Aliases are
//! followed on both ways. The name servers are asked in turn: the next one when a server fails, or takes its time, while
//! a late answer is still welcome. Truncated answers are fetched over TCP. What was found is kept as long as its
//! records say, or `valid=` says.
//!
//! Only the configured servers are asked: no hosts file, no search list, no special names.
//!
//! Known gaps: failures are not kept, and the same question asked twice at a time is sent twice.

mod answer;
mod cache;
mod exchange;
mod failure;
mod forward;
#[cfg(test)]
mod hostile;

use std::fmt;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use gatepost_proto::printable;
use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};

use crate::config;
use crate::event_loop::time;
use answer::{Answer, Data, host_name};
use cache::Cache;
pub use failure::Failure;

/// The name of a client that has none, or none that leads back to it; also where there is no `resolver`.
pub const UNAVAILABLE: &str = "[UNAVAILABLE]";

/// The name of a client that may have one, if only DNS worked; also that of a client on a Unix domain socket.
pub const TEMPUNAVAIL: &str = "[TEMPUNAVAIL]";

/// How long a server is waited for at most before the next is asked too, as in nginx.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a search for a client's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name, [`UNAVAILABLE`] or [`TEMPUNAVAIL`]: letters, digits, dots and hyphens otherwise.
    pub name: String,
    /// What there is to say about it at level `error`.
    pub complaint: Option<Complaint>,
}

/// A line for the log, in nginx's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What was being done (`while ...`).
    pub action: &'static str,
    /// The message.
    pub message: String,
}

/// A `resolver` directive at work.
#[derive(Debug)]
pub struct Resolver {
    config: config::Resolver,
    /// Whose turn it is.
    next: AtomicUsize,
    /// The names that were confirmed.
    names: Cache<IpAddr, String>,
    /// The addresses of hosts, by their names in lower case.
    addresses: Cache<String, Vec<IpAddr>>,
}

impl Resolver {
    /// A resolver that knows nothing yet.
    pub fn new(config: &config::Resolver) -> Resolver {
        let (names, addresses) = (Cache::default(), Cache::default());
        Resolver { config: config.clone(), next: AtomicUsize::new(0), names, addresses }
    }

    /// Finds the name of a client. Each of the two questions, with its aliases, takes at most `timeout`
    /// (`resolver_timeout`). It must be called in an event loop.
    pub async fn client_host(&self, ip: IpAddr, timeout: Duration) -> Host {
        let address = ip.to_canonical();
        if let Some(name) = self.names.get(&address, Instant::now()) {
            return Host { name, complaint: None };
        }
        let pointer = Query::query(rooted(Name::from(address)), RecordType::PTR);
        let (found, ttl) = match self.find(pointer, timeout).await {
            Ok((Data::Pointer(found), ttl)) => (found, ttl),
            failure => return Host::unknown("in resolving client address", &ip, failure.err()),
        };
        let Some(name) = host_name(&found) else {
            let name = found.iter().map(printable).collect::<Vec<_>>().join(".");
            let message = format!("{ip} resolved to invalid host name \"{name}\"");
            return Host::failed(TEMPUNAVAIL, "in resolving client address", message);
        };
        match self.confirm(found, address, timeout).await {
            Ok(Some(confirmed)) => {
                self.names.put(address, name.clone(), Instant::now(), self.life(ttl.min(confirmed)));
                Host { name, complaint: None }
            }
            Ok(None) => Host { name: UNAVAILABLE.to_string(), complaint: None },
            Err(failure) => Host::unknown("in resolving client hostname", &format_args!("\"{name}\""), Some(failure)),
        }
    }

    /// Whether the name leads to the address: how long that is good, seconds. Only records of the address's family are
    /// asked for, since no other can be the address.
    async fn confirm(&self, name: Name, address: IpAddr, timeout: Duration) -> Result<Option<u32>, Failure> {
        let (kind, allowed) = match address {
            IpAddr::V4(_) => (RecordType::A, self.config.ipv4),
            IpAddr::V6(_) => (RecordType::AAAA, self.config.ipv6),
        };
        if !allowed {
            return Ok(None);
        }
        match self.find(Query::query(name, kind), timeout).await? {
            (Data::Addresses(addresses), ttl) => Ok(addresses.contains(&address).then_some(ttl)),
            (Data::Pointer(_), _) => Err(Failure::Format),
        }
    }

    /// How long an answer is kept whose records are good for so many seconds.
    fn life(&self, ttl: u32) -> Duration {
        self.config.valid.unwrap_or(Duration::from_secs(ttl.into()))
    }

    /// Finds the answer to a question, through aliases, and how long it is good, seconds.
    async fn find(&self, query: Query, timeout: Duration) -> Result<(Data, u32), Failure> {
        let turns = 2 * self.config.servers.len();
        let patience = PATIENCE.min(timeout / u32::try_from(turns).unwrap_or(u32::MAX).max(1));
        time::timeout(timeout, self.follow(query, patience)).await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn follow(&self, mut query: Query, patience: Duration) -> Result<(Data, u32), Failure> {
        let mut shortest = u32::MAX;
        for _ in 0..=answer::MAX_ALIASES {
            let (answer, ttl) = self.ask(&query, patience).await?;
            shortest = shortest.min(ttl);
            match answer {
                Answer::Found(data) => return Ok((data, shortest)),
                Answer::Alias(name) => query.name = name,
            }
        }
        Err(Failure::Format)
    }

    /// Asks the servers in turn, twice if need be, until one answers.
    async fn ask(&self, query: &Query, patience: Duration) -> Result<(Answer, u32), Failure> {
        let mut attempts = Attempts::default();
        let mut failure = Failure::TimedOut;
        for (turn, server) in self.turns().enumerate() {
            // Servers that answered, but all of them badly, would do so again.
            if turn == self.config.servers.len() && !failure.is_silence() {
                break;
            }
            attempts.0.push(Box::pin(attempt(server, query.clone())));
            match time::timeout(patience, attempts.next()).await {
                Ok(Some(Ok(answer))) => return Ok(answer),
                Ok(Some(Err(Failure::NotFound))) => return Err(Failure::NotFound),
                Ok(Some(Err(other))) => failure = failure.or(other),
                Ok(None) | Err(_) => {}
            }
        }
        while let Some(result) = attempts.next().await {
            match result {
                Ok(answer) => return Ok(answer),
                Err(Failure::NotFound) => return Err(Failure::NotFound),
                Err(other) => failure = failure.or(other),
            }
        }
        Err(failure)
    }

    /// Every server twice, each time beginning with the next.
    fn turns(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let servers = &self.config.servers;
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        (0..2 * servers.len()).map(move |turn| servers[first.wrapping_add(turn) % servers.len()])
    }
}

/// Questions under way.
#[derive(Default)]
struct Attempts(Vec<Pin<Box<dyn Future<Output = Outcome>>>>);

type Outcome = Result<(Answer, u32), Failure>;

impl Attempts {
    /// What the next that ends comes to; none when none is left.
    async fn next(&mut self) -> Option<Outcome> {
        poll_fn(|cx| {
            for index in 0..self.0.len() {
                if let Poll::Ready(outcome) = self.0[index].as_mut().poll(cx) {
                    drop(self.0.swap_remove(index));
                    return Poll::Ready(Some(outcome));
                }
            }
            if self.0.is_empty() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

async fn attempt(server: SocketAddr, query: Query) -> Outcome {
    answer::read(&exchange::exchange(server, &query).await?, &query)
}

impl Host {
    fn unknown(action: &'static str, what: &dyn fmt::Display, failure: Option<Failure>) -> Host {
        let failure = failure.unwrap_or(Failure::Format);
        let name = if failure == Failure::NotFound { UNAVAILABLE } else { TEMPUNAVAIL };
        Host::failed(name, action, format!("{what} could not be resolved ({failure})"))
    }

    fn failed(name: &str, action: &'static str, message: String) -> Host {
        Host { name: name.to_string(), complaint: Some(Complaint { action, message }) }
    }
}

fn rooted(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

#[cfg(test)]
mod tests;
