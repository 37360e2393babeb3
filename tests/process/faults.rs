//! Disks that are full, and directories that are gone.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::running::{Running, await_some, await_some_in, command, free_address, read, write};

const ONE: &str = "server { listen @at@; protocol imap; }";

/// A small disk.
struct Disk(PathBuf);

impl Disk {
    /// None where this process may not mount one.
    fn mount(at: &Path) -> Option<Disk> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs"]).arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            println!("not tested: no disk can be mounted here");
        }
        mounted.then(|| Disk(at.to_path_buf()))
    }

    /// Leaves no room on it. What was written is in that file.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[b'x'; 512]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_log_on_a_full_disk() {
    let running = Running::start("");
    let Some(disk) = Disk::mount(&running.prefix().join("logs")) else { return };
    running.configure("error_log logs/error.log info;", ONE);
    running.reload_now();
    let log = running.prefix().join("logs/error.log");
    let (mut client, mut server) = running.session();
    await_some_in(&log, "client logged in");
    let filler = disk.fill();

    // Nobody is the worse for it.
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
    for _ in 0..30 {
        running.session();
    }
    running.reload_now();
    running.session();
    let complaint = format!("write() to \"{}\" failed (28: No space left on device), lines are lost", log.display());
    let stderr = running.prefix().join("stderr");
    await_some_in(&stderr, &complaint);

    fs::remove_file(filler).unwrap();
    let client = running.client();
    await_some_in(&log, &format!("client {} connected", client.local()));
    let line = await_some_in(&log, "lines before this could not be written to this log, and are lost");
    assert!(line.contains("[alert]"), "{line}");
    // The master and the worker say it for themselves, and again where a short line had room between long ones. A line
    // that was cut has an end.
    assert!(read(&stderr).matches(&complaint).count() <= 5, "{}", read(&stderr));
    let whole = |line: &str| line.starts_with("20") && line.matches("[info]").count() <= 1;
    let torn: Vec<String> = read(&log).lines().filter(|line| !whole(line)).map(str::to_owned).collect();
    assert!(torn.is_empty(), "{torn:#?}");
}

#[test]
fn a_log_that_never_takes_a_line() {
    let mut running = Running::start("error_log /dev/full info;");
    running.session();
    await_some_in(&running.prefix().join("stderr"), "write() to \"/dev/full\" failed (28: No space left on device)");
    running.signal(Signal::TERM);
    assert!(running.end().success());
}

#[test]
fn a_pid_file_on_a_full_disk() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "pid logs/pid;", ONE, at, at);
    let Some(disk) = Disk::mount(&prefix.path().join("logs")) else { return };
    disk.fill();
    assert!(!command(prefix.path()).status().unwrap().success());
    let path = prefix.path().join("logs/pid");
    let expected = format!("[emerg] write() \"{}\" failed (28: No space left on device)", path.display());
    let said = read(&prefix.path().join("stderr"));
    assert!(said.contains(&expected), "{said}");
    await_some("end of listening", || std::net::TcpStream::connect(at).err());
}

#[test]
fn a_log_whose_directory_is_gone_at_a_start() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "error_log gone/error.log;", ONE, at, at);
    assert!(!command(prefix.path()).status().unwrap().success());
    let path = prefix.path().join("gone/error.log");
    let said = read(&prefix.path().join("stderr"));
    let expected = format!("[emerg] open() \"{}\" failed (2: No such file or directory)", path.display());
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_log_whose_directory_is_gone_at_usr1() {
    let mut running = Running::start("error_log logs/error.log info;");
    let (logs, gone) = (running.prefix().join("logs"), running.prefix().join("gone"));
    fs::rename(&logs, &gone).unwrap();
    running.signal(Signal::USR1);
    let expected = format!("open() \"{}\" failed (2: No such file or directory)", logs.join("error.log").display());
    let old = gone.join("error.log");
    let line = await_some_in(&old, "[emerg]");
    assert!(line.ends_with(&expected), "{line}");
    // It is written where it is now.
    let client = running.client();
    await_some_in(&old, &format!("client {} connected", client.local()));
    running.signal(Signal::TERM);
    assert!(running.end().success());
}

#[test]
fn a_log_whose_directory_is_gone_at_a_reload() {
    let running = Running::start("error_log logs/error.log info;");
    let worker = running.worker();
    let (logs, gone) = (running.prefix().join("logs"), running.prefix().join("gone"));
    let (mut client, mut server) = running.session();
    fs::rename(&logs, &gone).unwrap();
    let expected = format!("open() \"{}\" failed (2: No such file or directory)", logs.join("error.log").display());
    let output = running.call(&["-s", "reload"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(&expected), "{said}");
    running.signal(Signal::HUP);
    let old = gone.join("error.log");
    let line = await_some_in(&old, "[emerg]");
    assert!(line.ends_with(&expected), "{line}");
    await_some_in(&old, "the configuration stays as it is");
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
    let newcomer = running.client();
    await_some_in(&old, &format!("client {} connected", newcomer.local()));

    fs::create_dir(&logs).unwrap();
    running.reload_now();
    let newcomer = running.client();
    await_some_in(&logs.join("error.log"), &format!("client {} connected", newcomer.local()));
    assert_eq!(running.worker(), worker);
}
