//! Both ends of TLS: what a client asks for, and what a mail server or an authentication server shows.

use std::sync::LazyLock;

use openssl::ex_data::Index;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslRef, SslSession, SslSessionCacheMode, SslSessionRef,
    SslVerifyMode, SslVersion,
};
use openssl::x509::store::X509StoreBuilder;

use super::Identity;

/// The last session that a server has told a client of.
static TOLD: LazyLock<Index<Ssl, SslSession>> = LazyLock::new(|| Ssl::new_ex_index().unwrap());

/// The session of a client's connection. TLS 1.3 tells of it after the handshake.
pub(super) fn session(ssl: &SslRef) -> Option<SslSession> {
    ssl.ex_data(*TOLD).map(|session| session.to_owned()).or_else(|| ssl.session().map(ToOwned::to_owned))
}

/// AWS-LC has no security levels.
const AT_ANY_LEVEL: &str = if cfg!(feature = "aws-lc") { "" } else { ":@SECLEVEL=0" };
pub(crate) const ANY_CIPHER: &str = if cfg!(feature = "aws-lc") { "ALL" } else { "ALL:eNULL:@SECLEVEL=0" };

/// How a client does TLS: as it is made, it takes any version, any cipher and any certificate, and tells no name.
pub(crate) struct Client {
    context: SslContextBuilder,
    name: Option<String>,
    session: Option<SslSession>,
}

impl Client {
    pub(crate) fn new() -> Client {
        let mut context = SslContext::builder(SslMethod::tls_client()).unwrap();
        context.set_cipher_list(ANY_CIPHER).unwrap();
        context.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
        context.set_verify(SslVerifyMode::NONE);
        context.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
        context.set_new_session_callback(|ssl, session| ssl.set_ex_data(*TOLD, session));
        Client { context, name: None, session: None }
    }

    /// This version and no other.
    pub(crate) fn version(mut self, version: SslVersion) -> Client {
        self.context.set_min_proto_version(Some(version)).unwrap();
        self.context.set_max_proto_version(Some(version)).unwrap();
        self
    }

    /// TLS 1.2 with these ciphers.
    pub(crate) fn ciphers(mut self, ciphers: &str) -> Client {
        self.context.set_cipher_list(&format!("{ciphers}{AT_ANY_LEVEL}")).unwrap();
        self.version(SslVersion::TLS1_2)
    }

    /// These groups, in this order.
    pub(crate) fn groups(mut self, groups: &str) -> Client {
        self.context.set_groups_list(groups).unwrap();
        self
    }

    /// These signature algorithms: they decide which certificate a server shows.
    pub(crate) fn signatures(self, algorithms: &str) -> Client {
        let algorithms = std::ffi::CString::new(algorithms).unwrap();
        // SAFETY: the context lives; a terminated string, which the call does not keep.
        let set = unsafe { openssl_sys::SSL_CTX_set1_sigalgs_list(self.context.as_ptr(), algorithms.as_ptr()) };
        assert_eq!(set, 1);
        self
    }

    /// These protocols by ALPN.
    pub(crate) fn alpn(mut self, protocols: &[&str]) -> Client {
        let list: Vec<u8> = protocols.iter().flat_map(|p| [&[p.len() as u8], p.as_bytes()].concat()).collect();
        self.context.set_alpn_protos(&list).unwrap();
        self
    }

    /// Asks for that server by SNI.
    pub(crate) fn name(self, name: &str) -> Client {
        Client { name: Some(name.to_owned()), ..self }
    }

    /// Shows that certificate where it is asked for one.
    pub(crate) fn certificate(mut self, identity: &Identity) -> Client {
        self.context.set_certificate(&identity.certificate).unwrap();
        self.context.set_private_key(&identity.key).unwrap();
        self
    }

    /// Sends that certificate behind its own.
    pub(crate) fn chain(mut self, identity: &Identity) -> Client {
        self.context.add_extra_chain_cert(identity.certificate.clone()).unwrap();
        self
    }

    /// Gives up unless the server's certificate was issued by that authority.
    pub(crate) fn trusting(mut self, authority: &Identity) -> Client {
        let mut store = X509StoreBuilder::new().unwrap();
        store.add_cert(authority.certificate.clone()).unwrap();
        self.context.set_cert_store(store.build());
        self.context.set_verify(SslVerifyMode::PEER);
        self
    }

    /// Does not take session tickets: TLS 1.2 then resumes by session ID.
    pub(crate) fn without_tickets(mut self) -> Client {
        self.context.set_options(SslOptions::NO_TICKET);
        self
    }

    /// Asks to go on with that session.
    pub(crate) fn resuming(self, session: &SslSessionRef) -> Client {
        Client { session: Some(session.to_owned()), ..self }
    }

    pub(crate) fn ssl(self) -> Ssl {
        let mut ssl = Ssl::new(&self.context.build()).unwrap();
        if let Some(name) = self.name {
            ssl.set_hostname(&name).unwrap();
        }
        if let Some(session) = self.session {
            // SAFETY: the session came from a context with the same method, and lives.
            unsafe { ssl.set_session(&session) }.unwrap();
        }
        ssl
    }
}

/// How a mail server or an authentication server does TLS. Its clones resume each other's sessions.
#[derive(Clone)]
pub(crate) struct Server {
    context: SslContext,
}

impl Server {
    /// Shows that certificate.
    pub(crate) fn new(identity: &Identity) -> Server {
        Server::with(identity, |_| {})
    }

    /// The same, set up further.
    pub(crate) fn with(identity: &Identity, set: impl FnOnce(&mut SslContextBuilder)) -> Server {
        let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
        context.set_certificate(&identity.certificate).unwrap();
        context.set_private_key(&identity.key).unwrap();
        context.set_session_id_context(b"wire").unwrap();
        set(&mut context);
        Server { context: context.build() }
    }

    pub(super) fn ssl(&self) -> Ssl {
        Ssl::new(&self.context).unwrap()
    }
}

/// How many bytes a server takes from a client that resumes this session, before its handshake is done.
#[cfg(not(feature = "aws-lc"))]
pub(crate) fn max_early_data(session: &SslSessionRef) -> u32 {
    session.max_early_data()
}

/// 0 if the server takes none.
#[cfg(feature = "aws-lc")]
pub(crate) fn max_early_data(session: &SslSessionRef) -> u32 {
    // SAFETY: the session lives.
    let capable =
        unsafe { openssl_sys::SSL_SESSION_early_data_capable(foreign_types::ForeignTypeRef::as_ptr(session)) };
    if capable == 0 { 0 } else { u32::MAX }
}
