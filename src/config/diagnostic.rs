//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

use crate::log::Level;

/// Something to tell about a configuration, in nginx's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is; [`Level::Emerg`] means that the configuration cannot be used.
    pub level: Level,
    /// What.
    pub message: String,
    /// Where.
    pub place: Place,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.message, self.place)
    }
}

/// Where something stands. Displayed as the end of nginx's message: ` in FILE:LINE`, ` in command line` or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere in particular.
    Nowhere,
    /// In the parameter of the option `-g`.
    CommandLine,
    /// In a file.
    Line {
        /// Its path.
        file: Arc<str>,
        /// From 1.
        line: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Nowhere => Ok(()),
            Place::CommandLine => f.write_str(" in command line"),
            Place::Line { file, line } => write!(f, " in {file}:{line}"),
        }
    }
}

/// Collects diagnostics.
#[derive(Debug, Default)]
pub struct Diagnostics {
    /// In the order in which they were found.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds one, unless the same is there already.
    pub fn push(&mut self, level: Level, place: &Place, message: impl Into<String>) {
        let diagnostic = Diagnostic { level, message: message.into(), place: place.clone() };
        if !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// Adds one that makes the configuration unusable.
    pub fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Level::Emerg, place, message);
    }

    /// Whether the configuration is unusable.
    pub fn any_error(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.level == Level::Emerg)
    }
}
