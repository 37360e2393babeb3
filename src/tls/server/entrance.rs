//! The way in from one listening socket: which server block the client means, and the handshake.
//!
//! The choice is made on the ClientHello, before anything else is: the protocol versions, the certificate, and which
//! sessions may be resumed are all those of the chosen block.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use openssl::ex_data::Index;
use openssl::ssl::{NameType, SniError, Ssl, SslContextBuilder, SslRef, SslVerifyMode, SslVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use super::Context;
use crate::log::Level;
use crate::tls::options::VerifyClient;
use crate::tls::{Gather, HandshakeError, ffi};

/// The server blocks at one listening socket.
#[derive(Debug, Clone)]
pub struct Entrance(Arc<Blocks>);

#[derive(Debug)]
struct Blocks {
    contexts: Vec<Context>,
    /// Exact names and those behind a `*`, in lower case, with the place of their block.
    names: HashMap<Box<[u8]>, usize>,
}

/// What is known of a connection during its handshake.
struct Connection {
    blocks: Arc<Blocks>,
    chosen: usize,
    by_name: bool,
}

static CONNECTION: LazyLock<Index<Ssl, Connection>> =
    LazyLock::new(|| Ssl::new_ex_index().expect("OpenSSL has memory for one more index"));

impl Entrance {
    /// The blocks with their `server_name`s: names, or `*.` and a name for all below it. The first block is for clients
    /// that ask for none of them, and the first of two with the same name has it.
    ///
    /// # Panics
    /// Without a block.
    pub fn new(blocks: &[(&[String], &Context)]) -> Entrance {
        assert!(!blocks.is_empty(), "a socket without a server block");
        let mut names = HashMap::new();
        for (place, (block_names, _)) in blocks.iter().enumerate() {
            for name in *block_names {
                let name = name.strip_prefix('*').unwrap_or(name).to_ascii_lowercase();
                names.entry(name.into_bytes().into_boxed_slice()).or_insert(place);
            }
        }
        let contexts = blocks.iter().map(|(_, context)| (*context).clone()).collect();
        Entrance(Arc::new(Blocks { contexts, names }))
    }

    /// Runs the handshake. Gives the place of the server block that the client means, too.
    ///
    /// # Errors
    /// When it fails. There is nothing left to be said to the client then.
    pub async fn accept<S>(&self, socket: S) -> Result<(SslStream<Gather<S>>, usize), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = self.begin(Gather::new(socket))?;
        let done = poll_fn(|cx| {
            ffi::clear_errors();
            Pin::new(&mut stream).poll_accept(cx)
        })
        .await;
        let only_tickets = done.is_ok() && stream.ssl().version2() == Some(SslVersion::TLS1_3);
        stream.get_mut().handshake_done(!only_tickets).await;
        done.map_err(|error| HandshakeError::new(&error, Level::Info))?;
        ffi::clear_errors();
        let chosen = stream.ssl().ex_data(*CONNECTION).map_or(0, |connection| connection.chosen);
        Ok((stream, chosen))
    }

    fn begin<S: AsyncRead + AsyncWrite>(&self, socket: S) -> Result<SslStream<S>, HandshakeError> {
        let first = &self.0.contexts[0];
        let mut ssl = Ssl::new(&first.ssl).map_err(|errors| HandshakeError::setup("SSL_new()", &errors))?;
        ffi::shed_after_handshake(&mut ssl);
        ssl.set_ex_data(*CONNECTION, Connection { blocks: self.0.clone(), chosen: 0, by_name: false });
        SslStream::new(ssl, socket).map_err(|errors| HandshakeError::setup("SSL_set_bio()", &errors))
    }
}

impl Blocks {
    fn find(&self, name: &[u8]) -> Option<usize> {
        let name = name.strip_suffix(b".").unwrap_or(name).to_ascii_lowercase();
        let below = name.iter().enumerate().filter(|&(at, &byte)| byte == b'.' && at > 0).map(|(at, _)| &name[at..]);
        std::iter::once(&name[..]).chain(below).find_map(|name| self.names.get(name)).copied()
    }
}

