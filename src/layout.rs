//! Where things are when nobody says so.
//!
//! Gatepost has places of its own. Where its configuration file is not there, it takes those of nginx as Debian and most
//! other distributions build it, so that it can be started in nginx's stead without an option.

use crate::cli::Options;
use crate::config::Paths;
use crate::config::paths::join;

/// Default places. A relative one is relative to the prefix.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    pub(crate) prefix: &'static str,
    pub(crate) file: &'static str,
    pub(crate) error_log: &'static str,
    pub(crate) pid: &'static str,
}

/// Gatepost's own.
pub const GATEPOST: Layout = Layout {
    prefix: "/etc/gatepost/",
    file: "gatepost.conf",
    error_log: "/var/log/gatepost/error.log",
    pid: "/run/gatepost.pid",
};

/// nginx's.
pub const NGINX: Layout = Layout {
    prefix: "/usr/share/nginx/",
    file: "/etc/nginx/nginx.conf",
    error_log: "/var/log/nginx/error.log",
    pid: "/run/nginx.pid",
};

/// The paths for a command line. `exists` tells whether there is a file.
pub fn paths(options: &Options, exists: impl Fn(&str) -> bool) -> Paths {
    let own_prefix = options.prefix.as_deref().unwrap_or(GATEPOST.prefix);
    let own_file = join(&with_slash(own_prefix), GATEPOST.file);
    let layout = if exists(&own_file) { GATEPOST } else { NGINX };
    let prefix = with_slash(options.prefix.as_deref().unwrap_or(layout.prefix));
    Paths {
        file: join(&prefix, options.file.as_deref().unwrap_or(layout.file)),
        error_log: match options.error_log.as_deref() {
            Some("stderr") => String::new(),
            Some(name) => name.to_string(),
            None => layout.error_log.to_string(),
        },
        pid: layout.pid.to_string(),
        prefix,
    }
}

fn with_slash(prefix: &str) -> String {
    if prefix.is_empty() || prefix.ends_with('/') { prefix.to_string() } else { format!("{prefix}/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(prefix: Option<&str>, file: Option<&str>) -> Options {
        Options { prefix: prefix.map(Into::into), file: file.map(Into::into), ..Options::default() }
    }

    #[test]
    fn layouts() {
        let own = paths(&options(None, None), |file| file == "/etc/gatepost/gatepost.conf");
        assert_eq!((own.prefix.as_str(), own.file.as_str()), ("/etc/gatepost/", "/etc/gatepost/gatepost.conf"));
        assert_eq!(own.pid, "/run/gatepost.pid");

        let nginx = paths(&options(None, None), |_| false);
        assert_eq!((nginx.prefix.as_str(), nginx.file.as_str()), ("/usr/share/nginx/", "/etc/nginx/nginx.conf"));

        let elsewhere = paths(&options(Some("/srv/mail"), None), |file| file == "/srv/mail/gatepost.conf");
        assert_eq!((elsewhere.prefix.as_str(), elsewhere.file.as_str()), ("/srv/mail/", "/srv/mail/gatepost.conf"));

        let named = paths(&options(Some("dir"), Some("a.conf")), |_| false);
        assert_eq!((named.prefix.as_str(), named.file.as_str()), ("dir/", "dir/a.conf"));
    }
}
