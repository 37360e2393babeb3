//! Work that something else may end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Does `work` until `end` comes. If both are there at once, the work is done.
///
/// What tokio's `select!` does, without asking for the budget of a runtime that is not there: three of these, one in another,
/// are asked at each poll of a login.
pub fn race<W: Future, E: Future>(work: W, end: E) -> Race<W, E> {
    Race { work, end }
}

pin_project! {
    /// What [`race`] gives: the output of the work, or, as an error, that of the end.
    #[derive(Debug)]
    pub struct Race<W, E> {
        #[pin]
        work: W,
        #[pin]
        end: E,
    }
}

impl<W: Future, E: Future> Future for Race<W, E> {
    type Output = Result<W::Output, E::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.work.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.end.poll(cx).map(Err)
    }
}
