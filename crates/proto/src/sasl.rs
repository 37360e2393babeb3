//! The SASL exchange that IMAP AUTHENTICATE, POP3 AUTH and SMTP AUTH share: PLAIN (RFC 4616), LOGIN, CRAM-MD5
//! (RFC 2195) and EXTERNAL (RFC 4422, appendix A), as nginx speaks them.
//!
//! [`start`] takes what stood behind the command; while the answer is a [`Turn::Challenge`], the client's next line goes
//! to [`Exchange::next`]. An exchange is used up by each turn, so nothing of an attempt is there in the next one.
//!
//! Guarantees: a user name or password with CR, LF or NUL never leaves here; a refusal carries no credentials.
//!
//! Known gap, and nginx's: `*` does not cancel by itself. It is bad base64, which ends the exchange just the same.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::{Mechanisms, Method, Note, Secret};

/// `Username:`, which is what EXTERNAL asks too.
const USERNAME: &str = "VXNlcm5hbWU6";
/// `Password:`
const PASSWORD: &str = "UGFzc3dvcmQ6";
/// The length of an MD5 digest in hexadecimal.
const DIGEST_LENGTH: usize = 32;

/// What follows from a client's line.
#[derive(Debug)]
pub enum Turn {
    /// The client is asked on.
    Challenge {
        /// What it is asked, in base64; the protocol puts `+ ` or `334 ` before it and CRLF behind.
        text: String,
        /// What takes its answer.
        exchange: Exchange,
    },
    /// The client has said who it is.
    Finished(Credentials),
    /// The command, or the line, is invalid; the exchange is over.
    Refused(Option<Note>),
}

/// What an exchange, or a command like it, yields.
#[derive(Debug, PartialEq, Eq)]
pub struct Credentials {
    /// How.
    pub method: Method,
    /// Who; may be empty.
    pub user: Vec<u8>,
    /// The password or digest; empty for [`Method::External`].
    pub password: Secret,
}

impl Credentials {
    /// Takes what a client gave, if it can be said in the commands of a mail server.
    ///
    /// # Errors
    /// A user name or password with CR, LF or NUL, with a note that tells which.
    pub fn new(method: Method, user: Vec<u8>, password: Secret) -> Result<Credentials, Note> {
        let what = if !is_speakable(&user) {
            "user name"
        } else if !is_speakable(password.expose()) {
            "password"
        } else {
            return Ok(Credentials { method, user, password });
        };
        Err(Note(format!("client sent CR, LF or NUL in the {what}")))
    }
}

/// An exchange under way.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Plain,
    LoginUser,
    LoginPassword { user: Vec<u8> },
    CramMd5,
    External,
}

/// Begins an exchange with the arguments of the command: the mechanism, and perhaps an initial response.
///
/// As in nginx, `enabled` gates CRAM-MD5 and EXTERNAL only, and CRAM-MD5 takes no initial response. `salt` is the challenge
/// of CRAM-MD5, in angle brackets, without CRLF.
pub fn start<A: AsRef<[u8]>>(arguments: &[A], enabled: Mechanisms, salt: &str) -> Turn {
    let (mechanism, initial) = match arguments {
        [mechanism] => (mechanism.as_ref(), None),
        [mechanism, initial] => (mechanism.as_ref(), Some(initial.as_ref())),
        _ => return Turn::Refused(None),
    };
    let (state, challenge) = match mechanism.to_ascii_uppercase().as_slice() {
        b"PLAIN" => (State::Plain, String::new()),
        b"LOGIN" => (State::LoginUser, USERNAME.to_owned()),
        b"CRAM-MD5" if enabled.cram_md5 && initial.is_none() => (State::CramMd5, encode(salt.as_bytes())),
        b"EXTERNAL" if enabled.external => (State::External, USERNAME.to_owned()),
        _ => return Turn::Refused(None),
    };
    match initial {
        Some(response) => Exchange(state).next(response),
        None => Turn::Challenge { text: challenge, exchange: Exchange(state) },
    }
}

impl Exchange {
    /// Takes the client's answer: one base64 token, without line end.
    pub fn next(self, response: &[u8]) -> Turn {
        let Some(decoded) = decode(response) else {
            return refused(format!("client sent invalid base64 encoding in AUTH {} command", self.mechanism()));
        };
        match self.0 {
            State::Plain => plain(&decoded),
            State::LoginUser => Turn::Challenge {
                text: PASSWORD.to_owned(),
                exchange: Exchange(State::LoginPassword { user: decoded.to_vec() }),
            },
            State::LoginPassword { user } => finished(Method::Plain, user, &decoded),
            State::CramMd5 => cram_md5(&decoded),
            State::External => finished(Method::External, decoded.to_vec(), b""),
        }
    }

