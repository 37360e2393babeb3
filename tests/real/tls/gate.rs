//! A proxy with a configuration of the test's own.

use std::sync::Arc;

use crate::auth::AuthServer;
use crate::front::{Front, Security};
use crate::instance::{Instance, directory};
use crate::process::free_addresses;
use crate::site::{Site, site};

/// The proxy's certificate, for `mail`.
pub(crate) const CERTIFICATE: &str = "ssl_protocols TLSv1.2 TLSv1.3;\n\
    ssl_certificate @pki@/proxy-ecdsa.crt; ssl_certificate_key @pki@/proxy-ecdsa.key;\n";

/// One `server`.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// `imap`, `pop3` or `smtp`.
    pub(crate) protocol: &'static str,
    /// Towards clients.
    pub(crate) security: Security,
    /// Where [`AuthServer`] sends those who log in.
    pub(crate) route: String,
    /// Other directives.
    pub(crate) more: String,
    /// Whether it listens where the block before it does.
    pub(crate) shares: bool,
}

/// The running proxy.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) site: Arc<Site>,
    pub(crate) auth: AuthServer,
    pub(crate) instance: Instance,
    /// One for each block.
    pub(crate) fronts: Vec<Front>,
}

impl Gate {
    /// Starts it with the directives `mail` and these servers. `@pki@` is the directory of [`crate::site::pki`].
    pub(crate) fn start(mail: &str, blocks: &[Block]) -> Gate {
        let site = site();
        let auth = AuthServer::start(site.routes());
        let mut fronts: Vec<Front> = Vec::new();
        for block in blocks {
            fronts.push(if block.shares { fronts[fronts.len() - 1] } else { block.front() });
        }
        let servers: String = blocks.iter().zip(&fronts).map(|(block, front)| block.server(front, &auth)).collect();
        let mail = format!("server_name proxy.example.test;\n{mail}{servers}");
        let mail = mail.replace("@pki@", site.pki.path().to_str().unwrap());
        let addresses: Vec<_> = fronts.iter().map(|front| front.address).collect();
        let instance = Instance::start(directory(), &mail, &addresses);
        Gate { site, auth, instance, fronts }
    }
}

impl Block {
    /// To the back end of that name.
    pub(crate) fn new(protocol: &'static str, security: Security) -> Block {
        Block { protocol, security, route: protocol.to_string(), more: String::new(), shares: false }
    }

    /// Three protocols, each with TLS from the first byte and with STARTTLS.
    pub(crate) fn all() -> Vec<Block> {
        let both = |protocol| [Security::Tls, Security::StartTls].map(|security| Block::new(protocol, security));
        ["imap", "pop3", "smtp"].into_iter().flat_map(both).collect()
    }

    fn front(&self) -> Front {
        let [address] = free_addresses();
        Front { address, security: self.security }
    }

    fn server(&self, front: &Front, auth: &AuthServer) -> String {
        let ssl = front.choose("", "ssl", "");
        let starttls = front.choose("", "", "starttls only;");
        let (protocol, more, url) = (self.protocol, &self.more, auth.url(&self.route));
        format!(
            "server {{ listen {} {ssl}; protocol {protocol}; {starttls} auth_http {url}; {more} }}\n",
            front.address
        )
    }
}
