//! The POP3 client that logs in at a mail server with USER and PASS, as nginx 1.31 does; behind STLS (RFC 2595) where that
//! is wanted, or not at all.
//!
//! Guarantees: one command line goes out for one command, whatever the user name and password are; the answer to PASS, and
//! what the server sends behind it, reaches the client whole.

use zeroize::Zeroizing;

use crate::reply::Replies;
use crate::{BackEnd, DialogueError, Output, Progress, Secret, sasl};

/// A [`BackEnd`] for POP3.
pub struct Client {
    replies: Replies,
    starttls: bool,
    awaited: Awaited,
    /// How many whole answers there were.
    answers: usize,
    action: &'static str,
}

/// Which reply comes next, with what is said after it.
enum Awaited {
    Greeting(Credentials),
    /// Of STLS.
    Consent(Credentials),
    /// None: a TLS handshake.
    Handshake(Credentials),
    User {
        password: Zeroizing<Vec<u8>>,
    },
    Password,
}

/// The commands that log in.
struct Credentials {
    user: Zeroizing<Vec<u8>>,
    password: Zeroizing<Vec<u8>>,
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
            starttls: false,
            awaited: Awaited::Greeting(Credentials { user, password }),
            answers: 0,
            action: "connecting to upstream",
        })
    }

    /// Whether TLS is to be started with STLS before the login.
    pub fn with_starttls(self, starttls: bool) -> Client {
        Client { starttls, ..self }
    }

    /// Says what comes next to a good reply, if there is something to say.
    fn go_on(&mut self, mut reply: Vec<u8>, out: &mut Output) -> Result<Progress, DialogueError> {
        let awaited = std::mem::replace(&mut self.awaited, Awaited::Password);
        match awaited {
            Awaited::Greeting(credentials) if self.starttls => {
                self.awaited = Awaited::Consent(credentials);
                self.action = "sending STLS to upstream";
                out.bytes.extend_from_slice(b"STLS\r\n");
            }
            Awaited::Consent(credentials) => {
                self.awaited = Awaited::Handshake(credentials);
                return if self.replies.take().is_empty() {
                    Ok(Progress::StartTls)
                } else {
                    Err(DialogueError::InjectedPlaintext)
                };
            }
            Awaited::Greeting(credentials) => self.say_user(credentials, out),
            // Nothing is received while a handshake is awaited.
            Awaited::Handshake(_) => return Err(DialogueError::InjectedPlaintext),
            Awaited::User { password } => {
                self.action = "sending password to upstream";
                out.bytes.extend_from_slice(&password);
            }
            Awaited::Password => {
                reply.extend(self.replies.take());
                return Ok(Progress::Done { to_client: reply });
            }
        }
        Ok(Progress::More)
    }

    fn say_user(&mut self, Credentials { user, password }: Credentials, out: &mut Output) {
        self.awaited = Awaited::User { password };
        self.action = "sending user name to upstream";
        out.bytes.extend_from_slice(&user);
    }

    fn refuse(&mut self, mut reply: Vec<u8>) -> DialogueError {
        self.replies.add_lines(&mut reply);
        self.action = "reading response from upstream";
        match self.awaited {
            Awaited::Greeting(_) | Awaited::Consent(_) if self.starttls => DialogueError::NoStartTls { reply },
            _ => DialogueError::Refused { reply },
        }
    }
}

impl BackEnd for Client {
    fn receive(&mut self, bytes: &[u8], out: &mut Output) -> Result<Progress, DialogueError> {
        self.action = "reading response from upstream";
        self.replies.push(bytes);
        if matches!(self.awaited, Awaited::Handshake(_)) && !self.replies.is_empty() {
            return Err(DialogueError::InjectedPlaintext);
        }
        while let Some(reply) = self.replies.next_line()? {
            self.answers += 1;
            if !reply.starts_with(b"+OK") {
                return Err(self.refuse(reply));
            }
            let progress = self.go_on(reply, out)?;
            if progress != Progress::More {
                return Ok(progress);
            }
        }
        Ok(Progress::More)
    }

    fn tls_started(&mut self, out: &mut Output) {
        match std::mem::replace(&mut self.awaited, Awaited::Password) {
            Awaited::Handshake(credentials) => self.say_user(credentials, out),
            awaited => self.awaited = awaited,
        }
    }

    fn action(&self) -> &'static str {
        self.action
    }

    fn answers(&self) -> usize {
        self.answers + usize::from(!self.replies.is_empty())
    }

    /// Codes of RFC 2449 and RFC 3206.
    fn is_bad_login(&self, error: &DialogueError) -> bool {
        const OTHER_REASONS: [&[u8]; 3] = [b"-ERR [SYS/", b"-ERR [IN-USE]", b"-ERR [LOGIN-DELAY]"];
        let DialogueError::Refused { reply } = error else { return false };
        let begins_with = |code: &&[u8]| reply.get(..code.len()).is_some_and(|start| start.eq_ignore_ascii_case(code));
        let is_other = OTHER_REASONS.iter().any(begins_with);
        matches!(self.awaited, Awaited::Password) && reply.starts_with(b"-ERR") && !is_other
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
    use crate::testing::{Random, check_back, check_starttls, fuzz_back, fuzz_starttls, log_in};

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
    fn knows_a_bad_login_from_other_trouble() {
        for (replies, bad) in [
            ("+OK\r\n+OK\r\n-ERR who?\r\n", true),
            ("+OK\r\n+OK\r\n-ERR [AUTH] no\r\n", true),
            ("+OK\r\n+OK\r\n-ERR [SYS/TEMP]\r\n", false),
            ("+OK\r\n-ERR who?\r\n", false),
            ("-ERR busy\r\n", false),
        ] {
            let mut client = client();
            let error = client.receive(replies.as_bytes(), &mut Output::default()).unwrap_err();
            assert_eq!(client.is_bad_login(&error), bad, "{replies}");
        }
    }

    #[test]
    fn starts_tls_or_says_nothing() {
        let make = || client().with_starttls(true);
        let all = "STLS\r\n[tls]USER u@x y\r\nPASS p q\r\n[done: +OK in\r\n]";
        check_starttls(make, "+OK hi\r\n+OK go\r\n", "+OK\r\n+OK in\r\n", all);
        let half = "STLS\r\n[tls]USER u@x y\r\n[error: upstream sent invalid response: \"-ERR\"]";
        check_starttls(make, "+OK hi\r\n+OK go\r\n", "-ERR\r\n", half);
        let injected = format!("STLS\r\n[error: {}]", DialogueError::InjectedPlaintext);
        for more in ["+OK\r\n", "+OK\r\n+OK in\r\n", "\n", "x"] {
            check_starttls(make, &format!("+OK hi\r\n+OK go\r\n{more}"), "+OK\r\n+OK in\r\n", &injected);
        }
        let refused = "STLS\r\n[error: upstream did not start TLS, so no login was tried: \"-ERR no TLS\"]";
        check_starttls(make, "+OK hi\r\n-ERR no TLS\r\n", "+OK\r\n", refused);
        let busy = "[error: upstream did not start TLS, so no login was tried: \"-ERR busy\"]";
        check_starttls(make, "-ERR busy\r\n", "+OK\r\n", busy);
        check_starttls(make, "+OK hi\r\n+OK", "+OK\r\n", "STLS\r\n[more]");
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
        fuzz_starttls(|| client().with_starttls(true), words, &["USER", "PASS"]);
    }
}
