//! A server's end of a connection, which fails when it is time to.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use openssl::ssl::{Ssl, SslContext};
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_openssl::SslStream;

use crate::lines::Lines;
use crate::stream::Stream;
use crate::weather::{Fault, Phase, Plan, Weather, Who};

/// What a server says that is not of the protocol.
pub(crate) const GARBAGE: &[u8] = b"\xff\0GARBAGE\0\xff 250 + \r* \n\r\n{99999999999999999999}\r\n-\r\n\x80\x81\r\n";
/// How long a server hangs whose session is meant to fail so.
const HANG: Duration = Duration::from_secs(60);
/// Between two bytes of one that is slow.
const PACE: Duration = Duration::from_secs(1);

/// A connection, and what is to go wrong with it.
pub(crate) struct Peer {
    lines: Lines<Stream>,
    weather: Arc<Weather>,
    who: Who,
    pub(crate) plan: Option<Plan>,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream, weather: &Arc<Weather>, who: Who, plan: Option<Plan>) -> Peer {
        Peer { lines: Lines::new(Stream::Plain(stream)), weather: weather.clone(), who, plan }
    }

    /// Says that, or does what is wrong at this point instead: then it may be an error.
    pub(crate) async fn say(&mut self, phase: Phase, bytes: &[u8]) -> Result<()> {
        let planned = self.plan.filter(|plan| plan.phase == phase).map(|plan| plan.fault);
        match planned.or_else(|| self.weather.sky().fault(self.who)) {
            None => self.lines.send(bytes).await,
            Some(Fault::Stop | Fault::Reset) => {
                reset(&self.lines.stream);
                bail!("reset");
            }
            Some(Fault::Garbage) => {
                self.lines.send(GARBAGE).await?;
                bail!("garbage");
            }
            Some(Fault::Slow) => {
                for byte in bytes {
                    self.lines.send(&[*byte]).await?;
                    sleep(PACE).await;
                }
                Ok(())
            }
            Some(Fault::Hang) => {
                self.hang(planned.is_some()).await?;
                self.lines.send(bytes).await
            }
        }
    }

    /// Waits for better times; an error if the other side does not. It has nothing to say meanwhile but goodbye.
    async fn hang(&mut self, planned: bool) -> Result<()> {
        let end = async {
            if planned { sleep(HANG).await } else { self.weather.until(self.who, |fault| fault.is_none()).await }
        };
        let mut dropped = [0; 4096];
        tokio::select! {
            () = end => Ok(()),
            read = self.lines.stream.read(&mut dropped) => bail!("{} bytes, or the end, in vain", read?),
        }
    }

    /// The next line; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        let line = tokio::select! {
            line = self.lines.next() => Some(line?),
            () = self.weather.until(self.who, strikes) => None,
        };
        line.map_or_else(|| self.struck(), Ok)
    }

    /// The same; an error at the end.
    pub(crate) async fn line(&mut self) -> Result<String> {
        self.next().await?.context("the end")
    }

    /// Bytes: as many as there are, at most those that fit.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = tokio::select! {
            count = self.lines.read(buffer) => Some(count?),
            () = self.weather.until(self.who, strikes) => None,
        };
        count.map_or_else(|| self.struck(), Ok)
    }

    /// A line that may have something behind it that is no line.
    pub(crate) async fn line_alone(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(self.lines.stream.read_u8().await?);
        }
        Ok(line)
    }

    /// Begins TLS.
    pub(crate) async fn encrypt(mut self, context: &SslContext) -> Result<Peer> {
        self.say(Phase::Handshake, b"").await?;
        let Stream::Plain(socket) = self.lines.stream else { bail!("TLS twice") };
        let mut stream = Box::new(SslStream::new(Ssl::new(context)?, socket)?);
        timeout(HANG, Pin::new(&mut *stream).accept()).await??;
        Ok(Peer { lines: Lines::new(Stream::Tls(stream)), ..self })
    }

    fn struck<T>(&self) -> Result<T> {
        reset(&self.lines.stream);
        bail!("reset with all others");
    }
}

/// Whether connections end with a reset.
fn strikes(fault: Option<Fault>) -> bool {
    matches!(fault, Some(Fault::Stop | Fault::Reset))
}

/// The connection will be reset when it is dropped.
pub(crate) fn reset(stream: &Stream) {
    let socket = match stream {
        Stream::Plain(socket) => socket,
        Stream::Tls(stream) => stream.get_ref(),
    };
    // It may be gone already.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