    /// The user name, if it is known already.
    pub fn user(&self) -> Option<&[u8]> {
        match &self.0 {
            State::LoginPassword { user } => Some(user),
            _ => None,
        }
    }

    /// Whether LOGIN waits for the user name. IMAP answers what is wrong with it in a way of its own.
    pub(crate) fn wants_login_user(&self) -> bool {
        matches!(self.0, State::LoginUser)
    }

    fn mechanism(&self) -> &'static str {
        match self.0 {
            State::Plain => "PLAIN",
            State::LoginUser | State::LoginPassword { .. } => "LOGIN",
            State::CramMd5 => "CRAM-MD5",
            State::External => "EXTERNAL",
        }
    }
}

/// `[authzid] NUL authcid NUL passwd`; the first is dropped.
fn plain(message: &[u8]) -> Turn {
    let Some((_, rest)) = split_once(message, 0).filter(|(_, rest)| !rest.is_empty()) else {
        return refused("client sent invalid login in AUTH PLAIN command".to_owned());
    };
    let Some((user, password)) = split_once(rest, 0) else {
        return refused("client sent invalid password in AUTH PLAIN command".to_owned());
    };
    finished(Method::Plain, user.to_vec(), password)
}

/// `user SP digest`; the digest is not looked at, but must be as long as one.
fn cram_md5(message: &[u8]) -> Turn {
    match split_once(message, b' ') {
        Some((user, digest)) if digest.len() == DIGEST_LENGTH => finished(Method::CramMd5, user.to_vec(), digest),
        _ => refused("client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command".to_owned()),
    }
}

fn finished(method: Method, user: Vec<u8>, password: &[u8]) -> Turn {
    match Credentials::new(method, user, Secret::from(password)) {
        Ok(credentials) => Turn::Finished(credentials),
        Err(note) => Turn::Refused(Some(note)),
    }
}

fn refused(why: String) -> Turn {
    Turn::Refused(Some(Note(why)))
}

/// The names of the enabled mechanisms, in the order in which nginx lists them.
pub(crate) fn names(enabled: Mechanisms) -> impl Iterator<Item = &'static str> {
    let listed = [
        ("PLAIN", enabled.plain),
        ("LOGIN", enabled.login),
        ("CRAM-MD5", enabled.cram_md5),
        ("EXTERNAL", enabled.external),
    ];
    listed.into_iter().filter(|(_, is_enabled)| *is_enabled).map(|(name, _)| name)
}

