//! What AWS-LC does in its own way, or not at all: DHE, the commands of SSL_CONF_cmd(3), certificate compression without
//! a compressor of our own.
//!
//! Known gap: `ssl_session_tickets off` leaves TLS 1.3 without resumption, since AWS-LC keeps its sessions in tickets only.

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::path::Path;

use foreign_types::{ForeignType, ForeignTypeRef};
use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::pkey::Params;
use openssl::ssl::{SslCipher, SslContextBuilder, SslContextRef, SslOptions, SslRef, SslSessionRef};
use openssl::stack::StackRef;
use openssl::x509::{X509, X509VerifyResult};
use openssl_sys as sys;

use super::{TicketCallback, TicketLife};

pub(super) use sys::{
    ERR_error_string_n, PEM_R_NO_START_LINE, PEM_read_bio_X509_AUX, SSL_client_hello_get0_ext, SSL_has_pending,
    X509_NAME_print_ex, X509_STORE_add_crl,
};

/// In the crate this is what `Error::code` gives.
pub(super) type ErrorCode = u32;

/// What every context has. The rest of what OpenSSL has to be told is always so here.
pub(in crate::tls) const ALWAYS: SslOptions = SslOptions::NO_RENEGOTIATION;

/// `AWS-LC 1.73.0`
pub(in crate::tls) fn version() -> String {
    // `OpenSSL 1.1.1 (compatible; AWS-LC 1.73.0)`
    let whole = openssl::version::version();
    whole.split_once("; ").map_or(whole, |(_, own)| own.trim_end_matches(')')).to_owned()
}

/// What the library says when it cannot open a file.
pub(in crate::tls) fn open_failed(path: &Path, error: &io::Error) -> String {
    let errno = error.raw_os_error().unwrap_or_default();
    let ours = if errno == libc::ENOENT { sys::BIO_R_NO_SUCH_FILE } else { sys::BIO_R_SYS_LIB };
    let text =
        |library: c_int, reason: c_int| super::error_string(library.unsigned_abs() << 24 | reason.unsigned_abs());
    format!("{}:fopen('{}','r') {}", text(sys::ERR_LIB_SYS, errno), path.display(), text(sys::ERR_LIB_BIO, ours))
}

/// Calls `f` when a ClientHello has come, before anything is done about it.
pub(in crate::tls) fn on_client_hello(context: &mut SslContextBuilder, f: fn(&mut SslRef)) {
    // SAFETY: the context lives; the argument is the function that `client_hello` takes it for.
    unsafe { sys::SSL_CTX_set_client_hello_cb(context.as_ptr(), Some(client_hello), f as *mut c_void) }
}

unsafe extern "C" fn client_hello(ssl: *mut sys::SSL, _: *mut c_int, f: *mut c_void) -> c_int {
    // SAFETY: set by `on_client_hello`, which takes nothing else.
    let f = unsafe { std::mem::transmute::<*mut c_void, fn(&mut SslRef)>(f) };
    // SAFETY: AWS-LC lends a live connection.
    f(unsafe { SslRef::from_ptr_mut(ssl) });
    sys::SSL_CLIENT_HELLO_SUCCESS
}

/// Takes over the options and the ciphers of another context, which a change of context leaves as they were.
pub(in crate::tls) fn adopt_options(ssl: &mut SslRef, context: &SslContextRef) {
    // SAFETY: both live.
    unsafe {
        let wanted = sys::SSL_CTX_get_options(context.as_ptr());
        sys::SSL_clear_options(ssl.as_ptr(), !wanted);
        sys::SSL_set_options(ssl.as_ptr(), wanted);
    }
    let ciphers: Vec<&str> = ciphers(context).iter().map(|cipher| cipher.name()).collect();
    let ciphers = CString::new(ciphers.join(":")).expect("names have no zero bytes");
    // Names of the library's own, so that it fails only without memory.
    // SAFETY: it lives; a terminated string, which the call does not keep. Those of TLS 1.3 are left as they are.
    unsafe { sys::SSL_set_cipher_list(ssl.as_ptr(), ciphers.as_ptr()) };
}

fn ciphers(context: &SslContextRef) -> &StackRef<SslCipher> {
    // SAFETY: the context lives, always has a list, and lends it.
    unsafe { StackRef::from_ptr(sys::SSL_CTX_get_ciphers(context.as_ptr())) }
}

/// Adds a certificate to the chain of the one that was set last.
///
/// # Errors
/// What the library says.
pub(in crate::tls) fn add_to_chain(context: &mut SslContextBuilder, certificate: X509) -> Result<(), ErrorStack> {
    // SAFETY: both live; the context takes a reference of its own.
    match unsafe { sys::SSL_CTX_add1_chain_cert(context.as_ptr(), certificate.as_ptr()) } {
        1 => Ok(()),
        _ => Err(ErrorStack::get()),
    }
}

/// `ssl_dhparam`
///
/// # Errors
/// Without an error stack: the library has no DHE.
pub(in crate::tls) fn set_dh_parameters(_: &mut SslContextBuilder, _: &Dh<Params>) -> Result<(), Option<ErrorStack>> {
    Err(None)
}

