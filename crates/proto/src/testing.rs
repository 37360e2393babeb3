//! What the tests of the machines share: they are driven without I/O, with the input in one piece and in every other way.
#![allow(clippy::unwrap_used)]

use crate::{
    Attempt, BackEnd, DialogueError, Envelope, FrontEnd, Method, Output, Progress, Rejection, Step, printable,
};

/// Feeds pieces to a front end, and writes down all that happens: what it sends, `[auth: ..]` for an attempt (which is
/// then refused with the text `no`), `[tls]`, `[close]`, `[rest: ..]` for input not used, and at the end `[note: ..]` for
/// each remark.
pub(crate) fn converse(front: &mut dyn FrontEnd, pieces: &[&[u8]]) -> String {
    let mut script = String::new();
    let mut out = Output::default();
    front.greet(&mut out);
    for piece in pieces {
        if !feed(front, piece, &mut out, &mut script) {
            break;
        }
    }
    flush(&mut out, &mut script);
    let rest = front.input().unread();
    if !rest.is_empty() && !script.ends_with("[close]") {
        script.push_str(&format!("[rest: {}]", printable(rest)));
    }
    script.extend(out.notes.iter().map(|note| format!("[note: {note}]")));
    script
}

/// Feeds one piece, as far as there is room at a time; returns whether the session goes on.
fn feed(front: &mut dyn FrontEnd, mut piece: &[u8], out: &mut Output, script: &mut String) -> bool {
    while !piece.is_empty() {
        let (now, later) = piece.split_at(piece.len().min(front.input().space()));
        assert!(!now.is_empty(), "it asks for input and has no room");
        front.input().push(now);
        piece = later;
        if !answer(front, out, script) {
            return false;
        }
    }
    true
}

/// Steps until input is needed; returns whether the session goes on.
fn answer(front: &mut dyn FrontEnd, out: &mut Output, script: &mut String) -> bool {
    loop {
        let step = front.step(out);
        flush(out, script);
        match step {
            Step::Input => return true,
            Step::StartTls => {
                script.push_str("[tls]");
                front.tls_started();
            }
            Step::Authenticate(attempt) => {
                script.push_str(&format!("[auth: {}]", describe(&attempt)));
                front.reject(&Rejection { text: b"no".to_vec(), code: None }, out);
            }
            Step::Refuse(refusal) => {
                script.push_str(&format!("[refuse: {refusal}][close]"));
                return false;
            }
            Step::Close => {
                script.push_str("[close]");
                return false;
            }
        }
    }
}

fn flush(out: &mut Output, script: &mut String) {
    assert!(out.bytes.is_empty() || out.bytes.ends_with(b"\r\n"), "replies are whole lines");
    script.push_str(&String::from_utf8_lossy(&out.bytes));
    out.bytes.clear();
}

/// `1 plain user password`, and the salt, HELO or envelope where there is one.
fn describe(attempt: &Attempt) -> String {
    let Attempt { method, user, password, salt, number, dialogue } = attempt;
    let mut text = format!("{number} {} {} {}", method.name(), printable(user), printable(password.expose()));
    for bytes in [user.as_slice(), password.expose()] {
        assert!(crate::sasl::is_speakable(bytes), "a line end or NUL in {attempt:?}");
    }
    if let Some(salt) = salt {
        text.push_str(&format!(" {salt}"));
    }
    if let crate::Dialogue::Smtp { helo, esmtp, envelope } = dialogue {
        if let Some(helo) = helo {
            text.push_str(&format!(" {} {}", if *esmtp { "EHLO" } else { "HELO" }, printable(helo)));
        }
        if let Some(Envelope { mail, rcpt }) = envelope {
            assert_eq!(*method, Method::None);
            text.push_str(&format!(" {} {}", printable(mail), printable(rcpt)));
        }
    }
    text
}

