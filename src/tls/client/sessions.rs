//! Sessions with servers, to be taken up again. They are kept in DER: OpenSSL spoils a session whose connection ends
//! without farewell, in every place it is held.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslContextBuilder, SslRef, SslSession, SslSessionCacheMode};
use zeroize::Zeroizing;

use super::Name;
use crate::addr::Address;
use crate::tls::ffi;

/// The most servers whose session is kept.
const MAX_SESSIONS: usize = 1024;

/// With whom.
type Server = (Name, Address);

static SERVER: LazyLock<Index<Ssl, Server>> =
    LazyLock::new(|| Ssl::new_ex_index().expect("OpenSSL has memory for one more index"));

/// The last session with each server.
#[derive(Default)]
pub(super) struct Sessions {
    last: Mutex<HashMap<Server, Zeroizing<Vec<u8>>>>,
}

impl Sessions {
    /// Those of a context that is being made.
    pub(super) fn kept_by(context: &mut SslContextBuilder) -> Arc<Sessions> {
        let sessions = Arc::new(Sessions::default());
        let keeper = sessions.clone();
        context.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
        context.set_new_session_callback(move |ssl, session| {
            if let (Some(server), Ok(session)) = (ssl.ex_data(*SERVER), session.to_der()) {
                keeper.keep(server, Zeroizing::new(session));
            }
        });
        sessions
    }

    /// Makes a connection take up the last session with this server, and keep the next one.
    pub(super) fn resume(&self, ssl: &mut SslRef, address: &Address, name: &Name) -> Result<(), ErrorStack> {
        let server = (name.clone(), address.clone());
        let last = self.last().get(&server).cloned();
        if let Some(session) = last {
            let session = SslSession::from_der(&session)?;
            ffi::resume(ssl, &session)?;
        }
        ssl.set_ex_data(*SERVER, server);
        Ok(())
    }

    /// Begins anew with this server.
    pub(super) fn forget(&self, address: &Address, name: &Name) {
        self.last().remove(&(name.clone(), address.clone()));
    }

    /// When there is no room, some other goes.
    fn keep(&self, server: &Server, session: Zeroizing<Vec<u8>>) {
        let mut last = self.last();
        if last.len() >= MAX_SESSIONS
            && !last.contains_key(server)
            && let Some(other) = last.keys().next().cloned()
        {
            last.remove(&other);
        }
        last.insert(server.clone(), session);
    }

    /// Nothing can panic halfway through a change, so a poisoned lock is as good as any.
    fn last(&self) -> MutexGuard<'_, HashMap<Server, Zeroizing<Vec<u8>>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({})", self.last().len())
    }
}
