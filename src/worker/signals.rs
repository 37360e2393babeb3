//! Signals to the process that serves.

use std::io;
use std::os::fd::BorrowedFd;

use anyhow::Context as _;

use super::Order;
use crate::event_loop::{Interest, Source};
use crate::signals::{self, Received, Signals};

/// Hears them.
pub struct Listener {
    source: Source,
    /// The logs are opened and the configuration is read by the master, and its signals mean nothing here.
    has_master: bool,
}

impl Listener {
    /// Takes them into the event loop.
    pub fn new(signals: Signals, has_master: bool) -> anyhow::Result<Listener> {
        let source = Source::new(signals.into()).context("signals cannot be received")?;
        Ok(Listener { source, has_master })
    }

    /// What the next one asks for, with nginx's meanings.
    pub async fn next(&mut self) -> Order {
        loop {
            let next = |signals: BorrowedFd<'_>| Received::from(signals).ok_or(io::ErrorKind::WouldBlock.into());
            let Ok(signal) = self.source.when_ready(Interest::Readable, next).await else { continue };
            match signal.order {
                signals::Order::Stop => return Order::Stop,
                signals::Order::Quit => return Order::Quit,
                signals::Order::Reopen if !self.has_master => return Order::Reopen,
                signals::Order::Reload if !self.has_master => return Order::CannotReload { asked_by: signal.value },
                _ => {}
            }
        }
    }
}
