//! The configurations that the machines are tried with: the bits of one byte choose.

use std::sync::Arc;

use gatepost_proto::{Mechanisms, StartTls, imap, pop3, smtp};

pub(crate) const SALT: &str = "<1.2@mail.example>";
const SERVER_NAME: &str = "mail.example";

/// The longest command of a POP3 client, which is not configurable.
pub(crate) const POP3_BUDGET: usize = 4096;

/// The choices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup(pub(crate) u8);

impl Setup {
    /// `imap_client_buffer`, `smtp_client_buffer`, bytes.
    pub(crate) fn client_buffer(self) -> usize {
        if self.0 & 1 == 0 { 4096 } else { 64 }
    }

    /// `proxy_buffer`, bytes.
    pub(crate) fn proxy_buffer(self) -> usize {
        if self.0 & 1 == 0 { 4096 } else { 48 }
    }

    /// `starttls` of a front end.
    pub(crate) fn starttls(self) -> StartTls {
        [StartTls::On, StartTls::Only, StartTls::Off, StartTls::On][usize::from(self.0 >> 1 & 3)]
    }

    /// Whether TLS is to be started on the way to the mail server.
    pub(crate) fn upstream_starttls(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// `xclient`.
    pub(crate) fn xclient(self) -> bool {
        self.0 & 0x20 == 0
    }

    /// `proxy_smtp_auth`.
    pub(crate) fn smtp_auth(self) -> bool {
        self.0 & 0x40 != 0
    }

    fn mechanisms(self) -> Mechanisms {
        let all = self.0 & 8 == 0;
        Mechanisms { plain: true, login: all, apop: all, cram_md5: all, external: all, none: all }
    }

    pub(crate) fn imap(self) -> Arc<imap::Options> {
        Arc::new(imap::Options {
            server_name: SERVER_NAME.to_owned(),
            capabilities: vec!["IMAP4rev1".to_owned()],
            auth: self.mechanisms(),
            client_buffer: self.client_buffer(),
            max_errors: 5,
            max_commands: 100,
            starttls: self.starttls(),
        })
    }

    pub(crate) fn pop3(self) -> Arc<pop3::Options> {
        Arc::new(pop3::Options {
            server_name: SERVER_NAME.to_owned(),
            capabilities: vec!["TOP".to_owned(), "USER".to_owned()],
            auth: self.mechanisms(),
            max_errors: 5,
            max_commands: 100,
            starttls: self.starttls(),
        })
    }

    pub(crate) fn smtp(self) -> Arc<smtp::Options> {
        Arc::new(smtp::Options {
            server_name: SERVER_NAME.to_owned(),
            capabilities: vec!["SIZE 1".to_owned()],
            auth: self.mechanisms(),
            client_buffer: self.client_buffer(),
            max_errors: 5,
            max_commands: 100,
            starttls: self.starttls(),
        })
    }
}
