//! Accepting connections, and giving each to a thread.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{SocketAddrAny, SocketFlags};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::addr::Address;
use crate::event_loop::time::{now, sleep};
use crate::event_loop::{self, Interest, Source, race};
use crate::life::{Life, Notice};
use crate::log::{Errno, Level};
use crate::memory::Tide;
use crate::service::Door;
use crate::session;
use crate::zones::Places;

/// How long nothing is accepted after the system ran out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(500);

/// After how long without such a shortage the next one is told of.
const CALM: Duration = Duration::from_secs(60);

/// When half of so many connections have gone, to clients and to mail servers, memory is given back.
const MANY: usize = 500;

/// The same for connections that have not logged in yet, each of which takes several times as much memory.
const MANY_NEWCOMERS: usize = 8;

/// But at least one for so many connections: the more memory is in use, the longer it takes to look for what is not.
const CONNECTIONS_A_NEWCOMER: usize = 256;

/// A connection nobody has looked at yet.
pub struct Accepted {
    /// The socket.
    pub socket: OwnedFd,
    /// Who is at its other end.
    pub peer: Address,
    /// By which `listen` it came.
    pub door: Arc<Door>,
    /// Its number, as the log has it (`*1`).
    pub number: u64,
    /// When it was accepted.
    pub since: Instant,
    /// Its place among the connections.
    pub permit: Permit,
    /// What it is given when it is to make room for another: maybe before anybody has looked at it.
    pub newcomer: Arc<Notice>,
}

/// A place among the connections that `worker_connections` allows. It is given back when dropped.
pub struct Permit {
    crowd: Arc<Crowd>,
    thread: Arc<AtomicUsize>,
    generation: Arc<Life>,
    number: u64,
    held: usize,
    /// Where it is counted besides (`limit_conn`).
    pub places: Places,
}

/// All connections, to clients and to mail servers.
struct Crowd {
    count: AtomicUsize,
    limit: AtomicUsize,
    tide: Tide,
    /// Those who have not logged in yet, by their numbers, the oldest first.
    newcomers: Mutex<BTreeMap<u64, Arc<Notice>>>,
    tide_of_newcomers: Tide,
}

impl Crowd {
    /// Takes a place for one connection more. Where there is none, the oldest session that has not logged in makes room,
    /// other than `own`. Tells whether there is a place.
    fn take_one_more(&self, own: u64) -> bool {
        let taken = self.count.fetch_add(1, Ordering::Relaxed);
        self.tide.rose_to(taken + 1);
        taken < self.limit.load(Ordering::Relaxed) || self.send_oldest_away(own)
    }

    /// Adds a connection to those who have not logged in. Gives what it hears by if it has to make room.
    fn register(&self, number: u64) -> Arc<Notice> {
        let newcomer = Arc::<Notice>::default();
        let mut newcomers = self.newcomers();
        newcomers.insert(number, newcomer.clone());
        self.tide_of_newcomers.rose_to(newcomers.len());
        newcomer
    }

    /// Removes a connection from them. Tells whether it was there: it is not if it has been sent away.
    fn settle(&self, number: u64) -> bool {
        let mut newcomers = self.newcomers();
        let was_there = newcomers.remove(&number).is_some();
        if was_there {
            let many = self.count.load(Ordering::Relaxed) / CONNECTIONS_A_NEWCOMER;
            self.tide_of_newcomers.fell_to(newcomers.len(), many.max(MANY_NEWCOMERS));
        }
        was_there
    }

    fn send_oldest_away(&self, but: u64) -> bool {
        let mut newcomers = self.newcomers();
        let Some(oldest) = newcomers.keys().copied().find(|number| *number != but) else { return false };
        if let Some(newcomer) = newcomers.remove(&oldest) {
            newcomer.give();
        }
        true
    }

