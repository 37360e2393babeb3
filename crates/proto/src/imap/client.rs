//! The login at an IMAP server on behalf of a client: LOGIN with both arguments as synchronizing literals, as nginx does it;
//! behind STARTTLS (RFC 9051, section 6.2.1) where that is wanted, or not at all.
//!
//! Guarantees: it holds no more of the server's bytes than `proxy_buffer`, in any state; a user name or password with CR,
//! LF or NUL is never sent; neither is anything to a server that takes the connection for logged in.
//!
//! Unlike nginx it reads lines, so it does not matter in which pieces they come: any number of untagged ones before the
//! tagged answer to LOGIN is passed on with it. Untagged lines before that, while the server is to ask for a literal,
//! are about the connection and not the session; they are dropped unless the server refuses, and `* BYE` ends the attempt at
//! once.
//!
//! Known gap: a literal inside an untagged line is not understood; its lines are taken for lines of their own.

use std::mem;

use crate::reply::add_whole_lines;
use crate::sasl::is_speakable;
use crate::{BackEnd, DialogueError, Output, Progress, Secret, digits};

const READING: &str = "reading response from upstream";

/// The tag of STARTTLS, which no client has sent.
const TLS_TAG: &[u8] = b"STARTTLS ";

/// A login under way.
pub struct Client {
    /// With the space behind it.
    tag: Vec<u8>,
    user: Vec<u8>,
    password: Secret,
    starttls: bool,
    state: State,
    action: &'static str,
    /// How many whole answers there were.
    answers: usize,
    /// What was received of the answer that is waited for.
    answer: Vec<u8>,
    /// Where the last line of `answer` begins.
    line: usize,
    limit: usize,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    /// The answer to STARTTLS.
    TlsConsent,
    /// No answer, but a TLS handshake.
    Handshake,
    LeaveForUser,
    LeaveForPassword,
    Verdict,
}

impl Client {
    /// A login that has not begun: the server speaks first. `tag` is that of the client's command, without a space;
    /// `buffer` is `proxy_buffer`, bytes: the longest answer.
    pub fn new(mut tag: Vec<u8>, user: Vec<u8>, password: Secret, buffer: usize) -> Client {
        tag.push(b' ');
        Client {
            tag,
            user,
            password,
            starttls: false,
            state: State::Greeting,
            // So says nginx until the server speaks.
            action: "connecting to upstream",
            answers: 0,
            answer: Vec::new(),
            line: 0,
            limit: buffer,
        }
    }

    /// Whether TLS is to be started with STARTTLS before the login.
    pub fn with_starttls(self, starttls: bool) -> Client {
        Client { starttls, ..self }
    }

    /// Whether the line that was just received is what was waited for, and not one that comes before it.
    fn judge(&mut self) -> Result<bool, DialogueError> {
        let line = &self.answer[self.line..];
        let is_ok = |tag: &[u8]| line.strip_prefix(tag).is_some_and(|rest| rest.starts_with(b"OK"));
        match self.state {
            State::Greeting if line.starts_with(b"* OK") => Ok(true),
            State::Greeting if line.starts_with(b"* PREAUTH") => Err(DialogueError::Preauth),
            State::TlsConsent | State::LeaveForUser | State::LeaveForPassword
                if line.starts_with(b"* ") && !is_bye(line) =>
            {
                Ok(false)
            }
            State::TlsConsent if is_ok(TLS_TAG) => Ok(true),
            State::LeaveForUser | State::LeaveForPassword if line.starts_with(b"+") => Ok(true),
            State::Verdict if line.starts_with(b"* ") => Ok(false),
            State::Verdict if is_ok(&self.tag) => Ok(true),
            _ => Err(self.refused()),
        }
    }

    fn refused(&mut self) -> DialogueError {
        let reply = mem::take(&mut self.answer);
        match self.state {
            State::Greeting | State::TlsConsent if self.starttls => DialogueError::NoStartTls { reply },
            _ => DialogueError::Refused { reply },
        }
    }

