//! What each protocol says before a login, with STARTTLS and without, and servers of all protocols.

use super::{Conn, File, Wanted, Wire};

/// What a protocol says around TLS.
pub(crate) struct Talk {
    pub(crate) name: &'static str,
    pub(crate) greeting: &'static str,
    /// The command, and its answer.
    pub(crate) starttls: [&'static str; 2],
    /// A command that always works, and its answer.
    pub(crate) noop: [&'static str; 2],
    /// A login as `u` with `p`.
    pub(crate) login: &'static str,
    pub(crate) internal_error: &'static str,
}

pub(crate) const IMAP: Talk = Talk {
    name: "imap",
    greeting: "* OK IMAP4 ready\r\n",
    starttls: ["s STARTTLS\r\n", "s OK completed\r\n"],
    noop: ["n NOOP\r\n", "n OK completed\r\n"],
    login: "l AUTHENTICATE PLAIN AHUAcA==\r\n",
    internal_error: "* BAD internal server error\r\n",
};

pub(crate) const POP3: Talk = Talk {
    name: "pop3",
    greeting: "+OK POP3 ready\r\n",
    starttls: ["STLS\r\n", "+OK\r\n"],
    noop: ["NOOP\r\n", "+OK\r\n"],
    login: "AUTH PLAIN AHUAcA==\r\n",
    internal_error: "-ERR internal server error\r\n",
};

pub(crate) const SMTP: Talk = Talk {
    name: "smtp",
    greeting: "220 proxy.test ESMTP ready\r\n",
    starttls: ["STARTTLS\r\n", "220 2.0.0 Start TLS\r\n"],
    noop: ["NOOP\r\n", "250 2.0.0 OK\r\n"],
    login: "AUTH PLAIN AHUAcA==\r\n",
    internal_error: "451 4.3.2 Internal server error\r\n",
};

pub(crate) const PROTOCOLS: [Talk; 3] = [IMAP, POP3, SMTP];

/// The directives for the files `<name>.crt` and `<name>.key`.
pub(crate) fn certificate(name: &str) -> String {
    format!("ssl_certificate {name}.crt; ssl_certificate_key {name}.key;")
}

/// A `mail` block with that content, and a certificate for `mail.test` that every server block has.
#[track_caller]
pub(crate) fn wire(content: &str) -> Wire {
    wire_with(&[], content)
}

/// The same, and these files beside the configuration; `mail.crt` and `mail.key` are in place of the usual ones.
#[track_caller]
pub(crate) fn wire_with(files: &[File], content: &str) -> Wire {
    let files = [&Wanted::new("mail.test").alone().files("mail"), files].concat();
    let certificate = certificate("mail");
    Wire::with(&files, &format!("mail {{ server_name proxy.test; auth_http @auth@/auth; {certificate}\n{content}\n}}"))
}

impl Talk {
    /// One server of this protocol with TLS from the first byte, and these directives.
    #[track_caller]
    pub(crate) fn implicit(&self, directives: &str) -> Wire {
        wire(&format!("server {{ listen @main@ ssl; protocol {}; {directives} }}", self.name))
    }

    /// One server of this protocol with these directives.
    #[track_caller]
    pub(crate) fn plain(&self, directives: &str) -> Wire {
        wire(&format!("server {{ listen @main@; protocol {}; {directives} }}", self.name))
    }

    /// Takes the greeting.
    #[track_caller]
    pub(crate) fn greeted<'a>(&self, client: &'a mut Conn) -> &'a mut Conn {
        client.expect(self.greeting)
    }

    /// The session still takes commands.
    #[track_caller]
    pub(crate) fn goes_on(&self, client: &mut Conn) {
        client.ask(self.noop[0], self.noop[1]);
    }

    /// A client that has been told to go ahead with TLS.
    #[track_caller]
    pub(crate) fn at_starttls(&self, wire: &Wire) -> Conn {
        let mut client = wire.connect();
        self.greeted(&mut client).ask(self.starttls[0], self.starttls[1]);
        client
    }
}
