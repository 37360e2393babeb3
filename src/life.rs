//! Ends that come from elsewhere: sessions ask whether theirs has come.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use crate::event_loop;

/// What many have in common until it ends, once.
///
/// Nobody who waits is kept anywhere, so it costs them nothing: at the end all tasks there are, whatever they wait for, are
/// told to look.
#[derive(Debug, Default)]
pub struct Life(AtomicBool);

impl Life {
    /// Ends it, for everybody who waits in [`Life::over`] now or later.
    pub fn end(&self) {
        self.0.store(true, Ordering::SeqCst);
        event_loop::wake_all();
    }

    /// Waits for the end.
    pub async fn over(&self) {
        poll_fn(|_| if self.0.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// Notice to leave, for one who waits for it with one task.
#[derive(Debug, Default)]
pub struct Notice {
    is_given: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Notice {
    /// Gives it.
    pub fn give(&self) {
        self.is_given.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Waits for it.
    pub async fn given(&self) {
        let mut waits = false;
        poll_fn(|cx| {
            if !waits {
                waits = true;
                *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
            }
            if self.is_given.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
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
            std::thread::spawn({
                let life = life.clone();
                move || life.end()
            });
            for task in waiting {
                task.await.unwrap();
            }
            life.over().await;
        });
    }

    #[test]
    fn a_notice_reaches_whoever_it_is_for() {
        testing::run(|| async {
            let notice = Arc::new(Notice::default());
            let waiting = testing::spawn({
                let notice = notice.clone();
                async move { notice.given().await }
            });
            testing::yield_now().await;
            assert!(!waiting.is_finished());
            std::thread::spawn({
                let notice = notice.clone();
                move || notice.give()
            });
            waiting.await.unwrap();
            notice.given().await;
        });
    }
}
