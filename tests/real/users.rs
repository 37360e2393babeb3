//! `gatepost passwd`: what it prints lets the user in.

use std::process::Command;

use crate::curl::curl;
use crate::mode::Mode;
use crate::process::run;
use crate::proxy::{Proxy, Settings};
use crate::site::PASSWORD;
use crate::subject;

/// Each is also the name of the user whose password is stored that way.
const ALGORITHMS: [&str; 3] = ["argon2", "bcrypt", "sha512"];

#[test]
fn hashed_passwords() {
    if subject::is_nginx() {
        return;
    }
    let users: String = ALGORITHMS.iter().map(|algorithm| line(algorithm)).collect();
    assert!(!users.contains(PASSWORD), "{users}");
    let proxy = Proxy::start_with(Settings { users, ..Settings::new(Mode::UsersFile) });
    for user in ALGORITHMS {
        for option in ["AUTH=PLAIN", "AUTH=LOGIN"] {
            curl("imap", proxy.fronts.imap, "/", user, &["--login-options", option]).success();
        }
        curl("pop3", proxy.fronts.pop3, "/", user, &["--login-options", "AUTH=PLAIN"]).success();
        proxy.site.dovecot_logged(&["imap-login", "Login:", &format!("user=<{user}>")]);
        // A hash does not serve a challenge.
        let outcome = curl("imap", proxy.fronts.imap, "/", user, &["--login-options", "AUTH=CRAM-MD5"]);
        assert_eq!(outcome.status, Some(67), "{}", outcome.text());
    }
}

fn line(algorithm: &str) -> String {
    let mut command = Command::new(subject::path());
    command.args(["passwd", "--algorithm", algorithm, algorithm]);
    let line = run(&mut command, format!("{PASSWORD}\n").as_bytes()).success();
    String::from_utf8(line).unwrap()
}
