//! The subject's process: its configuration, start, end and log.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{File, PATIENCE, QUIET, Subject};

/// A running subject. Dropping it stops the process; its log is shown when the test has failed.
pub(crate) struct Proxy {
    child: Child,
    prefix: TempDir,
    places: HashMap<String, SocketAddr>,
}

impl Proxy {
    /// Starts the subject with that configuration, and these files beside it, and waits until it listens.
    ///
    /// Each `@name@` in it becomes an address and port: one of `known`, or a free one of the proxy's own,
    /// on an IPv6 address if the name ends in `6`, on all IPv4 addresses if it is `any`.
    /// `@name.port@` is its port alone. `@prefix@` becomes the directory it runs in.
    #[track_caller]
    pub(crate) fn start(files: &[File], conf: &str, known: &[(&str, SocketAddr)]) -> Proxy {
        let prefix = TempDir::new().unwrap();
        for (name, content) in files {
            fs::write(prefix.path().join(name), content).unwrap();
        }
        let mut places = Places::new(known);
        let conf = places.fill(&conf.replace("@prefix@", prefix.path().to_str().unwrap()));
        fs::write(prefix.path().join("nginx.conf"), format!("{}{conf}", Subject::current().preamble())).unwrap();
        let child = spawn(&prefix);
        let mut proxy = Proxy { child, prefix, places: places.own };
        for place in proxy.places.clone().values() {
            proxy.await_listener(*place);
        }
        proxy
    }

    /// The address that stands for `@name@`.
    #[track_caller]
    pub(crate) fn place(&self, name: &str) -> SocketAddr {
        *self.places.get(name).unwrap_or_else(|| panic!("no @{name}@ in the configuration"))
    }

    /// The directory the subject runs in.
    pub(crate) fn prefix(&self) -> &std::path::Path {
        self.prefix.path()
    }

    /// What the process alone has in memory, bytes. Its program is shared with those that other tests run at the time, so
    /// its share of that changes when they end.
    pub(crate) fn memory(&self) -> usize {
        let pid = fs::read_to_string(self.prefix.path().join("pid")).unwrap();
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", pid.trim())).unwrap();
        let line = rollup.lines().find(|line| line.starts_with("Pss_Anon:")).unwrap();
        let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1024
    }

    /// Waits until it has no more than that.
    #[track_caller]
    pub(crate) fn await_memory(&self, most: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let memory = self.memory();
            if memory <= most {
                return;
            }
            assert!(Instant::now() < deadline, "{memory} bytes, and no more than {most} are wanted");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What is in the error log by now.
    pub(crate) fn log(&self) -> String {
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(self.prefix.path().join(name)).unwrap_or_default()).into_owned()
        };
        read("error.log") + &read("stderr")
    }

    /// Waits until the error log has that text, and gives the line.
    #[track_caller]
    pub(crate) fn await_log(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no {text:?} in the log:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn await_listener(&mut self, place: SocketAddr) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect_timeout(&place, PATIENCE).is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the subject ended with {status}");
            }
            assert!(Instant::now() < deadline, "the subject does not listen on {place}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop(&mut self) -> Option<ExitStatus> {
        if let Some(status) = self.child.try_wait().unwrap() {
            return Some(status);
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).ok()?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if Subject::is_nginx() && start.elapsed() > QUIET {
                // A signal that comes just before nginx waits for events is lost on it, in a single process.
                kill_process(pid, Signal::TERM).ok()?;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.kill().ok()?;
        self.child.wait().ok()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let status = self.stop();
        let log = self.log();
        let sound = status.is_some_and(|s| s.success()) && !log.contains("[alert]") && !log.contains("panicked at");
        if failed {
            eprintln!("the subject ended with {status:?}; its log:\n{log}");
        } else {
            assert!(sound, "the subject ended with {status:?}; its log:\n{log}");
        }
    }
}

/// The names in a configuration that stand for addresses.
struct Places {
    known: HashMap<String, SocketAddr>,
    own: HashMap<String, SocketAddr>,
    ip: Ipv4Addr,
}

impl Places {
    fn new(known: &[(&str, SocketAddr)]) -> Places {
        let known = known.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
        Places { known, own: HashMap::new(), ip: own_address() }
    }

    fn fill(&mut self, conf: &str) -> String {
        let mut filled = String::new();
        let mut rest = conf;
        while let Some((before, after)) = rest.split_once('@') {
            filled += before;
            let name = after.split_once('@').filter(|(name, _)| is_name(name));
            rest = match name {
                Some((name, behind)) => {
                    filled += &match name.strip_suffix(".port") {
                        Some(name) => self.named(name).port().to_string(),
                        None => self.named(name).to_string(),
                    };
                    behind
                }
                None => {
                    filled.push('@');
                    after
                }
            };
        }
        filled + rest
    }

    fn ip_for(&self, name: &str) -> IpAddr {
        match name {
            "any" => Ipv4Addr::UNSPECIFIED.into(),
            _ if name.ends_with('6') => Ipv6Addr::LOCALHOST.into(),
            _ => self.ip.into(),
        }
    }

    fn named(&mut self, name: &str) -> SocketAddr {
        if let Some(known) = self.known.get(name).or_else(|| self.own.get(name)) {
            return *known;
        }
        let ip = self.ip_for(name);
        let is_new = |place: &SocketAddr| self.own.values().all(|own| own.port() != place.port());
        let place = std::iter::repeat_with(|| free_port(ip)).find(is_new).unwrap();
        self.own.insert(name.to_owned(), place);
        place
    }
}

/// Whether it may stand between two `@`: other text has single ones.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b))
}

/// A loopback address that no other test uses, so that a free port stays free until the subject binds it.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, COUNT.fetch_add(1, Ordering::Relaxed).max(1), high, low.clamp(1, 254))
}

fn free_port(ip: IpAddr) -> SocketAddr {
    TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr()).unwrap()
}

fn spawn(prefix: &TempDir) -> Child {
    let dir = prefix.path();
    let subject = Subject::current().path();
    Command::new(subject)
        .arg("-p")
        .arg(dir)
        .args(["-c", "nginx.conf", "-e", "error.log", "-g", "daemon off; master_process off;"])
        // nginx takes a variable of this name for inherited sockets.
        .env_remove("NGINX")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.join("stderr")).unwrap())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", subject.display()))
}
