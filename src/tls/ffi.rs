//! The OpenSSL calls that the `openssl` crate lacks, each behind a safe function. Nothing else in the TLS code is unsafe,
//! but for one callback setter of the crate. Nothing else knows, either, which library it is: the system's OpenSSL, or
//! AWS-LC with the cargo feature `aws-lc`.

use std::ffi::{CStr, c_int, c_uchar, c_uint, c_ulong};
use std::ptr;
use std::slice;

use foreign_types::{ForeignType, ForeignTypeRef};
use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslRef, SslSessionRef};
use openssl::x509::store::X509StoreBuilderRef;
use openssl::x509::{X509, X509NameRef};
use openssl_sys as sys;

use self::library::{
    ERR_error_string_n, ErrorCode, PEM_R_NO_START_LINE, PEM_read_bio_X509_AUX, SSL_client_hello_get0_ext,
    SSL_has_pending, X509_NAME_print_ex, X509_STORE_add_crl, set_ticket_callback, ticket_cipher, ticket_digest,
};

#[cfg(not(feature = "aws-lc"))]
mod allocator;

// The calls that are not the same everywhere. Both modules have the same functions.
#[cfg(feature = "aws-lc")]
#[path = "ffi/aws_lc.rs"]
mod library;
#[cfg(not(feature = "aws-lc"))]
#[path = "ffi/openssl.rs"]
mod library;

#[cfg(not(feature = "aws-lc"))]
pub(super) use self::allocator::set_allocator;
pub(super) use self::library::{
    ALWAYS, PEERS_FAULTS, add_to_chain, adopt_options, compress_certificates, conf_commands, limit_tickets, noted_end,
    on_client_hello, open_failed, set_dh_parameters, set_session_timeout, shed_after_handshake, verdict, version,
    without_tickets,
};

/// Empties this thread's error queue: what an earlier call left there would be taken for the next one's.
pub(super) fn clear_errors() {
    // SAFETY: both touch only the calling thread's queue. Looking takes a fraction of the time of emptying.
    unsafe {
        if sys::ERR_peek_last_error() != 0 {
            sys::ERR_clear_error();
        }
    }
}

/// Whether a read has something to tell without input from the socket: bytes that were received and not read yet, be they
/// half a record, or the end, which is told as often as one asks.
pub(super) fn has_unread(ssl: &SslRef) -> bool {
    // SAFETY: it lives.
    unsafe {
        SSL_has_pending(ssl.as_ptr()) == 1 || sys::SSL_get_shutdown(ssl.as_ptr()) & sys::SSL_RECEIVED_SHUTDOWN != 0
    }
}

/// `error:0A000086:SSL routines::certificate verify failed`
pub(super) fn error_string(code: ErrorCode) -> String {
    let mut buffer = [0; 256];
    // SAFETY: writes at most the given size, terminating zero included.
    unsafe { ERR_error_string_n(code, buffer.as_mut_ptr(), buffer.len()) };
    // SAFETY: terminated by the call before.
    unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_string_lossy().into_owned()
}

/// What OpenSSL sees of a text: all before a zero byte.
pub(super) fn c_text(text: &str) -> &str {
    text.split_once('\0').map_or(text, |(seen, _)| seen)
}

/// A call that failed: its name, and what OpenSSL says.
pub(super) type Failure = (&'static str, ErrorStack);

/// Reads a certificate, and the chain behind it. The first may be in OpenSSL's own format, `TRUSTED CERTIFICATE`.
///
/// # Errors
/// When there is none, or one is broken.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<X509>, Failure> {
    let bio = Bio::reading(pem).map_err(|errors| ("BIO_new_mem_buf()", errors))?;
    let first = read_trusted(&bio).ok_or_else(|| (READ_TRUSTED, ErrorStack::get()))?;
    let mut found = vec![first];
    loop {
        // SAFETY: the BIO lives; no object to reuse, no password callback.
        let next = unsafe { sys::PEM_read_bio_X509(bio.0, ptr::null_mut(), None, ptr::null_mut()) };
        if next.is_null() {
            return end_of_pem().map(|()| found).map_err(|errors| ("PEM_read_bio_X509()", errors));
        }
        // SAFETY: not null, and ours to free.
        found.push(unsafe { X509::from_ptr(next) });
    }
}

