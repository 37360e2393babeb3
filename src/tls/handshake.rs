//! Handshakes that fail: whose fault it is, and nginx's words for it.

use std::fmt;
use std::io;

use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode};

use super::{error, ffi};
use crate::log::{Errno, Level};

/// Why there is no TLS connection. `Display` is the log's message.
#[derive(Debug)]
pub struct HandshakeError {
    level: Level,
    message: String,
    about_certificate: bool,
}

impl HandshakeError {
    /// The level at which the log gets it: `peers_fault` for what the peer or the network did, `crit` for the rest.
    pub(super) fn new(error: &ssl::Error, peers_fault: Level) -> HandshakeError {
        let stack = error.ssl_error().filter(|stack| !stack.errors().is_empty());
        match stack {
            None => HandshakeError::closed(error.io_error(), peers_fault),
            Some(stack) => {
                let level = if is_peers_fault(error.code(), stack) { peers_fault } else { Level::Crit };
                HandshakeError::other(level, error::failed("SSL_do_handshake()", stack))
            }
        }
    }

    /// It did not even begin.
    pub(super) fn setup(call: &str, errors: &ErrorStack) -> HandshakeError {
        HandshakeError::other(Level::Alert, error::failed(call, errors))
    }

    /// The peer's certificate is not good.
    pub(super) fn certificate(message: String) -> HandshakeError {
        HandshakeError { about_certificate: true, ..HandshakeError::other(Level::Error, message) }
    }

    fn other(level: Level, message: String) -> HandshakeError {
        HandshakeError { level, message, about_certificate: false }
    }

    /// Whether it failed because the peer's certificate is not good.
    pub fn is_about_certificate(&self) -> bool {
        self.about_certificate
    }

    fn closed(error: Option<&io::Error>, level: Level) -> HandshakeError {
        const TEXT: &str = "peer closed connection in SSL handshake";
        let message = error.map_or_else(|| TEXT.to_owned(), |error| format!("{TEXT}{}", Errno(error)));
        HandshakeError::other(level, message)
    }

    /// The level at which the log gets it.
    pub fn level(&self) -> Level {
        self.level
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HandshakeError {}

fn is_peers_fault(code: ErrorCode, stack: &ErrorStack) -> bool {
    // An alert of the peer, by its number (SSL_AD_REASON_OFFSET).
    const ALERTS: std::ops::RangeInclusive<i32> = 1000..=1255;
    let reason = stack.errors().last().map_or(0, openssl::error::Error::reason_code);
    code == ErrorCode::SSL && (ALERTS.contains(&reason) || ffi::PEERS_FAULTS.binary_search(&reason).is_ok())
}
