//! Work that takes its time.

use std::io;
use std::thread;

use tokio::sync::oneshot;

use crate::memory;

/// Does it on a thread of its own, whose memory goes back to the system. Whoever calls this bounds how often at a time. If the caller does not wait for the end,
/// the work goes on.
///
/// # Errors
/// When no thread can begin, or the work panicked.
pub async fn run_aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let outcome = work();
        memory::give_back();
        // Maybe nobody waits for it any more.
        let _ = sender.send(outcome);
    };
    thread::Builder::new().name("aside".to_string()).spawn(work)?;
    receiver.await.map_err(|_| io::Error::other("it panicked"))
}
