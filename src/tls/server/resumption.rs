//! Sessions that clients take up again: from a cache, or by a ticket that they keep themselves.
//!
//! A session belongs to its certificates and verification settings: they make up the context that OpenSSL compares. It
//! ends `ssl_session_timeout` after its full handshake, however often it is resumed in between.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatepost_conf::Files;
use openssl::ex_data::Index;
use openssl::hash::{Hasher, MessageDigest};
use openssl::ssl::{
    SslContext, SslContextBuilder, SslContextRef, SslOptions, SslRef, SslSession, SslSessionCacheMode, SslSessionRef,
    SslVersion,
};
use openssl::x509::X509;

use crate::tls::ffi::{self, Renew, TicketKey};
use crate::tls::options::{ServerOptions, SessionCache, VerifyClient, WithoutCache};
use crate::tls::sessions::SharedCache;
use crate::tls::tickets::{Key, TicketKeys};
use crate::tls::{Caches, error};

/// What the callbacks find in a context.
struct Sessions {
    lifetime: Duration,
    ticket_keys: Arc<TicketKeys>,
    cache: Option<Arc<SharedCache>>,
}

static SESSIONS: LazyLock<Index<SslContext, Sessions>> =
    LazyLock::new(|| SslContext::new_ex_index().expect("OpenSSL has memory for one more index"));

/// `ssl_session_cache`, `ssl_session_timeout`, `ssl_session_tickets`, `ssl_session_ticket_key`
///
/// # Errors
/// When a ticket key file is not one.
pub(super) fn set_up(
    context: &mut SslContextBuilder,
    options: &ServerOptions,
    certificates: &[X509],
    caches: &Caches,
    files: &dyn Files,
) -> Result<(), String> {
    ffi::set_session_timeout(context, options.session_timeout.as_secs());
    let identity = identity(options, certificates, files)?;
    context
        .set_session_id_context(&identity)
        .map_err(|errors| error::failed("SSL_CTX_set_session_id_context()", &errors))?;
    let cache = options.session_cache.shared.as_ref().map(|shared| caches.named(shared));
    set_cache(context, &options.session_cache);
    if !options.session_tickets {
        context.set_options(SslOptions::NO_TICKET);
    }
    let ticket_keys = match (&options.ticket_keys[..], &cache) {
        ([], Some(cache)) => cache.ticket_keys.clone(),
        ([], None) => Arc::new(TicketKeys::automatic()),
        (paths, _) => Arc::new(TicketKeys::read(paths, files)?),
    };
    context.set_ex_data(*SESSIONS, Sessions { lifetime: options.session_timeout, ticket_keys, cache });
    ffi::set_ticket_keys::<Keys>(context);
    ffi::limit_tickets::<Life>(context);
    ffi::send_one_ticket(context);
    Ok(())
}

/// Forgets the session of a connection, so that it is not resumed.
pub(super) fn forget(ssl: &SslRef) {
    let Some(session) = ssl.session() else { return };
    // SAFETY: the session is the connection's, and the connection the context's.
    unsafe { ssl.ssl_context().remove_session(session) };
}

/// What a session must have in common with a server block to be resumed there.
fn identity(options: &ServerOptions, certificates: &[X509], files: &dyn Files) -> Result<Vec<u8>, String> {
    let fail = |errors| error::failed("EVP_DigestUpdate()", &errors);
    let mut digest = Hasher::new(MessageDigest::sha256()).map_err(fail)?;
    for certificate in certificates {
        digest.update(&certificate.digest(MessageDigest::sha256()).map_err(fail)?).map_err(fail)?;
    }
    digest.update(&[options.verify_client as u8]).map_err(fail)?;
    if options.verify_client != VerifyClient::Off {
        digest.update(&options.verify_depth.to_be_bytes()).map_err(fail)?;
        for path in [&options.client_certificate, &options.trusted_certificate, &options.crl] {
            // Readable a moment ago; if no longer, its absence is as good a mark as any.
            let contents = path.as_ref().and_then(|path| files.read(path).ok()).unwrap_or_default();
            digest.update(&(contents.len() as u64).to_be_bytes()).map_err(fail)?;
            digest.update(&contents).map_err(fail)?;
        }
    }
    digest.finish().map(|digest| digest.to_vec()).map_err(fail)
}