    /// Says what comes next, if there is something to say, and waits for the answer to that. `rest` is what was received
    /// behind the answer.
    fn proceed(&mut self, rest: &[u8], out: &mut Output) -> Result<Progress, DialogueError> {
        match self.state {
            State::Greeting => {
                self.check()?;
                if self.starttls { self.say_starttls(out) } else { self.say_login(out) }
            }
            State::TlsConsent | State::Handshake => {
                self.wait_for(State::Handshake, READING);
                return if rest.is_empty() { Ok(Progress::StartTls) } else { Err(DialogueError::InjectedPlaintext) };
            }
            State::LeaveForUser => {
                out.bytes.extend_from_slice(&self.user);
                out.bytes.push(b' ');
                say_literal(self.password.expose().len(), out);
                self.wait_for(State::LeaveForPassword, "sending user name to upstream");
            }
            State::LeaveForPassword => {
                let password = mem::take(&mut self.password);
                // Room for the whole line at once: memory that a password moved away from would not be wiped.
                out.bytes.reserve(password.expose().len() + 2);
                out.bytes.extend_from_slice(password.expose());
                out.bytes.extend_from_slice(b"\r\n");
                self.wait_for(State::Verdict, "sending password to upstream");
            }
            State::Verdict => {
                let to_client = [mem::take(&mut self.answer).as_slice(), rest].concat();
                return Ok(Progress::Done { to_client });
            }
        }
        Ok(Progress::More)
    }

    fn say_starttls(&mut self, out: &mut Output) {
        out.bytes.extend_from_slice(TLS_TAG);
        out.bytes.extend_from_slice(b"STARTTLS\r\n");
        self.wait_for(State::TlsConsent, "sending STARTTLS to upstream");
    }

    fn say_login(&mut self, out: &mut Output) {
        out.bytes.extend_from_slice(&self.tag);
        out.bytes.extend_from_slice(b"LOGIN ");
        say_literal(self.user.len(), out);
        self.wait_for(State::LeaveForUser, "sending LOGIN command to upstream");
    }

    fn wait_for(&mut self, state: State, action: &'static str) {
        self.state = state;
        self.action = action;
        self.answer.clear();
        self.line = 0;
    }

    fn check(&self) -> Result<(), DialogueError> {
        if !is_speakable(&self.user) {
            return Err(DialogueError::Unspeakable("user name"));
        }
        if !is_speakable(self.password.expose()) {
            return Err(DialogueError::Unspeakable("password"));
        }
        Ok(())
    }
}

/// Announces a literal of so many bytes (RFC 9051, section 4.3).
fn say_literal(length: usize, out: &mut Output) {
    out.bytes.push(b'{');
    digits(length, &mut |digit| out.bytes.push(digit));
    out.bytes.extend_from_slice(b"}\r\n");
}

impl BackEnd for Client {
    fn receive(&mut self, mut bytes: &[u8], out: &mut Output) -> Result<Progress, DialogueError> {
        self.action = READING;
        if self.state == State::Handshake && !bytes.is_empty() {
            return Err(DialogueError::InjectedPlaintext);
        }
        while !bytes.is_empty() {
            let length = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
            let room = self.limit.saturating_sub(self.answer.len());
            let (piece, rest) = bytes.split_at(length.min(room));
            self.answer.extend_from_slice(piece);
            bytes = rest;
            if piece.ends_with(b"\n") {
                let mut judged = self.judge();
                if let Err(DialogueError::Refused { reply } | DialogueError::NoStartTls { reply }) = &mut judged {
                    add_whole_lines(reply, rest, self.limit);
                }
                self.answers += usize::from(judged != Ok(false));
                if judged? {
                    let progress = self.proceed(rest, out)?;
                    if progress != Progress::More {
                        return Ok(progress);
                    }
                    continue;
                }
                self.line = self.answer.len();
            }
            if self.answer.len() >= self.limit {
                return Err(DialogueError::TooLong { start: mem::take(&mut self.answer) });
            }
        }
        Ok(Progress::More)
    }

