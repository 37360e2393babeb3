//! What contexts of both sides have in common.

use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslMode, SslOptions};

use super::ffi;
use super::options::Protocols;

/// Sets what no directive can change, and the protocol versions.
pub(super) fn set(context: &mut SslContextBuilder, protocols: Protocols) -> Result<(), ErrorStack> {
    let versions = [
        (protocols.sslv3, SslOptions::NO_SSLV3),
        (protocols.tlsv1, SslOptions::NO_TLSV1),
        (protocols.tlsv1_1, SslOptions::NO_TLSV1_1),
        (protocols.tlsv1_2, SslOptions::NO_TLSV1_2),
        (protocols.tlsv1_3, SslOptions::NO_TLSV1_3),
    ];
    for (enabled, option) in versions {
        match enabled {
            true => context.clear_options(option),
            false => context.set_options(option),
        };
    }
    // Whatever openssl.cnf says: the directive is the answer.
    context.set_min_proto_version(None)?;
    context.set_max_proto_version(None)?;
    context.set_options(ffi::ALWAYS);
    context.set_mode(
        SslMode::RELEASE_BUFFERS
            | SslMode::NO_AUTO_CHAIN
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER,
    );
    context.set_read_ahead(true);
    Ok(())
}
