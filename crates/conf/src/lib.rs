#![forbid(unsafe_code)]
//! The nginx configuration language, without a word about what it configures.
//!
//! * [`lexer`] cuts text into directives, with nginx's quotes, escapes, comments and error messages;
//! * [`parse()`] makes a tree of them for one file, and goes on after a mistake, so that one run finds them all;
//! * [`table`] checks a directive against a table of names, contexts and arities;
//! * [`value`] and [`address`] read the values: sizes, times, numbers, addresses, CIDR blocks.
//!
//! It knows text only. Files come through the trait [`Files`]; `include` is for the caller to follow, since only the
//! caller knows which blocks it reads and which it skips.
//!
//! Known gaps: nginx refuses a comment longer than 4,096 bytes, this crate does not.

pub mod address;
pub mod lexer;
pub mod parse;
pub mod table;
pub mod value;

use std::io;
use std::path::{Path, PathBuf};

pub use parse::{Directive, Item, Origin, parse};

/// Where configuration files come from.
pub trait Files {
    /// The whole content of a file.
    ///
    /// # Errors
    /// As the operating system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The files that match a shell pattern (`*`, `?`, `[...]`), sorted by their bytes. A leading dot is matched by a
    /// dot only. No match is no error.
    ///
    /// # Errors
    /// As the operating system says.
    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;
}

/// Something wrong in the text, in nginx's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The message, without ` in FILE:LINE`.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The rest of the text was not read: its structure is lost.
    pub last: bool,
}
