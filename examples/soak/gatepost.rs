//! Gatepost with master and worker, in front of the servers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use openssl::x509::X509;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client::{Shown, Target, Way};
use crate::servers::Servers;
use crate::tls::Certificates;
use crate::usage::{THREADS, Usage};
use crate::weather::{Fault, Phase, Plan};
use crate::wire::{Protocol, Security};

/// How long a start, a reload or an end may take.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// `timeout` and `auth_http_timeout`.
const TIMEOUT: Duration = Duration::from_secs(4);
/// `proxy_timeout`
const PROXY_TIMEOUT: Duration = Duration::from_secs(6);
/// What a machine that is busy may add to these.
const SLACK: Duration = Duration::from_secs(10);

/// Which authentication server a `server` block has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auth {
    Sound,
    Refusing,
    Hanging,
}

type Place = (Protocol, bool, Auth, SocketAddr);

/// A Gatepost that runs. Dropping it ends it.
pub(crate) struct Gatepost {
    child: Child,
    binary: PathBuf,
    directory: TempDir,
    places: Vec<Place>,
    auth: [SocketAddr; 3],
    shown: Shown,
    descriptors: usize,
}

impl Gatepost {
    /// Starts one, and waits until it serves.
    pub(crate) async fn start(
        binary: &Path,
        servers: &Servers,
        mail: &Certificates,
        descriptors: usize,
    ) -> Result<Gatepost> {
        let directory = tempfile::Builder::new().prefix("gatepost-soak-").tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        fs::create_dir(directory.path().join("logs"))?;
        let files = mail.files(Security::Ecdsa).context("a certificate")?;
        fs::copy(&files.certificate, directory.path().join("mail.crt"))?;
        let shown = Shown::default();
        let auth = [servers.auth, servers.refusing, servers.hanging];
        let places = places()?;
        renew(directory.path(), &shown)?;
        configure(directory.path(), &places, auth, descriptors, "")?;
        let mut command = command(binary, directory.path());
        let child = command.args(["-g", "daemon off;"]).spawn().with_context(|| binary.display().to_string())?;
        let mut gatepost = Gatepost { child, binary: binary.to_owned(), directory, places, auth, shown, descriptors };
        gatepost.await_service().await?;
        Ok(gatepost)
    }

    /// Where a client goes.
    pub(crate) fn target(&self, protocol: Protocol, way: Way, plan: Option<Plan>) -> Target {
        let auth = match plan {
            Some(Plan { phase: Phase::AuthConnect, fault: Fault::Stop }) => Auth::Refusing,
            Some(Plan { phase: Phase::AuthConnect, .. }) => Auth::Hanging,
            _ => Auth::Sound,
        };
        let wanted = (protocol, way == Way::Tls, auth);
        let place = self.places.iter().find(|place| (place.0, place.1, place.2) == wanted);
        Target {
            place: place.expect("there is a place for each").3,
            certificates: self.shown.clone(),
            // The authentication server has its time, and then the mail server.
            login: 2 * TIMEOUT + SLACK,
            relay: PROXY_TIMEOUT + SLACK,
        }
    }

