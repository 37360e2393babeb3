//! Lines and blocks of bytes over a connection.

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How much is read at once where lines are expected, bytes.
const LINE: usize = 1024;
/// The same where many bytes are.
const BLOCK: usize = 256 * 1024;

/// A connection that is read by lines.
pub(crate) struct Lines<S> {
    pub(crate) stream: S,
    input: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    pub(crate) fn new(stream: S) -> Lines<S> {
        Lines { stream, input: Vec::new() }
    }

    /// The next line without its end. None at the end of all.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&self.input[..end]).trim_end_matches('\r').to_string();
                self.input.drain(..=end);
                return Ok(Some(line));
            }
            self.input.reserve(LINE);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Waits for a line that begins so.
    pub(crate) async fn expect(&mut self, beginning: &str) -> Result<()> {
        match self.next().await? {
            Some(line) if line.starts_with(beginning) => Ok(()),
            Some(line) => bail!("\"{line}\" instead of \"{beginning}\""),
            None => bail!("the end instead of \"{beginning}\""),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads as many bytes as there are and fit; 0 at the end.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.input.is_empty() {
            return Ok(self.stream.read(buffer).await?);
        }
        let count = self.input.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.input[..count]);
        self.input.drain(..count);
        Ok(count)
    }

    /// Sends that many bytes of no meaning.
    pub(crate) async fn send_block(&mut self, length: usize) -> Result<()> {
        let block = vec![b'x'; BLOCK.min(length)];
        let mut left = length;
        while left > 0 {
            let now = left.min(BLOCK);
            self.send(&block[..now]).await?;
            left -= now;
        }
        Ok(())
    }

    /// Reads that many bytes and forgets them.
    pub(crate) async fn skip(&mut self, length: usize) -> Result<()> {
        let mut left = length;
        let mut block = vec![0; BLOCK.min(left)];
        while left > 0 {
            let now = left.min(BLOCK);
            match self.read(&mut block[..now]).await? {
                0 => bail!("the end, {left} bytes early"),
                count => left -= count,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn lines_and_blocks_in_turn() {
        let (here, there) = tokio::io::duplex(64);
        let (mut here, mut there) = (Lines::new(here), Lines::new(there));
        let writer = tokio::spawn(async move {
            here.send(b"one\r\ntwo\n").await.unwrap();
            here.send_block(1000).await.unwrap();
            here.send(b"three\r\n").await.unwrap();
        });
        there.expect("on").await.unwrap();
        assert_eq!(there.next().await.unwrap().as_deref(), Some("two"));
        there.skip(1000).await.unwrap();
        assert_eq!(there.next().await.unwrap().as_deref(), Some("three"));
        assert_eq!(there.next().await.unwrap(), None);
        writer.await.unwrap();
    }
}
