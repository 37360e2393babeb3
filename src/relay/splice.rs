//! Bulk between two sockets, without copying it: splice(2), by way of a pipe.
//!
//! The kernel hands the pages that bytes arrived in from one socket to the other. That pays only where there is much to be
//! moved, so the relay comes here after a read that filled its buffer. The pipe is the thread's, and empty whenever nobody
//! is in here: what the destination does not take is read out of it.

use std::cell::OnceCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::io::Interest;

use crate::stream::Socket;

/// How much is asked for at once, bytes, and so the most that a destination which takes no more makes us keep. Twice as
/// much would save some more time, for twice the memory of all slow readers together.
const LENGTH: usize = 64 * 1024;

/// The size of the pipe, bytes. A packet takes the room of a page in it, however small it is.
const PIPE_SIZE: usize = 256 * 1024;

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

thread_local! {
    /// None where there is no descriptor for it.
    static PIPE: OnceCell<Option<Pipe>> = const { OnceCell::new() };
}

impl Pipe {
    fn open() -> Option<Pipe> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // A smaller one does too.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_SIZE);
        Some(Pipe { read, write })
    }
}

/// What was moved.
pub(super) struct Moved {
    /// How many bytes came; 0 is the end.
    pub(super) received: usize,
    /// Those of them that the destination did not take.
    pub(super) left: Vec<u8>,
    /// Whether the destination takes nothing any more.
    pub(super) broken: bool,
}

/// Moves what can be moved now from one socket to another. Gives nothing where that cannot be done: without a pipe, or with
/// sockets of a kind that the kernel does not splice.
///
/// # Errors
/// What receiving says.
pub(super) fn pass(cx: &mut Context<'_>, from: &Socket, to: &Socket) -> Poll<Option<io::Result<Moved>>> {
    PIPE.with(|pipe| match pipe.get_or_init(Pipe::open) {
        None => Poll::Ready(None),
        Some(pipe) => match ready!(pass_through(pipe, cx, from, to)) {
            Err(error) if cannot_be_spliced(&error) => Poll::Ready(None),
            outcome => Poll::Ready(Some(outcome)),
        },
    })
}

fn cannot_be_spliced(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::NOSYS))
}

fn pass_through(pipe: &Pipe, cx: &mut Context<'_>, from: &Socket, to: &Socket) -> Poll<io::Result<Moved>> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    let receive = || Ok(rustix::pipe::splice(from, None, &pipe.write, None, LENGTH, flags)?);
    let received = loop {
        ready!(from.poll_ready(cx, Interest::READABLE))?;
        match from.try_io(Interest::READABLE, receive) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => break received?,
        }
    };
    let mut moved = Moved { received, left: Vec::new(), broken: false };
    let mut rest = received;
    while rest > 0 {
        match rustix::pipe::splice(&pipe.read, None, to, None, rest, flags) {
            Ok(sent) if sent > 0 => rest -= sent,
            Err(Errno::AGAIN | Errno::INVAL | Errno::NOSYS) => break,
            _ => {
                moved.broken = true;
                break;
            }
        }
    }
    moved.left = drain(pipe, rest);
    Poll::Ready(Ok(moved))
}

/// Takes `length` bytes out of the pipe, which has them.
fn drain(pipe: &Pipe, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match rustix::io::read(&pipe.read, &mut bytes[filled..]) {
            Ok(count) if count > 0 => filled += count,
            outcome => unreachable!("the pipe has these bytes: {outcome:?}"),
        }
    }
    bytes
}

/// Whether this thread has spliced.
#[cfg(test)]
pub(super) fn was_used() -> bool {
    PIPE.with(|pipe| pipe.get().is_some_and(Option::is_some))
}
