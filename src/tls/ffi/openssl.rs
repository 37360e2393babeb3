//! What OpenSSL 3 does in its own way, or alone.

use std::ffi::{CString, c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use std::io;
use std::path::Path;
use std::ptr;
use std::slice;
use std::sync::LazyLock;

use foreign_types::{ForeignType, ForeignTypeRef};
use openssl::cipher::Cipher;
use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkey::Params;
use openssl::ssl::{
    ClientHelloResponse, SslContextBuilder, SslContextRef, SslOptions, SslRef, SslSessionRef, SslVersion,
};
use openssl::x509::{X509, X509VerifyResult};
use openssl_sys as sys;

use super::{TicketCallback, TicketLife};
use crate::tls::error;

/// An empty type: a pointer to it is all that is known.
enum Opaque {}

unsafe extern "C" {
    pub(super) fn ERR_error_string_n(code: c_ulong, buffer: *mut c_char, size: usize);

    pub(super) fn PEM_read_bio_X509_AUX(
        bio: *mut sys::BIO,
        out: *mut *mut sys::X509,
        password: Option<extern "C" fn()>,
        arg: *mut c_void,
    ) -> *mut sys::X509;
    pub(super) fn X509_STORE_add_crl(store: *mut sys::X509_STORE, crl: *mut sys::X509_CRL) -> c_int;
    pub(super) fn X509_NAME_print_ex(
        out: *mut sys::BIO,
        name: *const sys::X509_NAME,
        indent: c_int,
        flags: c_ulong,
    ) -> c_int;

    fn SSL_CTX_set_timeout(ctx: *mut sys::SSL_CTX, seconds: c_long) -> c_long;
    fn SSL_get_options(ssl: *const sys::SSL) -> u64;
    pub(super) fn SSL_has_pending(ssl: *const sys::SSL) -> c_int;
    fn SSL_set_options(ssl: *mut sys::SSL, options: u64) -> u64;
    fn SSL_clear_options(ssl: *mut sys::SSL, options: u64) -> u64;

    fn SSL_CONF_CTX_new() -> *mut Opaque;
    fn SSL_CONF_CTX_free(conf: *mut Opaque);
    fn SSL_CONF_CTX_set_flags(conf: *mut Opaque, flags: c_uint) -> c_uint;
    fn SSL_CONF_CTX_set_ssl_ctx(conf: *mut Opaque, ctx: *mut sys::SSL_CTX);
    fn SSL_CONF_cmd(conf: *mut Opaque, name: *const c_char, value: *const c_char) -> c_int;
    fn SSL_CONF_CTX_finish(conf: *mut Opaque) -> c_int;

    fn SSL_CTX_set_session_ticket_cb(
        ctx: *mut sys::SSL_CTX,
        generate: extern "C" fn(*mut sys::SSL, *mut c_void) -> c_int,
        decrypted: extern "C" fn(
            *mut sys::SSL,
            *mut sys::SSL_SESSION,
            *const c_uchar,
            usize,
            c_int,
            *mut c_void,
        ) -> c_int,
        arg: *mut c_void,
    ) -> c_int;
    fn SSL_SESSION_set1_ticket_appdata(session: *mut sys::SSL_SESSION, data: *const c_void, length: usize) -> c_int;
    fn SSL_SESSION_get0_ticket_appdata(
        session: *mut sys::SSL_SESSION,
        data: *mut *mut c_void,
        length: *mut usize,
    ) -> c_int;
}

pub(super) use sys::SSL_client_hello_get0_ext;

/// In the crate this is what `Error::code` gives.
pub(super) type ErrorCode = c_ulong;

pub(super) const PEM_R_NO_START_LINE: c_int = 108;

/// What every context has.
pub(in crate::tls) const ALWAYS: SslOptions = SslOptions::NO_COMPRESSION
    .union(SslOptions::NO_RENEGOTIATION)
    .union(SslOptions::IGNORE_UNEXPECTED_EOF)
    .union(SslOptions::DONT_INSERT_EMPTY_FRAGMENTS)
    .union(SslOptions::SINGLE_DH_USE)
    .union(SslOptions::SINGLE_ECDH_USE);

/// `OpenSSL 3.0.17 1 Jul 2025`
pub(in crate::tls) fn version() -> String {
    openssl::version::version().to_owned()
}

/// What the library says when it cannot open a file.
pub(in crate::tls) fn open_failed(path: &Path, error: &io::Error) -> String {
    const SYSTEM: c_ulong = 0x8000_0000;
    const NO_SUCH_FILE: c_ulong = 0x1000_0080;
    const SYSTEM_LIB: c_ulong = 0x1008_0002;
    let errno = error.raw_os_error().unwrap_or_default();
    let ours = if matches!(errno, libc::ENOENT | libc::ENXIO) { NO_SUCH_FILE } else { SYSTEM_LIB };
    format!(
        "{}:calling fopen({}, r) {}",
        super::error_string(SYSTEM | c_ulong::from(errno.unsigned_abs())),
        path.display(),
        super::error_string(ours)
    )
}

/// Calls `f` when a ClientHello has come, before anything is done about it.
pub(in crate::tls) fn on_client_hello(context: &mut SslContextBuilder, f: fn(&mut SslRef)) {
    context.set_client_hello_callback(move |ssl, _| {
        f(ssl);
        Ok(ClientHelloResponse::SUCCESS)
    });
}

/// Takes over the options of another context, which a change of context leaves as they were.
pub(in crate::tls) fn adopt_options(ssl: &mut SslRef, context: &SslContextRef) {
    // SAFETY: both live.
    unsafe {
        let wanted = sys::SSL_CTX_get_options(context.as_ptr());
        SSL_clear_options(ssl.as_ptr(), !wanted);
        SSL_set_options(ssl.as_ptr(), wanted);
    }
}

/// Adds a certificate to the chain of the one that was set last.
///
/// # Errors
/// What OpenSSL says.
pub(in crate::tls) fn add_to_chain(context: &mut SslContextBuilder, certificate: X509) -> Result<(), ErrorStack> {
    const CHAIN_CERT: c_int = 89;
    // SAFETY: both live; with 0 in third place the context takes the certificate over if all goes well.
    let taken = unsafe { sys::SSL_CTX_ctrl(context.as_ptr(), CHAIN_CERT, 0, certificate.as_ptr().cast()) };
    if taken != 1 {
        return Err(ErrorStack::get());
    }
    std::mem::forget(certificate);
    Ok(())
}

/// `ssl_dhparam`
///
/// # Errors
/// When the library does without (no error stack), or when it refuses them.
pub(in crate::tls) fn set_dh_parameters(
    context: &mut SslContextBuilder,
    dh: &Dh<Params>,
) -> Result<(), Option<ErrorStack>> {
    context.set_tmp_dh(dh).map_err(Some)
}

/// How long sessions may be resumed.
pub(in crate::tls) fn set_session_timeout(context: &mut SslContextBuilder, seconds: u64) {
    let seconds = c_long::try_from(seconds).unwrap_or(c_long::MAX);
    // SAFETY: the context lives.
    unsafe { SSL_CTX_set_timeout(context.as_ptr(), seconds) };
}

/// What came of looking at the peer's certificate; good, where there was none to be looked at yet.
pub(in crate::tls) fn verdict(ssl: &SslRef) -> X509VerifyResult {
    ssl.verify_result()
}

/// Makes a connection give up, after its handshake, what only that needs. This library cannot.
pub(in crate::tls) fn shed_after_handshake(_: &mut SslRef) {}

/// Whether the connection does without session tickets.
pub(in crate::tls) fn without_tickets(ssl: &SslRef) -> bool {
    // SAFETY: it lives.
    unsafe { SSL_get_options(ssl.as_ptr()) & sys::SSL_OP_NO_TICKET != 0 }
}

/// `ssl_conf_command`, `proxy_ssl_conf_command`: what SSL_CONF_cmd(3) knows for configuration files.
///
/// # Errors
/// When the library refuses a command.
pub(in crate::tls) fn conf_commands(
    context: &mut SslContextBuilder,
    commands: &[(String, String)],
) -> Result<(), String> {
    if commands.is_empty() {
        return Ok(());
    }
    let conf = ConfContext::new().map_err(|errors| error::failed("SSL_CONF_CTX_new()", &errors))?;
    // SAFETY: both live until the end of this function.
    unsafe { SSL_CONF_CTX_set_ssl_ctx(conf.0, context.as_ptr()) };
    for (name, value) in commands {
        let [c_name, c_value] =
            [name, value].map(|text| CString::new(super::c_text(text)).expect("cut before any zero byte"));
        // SAFETY: terminated strings, which the call does not keep.
        if unsafe { SSL_CONF_cmd(conf.0, c_name.as_ptr(), c_value.as_ptr()) } <= 0 {
            let what = format!("SSL_CONF_cmd(\"{name}\", \"{value}\")");
            return Err(error::failed(&what, &ErrorStack::get()));
        }
    }
    // SAFETY: it lives.
    match unsafe { SSL_CONF_CTX_finish(conf.0) } {
        1 => Ok(()),
        _ => Err(error::failed("SSL_CONF_finish()", &ErrorStack::get())),
    }
}

struct ConfContext(*mut Opaque);

impl ConfContext {
    /// SSL_CONF_FLAG_FILE, _CLIENT, _SERVER, _SHOW_ERRORS, _CERTIFICATE
    const FLAGS: c_uint = 0x2 | 0x4 | 0x8 | 0x10 | 0x20;

    fn new() -> Result<ConfContext, ErrorStack> {
        // SAFETY: no conditions.
        let conf = unsafe { SSL_CONF_CTX_new() };
        if conf.is_null() {
            return Err(ErrorStack::get());
        }
        // SAFETY: not null.
        unsafe { SSL_CONF_CTX_set_flags(conf, ConfContext::FLAGS) };
        Ok(ConfContext(conf))
    }
}

impl Drop for ConfContext {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { SSL_CONF_CTX_free(self.0) }
    }
}

