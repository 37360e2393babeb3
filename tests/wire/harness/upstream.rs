//! What each protocol says at a mail server, up to the end of a login.

use super::talk::{IMAP, POP3, SMTP, Talk, wire_with};
use super::{Conn, File, Wire};

/// A login at a mail server: what it says and what it is told.
pub(crate) struct Upstream {
    pub(crate) talk: Talk,
    /// Up to STARTTLS.
    pub(crate) starttls: &'static [(&'static str, &'static str)],
    /// The answers to STARTTLS.
    pub(crate) consent: &'static str,
    pub(crate) refusal: &'static str,
    /// What somebody may want to be taken for an encrypted answer.
    pub(crate) injected: &'static str,
    greeting: &'static str,
    first: &'static str,
    steps: &'static [(&'static str, &'static str)],
    done: &'static str,
    /// What the client hears then.
    welcome: &'static str,
}

pub(crate) const UPSTREAMS: [Upstream; 3] = [
    Upstream {
        talk: IMAP,
        starttls: &[("* OK mail.test\r\n", "STARTTLS STARTTLS\r\n")],
        consent: "STARTTLS OK go\r\n",
        refusal: "STARTTLS NO not now\r\n",
        injected: "l OK in\r\n",
        greeting: "* OK mail.test\r\n",
        first: "l LOGIN {1}\r\n",
        steps: &[("+ go\r\n", "u {1}\r\n"), ("+ go\r\n", "p\r\n")],
        done: "l OK in\r\n",
        welcome: "l OK in\r\n",
    },
    Upstream {
        talk: POP3,
        starttls: &[("+OK mail.test\r\n", "STLS\r\n")],
        consent: "+OK go\r\n",
        refusal: "-ERR not now\r\n",
        injected: "+OK\r\n+OK in\r\n",
        greeting: "+OK mail.test\r\n",
        first: "USER u\r\n",
        steps: &[("+OK\r\n", "PASS p\r\n")],
        done: "+OK in\r\n",
        welcome: "+OK in\r\n",
    },
    Upstream {
        talk: SMTP,
        starttls: &[
            ("220 mail.test\r\n", "EHLO proxy.test\r\n"),
            ("250-mail.test\r\n250 STARTTLS\r\n", "STARTTLS\r\n"),
        ],
        consent: "220 go\r\n",
        refusal: "454 not now\r\n",
        injected: "250-mail.test\r\n250 AUTH PLAIN\r\n",
        greeting: "220 mail.test\r\n",
        first: "EHLO proxy.test\r\n",
        steps: &[("250-mail.test\r\n250 AUTH PLAIN\r\n", "AUTH PLAIN AHUAcA==\r\n")],
        done: "235 in\r\n",
        welcome: "235 2.0.0 OK\r\n",
    },
];

impl Upstream {
    /// A server of the protocol with these directives.
    #[track_caller]
    pub(crate) fn wire(&self, directives: &str) -> Wire {
        self.wire_with(&[], directives)
    }

    /// The same, and these files beside the configuration.
    #[track_caller]
    pub(crate) fn wire_with(&self, files: &[File], directives: &str) -> Wire {
        let name = self.talk.name;
        wire_with(
            files,
            &format!("server {{ listen @main@; protocol {name}; xclient off; proxy_smtp_auth on; {directives} }}"),
        )
    }

    /// A client that has sent its credentials.
    #[track_caller]
    pub(crate) fn login(&self, wire: &Wire) -> Conn {
        let mut client = wire.client();
        if self.talk.name == "smtp" {
            client.ask("EHLO c\r\n", "250-proxy.test\r\n250 AUTH PLAIN LOGIN\r\n");
        }
        client.send(self.talk.login);
        client
    }

    /// What the backend hears and says from its greeting on, up to the end of the login; then a line each way.
    #[track_caller]
    pub(crate) fn serve(&self, client: &mut Conn, backend: &mut Conn) {
        backend.send(self.greeting);
        self.serve_greeted(client, backend);
    }

    /// The same without the greeting.
    #[track_caller]
    pub(crate) fn serve_greeted(&self, client: &mut Conn, backend: &mut Conn) {
        backend.expect(self.first);
        for (said, asked) in self.steps {
            backend.ask(said, asked);
        }
        backend.send(self.done);
        client.expect(self.welcome).send("there\r\n");
        backend.ask("and back\r\n", "there\r\n");
        client.expect("and back\r\n");
    }

    /// The backend says so much that TLS can start.
    #[track_caller]
    pub(crate) fn start_tls(&self, backend: &mut Conn) {
        for (said, asked) in self.starttls {
            backend.ask(said, asked);
        }
        backend.send(self.consent);
    }
}
