//! What holds for any configuration text, for the fuzz target `conf_load` and the test of its corpus.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use gatepost_conf::Files;

use super::diagnostic::Place;
use super::system::System;
use super::{Config, Paths, load};
use crate::log::Level;

/// Reads a text as the configuration file, and then what it says as the option `-g`: there is a configuration or an
/// error that tells why not, the same each time, and each error tells where.
pub fn check(text: &[u8]) {
    let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
    let globals = std::str::from_utf8(text).ok();
    for globals in [None, globals] {
        let loaded = read(text, globals);
        let has_error = loaded.diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Emerg);
        assert_eq!(loaded.config.is_none(), has_error, "{:?}", loaded.diagnostics);
        for diagnostic in &loaded.diagnostics {
            assert!(!diagnostic.message.is_empty());
            if let Place::Line { file, line } = &diagnostic.place {
                assert!(&**file != CONFIGURATION || (1..=lines).contains(line), "{diagnostic}");
            }
        }
        loaded.config.iter().for_each(check_config);
        assert_eq!(read(text, globals).diagnostics, loaded.diagnostics);
    }
}

/// What the rest of the program relies on.
fn check_config(config: &Config) {
    assert!(!config.process.error_log.is_empty(), "nowhere to log to");
    assert!(config.process.worker_processes > 0);
    for socket in &config.sockets {
        assert!(!socket.endpoints.is_empty(), "{socket:?} leads nowhere");
    }
}

const CONFIGURATION: &str = "/conf/main";

fn read(text: &[u8], globals: Option<&str>) -> super::load::Loaded {
    let paths = Paths {
        prefix: "/prefix/".into(),
        file: CONFIGURATION.into(),
        error_log: "logs/error.log".into(),
        pid: "/run/gatepost.pid".into(),
    };
    load(&paths, globals, &Sealed { text })
}

/// A machine with two files, which nothing can leave.
struct Sealed<'a> {
    text: &'a [u8],
}

impl Files for Sealed<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some(CONFIGURATION) => Ok(self.text.to_vec()),
            Some("/conf/passwords") => Ok(b"one\r\n\n two".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec!["/conf/passwords".into()])
    }
}

impl System for Sealed<'_> {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        host.ends_with(".example").then_some(IpAddr::from([192, 0, 2, 1])).into_iter().collect()
    }

    fn hostname(&self) -> String {
        "host.example".into()
    }

    fn processors(&self) -> usize {
        2
    }

    fn page_size(&self) -> usize {
        4096
    }

    fn is_root(&self) -> bool {
        true
    }

    fn has_user(&self, name: &str) -> bool {
        name != "nobody-of-that-name"
    }

    fn has_group(&self, name: &str) -> bool {
        self.has_user(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_for_the_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/conf_load");
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus).expect("the corpus") {
            let path = entry.expect("an entry").path();
            // Shown only if the test fails.
            println!("{}", path.display());
            check(&std::fs::read(path).expect("a file"));
            inputs += 1;
        }
        assert!(inputs > 0);
    }
}
