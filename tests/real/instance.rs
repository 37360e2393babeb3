//! The running program under test.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::process::{Server, read_lossy, wait_for};
use crate::site::{AWKWARD_PASSWORD, PASSWORD};
use crate::subject;

/// The running proxy. When it is dropped it must end well, and its log hold no password and nothing grave.
#[derive(Debug)]
pub(crate) struct Instance {
    server: Server,
    directory: TempDir,
}

/// The directory for an instance.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new().prefix("gatepost-proxy.").tempdir().unwrap()
}

impl Instance {
    /// Starts the program in `directory`, with a `mail` block that holds `mail` and listens on `addresses`.
    pub(crate) fn start(directory: TempDir, mail: &str, addresses: &[SocketAddr]) -> Instance {
        fs::create_dir(directory.path().join("logs")).unwrap();
        let configuration = directory.path().join("proxy.conf");
        fs::write(&configuration, around(mail)).unwrap();
        let log = directory.path().join("error.log");
        let prefix = format!("{}/", directory.path().display());
        let (binary, configuration, errors) = (subject::path(), configuration.to_str().unwrap(), log.to_str().unwrap());
        let command = [&*binary, "-p", &prefix, "-c", configuration, "-e", errors, "-g", "daemon off;"];
        let mut server = Server::start("the proxy", &command, directory.path().join("output.log"));
        server.wait_until_up(addresses, &log);
        Instance { server, directory }
    }

    /// Waits for a line of the log that holds all of `parts`.
    #[track_caller]
    pub(crate) fn logged(&self, parts: &[&str]) -> String {
        wait_for(&format!("line with {parts:?} in the proxy's log:\n{}", self.log()), || {
            self.log().lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_string)
        })
    }

    fn log(&self) -> String {
        read_lossy(&self.directory.path().join("error.log"))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let status = self.server.stop();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("the proxy's log:\n{log}");
            return;
        }
        assert!(status.success(), "TERM ended the proxy with {status}:\n{log}");
        for grave in ["[emerg]", "[alert]", "[crit]", "panicked"] {
            assert!(!log.contains(grave), "{grave} in the proxy's log:\n{log}");
        }
        for password in [PASSWORD, AWKWARD_PASSWORD] {
            assert!(subject::is_nginx() || !log.contains(password), "a password in the proxy's log:\n{log}");
        }
    }
}

fn around(mail: &str) -> String {
    // nginx shows passwords at the level of debug.
    let level = if subject::is_nginx() { "info" } else { "debug" };
    format!(
        "{}worker_processes 1;\nerror_log error.log {level};\npid proxy.pid;\n\
         events {{ worker_connections 1024; }}\nmail {{\n{mail}}}\n",
        subject::preamble(),
    )
}