/// Certificate compression (RFC 8879), found when the program runs: OpenSSL has it from 3.2 on.
///
/// # Errors
/// When the library has none (no error stack), or when it fails.
pub(in crate::tls) fn compress_certificates(
    context: &mut SslContextBuilder,
    enable: bool,
) -> Result<(), Option<ErrorStack>> {
    // SSL_OP_NO_TX_CERTIFICATE_COMPRESSION and its RX counterpart
    const NO_TX: u64 = 1 << 32;
    const NO_RX: u64 = 1 << 33;
    type CompressCerts = unsafe extern "C" fn(*mut sys::SSL_CTX, c_int) -> c_int;
    // SAFETY: looks a name up among the libraries that are loaded already.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"SSL_CTX_compress_certs".as_ptr()) };
    if found.is_null() {
        return Err(None);
    }
    // SAFETY: the context lives.
    unsafe { sys::SSL_CTX_set_options(context.as_ptr(), NO_TX | NO_RX) };
    if !enable {
        return Ok(());
    }
    // SAFETY: OpenSSL's documentation gives this name this type.
    let compress_certs = unsafe { std::mem::transmute::<*mut c_void, CompressCerts>(found) };
    // SAFETY: the context lives; 0 stands for the library's preference.
    if unsafe { compress_certs(context.as_ptr(), 0) } == 0 {
        return Err(Some(ErrorStack::get()));
    }
    // SAFETY: the context lives.
    unsafe { sys::SSL_CTX_clear_options(context.as_ptr(), NO_TX) };
    Ok(())
}

