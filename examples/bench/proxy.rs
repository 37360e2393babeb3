//! A proxy that runs: Gatepost or nginx, with one and the same configuration.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::client::{Client, Clients};
use crate::machine::Cpus;
use crate::options;
use crate::tls::Certificates;
use crate::tree::Tree;
use crate::wire::{Protocol, Security};

/// How long a proxy may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);
/// How often a start is tried: between the choice of a port and its use, somebody else may take it.
const ATTEMPTS: usize = 5;

/// One of the two that are compared.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    binary: PathBuf,
    /// What `-V` says.
    pub(crate) version: String,
}

impl Subject {
    pub(crate) fn new(name: &'static str, binary: &Path) -> Result<Subject> {
        let version = options::version(binary)?;
        Ok(Subject { name, binary: binary.to_path_buf(), version })
    }

    /// What nginx needs where its mail module is a file of its own. Gatepost ignores it.
    pub(crate) fn module(&self) -> String {
        if !self.version.contains("--with-mail=dynamic") {
            return String::new();
        }
        let given = self.version.split_whitespace().find_map(|word| word.strip_prefix("--modules-path="));
        format!("load_module {}/ngx_mail_module.so;", given.unwrap_or("/usr/lib/nginx/modules"))
    }
}

/// What all proxies of a run have in common.
pub(crate) struct Site {
    pub(crate) cpus: Cpus,
    pub(crate) descriptors: usize,
    pub(crate) auth: SocketAddr,
    pub(crate) certificates: Certificates,
    /// [`Subject::module`] of nginx.
    pub(crate) module: String,
}

/// A proxy that runs. Dropping it ends it.
pub(crate) struct Proxy {
    child: Child,
    directory: TempDir,
    ports: Vec<(Protocol, Security, u16)>,
}

impl Proxy {
    /// Starts one, and waits until it greets.
    pub(crate) async fn start(subject: &Subject, site: &Site, workers: usize, clients: &Clients) -> Result<Proxy> {
        for _ in 0..ATTEMPTS {
            let mut proxy = Proxy::spawn(subject, site, workers)?;
            if proxy.greets(clients).await? {
                return Ok(proxy);
            }
        }
        bail!("{} does not start", subject.name)
    }

    fn spawn(subject: &Subject, site: &Site, workers: usize) -> Result<Proxy> {
        let directory = tempfile::Builder::new().prefix("gatepost-bench-").tempdir()?;
        let ports = free_ports()?;
        let path = directory.path();
        fs::create_dir(path.join("logs"))?;
        fs::write(path.join("bench.conf"), configuration(site, workers, &ports, path))?;
        site.cpus.enter_proxy(workers)?;
        let child = Command::new(&subject.binary)
            .args(["-p".as_ref(), path.as_os_str(), "-c".as_ref(), "bench.conf".as_ref()])
            // To nginx the variable means sockets that it inherits.
            .env_remove("NGINX")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(path.join("stderr"))?)
            .spawn();
        site.cpus.enter_load()?;
        Ok(Proxy { child: child.with_context(|| subject.binary.display().to_string())?, directory, ports })
    }

    /// Whether it got so far; false if its ports were taken.
    async fn greets(&mut self, clients: &Clients) -> Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        let place = self.address(Protocol::Imap, Security::Plain);
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                let said = self.said();
                return if said.contains("Address already in use") { Ok(false) } else { bail!("{said}") };
            }
            let greeted = async { Client::connect(clients, place).await?.greeting(Protocol::Imap).await };
            if matches!(timeout(Duration::from_secs(1), greeted).await, Ok(Ok(()))) {
                return Ok(true);
            }
            sleep(POLL).await;
        }
        bail!("no greeting: {}", self.said())
    }

    /// Where it listens.
    pub(crate) fn address(&self, protocol: Protocol, security: Security) -> SocketAddr {
        let listener = security.listener();
        let port = self.ports.iter().find(|&&(p, s, _)| (p, s) == (protocol, listener)).map(|&(.., port)| port);
        SocketAddr::from((Ipv4Addr::LOCALHOST, port.expect("there is a port for each")))
    }

    /// Its processes.
    pub(crate) fn tree(&self) -> Tree {
        Tree::of(self.child.id())
    }

    /// What it logged, at most some lines.
    pub(crate) fn said(&self) -> String {
        let read = |name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        let all = read("stderr") + &read("error.log");
        all.lines().take(10).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended by itself.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(POLL);
        }
    }
}

/// A port for each protocol with each certificate, and without.
fn free_ports() -> Result<Vec<(Protocol, Security, u16)>> {
    let mut held = Vec::new();
    for protocol in Protocol::ALL {
        for security in Security::LISTENERS {
            held.push((protocol, security, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?));
        }
    }
    held.iter().map(|(protocol, security, held)| Ok((*protocol, *security, held.local_addr()?.port()))).collect()
}

fn configuration(site: &Site, workers: usize, ports: &[(Protocol, Security, u16)], directory: &Path) -> String {
    let Site { descriptors, auth, certificates, module, .. } = site;
    let directory = directory.display();
    let servers: String = ports.iter().map(|place| server(certificates, place)).collect();
    format!(
        "{module}\n\
         daemon off;\n\
         master_process on;\n\
         worker_processes {workers};\n\
         worker_rlimit_nofile {descriptors};\n\
         pid {directory}/pid;\n\
         error_log {directory}/error.log;\n\
         events {{ worker_connections {descriptors}; }}\n\
         mail {{\n\
         \x20   server_name bench.example;\n\
         \x20   auth_http http://{auth}/auth;\n\
         {servers}}}\n"
    )
}

fn server(certificates: &Certificates, &(protocol, security, port): &(Protocol, Security, u16)) -> String {
    let name = protocol.name();
    let Some(files) = certificates.files(security) else {
        return format!("    server {{ listen 127.0.0.1:{port}; protocol {name}; }}\n");
    };
    let (certificate, key) = (files.certificate.display(), files.key.display());
    format!(
        "    server {{ listen 127.0.0.1:{port} ssl; protocol {name}; \
         ssl_certificate {certificate}; ssl_certificate_key {key}; }}\n"
    )
}
