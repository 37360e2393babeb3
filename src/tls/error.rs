//! What OpenSSL has to say when something fails, in the form nginx logs it.

use std::fmt::Write;
use std::io;
use std::path::Path;

use openssl::error::ErrorStack;

use super::ffi;

/// `what failed (SSL: error:... error:...)`: the call or file that failed, and OpenSSL's errors, the oldest first.
pub(super) fn failed(what: &str, errors: &ErrorStack) -> String {
    format!("{what} failed{}", in_brackets(errors))
}

/// ` (SSL: error:... error:...)`, or nothing if OpenSSL says nothing.
pub(super) fn in_brackets(errors: &ErrorStack) -> String {
    if errors.errors().is_empty() {
        return String::new();
    }
    let mut text = String::from(" (SSL:");
    for error in errors.errors() {
        let _ = write!(text, " {}", ffi::error_string(error.code()));
        if let Some(data) = error.data().filter(|data| !data.is_empty()) {
            let _ = write!(text, ":{data}");
        }
    }
    text.push(')');
    text
}

/// What OpenSSL says when it cannot open a file. Files are read without it, so that who reads them is nobody's concern.
pub(super) fn open_failed(path: &Path, error: &io::Error) -> String {
    format!(" (SSL: {})", ffi::open_failed(path, error))
}