/// Whether bytes can stand in a command line of a mail server.
pub(crate) fn is_speakable(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// Encodes with padding, RFC 4648 section 4.
pub(crate) fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Decodes as nginx does: up to the first `=`, whatever follows, and with stray bits in the last character.
fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    LENIENT.decode(&text[..end]).ok().map(Zeroizing::new)
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    memchr::memchr(separator, bytes).map(|at| (&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SALT: &str = "<1.2@mail.example>";
    const NONE: Mechanisms =
        Mechanisms { plain: false, login: false, apop: false, cram_md5: false, external: false, none: false };
    const ALL: Mechanisms = Mechanisms { cram_md5: true, external: true, ..NONE };

    fn turn(arguments: &str, lines: &[&str], enabled: Mechanisms) -> Turn {
        let arguments: Vec<&str> = arguments.split(' ').filter(|word| !word.is_empty()).collect();
        lines.iter().fold(start(&arguments, enabled, SALT), |turn, line| match turn {
            Turn::Challenge { exchange, .. } => exchange.next(line.as_bytes()),
            other => panic!("no line is expected after {other:?}"),
        })
    }

    /// What is asked, `method user password`, or the note of a refusal.
    fn summary(turn: Turn) -> String {
        match turn {
            Turn::Challenge { text, .. } => format!("? {text}"),
            Turn::Finished(Credentials { method, user, password }) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                format!("{} {} {}", method.name(), text(&user), text(password.expose()))
            }
            Turn::Refused(note) => format!("! {}", note.map(|note| note.0).unwrap_or_default()),
        }
    }

    #[test]
    fn exchanges_go_as_in_nginx() {
        let bad_base64 = "! client sent invalid base64 encoding in AUTH PLAIN command";
        let bad_login = "! client sent invalid login in AUTH PLAIN command";
        let bad_password = "! client sent invalid password in AUTH PLAIN command";
        let cram = format!("cram-md5 u {}", "0".repeat(32));
        let cram_line = encode(format!("u {}", "0".repeat(32)).as_bytes());
        let long_cram = encode(format!("u  {}", "0".repeat(32)).as_bytes());
        let bad_cram = "! client sent invalid CRAM-MD5 hash in AUTH CRAM-MD5 command";
        let cases: &[(&str, &[&str], &str)] = &[
            ("", &[], "! "),
            ("DIGEST-MD5", &[], "! "),
            ("PLAIN a b", &[], "! "),
            ("PLAIN", &[], "? "),
            ("plain", &["AHUAcA=="], "plain u p"),
            ("Plain AHUAcA", &[], "plain u p"),
            ("PLAIN AHUAcA=garbage!", &[], "plain u p"),
            ("PLAIN AHUAcB==", &[], "plain u p"),
            ("PLAIN YXV0aHppZAB1AHA=", &[], "plain u p"),
            ("PLAIN AAA=", &[], "plain  "),
            ("PLAIN AHUA", &[], "plain u "),
            ("PLAIN", &["*"], bad_base64),
            ("PLAIN AHUAc", &[], bad_base64),
            ("PLAIN AHUA*A==", &[], bad_base64),
            ("PLAIN", &[""], bad_login),
            ("PLAIN =", &[], bad_login),
            ("PLAIN dXNlcg==", &[], bad_login),
            ("PLAIN AA==", &[], bad_login),
            ("PLAIN AHU=", &[], bad_password),
            ("LOGIN", &[], "? VXNlcm5hbWU6"),
            ("LOGIN", &["dQ=="], "? UGFzc3dvcmQ6"),
            ("login dQ==", &[], "? UGFzc3dvcmQ6"),
            ("LOGIN", &["dQ==", "cA=="], "plain u p"),
            ("LOGIN dQ", &["cA"], "plain u p"),
            ("LOGIN", &["", ""], "plain  "),
            ("LOGIN", &["*"], "! client sent invalid base64 encoding in AUTH LOGIN command"),
            ("LOGIN dQ==", &["*"], "! client sent invalid base64 encoding in AUTH LOGIN command"),
            ("CRAM-MD5", &[], "? PDEuMkBtYWlsLmV4YW1wbGU+"),
            ("cram-md5", &[&cram_line], &cram),
            ("CRAM-MD5 dQ==", &[], "! "),
            ("CRAM-MD5", &[&long_cram], bad_cram),
            ("CRAM-MD5", &["dQ=="], bad_cram),
            ("CRAM-MD5", &["*"], "! client sent invalid base64 encoding in AUTH CRAM-MD5 command"),
            ("EXTERNAL", &[], "? VXNlcm5hbWU6"),
            ("EXTERNAL", &["dQ=="], "external u "),
            ("external dQ==", &[], "external u "),
            ("EXTERNAL =", &[], "external  "),
            ("EXTERNAL *", &[], "! client sent invalid base64 encoding in AUTH EXTERNAL command"),
        ];
        for (arguments, lines, expected) in cases {
            assert_eq!(summary(turn(arguments, lines, ALL)), *expected, "{arguments} {lines:?}");
        }
    }

    #[test]
    fn only_cram_md5_and_external_are_gated() {
        for arguments in ["CRAM-MD5", "EXTERNAL", "EXTERNAL dQ=="] {
            assert_eq!(summary(turn(arguments, &[], NONE)), "! ", "{arguments}");
        }
        assert_eq!(summary(turn("PLAIN AHUAcA==", &[], NONE)), "plain u p");
        assert_eq!(summary(turn("LOGIN dQ==", &["cA=="], NONE)), "plain u p");
    }

    #[test]
    fn line_ends_and_nul_are_refused() {
        let cases: &[(&str, &[&[u8]], &str)] = &[
            ("PLAIN", &[b"\0u\r\nDELE 1\0p"], "user name"),
            ("PLAIN", &[b"\0u\0p\n"], "password"),
            ("PLAIN", &[b"\0u\0p\0q"], "password"),
            ("LOGIN", &[b"u\0", b"p"], "user name"),
            ("LOGIN", &[b"u", b"p\r"], "password"),
            ("CRAM-MD5", &[b"u\n 00000000000000000000000000000000"], "user name"),
            ("CRAM-MD5", &[b"u 0000000000000000000000000000000\n"], "password"),
            ("EXTERNAL", &[b"u\r\nx"], "user name"),
        ];
        for (arguments, messages, what) in cases {
            let lines: Vec<String> = messages.iter().map(|message| encode(message)).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let expected = format!("! client sent CR, LF or NUL in the {what}");
            assert_eq!(summary(turn(arguments, &lines, ALL)), expected, "{arguments} {messages:?}");
        }
    }

    #[test]
    fn the_user_is_known_between_name_and_password() {
        let Turn::Challenge { exchange, .. } = turn("LOGIN dQ==", &[], NONE) else { panic!("a challenge") };
        assert_eq!(exchange.user(), Some(&b"u"[..]));
    }
}
