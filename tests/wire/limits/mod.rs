//! Limits that nginx's mail proxy does not have: none of these tests is about nginx.

mod access;
mod commands;
mod connections;
mod failed_logins;
mod login_timeout;

use crate::harness::{Subject, Wire};

/// What the tests need to know of a protocol.
#[derive(Clone, Copy)]
struct Talk {
    name: &'static str,
    noop: (&'static str, &'static str),
    login: &'static str,
}

const IMAP: Talk = Talk { name: "imap", noop: ("a NOOP\r\n", "a OK completed\r\n"), login: "a LOGIN u p\r\n" };
const POP3: Talk = Talk { name: "pop3", noop: ("NOOP\r\n", "+OK\r\n"), login: "AUTH PLAIN AHUAcA==\r\n" };
const SMTP: Talk = Talk { name: "smtp", noop: ("NOOP\r\n", "250 2.0.0 OK\r\n"), login: "AUTH PLAIN AHUAcA==\r\n" };
const PROTOCOLS: [Talk; 3] = [IMAP, POP3, SMTP];

impl Talk {
    /// A server with these directives; none where the subject is nginx.
    #[track_caller]
    fn wire(&self, directives: &str) -> Option<Wire> {
        (!Subject::is_nginx()).then(|| Wire::server(self.name, directives))
    }

    /// One of the three, by protocol.
    fn one_of<T>(&self, imap: T, pop3: T, smtp: T) -> T {
        match self.name {
            "imap" => imap,
            "pop3" => pop3,
            _ => smtp,
        }
    }
}
