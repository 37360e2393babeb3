//! Which file is the configuration, and what relative names are relative to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The paths a configuration is read with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// Prefix of relative names (`-p`), with a slash at its end.
    pub prefix: String,
    /// The configuration file, absolute if the prefix is.
    pub file: String,
    /// `error_log` where the configuration has none (`-e`); empty for standard error.
    pub error_log: String,
    /// `pid` where the configuration has none.
    pub pid: String,
}

impl Paths {
    /// A path that is relative to the prefix: logs, the pid file.
    pub fn full(&self, name: &str) -> PathBuf {
        join(&self.prefix, name).into()
    }

    /// A path that is relative to the directory of the configuration file: `include`, users files.
    pub fn beside_configuration(&self, name: &str) -> PathBuf {
        let directory = self.file.rfind('/').map_or(self.prefix.as_str(), |slash| &self.file[..=slash]);
        join(directory, name).into()
    }
}

/// nginx's way to make a name absolute: it is put behind the prefix as it is.
pub fn join(prefix: &str, name: &str) -> String {
    if name.starts_with('/') { name.to_string() } else { format!("{prefix}{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_names() {
        let paths = Paths {
            prefix: "/usr/share/nginx/".into(),
            file: "/etc/nginx/nginx.conf".into(),
            error_log: String::new(),
            pid: "/run/nginx.pid".into(),
        };
        assert_eq!(paths.full("logs/x"), PathBuf::from("/usr/share/nginx/logs/x"));
        assert_eq!(paths.full("/logs/x"), PathBuf::from("/logs/x"));
        assert_eq!(paths.beside_configuration("mime.types"), PathBuf::from("/etc/nginx/mime.types"));
    }
}
