//! What the demonstration runs: the sample servers, Gatepost and its configuration. Dropping it ends and removes all.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::sleep;

/// The user of the demonstration.
pub(crate) const USER: &str = "alice";
/// The password; good for nothing but the sample servers, which listen on loopback only.
pub(crate) const PASSWORD: &str = "wonderland";
/// Where Gatepost listens if nobody else does.
const USUAL_PORTS: [u16; 3] = [1143, 1110, 1587];
/// How long a program may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// One address for each protocol.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    pub(crate) imap: SocketAddr,
    pub(crate) pop3: SocketAddr,
    pub(crate) smtp: SocketAddr,
}

/// Everything that runs. The processes are first, so that they end before their directory goes.
pub(crate) struct Site {
    gatepost: Process,
    servers: Process,
    directory: TempDir,
    pub(crate) places: Places,
}

impl Site {
    /// Starts the sample servers and Gatepost, and waits until they listen.
    pub(crate) async fn start() -> Result<Site> {
        let directory = tempfile::Builder::new().prefix("gatepost-demo-").tempdir()?;
        let (servers, behind) = start_servers()?;
        fs::write(directory.path().join("users"), users()?)?;
        for ports in [USUAL_PORTS, [0; 3], [0; 3]] {
            let Ok(places) = free_places(ports) else { continue };
            fs::write(directory.path().join("gatepost.conf"), configuration(&places, &behind))?;
            let mut gatepost = start_gatepost(directory.path())?;
            if listens(&mut gatepost, &directory.path().join("gatepost.pid")).await? {
                return Ok(Site { gatepost, servers, directory, places });
            }
        }
        bail!("Gatepost does not start")
    }

    /// What runs, and Gatepost's configuration.
    pub(crate) fn introduction(&self) -> Result<String> {
        let configuration = fs::read_to_string(self.directory.path().join("gatepost.conf"))?;
        let users = fs::read_to_string(self.directory.path().join("users"))?;
        Ok(format!("== gatepost.conf\n{configuration}\n== users, made by \"gatepost passwd\"\n{users}"))
    }

    /// Everything Gatepost logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_else(|error| error.to_string())
    }

    /// How to try it with other programs.
    pub(crate) fn by_hand(&self) -> String {
        let Places { imap, pop3, smtp } = self.places;
        format!(
            "Gatepost runs until you press Ctrl-C. Connect with any mail client, without encryption:

    user {USER}, password {PASSWORD}
    IMAP {imap}    POP3 {pop3}    SMTP {smtp}

or from another terminal:

    curl -v -u {USER}:{PASSWORD} 'imap://{imap}/INBOX;UID=1'
    curl -v -u {USER}:{PASSWORD} pop3://{pop3}/1
    printf 'Subject: by hand\\r\\n\\r\\nHello.\\r\\n' |
        curl -v -u {USER}:{PASSWORD} --mail-from me@example.org --mail-rcpt {USER}@example.org -T - smtp://{smtp}

configuration and log: {}",
            self.directory.path().display()
        )
    }

    /// Waits, and fails when a program ends by itself.
    pub(crate) async fn until_one_ends(&mut self) -> Result<()> {
        loop {
            self.check_running()?;
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn check_running(&mut self) -> Result<()> {
        for process in [&mut self.gatepost, &mut self.servers] {
            if let Some(status) = process.ended()? {
                bail!("{} ended: {status}", process.name);
            }
        }
        Ok(())
    }
}

/// A program that ends when this is dropped.
struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// In a process group of its own, so that Ctrl-C reaches the demonstration alone, which then ends the others.
    fn start(name: &'static str, command: &mut Command) -> Result<Process> {
        let child = command.process_group(0).spawn().with_context(|| format!("cannot run {command:?}"))?;
        Ok(Process { name, child })
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Process {
    /// TERM, and KILL if that does not help in time.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        eprintln!("demo: {} does not end by itself", self.name);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the sample servers on any free ports, and reads from them which.
fn start_servers() -> Result<(Process, Places)> {
    let mut command = Command::new(programs()?.join("examples/mailserver"));
    command.args(["--until-eof", "--user", &format!("{USER}:{PASSWORD}")]);
    let mut servers = Process::start("mailserver", command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let mut line = String::new();
    BufReader::new(servers.child.stdout.take().expect("standard output is piped")).read_line(&mut line)?;
    let place = |protocol: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(protocol)?.strip_prefix('='));
        word.and_then(|address| address.parse().ok()).with_context(|| format!("mailserver said: {line:?}"))
    };
    let places = Places { imap: place("imap")?, pop3: place("pop3")?, smtp: place("smtp")? };
    Ok((servers, places))
}

/// The line of the users file, as an operator would make it.
fn users() -> Result<String> {
    let mut command = Command::new(programs()?.join("gatepost"));
    let mut passwd = command.args(["passwd", USER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    passwd.stdin.take().expect("standard input is piped").write_all(format!("{PASSWORD}\n").as_bytes())?;
    let output = passwd.wait_with_output()?;
    if !output.status.success() {
        bail!("gatepost passwd: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn configuration(front: &Places, behind: &Places) -> String {
    let server = |protocol: &str, front: SocketAddr, behind: SocketAddr| {
        format!(
            "    server {{\n        listen {front};\n        protocol {protocol};\n        proxy_pass {behind};\n    }}\n"
        )
    };
    let servers = [
        server("imap", front.imap, behind.imap),
        server("pop3", front.pop3, behind.pop3),
        server("smtp", front.smtp, behind.smtp),
    ];
    format!(
        "daemon off;
master_process off;
pid gatepost.pid;
error_log error.log info;

mail {{
    server_name mail.example.org;
    auth_users_file users;

{}}}
",
        servers.join("\n")
    )
}

fn start_gatepost(directory: &Path) -> Result<Process> {
    let mut command = Command::new(programs()?.join("gatepost"));
    command.arg("-p").arg(directory).arg("-c").arg(directory.join("gatepost.conf"));
    command.arg("-e").arg(directory.join("error.log"));
    Process::start("gatepost", command.stdin(Stdio::null()))
}

/// Whether Gatepost, just started, writes its pid file, which it does when it listens. It ends without if somebody took
/// a port meanwhile.
async fn listens(gatepost: &mut Process, pid: &Path) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(pid).is_ok_and(|text| text.ends_with('\n')) {
        if gatepost.ended()?.is_some() {
            return Ok(false);
        }
        if Instant::now() > deadline {
            bail!("Gatepost does not say that it listens");
        }
        sleep(POLL).await;
    }
    Ok(true)
}

/// The directory of Gatepost's binary: this program is an example beside it.
fn programs() -> Result<PathBuf> {
    let demo = std::env::current_exe()?;
    let directory = demo.parent().and_then(Path::parent).context("not where cargo puts an example")?;
    Ok(directory.to_path_buf())
}

/// Addresses on which nobody listens; a port of 0 is any. Somebody may take one before Gatepost does, which then says
/// so and does not start.
fn free_places(ports: [u16; 3]) -> std::io::Result<Places> {
    let listeners = ports.map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    let [imap, pop3, smtp] = listeners;
    Ok(Places { imap: imap?.local_addr()?, pop3: pop3?.local_addr()?, smtp: smtp?.local_addr()? })
}