    fn tls_started(&mut self, out: &mut Output) {
        debug_assert_eq!(self.state, State::Handshake);
        self.say_login(out);
    }

    fn action(&self) -> &'static str {
        self.action
    }

    fn answers(&self) -> usize {
        // An untagged line answers nothing.
        let begun = self.answer.get(self.line..).is_some_and(|line| !line.is_empty() && !line.starts_with(b"*"));
        self.answers + usize::from(begun)
    }

    /// Codes of RFC 5530.
    fn is_bad_login(&self, error: &DialogueError) -> bool {
        const OTHER_REASONS: [&[u8]; 8] = [
            b"[UNAVAILABLE]",
            b"[INUSE]",
            b"[LIMIT]",
            b"[SERVERBUG]",
            b"[PRIVACYREQUIRED]",
            b"[CONTACTADMIN]",
            b"[AUTHORIZATIONFAILED]",
            b"[EXPIRED]",
        ];
        let DialogueError::Refused { reply } = error else { return false };
        let tagged = reply.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(self.tag.as_slice()));
        let text = tagged.and_then(|rest| rest.strip_prefix(b"NO"));
        let is_other = |text: &[u8]| OTHER_REASONS.iter().any(|code| begins_with(text.trim_ascii_start(), code));
        self.state == State::Verdict && text.is_some_and(|text| !is_other(text))
    }
}

/// In whatever case.
fn begins_with(text: &[u8], code: &[u8]) -> bool {
    text.get(..code.len()).is_some_and(|start| start.eq_ignore_ascii_case(code))
}

