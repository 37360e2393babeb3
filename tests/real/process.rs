//! Child processes: servers that end with the test, and clients that must end by themselves.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything may take that ought to happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How long a client may work.
const CLIENT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// Runs a server until it ends, or until standard input is closed: TERM then, and KILL if that has no effect. So a test
/// that is killed leaves no server behind. The server leads a session, as Postfix expects.
const SUPERVISOR: &str = r#"
exec 3<&0
setsid "$@" </dev/null 3<&- &
server=$!
{
    read -r _
    kill -TERM $server
    timeout 30 tail -f --pid=$server /dev/null || kill -KILL -- -$server
} <&3 &
watcher=$!
exec 3<&-
wait $server
status=$?
kill $watcher
exit $status
"#;

/// A server in the foreground; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    output: PathBuf,
    supervisor: Child,
}

impl Server {
    /// Starts `command` with its output in the file `output`.
    pub(crate) fn start(name: &str, command: &[&str], output: PathBuf) -> Server {
        let file = File::create(&output).unwrap();
        let mut supervisor = Command::new("sh");
        supervisor.args(["-c", SUPERVISOR, name]).args(command);
        supervisor.stdin(Stdio::piped()).stdout(file.try_clone().unwrap()).stderr(file);
        // To nginx it means inherited sockets; to these tests, where nginx is.
        supervisor.env_remove("NGINX").process_group(0);
        Server { name: name.to_string(), output, supervisor: supervisor.spawn().unwrap() }
    }

    /// Waits until every one of `addresses` accepts connections. If it ends instead, `log` may tell why.
    pub(crate) fn wait_until_up(&mut self, addresses: &[SocketAddr], log: &Path) {
        for address in addresses {
            wait_for(&format!("{} on {address}", self.name), || {
                if let Some(status) = self.supervisor.try_wait().unwrap() {
                    panic!("{} ended, {status}:\n{}{}", self.name, read_lossy(&self.output), read_lossy(log));
                }
                TcpStream::connect(address).ok()
            });
        }
    }

    /// Ends the server, and says how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        drop(self.supervisor.stdin.take());
        self.supervisor.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a client left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit status; `None` if a signal ended it.
    pub(crate) status: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: Vec<u8>,
}

impl Outcome {
    /// The output, if the client ended well; fails the test otherwise.
    #[track_caller]
    pub(crate) fn success(self) -> Vec<u8> {
        assert_eq!(self.status, Some(0), "the client failed\n{}", self.text());
        self.stdout
    }

    /// Both outputs, for a message and for searching.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr))
    }
}

/// Runs a client to its end, with `input` on its standard input.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/test-deps.sh"));
    let mut stdin = child.stdin.take().unwrap();
    let stdout = drain(child.stdout.take().unwrap());
    let stderr = drain(child.stderr.take().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        let status = end_of(&mut child, command);
        Outcome { status: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
    })
}

#[track_caller]
fn end_of(child: &mut Child, command: &Command) -> ExitStatus {
    let deadline = Instant::now() + CLIENT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("still running after {CLIENT:?}: {command:?}");
        }
        thread::sleep(POLL);
    }
}

fn drain(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

/// Polls until `found` has an answer; fails the test when that takes too long.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(answer) = found() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no {what} within {SOON:?}");
        thread::sleep(POLL);
    }
}

/// The file's text so far; empty if there is none.
pub(crate) fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Where `program` is: servers are in directories that are not on everybody's path.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/usr/local/sbin"])
        .map(|directory| Path::new(directory).join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("no {name} here: run scripts/test-deps.sh"))
}

/// A loopback address that no other process uses, so that nobody takes a port between the choice and its use.
pub(crate) fn own_address() -> IpAddr {
    let pid = std::process::id();
    let bits = |shift: u32, count: u32| (pid >> shift) as u8 & ((1 << count) - 1);
    IpAddr::from([127, 64 + bits(14, 6), bits(7, 7), 1 + bits(0, 7)])
}

/// `N` free addresses to listen on, none of which was given before.
pub(crate) fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    static NEXT: AtomicU16 = AtomicU16::new(20000);
    let mut free = std::iter::repeat_with(|| SocketAddr::new(own_address(), NEXT.fetch_add(1, Ordering::Relaxed)))
        .filter(|address| TcpListener::bind(address).is_ok());
    std::array::from_fn(|_| free.next().expect("the iterator never ends"))
}
