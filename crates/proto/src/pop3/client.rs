//! The POP3 client that logs in at a mail server with USER and PASS, as nginx 1.31 does.
//!
//! Guarantees: one command line goes out for one command, whatever the user name and password are; the answer to PASS, and
//! what the server sends behind it, reaches the client whole.

use zeroize::Zeroizing;

use crate::reply::Replies;
use crate::{BackEnd, DialogueError, Output, Progress, Secret, sasl};

/// A [`BackEnd`] for POP3.
pub struct Client {
    replies: Replies,
    awaited: Awaited,
    action: &'static str,
}

/// Which reply comes next, with what is said after it.
enum Awaited {
    Greeting { user: Zeroizing<Vec<u8>>, password: Zeroizing<Vec<u8>> },
    User { password: Zeroizing<Vec<u8>> },
    Password,
}

impl Client {
    /// A login that has not begun: the server speaks first. A reply may have `buffer` bytes (`proxy_buffer`).
    ///
    /// # Errors
    /// [`DialogueError::Unspeakable`] if the user name or the password has a CR, LF or NUL.
    pub fn new(user: &[u8], password: &Secret, buffer: usize) -> Result<Client, DialogueError> {
        let user = command(b"USER ", user, "user name")?;
        let password = command(b"PASS ", password.expose(), "password")?;
        Ok(Client {
            replies: Replies::new(buffer),
            awaited: Awaited::Greeting { user, password },
            action: "connecting to upstream",
        })
    }

    /// Says what comes next; returns whether the login is done instead.
    fn go_on(&mut self, out: &mut Output) -> bool {
        let awaited = std::mem::replace(&mut self.awaited, Awaited::Password);
        let line = match awaited {
            Awaited::Greeting { user, password } => {
                self.awaited = Awaited::User { password };
                self.action = "sending user name to upstream";
                user
            }
            Awaited::User { password } => {
                self.action = "sending password to upstream";
                password
            }
            Awaited::Password => return true,
        };
        out.bytes.extend_from_slice(&line);
        false
    }
}

impl BackEnd for Client {
    fn receive(&mut self, bytes: &[u8], out: &mut Output) -> Result<Progress, DialogueError> {
        self.action = "reading response from upstream";
        self.replies.push(bytes);
        while let Some(mut reply) = self.replies.next_line()? {
            if !reply.starts_with(b"+OK") {
                reply.extend(self.replies.take());
                self.action = "reading response from upstream";
                return Err(DialogueError::Refused { reply });
            }
            if self.go_on(out) {
                reply.extend(self.replies.take());
                return Ok(Progress::Done { to_client: reply });
            }
        }
        Ok(Progress::More)
    }

    fn action(&self) -> &'static str {
        self.action
    }
}

fn command(verb: &[u8], argument: &[u8], what: &'static str) -> Result<Zeroizing<Vec<u8>>, DialogueError> {
    if !sasl::is_speakable(argument) {
        return Err(DialogueError::Unspeakable(what));
    }
    Ok(Zeroizing::new([verb, argument, b"\r\n"].concat()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Random, check_back, fuzz_back, log_in};

    fn client() -> Client {
        Client::new(b"u@x y", &Secret::from(&b"p q"[..]), 32).unwrap()
    }

    #[test]
    fn logs_in_as_nginx() {
        let cases: &[(&str, &str)] = &[
            ("+OK", "[more]"),
            ("+OK hi\r\n", "USER u@x y\r\n[more]"),
            ("+OK\r\n+OK\r\n", "USER u@x y\r\nPASS p q\r\n[more]"),
            ("+OK\r\n+OK\r\n+OK in\r\n", "USER u@x y\r\nPASS p q\r\n[done: +OK in\r\n]"),
            ("+OK\r\n+OK\r\n+OK in\r\n+OK 3", "USER u@x y\r\nPASS p q\r\n[done: +OK in\r\n+OK 3]"),
            ("-ERR busy\r\n", "[error: upstream sent invalid response: \"-ERR busy\"]"),
            ("+OK\r\n-ERR\r\n", "USER u@x y\r\n[error: upstream sent invalid response: \"-ERR\"]"),
            (
                "+OK a banner that is rather too long\r\n",
                "[error: upstream sent too long response line: \"+OK a banner that is rather too \"]",
            ),
        ];
        for (replies, expected) in cases {
            check_back(client, replies.as_bytes(), expected);
        }
    }

    #[test]
    fn a_user_or_password_cannot_be_a_command() {
        for bad in [&b"u\r\nDELE 1"[..], b"u\n", b"\r", b"\0"] {
            let good = Secret::from(&b"p"[..]);
            assert_eq!(Client::new(bad, &good, 32).err(), Some(DialogueError::Unspeakable("user name")));
            assert_eq!(Client::new(b"u", &Secret::from(bad), 32).err(), Some(DialogueError::Unspeakable("password")));
        }
    }

    #[test]
    fn whatever_the_client_said_each_command_is_one_line() {
        let mut random = Random::new();
        for _ in 0..2000 {
            let (user, password) = (random.bytes(), Secret::from(random.bytes().as_slice()));
            let speakable = sasl::is_speakable(&user) && sasl::is_speakable(password.expose());
            let client = Client::new(&user, &password, 32);
            assert_eq!(client.is_ok(), speakable);
            let Ok(mut client) = client else { continue };
            let script = log_in(&mut client, &[b"+OK\r\n", b"+OK\r\n"]);
            assert_eq!(script.matches(['\r', '\n', '\0']).count(), 4, "{script:?}");
            assert!(script.starts_with("USER ") && script.contains("\r\nPASS "), "{script:?}");
        }
    }

    #[test]
    fn the_log_tells_what_is_done() {
        let mut client = client();
        let mut actions = vec![client.action()];
        for piece in [&b"+OK\r\n"[..], b"+O", b"K\r\n", b"-ERR\r\n"] {
            let _ = client.receive(piece, &mut Output::default());
            actions.push(client.action());
        }
        let reading = "reading response from upstream";
        let expected = ["connecting to upstream", "sending user name to upstream", reading];
        assert_eq!(actions[..3], expected);
        assert_eq!(actions[3..], ["sending password to upstream", reading]);
    }

    #[test]
    fn any_reply_is_read_the_same_in_any_pieces() {
        let words: &[&[u8]] = &[b"+OK", b"+OK", b"+OK\r\n", b"-ERR", b" ", b"\r\n", b"\r\n", b"\n", b"\r", b"\0", b"x"];
        fuzz_back(client, words);
    }
}