    fn newcomers(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Notice>>> {
        self.newcomers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// What the log says when there is no place.
    pub const EXHAUSTED: &str = "worker_connections are not enough";

    /// Takes a place for one connection more. Tells whether there was one.
    pub fn take_one_more(&mut self) -> bool {
        self.held += 1;
        self.crowd.take_one_more(self.number)
    }

    /// What ends when the time of the configuration ends by which the session came (`worker_shutdown_timeout`).
    pub fn generation(&self) -> &Arc<Life> {
        &self.generation
    }

    /// The session has logged in: it makes no room any more. Tells whether that was in time: it has not been sent away.
    pub fn settle(&self) -> bool {
        self.crowd.settle(self.number)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle();
        let before = self.crowd.count.fetch_sub(self.held, Ordering::Relaxed);
        self.crowd.tide.fell_to(before - self.held, MANY);
        self.thread.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a session must end before its login has.
pub struct Leave {
    generation: Arc<Life>,
    newcomer: Arc<Notice>,
}

impl Leave {
    /// What the log says of a session that is to make room.
    pub const FOR_ANOTHER: &str = "closed to make room for another connection";

    /// For the session of this connection.
    pub fn of(accepted: &Accepted) -> Leave {
        Leave { generation: accepted.permit.generation.clone(), newcomer: accepted.newcomer.clone() }
    }

    /// Waits for it, and gives the log's message.
    pub async fn reason(&self) -> &'static str {
        match race(self.generation.over(), self.newcomer.given()).await {
            Ok(()) => "shutdown timeout",
            Err(()) => Leave::FOR_ANOTHER,
        }
    }
}

/// Gives connections to threads: to the one with the fewest.
pub struct Dispatcher {
    crowd: Arc<Crowd>,
    threads: Mutex<Vec<Thread>>,
    next_number: AtomicU64,
    /// The second in which it was last told that there are too many connections.
    told: AtomicU64,
    started: Instant,
}

struct Thread {
    sessions: Arc<AtomicUsize>,
    /// None for the thread that accepts. What waits in it holds permits, so it is no longer than `worker_connections`.
    queue: Option<UnboundedSender<Accepted>>,
}

impl Dispatcher {
    /// For the thread that accepts alone. `limit` is the number of connections.
    pub fn new(limit: usize) -> Dispatcher {
        let tide = Tide::default();
        let crowd = Crowd {
            count: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            tide_of_newcomers: tide.beside(),
            tide,
            newcomers: Mutex::default(),
        };
        Dispatcher {
            crowd: Arc::new(crowd),
            threads: Mutex::new(vec![Thread { sessions: Arc::default(), queue: None }]),
            next_number: AtomicU64::new(1),
            told: AtomicU64::new(u64::MAX),
            started: Instant::now(),
        }
    }

    /// From now on there may be so many connections.
    pub fn set_limit(&self, limit: usize) {
        self.crowd.limit.store(limit, Ordering::Relaxed);
    }

    /// From now on there are so many threads, of which the first accepts. New ones get what they are to serve through the
    /// receivers. One that is left out ends with its last session. One whose receiver was dropped counts as not there.
    pub fn set_threads(&self, count: usize) -> Vec<Queue> {
        let mut threads = self.threads();
        threads.truncate(count);
        let mut receivers = Vec::new();
        while threads.len() < count {
            let (sender, receiver) = unbounded_channel();
            let sessions = Arc::<AtomicUsize>::default();
            threads.push(Thread { sessions: sessions.clone(), queue: Some(sender) });
            receivers.push(Queue { receiver, sessions, crowd: self.crowd.clone() });
        }
        receivers
    }

    /// Those that live: a thread may not have begun, for want of descriptors.
    fn threads(&self) -> MutexGuard<'_, Vec<Thread>> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.queue.as_ref().is_none_or(|queue| !queue.is_closed()));
        threads
    }

    /// Gives the memory of the calling thread back when many sessions or logins have ended, for ever.
    pub fn give_memory_back(&self) -> impl Future<Output = ()> + Send + use<> {
        self.crowd.tide.follow()
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.crowd.count.load(Ordering::Relaxed)
    }

    fn dispatch(&self, socket: OwnedFd, peer: Address, behind: &Behind) {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let door = find_door(&socket, &behind.doors).clone();
        let threads = self.threads();
        let thread = threads
            .iter()
            .min_by_key(|thread| thread.sessions.load(Ordering::Relaxed))
            .expect("there is at least the thread that accepts");
        thread.sessions.fetch_add(1, Ordering::Relaxed);
        let mut permit = Permit {
            crowd: self.crowd.clone(),
            thread: thread.sessions.clone(),
            generation: behind.generation.clone(),
            number,
            held: 0,
            places: Places::default(),
        };
        if self.connections() >= self.crowd.limit.load(Ordering::Relaxed) {
            self.tell_of_crowd(&door, number);
        }
        if !permit.take_one_more() {
            return;
        }
        let newcomer = self.crowd.register(number);
        let since = now();
        let accepted = Accepted { socket, peer, door, number, since, permit, newcomer };
        match &thread.queue {
            None => drop(event_loop::spawn(session::run(accepted))),
            // It was there a moment ago; one that is gone now is on its way out with the whole process.
            Some(queue) => drop(queue.send(accepted)),
        }
    }

    /// Logs that there are too many connections, once a second at most.
    fn tell_of_crowd(&self, door: &Door, number: u64) {
        let second = self.started.elapsed().as_secs();
        if self.told.swap(second, Ordering::Relaxed) != second {
            let limit = self.crowd.limit.load(Ordering::Relaxed);
            door.log().write(Level::Alert, Some(number), format_args!("{limit} {}", Permit::EXHAUSTED));
        }
    }
}

/// What a thread is to serve.
pub struct Queue {
    receiver: UnboundedReceiver<Accepted>,
    sessions: Arc<AtomicUsize>,
    crowd: Arc<Crowd>,
}

/// Serves what a dispatcher gives this thread, until it gives no more and the last session has ended.
pub async fn serve(mut queue: Queue) {
    event_loop::spawn(queue.crowd.tide.follow());
    while let Some(accepted) = queue.receiver.recv().await {
        event_loop::spawn(session::run(accepted));
    }
    while queue.sessions.load(Ordering::Relaxed) > 0 {
        sleep(PAUSE).await;
    }
}

/// What is behind a listening socket, which a new configuration exchanges.
#[derive(Clone)]
pub struct Gate(Arc<Mutex<Arc<Behind>>>);

/// Doors, and the configuration that they belong to.
struct Behind {
    /// At least one: the last is for every local address that no other names.
    doors: Vec<Arc<Door>>,
    generation: Arc<Life>,
}

impl Gate {
    /// A gate with these doors.
    pub fn new(doors: Vec<Arc<Door>>, generation: &Arc<Life>) -> Gate {
        Gate(Arc::new(Mutex::new(Arc::new(Behind { doors, generation: generation.clone() }))))
    }

    /// From now on connections come by these.
    pub fn exchange(&self, doors: Vec<Arc<Door>>, generation: &Arc<Life>) {
        let behind = Arc::new(Behind { doors, generation: generation.clone() });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = behind;
    }

    fn behind(&self) -> Arc<Behind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, level: Level, error: &io::Error) {
        self.behind().doors[0].log().write(level, None, format_args!("accept4() failed{}", Errno(error)));
    }
}

/// Accepts for ever.
pub async fn accept(listener: Source, gate: Gate, dispatcher: Arc<Dispatcher>) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let mut shortage: Option<Instant> = None;
    loop {
        let accepted = listener.when_ready(Interest::Readable, |fd| Ok(rustix::net::acceptfrom_with(fd, flags)?)).await;
        match accepted {
            Ok((socket, peer)) => {
                let dispatch = || dispatcher.dispatch(socket, address(peer), &gate.behind());
                // A panic costs this connection, and has been logged; the others are to be accepted all the same.
                let _ = catch_unwind(AssertUnwindSafe(dispatch));
            }
            Err(error) if is_of_the_peer(&error) => {
                gate.tell(Level::Info, &error);
            }
            Err(error) => {
                if shortage.is_none_or(|last| last.elapsed() > CALM) {
                    gate.tell(Level::Crit, &error);
                }
                shortage = Some(Instant::now());
                sleep(PAUSE).await;
            }
        }
    }
}

