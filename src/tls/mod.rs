//! TLS on both sides.

mod basics;
pub mod client;
mod error;
pub mod facts;
mod ffi;
mod handshake;
pub mod options;
mod pem;
pub mod server;
mod sessions;
#[cfg(test)]
pub(crate) mod testing;
mod tickets;

pub use handshake::HandshakeError;
pub use sessions::Caches;
