//! Work that takes its time.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Does it on a thread of its own. Whoever calls this bounds how often at a time. If the caller does not wait for the end,
/// the work goes on.
///
/// # Errors
/// When no thread can begin, or the work panicked.
pub async fn run_aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        // Maybe nobody waits for it any more.
        let _ = sender.send(work());
    };
    thread::Builder::new().name("aside".to_string()).spawn(work)?;
    receiver.await.map_err(|_| io::Error::other("it panicked"))
}