/// Reads the certificates of authorities, each of which may be in OpenSSL's own format.
///
/// # Errors
/// When there is none, or one is broken.
pub(super) fn authorities(pem: &[u8]) -> Result<Vec<X509>, Failure> {
    let bio = Bio::reading(pem).map_err(|errors| ("BIO_new_mem_buf()", errors))?;
    let found: Vec<X509> = std::iter::from_fn(|| read_trusted(&bio)).collect();
    let end = if found.is_empty() { Err(ErrorStack::get()) } else { end_of_pem() };
    end.map(|()| found).map_err(|errors| (READ_TRUSTED, errors))
}

const READ_TRUSTED: &str = "PEM_read_bio_X509_AUX()";

fn read_trusted(bio: &Bio<'_>) -> Option<X509> {
    // SAFETY: the BIO lives; no object to reuse, no password callback.
    let found = unsafe { PEM_read_bio_X509_AUX(bio.0, ptr::null_mut(), None, ptr::null_mut()) };
    // SAFETY: not null, and ours to free.
    (!found.is_null()).then(|| unsafe { X509::from_ptr(found) })
}

/// Adds the revocation lists in `pem` to `store`.
///
/// # Errors
/// When there is none, or one is broken.
pub(super) fn add_crls(store: &mut X509StoreBuilderRef, pem: &[u8]) -> Result<(), Failure> {
    let bio = Bio::reading(pem).map_err(|errors| ("BIO_new_mem_buf()", errors))?;
    for added in 0.. {
        // SAFETY: the BIO lives; no object to reuse, no password callback.
        let crl = unsafe { sys::PEM_read_bio_X509_CRL(bio.0, ptr::null_mut(), None, ptr::null_mut()) };
        if crl.is_null() {
            let end = if added == 0 { Err(ErrorStack::get()) } else { end_of_pem() };
            return end.map_err(|errors| ("PEM_read_bio_X509_CRL()", errors));
        }
        // SAFETY: both live; the store takes a reference of its own.
        let taken = unsafe { X509_STORE_add_crl(store.as_ptr(), crl) };
        // SAFETY: made above, and given up here.
        unsafe { sys::X509_CRL_free(crl) };
        if taken != 1 {
            return Err(("X509_STORE_add_crl()", ErrorStack::get()));
        }
    }
    Ok(())
}

/// No further object is the end of a file; anything else is an error.
fn end_of_pem() -> Result<(), ErrorStack> {
    let errors = ErrorStack::get();
    match errors.errors().last() {
        Some(last) if last.library_code() == sys::ERR_LIB_PEM && last.reason_code() == PEM_R_NO_START_LINE => Ok(()),
        _ => Err(errors),
    }
}

/// Takes up a session, if the server agrees. It must be one of the same context, for the same server, since what was
/// verified then is not verified again.
///
/// # Errors
/// What OpenSSL says.
pub(super) fn resume(ssl: &mut SslRef, session: &SslSessionRef) -> Result<(), ErrorStack> {
    // SAFETY: both live; the connection takes a reference of its own, and the handshake has not begun.
    unsafe { ssl.set_session(session) }
}

/// Lets the session of a connection be resumed, though neither side has sent close_notify. Nothing can be read or written
/// any more.
pub(crate) fn keep_session(ssl: &SslRef) {
    // SAFETY: the connection lives, and no one else uses it meanwhile: these types stay on their thread.
    unsafe { sys::SSL_set_shutdown(ssl.as_ptr(), sys::SSL_SENT_SHUTDOWN | sys::SSL_RECEIVED_SHUTDOWN) }
}

