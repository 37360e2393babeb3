//! What a client that is not logged in may not overstep, and what it is told when it does.

use std::fmt;

use crate::Protocol;

/// What a client has done so far. It is carried through STARTTLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Commands and lines of an authentication exchange, good or bad (`max_commands`).
    pub commands: u32,
    /// Those that no parser understands (`max_errors`).
    pub errors: u32,
    /// Attempts to log in.
    pub attempts: u32,
}

impl Tally {
    /// Counts a command, and tells whether it is one too many.
    pub(crate) fn is_too_many(&mut self, max_commands: u32) -> bool {
        self.commands = self.commands.saturating_add(1);
        self.commands > max_commands
    }
}

/// Why a client is turned away. `Display` is what it is told, without what its protocol puts around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its address is not welcome (`deny`). The only one for good.
    Denied,
    /// `max_commands`
    Commands,
    /// It did not log in in time (`login_timeout`).
    Late,
    /// `limit_conn`
    Connections,
    /// Too many logins have failed (`limit_login`). It says nothing of the last one.
    FailedLogins,
}

impl Refusal {
    /// The reply, after which the connection is closed. It is understood in every state of the protocol, instead of the
    /// greeting too: SMTP's 421 (RFC 5321, section 3.8) and 554, IMAP's untagged BYE (RFC 9051, section 7.1.5; response
    /// code of RFC 5530), POP3's response codes (RFC 3206).
    pub fn reply(self, protocol: Protocol) -> String {
        let before = match (protocol, self) {
            (Protocol::Imap, Refusal::Connections | Refusal::FailedLogins) => "* BYE [UNAVAILABLE]",
            (Protocol::Imap, _) => "* BYE",
            (Protocol::Pop3, Refusal::Denied) => "-ERR [SYS/PERM]",
            (Protocol::Pop3, _) => "-ERR [SYS/TEMP]",
            (Protocol::Smtp, Refusal::Denied) => "554 5.7.1",
            (Protocol::Smtp, _) => "421 4.7.0",
        };
        format!("{before} {self}\r\n")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Denied => "Access denied",
            Refusal::Commands => "Too many commands",
            Refusal::Late => "Login timed out",
            Refusal::Connections => "Too many connections",
            Refusal::FailedLogins => "Too many failed logins, try again later",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_words() {
        for (refusal, imap, pop3, smtp) in [
            (Refusal::Denied, "* BYE Access denied", "-ERR [SYS/PERM] Access denied", "554 5.7.1 Access denied"),
            (
                Refusal::Commands,
                "* BYE Too many commands",
                "-ERR [SYS/TEMP] Too many commands",
                "421 4.7.0 Too many commands",
            ),
            (
                Refusal::Connections,
                "* BYE [UNAVAILABLE] Too many connections",
                "-ERR [SYS/TEMP] Too many connections",
                "421 4.7.0 Too many connections",
            ),
        ] {
            for (protocol, reply) in [(Protocol::Imap, imap), (Protocol::Pop3, pop3), (Protocol::Smtp, smtp)] {
                assert_eq!(refusal.reply(protocol), format!("{reply}\r\n"));
            }
        }
    }

    #[test]
    fn counting_ends_nowhere() {
        let mut tally = Tally { commands: u32::MAX - 1, ..Tally::default() };
        assert!(!tally.is_too_many(u32::MAX));
        assert!(!tally.is_too_many(u32::MAX));
        assert!(tally.is_too_many(u32::MAX - 1));
    }
}
