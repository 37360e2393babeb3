//! The one read buffer of a thread.
//!
//! A session reads into it and writes out of it within one poll, so that a waiting session holds no buffer at all.

use std::cell::RefCell;

/// Its size, bytes: large enough that a bulk transfer costs few system calls.
const SIZE: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// Lends the buffer.
///
/// # Panics
/// When lent already: nobody keeps it over an await, or lends it twice.
pub fn with<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| use_it(scratch))
}
