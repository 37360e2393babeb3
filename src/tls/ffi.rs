//! The OpenSSL calls that the `openssl` crate lacks, each behind a safe function. Nothing else in the TLS code is unsafe,
//! but for one callback setter of the crate.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use std::ptr;
use std::slice;

use foreign_types::{ForeignType, ForeignTypeRef};
use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslContextRef, SslRef, SslSessionRef};
use openssl::x509::store::X509StoreBuilderRef;
use openssl::x509::{X509, X509NameRef};
use openssl_sys as sys;

/// An empty type: a pointer to it is all that is known.
enum Opaque {}

unsafe extern "C" {
    fn ERR_error_string_n(code: c_ulong, buffer: *mut c_char, size: usize);

    fn PEM_read_bio_X509_AUX(
        bio: *mut sys::BIO,
        out: *mut c_void,
        password: *mut c_void,
        arg: *mut c_void,
    ) -> *mut sys::X509;
    fn X509_STORE_add_crl(store: *mut sys::X509_STORE, crl: *mut sys::X509_CRL) -> c_int;
    fn X509_NAME_print_ex(out: *mut sys::BIO, name: *const sys::X509_NAME, indent: c_int, flags: c_ulong) -> c_int;

    fn SSL_CTX_set_timeout(ctx: *mut sys::SSL_CTX, seconds: c_long) -> c_long;
    fn SSL_get_options(ssl: *const sys::SSL) -> u64;
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

/// Empties this thread's error queue: what an earlier call left there would be taken for the next one's.
pub(super) fn clear_errors() {
    // SAFETY: touches only the calling thread's queue.
    unsafe { sys::ERR_clear_error() }
}

/// `error:0A000086:SSL routines::certificate verify failed`
pub(super) fn error_string(code: c_ulong) -> String {
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
    let found = unsafe { PEM_read_bio_X509_AUX(bio.0, ptr::null_mut(), ptr::null_mut(), ptr::null_mut()) };
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
    const NO_START_LINE: c_int = 108;
    let errors = ErrorStack::get();
    match errors.errors().last() {
        Some(last) if last.library_code() == sys::ERR_LIB_PEM && last.reason_code() == NO_START_LINE => Ok(()),
        _ => Err(errors),
    }
}

/// Adds a certificate to the chain of the one that was set last.
///
/// # Errors
/// What OpenSSL says.
pub(super) fn add_to_chain(context: &mut SslContextBuilder, certificate: X509) -> Result<(), ErrorStack> {
    const CHAIN_CERT: c_int = 89;
    // SAFETY: both live; with 0 in third place the context takes the certificate over if all goes well.
    let taken = unsafe { sys::SSL_CTX_ctrl(context.as_ptr(), CHAIN_CERT, 0, certificate.as_ptr().cast()) };
    if taken != 1 {
        return Err(ErrorStack::get());
    }
    std::mem::forget(certificate);
    Ok(())
}

/// How long sessions may be resumed.
pub(super) fn set_session_timeout(context: &mut SslContextBuilder, seconds: u64) {
    let seconds = c_long::try_from(seconds).unwrap_or(c_long::MAX);
    // SAFETY: the context lives.
    unsafe { SSL_CTX_set_timeout(context.as_ptr(), seconds) };
}

/// Takes over the options of another context, which a change of context leaves as they were.
pub(super) fn adopt_options(ssl: &mut SslRef, context: &SslContextRef) {
    // SAFETY: both live.
    unsafe {
        let wanted = sys::SSL_CTX_get_options(context.as_ptr());
        SSL_clear_options(ssl.as_ptr(), !wanted);
        SSL_set_options(ssl.as_ptr(), wanted);
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

/// Whether the connection does without session tickets.
pub(super) fn without_tickets(ssl: &SslRef) -> bool {
    // SAFETY: it lives.
    unsafe { SSL_get_options(ssl.as_ptr()) & sys::SSL_OP_NO_TICKET != 0 }
}

/// The extension `server_name` of a ClientHello, as it came. To be called from the callback for the ClientHello.
pub(super) fn server_name_extension(ssl: &SslRef) -> Option<&[u8]> {
    const SERVER_NAME: c_uint = 0;
    let mut start = ptr::null();
    let mut length = 0;
    // SAFETY: `ssl` lives, and so does the message while it is lent out; OpenSSL answers 0 outside the callback.
    unsafe {
        (sys::SSL_client_hello_get0_ext(ssl.as_ptr(), SERVER_NAME, &mut start, &mut length) == 1)
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

/// `ssl_conf_command`, `proxy_ssl_conf_command`: what SSL_CONF_cmd(3) knows for configuration files.
///
/// # Errors
/// When the library refuses a command.
pub(super) fn conf_commands(context: &mut SslContextBuilder, commands: &[(String, String)]) -> Result<(), String> {
    if commands.is_empty() {
        return Ok(());
    }
    let conf = ConfContext::new().map_err(|errors| super::error::failed("SSL_CONF_CTX_new()", &errors))?;
    // SAFETY: both live until the end of this function.
    unsafe { SSL_CONF_CTX_set_ssl_ctx(conf.0, context.as_ptr()) };
    for (name, value) in commands {
        let [c_name, c_value] = [name, value].map(|text| CString::new(c_text(text)).expect("cut before any zero byte"));
        // SAFETY: terminated strings, which the call does not keep.
        if unsafe { SSL_CONF_cmd(conf.0, c_name.as_ptr(), c_value.as_ptr()) } <= 0 {
            let what = format!("SSL_CONF_cmd(\"{name}\", \"{value}\")");
            return Err(super::error::failed(&what, &ErrorStack::get()));
        }
    }
    // SAFETY: it lives.
    match unsafe { SSL_CONF_CTX_finish(conf.0) } {
        1 => Ok(()),
        _ => Err(super::error::failed("SSL_CONF_finish()", &ErrorStack::get())),
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

/// A BIO in memory.
struct Bio<'a>(*mut sys::BIO, std::marker::PhantomData<&'a [u8]>);

impl<'a> Bio<'a> {
    /// One to read `bytes` from.
    fn reading(bytes: &'a [u8]) -> Result<Bio<'a>, ErrorStack> {
        let length = c_int::try_from(bytes.len()).unwrap_or(c_int::MAX);
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

/// Certificate compression (RFC 8879), found when the program runs: OpenSSL has it from 3.2 on.
///
/// # Errors
/// When the library has none (no error stack), or when it fails.
pub(super) fn compress_certificates(context: &mut SslContextBuilder, enable: bool) -> Result<(), Option<ErrorStack>> {
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

/// Encrypts tickets with the keys that `K` gives.
pub(super) fn set_ticket_keys<K: TicketKeys>(context: &mut SslContextBuilder) {
    const SET_TLSEXT_TICKET_KEY_CB: c_int = 72;
    type Callback = extern "C" fn(
        *mut sys::SSL,
        *mut c_uchar,
        *mut c_uchar,
        *mut sys::EVP_CIPHER_CTX,
        *mut sys::HMAC_CTX,
        c_int,
    ) -> c_int;
    let callback: Callback = ticket_key::<K>;
    // SAFETY: OpenSSL takes a callback of this type by this number, under a type that stands for any.
    unsafe {
        let any = std::mem::transmute::<Callback, extern "C" fn()>(callback);
        sys::SSL_CTX_callback_ctrl__fixed_rust(context.as_ptr(), SET_TLSEXT_TICKET_KEY_CB, Some(any));
    }
}

extern "C" fn ticket_key<K: TicketKeys>(
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
    let length = c_int::try_from(key.hmac.len()).expect("at most 32 bytes");
    // SAFETY: OpenSSL lent both contexts to the callback that calls this; the keys have the lengths that the ciphers
    // and the call say, the vector 16 bytes.
    unsafe {
        let aes = if key.aes.len() == 16 { sys::EVP_aes_128_cbc() } else { sys::EVP_aes_256_cbc() };
        let sha256 = sys::EVP_sha256();
        sys::HMAC_Init_ex(hmac, key.hmac.as_ptr().cast(), length, sha256, ptr::null_mut()) == 1
            && sys::EVP_CipherInit_ex(cipher, aes, ptr::null_mut(), key.aes.as_ptr(), iv.as_ptr(), c_int::from(encrypt))
                == 1
    }
}

/// What accompanies a session through all its resumptions, by ticket or otherwise: when it ends.
pub(super) trait TicketLife {
    /// The end of a session that begins now, in seconds since 1970.
    fn end(ssl: &SslRef) -> u64;
    /// Whether that time has come.
    fn is_over(end: u64) -> bool;
}

/// Notes the end of each session in its tickets, and refuses those whose end has come.
pub(super) fn limit_tickets<L: TicketLife>(context: &mut SslContextBuilder) {
    // SAFETY: the context lives; the callbacks have the types that the call wants.
    unsafe {
        SSL_CTX_set_session_ticket_cb(context.as_ptr(), note_end::<L>, check_end::<L>, ptr::null_mut());
    }
}

/// Lets the session of a connection be resumed, though neither side has sent close_notify. Nothing can be read or written
/// any more.
pub(crate) fn keep_session(ssl: &SslRef) {
    // SAFETY: the connection lives, and no one else uses it meanwhile: these types stay on their thread.
    unsafe { sys::SSL_set_shutdown(ssl.as_ptr(), sys::SSL_SENT_SHUTDOWN | sys::SSL_RECEIVED_SHUTDOWN) }
}

/// The end noted in a session.
pub(super) fn noted_end(session: &SslSessionRef) -> Option<u64> {
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
    if noted_end(session).is_some() {
        return 1;
    }
    let end = L::end(ssl).to_be_bytes();
    // SAFETY: the session lives, and copies the bytes.
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
        Some(end) if L::is_over(end) => IGNORE,
        _ if status == GOOD_RENEW => USE_RENEW,
        _ => USE,
    }
}