/// How long sessions may be resumed.
pub(in crate::tls) fn set_session_timeout(context: &mut SslContextBuilder, seconds: u64) {
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    // SAFETY: the context lives.
    unsafe {
        sys::SSL_CTX_set_timeout(context.as_ptr(), seconds);
        sys::SSL_CTX_set_session_psk_dhe_timeout(context.as_ptr(), seconds);
    }
}

/// What came of looking at the peer's certificate; good, where there was none to be looked at yet.
pub(in crate::tls) fn verdict(ssl: &SslRef) -> X509VerifyResult {
    match ssl.verify_result() {
        unasked if unasked.as_raw() == sys::X509_V_ERR_INVALID_CALL => X509VerifyResult::OK,
        result => result,
    }
}

/// Makes a connection give up, after its handshake, what only that needs: its own copy of the settings.
pub(in crate::tls) fn shed_after_handshake(ssl: &mut SslRef) {
    // SAFETY: it lives.
    unsafe { sys::SSL_set_shed_handshake_config(ssl.as_ptr(), 1) }
}

/// Whether the connection does without session tickets.
pub(in crate::tls) fn without_tickets(ssl: &SslRef) -> bool {
    // SAFETY: it lives.
    unsafe { sys::SSL_get_options(ssl.as_ptr()) & sys::SSL_OP_NO_TICKET.unsigned_abs() != 0 }
}

/// `ssl_conf_command`, `proxy_ssl_conf_command`
///
/// # Errors
/// When there is any: the library does not know them.
pub(in crate::tls) fn conf_commands(_: &mut SslContextBuilder, commands: &[(String, String)]) -> Result<(), String> {
    match commands {
        [] => Ok(()),
        _ => Err("SSL_CONF_cmd() is not available on this platform".to_owned()),
    }
}

/// Certificate compression (RFC 8879).
///
/// # Errors
/// Without an error stack: the library compresses nothing by itself.
pub(in crate::tls) fn compress_certificates(_: &mut SslContextBuilder, _: bool) -> Result<(), Option<ErrorStack>> {
    Err(None)
}

/// What encrypts tickets: AES in CBC mode, by the length of its key, 16 or 32 bytes.
pub(super) fn ticket_cipher(key_length: usize) -> *const sys::EVP_CIPHER {
    // SAFETY: gives something that lives for ever.
    unsafe { if key_length == 16 { sys::EVP_aes_128_cbc() } else { sys::EVP_aes_256_cbc() } }
}

/// The digest of the HMAC that protects tickets: SHA-256.
pub(super) fn ticket_digest() -> *const sys::EVP_MD {
    // SAFETY: gives something that lives for ever.
    unsafe { sys::EVP_sha256() }
}

/// Sets what encrypts and decrypts tickets.
pub(super) fn set_ticket_callback(context: &mut SslContextBuilder, callback: TicketCallback) {
    // SAFETY: the context lives, and the callback has the type that the call wants.
    unsafe { sys::SSL_CTX_set_tlsext_ticket_key_cb(context.as_ptr(), Some(callback)) };
}

/// Makes each session end when `L` says, however often it is resumed in between.
pub(in crate::tls) fn limit_tickets<L: TicketLife>(context: &mut SslContextBuilder) {
    // SAFETY: the context lives, and the callback has the type that the call wants.
    unsafe { sys::SSL_CTX_set_info_callback(context.as_ptr(), Some(note_end::<L>)) };
}

/// Between the steps of a handshake: once a new session is made, and before it goes into a ticket or a cache.
unsafe extern "C" fn note_end<L: TicketLife>(ssl: *const sys::SSL, event: c_int, _: c_int) {
    if event != sys::SSL_CB_ACCEPT_LOOP {
        return;
    }
    // SAFETY: AWS-LC lends a live connection.
    let ssl = unsafe { SslRef::from_ptr(ssl.cast_mut()) };
    let Some(session) = ssl.session().filter(|_| !ssl.session_reused()) else { return };
    let seconds = L::end(ssl).saturating_sub(L::now());
    // SAFETY: it lives, and is nobody else's before the handshake is done. This sets the time after which it has to be
    // authenticated anew, too, which resumption does not put off.
    unsafe { sys::SSL_SESSION_set_timeout(session.as_ptr(), u32::try_from(seconds).unwrap_or(u32::MAX)) };
}

/// The end noted in a session, in seconds since 1970.
pub(in crate::tls) fn noted_end(session: &SslSessionRef) -> Option<u64> {
    // SAFETY: it lives.
    let (begin, length) =
        unsafe { (sys::SSL_SESSION_get_time(session.as_ptr()), sys::SSL_SESSION_get_timeout(session.as_ptr())) };
    Some(begin + u64::from(length))
}

