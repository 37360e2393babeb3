//! `openssl s_client` and `gnutls-cli`: programs that connect by TLS and leave the protocol to the test.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use tempfile::TempDir;

use crate::front::{Front, Security, authorities};
use crate::process::{read_lossy, wait_for};
use crate::site::PASSWORD;
use crate::site::pki::PROXY;

/// A running client. All that it says is in one file, and [`Dialogue::expect`] reads on from where it was.
#[derive(Debug)]
pub(crate) struct Dialogue {
    client: Child,
    input: ChildStdin,
    directory: TempDir,
    read: usize,
}

impl Dialogue {
    /// `openssl s_client`, which verifies the proxy and tells all about the connection.
    pub(crate) fn openssl(protocol: &str, front: Front, arguments: &[&str]) -> Dialogue {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &front.address.to_string(), "-CAfile", &authorities()]);
        command.args(["-verify_return_error", "-verify_hostname", PROXY, "-ign_eof"]);
        if front.security == Security::StartTls {
            command.args(["-starttls", protocol, "-name", "client.example.test"]);
        }
        Dialogue::start(command.args(arguments))
    }

    /// `gnutls-cli`, which verifies the proxy too.
    pub(crate) fn gnutls(protocol: &str, front: Front, arguments: &[&str]) -> Dialogue {
        let mut command = Command::new("gnutls-cli");
        command.args(["--x509cafile", &authorities(), "--verify-hostname", PROXY]);
        if front.security == Security::StartTls {
            command.arg(format!("--starttls-proto={protocol}"));
        }
        command.args(arguments).args(["--port", &front.address.port().to_string(), &front.address.ip().to_string()]);
        Dialogue::start(&mut command)
    }

    fn start(command: &mut Command) -> Dialogue {
        let directory = tempfile::tempdir().unwrap();
        let output = std::fs::File::create(directory.path().join("output")).unwrap();
        command.stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut client =
            command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/test-deps.sh"));
        let input = client.stdin.take().unwrap();
        Dialogue { client, input, directory, read: 0 }
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) {
        // If the client has ended, what comes next says so.
        let _ = self.input.write_all(format!("{line}\r\n").as_bytes());
    }

    /// Waits for `text`, and returns everything up to it and it.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let mut ended = false;
        let length = wait_for(&format!("{text:?} from the client"), || {
            let rest = self.rest();
            let found = rest.find(text).map(|at| at + text.len());
            assert!(found.is_some() || !ended, "the client ended without {text:?}:\n{rest}");
            ended = self.client.try_wait().unwrap().is_some();
            found
        });
        let got = self.rest()[..length].to_string();
        self.read += length;
        got
    }

    /// Logs `user` in, and out again.
    #[track_caller]
    pub(crate) fn session(&mut self, protocol: &str, front: Front, user: &str) {
        let (greeting, lines) = session(protocol, user);
        // STARTTLS follows the greeting.
        if front.security == Security::Tls {
            self.expect(greeting);
        }
        for (line, answer) in lines {
            self.send(&line);
            self.expect(answer);
        }
    }

    /// Waits until the client ends, which it does when the proxy closes the connection; returns what it said last.
    #[track_caller]
    pub(crate) fn end(mut self) -> String {
        wait_for("end of the client", || self.client.try_wait().unwrap());
        self.rest()
    }

    fn rest(&self) -> String {
        read_lossy(&self.directory.path().join("output"))[self.read..].to_string()
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// The greeting, and lines with the beginnings of the answers to them.
fn session(protocol: &str, user: &str) -> (&'static str, Vec<(String, &'static str)>) {
    let plain = BASE64_STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
    match protocol {
        "imap" => ("* OK", vec![(format!("a LOGIN {user} {PASSWORD}"), "a OK"), ("b LOGOUT".into(), "b OK")]),
        "pop3" => {
            ("+OK", vec![(format!("USER {user}"), "+OK"), (format!("PASS {PASSWORD}"), "+OK"), ("QUIT".into(), "+OK")])
        }
        _ => (
            "220 ",
            vec![
                ("EHLO client.example.test".into(), "250 "),
                (format!("AUTH PLAIN {plain}"), "235 2.0.0 OK"),
                ("QUIT".into(), "221 "),
            ],
        ),
    }
}
