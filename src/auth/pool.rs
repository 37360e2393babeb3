//! Connections to authentication servers that wait for another request.
//!
//! A connection is used again only by the thread that opened it, since its socket is registered there. At most
//! [`MAX_IDLE`] wait for each server and thread, none longer than [`MAX_IDLE_TIME`].
//!
//! An idle connection must not stand in the way: an authentication server may well be a script that serves one
//! connection at a time, and looks at the next when the first is closed. So while an answer on a new connection takes
//! long, no connection to that server is kept ([`Pool::make_way`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::addr::Address;
use crate::event_loop::{
    self,
    time::{now, sleep_until},
};

/// Idle connections for each server and thread. With fewer than there are logins under way, connections would be opened
/// and closed all the time.
const MAX_IDLE: usize = 128;

/// How long a connection may be idle.
const MAX_IDLE_TIME: Duration = Duration::from_secs(60);

/// The idle connections of all threads to all servers.
#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// They are few.
    sites: Vec<Site>,
    /// The threads on which a [`Reaper`] looks after theirs. They are few.
    reaped: Vec<ThreadId>,
}

/// One server.
#[derive(Debug)]
struct Site {
    address: Address,
    idle: Vec<Idle>,
    /// How many new connections wait long for their answer.
    waiting: usize,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    /// What is still to come of the last response's body.
    body: u64,
    thread: ThreadId,
    since: Instant,
}

impl State {
    fn site(&mut self, address: &Address) -> Option<&mut Site> {
        self.sites.iter_mut().find(|site| site.address == *address)
    }

    fn site_or_new(&mut self, address: &Address) -> &mut Site {
        let known = self.sites.iter().position(|site| site.address == *address);
        let index = known.unwrap_or_else(|| {
            self.sites.push(Site { address: address.clone(), idle: Vec::new(), waiting: 0 });
            self.sites.len() - 1
        });
        &mut self.sites[index]
    }
}