/// The extension `server_name` of a ClientHello, as it came. To be called from the callback for the ClientHello.
pub(super) fn server_name_extension(ssl: &SslRef) -> Option<&[u8]> {
    const SERVER_NAME: c_uint = 0;
    let mut start = ptr::null();
    let mut length = 0;
    // SAFETY: `ssl` lives, and so does the message while it is lent out; OpenSSL answers 0 outside the callback.
    unsafe {
        (SSL_client_hello_get0_ext(ssl.as_ptr(), SERVER_NAME, &mut start, &mut length) == 1)
            .then(|| slice::from_raw_parts(start, length))
    }
}

/// A name as RFC 2253 writes it, control characters escaped.
pub(super) fn rfc2253(name: &X509NameRef) -> Option<String> {
    // XN_FLAG_RFC2253: ASN1_STRFLGS_RFC2253, separated by commas, backwards, short field names, unknown fields as hex.
    const RFC2253: c_ulong = 0x0111_0317;
    let bio = Bio::writing().ok()?;
    // SAFETY: both live.
    if unsafe { X509_NAME_print_ex(bio.0, name.as_ptr(), 0, RFC2253) } < 0 {
        clear_errors();
        return None;
    }
    Some(String::from_utf8_lossy(bio.contents()).into_owned())
}

/// A BIO in memory.
struct Bio<'a>(*mut sys::BIO, std::marker::PhantomData<&'a [u8]>);

impl<'a> Bio<'a> {
    /// One to read `bytes` from.
    fn reading(bytes: &'a [u8]) -> Result<Bio<'a>, ErrorStack> {
        let length = bytes.len().min(c_int::MAX as usize).try_into().expect("bounded");
        // SAFETY: the bytes outlive the BIO, by its lifetime, and are only read.
        Bio::from_raw(unsafe { sys::BIO_new_mem_buf(bytes.as_ptr().cast(), length) })
    }

    /// One to write to.
    fn writing() -> Result<Bio<'static>, ErrorStack> {
        // SAFETY: no conditions.
        Bio::from_raw(unsafe { sys::BIO_new(sys::BIO_s_mem()) })
    }

    fn from_raw<'b>(bio: *mut sys::BIO) -> Result<Bio<'b>, ErrorStack> {
        if bio.is_null() { Err(ErrorStack::get()) } else { Ok(Bio(bio, std::marker::PhantomData)) }
    }

    /// What was written.
    fn contents(&self) -> &[u8] {
        let mut start = ptr::null_mut();
        // SAFETY: a memory BIO lends its bytes until it changes, which needs this function's `self`.
        unsafe {
            let length = sys::BIO_get_mem_data(self.0, &mut start);
            match usize::try_from(length) {
                Ok(length) if !start.is_null() => slice::from_raw_parts(start.cast_const().cast(), length),
                _ => &[],
            }
        }
    }
}

impl Drop for Bio<'_> {
    fn drop(&mut self) {
        // SAFETY: made by one of the constructors, freed once.
        unsafe { sys::BIO_free_all(self.0) }
    }
}

/// A key for session tickets.
pub(super) struct TicketKey<'a> {
    /// Tells it from others.
    pub(super) name: [u8; 16],
    /// 16 or 32 bytes: AES-128 or AES-256, in CBC mode.
    pub(super) aes: &'a [u8],
    /// For HMAC with SHA-256.
    pub(super) hmac: &'a [u8],
}

