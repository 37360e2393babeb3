//! Descriptors that tasks wait for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use rustix::event::epoll::{self, EventData, EventFlags};

use super::tasks::{Inbox, NO_TASK};
use super::{if_any, with};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Input, or the end.
    Readable = 1,
    /// Room for output.
    Writable = 2,
}

/// A short read does not mean that there is no more: the end has been seen, or an error, or there is urgent data, where reads
/// stop.
const IRREGULAR: u8 = 4;
/// The kernel has been asked to tell of room, which it is only once there was none.
const ASKED_FOR_ROOM: u8 = 8;

/// What is known of all sources of a thread.
#[derive(Debug, Default)]
pub(super) struct Sources {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    /// How many sources have had the place before, so that a late event is known as one.
    generation: u32,
    /// The task that waits, or [`NO_TASK`].
    task: u32,
    /// What it waits for.
    awaited: u8,
    /// What is ready, and the constants above.
    state: u8,
}

impl Sources {
    /// A place, and the number by which events name it.
    fn add(&mut self, state: u8) -> (u32, u64) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, task: NO_TASK, awaited: 0, state: 0 });
            u32::try_from(self.slots.len() - 1).expect("there are fewer sources than descriptors")
        });
        let slot = &mut self.slots[index as usize];
        (slot.task, slot.awaited, slot.state) = (NO_TASK, 0, state);
        (index, key(index, slot.generation))
    }

    /// How many places there are, for tests.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn remove(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
    }

    /// Notes an event. Gives the task that has waited for it.
    pub(super) fn note(&mut self, key: u64, flags: EventFlags) -> Option<u32> {
        const BROKEN: EventFlags = EventFlags::HUP.union(EventFlags::ERR);
        const SPECIAL: EventFlags = EventFlags::RDHUP.union(EventFlags::PRI).union(BROKEN);
        let slot = self.slots.get_mut(key as u32 as usize)?;
        if slot.generation != (key >> 32) as u32 {
            return None;
        }
        let mut ready = 0;
        if flags.intersects(EventFlags::IN.union(SPECIAL)) {
            ready |= Interest::Readable as u8;
        }
        if flags.intersects(EventFlags::OUT.union(BROKEN)) {
            ready |= Interest::Writable as u8;
        }
        slot.state |= ready;
        if flags.intersects(SPECIAL) {
            slot.state |= IRREGULAR;
        }
        if slot.awaited & ready == 0 {
            return None;
        }
        slot.awaited = 0;
        Some(slot.task)
    }
}

fn key(index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}

/// A descriptor in the event loop of the thread that registered it: no other can wait for it. It is in non-blocking mode.
#[derive(Debug)]
pub struct Source {
    descriptor: OwnedFd,
    index: u32,
    /// The number of the loop.
    home: u32,
    /// Other processes have it too, so closing it here does not take it out of the loop.
    is_shared: bool,
}

impl Source {
    /// Takes a descriptor in that nobody else has, and that has room for output, as a new one has.
    ///
    /// # Errors
    /// When the kernel cannot wait for it.
    ///
    /// # Panics
    /// Where the thread has no event loop.
    pub fn new(descriptor: OwnedFd) -> io::Result<Source> {
        Source::register(descriptor, false, Interest::Writable as u8, INPUT)
    }

    /// The same for a socket whose `connect(2)` is under way: when that is over, it is writable.
    ///
    /// # Errors
    /// When the kernel cannot wait for it.
    ///
    /// # Panics
    /// Where the thread has no event loop.
    pub fn connecting(socket: OwnedFd) -> io::Result<Source> {
        Source::register(socket, false, ASKED_FOR_ROOM, INPUT | EventFlags::OUT)
    }

    /// Takes one in that other processes may have too.
    ///
    /// # Errors
    /// When the kernel cannot wait for it.
    ///
    /// # Panics
    /// Where the thread has no event loop.
    pub fn shared(descriptor: OwnedFd) -> io::Result<Source> {
        Source::register(descriptor, true, Interest::Writable as u8, INPUT)
    }

    fn register(descriptor: OwnedFd, is_shared: bool, state: u8, events: EventFlags) -> io::Result<Source> {
        with(|local| {
            let mut sources = local.sources.borrow_mut();
            let (index, key) = sources.add(state);
            if let Err(error) = epoll::add(&local.epoll, &descriptor, EventData::new_u64(key), events) {
                sources.remove(index);
                return Err(error.into());
            }
            Ok(Source { descriptor, index, home: local.inbox.home, is_shared })
        })
    }

    /// Waits until it may be worth trying. A task that has found so much ready that others wait has to wait too.
    pub fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<()> {
        with(|local| {
            let mut sources = local.sources.borrow_mut();
            let slot = self.slot(&mut sources, local.inbox.home);
            if slot.state & interest as u8 == 0 {
                if slot.task != local.current.get() {
                    (slot.task, slot.awaited) = (local.current.get(), 0);
                }
                slot.awaited |= interest as u8;
                return Poll::Pending;
            }
            match local.budget.get().checked_sub(1) {
                Some(left) => {
                    local.budget.set(left);
                    Poll::Ready(())
                }
                None => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        })
    }

    /// It was not ready: the kernel said so (`EAGAIN`).
    pub fn unready(&self, interest: Interest) {
        with(|local| {
            let mut sources = local.sources.borrow_mut();
            let slot = self.slot(&mut sources, local.inbox.home);
            slot.state &= !(interest as u8);
            if interest == Interest::Writable && slot.state & ASKED_FOR_ROOM == 0 {
                slot.state |= ASKED_FOR_ROOM;
                let data = EventData::new_u64(key(self.index, slot.generation));
                // The descriptor is in there, and this needs no memory.
                let _ = epoll::modify(&local.epoll, &self.descriptor, data, INPUT | EventFlags::OUT);
            }
        });
    }

    /// A read was short: all the input there was has been read, as a rule.
    pub fn exhausted(&self) {
        with(|local| {
            let mut sources = local.sources.borrow_mut();
            let slot = self.slot(&mut sources, local.inbox.home);
            if slot.state & IRREGULAR == 0 {
                slot.state &= !(Interest::Readable as u8);
            }
        });
    }

    /// Waits, and tries, until it is done or fails.
    ///
    /// # Errors
    /// What `work` says, but [`io::ErrorKind::WouldBlock`].
    pub async fn when_ready<R>(
        &self,
        interest: Interest,
        mut work: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            std::future::poll_fn(|cx| self.poll_ready(cx, interest)).await;
            match work(self.descriptor.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.unready(interest),
                outcome => return outcome,
            }
        }
    }

    fn slot<'a>(&self, sources: &'a mut Sources, home: u32) -> &'a mut Slot {
        assert_eq!(self.home, home, "a descriptor is waited for by the thread that registered it");
        &mut sources.slots[self.index as usize]
    }
}

/// What the kernel tells of every source, beside errors.
const INPUT: EventFlags = EventFlags::IN.union(EventFlags::PRI).union(EventFlags::RDHUP).union(EventFlags::ET);

impl Drop for Source {
    fn drop(&mut self) {
        let here = if_any(|local| {
            if local.inbox.home != self.home {
                return false;
            }
            if self.is_shared {
                let _ = epoll::delete(&local.epoll, &self.descriptor);
            }
            local.sources.borrow_mut().remove(self.index);
            true
        });
        if here != Some(true)
            && let Some(inbox) = Inbox::of(self.home)
        {
            inbox.put_source(self.index);
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
