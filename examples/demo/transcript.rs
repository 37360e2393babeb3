//! A conversation with a server, shown line by line. What is secret is masked.

use anyhow::{Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpStream, ToSocketAddrs};

/// One connection.
pub(crate) struct Transcript {
    stream: BufStream<TcpStream>,
}

impl Transcript {
    /// Connects, and shows a heading and the greeting.
    pub(crate) async fn open(protocol: &str, address: impl ToSocketAddrs) -> Result<Transcript> {
        let stream = TcpStream::connect(address).await?;
        println!("\n== {protocol}, from {} to {}", stream.local_addr()?, stream.peer_addr()?);
        let mut transcript = Transcript { stream: BufStream::new(stream) };
        transcript.hear().await?;
        Ok(transcript)
    }

    /// Says a line.
    pub(crate) async fn say(&mut self, line: &str) -> Result<()> {
        self.say_secret(line, "").await
    }

    /// Says a line and then, in the same line, a secret.
    pub(crate) async fn say_secret(&mut self, line: &str, secret: &str) -> Result<()> {
        println!("C: {line}{}", if secret.is_empty() { "" } else { "********" });
        self.stream.write_all(format!("{line}{secret}\r\n").as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next line, without its end.
    pub(crate) async fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            bail!("the connection was closed");
        }
        let line = line.trim_end_matches(['\r', '\n']).to_string();
        println!("S: {line}");
        Ok(line)
    }

    /// The lines up to and with the first for which `last` is true.
    pub(crate) async fn hear_until(&mut self, last: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let mut lines = vec![self.hear().await?];
        while !last(&lines[lines.len() - 1]) {
            lines.push(self.hear().await?);
        }
        Ok(lines)
    }
}