/// Errors that concern the one connection that was to be accepted (accept(2): "treat them like EAGAIN by retrying").
fn is_of_the_peer(error: &io::Error) -> bool {
    use rustix::io::Errno as E;
    const OF_THE_PEER: [E; 9] = [
        E::CONNABORTED,
        E::NETDOWN,
        E::PROTO,
        E::NOPROTOOPT,
        E::HOSTDOWN,
        E::HOSTUNREACH,
        E::OPNOTSUPP,
        E::NETUNREACH,
        E::INTR,
    ];
    error.raw_os_error().is_some_and(|code| OF_THE_PEER.contains(&E::from_raw_os_error(code)))
}

/// The `listen` that names the local address of `socket`, or else the last, which is for all others.
fn find_door<'a>(socket: &OwnedFd, doors: &'a [Arc<Door>]) -> &'a Arc<Door> {
    let last = doors.last().expect("a socket has an endpoint");
    if doors.len() == 1 {
        return last;
    }
    let Ok(local) = rustix::net::getsockname(socket) else { return last };
    let local = address(Some(local)).ip();
    doors.iter().find(|door| door.endpoint.address.ip() == local).unwrap_or(last)
}

/// An address as the system gives it. A peer without a name is a Unix domain socket without path.
pub fn address(address: Option<SocketAddrAny>) -> Address {
    match address.map(std::net::SocketAddr::try_from) {
        Some(Ok(address)) => Address::Ip(address),
        _ => Address::nameless(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::event_loop::testing;
    use crate::stream::Socket;

    #[test]
    fn a_panic_costs_one_connection() {
        testing::run(|| async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = Address::Ip(listener.local_addr().unwrap());
            let no_doors = Gate::new(Vec::new(), &Arc::default());
            let listener = Source::shared(listener.into()).unwrap();
            event_loop::spawn(accept(listener, no_doors, Arc::new(Dispatcher::new(1))));
            for _ in 0..3 {
                let mut client = Socket::connect(&address).await.unwrap();
                assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "accepted, and closed");
            }
        });
    }
}
