//! The event loop of a thread: tasks, what they wait for, and when.
//!
//! Everything a thread serves are tasks of its one loop, and stay there. In turn the loop polls the tasks that have
//! something to do, each once, then asks the kernel (epoll) what has become ready. It is written for what a mail proxy
//! does with it: very many sessions that hold next to nothing and wait, and logins of a few small packets.
//!
//! * A descriptor ([`Source`]) is registered once, edge-triggered, and closing it is all that ends that. What is known of
//!   its readiness are twelve bytes, and one task waits for it.
//! * A time to wait for is no object: a future that waits for one says so each time it is polled ([`time`]), and the task
//!   is polled again at the earliest that it heard of. So a deadline that is moved at each packet costs nothing.
//! * Wakers are the standard library's, and may be used by any thread.
//!
//! Futures are polled by their task alone, and whenever it is polled: combinators that poll some of theirs only after
//! their own wakers were used (`FuturesUnordered`) do not go with [`time`].

mod aside;
mod race;
mod source;
mod tasks;
pub mod time;
mod timers;
pub mod udp;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

pub use self::aside::run_aside;
pub use self::race::race;
use self::source::Sources;
pub use self::source::{Interest, Source};
use self::tasks::{Inbox, NO_TASK, Tasks, Work};
pub use self::tasks::{Task, wake_all};
use self::timers::Timers;

/// How many events the kernel is asked for at once.
const EVENTS: usize = 256;

/// After how many polls the clock is read again: a poll may take as long as a TLS handshake.
const POLLS_A_TICK: usize = 16;

/// How often a task may find what it needs ready in one poll, before the others have their turn.
const BUDGET: u32 = 128;

/// How much of it one read may take, TLS and all.
const BUDGET_OF_A_READ: u32 = 4;

/// How long the kernel is to wait at most. For longer than 24 days there is another system call, which a worker may not make.
const LONGEST: Duration = Duration::from_secs(86400);

/// Which event is that of another thread's message.
const MESSAGE: u64 = u64::MAX;

/// The event loop of this thread.
struct Local {
    epoll: OwnedFd,
    inbox: Arc<Inbox>,
    sources: RefCell<Sources>,
    tasks: RefCell<Tasks>,
    timers: RefCell<Timers>,
    /// When the clock was last read.
    now: Cell<Instant>,
    /// The task that is polled, or [`NO_TASK`].
    current: Cell<u32>,
    /// The earliest time that it waits for.
    waits_until: Cell<Option<Instant>>,
    budget: Cell<u32>,
    #[cfg(test)]
    paused: Cell<bool>,
}

thread_local! {
    static LOCAL: OnceCell<Local> = const { OnceCell::new() };
}

/// Lends the thread's loop.
///
/// # Panics
/// Where there is none: see [`EventLoop::new`].
fn with<R>(use_it: impl FnOnce(&Local) -> R) -> R {
    LOCAL.with(|local| use_it(local.get().expect("this thread has an event loop")))
}

/// Lends the thread's loop, if there is one.
fn if_any<R>(use_it: impl FnOnce(&Local) -> R) -> Option<R> {
    LOCAL.try_with(|local| local.get().map(use_it)).ok().flatten()
}

/// An event loop that has not begun. It may be given to the thread that is to run it.
#[derive(Debug)]
pub struct EventLoop {
    epoll: OwnedFd,
    inbox: Arc<Inbox>,
}

impl EventLoop {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no descriptors for it.
    pub fn new() -> io::Result<EventLoop> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let inbox = Inbox::new()?;
        epoll::add(&epoll, inbox.bell(), EventData::new_u64(MESSAGE), EventFlags::IN | EventFlags::ET)?;
        Ok(EventLoop { epoll, inbox })
    }

    /// Runs until `main` ends, as the loop of this thread from now on. Tasks that have not ended by then are dropped.
    ///
    /// # Panics
    /// When `main` does; where the thread has had another loop.
    pub fn run<T: 'static>(self, main: impl Future<Output = T> + 'static) -> T {
        LOCAL.with(|local| {
            let fresh = local.set(Local::new(self)).is_ok();
            assert!(fresh, "a thread has one event loop");
            let local = local.get().expect("it has just been set");
            let result = Rc::new(Cell::new(None));
            let place = result.clone();
            let main = spawn(async move { place.set(Some(main.await)) });
            loop {
                local.poll_tasks();
                if main.has_ended() {
                    break;
                }
                local.take_events();
            }
            local.drop_tasks();
            result.take().expect("the main task ended without a panic")
        })
    }
}

/// Whether the task that is polled has had its turn: what does not seem ready now may be so all the same.
pub fn turn_is_over() -> bool {
    with(|local| local.budget.get() < BUDGET_OF_A_READ)
}

