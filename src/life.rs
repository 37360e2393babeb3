//! The end of many at once: sessions ask a [`Life`] whether theirs is over.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::sync::Notify;

/// Something that ends once.
#[derive(Debug, Default)]
pub struct Life {
    is_over: AtomicBool,
    end: Notify,
}

impl Life {
    /// Ends it, for everybody who waits in [`Life::over`] now or later.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.end.notify_waiters();
    }

    /// Waits for the end. It costs a waiting session next to nothing: there is one lock for all of them, and each takes
    /// it once. A task must wait in one place, since it is the waker of the first poll that is woken.
    pub async fn over(&self) {
        let mut end = pin!(self.end.notified());
        let mut listening = false;
        poll_fn(|cx| {
            if !self.is_over.load(Ordering::SeqCst) && !listening {
                listening = true;
                if end.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
            }
            if self.is_over.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event_loop::testing;
    use std::sync::Arc;

    #[test]
    fn everybody_hears_of_the_end() {
        testing::run(|| async {
            let life = Arc::new(Life::default());
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let life = life.clone();
                    testing::spawn(async move { life.over().await })
                })
                .collect();
            testing::yield_now().await;
            assert!(waiting.iter().all(|task| !task.is_finished()));
            life.end();
            for task in waiting {
                task.await.unwrap();
            }
            life.over().await;
        });
    }
}