impl Pool {
    /// A connection that waits on this thread, the one that was used last. It may have been closed by now.
    pub(super) fn take(&self, address: &Address) -> Option<Connection> {
        let thread = thread::current().id();
        let mut state = self.state();
        let idle = &mut state.site(address)?.idle;
        while let Some(index) = idle.iter().rposition(|idle| idle.thread == thread) {
            if let Some(connection) = idle.remove(index).connection() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last response has `body` bytes to come.
    pub(super) fn put(self: &Arc<Pool>, address: &Address, connection: Connection, body: u64) {
        let thread = thread::current().id();
        let mut state = self.state();
        let site = state.site_or_new(address);
        if site.waiting > 0 || site.idle.iter().filter(|idle| idle.thread == thread).count() >= MAX_IDLE {
            return;
        }
        site.idle.push(Idle { connection, body, thread, since: now() });
        if !state.reaped.contains(&thread) {
            state.reaped.push(thread);
            let reaper = Reaper { pool: Arc::downgrade(self), thread };
            event_loop::spawn(reaper.run());
        }
    }

    /// Closes all idle connections to a server, and keeps none until the guard is dropped.
    pub(super) fn make_way<'a>(&'a self, address: &'a Address) -> Waiting<'a> {
        let mut state = self.state();
        let site = state.site_or_new(address);
        site.waiting += 1;
        site.idle.clear();
        Waiting { pool: self, address }
    }

    /// Closes what has been idle on a thread for so long. Gives since when the one has been that is the oldest of the rest.
    fn prune(&self, thread: ThreadId, time: Duration) -> Option<Instant> {
        let now = now();
        let mut state = self.state();
        for site in &mut state.sites {
            site.idle.retain(|idle| idle.thread != thread || idle.since + time > now);
        }
        state.sites.retain(|site| site.waiting > 0 || !site.idle.is_empty());
        let idle = state.sites.iter().flat_map(|site| &site.idle);
        idle.filter(|idle| idle.thread == thread).map(|idle| idle.since).min()
    }

    /// Nothing can panic halfway through a change, so a poisoned lock is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the idle connections of a thread in time, and all of them when the thread ends.
struct Reaper {
    pool: Weak<Pool>,
    thread: ThreadId,
}

impl Reaper {
    /// Ends when there are none.
    async fn run(self) {
        let mut next = now() + MAX_IDLE_TIME;
        loop {
            sleep_until(next).await;
            match self.pool.upgrade().and_then(|pool| pool.prune(self.thread, MAX_IDLE_TIME)) {
                Some(oldest) => next = oldest + MAX_IDLE_TIME,
                None => return,
            }
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.prune(self.thread, Duration::ZERO);
            pool.state().reaped.retain(|thread| *thread != self.thread);
        }
    }
}

impl Idle {
    /// The connection, if it is open, idle and between two responses.
    fn connection(mut self) -> Option<Connection> {
        loop {
            // Then it cannot be known.
            if event_loop::turn_is_over() {
                return None;
            }
            match self.connection.drop_input() {
                None => return (self.body == 0).then_some(self.connection),
                Some(Ok(count @ 1..)) => self.body = self.body.checked_sub(count as u64)?,
                Some(Ok(0) | Err(_)) => return None,
            }
        }
    }
}

/// Somebody waits long for the answer on a new connection.
pub(super) struct Waiting<'a> {
    pool: &'a Pool,
    address: &'a Address,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(site) = self.pool.state().site(self.address) {
            site.waiting -= 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::event_loop::testing::{self, Listener};
    use crate::event_loop::time::sleep;
    use crate::stream::Socket;

    struct Fixture {
        pool: Arc<Pool>,
        listener: Listener,
        address: Address,
    }

    impl Fixture {
        fn new() -> Fixture {
            let listener = Listener::new();
            let address = listener.address();
            Fixture { pool: Arc::default(), listener, address }
        }

        async fn connect(&self) -> (Connection, Socket) {
            let connection = Connection::open(&self.address).await.unwrap();
            (connection, self.listener.accept().await)
        }

        fn count(&self) -> usize {
            self.pool.state().sites.iter().map(|site| site.idle.len()).sum()
        }
    }

    #[test]
    fn the_rest_of_a_body_is_skipped() {
        testing::run(|| async {
            let fixture = Fixture::new();
            for (sent, body, usable) in [("ok", 2, true), ("o", 2, false), ("ok!", 2, false), ("o", 0, false)] {
                let (connection, mut peer) = fixture.connect().await;
                peer.write_all(sent.as_bytes()).await.unwrap();
                connection.readable().await;
                fixture.pool.put(&fixture.address, connection, body);
                assert_eq!(fixture.pool.take(&fixture.address).is_some(), usable, "{sent} {body}");
            }
        });
    }

    #[test]
    fn of_many_that_were_closed_none_is_given_out() {
        testing::run(|| async {
            let fixture = Fixture::new();
            for number in 0..MAX_IDLE {
                let (connection, mut peer) = fixture.connect().await;
                peer.write_all(b"HTTP/1.0 408 Request Time-out\r\n\r\n").await.unwrap();
                connection.readable().await;
                fixture.pool.put(&fixture.address, connection, 0);
                assert_eq!(fixture.count(), number + 1);
            }
            assert!(fixture.pool.take(&fixture.address).is_none());
        });
    }

    #[test]
    fn closed_connections_are_not_given_out() {
        testing::run(|| async {
            let fixture = Fixture::new();
            let (connection, peer) = fixture.connect().await;
            drop(peer);
            connection.readable().await;
            fixture.pool.put(&fixture.address, connection, 0);
            assert!(fixture.pool.take(&fixture.address).is_none());
        });
    }

    #[test]
    fn other_threads_have_their_own() {
        testing::run(|| async {
            let fixture = Fixture::new();
            let (connection, _peer) = fixture.connect().await;
            fixture.pool.put(&fixture.address, connection, 0);
            let taken = thread::scope(|scope| scope.spawn(|| fixture.pool.take(&fixture.address).is_some()).join());
            assert!(!taken.unwrap());
            assert!(fixture.pool.take(&fixture.address).is_some());
        });
    }

    #[test]
    fn a_thread_that_ends_leaves_none_behind() {
        let pool = Arc::<Pool>::default();
        let of_thread = pool.clone();
        testing::run(|| async {
            let fixture = Fixture { pool: of_thread, ..Fixture::new() };
            let (connection, _peer) = fixture.connect().await;
            fixture.pool.put(&fixture.address, connection, 0);
            assert_eq!(fixture.count(), 1);
        });
        assert!(pool.state().sites.is_empty() && pool.state().reaped.is_empty());
    }

    #[test]
    fn each_thread_looks_after_its_own() {
        testing::run_paused(|| async {
            let fixture = Fixture::new();
            let (connection, _peer) = fixture.connect().await;
            fixture.pool.put(&fixture.address, connection, 0);
            let elsewhere = thread::scope(|scope| scope.spawn(|| thread::current().id()).join().unwrap());
            fixture.pool.state().sites[0].idle[0].thread = elsewhere;
            sleep(2 * MAX_IDLE_TIME).await;
            assert_eq!(fixture.count(), 1);
            let (connection, _peer) = fixture.connect().await;
            fixture.pool.put(&fixture.address, connection, 0);
            sleep(2 * MAX_IDLE_TIME).await;
            assert_eq!(fixture.count(), 1);
        });
    }

    #[test]
    fn no_more_than_a_few_are_kept() {
        testing::run(|| async {
            let fixture = Fixture::new();
            let mut peers = Vec::new();
            for _ in 0..MAX_IDLE + 3 {
                let (connection, peer) = fixture.connect().await;
                fixture.pool.put(&fixture.address, connection, 0);
                peers.push(peer);
            }
            assert_eq!(fixture.count(), MAX_IDLE);
        });
    }

    #[test]
    fn none_is_kept_while_somebody_waits() {
        testing::run(|| async {
            let fixture = Fixture::new();
            let (connection, _first) = fixture.connect().await;
            fixture.pool.put(&fixture.address, connection, 0);
            let waiting = fixture.pool.make_way(&fixture.address);
            assert_eq!(fixture.count(), 0);
            let (connection, _second) = fixture.connect().await;
            fixture.pool.put(&fixture.address, connection, 0);
            assert_eq!(fixture.count(), 0);
            drop(waiting);
            let (connection, _third) = fixture.connect().await;
            fixture.pool.put(&fixture.address, connection, 0);
            assert_eq!(fixture.count(), 1);
        });
    }

    #[test]
    fn idle_connections_are_closed_in_time() {
        testing::run_paused(|| async {
            let fixture = Fixture::new();
            for _ in 0..2 {
                let (connection, _peer) = fixture.connect().await;
                fixture.pool.put(&fixture.address, connection, 0);
                sleep(MAX_IDLE_TIME / 2).await;
            }
            sleep(Duration::from_secs(1)).await;
            assert_eq!(fixture.count(), 1);
            sleep(MAX_IDLE_TIME / 2).await;
            assert_eq!(fixture.count(), 0);
            assert!(fixture.pool.state().reaped.is_empty());
        });
    }
}