    /// The process that serves.
    pub(crate) fn worker(&self) -> Option<u32> {
        let master = self.child.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).ok()?;
        let mut children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        children.find(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|name| name.starts_with(b"gatepost: worker process"))
        })
    }

    /// What the worker holds.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.worker().context("no worker")?, self.auth[0])
    }

    /// What the worker holds that serves nobody: once that does not change any more.
    pub(crate) async fn at_rest(&self) -> Result<Usage> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = self.usage()?;
        loop {
            sleep(20 * POLL).await;
            let usage = self.usage()?;
            if usage.descriptors == before.descriptors || Instant::now() > deadline {
                return Ok(usage);
            }
            before = usage;
        }
    }

    /// Waits until the worker holds no more descriptors than `before`, and gives what it holds then, or when patience has
    /// ended.
    pub(crate) async fn settled(&self, before: &Usage) -> Result<Usage> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let usage = self.usage()?;
            if usage.descriptors <= before.descriptors || Instant::now() > deadline {
                return Ok(usage);
            }
            sleep(20 * POLL).await;
        }
    }

    /// A reload, waited for. With a new certificate first, or not.
    pub(crate) async fn reload(&self, new_certificate: bool) -> Result<()> {
        if new_certificate {
            renew(self.directory.path(), &self.shown)?;
        }
        configure(self.directory.path(), &self.places, self.auth, self.descriptors, "")?;
        let status = self.call(&["-s", "reload"]).await?;
        ensure!(status.success(), "the reload failed: {}", self.said());
        self.shown.settle();
        Ok(())
    }

    /// A reload with a configuration that cannot be.
    pub(crate) async fn bad_reload(&self) -> Result<()> {
        configure(self.directory.path(), &self.places, self.auth, self.descriptors, "no such directive;")?;
        let status = self.call(&["-s", "reload"]).await?;
        ensure!(!status.success(), "a bad configuration is in force");
        Ok(())
    }

    /// Has the logs opened anew, having moved them away.
    pub(crate) async fn rotate_logs(&self) -> Result<()> {
        let path = |name: &str| self.directory.path().join(name);
        let mut kept = fs::File::options().append(true).create(true).open(path("error.log.1"))?;
        std::io::copy(&mut fs::File::open(path("error.log"))?, &mut kept)?;
        fs::remove_file(path("error.log"))?;
        self.signal(Signal::USR1)?;
        self.until("a new log", || path("error.log").exists().then_some(())).await
    }

    /// Kills the worker, and waits for the next.
    pub(crate) async fn kill_worker(&mut self) -> Result<()> {
        let old = self.worker().context("no worker")?;
        kill_process(pid(old)?, Signal::KILL)?;
        self.until("new worker", || self.worker().filter(|new| *new != old)).await?;
        self.await_service().await
    }

    /// Ends it gracefully: at once, since no session is left.
    pub(crate) async fn quit(mut self) -> Result<Duration> {
        let begin = Instant::now();
        self.signal(Signal::QUIT)?;
        while self.child.try_wait()?.is_none() {
            ensure!(begin.elapsed() < PATIENCE, "somebody is still there: QUIT does not end it");
            sleep(POLL).await;
        }
        ensure!(self.child.wait()?.success(), "it did not end well");
        Ok(begin.elapsed())
    }

    /// The lines of the log that there should be none of.
    pub(crate) fn alarming(&self) -> Vec<String> {
        let log = self.said();
        let serious = |line: &&str| ["[alert]", "[emerg]", "panicked"].iter().any(|word| line.contains(word));
        // Now and then two workers are killed one shortly after the other.
        const EXPECTED: [&str; 3] =
            ["exited on signal 9", "the next worker process is started in 1 s", "unknown directive \"no\""];
        let expected = |line: &&str| EXPECTED.iter().any(|word| line.contains(word));
        log.lines().filter(serious).filter(|line| !expected(line)).map(str::to_owned).collect()
    }

    /// The lines of the log about the sessions of which something was told.
    pub(crate) fn said_of(&self, mistakes: &[String]) -> String {
        let users: Vec<String> =
            mistakes.iter().filter_map(|told| Some(format!("\"{}\"", told.split_once(':')?.0))).collect();
        let log = self.said();
        log.lines().filter(|line| users.iter().any(|user| line.contains(user))).collect::<Vec<_>>().join("\n")
    }

    /// The log.
    pub(crate) fn said(&self) -> String {
        let read = |name| fs::read(self.directory.path().join(name)).unwrap_or_default();
        ["stderr", "error.log.1", "error.log"].map(|name| String::from_utf8_lossy(&read(name)).into_owned()).concat()
    }

    async fn await_service(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for place in self.places.clone() {
            while !matches!(timeout(PATIENCE, TcpStream::connect(place.3)).await, Ok(Ok(_))) {
                ensure!(self.child.try_wait()?.is_none(), "it ended: {}", self.said());
                ensure!(Instant::now() < deadline, "nobody listens: {}", self.said());
                sleep(POLL).await;
            }
        }
        self.until("worker", || self.worker()).await.map(drop)
    }

    async fn until<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(found) = found() {
                return Ok(found);
            }
            sleep(POLL).await;
        }
        bail!("no {what}: {}", self.said())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(pid(self.child.id())?, signal)?)
    }

    /// Runs the program again, with these options.
    async fn call(&self, options: &[&str]) -> Result<ExitStatus> {
        let mut child = command(&self.binary, self.directory.path()).args(options).spawn()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("{options:?} does not end");
            }
            sleep(POLL).await;
        }
    }
}

