//! The tasks of a thread, and the wakers that reach them from everywhere.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Wake, Waker};

use rustix::event::{EventfdFlags, eventfd};

use super::source::Sources;
use super::{dispose, if_any, with};

/// The index of no task.
pub(super) const NO_TASK: u32 = u32::MAX;

/// What a task does.
pub(super) type Work = Pin<Box<dyn Future<Output = ()>>>;

/// All tasks, and which of them are to be polled.
#[derive(Default)]
pub(super) struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
    queue: VecDeque<u32>,
}

/// The place of a task.
#[derive(Default)]
struct Slot {
    /// None while it is polled, and while nobody has the place.
    work: Option<(Work, Waker)>,
    /// How many tasks have had the place before.
    generation: u32,
    is_scheduled: bool,
    /// It is to be dropped, as soon as its poll is over.
    is_stopped: bool,
}

impl Tasks {
    /// Adds a task, to be polled.
    pub(super) fn add(&mut self, future: Work, inbox: &Arc<Inbox>) -> Task {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("there are fewer tasks than addresses")
        });
        let slot = &mut self.slots[index as usize];
        slot.work = Some((future, Waker::from(Arc::new(Doorbell { task: index, inbox: inbox.clone() }))));
        let generation = slot.generation;
        self.schedule(index);
        Task { index, generation, home: inbox.home }
    }

    /// Has a task polled in the next turn.
    pub(super) fn schedule(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if !mem::replace(&mut slot.is_scheduled, true) {
            self.queue.push_back(index);
        }
    }

    /// How many are to be polled.
    pub(super) fn scheduled(&self) -> usize {
        self.queue.len()
    }

    /// The next that is to be polled.
    pub(super) fn next(&mut self) -> Option<u32> {
        let index = self.queue.pop_front()?;
        self.slots[index as usize].is_scheduled = false;
        Some(index)
    }

    /// Takes a task out of its place, to poll it. None if there is none: who woke it was late.
    pub(super) fn begin(&mut self, index: u32) -> Option<(Work, Waker)> {
        self.slots[index as usize].work.take()
    }

    /// Puts it back. Gives what is to be dropped, if it was stopped meanwhile.
    pub(super) fn suspend(&mut self, index: u32, work: Work, waker: Waker) -> Option<Work> {
        let slot = &mut self.slots[index as usize];
        if slot.is_stopped {
            self.remove(index);
            return Some(work);
        }
        slot.work = Some((work, waker));
        None
    }

    /// The place of a task that has ended is free for another.
    pub(super) fn remove(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.is_stopped = false;
        self.free.push(index);
    }

    /// How many places there are, for tests.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    fn has_ended(&self, task: &Task) -> bool {
        self.slots[task.index as usize].generation != task.generation
    }

    /// Ends a task. Gives what is to be dropped, unless it is being polled.
    fn stop(&mut self, task: &Task) -> Option<Work> {
        if self.has_ended(task) {
            return None;
        }
        let slot = &mut self.slots[task.index as usize];
        let Some((work, _)) = slot.work.take() else {
            slot.is_stopped = true;
            return None;
        };
        self.remove(task.index);
        Some(work)
    }

    /// Takes all that there are out of their places.
    pub(super) fn take_all(&mut self) -> Vec<Work> {
        let all: Vec<u32> =
            (0..).zip(&self.slots).filter(|(_, slot)| slot.work.is_some()).map(|(index, _)| index).collect();
        all.into_iter()
            .filter_map(|index| {
                let work = self.begin(index);
                self.remove(index);
                work.map(|(work, _)| work)
            })
            .collect()
    }
}

/// A task of this thread. It goes on when this is dropped.
#[derive(Debug)]
pub struct Task {
    index: u32,
    generation: u32,
    home: u32,
}

impl Task {
    /// Ends it, if it has not ended: it is dropped.
    ///
    /// # Panics
    /// On a thread that is not the task's.
    pub fn stop(&self) {
        let stopped = with(|local| {
            assert_eq!(local.inbox.home, self.home, "a task is stopped by its own thread");
            let stopped = local.tasks.borrow_mut().stop(self);
            if stopped.is_some() {
                local.timers.borrow_mut().remove(self.index);
            }
            stopped
        });
        stopped.into_iter().for_each(dispose);
    }

    /// Whether it has.
    pub(super) fn has_ended(&self) -> bool {
        with(|local| local.tasks.borrow().has_ended(self))
    }
}

/// What wakes a task.
struct Doorbell {
    task: u32,
    inbox: Arc<Inbox>,
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let here = if_any(|local| {
            let here = local.inbox.home == self.inbox.home;
            if here {
                local.tasks.borrow_mut().schedule(self.task);
            }
            here
        });
        if here != Some(true) {
            self.inbox.put(|letters| letters.tasks.push(self.task));
        }
    }
}

/// What other threads have to say to a loop.
#[derive(Debug)]
pub(super) struct Inbox {
    /// The number of the loop. No other has it.
    pub(super) home: u32,
    /// An eventfd.
    bell: OwnedFd,
    letters: Mutex<Letters>,
}

#[derive(Debug, Default)]
struct Letters {
    /// Tasks to be polled.
    tasks: Vec<u32>,
    /// Sources that are gone.
    sources: Vec<u32>,
    /// All tasks are to be polled.
    is_for_all: bool,
}

/// The inboxes of all threads.
static INBOXES: Mutex<Vec<Weak<Inbox>>> = Mutex::new(Vec::new());

impl Inbox {
    pub(super) fn new() -> io::Result<Arc<Inbox>> {
        static HOMES: AtomicU32 = AtomicU32::new(0);
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let home = HOMES.fetch_add(1, Ordering::Relaxed);
        let inbox = Arc::new(Inbox { home, bell, letters: Mutex::default() });
        let mut all = INBOXES.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&inbox));
        Ok(inbox)
    }

    /// That of another thread, while it lives.
    pub(super) fn of(home: u32) -> Option<Arc<Inbox>> {
        let all = INBOXES.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).find(|inbox| inbox.home == home)
    }

    /// The descriptor that has input when somebody has put something in.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn put(&self, put: impl FnOnce(&mut Letters)) {
        put(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        // Fails when it has been rung 2^64 times, and then it has been heard.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// A source of this loop is gone.
    pub(super) fn put_source(&self, index: u32) {
        self.put(|letters| letters.sources.push(index));
    }

    /// Takes everything out, and does what it says.
    pub(super) fn open(&self, tasks: &mut Tasks, sources: &mut Sources) {
        let letters = mem::take(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        letters.tasks.into_iter().for_each(|task| tasks.schedule(task));
        letters.sources.into_iter().for_each(|source| sources.remove(source));
        if letters.is_for_all {
            (0..tasks.slots.len() as u32).for_each(|task| tasks.schedule(task));
        }
    }
}

/// Has all tasks of all threads polled.
pub fn wake_all() {
    let all = INBOXES.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(Weak::upgrade).for_each(|inbox| inbox.put(|letters| letters.is_for_all = true));
}