/// What encrypts tickets: AES in CBC mode, by the length of its key, 16 or 32 bytes.
///
/// Both are looked up once: OpenSSL does so with each use of those that `EVP_aes_256_cbc()` and the like stand for, which
/// takes longer than to encrypt a ticket.
pub(super) fn ticket_cipher(key_length: usize) -> *const sys::EVP_CIPHER {
    static AES_128: LazyLock<Option<Cipher>> = LazyLock::new(|| Cipher::fetch(None, "AES-128-CBC", None).ok());
    static AES_256: LazyLock<Option<Cipher>> = LazyLock::new(|| Cipher::fetch(None, "AES-256-CBC", None).ok());
    let (found, named) = match key_length {
        16 => (&*AES_128, Cipher::aes_128_cbc()),
        _ => (&*AES_256, Cipher::aes_256_cbc()),
    };
    found.as_deref().unwrap_or(named).as_ptr()
}

/// The digest of the HMAC that protects tickets: SHA-256.
pub(super) fn ticket_digest() -> *const sys::EVP_MD {
    static SHA_256: LazyLock<Option<Md>> = LazyLock::new(|| Md::fetch(None, "SHA2-256", None).ok());
    SHA_256.as_deref().unwrap_or(Md::sha256()).as_ptr()
}

/// Sets what encrypts and decrypts tickets.
pub(super) fn set_ticket_callback(context: &mut SslContextBuilder, callback: TicketCallback) {
    const SET_TLSEXT_TICKET_KEY_CB: c_int = 72;
    // SAFETY: OpenSSL takes a callback of this type by this number, under a type that stands for any.
    unsafe {
        let any = std::mem::transmute::<TicketCallback, extern "C" fn()>(callback);
        sys::SSL_CTX_callback_ctrl__fixed_rust(context.as_ptr(), SET_TLSEXT_TICKET_KEY_CB, Some(any));
    }
}

