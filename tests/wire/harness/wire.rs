//! The usual setup: one proxy, one auth server, one backend.

use std::ops::Deref;

use super::{Auth, Backend, Conn, File, Proxy};

/// A running subject between a client, an auth server that accepts, and a backend.
pub(crate) struct Wire {
    // Stopped first, while the servers it talks to still exist.
    pub(crate) proxy: Proxy,
    pub(crate) auth: Auth,
    pub(crate) backend: Backend,
}

impl Wire {
    /// One IMAP server with these directives.
    #[track_caller]
    pub(crate) fn imap(directives: &str) -> Wire {
        Wire::server("imap", directives)
    }

    /// One POP3 server with these directives.
    #[track_caller]
    pub(crate) fn pop3(directives: &str) -> Wire {
        Wire::server("pop3", directives)
    }

    /// One SMTP server with these directives.
    #[track_caller]
    pub(crate) fn smtp(directives: &str) -> Wire {
        Wire::server("smtp", directives)
    }

    /// One server of that protocol with these directives.
    #[track_caller]
    pub(crate) fn server(protocol: &str, directives: &str) -> Wire {
        Wire::mail(&format!("server {{ listen @main@; protocol {protocol}; {directives} }}"))
    }

    /// A `mail` block with that content; `server_name` and `auth_http` are given. Clients come to `@main@`.
    #[track_caller]
    pub(crate) fn mail(content: &str) -> Wire {
        Wire::conf(&format!("mail {{ server_name proxy.test; auth_http @auth@/auth;\n{content}\n}}"))
    }

    /// A configuration with that content after the log, the pid file and `events`.
    #[track_caller]
    pub(crate) fn conf(content: &str) -> Wire {
        Wire::with(&[], content)
    }

    /// The same, and these files beside the configuration.
    #[track_caller]
    pub(crate) fn with(files: &[File], content: &str) -> Wire {
        let backend = Backend::new();
        let auth = Auth::start(backend.address());
        let conf = format!("error_log error.log info;\npid pid;\nevents {{ worker_connections 64; }}\n{content}\n");
        let proxy = Proxy::start(files, &conf, &[("auth", auth.address()), ("backend", backend.address())]);
        Wire { proxy, auth, backend }
    }

    /// A new client, not yet greeted.
    #[track_caller]
    pub(crate) fn connect(&self) -> Conn {
        Conn::connect(self.proxy.place("main"))
    }

    /// A new client that has had the greeting, whatever it was.
    #[track_caller]
    pub(crate) fn client(&self) -> Conn {
        let mut client = self.connect();
        client.line();
        client
    }

    /// A client and its backend after an IMAP login as `u` with `p`.
    #[track_caller]
    pub(crate) fn imap_session(&self) -> (Conn, Conn) {
        let mut client = self.client();
        client.send("t LOGIN u p\r\n");
        let mut backend = self.backend.accept();
        backend.send("* OK ready\r\n").expect("t LOGIN {1}\r\n");
        backend.send("+ go\r\n").expect("u {1}\r\n");
        backend.send("+ go\r\n").expect("p\r\n");
        backend.send("t OK in\r\n");
        client.expect("t OK in\r\n");
        (client, backend)
    }

    /// A client and its backend after a POP3 login as `u` with `p`.
    #[track_caller]
    pub(crate) fn pop3_session(&self) -> (Conn, Conn) {
        let mut client = self.client();
        client.send("USER u\r\n").expect("+OK\r\n").send("PASS p\r\n");
        let mut backend = self.backend.accept();
        backend.send("+OK ready\r\n").expect("USER u\r\n");
        backend.send("+OK\r\n").expect("PASS p\r\n");
        backend.send("+OK in\r\n");
        client.expect("+OK in\r\n");
        (client, backend)
    }
}

impl Deref for Wire {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}
