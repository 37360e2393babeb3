//! A connection: bounded lines, literals and dot-terminated messages in, bytes out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest command line, bytes: mail clients name many messages in one command.
const LINE_LIMIT: usize = 64 * 1024;
/// How long a client may say nothing.
const IDLE_LIMIT: Duration = Duration::from_secs(30 * 60);
/// The end of a message in SMTP, with the end of its last line.
const END_OF_DATA: &[u8] = b"\r\n.\r\n";

/// One client's connection.
pub(crate) struct Wire {
    stream: TcpStream,
    peer: SocketAddr,
    received: Vec<u8>,
}

impl Wire {
    /// # Errors
    /// When the connection is gone already.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Wire> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        Ok(Wire { stream, peer, received: Vec::new() })
    }

    /// Where the connection comes from.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The next line, without its end (LF or CRLF). May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// When the client closes the connection, is silent for too long, or the line is too long.
    pub(crate) async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.received[seen..].iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.received.drain(..=seen + end).collect();
                line.pop();
                line.pop_if(|last| *last == b'\r');
                return Ok(line);
            }
            seen = self.received.len();
            if seen >= LINE_LIMIT {
                return Err(io::Error::other("line too long"));
            }
            self.fill().await?;
        }
    }

    /// Exactly `count` bytes. The caller has checked that it is not too many.
    ///
    /// # Errors
    /// As for [`Wire::line`].
    pub(crate) async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < count {
            self.fill().await?;
        }
        Ok(self.received.drain(..count).collect())
    }

    /// A message as SMTP's DATA sends it, up to CRLF `.` CRLF and nothing else, with the dots that were stuffed taken
    /// out. `None` if it has more than `limit` bytes; it is read to its end nevertheless.
    ///
    /// # Errors
    /// When the client closes the connection or is silent for too long.
    pub(crate) async fn data(&mut self, limit: usize) -> io::Result<Option<Vec<u8>>> {
        // An empty message has no line before its dot: DATA's own CRLF serves.
        let mut data = b"\r\n".to_vec();
        let mut fits = true;
        let mut seen = 0;
        loop {
            data.append(&mut self.received);
            if let Some(at) = data[seen..].windows(END_OF_DATA.len()).position(|bytes| bytes == END_OF_DATA) {
                let end = seen + at + 2;
                self.received = data.split_off(end + END_OF_DATA.len() - 2);
                data.truncate(end);
                return Ok((fits && data.len() <= limit + 2).then(|| unstuffed(&data)));
            }
            if data.len() > limit + END_OF_DATA.len() {
                fits = false;
                data.drain(..data.len() - END_OF_DATA.len());
            }
            seen = data.len().saturating_sub(END_OF_DATA.len() - 1);
            self.fill().await?;
        }
    }

    /// # Errors
    /// When the client is gone.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(IDLE_LIMIT, self.stream.write_all(bytes)).await?
    }

    async fn fill(&mut self) -> io::Result<()> {
        match timeout(IDLE_LIMIT, self.stream.read_buf(&mut self.received)).await?? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Takes the CRLF in front away, and the first dot of each line that begins with one (RFC 5321, section 4.5.2).
fn unstuffed(data: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(data.len());
    for (at, &byte) in data.iter().enumerate().skip(2) {
        if !(byte == b'.' && data[..at].ends_with(b"\r\n")) {
            message.push(byte);
        }
    }
    message
}

/// Stuffs dots as POP3 and SMTP want it, and ends the message with its dot.
pub(crate) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(message.len() + 64);
    for (at, &byte) in message.iter().enumerate() {
        if byte == b'.' && (at == 0 || message[..at].ends_with(b"\r\n")) {
            data.push(b'.');
        }
        data.push(byte);
    }
    if !data.is_empty() && !data.ends_with(b"\r\n") {
        data.extend(b"\r\n");
    }
    data.extend(b".\r\n");
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stuffed_comes_back() {
        for message in ["", "a\r\n", ".\r\n", "..\r\n.a\r\nb.\r\n\r\n.", "\n.\n", "\r\n.", "a\r.b\r\n"] {
            let sent = [b"\r\n", &stuffed(message.as_bytes())[..]].concat();
            let end = sent.len() - 3;
            assert!(sent[..end + 2].windows(5).all(|bytes| bytes != END_OF_DATA), "{message:?}");
            let received = unstuffed(&sent[..end]);
            assert_eq!(
                received.strip_prefix(message.as_bytes()).map(<[u8]>::len),
                Some(received.len() - message.len())
            );
            assert!(received.len() - message.len() <= 2, "{message:?}");
        }
    }
}
