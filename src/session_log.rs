//! The log as one session writes it: with its number in front and its context behind.

use std::fmt;
use std::sync::Arc;

use crate::log::{Context, Level, Log};
use crate::seldom::Seldom;

/// Writes lines like `*7 client logged in, client: 192.0.2.1, server: 0.0.0.0:143, login: "joe", upstream: 198.51.100.1:143`.
pub struct SessionLog {
    /// What is known of the session.
    pub context: Context,
    log: Arc<Log>,
    number: u64,
}

impl SessionLog {
    /// The log of connection `number`.
    pub fn new(log: Arc<Log>, number: u64, context: Context) -> SessionLog {
        SessionLog { context, log, number }
    }

    /// Writes a line with the context.
    pub fn write(&self, level: Level, message: fmt::Arguments<'_>) {
        self.log.write(level, Some(self.number), format_args!("{message}{}", self.context));
    }

    /// Writes a line with the context, at its level if it was not written within a minute.
    pub fn write_seldom(&self, seldom: &Arc<Seldom>, level: Level, message: &str) {
        let level = seldom.level(level, message, &self.log);
        self.write(level, format_args!("{message}"));
    }

    /// Writes a line without it.
    pub fn write_bare(&self, level: Level, message: fmt::Arguments<'_>) {
        self.log.write(level, Some(self.number), message);
    }

    /// From here on lines go to the log of another server block.
    pub fn follow(&mut self, log: &Arc<Log>) {
        self.log = log.clone();
    }

    /// From here on the user is called so; an empty name is nobody.
    pub fn set_login(&mut self, user: &[u8]) {
        if self.context.login != user {
            self.context.login = user.to_vec();
        }
    }

    /// Gives back memory that is not needed, before a long wait.
    pub fn shrink(&mut self) {
        self.context.login.shrink_to_fit();
        self.context.client.shrink_to_fit();
        if let Some(upstream) = &mut self.context.upstream {
            upstream.shrink_to_fit();
        }
    }
}
