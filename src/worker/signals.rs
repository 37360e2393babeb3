//! Signals to the process that serves.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Order;

/// All that mean something, and those that would end the process if nobody listened.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    reopen: Signal,
    reload: Signal,
    _others: [Signal; 2],
    /// The logs are opened and the configuration is read by the master, and its signals mean nothing here.
    has_master: bool,
}

impl Signals {
    pub fn new(has_master: bool) -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            reopen: listen(SignalKind::user_defined1())?,
            reload: listen(SignalKind::hangup())?,
            _others: [listen(SignalKind::user_defined2())?, listen(SignalKind::window_change())?],
            has_master,
        })
    }

    /// What the next one asks for, with nginx's meanings.
    pub async fn next(&mut self) -> Order {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Order::Stop,
                _ = self.interrupt.recv() => return Order::Stop,
                _ = self.quit.recv() => return Order::Quit,
                _ = self.reopen.recv() => if !self.has_master { return Order::Reopen },
                _ = self.reload.recv() => if !self.has_master { return Order::CannotReload },
            }
        }
    }
}
