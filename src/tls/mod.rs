//! TLS on both sides.

mod basics;
pub mod client;
mod conf;
mod error;
pub mod facts;
mod ffi;
mod gather;
mod handshake;
pub mod options;
mod pem;
pub mod server;
mod sessions;
#[cfg(test)]
pub(crate) mod testing;
mod tickets;

use std::io;
use std::pin::Pin;

use openssl::ssl;
use tokio_openssl::SslStream;

pub(crate) use ffi::keep_session;
pub use gather::Gather;
pub use handshake::HandshakeError;
pub use sessions::Caches;

/// What OpenSSL says of a failed operation, if it is OpenSSL that failed: ` (SSL: error:...)`.
pub fn reason(error: &io::Error) -> Option<String> {
    let error: &ssl::Error = error.get_ref()?.downcast_ref()?;
    error.ssl_error().map(error::in_brackets)
}

/// A connection, ready for its next operation: with nothing left in the thread's error queue, which an operation that
/// only has to wait would be blamed for.
pub fn clean<S: Unpin>(stream: &mut SslStream<S>) -> Pin<&mut SslStream<S>> {
    ffi::clear_errors();
    Pin::new(stream)
}

/// Whether something can be read without input from the socket.
pub fn has_unread<S>(stream: &SslStream<S>) -> bool {
    ffi::has_unread(stream.ssl())
}

/// Sets where the library's memory comes from, and initialises it. To be called before anything else here: OpenSSL that
/// initialises itself takes itself apart at the program's exit, whatever other threads do with it.
pub fn init() {
    #[cfg(not(feature = "aws-lc"))]
    ffi::set_allocator();
    openssl::init();
}

/// The library that TLS comes from, and its version: `OpenSSL 3.0.17 1 Jul 2025`.
pub fn library() -> String {
    ffi::version()
}