impl Drop for Gatepost {
    fn drop(&mut self) {
        let worker = self.worker();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = worker.and_then(|worker| pid(worker).ok()).map(|worker| kill_process(worker, Signal::KILL));
    }
}

fn pid(number: u32) -> Result<Pid> {
    Pid::from_raw(i32::try_from(number)?).context("no process")
}

fn command(binary: &Path, directory: &Path) -> Command {
    let log = || fs::File::options().append(true).create(true).open(directory.join("stderr"));
    let mut command = Command::new(binary);
    command
        .arg("-p")
        .arg(directory)
        .args(["-c", "soak.conf", "-e", "error.log"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.stderr(log().map_or_else(|_| Stdio::null(), Stdio::from));
    command
}

/// A new certificate, in place of the one before.
fn renew(directory: &Path, shown: &Shown) -> Result<()> {
    let certificates = Certificates::make()?;
    let files = certificates.files(Security::Ecdsa).context("a certificate")?;
    let pem = fs::read(&files.certificate)?;
    fs::write(directory.join("own.crt"), &pem)?;
    fs::copy(&files.key, directory.join("own.key"))?;
    shown.add(X509::from_pem(&pem)?.to_der()?);
    Ok(())
}

/// A place for each protocol, with TLS from the first byte and without, and one for each way the authentication server
/// cannot be reached.
fn places() -> Result<Vec<Place>> {
    let [.., high, low] = std::process::id().to_be_bytes();
    let mut held = Vec::new();
    for protocol in Protocol::ALL {
        for (tls, auth) in [false, true]
            .into_iter()
            .flat_map(|tls| [Auth::Sound, Auth::Refusing, Auth::Hanging].map(|auth| (tls, auth)))
        {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 64 | (high & 31), low, 1), 0))?;
            held.push((protocol, tls, auth, listener));
        }
    }
    held.iter().map(|(protocol, tls, auth, listener)| Ok((*protocol, *tls, *auth, listener.local_addr()?))).collect()
}

fn configure(directory: &Path, places: &[Place], auth: [SocketAddr; 3], descriptors: usize, more: &str) -> Result<()> {
    let servers: String = places.iter().map(|place| server(place, auth)).collect();
    let (timeout, proxy_timeout) = (TIMEOUT.as_secs(), PROXY_TIMEOUT.as_secs());
    let conf = format!(
        "worker_processes {THREADS};\n\
         worker_rlimit_nofile {descriptors};\n\
         pid pid;\n\
         error_log error.log info;\n\
         events {{ worker_connections {descriptors}; }}\n\
         {more}\n\
         mail {{\n\
         \x20   server_name proxy.example;\n\
         \x20   auth_http_timeout {timeout}s;\n\
         \x20   timeout {timeout}s;\n\
         \x20   proxy_timeout {proxy_timeout}s;\n\
         \x20   proxy_protocol on;\n\
         \x20   xclient off;\n\
         \x20   proxy_smtp_auth on;\n\
         \x20   proxy_ssl_trusted_certificate mail.crt;\n\
         \x20   proxy_ssl_name bench.example;\n\
         \x20   ssl_certificate own.crt;\n\
         \x20   ssl_certificate_key own.key;\n\
         {servers}}}\n"
    );
    Ok(fs::write(directory.join("soak.conf"), conf)?)
}

fn server((protocol, tls, auth, at): &Place, places: [SocketAddr; 3]) -> String {
    let auth = places[*auth as usize];
    let (ssl, starttls) = if *tls { (" ssl", "off") } else { ("", "on") };
    let name = protocol.name();
    format!("    server {{ listen {at}{ssl}; starttls {starttls}; protocol {name}; auth_http http://{auth}/auth; }}\n")
}