/// Has a task run on this thread, from the next turn of its loop on. A panic ends the task alone.
///
/// # Panics
/// Where the thread has no event loop.
pub fn spawn(future: impl Future<Output = ()> + 'static) -> Task {
    with(|local| local.tasks.borrow_mut().add(Box::pin(future), &local.inbox))
}

impl Local {
    fn new(new: EventLoop) -> Local {
        Local {
            epoll: new.epoll,
            inbox: new.inbox,
            sources: RefCell::default(),
            tasks: RefCell::default(),
            timers: RefCell::default(),
            now: Cell::new(Instant::now()),
            current: Cell::new(NO_TASK),
            waits_until: Cell::new(None),
            budget: Cell::new(0),
            #[cfg(test)]
            paused: Cell::new(false),
        }
    }

    /// Polls each task that is to be polled now, once.
    fn poll_tasks(&self) {
        let count = self.tasks.borrow().scheduled();
        for done in 1..=count {
            let next = self.tasks.borrow_mut().next();
            let Some(index) = next else { break };
            self.poll(index);
            if done % POLLS_A_TICK == 0 {
                self.read_clock();
            }
        }
    }

    /// Takes what has happened meanwhile, and waits for something to happen if no task has anything to do.
    fn take_events(&self) {
        let mut events = [MaybeUninit::<Event>::uninit(); EVENTS];
        let events = self.wait(&mut events);
        self.read_clock();
        #[cfg(test)]
        if events.is_empty() {
            self.advance();
        }
        let mut sources = self.sources.borrow_mut();
        let mut tasks = self.tasks.borrow_mut();
        for event in events {
            match event.data.u64() {
                MESSAGE => self.inbox.open(&mut tasks, &mut sources),
                key => {
                    if let Some(task) = sources.note(key, event.flags) {
                        tasks.schedule(task);
                    }
                }
            }
        }
        let mut timers = self.timers.borrow_mut();
        while let Some(task) = timers.pop(self.now.get()) {
            tasks.schedule(task);
        }
    }

    fn poll(&self, index: u32) {
        let Some((mut future, waker)) = self.tasks.borrow_mut().begin(index) else { return };
        self.current.set(index);
        self.waits_until.set(None);
        self.budget.set(BUDGET);
        let mut cx = Context::from_waker(&waker);
        let outcome = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
        self.current.set(NO_TASK);
        if matches!(outcome, Ok(Poll::Pending)) {
            let stopped = self.tasks.borrow_mut().suspend(index, future, waker);
            match (&stopped, self.waits_until.get()) {
                (Some(_), _) => self.timers.borrow_mut().remove(index),
                (None, Some(time)) => self.timers.borrow_mut().not_later(index, time),
                (None, None) => {}
            }
            stopped.into_iter().for_each(dispose);
        } else {
            dispose(future);
            self.timers.borrow_mut().remove(index);
            self.tasks.borrow_mut().remove(index);
        }
    }

    /// What has happened, in `events`.
    fn wait<'a>(&self, events: &'a mut [MaybeUninit<Event>]) -> &'a [Event] {
        let timeout = self.patience();
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match epoll::wait(&self.epoll, events, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => &[],
            // A loop that hears nothing any more serves nobody, and must not look as if it did.
            Err(error) => panic!("epoll_wait() failed: {error}"),
        }
    }

    /// How long the kernel is to wait if nothing happens; whole milliseconds, as it counts them.
    fn patience(&self) -> Option<Duration> {
        if self.tasks.borrow().scheduled() > 0 {
            return Some(Duration::ZERO);
        }
        #[cfg(test)]
        if self.paused.get() && self.timers.borrow().next().is_some() {
            return Some(Duration::ZERO);
        }
        let next = self.timers.borrow().next()?;
        let left = next.saturating_duration_since(Instant::now()).min(LONGEST);
        Some(Duration::from_millis(u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)))
    }

    fn read_clock(&self) {
        #[cfg(test)]
        if self.paused.get() {
            return;
        }
        self.now.set(Instant::now());
    }

    /// The task that is polled waits for this time.
    fn wait_until(&self, time: Instant) {
        if self.waits_until.get().is_none_or(|earliest| time < earliest) {
            self.waits_until.set(Some(time));
        }
    }

    fn drop_tasks(&self) {
        loop {
            let all = self.tasks.borrow_mut().take_all();
            if all.is_empty() {
                return;
            }
            all.into_iter().for_each(dispose);
        }
    }
}

/// Drops what a task has done its work with: it may hold anything, so nothing must be borrowed meanwhile, and a panic is its
/// own.
fn dispose(work: Work) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(work)));
}
