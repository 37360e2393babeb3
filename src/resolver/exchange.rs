//! One question to one name server: over UDP, and over TCP if the answer does not fit.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use hickory_proto::op::{Message, Query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Failure, answer};
use crate::addr::Address;
use crate::event_loop::udp::UdpSocket;
use crate::stream::Socket;

/// More than a server sends over UDP to somebody who does not ask for more.
const MAX_DATAGRAM: usize = 4096;

/// Asks, and waits for the answer as long as the caller does. The port and the number of the question are random; what
/// does not answer it is ignored.
///
/// # Errors
/// [`Failure::Unreachable`] if the server cannot be reached, [`Failure::TimedOut`] if it hangs up, [`Failure::Format`] if its
/// answer cannot be read.
pub(super) async fn exchange(server: SocketAddr, query: &Query) -> Result<Message, Failure> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(query.clone());
    let failed = |error| failure(server, &error);
    let answer = over_udp(server, &question).await.map_err(failed)?;
    if answer.metadata.truncation { over_tcp(server, &question).await.map_err(failed) } else { Ok(answer) }
}

fn failure(server: SocketAddr, error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(code) => Failure::Unreachable(server, code),
        None if error.kind() == ErrorKind::InvalidData => Failure::Format,
        None => Failure::TimedOut,
    }
}

async fn over_udp(server: SocketAddr, question: &Message) -> io::Result<Message> {
    let socket = UdpSocket::connect(server)?;
    socket.send(&bytes(question)?).await?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let size = socket.receive(&mut buffer).await?;
        if let Some(answer) = answer::message(&buffer[..size], question)? {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &Message) -> io::Result<Message> {
    let mut stream = Socket::connect(&Address::Ip(server)).await?;
    let question_bytes = bytes(question)?;
    let length = u16::try_from(question_bytes.len()).map_err(answer::invalid)?;
    stream.write_all(&[&length.to_be_bytes()[..], &question_bytes].concat()).await?;
    let mut answer_bytes = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer_bytes).await?;
    answer::message(&answer_bytes, question)?.ok_or_else(|| ErrorKind::InvalidData.into())
}

fn bytes(question: &Message) -> io::Result<Vec<u8>> {
    question.to_vec().map_err(answer::invalid)
}
