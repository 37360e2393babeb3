//! Handshakes that fail: whose fault it is, and nginx's words for it.

use std::fmt;
use std::io;

use openssl::error::ErrorStack;
use openssl::ssl::{self, ErrorCode};

use super::error;
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
    code == ErrorCode::SSL && (ALERTS.contains(&reason) || PEERS_FAULTS.binary_search(&reason).is_ok())
}

/// The reasons (`SSL_R_...`) that a peer can bring about as it likes, in ascending order: nginx logs them at level
/// `info`.
const PEERS_FAULTS: &[i32] = &[
    101, // NO_SUITABLE_KEY_SHARE
    102, // BAD_ALERT
    103, // BAD_CHANGE_CIPHER_SPEC
    108, // BAD_KEY_SHARE
    110, // BAD_EXTENSION
    111, // BAD_DIGEST_LENGTH
    112, // MISSING_SIGALGS_EXTENSION
    115, // BAD_PACKET_LENGTH
    118, // NO_SUITABLE_SIGNATURE_ALGORITHM
    122, // BAD_KEY_UPDATE
    129, // BLOCK_CIPHER_PAD_IS_WRONG
    133, // CCS_RECEIVED_EARLY
    137, // DECODE_ERROR
    145, // DATA_BETWEEN_CCS_AND_FINISHED
    146, // DATA_LENGTH_TOO_LONG
    149, // DIGEST_CHECK_FAILED
    150, // ENCRYPTED_LENGTH_TOO_LONG
    151, // ERROR_IN_RECEIVED_CIPHER_LIST
    152, // EXCESSIVE_MESSAGE_SIZE
    154, // GOT_A_FIN_BEFORE_A_CCS
    155, // HTTPS_PROXY_REQUEST
    156, // HTTP_REQUEST
    159, // LENGTH_MISMATCH
    160, // LENGTH_TOO_SHORT
    182, // NO_RENEGOTIATION, NO_CIPHERS_PASSED
    183, // NO_CIPHERS_SPECIFIED
    186, // BAD_CIPHER
    187, // NO_COMPRESSION_SPECIFIED
    193, // NO_SHARED_CIPHER
    198, // PACKET_LENGTH_TOO_LONG
    205, // INVALID_ALERT
    213, // RECORD_LENGTH_MISMATCH
    220, // TOO_MANY_WARNING_ALERTS
    226, // CLIENTHELLO_TLSEXT
    227, // PARSE_TLSEXT
    234, // CALLBACK_FAILED
    235, // NO_APPLICATION_PROTOCOL
    244, // UNEXPECTED_MESSAGE
    245, // UNEXPECTED_RECORD
    246, // UNKNOWN_ALERT_TYPE
    252, // UNKNOWN_PROTOCOL
    253, // NO_COMMON_SIGNATURE_ALGORITHMS
    256, // INVALID_COMPRESSION_LIST
    258, // UNSUPPORTED_PROTOCOL
    266, // NO_SHARED_GROUP
    267, // WRONG_VERSION_NUMBER
    270, // TOO_MUCH_SKIPPED_EARLY_DATA
    271, // BAD_LENGTH
    281, // DECRYPTION_FAILED_OR_BAD_RECORD_MAC
    291, // APPLICATION_DATA_AFTER_CLOSE_NOTIFY
    292, // BAD_LEGACY_VERSION
    293, // MIXED_HANDSHAKE_AND_NON_HANDSHAKE_DATA
    298, // RECORD_TOO_SMALL
    300, // SSL3_SESSION_ID_TOO_LONG
    306, // BAD_ECPOINT
    313, // RECORD_LAYER_FAILURE
    335, // RENEGOTIATE_EXT_TOO_LONG
    336, // RENEGOTIATION_ENCODING_ERR
    337, // RENEGOTIATION_MISMATCH
    338, // UNSAFE_LEGACY_RENEGOTIATION_DISABLED
    345, // SCSV_RECEIVED_WHEN_RENEGOTIATING
    373, // INAPPROPRIATE_FALLBACK
    376, // NO_SHARED_SIGNATURE_ALGORITHMS
    377, // CERT_CB_ERROR
    396, // VERSION_TOO_LOW
    409, // TOO_MANY_WARN_ALERTS
    443, // BAD_RECORD_TYPE
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(PEERS_FAULTS.is_sorted());
    }
}