/// Where the key for a ticket comes from.
pub(super) trait TicketKeys {
    /// Calls `with` with the key that new tickets are encrypted with.
    fn newest(ssl: &SslRef, with: &mut dyn FnMut(TicketKey<'_>) -> bool) -> bool;
    /// Calls `with` with the key of that name, and says whether the ticket should be replaced; `None` without a key.
    fn named(ssl: &SslRef, name: [u8; 16], with: &mut dyn FnMut(TicketKey<'_>) -> bool) -> Option<Renew>;
}

/// What becomes of a ticket whose key is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renew {
    /// It is broken.
    Broken,
    /// The client keeps it.
    Keep,
    /// The client gets a new one.
    Replace,
}

/// Sends one ticket behind a full handshake, as behind one that resumes a session: each client takes up as many sessions
/// as it likes by one ticket, and making a ticket takes a twentieth of the time of a handshake.
pub(super) fn send_one_ticket(context: &mut SslContextBuilder) {
    // SAFETY: the context lives. The call cannot fail with this number.
    unsafe { sys::SSL_CTX_set_num_tickets(context.as_ptr(), 1) };
}

/// Encrypts tickets with the keys that `K` gives.
pub(super) fn set_ticket_keys<K: TicketKeys>(context: &mut SslContextBuilder) {
    set_ticket_callback(context, ticket_key::<K>);
}

/// What OpenSSL calls with a connection, room for a key's name and a vector, contexts to be given keys, and whether it
/// encrypts.
type TicketCallback = unsafe extern "C" fn(
    *mut sys::SSL,
    *mut c_uchar,
    *mut c_uchar,
    *mut sys::EVP_CIPHER_CTX,
    *mut sys::HMAC_CTX,
    c_int,
) -> c_int;

unsafe extern "C" fn ticket_key<K: TicketKeys>(
    ssl: *mut sys::SSL,
    name: *mut c_uchar,
    iv: *mut c_uchar,
    cipher: *mut sys::EVP_CIPHER_CTX,
    hmac: *mut sys::HMAC_CTX,
    encrypt: c_int,
) -> c_int {
    const IV: usize = 16;
    const ERROR: c_int = -1;
    // SAFETY: OpenSSL lends a live connection and 16 bytes for each of name and vector.
    let (ssl, name, iv) =
        unsafe { (SslRef::from_ptr(ssl), &mut *name.cast::<[u8; 16]>(), slice::from_raw_parts_mut(iv, IV)) };
    if encrypt == 1 {
        if openssl::rand::rand_bytes(iv).is_err() {
            return ERROR;
        }
        let used = K::newest(ssl, &mut |key| {
            *name = key.name;
            set_key(&key, iv, cipher, hmac, true)
        });
        return if used { 1 } else { ERROR };
    }
    match K::named(ssl, *name, &mut |key| set_key(&key, iv, cipher, hmac, false)) {
        None => 0,
        Some(Renew::Broken) => ERROR,
        Some(Renew::Keep) => 1,
        Some(Renew::Replace) => 2,
    }
}

fn set_key(
    key: &TicketKey<'_>,
    iv: &[u8],
    cipher: *mut sys::EVP_CIPHER_CTX,
    hmac: *mut sys::HMAC_CTX,
    encrypt: bool,
) -> bool {
    #[allow(clippy::useless_conversion, reason = "OpenSSL's has another type")]
    let length = key.hmac.len().try_into().expect("at most 32 bytes");
    // SAFETY: OpenSSL lent both contexts to the callback that calls this; the keys have the lengths that the ciphers
    // and the call say, the vector 16 bytes.
    unsafe {
        let aes = ticket_cipher(key.aes.len());
        sys::HMAC_Init_ex(hmac, key.hmac.as_ptr().cast(), length, ticket_digest(), ptr::null_mut()) == 1
            && sys::EVP_CipherInit_ex(cipher, aes, ptr::null_mut(), key.aes.as_ptr(), iv.as_ptr(), c_int::from(encrypt))
                == 1
    }
}

/// What accompanies a session through all its resumptions, by ticket or otherwise: when it ends.
pub(super) trait TicketLife {
    /// The end of a session that begins now, in seconds since 1970.
    fn end(ssl: &SslRef) -> u64;
    /// The time, in seconds since 1970.
    fn now() -> u64;
}
