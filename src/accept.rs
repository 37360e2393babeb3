//! Accepting connections, and giving each to a thread.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{SocketAddrAny, SocketFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use crate::addr::Address;
use crate::log::{Errno, Level};
use crate::service::Door;
use crate::session;

/// How long nothing is accepted after the system ran out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// Its place among the connections.
    pub permit: Permit,
}

/// A place among the connections that `worker_connections` allows. It is given back when dropped.
pub struct Permit {
    crowd: Arc<Crowd>,
    thread: Arc<AtomicUsize>,
    held: usize,
}

/// All connections, to clients and to mail servers.
struct Crowd {
    count: AtomicUsize,
    limit: usize,
}

impl Permit {
    /// What the log says when there is no place.
    pub const EXHAUSTED: &str = "worker_connections are not enough";

    fn new(crowd: &Arc<Crowd>, thread: &Arc<AtomicUsize>) -> Option<Permit> {
        thread.fetch_add(1, Ordering::Relaxed);
        let mut permit = Permit { crowd: crowd.clone(), thread: thread.clone(), held: 0 };
        permit.take_one_more().then_some(permit)
    }

    /// Takes a place for one connection more. Tells whether there was one.
    pub fn take_one_more(&mut self) -> bool {
        let taken = self.crowd.count.fetch_add(1, Ordering::Relaxed);
        self.held += 1;
        taken < self.crowd.limit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.crowd.count.fetch_sub(self.held, Ordering::Relaxed);
        self.thread.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Gives connections to threads: to the one with the fewest.
pub struct Dispatcher {
    crowd: Arc<Crowd>,
    threads: Vec<Thread>,
    next_number: AtomicU64,
}

struct Thread {
    sessions: Arc<AtomicUsize>,
    /// None for the thread that accepts.
    queue: Option<UnboundedSender<Accepted>>,
}

impl Dispatcher {
    /// For the thread that accepts and `others` more, which get what they are to serve through the receivers. `limit` is
    /// the number of connections.
    pub fn new(limit: usize, others: usize) -> (Dispatcher, Vec<UnboundedReceiver<Accepted>>) {
        let (mut threads, mut receivers) = (vec![Thread { sessions: Arc::default(), queue: None }], Vec::new());
        for _ in 0..others {
            let (sender, receiver) = unbounded_channel();
            threads.push(Thread { sessions: Arc::default(), queue: Some(sender) });
            receivers.push(receiver);
        }
        let crowd = Arc::new(Crowd { count: AtomicUsize::new(0), limit });
        (Dispatcher { crowd, threads, next_number: AtomicU64::new(1) }, receivers)
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.crowd.count.load(Ordering::Relaxed)
    }

    fn dispatch(&self, socket: OwnedFd, peer: Address, doors: &[Arc<Door>]) {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let door = find_door(&socket, doors).clone();
        let thread = self
            .threads
            .iter()
            .min_by_key(|thread| thread.sessions.load(Ordering::Relaxed))
            .expect("there is at least the thread that accepts");
        let Some(permit) = Permit::new(&self.crowd, &thread.sessions) else {
            let limit = self.crowd.limit;
            door.log().write(Level::Alert, Some(number), format_args!("{limit} {}", Permit::EXHAUSTED));
            return;
        };
        let accepted = Accepted { socket, peer, door, number, permit };
        match &thread.queue {
            None => drop(tokio::spawn(session::run(accepted))),
            // A thread that is gone is on its way out with the whole process.
            Some(queue) => drop(queue.send(accepted)),
        }
    }
}

/// Serves what a dispatcher gives this thread.
pub async fn serve(mut queue: UnboundedReceiver<Accepted>) {
    while let Some(accepted) = queue.recv().await {
        tokio::spawn(session::run(accepted));
    }
}

/// The doors of a socket, which a new configuration exchanges.
#[derive(Clone)]
pub struct Gate(Arc<Mutex<Doors>>);

/// At least one: the last is for every local address that no other names.
type Doors = Arc<[Arc<Door>]>;

impl Gate {
    /// A gate with these doors.
    pub fn new(doors: Vec<Arc<Door>>) -> Gate {
        Gate(Arc::new(Mutex::new(doors.into())))
    }

    /// From now on connections come by these.
    pub fn exchange(&self, doors: Vec<Arc<Door>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = doors.into();
    }

    fn doors(&self) -> Doors {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Accepts for ever.
pub async fn accept(listener: AsyncFd<OwnedFd>, gate: Gate, dispatcher: Arc<Dispatcher>) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let mut short_of_resources = false;
    loop {
        let accepted = listener.async_io(Interest::READABLE, |fd| Ok(rustix::net::acceptfrom_with(fd, flags)?)).await;
        match accepted {
            Ok((socket, peer)) => {
                short_of_resources = false;
                dispatcher.dispatch(socket, address(peer), &gate.doors());
            }
            Err(error) if is_of_the_peer(&error) => {
                gate.doors()[0].log().write(Level::Info, None, format_args!("accept4() failed{}", Errno(&error)));
            }
            Err(error) => {
                if !short_of_resources {
                    gate.doors()[0].log().write(Level::Crit, None, format_args!("accept4() failed{}", Errno(&error)));
                }
                short_of_resources = true;
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