fn is_bye(line: &[u8]) -> bool {
    line.starts_with(b"* BYE")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::Random;
    use super::*;
    use crate::testing::{check_starttls, fuzz_starttls};

    /// What the client said, and how it ended.
    type Ending = (String, Result<Progress, DialogueError>);

    fn client(buffer: usize) -> Client {
        Client::new(b"a1".to_vec(), b"user".to_vec(), Secret::from(&b"s3cret"[..]), buffer)
    }

    /// Gives the client the pieces until it is done; what comes later belongs to the caller.
    fn log_in(mut client: Client, pieces: &[&[u8]]) -> Ending {
        let mut out = Output::default();
        let mut ending = Ok(Progress::More);
        for piece in pieces {
            match &mut ending {
                Ok(Progress::More) => ending = client.receive(piece, &mut out),
                Ok(Progress::Done { to_client }) => to_client.extend_from_slice(piece),
                Ok(Progress::StartTls) | Err(_) => break,
            }
            assert!(client.answer.len() <= client.limit);
        }
        (String::from_utf8(mem::take(&mut out.bytes)).unwrap(), ending)
    }

    /// The same, whatever the pieces are.
    fn log_in_split(buffer: usize, input: &str) -> Ending {
        let input = input.as_bytes();
        let whole = log_in(client(buffer), &[input]);
        // Of what is said behind a refusal only what comes with it counts.
        let same = |pieces: &[&[u8]]| match (log_in(client(buffer), pieces), &whole) {
            ((said, Err(DialogueError::Refused { reply })), (whole, Err(DialogueError::Refused { reply: all }))) => {
                said == *whole && all.starts_with(&reply)
            }
            (split, whole) => split == *whole,
        };
        for at in 1..input.len() {
            assert!(same(&[&input[..at], &input[at..]]), "split at {at}: {whole:?}");
        }
        assert!(same(&input.chunks(1).collect::<Vec<_>>()), "byte by byte: {whole:?}");
        whole
    }

    fn done(to_client: &str) -> Result<Progress, DialogueError> {
        Ok(Progress::Done { to_client: to_client.as_bytes().to_vec() })
    }

    fn refused(reply: &str) -> Result<Progress, DialogueError> {
        Err(DialogueError::Refused { reply: reply.as_bytes().to_vec() })
    }

    const LOGIN: &str = "a1 LOGIN {4}\r\n";
    const USER: &str = "a1 LOGIN {4}\r\nuser {6}\r\n";
    const ALL: &str = "a1 LOGIN {4}\r\nuser {6}\r\ns3cret\r\n";

    #[test]
    fn knows_a_bad_login_from_other_trouble() {
        for (replies, bad) in [
            ("* OK\r\n+\r\n+\r\na1 NO who?\r\n", true),
            ("* OK\r\n+\r\n+\r\n* CAPABILITY X\r\na1 NO [AUTHENTICATIONFAILED] who?\r\n", true),
            ("* OK\r\n+\r\n+\r\na1 NO [AuthenticationFailed] who?\r\n", true),
            ("* OK\r\n+\r\n+\r\na1 NO [UNAVAILABLE] later\r\n", false),
            ("* OK\r\n+\r\n+\r\na1 NO [Unavailable] later\r\n", false),
            ("* OK\r\n+\r\n+\r\na1 NO [PRIVACYREQUIRED] TLS first\r\n", false),
            ("* OK\r\n+\r\n+\r\na1 NO [CONTACTADMIN] call us\r\n", false),
            ("* OK\r\n+\r\n+\r\na1 NO [AUTHORIZATIONFAILED] not as him\r\n", false),
            ("* OK\r\n+\r\n+\r\na1 NO [EXPIRED] another password, please\r\n", false),
            ("* OK\r\n+\r\n+\r\na1 NO who?\r\n* BYE\r\n", true),
            ("* OK\r\n+\r\n+\r\na1 NO [LIMIT] slowly\r\n* BYE\r\n", false),
            ("* OK\r\n+\r\n+\r\na1 BAD what?\r\n", false),
            ("* OK\r\n+\r\na1 NO who?\r\n", false),
            ("* BYE\r\n", false),
        ] {
            let mut client = client(256);
            let error = client.receive(replies.as_bytes(), &mut Output::default()).unwrap_err();
            assert_eq!(client.is_bad_login(&error), bad, "{replies}");
        }
    }

    #[test]
    fn logs_in() {
        let cases = [
            ("* OK hi\r\n+ go\r\n+ go\r\na1 OK in\r\n", done("a1 OK in\r\n")),
            ("* OK\r\n+\r\n+ \r\na1 OK\r\n", done("a1 OK\r\n")),
            ("* OK hi\n+ go\n+ go\na1 OK in\n", done("a1 OK in\n")),
            ("* OK hi\r\n+ go\r\n+ go\r\na1 OK in\r\n* 3 EXISTS\r\n* 1", done("a1 OK in\r\n* 3 EXISTS\r\n* 1")),
            (
                "* OK hi\r\n+ go\r\n+ go\r\n* CAPABILITY IMAP4rev1\r\n* ID NIL\r\na1 OK in\r\n",
                done("* CAPABILITY IMAP4rev1\r\n* ID NIL\r\na1 OK in\r\n"),
            ),
            ("* OK hi\r\n* CAPABILITY X\r\n+ go\r\n* OK y\r\n+ go\r\na1 OK in\r\n", done("a1 OK in\r\n")),
        ];
        for (input, ending) in cases {
            assert_eq!(log_in_split(100, input), (ALL.to_owned(), ending), "{input:?}");
        }
    }

    #[test]
    fn says_no_more_than_was_asked_for() {
        let cases = [
            ("", "", Ok(Progress::More)),
            ("* OK hi", "", Ok(Progress::More)),
            ("* OK hi\r\n", LOGIN, Ok(Progress::More)),
            ("* OK hi\r\n+ go\r\n", USER, Ok(Progress::More)),
            ("* OK hi\r\n+ go\r\n+ go\r\n* BYE\r\n", ALL, Ok(Progress::More)),
            ("* PREAUTH hi\r\n", "", Err(DialogueError::Preauth)),
            ("* BYE go away\r\n", "", refused("* BYE go away\r\n")),
            ("+OK POP3\r\n", "", refused("+OK POP3\r\n")),
            ("* OK hi\r\na1 BAD what\r\n", LOGIN, refused("a1 BAD what\r\n")),
            ("* OK hi\r\n* OK x\r\n* BYE\r\n", LOGIN, refused("* OK x\r\n* BYE\r\n")),
            ("* OK hi\r\n+ go\r\na1 NO user\r\n", USER, refused("a1 NO user\r\n")),
            ("* OK hi\r\n+ go\r\n+ go\r\na1 NO wrong\r\n", ALL, refused("a1 NO wrong\r\n")),
            ("* OK hi\r\n+ go\r\n+ go\r\n* OK wait\r\na1 NO no\r\n* x", ALL, refused("* OK wait\r\na1 NO no\r\n")),
            ("* OK hi\r\n+ go\r\n+ go\r\na2 OK in\r\n", ALL, refused("a2 OK in\r\n")),
            ("* OK hi\r\n+ go\r\n+ go\r\n+ more\r\n", ALL, refused("+ more\r\n")),
        ];
        for (input, said, ending) in cases {
            assert_eq!(log_in_split(100, input), (said.to_owned(), ending), "{input:?}");
        }
    }

    #[test]
    fn a_refusal_is_all_that_was_said_with_it() {
        let ending = |input: &str| log_in(client(100), &[input.as_bytes()]).1;
        assert_eq!(ending("* BYE a\r\n* BYE b\r\n* "), refused("* BYE a\r\n* BYE b\r\n"));
        let replies = "a1 NO [ALERT] no\r\n* BYE too often\r\n";
        assert_eq!(ending(&format!("* OK hi\r\n+ go\r\n+ go\r\n{replies}")), refused(replies));
    }

    #[test]
    fn starts_tls_or_says_nothing() {
        let make = || client(100).with_starttls(true);
        let check = |before: &str, after: &str, expected: &str| check_starttls(make, before, after, expected);
        let login = "+\r\n+\r\na1 OK in\r\n* 1 EXISTS\r\n";
        let all = format!("STARTTLS STARTTLS\r\n[tls]{ALL}[done: a1 OK in\r\n* 1 EXISTS\r\n]");
        check("* OK hi\r\nSTARTTLS OK go\r\n", login, &all);
        check("* OK hi\r\n* CAPABILITY X\r\nSTARTTLS OK go\r\n", login, &all);
        let half = format!("STARTTLS STARTTLS\r\n[tls]{LOGIN}[error: upstream sent invalid response: \"a1 NO\"]");
        check("* OK hi\r\nSTARTTLS OK go\r\n", "a1 NO\r\n", &half);
        let injected = format!("STARTTLS STARTTLS\r\n[error: {}]", DialogueError::InjectedPlaintext);
        for more in ["* OK\r\n", "+\r\n+\r\na1 OK\r\n", "\n", "x"] {
            check(&format!("* OK hi\r\nSTARTTLS OK go\r\n{more}"), login, &injected);
        }
        for (input, said, shown) in [
            ("* OK hi\r\nSTARTTLS NO no\r\n", "STARTTLS STARTTLS\r\n", "STARTTLS NO no"),
            ("* OK hi\r\na1 OK in\r\n", "STARTTLS STARTTLS\r\n", "a1 OK in"),
            ("* OK hi\r\n+ go\r\n", "STARTTLS STARTTLS\r\n", "+ go"),
            ("* OK hi\r\n* BYE\r\n", "STARTTLS STARTTLS\r\n", "* BYE"),
            ("* BYE go away\r\n", "", "* BYE go away"),
        ] {
            let refused = "[error: upstream did not start TLS, so no login was tried: ";
            check(input, login, &format!("{said}{refused}\"{shown}\"]"));
        }
        check("* PREAUTH hi\r\n", login, &format!("[error: {}]", DialogueError::Preauth));
    }

    #[test]
    fn an_answer_fits_the_buffer() {
        let start = |start: &str| Err(DialogueError::TooLong { start: start.as_bytes().to_vec() });
        let cases = [
            ("* OK 56789\r\n+\r\n+\r\na1 OK 789\r\n.................", ALL, done("a1 OK 789\r\n.................")),
            ("* OK 5678901\r\n", "", start("* OK 5678901")),
            ("* OK 56789012345", "", start("* OK 5678901")),
            ("* OK\r\n* 34\r\n* 90\r\n+\r\n", LOGIN, start("* 34\r\n* 90\r\n")),
            ("* OK\r\n+\r\n+\r\n* 3456\r\na1 OK\r\n", ALL, start("* 3456\r\na1 O")),
        ];
        for (input, said, ending) in cases {
            assert_eq!(log_in_split(12, input), (said.to_owned(), ending), "{input:?}");
        }
    }

    #[test]
    fn an_empty_tag_user_and_password() {
        let client = Client::new(Vec::new(), Vec::new(), Secret::default(), 100);
        let ending = log_in(client, &[b"* OK\r\n+\r\n+\r\n OK\r\n"]);
        assert_eq!(ending, (" LOGIN {0}\r\n {0}\r\n\r\n".to_owned(), done(" OK\r\n")));
    }

    #[test]
    fn line_ends_and_nul_are_never_sent() {
        for bad in [&b"\r"[..], b"x\ny", b"x\0"] {
            let user = Client::new(b"a".to_vec(), bad.to_vec(), Secret::default(), 100);
            let ending = log_in(user, &[b"* OK\r\n"]);
            assert_eq!(ending, (String::new(), Err(DialogueError::Unspeakable("user name"))));
            let password = Client::new(b"a".to_vec(), b"u".to_vec(), Secret::from(bad), 100);
            let ending = log_in(password, &[b"* OK\r\n"]);
            assert_eq!(ending, (String::new(), Err(DialogueError::Unspeakable("password"))));
        }
    }

    #[test]
    fn tells_what_it_does() {
        let mut client = client(100);
        let mut out = Output::default();
        assert_eq!(client.action(), "connecting to upstream");
        for (input, action) in [
            ("* OK", "reading response from upstream"),
            (" hi\r\n", "sending LOGIN command to upstream"),
            ("+ \r\n", "sending user name to upstream"),
            ("+ \r\n", "sending password to upstream"),
            ("a1 NO\r\n", "reading response from upstream"),
        ] {
            let _ = client.receive(input.as_bytes(), &mut out);
            assert_eq!(client.action(), action);
        }
    }

    /// Servers that say likely and unlikely things: nothing panics, no split changes anything, nothing is said unasked.
    #[test]
    fn any_server_in_any_pieces() {
        const WORDS: &[&str] = &[
            "* OK hi\r\n",
            "* OK",
            "+ \r\n",
            "+ go\r\n",
            "+",
            "a1 OK in\r\n",
            "a1 ",
            "OK",
            "NO",
            "* ",
            "* BYE\r\n",
            "* PREAUTH\r\n",
            "\r",
            "\n",
            "\r\n",
            "\0",
            "{3}\r\n",
            "* CAPABILITY IMAP4rev1\r\n",
        ];
        let mut random = Random(0x2545_F491_4F6C_DD1D);
        let mut logins = 0;
        for _ in 0..4000 {
            let likely = ["* OK hi\r\n", "+ \r\n", "+ \r\n", "a1 OK in\r\n"];
            let mut input = String::new();
            for word in &likely[..random.below(5)] {
                input.push_str(word);
                if random.below(3) == 0 {
                    input.push_str(WORDS[random.below(WORDS.len())]);
                }
            }
            let (said, ending) = log_in_split(random.below(60), &input);
            assert!(ALL.starts_with(&said), "{input:?}");
            logins += usize::from(matches!(ending, Ok(Progress::Done { .. })));
        }
        assert!(logins > 100);
        let mut words: Vec<&[u8]> = WORDS.iter().map(|word| word.as_bytes()).collect();
        words.extend([&b"* OK hi\r\nSTARTTLS OK go\r\n"[..], b"STARTTLS OK\r\n"]);
        fuzz_starttls(|| client(60).with_starttls(true), &words, &["LOGIN", "user", "s3cret"]);
    }
}
