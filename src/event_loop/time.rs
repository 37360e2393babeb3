//! Waiting for a time.
//!
//! The clock is the loop's: it stands still while a task is polled, and is never late by more than a few polls.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::{if_any, with};

/// The time, as the thread's loop has it; the system's where there is no loop.
pub fn now() -> Instant {
    if_any(|local| local.now.get()).unwrap_or_else(Instant::now)
}

/// Reads the clock, after something that took long.
pub fn tick() {
    with(|local| local.read_clock());
}

/// Whether it is this time or later. If not, the task that asks is polled again at that time.
pub fn is_reached(time: Instant) -> bool {
    with(|local| {
        let reached = local.now.get() >= time;
        if !reached {
            local.wait_until(time);
        }
        reached
    })
}

/// Waits so long.
pub async fn sleep(time: Duration) {
    sleep_until(after(time)).await;
}

/// Waits until then.
pub async fn sleep_until(time: Instant) {
    poll_fn(|_| if is_reached(time) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// The time it will be then; a very late one if that is beyond all time.
pub fn after(time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86400);
    let now = now();
    now.checked_add(time).unwrap_or_else(|| now + FAR)
}

/// The time was over first.
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed;

/// Gives a future so much time.
pub fn timeout<F: Future>(time: Duration, future: F) -> Timeout<F> {
    timeout_at(after(time), future)
}

/// Gives a future time until then. If it is ready at its first poll, it has been in time.
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { deadline, future }
}

pin_project! {
    /// What [`timeout_at`] gives: the future's output, or [`Elapsed`].
    #[derive(Debug)]
    pub struct Timeout<F> {
        deadline: Instant,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if is_reached(*this.deadline) => Poll::Ready(Err(Elapsed)),
            Poll::Pending => Poll::Pending,
        }
    }
}
