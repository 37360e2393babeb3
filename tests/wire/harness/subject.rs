//! Which program is tested: `SUBJECT=gatepost` (the default), the one just built or that at `GATEPOST`, or
//! `SUBJECT=nginx`, found at `NGINX`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Debian's module, for an nginx whose mail proxy is not built in.
const MAIL_MODULE: &str = "/usr/lib/nginx/modules/ngx_mail_module.so";

/// The program under test.
#[derive(Debug)]
pub(crate) enum Subject {
    /// Its path.
    Gatepost(PathBuf),
    /// Its path, its version, and what its configuration must begin with.
    Nginx { path: PathBuf, version: [u32; 3], preamble: String },
}

impl Subject {
    /// The subject of this run.
    pub(crate) fn current() -> &'static Subject {
        static SUBJECT: OnceLock<Subject> = OnceLock::new();
        SUBJECT.get_or_init(|| match std::env::var("SUBJECT").as_deref() {
            Err(_) | Ok("gatepost") => Subject::Gatepost(program("GATEPOST", env!("CARGO_BIN_EXE_gatepost"))),
            Ok("nginx") => Subject::nginx(program("NGINX", "/usr/sbin/nginx")),
            Ok(other) => panic!("SUBJECT is {other:?}: neither gatepost nor nginx"),
        })
    }

    /// Whether nginx is tested.
    pub(crate) fn is_nginx() -> bool {
        matches!(Subject::current(), Subject::Nginx { .. })
    }

    /// The program's file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Subject::Gatepost(path) | Subject::Nginx { path, .. } => path,
        }
    }

    /// Lines that a configuration must begin with for this subject.
    pub(crate) fn preamble(&self) -> &str {
        match self {
            Subject::Gatepost(_) => "",
            Subject::Nginx { preamble, .. } => preamble,
        }
    }

    fn nginx(path: PathBuf) -> Subject {
        let told = Command::new(&path).arg("-V").output().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        let version = told.split_once("nginx/").map(|(_, rest)| rest).and_then(version);
        let version = version.unwrap_or_else(|| panic!("no version in the answer to -V: {told}"));
        let preamble =
            if told.contains("--with-mail=dynamic") { format!("load_module {MAIL_MODULE};\n") } else { String::new() };
        Subject::Nginx { path, version, preamble }
    }
}

/// What is expected where Gatepost does otherwise on purpose, with the reason.
pub(crate) fn differs<T>(_reason: &str, nginx: T, gatepost: T) -> T {
    if Subject::is_nginx() { nginx } else { gatepost }
}

/// Whether the subject has what nginx has since that version; Gatepost does.
pub(crate) fn since(major: u32, minor: u32, patch: u32) -> bool {
    match Subject::current() {
        Subject::Gatepost(_) => true,
        Subject::Nginx { version, .. } => *version >= [major, minor, patch],
    }
}

/// The path in that variable of the environment, or this one.
fn program(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from)
}

/// `1.22.1 (Debian)…` as numbers.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}
