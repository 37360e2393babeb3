//! `proxy_ssl` and its kin, `Auth-SSL-Upstream`: TLS towards mail servers, which nginx's mail proxy does not have.

mod certificates;
mod sessions;
mod settings;
mod ways;

use crate::harness::tls::Server;
use crate::harness::upstream::{UPSTREAMS, Upstream};
use crate::harness::{File, Identity, Wanted};

/// An authority in the file `ca.crt`, and the backend's certificate by it.
struct Site {
    authority: Identity,
    server: Server,
}

impl Site {
    /// The backend's certificate is for the address it has.
    fn new() -> Site {
        Site::named("127.0.0.1")
    }

    /// It is for that name.
    fn named(name: &str) -> Site {
        let authority = Identity::root("Mail authority");
        let server = Server::new(&Wanted::new(name).by(&authority));
        Site { authority, server }
    }

    fn files(&self) -> Vec<File> {
        vec![("ca.crt".to_owned(), self.authority.pem())]
    }
}

const TRUSTED: &str = "proxy_ssl_trusted_certificate ca.crt;";
