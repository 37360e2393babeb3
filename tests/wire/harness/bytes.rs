//! Bytes in failure messages.

use base64::prelude::{BASE64_STANDARD, Engine as _};

/// How much of a long text a message shows around the place that matters.
const SHOWN: usize = 600;

/// The bytes in Rust's escapes, one line of the protocol on a line.
pub(crate) fn show(bytes: &[u8]) -> String {
    let cut = bytes.len().min(SHOWN);
    let mut text = String::new();
    for line in bytes[..cut].split_inclusive(|&b| b == b'\n') {
        text.push_str(&format!("    \"{}\"\n", line.escape_ascii()));
    }
    match bytes.len() - cut {
        0 if text.is_empty() => "    (nothing)\n".to_owned(),
        0 => text,
        more => format!("{text}    … and {more} bytes more\n"),
    }
}

/// Where two texts part, and both of them.
pub(crate) fn diff(expected: &[u8], got: &[u8]) -> String {
    let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    let from = at.saturating_sub(SHOWN / 2);
    format!(
        "first difference at byte {at}\n  expected{0}:\n{1}  got{0}:\n{2}",
        if from > 0 { format!(" from byte {from}") } else { String::new() },
        show(&expected[from..]),
        show(&got[from..]),
    )
}

/// In base64.
pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Out of base64, as text.
pub(crate) fn unb64(text: &str) -> String {
    String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
}
