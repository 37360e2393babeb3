//! Password hashing on threads of its own: some milliseconds each, so never on a thread that serves sessions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::sync::Semaphore;

use crate::auth::AuthError;
use crate::{event_loop, memory};

/// How many logins may wait for their turn.
const MAX_WAITING: usize = 1024;

/// Lets as many passwords be hashed at a time as there are processors. Each may take a good deal of memory.
#[derive(Debug)]
pub struct Hashing {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Hashing {
    fn default() -> Hashing {
        Hashing { turns: Arc::new(Semaphore::new(processors())), waiting: AtomicUsize::new(0) }
    }
}

/// How many processors this process may use. The first call reads files (`/sys/fs/cgroup`), and must come before access to
/// them is given up.
pub fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

impl Hashing {
    /// Runs `work` when its turn comes. If the caller gives up meanwhile, work that has begun is finished, and only then
    /// is it another's turn.
    pub(super) async fn run(&self, work: impl FnOnce() -> bool + Send + 'static) -> Result<bool, AuthError> {
        let waiting = Waiting::new(&self.waiting)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| AuthError::Interrupted)?;
        drop(waiting);
        let work = move || {
            let is_good = work();
            memory::give_back_own();
            drop(turn);
            is_good
        };
        event_loop::run_aside(work).await.map_err(|_| AuthError::Interrupted)
    }
}

/// A place in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn new(count: &AtomicUsize) -> Result<Waiting<'_>, AuthError> {
        let place = Waiting(count);
        if count.fetch_add(1, Ordering::Relaxed) < MAX_WAITING { Ok(place) } else { Err(AuthError::Busy) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::event_loop::testing;

    #[test]
    fn the_queue_is_bounded() {
        testing::run(|| async {
            let hashing = Arc::new(Hashing::default());
            let all = hashing.turns.available_permits() as u32;
            let turns = hashing.turns.acquire_many(all).await.unwrap();
            let queue: Vec<_> = (0..MAX_WAITING)
                .map(|_| {
                    let hashing = hashing.clone();
                    testing::spawn(async move { hashing.run(|| true).await })
                })
                .collect();
            while hashing.waiting.load(Ordering::Relaxed) < MAX_WAITING {
                testing::yield_now().await;
            }
            assert!(matches!(hashing.run(|| true).await, Err(AuthError::Busy)));
            queue[0].abort();
            while hashing.waiting.load(Ordering::Relaxed) == MAX_WAITING {
                testing::yield_now().await;
            }
            drop(turns);
            assert!(hashing.run(|| true).await.unwrap());
            for login in queue.into_iter().skip(1) {
                assert!(login.await.unwrap().unwrap());
            }
            assert_eq!(hashing.waiting.load(Ordering::Relaxed), 0);
        });
    }
}
