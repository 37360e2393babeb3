//! Messages to send: the same at every run, and full of what a careless proxy or client would damage.

use std::path::Path;

/// Lines that mean something to a protocol or a mailbox format, or look as if they did.
const TRAPS: &[&[u8]] = &[
    b".",
    b"..",
    b".QUIT",
    b"From the start of a line",
    b">From quoted already",
    b"",
    b"A0001 LOGOUT",
    b"* BYE not yet",
    b"{12345}",
    b"~{3+}",
    b"+OK",
    b"354 go ahead",
    b"\tTabs\tand trailing blanks  \t ",
    "Grüße, 郵便, 📬".as_bytes(),
    b"Latin-1: Gr\xfc\xdfe, and \x01\x07\x1b\x7f\x80\xfe\xff",
];

/// Numbers that look random and are always the same (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// A line of up to 900 printable characters, so that no SMTP server needs to fold it.
    fn line(&mut self) -> Vec<u8> {
        let length = if self.below(8) == 0 { self.below(900) } else { self.below(78) };
        (0..length).map(|_| b'!' + self.below(94) as u8).collect()
    }
}

/// Message `number`: most of some kilobytes, some empty, some of a quarter of a megabyte. Lines end in CRLF.
pub(crate) fn message(number: usize) -> Vec<u8> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ ((number as u64 + 1) << 20));
    let lines = match number % 50 {
        0 => 0,
        49 => 4000,
        _ => dice.below(60),
    };
    let mut message = head(number);
    for _ in 0..lines {
        if dice.below(5) == 0 {
            message.extend_from_slice(TRAPS[dice.below(TRAPS.len())]);
        } else {
            message.extend(dice.line());
        }
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// A message of at least `size` bytes.
pub(crate) fn large_message(size: usize) -> Vec<u8> {
    let mut message = head(size);
    let block: Vec<u8> = (1..4).flat_map(|number| self::message(50 * number - 1)).collect();
    while message.len() < size {
        message.extend_from_slice(&block);
    }
    message
}

fn head(number: usize) -> Vec<u8> {
    format!(
        "From: Sender <sender@example.test>\r\nTo: Somebody <somebody@example.test>\r\n\
         Subject: Message {number}\r\nDate: Mon, 02 Jan 2023 03:04:05 +0000\r\nMessage-ID: <{number}@example.test>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    .into_bytes()
}

/// Fails the test unless `got` is `want`, and says where they part.
#[track_caller]
pub(crate) fn assert_same(got: &[u8], want: &[u8]) {
    if got == want {
        return;
    }
    let at = got.iter().zip(want).take_while(|(a, b)| a == b).count();
    panic!(
        "{} bytes, expected {}; different from byte {at}: {:?}, expected {:?}",
        got.len(),
        want.len(),
        String::from_utf8_lossy(excerpt(got, at)),
        String::from_utf8_lossy(excerpt(want, at))
    );
}

/// Fails the test unless `got` is `want` behind the trace headers that SMTP servers add.
#[track_caller]
pub(crate) fn assert_delivered(got: &[u8], want: &[u8]) {
    let added = got.len().checked_sub(want.len()).expect("a message grows on its way");
    assert_same(&got[added..], want);
    assert!(got.starts_with(b"Return-Path: <"), "{:?}", String::from_utf8_lossy(&got[..added]));
}

/// Fails the test unless both hold the same messages, in any order.
#[track_caller]
pub(crate) fn assert_same_mailbox(mut got: Vec<Vec<u8>>, mut want: Vec<Vec<u8>>) {
    assert_eq!(got.len(), want.len(), "messages");
    got.sort();
    want.sort();
    for (got, want) in got.iter().zip(&want) {
        assert_same(got, want);
    }
}

fn excerpt(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[at.saturating_sub(40)..bytes.len().min(at + 40)]
}

/// Writes message after message into `directory`, in files whose names sort in that order.
pub(crate) fn write_all(directory: &Path, messages: &[Vec<u8>]) {
    std::fs::create_dir_all(directory).unwrap();
    for (number, message) in messages.iter().enumerate() {
        std::fs::write(directory.join(format!("{number:05}")), message).unwrap();
    }
}

/// The content of every file in `directory`, in the order of their names.
pub(crate) fn read_all(directory: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}
