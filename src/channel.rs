//! The line between master and worker: a pair of sockets, on which messages travel with descriptors.
//!
//! A message is one packet or more: the kernel takes only so many bytes and descriptors with each. The first byte of a
//! packet says whether it is the last.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{MaybeUninit, take};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How many descriptors travel with one packet; Linux takes 253.
const DESCRIPTORS: usize = 200;

/// The largest packet, bytes.
const LARGEST: usize = 64 * 1024;

const MORE: u8 = 1;
const LAST: u8 = 0;

/// What the master says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// A configuration, the first or a new one. With it: the bundle, the listening sockets in the order of
    /// [`crate::config::Config::sockets`], the files of these names.
    Load {
        /// How many listening sockets there are.
        sockets: usize,
        /// The names of the logs.
        logs: Vec<String>,
    },
    /// The logs were opened anew. With it: the files of these names.
    Reopened {
        /// The names of the logs.
        logs: Vec<String>,
    },
    /// Accept nothing more, and end with the last session.
    Quit,
    /// End now.
    Stop,
}

/// What the worker says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToMaster {
    /// The configuration that was loaded is in force.
    Ready,
    /// It is not, and nothing has changed; why.
    Failed(Vec<String>),
}

/// A new line: its two ends.
///
/// # Errors
/// When the system has no more descriptors.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a message.
///
/// # Errors
/// When the other end is gone.
pub fn send<M: Serialize>(socket: BorrowedFd<'_>, message: &M, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let packed = postcard::to_allocvec(message).map_err(io::Error::other)?;
    let (mut bodies, mut chunks) = (packed.chunks(LARGEST - 1), descriptors.chunks(DESCRIPTORS));
    let packets = bodies.len().max(chunks.len()).max(1);
    for packet in 1..=packets {
        let head = if packet == packets { LAST } else { MORE };
        send_packet(socket, &[head], bodies.next().unwrap_or_default(), chunks.next().unwrap_or_default())?;
    }
    Ok(())
}

fn send_packet(socket: BorrowedFd<'_>, head: &[u8], body: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for a packet"));
    }
    let parts = [IoSlice::new(head), IoSlice::new(body)];
    loop {
        match sendmsg(socket, &parts, &mut ancillary, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// The receiving end: keeps what has come of a message until it is whole.
#[derive(Default)]
pub struct Inbox {
    body: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    /// Messages of one packet, without descriptors, are all that is taken.
    wary: bool,
}

impl Inbox {
    /// For the master, who is given nothing by a worker but words: descriptors, were they kept, would fill its table.
    pub fn wary() -> Inbox {
        Inbox { wary: true, ..Inbox::default() }
    }

    /// Receives a message. None when the other end is gone. Of its descriptors, those are missing, the last first, that
    /// this process may not have any more.
    ///
    /// # Errors
    /// `WouldBlock` when there is none yet and `flags` have `DONTWAIT`; others when it makes no sense.
    pub fn receive<M: DeserializeOwned>(
        &mut self,
        socket: BorrowedFd<'_>,
        flags: RecvFlags,
    ) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let mut packet = vec![0; LARGEST];
        loop {
            let length = self.packet(socket, flags, &mut packet)?;
            match packet[..length].split_first() {
                None => return Ok(None),
                Some((&MORE, _)) if self.wary => return Err(io::Error::other("a message that goes on")),
                Some((&head, body)) => {
                    self.body.extend(body);
                    if head != MORE {
                        let (body, descriptors) = (take(&mut self.body), take(&mut self.descriptors));
                        return Ok(Some((postcard::from_bytes(&body).map_err(io::Error::other)?, descriptors)));
                    }
                }
            }
        }
    }

    fn packet(&mut self, socket: BorrowedFd<'_>, flags: RecvFlags, packet: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(packet)];
            match recvmsg(socket, &mut parts, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        for message in ancillary.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(descriptors) if self.wary => descriptors.for_each(drop),
                RecvAncillaryMessage::ScmRights(descriptors) => self.descriptors.extend(descriptors),
                _ => {}
            }
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::Error::other("a message was cut"));
        }
        Ok(received.bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_message_with_many_descriptors_arrives_whole() {
        let (ours, theirs) = pair().unwrap();
        let message = ToWorker::Load { sockets: 449, logs: vec!["error.log".to_string()] };
        let descriptors = vec![theirs.as_fd(); 450];
        send(ours.as_fd(), &message, &descriptors).unwrap();
        send(ours.as_fd(), &ToWorker::Quit, &[]).unwrap();
        drop(ours);
        let mut inbox = Inbox::default();
        let (received, with) = inbox.receive::<ToWorker>(theirs.as_fd(), RecvFlags::empty()).unwrap().unwrap();
        assert_eq!((received, with.len()), (message, 450));
        let (received, with) = inbox.receive::<ToWorker>(theirs.as_fd(), RecvFlags::empty()).unwrap().unwrap();
        assert_eq!((received, with.len()), (ToWorker::Quit, 0));
        assert!(inbox.receive::<ToWorker>(theirs.as_fd(), RecvFlags::empty()).unwrap().is_none());
    }

    #[test]
    fn a_message_with_many_bytes_arrives_whole() {
        let (ours, theirs) = pair().unwrap();
        let logs: Vec<String> = (0..3000).map(|number| format!("/var/log/{number:090}")).collect();
        let message = ToWorker::Reopened { logs };
        let sender = std::thread::spawn(move || {
            for descriptors in [0, 1, 450] {
                send(ours.as_fd(), &message, &vec![ours.as_fd(); descriptors]).unwrap();
            }
            message
        });
        let mut inbox = Inbox::default();
        let received = [0, 1, 450].map(|descriptors| {
            let (received, with) = inbox.receive::<ToWorker>(theirs.as_fd(), RecvFlags::empty()).unwrap().unwrap();
            assert_eq!(with.len(), descriptors);
            received
        });
        let message = sender.join().unwrap();
        assert!(received.iter().all(|received| *received == message));
    }

    #[test]
    fn the_master_takes_no_descriptors() {
        let (ours, theirs) = pair().unwrap();
        let mut inbox = Inbox::wary();
        send(theirs.as_fd(), &ToMaster::Ready, &[theirs.as_fd(); 3]).unwrap();
        let (_, with) = inbox.receive::<ToMaster>(ours.as_fd(), RecvFlags::empty()).unwrap().unwrap();
        assert!(with.is_empty());
        send(theirs.as_fd(), &ToMaster::Ready, &[theirs.as_fd(); 300]).unwrap();
        assert!(inbox.receive::<ToMaster>(ours.as_fd(), RecvFlags::empty()).is_err());
        assert!(inbox.descriptors.is_empty());
    }
}
