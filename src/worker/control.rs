//! The worker's end of the line to the master.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::Context as _;
use rustix::net::RecvFlags;

use super::Order;
use super::load::{self, Load};
use crate::channel::{self, Inbox, ToMaster, ToWorker};
use crate::event_loop::{Interest, Source};

/// The line.
pub struct Control {
    socket: Source,
    inbox: Inbox,
}

/// What the master wants next; nothing ever, where there is none.
pub async fn next(control: &mut Option<Control>) -> Order {
    match control {
        // What cannot be understood comes of a master that has lost its mind, which is no better than none.
        Some(control) => control.order().await.unwrap_or(Order::MasterGone),
        None => std::future::pending().await,
    }
}

impl Control {
    /// Takes the socket into the event loop.
    pub fn new(socket: OwnedFd) -> anyhow::Result<Control> {
        let socket = Source::shared(socket).context("the master cannot be heard")?;
        Ok(Control { socket, inbox: Inbox::default() })
    }

    /// Tells the master.
    pub fn say(&self, message: &ToMaster) -> io::Result<()> {
        channel::send(self.socket.as_fd(), message, &[])
    }

    async fn order(&mut self) -> io::Result<Order> {
        let Control { socket, inbox } = self;
        let receive = |socket: BorrowedFd<'_>| inbox.receive::<ToWorker>(socket, RecvFlags::DONTWAIT);
        let received = socket.when_ready(Interest::Readable, receive).await?;
        Ok(match received {
            None => Order::MasterGone,
            Some((ToWorker::Stop, _)) => Order::Stop,
            Some((ToWorker::Quit, _)) => Order::Quit,
            Some((ToWorker::Reopened { logs }, files)) => {
                Order::Reopened { missing: logs.len() - files.len().min(logs.len()), files: load::name(logs, files) }
            }
            Some((ToWorker::Load { sockets, logs }, descriptors)) => Order::Load(Load::new(sockets, logs, descriptors)),
        })
    }
}
