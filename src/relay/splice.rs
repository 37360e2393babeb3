//! Bulk between two sockets, without copying it: splice(2), by way of a pipe.
//!
//! The kernel hands the pages that bytes arrived in from one socket to the other. That pays only where there is much to be
//! moved, so the relay comes here after a read that filled its buffer. The pipe is the thread's, and empty whenever nobody
//! is in here: what the destination does not take is read out of it.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use crate::event_loop::Interest;
use crate::stream::Socket;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

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
    /// Only ever an empty one: who uses it takes it, and puts it back when it is empty again. So whatever goes wrong in
    /// between, nobody's bytes get to anybody else.
    static PIPE: Cell<Option<Pipe>> = const { Cell::new(None) };
}

impl Pipe {
    /// The thread's, or a new one; none where there is no descriptor for it.
    fn take() -> Option<Pipe> {
        PIPE.take().or_else(Pipe::open)
    }

    fn open() -> Option<Pipe> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // A smaller one does too.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_SIZE);
        Some(Pipe { read, write })
    }

    fn put_back(self) {
        PIPE.set(Some(self));
    }

    /// Takes `length` bytes out, which it has.
    fn drain(&self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match rustix::io::read(&self.read, &mut bytes[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(bytes)
    }
}

/// What was moved.
pub(super) struct Moved {
    /// How many bytes came; never 0.
    pub(super) received: usize,
    /// Those of them that the destination did not take.
    pub(super) left: Vec<u8>,
}

/// Moves what can be moved now from one socket to another. Gives nothing where that is nothing: then it is for a common
/// read to find out why. There may be an end, a kernel or a filter that does not splice, or urgent data, where splice(2)
/// stops and recv(2) goes on. The socket therefore stays ready.
///
/// # Errors
/// When the connection that the bytes come from broke: the kernel tells that once. When bytes got lost in the pipe.
pub(super) fn pass(cx: &mut Context<'_>, from: &Socket, to: &Socket) -> Poll<io::Result<Option<Moved>>> {
    ready!(from.poll_ready(cx, Interest::Readable));
    let Some(pipe) = Pipe::take() else { return Poll::Ready(Ok(None)) };
    match rustix::pipe::splice(from, None, &pipe.write, None, LENGTH, FLAGS) {
        Ok(received) if received > 0 => Poll::Ready(send(pipe, received, to).map(Some)),
        other => {
            pipe.put_back();
            Poll::Ready(match other {
                Err(error) if !is_of_splice(error) => Err(error.into()),
                _ => Ok(None),
            })
        }
    }
}

/// Whether an error says no more than that there is nothing to splice, or that it cannot be done so.
fn is_of_splice(error: Errno) -> bool {
    [Errno::AGAIN, Errno::INTR, Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::NOMEM].contains(&error)
}

/// Moves on what was received. What cannot be spliced to the destination is left, and a common write finds out why.
fn send(pipe: Pipe, received: usize, to: &Socket) -> io::Result<Moved> {
    let mut rest = received;
    while rest > 0 {
        match rustix::pipe::splice(&pipe.read, None, to, None, rest, FLAGS) {
            Ok(sent) if sent > 0 => rest -= sent,
            _ => break,
        }
    }
    let left = pipe.drain(rest)?;
    pipe.put_back();
    Ok(Moved { received, left })
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// Whether this thread has spliced.
#[cfg(test)]
pub(super) fn was_used() -> bool {
    let pipe = PIPE.take();
    let used = pipe.is_some();
    PIPE.set(pipe);
    used
}
