//! TLS towards clients.
//!
//! A [`Context`] is what the `ssl_*` directives of one server block come to. An [`Entrance`] stands at each listening
//! socket: it has the contexts of the server blocks behind it, picks one by the name that the client asks for, and runs
//! the handshake.
//!
//! What is promised, whatever is configured: no renegotiation, no early data, no compression; a session is taken up again
//! only with the certificate and verification settings that it began with; a client that offers only protocols of
//! others (ALPN) is refused; a handshake never waits for a lock that another one holds while it computes.
//!
//! Known gaps: `ssl_ecdh_curve`, TLS 1.3 cipher suites (`ssl_conf_command Ciphersuites`) and the session cache are those
//! of the first server block at the socket, as with nginx.

mod context;
mod entrance;
mod resumption;
mod verify;

pub use context::Context;
pub use entrance::Entrance;
pub use verify::{CertificateRefusal, check_client_certificate};

#[cfg(test)]
mod tests;