/// The reasons that a peer can bring about as it likes, in ascending order: they are logged at level `info`.
pub(in crate::tls) const PEERS_FAULTS: &[i32] = &[
    sys::SSL_R_BAD_ALERT,
    sys::SSL_R_BAD_CHANGE_CIPHER_SPEC,
    sys::SSL_R_BAD_DIGEST_LENGTH,
    sys::SSL_R_BAD_ECPOINT,
    sys::SSL_R_BAD_HANDSHAKE_RECORD,
    sys::SSL_R_BAD_LENGTH,
    sys::SSL_R_BAD_PACKET_LENGTH,
    sys::SSL_R_BAD_SIGNATURE,
    sys::SSL_R_CCS_RECEIVED_EARLY,
    sys::SSL_R_CERT_CB_ERROR,
    sys::SSL_R_CLIENTHELLO_PARSE_FAILED,
    sys::SSL_R_CLIENTHELLO_TLSEXT,
    sys::SSL_R_DATA_LENGTH_TOO_LONG,
    sys::SSL_R_DECODE_ERROR,
    sys::SSL_R_DECRYPTION_FAILED,
    sys::SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
    sys::SSL_R_DIGEST_CHECK_FAILED,
    sys::SSL_R_ENCRYPTED_LENGTH_TOO_LONG,
    sys::SSL_R_ERROR_IN_RECEIVED_CIPHER_LIST,
    sys::SSL_R_ERROR_PARSING_EXTENSION,
    sys::SSL_R_EXCESSIVE_MESSAGE_SIZE,
    sys::SSL_R_EXTRA_DATA_IN_MESSAGE,
    sys::SSL_R_HTTPS_PROXY_REQUEST,
    sys::SSL_R_HTTP_REQUEST,
    sys::SSL_R_INAPPROPRIATE_FALLBACK,
    sys::SSL_R_INVALID_MESSAGE,
    sys::SSL_R_LENGTH_MISMATCH,
    sys::SSL_R_MISSING_EXTENSION,
    sys::SSL_R_NO_CIPHERS_PASSED,
    sys::SSL_R_NO_COMPRESSION_SPECIFIED,
    sys::SSL_R_NO_RENEGOTIATION,
    sys::SSL_R_NO_SHARED_CIPHER,
    sys::SSL_R_PARSE_TLSEXT,
    sys::SSL_R_RECORD_LENGTH_MISMATCH,
    sys::SSL_R_RENEGOTIATION_ENCODING_ERR,
    sys::SSL_R_RENEGOTIATION_MISMATCH,
    sys::SSL_R_SCSV_RECEIVED_WHEN_RENEGOTIATING,
    sys::SSL_R_TLS_RSA_ENCRYPTED_VALUE_LENGTH_IS_WRONG,
    sys::SSL_R_TOO_MANY_EMPTY_FRAGMENTS,
    sys::SSL_R_TOO_MANY_WARNING_ALERTS,
    sys::SSL_R_UNEXPECTED_EXTENSION,
    sys::SSL_R_UNEXPECTED_MESSAGE,
    sys::SSL_R_UNEXPECTED_RECORD,
    sys::SSL_R_UNKNOWN_ALERT_TYPE,
    sys::SSL_R_UNKNOWN_PROTOCOL,
    sys::SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED,
    sys::SSL_R_UNSUPPORTED_PROTOCOL,
    sys::SSL_R_WRONG_CURVE,
    sys::SSL_R_WRONG_MESSAGE_TYPE,
    sys::SSL_R_WRONG_SIGNATURE_TYPE,
    sys::SSL_R_WRONG_VERSION_NUMBER,
    sys::SSL_R_INVALID_OUTER_RECORD_TYPE,
    sys::SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS,
    sys::SSL_R_EXCESS_HANDSHAKE_DATA,
    sys::SSL_R_INVALID_COMPRESSION_LIST,
    sys::SSL_R_DUPLICATE_EXTENSION,
    sys::SSL_R_MISSING_KEY_SHARE,
    sys::SSL_R_TOO_MANY_KEY_UPDATES,
    sys::SSL_R_BLOCK_CIPHER_PAD_IS_WRONG,
    sys::SSL_R_NO_CIPHERS_SPECIFIED,
    sys::SSL_R_DUPLICATE_KEY_SHARE,
    sys::SSL_R_NO_SHARED_GROUP,
    sys::SSL_R_PRE_SHARED_KEY_MUST_BE_LAST,
    sys::SSL_R_TOO_MUCH_SKIPPED_EARLY_DATA,
    sys::SSL_R_PSK_IDENTITY_BINDER_COUNT_MISMATCH,
    sys::SSL_R_APPLICATION_DATA_INSTEAD_OF_HANDSHAKE,
    sys::SSL_R_SSL_SESSION_ID_TOO_LONG,
    sys::SSL_R_APPLICATION_DATA_ON_SHUTDOWN,
    sys::SSL_R_NO_APPLICATION_PROTOCOL,
    sys::SSL_R_BAD_HYBRID_KEYSHARE,
    sys::SSL_R_BAD_KEM_CIPHERTEXT,
    sys::SSL_R_VERSION_TOO_LOW,
];