fn set_cache(context: &mut SslContextBuilder, options: &SessionCache) {
    let shared = options.shared.is_some();
    let server = SslSessionCacheMode::SERVER;
    let mode = match (options.builtin, shared, options.without) {
        (None, false, WithoutCache::Off) => SslSessionCacheMode::OFF,
        // Some clients do not work if told that there is no resumption at all (Outlook Express, says nginx).
        (None, false, WithoutCache::None) => {
            server | SslSessionCacheMode::NO_AUTO_CLEAR | SslSessionCacheMode::NO_INTERNAL_STORE
        }
        (None, true, _) => server | SslSessionCacheMode::NO_INTERNAL,
        (Some(_), _, _) => server,
    };
    context.set_session_cache_mode(mode);
    match options.builtin {
        Some(size) => context.set_session_cache_size(i32::try_from(size).unwrap_or(i32::MAX)),
        None => context.set_session_cache_size(1),
    };
    if shared {
        share_sessions(context);
    }
}

/// The cache is that of the server block that the client meant.
fn share_sessions(context: &mut SslContextBuilder) {
    context.set_new_session_callback(|ssl, session| keep_session(ssl, &session));
    // SAFETY: the session is made from bytes on the spot, and belongs to no context yet.
    unsafe {
        context.set_get_session_callback(|ssl, id| {
            let bytes = sessions(ssl.ssl_context()).cache.as_ref()?.find(id, now())?;
            SslSession::from_der(&bytes).ok()
        });
    }
    context.set_remove_session_callback(|context, session| {
        if let Some(cache) = &sessions(context).cache {
            cache.forget(session.id());
        }
    });
}

fn keep_session(ssl: &SslRef, session: &SslSessionRef) {
    // TLS 1.3 tells of sessions that live in tickets, too.
    let in_ticket = ssl.version2() == Some(SslVersion::TLS1_3) && !ffi::without_tickets(ssl);
    let Some(cache) = sessions(ssl.ssl_context()).cache.as_ref().filter(|_| !in_ticket) else { return };
    let end = ffi::noted_end(session).unwrap_or_else(|| end_from_now(ssl));
    if let Ok(bytes) = session.to_der() {
        cache.keep(session.id(), bytes, end);
    }
}

/// The ticket keys of a connection's server block.
struct Keys;

impl ffi::TicketKeys for Keys {
    fn newest(ssl: &SslRef, with: &mut dyn FnMut(TicketKey<'_>) -> bool) -> bool {
        let sessions = sessions(ssl.ssl_context());
        sessions.ticket_keys.newest(now(), sessions.lifetime.as_secs()).is_some_and(|key| with(lend(&key)))
    }

    fn named(ssl: &SslRef, name: [u8; 16], with: &mut dyn FnMut(TicketKey<'_>) -> bool) -> Option<Renew> {
        let (key, newest) = sessions(ssl.ssl_context()).ticket_keys.named(name, now())?;
        Some(match with(lend(&key)) {
            false => Renew::Broken,
            // In TLS 1.3 a ticket is for one use (RFC 8446, appendix C.4).
            true if newest && ssl.version2() != Some(SslVersion::TLS1_3) => Renew::Keep,
            true => Renew::Replace,
        })
    }
}

fn lend(key: &Key) -> TicketKey<'_> {
    TicketKey { name: key.name, aes: &key.aes, hmac: &key.hmac }
}

/// `ssl_session_timeout` for sessions in tickets.
struct Life;

impl ffi::TicketLife for Life {
    fn end(ssl: &SslRef) -> u64 {
        end_from_now(ssl)
    }

    fn now() -> u64 {
        now()
    }
}

fn end_from_now(ssl: &SslRef) -> u64 {
    now().saturating_add(sessions(ssl.ssl_context()).lifetime.as_secs())
}

fn sessions(context: &SslContextRef) -> &Sessions {
    context.ex_data(*SESSIONS).expect("every context has it")
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
