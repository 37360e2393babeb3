//! What a worker can still do when it is confined, and what it cannot.
//!
//! `examples/confined` confines itself by the program's own code and tries things. Started as root it becomes nobody, as a
//! worker does; the tests hold for everybody else too.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

const NOBODY: &str = "65534";

fn confined(arguments: &[&str]) -> Child {
    let mut command = Command::new(program());
    if rustix::process::geteuid().is_root() {
        command.env("CONFINED_USER", NOBODY);
    }
    command.args(arguments).env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The example as it is now, which `cargo test --test sandbox` alone does not build.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_BIN_EXE_gatepost")).ancestors().nth(2).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "confined"]).env("CARGO_TARGET_DIR", target);
        assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        target.join("debug/examples/confined")
    })
}

fn outcome(arguments: &[&str]) -> Output {
    confined(arguments).wait_with_output().unwrap()
}

#[track_caller]
fn works(arguments: &[&str]) {
    let output = outcome(arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.starts_with("done"), "{arguments:?}: {said}{output:?}");
}

#[track_caller]
fn is_refused(arguments: &[&str]) {
    let output = outcome(arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.starts_with("refused"), "{arguments:?}: {said}{output:?}");
}

#[track_caller]
fn is_killed(arguments: &[&str]) {
    let output = outcome(arguments);
    assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{arguments:?}: {output:?}");
}

/// A directory where everybody may do everything, so that only the sandbox can be in the way.
fn open_directory() -> (TempDir, impl Fn(&str) -> PathBuf) {
    let directory = TempDir::new().unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(directory.path(), everybody).unwrap();
    let path = directory.path().to_path_buf();
    (directory, move |name: &str| path.join(name))
}

fn open_to_everybody(path: &Path) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
}

#[test]
fn connections_threads_and_random_numbers_are_left() {
    let (_directory, path) = open_directory();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (stream, datagram) = (path("stream"), path("datagram"));
    let _stream = UnixListener::bind(&stream).unwrap();
    let _datagram = UnixDatagram::bind(&datagram).unwrap();
    open_to_everybody(&stream);
    open_to_everybody(&datagram);
    works(&["connect", &tcp.local_addr().unwrap().to_string()]);
    works(&["datagram", &udp.local_addr().unwrap().to_string()]);
    works(&["connect-unix", stream.to_str().unwrap()]);
    works(&["datagram-unix", datagram.to_str().unwrap()]);
    works(&["thread"]);
    works(&["random"]);
}

#[test]
fn a_panic_costs_its_thread_only() {
    let output = outcome(&["panic"]);
    assert_eq!(output.stdout, b"panicked\n", "{output:?}");
}

#[test]
fn files_are_out_of_reach() {
    let (directory, path) = open_directory();
    let file = path("file");
    fs::write(&file, "secret").unwrap();
    open_to_everybody(&file);
    let file = file.to_str().unwrap();
    for attempt in ["read", "write", "look", "remove", "change-mode"] {
        is_refused(&[attempt, file]);
    }
    is_refused(&["write", path("new").to_str().unwrap()]);
    is_refused(&["listen-unix", path("socket").to_str().unwrap()]);
    is_refused(&["list", directory.path().to_str().unwrap()]);
    is_refused(&["look", "/proc/self/status"]);
    assert_eq!(fs::read(file).unwrap(), b"secret");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn programs_are_out_of_reach() {
    is_killed(&["become-program", "/bin/true"]);
    for attempt in ["program", "fork", "fork3"] {
        is_refused(&[attempt, "/bin/true"]);
    }
    // Nor can one be made in memory.
    is_refused(&["code"]);
}

#[test]
fn root_is_out_of_reach() {
    for attempt in ["become-root", "root-group", "capabilities", "namespace", "mount", "module", "bpf", "handle"] {
        is_killed(&[attempt]);
    }
    is_refused(&["io-uring"]);
}

#[test]
fn other_processes_are_out_of_reach() {
    let name = format!("gatepost-sandbox-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    if kernel() >= (6, 12) {
        is_refused(&["connect-abstract", &name]);
    }
    is_refused(&["signal"]);
    is_refused(&["terminal"]);
    is_refused(&["dump"]);
    is_killed(&["trace"]);
    is_killed(&["peek"]);
}

#[test]
fn the_network_is_left_to_connect_to_only() {
    is_refused(&["listen"]);
    is_refused(&["netlink"]);
    is_refused(&["packets"]);
}

#[test]
fn nothing_is_left_to_get_back() {
    let mut child = confined(&["wait"]);
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!((field(&text, "NoNewPrivs"), field(&text, "Seccomp")), ("1", "2"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(&text, set), "0000000000000000", "{set}");
    }
    if rustix::process::geteuid().is_root() {
        assert_eq!(field(&text, "CapBnd"), "0000000000000000");
        assert_eq!(field(&text, "Uid"), [NOBODY; 4].join("\t"));
    }
}

/// The kernel's version: older ones forbid less.
fn kernel() -> (u32, u32) {
    let uname = rustix::system::uname();
    let mut numbers = uname.release().to_str().unwrap().split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map_or("", str::trim)
}
