//! A master with its worker.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::{Auth, Backend, Conn, PATIENCE, Subject};

const POLL: Duration = Duration::from_millis(5);

/// Gatepost in the foreground, an authentication server that lets everybody in, and their mail server. Dropping it kills
/// what is left.
pub(crate) struct Running {
    pub(crate) backend: Backend,
    pub(crate) auth: Auth,
    pub(crate) at: SocketAddr,
    child: Child,
    prefix: TempDir,
}

impl Running {
    /// With these directives at the main level, and an IMAP server at [`Running::at`].
    #[track_caller]
    pub(crate) fn start(main: &str) -> Running {
        Running::start_with(main, "server { listen @at@; protocol imap; }")
    }

    /// The same with these servers; `@at@` is [`Running::at`].
    #[track_caller]
    pub(crate) fn start_with(main: &str, servers: &str) -> Running {
        Running::start_in(main, servers, &[])
    }

    /// The same with these variables in the environment.
    #[track_caller]
    pub(crate) fn start_in(main: &str, servers: &str, environment: &[(&str, OsString)]) -> Running {
        let backend = Backend::new();
        let auth = Auth::start(backend.address());
        let prefix = TempDir::new().unwrap();
        fs::set_permissions(prefix.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let at = free_address();
        write(prefix.path(), main, servers, at, auth.address());
        let environment = environment.iter().map(|(name, value)| (name, value));
        let child = command(prefix.path()).envs(environment).args(["-g", "daemon off;"]).spawn().unwrap();
        let mut running = Running { backend, auth, at, child, prefix };
        running.await_listener();
        Conn::connect(running.at).line();
        running
    }

    /// The directory with the configuration.
    pub(crate) fn prefix(&self) -> &Path {
        self.prefix.path()
    }

    /// Changes the configuration, to be read with the next reload.
    pub(crate) fn configure(&self, main: &str, servers: &str) {
        write(self.prefix.path(), main, servers, self.at, self.auth.address());
    }

    /// Runs the program again, with these options and the same configuration.
    pub(crate) fn call(&self, options: &[&str]) -> Output {
        command(self.prefix.path()).args(options).stderr(Stdio::piped()).output().unwrap()
    }

    /// Reloads, and waits until it has happened.
    #[track_caller]
    pub(crate) fn reload_now(&self) {
        let output = self.call(&["-s", "reload"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.master(), signal).unwrap();
    }

    pub(crate) fn master(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The worker that serves now.
    #[track_caller]
    pub(crate) fn worker(&self) -> Pid {
        await_some("worker", || children(self.master()).into_iter().find(|pid| is_worker(*pid)))
    }

    /// A client that has been greeted.
    #[track_caller]
    pub(crate) fn client(&self) -> Conn {
        client(self.at)
    }

    /// A client that is logged in, and its connection at the mail server.
    #[track_caller]
    pub(crate) fn session(&self) -> (Conn, Conn) {
        session(self.at, &self.backend)
    }

    pub(crate) fn log(&self) -> String {
        read(&self.prefix.path().join("error.log"))
    }

    /// Waits until the log has a line with that text, and gives it.
    #[track_caller]
    pub(crate) fn await_log(&self, text: &str) -> String {
        let path = self.prefix.path().join("error.log");
        await_some_in(&path, text)
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        await_some("end", || self.child.try_wait().unwrap())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    #[track_caller]
    fn await_listener(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.at).is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended with {status}: {}{}", self.log(), read(&self.prefix.path().join("stderr")));
            }
            assert!(Instant::now() < deadline, "nobody listens:\n{}", self.log());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log:\n{}{}", self.log(), read(&self.prefix.path().join("stderr")));
        }
        let left = children(self.master());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in left {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[track_caller]
fn client(at: SocketAddr) -> Conn {
    let mut client = Conn::connect(at);
    client.expect("* OK IMAP4 ready\r\n");
    client
}

/// [`Running::session`], for threads that have not the whole of it.
#[track_caller]
pub(crate) fn session(at: SocketAddr, backend: &Backend) -> (Conn, Conn) {
    let mut client = client(at);
    client.send("a LOGIN u p\r\n");
    let mut server = backend.accept();
    server.send("* OK ready\r\n").expect("a LOGIN {1}\r\n");
    server.send("+ go\r\n").expect("u {1}\r\n");
    server.send("+ go\r\n").expect("p\r\n");
    server.send("a OK in\r\n");
    client.expect("a OK in\r\n");
    (client, server)
}

/// The program with its configuration in `prefix`.
pub(crate) fn command(prefix: &Path) -> Command {
    let mut command = Command::new(Subject::current().path());
    command.arg("-p").arg(prefix).args(["-c", "test.conf", "-e", "error.log"]).stdin(Stdio::null());
    command
        .stdout(Stdio::null())
        .stderr(fs::File::options().append(true).create(true).open(prefix.join("stderr")).unwrap());
    command
}

/// Writes a configuration, with a users file that only its owner may read.
pub(crate) fn write(prefix: &Path, main: &str, servers: &str, at: SocketAddr, auth: SocketAddr) {
    let root = rustix::process::geteuid().is_root();
    let user = if root && !main.contains("user ") { "user nobody nogroup;" } else { "" };
    let servers = servers.replace("@at@", &at.to_string());
    let log = if main.contains("error_log ") { "" } else { "error_log error.log info;" };
    let pid = if main.starts_with("pid ") { "" } else { "pid pid;" };
    let events = if main.contains("events ") { "" } else { "events { }" };
    let conf = format!("{pid} {user} {log} {main} {events}\nmail {{ auth_http {auth}/auth;\n{servers} }}\n");
    fs::write(prefix.join("test.conf"), conf).unwrap();
    fs::create_dir_all(prefix.join("logs")).unwrap();
    fs::write(prefix.join("users"), "u:{PLAIN}p:127.0.0.1\n").unwrap();
    fs::set_permissions(prefix.join("users"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A loopback address that no other test uses, with a port that is free there.
pub(crate) fn free_address() -> SocketAddr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 128 | COUNT.fetch_add(1, Ordering::Relaxed), high, low.clamp(1, 254));
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

/// Polls until there is an answer.
#[track_caller]
pub(crate) fn await_some<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = found() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no {what}");
        std::thread::sleep(POLL);
    }
}

/// Waits for a line in a file.
#[track_caller]
pub(crate) fn await_some_in(path: &Path, text: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = read(path);
        if let Some(line) = log.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "no {text:?} in\n{log}");
        std::thread::sleep(POLL);
    }
}

pub(crate) fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The master whose number is in the pid file there.
#[track_caller]
pub(crate) fn master_in(prefix: &Path) -> Pid {
    Pid::from_raw(read(&prefix.join("pid")).trim().parse().unwrap()).unwrap()
}

/// Ends a master that is no child of the test.
#[track_caller]
pub(crate) fn stop(master: Pid) {
    kill_process(master, Signal::TERM).unwrap();
    await_some("end", || (!is_alive(master)).then_some(()));
}

/// The processes that one has started.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

pub(crate) fn is_worker(pid: Pid) -> bool {
    command_line(pid) == "gatepost: worker process"
}

/// What `ps` shows of a process.
pub(crate) fn command_line(pid: Pid) -> String {
    let text = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    String::from_utf8_lossy(&text).trim_end_matches('\0').replace('\0', " ")
}

/// A line of `/proc/PID/status`.
pub(crate) fn status(pid: Pid, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_start_matches(':').split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(crate) fn is_alive(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid).is_ok()
}