/// Checks a conversation with the input whole, byte by byte, and in two pieces, split at every byte.
pub(crate) fn check_front<F: FrontEnd>(make: impl Fn() -> F, input: &[u8], expected: &str) {
    assert_eq!(converse(&mut make(), &[input]), expected, "whole: {}", printable(input));
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(converse(&mut make(), &bytes), expected, "by bytes: {}", printable(input));
    for at in 1..input.len() {
        let (first, second) = input.split_at(at);
        assert_eq!(converse(&mut make(), &[first, second]), expected, "split at {at}: {}", printable(input));
    }
}

/// Runs pseudo-random conversations, made of `words`, and checks that a split makes no difference.
pub(crate) fn fuzz_front<F: FrontEnd>(make: impl Fn() -> F, words: &[&[u8]]) {
    let mut random = Random::new();
    for _ in 0..2000 {
        let input: Vec<u8> = (0..random.below(60)).flat_map(|_| words[random.below(words.len())].to_vec()).collect();
        let whole = converse(&mut make(), &[&input]);
        assert_eq!(converse(&mut make(), &random.pieces(&input)), whole, "{}", printable(&input));
    }
}

/// Feeds pieces to a back end, and writes down what it sends, then `[done: ..]`, `[error: ..]`, `[starttls]` or `[more]`.
pub(crate) fn log_in(back: &mut dyn BackEnd, pieces: &[&[u8]]) -> String {
    let mut script = String::new();
    let ending = feed_back(back, pieces, &mut script);
    script + &ending
}

/// The same with STARTTLS: what comes after `[tls]` is fed encrypted.
fn log_in_starttls(back: &mut dyn BackEnd, before: &[&[u8]], after: &[&[u8]]) -> String {
    let mut script = String::new();
    let ending = feed_back(back, before, &mut script);
    if ending != "[starttls]" {
        return script + &ending;
    }
    script.push_str("[tls]");
    let mut out = Output::default();
    back.tls_started(&mut out);
    script.push_str(&String::from_utf8_lossy(&out.bytes));
    let ending = feed_back(back, after, &mut script);
    script + &ending
}

/// Gives the ending.
fn feed_back(back: &mut dyn BackEnd, pieces: &[&[u8]], script: &mut String) -> String {
    let mut last = Progress::More;
    for piece in pieces {
        if let Progress::Done { to_client } = &mut last {
            // After the end the caller moves the bytes on by itself.
            to_client.extend_from_slice(piece);
            continue;
        }
        let mut out = Output::default();
        let result = back.receive(piece, &mut out);
        script.push_str(&String::from_utf8_lossy(&out.bytes));
        match result {
            // An empty piece changes nothing.
            Ok(Progress::More) if piece.is_empty() => {}
            Ok(progress) => last = progress,
            Err(DialogueError::Refused { .. } | DialogueError::TooLong { .. } | DialogueError::NoStartTls { .. })
                if pieces.len() > 1 =>
            {
                return "[error]".to_owned();
            }
            Err(error) => return format!("[error: {error}]"),
        }
    }
    match last {
        Progress::Done { to_client } => format!("[done: {}]", String::from_utf8_lossy(&to_client)),
        Progress::StartTls => "[starttls]".to_owned(),
        Progress::More => "[more]".to_owned(),
    }
}

/// Checks a login with STARTTLS, split at every byte before and after it.
pub(crate) fn check_starttls<B: BackEnd>(make: impl Fn() -> B, before: &str, after: &str, expected: &str) {
    let (before, after) = (before.as_bytes(), after.as_bytes());
    assert_eq!(log_in_starttls(&mut make(), &[before], &[after]), expected, "whole: {}", printable(before));
    let split = without_reply(expected);
    for at in 1..before.len() {
        let (first, second) = before.split_at(at);
        let script = log_in_starttls(&mut make(), &[first, second], &[after, b""]);
        assert_eq!(without_reply(&script), split, "split at {at}: {}", printable(before));
    }
    for at in 1..after.len() {
        let (first, second) = after.split_at(at);
        let script = log_in_starttls(&mut make(), &[before, b""], &[first, second]);
        assert_eq!(without_reply(&script), split, "split at {at}: {}", printable(after));
    }
}