/// Notes the end of each session in its tickets, and refuses those whose end has come.
pub(in crate::tls) fn limit_tickets<L: TicketLife>(context: &mut SslContextBuilder) {
    // SAFETY: the context lives; the callbacks have the types that the call wants.
    unsafe {
        SSL_CTX_set_session_ticket_cb(context.as_ptr(), note_end::<L>, check_end::<L>, ptr::null_mut());
    }
}

/// The end noted in a session.
pub(in crate::tls) fn noted_end(session: &SslSessionRef) -> Option<u64> {
    let mut data = ptr::null_mut();
    let mut length = 0;
    // SAFETY: the session lives, and lends its data.
    unsafe {
        if SSL_SESSION_get0_ticket_appdata(session.as_ptr(), &mut data, &mut length) != 1 || data.is_null() {
            return None;
        }
        slice::from_raw_parts(data.cast_const().cast(), length).try_into().ok().map(u64::from_be_bytes)
    }
}

extern "C" fn note_end<L: TicketLife>(ssl: *mut sys::SSL, _: *mut c_void) -> c_int {
    // SAFETY: OpenSSL lends a live connection.
    let ssl = unsafe { SslRef::from_ptr(ssl) };
    let Some(session) = ssl.session() else { return 1 };
    // A session of TLS 1.2 that is taken up again may be one in the cache, which other threads use at this moment. Its own
    // end is in its tickets all the same. For TLS 1.3 OpenSSL has made a copy.
    let is_shared = ssl.session_reused() && ssl.version2() != Some(SslVersion::TLS1_3);
    if is_shared || noted_end(session).is_some() {
        return 1;
    }
    let end = L::end(ssl).to_be_bytes();
    // SAFETY: the session lives, nobody else has it yet, and it copies the bytes.
    unsafe { SSL_SESSION_set1_ticket_appdata(session.as_ptr(), end.as_ptr().cast(), end.len()) }
}

extern "C" fn check_end<L: TicketLife>(
    _: *mut sys::SSL,
    session: *mut sys::SSL_SESSION,
    _: *const c_uchar,
    _: usize,
    status: c_int,
    _: *mut c_void,
) -> c_int {
    // SSL_TICKET_SUCCESS, SSL_TICKET_SUCCESS_RENEW
    const GOOD: c_int = 5;
    const GOOD_RENEW: c_int = 6;
    // SSL_TICKET_RETURN_IGNORE_RENEW, _USE, _USE_RENEW
    const IGNORE: c_int = 2;
    const USE: c_int = 3;
    const USE_RENEW: c_int = 4;
    if session.is_null() || !matches!(status, GOOD | GOOD_RENEW) {
        return IGNORE;
    }
    // SAFETY: not null, and lent for the call.
    let session = unsafe { SslSessionRef::from_ptr(session) };
    match noted_end(session) {
        Some(end) if end <= L::now() => IGNORE,
        _ if status == GOOD_RENEW => USE_RENEW,
        _ => USE,
    }
}

/// The reasons (`SSL_R_...`) that a peer can bring about as it likes, in ascending order: nginx logs them at level
/// `info`.
pub(in crate::tls) const PEERS_FAULTS: &[i32] = &[
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
