//! One configuration, and what is said about it.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::pki::Wanted;
use crate::subject::{Subject, since};

/// Where the text of a row goes in an otherwise sound configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    /// Line 2.
    Main,
    /// In `events`, line 4.
    Events,
    /// In `mail`, line 7.
    Mail,
    /// In a `server`, line 9.
    Server,
    /// The option `-g`.
    Globals,
    /// The whole file, but for a `pid` and the like on line 1.
    Whole,
}

/// A row of a table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) at: At,
    pub(crate) text: &'static str,
    /// All that Gatepost says, without `the configuration file ...` and warnings about directives without effect. `@` is
    /// the path of the file, `%` of its directory.
    pub(crate) says: &'static [&'static str],
    pub(crate) nginx: Nginx,
}

/// What nginx makes of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Nginx {
    /// The same, up to the first error.
    Same,
    /// The same since a version, something else before.
    Since(u32, u32, u32),
    /// Something else.
    Differs,
}

/// A row for which nginx says the same.
pub(crate) const fn row(at: At, text: &'static str, says: &'static [&'static str]) -> Row {
    Row { at, text, says, nginx: Nginx::Same }
}

/// A row for which nginx says the same from a version on.
pub(crate) const fn since_version(
    version: (u32, u32, u32),
    at: At,
    text: &'static str,
    says: &'static [&'static str],
) -> Row {
    Row { at, text, says, nginx: Nginx::Since(version.0, version.1, version.2) }
}

/// A row for which nginx says something else, for a reason.
pub(crate) const fn differs(_reason: &str, at: At, text: &'static str, says: &'static [&'static str]) -> Row {
    Row { at, text, says, nginx: Nginx::Differs }
}

/// Runs a row.
pub(crate) fn run(row: &Row) -> Result<(), String> {
    let skipped = match row.nginx {
        Nginx::Same => false,
        Nginx::Since(major, minor, patch) => !since(major, minor, patch),
        Nginx::Differs => Subject::is_nginx(),
    };
    if skipped {
        return Ok(());
    }
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("test.conf");
    std::fs::write(&file, configuration(row, home.path())).unwrap();
    std::fs::write(home.path().join("users"), "alice:{PLAIN}secret:127.0.0.1\n").unwrap();
    std::fs::write(home.path().join("bad-users"), "alice\n\nbob:{PLAIN}secret\n").unwrap();
    let (certificate, key) = pair();
    std::fs::write(home.path().join("cert.pem"), certificate).unwrap();
    std::fs::write(home.path().join("key.pem"), key).unwrap();
    std::fs::write(home.path().join("passwords"), format!("one\r\n\n{}\n", "x".repeat(4095))).unwrap();
    std::fs::write(home.path().join("long-passwords"), "x".repeat(5000)).unwrap();
    let mut args = vec!["-t", "-c", file.to_str().unwrap()];
    if let At::Globals = row.at {
        args.extend(["-g", row.text]);
    }
    let output = subject(home.path(), &args);
    let said: Vec<String> = said(&output).iter().map(|line| comparable(line)).collect();
    let expected: Vec<String> = expected(row)
        .iter()
        .map(|line| line.replace('@', file.to_str().unwrap()).replace('%', home.path().to_str().unwrap()))
        .map(|line| comparable(&line))
        .collect();
    let fails = expected.iter().any(|line| line.starts_with("[emerg]"));
    let last = if fails { "test failed" } else { "test is successful" };
    let whole = String::from_utf8_lossy(&output.stderr);
    if said == expected && output.status.code() == Some(fails.into()) && whole.trim_end().ends_with(last) {
        return Ok(());
    }
    Err(format!("{:?} {}\n  expected: {expected:#?} and {last}\n  found: {whole}", row.at, row.text))
}

/// A line as far as it does not depend on the library: AWS-LC has other words than OpenSSL, and knows no `SSL_CONF_cmd`.
fn comparable(line: &str) -> String {
    if !cfg!(feature = "aws-lc") {
        return line.to_owned();
    }
    if line.starts_with("[emerg] SSL_CONF_cmd(") {
        return "[emerg] SSL_CONF_cmd() is not available on this platform".to_owned();
    }
    line.split_once(" (SSL: error:").map_or(line, |(ours, _)| ours).to_owned()
}

/// A certificate and its key, PEM.
fn pair() -> &'static (Vec<u8>, Vec<u8>) {
    static PAIR: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    PAIR.get_or_init(|| {
        let identity = Wanted::new("localhost").alone();
        (identity.pem(), identity.key.private_key_to_pem_pkcs8().unwrap())
    })
}

/// Runs the subject, with a log for what it says before it knows its own.
pub(crate) fn subject(home: &Path, args: &[&str]) -> Output {
    let log = home.join("boot.log");
    program().args(args).arg("-e").arg(log).current_dir(home).output().unwrap()
}

/// The subject, without arguments.
pub(crate) fn program() -> Command {
    let mut command = Command::new(Subject::current().path());
    // To nginx the variable that names it here is a list of sockets.
    command.env_remove("NGINX");
    command
}

/// What it told on standard error, by line and without its name.
pub(crate) fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().map(|line| line.split_once(": ").map_or(line, |(_, rest)| rest).to_string()).collect()
}

fn said(output: &Output) -> Vec<String> {
    // The machine may have many processors, and few descriptors.
    let of_machine = |line: &str| line.contains(" of each of ") && !line.contains(" of each of 2 ");
    let noise = |line: &str| line.contains("configuration file ") && !line.starts_with('[') || of_machine(line);
    let lines = lines(output).into_iter();
    lines.filter(|line| !noise(line) && !line.contains("has no effect in gatepost, ignored")).collect()
}

/// nginx stops at the first error.
fn expected(row: &Row) -> &'static [&'static str] {
    match row.says.iter().position(|line| line.starts_with("[emerg]")) {
        Some(first) if Subject::is_nginx() => &row.says[..=first],
        _ => row.says,
    }
}

fn configuration(row: &Row, home: &Path) -> String {
    let home = home.display();
    let preamble = Subject::current().preamble().replace('\n', " ");
    let first = format!("{preamble} pid {home}/pid; error_log {home}/error.log;");
    let of = |at: fn(At) -> bool| if at(row.at) { row.text } else { "" };
    if let At::Whole = row.at {
        return format!("{first}\n{}", row.text);
    }
    format!(
        "{first}\n{}\nevents {{\n{}\n}}\nmail {{ auth_http 127.0.0.1:9;\n{}\nserver {{ listen 127.0.0.1:14300; protocol imap;\n{}\n}} }}\n",
        of(|at| matches!(at, At::Main)),
        of(|at| matches!(at, At::Events)),
        of(|at| matches!(at, At::Mail)),
        of(|at| matches!(at, At::Server)),
    )
}