/// Runs pseudo-random logins with STARTTLS: a split makes no difference, and none of the `secret` commands is said before.
pub(crate) fn fuzz_starttls<B: BackEnd>(make: impl Fn() -> B, words: &[&[u8]], secret: &[&str]) {
    let mut random = Random::new();
    let mut started = 0;
    for _ in 0..2000 {
        let mut input =
            || -> Vec<u8> { (0..random.below(6)).flat_map(|_| words[random.below(words.len())].to_vec()).collect() };
        let (before, after) = (input(), input());
        let whole = without_reply(&log_in_starttls(&mut make(), &[&before, b""], &[&after, b""]));
        let (mut first, mut second) = (random.pieces(&before), random.pieces(&after));
        first.push(b"");
        second.push(b"");
        let split = without_reply(&log_in_starttls(&mut make(), &first, &second));
        assert_eq!(split, whole, "{} {}", printable(&before), printable(&after));
        let plaintext = whole.split("[tls]").next().unwrap();
        assert!(!secret.iter().any(|command| plaintext.contains(command)), "{plaintext}");
        started += usize::from(whole.contains("[tls]"));
    }
    assert!(started > 10, "too few of them start TLS: {started}");
}

/// How much of a refusal was read depends on the pieces.
fn without_reply(script: &str) -> String {
    const REFUSALS: [&str; 3] =
        ["[error: upstream sent invalid", "[error: upstream sent too long", "[error: upstream did not start TLS"];
    match REFUSALS.iter().find_map(|refusal| script.find(refusal)) {
        Some(at) => format!("{}[error]", &script[..at]),
        None => script.to_owned(),
    }
}

/// Checks a login as [`check_front`] checks a conversation. How much of a refusal was read depends on the pieces.
pub(crate) fn check_back<B: BackEnd>(make: impl Fn() -> B, input: &[u8], expected: &str) {
    assert_eq!(log_in(&mut make(), &[input]), expected, "whole: {}", printable(input));
    let split = without_reply(expected);
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(log_in(&mut make(), &bytes), if bytes.len() > 1 { &*split } else { expected }, "{}", printable(input));
    for at in 1..input.len() {
        let (first, second) = input.split_at(at);
        assert_eq!(log_in(&mut make(), &[first, second]), split, "split at {at}: {}", printable(input));
    }
}

/// Runs pseudo-random logins, made of `words`, and checks that a split makes no difference.
pub(crate) fn fuzz_back<B: BackEnd>(make: impl Fn() -> B, words: &[&[u8]]) {
    let mut random = Random::new();
    for _ in 0..2000 {
        let input: Vec<u8> = (0..random.below(20)).flat_map(|_| words[random.below(words.len())].to_vec()).collect();
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        // How much of a refusal was read is told of a single piece only.
        let pieces: Vec<&[u8]> = random.pieces(&input).into_iter().chain([&b""[..]]).collect();
        if bytes.len() > 1 {
            assert_eq!(log_in(&mut make(), &pieces), log_in(&mut make(), &bytes), "{}", printable(&input));
        }
    }
}

/// Numbers that look random and are the same in every run (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        Random(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// A few bytes, with line ends and NUL more often than by chance.
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        const SPECIAL: &[u8] = b"\r\n\0 +=\x7f\xff";
        let length = self.below(5);
        let byte = |random: &mut Random| match random.below(8) {
            0 => SPECIAL[random.below(SPECIAL.len())],
            _ => b'!' + random.below(90) as u8,
        };
        (0..length).map(|_| byte(self)).collect()
    }

    fn pieces<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(1 + self.below(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}