/// Makes a context choose.
pub(super) fn set_callbacks(context: &mut SslContextBuilder) {
    ffi::on_client_hello(context, choose);
    // RFC 6066, section 3: a name that was used is confirmed.
    context.set_servername_callback(|ssl, _| {
        let used = ssl.servername_raw(NameType::HOST_NAME).is_some()
            && ssl.ex_data(*CONNECTION).is_some_and(|connection| connection.by_name);
        if used { Ok(()) } else { Err(SniError::NOACK) }
    });
}

/// May be called twice: the client says hello again if the server asks it to (RFC 8446, section 4.1.4).
fn choose(ssl: &mut SslRef) {
    let Some(connection) = ssl.ex_data(*CONNECTION) else { return };
    let (blocks, before) = (connection.blocks.clone(), connection.chosen);
    let name = ffi::server_name_extension(ssl).and_then(host_name);
    let Some(chosen) = name.and_then(|name| blocks.find(name)) else { return };
    if chosen != before {
        enter(ssl, &blocks.contexts[chosen]);
    }
    if let Some(connection) = ssl.ex_data_mut(*CONNECTION) {
        connection.chosen = chosen;
        connection.by_name = blocks.contexts.len() > 1;
    }
}

/// Takes over from another block's context what a mere change of context does not bring along.
fn enter(ssl: &mut SslRef, context: &Context) {
    // Fails only without memory; the handshake then goes on with the certificate of the first block.
    if ssl.set_ssl_context(&context.ssl).is_err() {
        return;
    }
    ffi::adopt_options(ssl, &context.ssl);
    let verify = if context.verify == VerifyClient::Off { SslVerifyMode::NONE } else { SslVerifyMode::PEER };
    ssl.set_verify_callback(verify, |_, _| true);
    ssl.param_mut().set_depth(i32::try_from(context.verify_depth).unwrap_or(i32::MAX));
}

/// The longest host name, bytes: as many as OpenSSL takes. What is done for a name grows with the square of its length.
const LONGEST_NAME: usize = 255;

/// The host name in an extension `server_name` (RFC 6066, section 3), if it is well formed. OpenSSL refuses others later.
fn host_name(extension: &[u8]) -> Option<&[u8]> {
    let (length, list) = extension.split_first_chunk()?;
    let list = list.get(..usize::from(u16::from_be_bytes(*length)))?;
    let (kind, entry) = list.split_first()?;
    let (length, name) = entry.split_first_chunk()?;
    if *kind != 0 {
        return None;
    }
    name.get(..usize::from(u16::from_be_bytes(*length))).filter(|name| name.len() <= LONGEST_NAME)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn host_names_in_extensions() {
        assert_eq!(host_name(b"\x00\x06\x00\x00\x03a.b"), Some(&b"a.b"[..]));
        assert_eq!(host_name(b"\x00\x0a\x00\x00\x03a.b\x00\x00\x01c"), Some(&b"a.b"[..]));
        assert_eq!(host_name(b"\x00\x06\x01\x00\x03a.b"), None, "not a host name");
        let whole = b"\x00\x06\x00\x00\x03a.b";
        for length in 0..whole.len() {
            assert_eq!(host_name(&whole[..length]), None);
        }
        assert_eq!(host_name(b"\x00\x05\x00\x00\x03a.b"), None, "beyond the list");
        for (length, is_name) in [(255, true), (256, false), (60_000, false)] {
            let mut extension = u16::try_from(length + 3).unwrap().to_be_bytes().to_vec();
            extension.push(0);
            extension.extend(u16::try_from(length).unwrap().to_be_bytes());
            extension.resize(extension.len() + length, b'.');
            assert_eq!(host_name(&extension).is_some(), is_name, "{length}");
        }
    }
}
