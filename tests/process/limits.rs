//! Too many connections, too few descriptors, and what a worker is given.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::{Pid, Signal};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::harness::Conn;
use crate::running::{Running, await_some, await_some_in, command, command_line, free_address, read, status, write};

const ONE: &str = "server { listen @at@; protocol imap; }";

#[test]
fn the_oldest_that_has_not_logged_in_makes_room() {
    let running = Running::start("events { worker_connections 5; }");
    let (mut client, mut server) = running.session();
    let mut first = running.client();
    let mut second = running.client();
    let mut third = running.client();
    let mut fourth = running.client();
    first.expect_close();
    second.expect_silence();
    third.expect_silence();
    fourth.expect_silence();
    let line = running.await_log("closed to make room for another connection");
    assert!(line.contains("[info]") && line.contains(&format!("client: {}", first.local())), "{line}");
    let line = running.await_log("5 worker_connections are not enough");
    assert!(line.contains("[alert]"), "{line}");
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
}

#[test]
fn where_all_are_logged_in_nobody_makes_room() {
    let running = Running::start("events { worker_connections 2; }");
    let (mut client, mut server) = running.session();
    Conn::connect(running.at).expect_close();
    running.await_log("2 worker_connections are not enough");
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
}

#[test]
fn without_descriptors_nothing_is_accepted_for_a_while() {
    let running = Running::start("worker_rlimit_nofile 40; error_log error.log crit;");
    let mut crowd: Vec<Conn> = (0..40).map(|_| Conn::connect(running.at)).collect();
    let line = running.await_log("accept4() failed (24: Too many open files)");
    assert!(line.contains("[crit]"), "{line}");
    crowd[0].expect("* OK IMAP4 ready\r\n").ask("a NOOP\r\n", "a OK completed\r\n");
    // The rest is greeted when others have gone, and it is told only once that there were too many, also where more come.
    for _ in 0..2 {
        let mut last = crowd.split_off(30);
        drop(crowd);
        for client in &mut last {
            client.expect("* OK IMAP4 ready\r\n");
        }
        crowd = last;
        crowd.extend((0..30).map(|_| Conn::connect(running.at)));
    }
    assert_eq!(running.log().matches("accept4() failed").count(), 1, "{}", running.log());
}

#[test]
fn a_reload_for_which_there_are_no_descriptors_changes_nothing() {
    let running = Running::start("worker_rlimit_nofile 40;");
    let worker = running.worker();
    let (mut client, mut server) = running.session();
    let crowd: Vec<Conn> = (0..40).map(|_| Conn::connect(running.at)).collect();
    running.await_log("accept4() failed (24: Too many open files)");
    let output = running.call(&["-s", "reload"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("worker_rlimit_nofile"), "{said}");
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
    drop(crowd);
    running.client();
    running.reload_now();
    assert_eq!(running.worker(), worker);
}

#[test]
fn a_start_for_which_there_are_no_descriptors() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    for limit in [3, 8, 9] {
        let limit = format!("worker_rlimit_nofile {limit};");
        write(prefix.path(), &limit, ONE, at, at);
        fs::write(prefix.path().join("stderr"), "").unwrap();
        assert!(!command(prefix.path()).status().unwrap().success(), "{limit}");
        let said = read(&prefix.path().join("stderr"));
        assert!(said.contains("[emerg]") && said.contains("Too many open files"), "{limit}: {said}");
    }
}

#[test]
fn logs_for_which_there_are_no_descriptors_are_written_where_they_are() {
    let mut running = Running::start("worker_rlimit_nofile 40;");
    let worker = running.worker();
    let crowd: Vec<Conn> = (0..40).map(|_| Conn::connect(running.at)).collect();
    running.await_log("accept4() failed (24: Too many open files)");
    let (log, old) = (running.prefix().join("error.log"), running.prefix().join("old.log"));
    fs::rename(&log, &old).unwrap();
    running.signal(Signal::USR1);
    let line = await_some_in(&old, "1 of the logs cannot be opened anew");
    assert!(line.contains("[alert]") && line.contains("worker_rlimit_nofile"), "{line}");
    drop(crowd);
    let client = running.client();
    await_some_in(&old, &format!("client {} connected", client.local()));
    running.signal(Signal::USR1);
    await_some("the new log", || {
        let client = running.client();
        read(&log).contains(&format!("client {} connected", client.local())).then_some(())
    });
    assert_eq!(running.worker(), worker);
    running.signal(Signal::TERM);
    assert!(running.end().success());
}

#[test]
fn as_many_threads_as_worker_processes_says() {
    let threads = |main: &str| {
        let running = Running::start(main);
        running.session();
        fs::read_dir(format!("/proc/{}/task", running.worker().as_raw_nonzero())).unwrap().count()
    };
    assert_eq!(threads("worker_processes 1;"), 1);
    assert_eq!(threads("worker_processes 5;"), 5);
    assert_eq!(threads("worker_processes auto;"), std::thread::available_parallelism().unwrap().get());
}

#[test]
fn threads_that_cannot_begin_get_no_connections() {
    let running = Running::start("worker_rlimit_nofile 150;");
    let worker = running.worker();
    let threads = || fs::read_dir(format!("/proc/{}/task", worker.as_raw_nonzero())).unwrap().count();
    let crowd: Vec<Conn> = (0..120).map(|_| running.client()).collect();
    running.configure("worker_rlimit_nofile 150; worker_processes 20;", ONE);
    running.reload_now();
    let line = running.await_log("the event loop cannot start");
    assert!(line.contains("[alert]"), "{line}");
    assert!(threads() < 15, "{}", threads());
    drop(crowd);
    let _clients: Vec<Conn> = (0..30).map(|_| running.client()).collect();
    // They are still missing, and can begin now.
    running.reload_now();
    assert!(threads() >= 20, "{}", threads());
    running.session();
}

#[test]
fn limits_of_a_worker_that_runs() {
    let running = Running::start("worker_rlimit_nofile 200; worker_rlimit_core 4096;");
    let worker = running.worker();
    assert_eq!((soft_limit(worker, "Max open files"), soft_limit(worker, "Max core file size")), (200, 4096));
    running.configure("worker_rlimit_nofile 150; worker_rlimit_core 2048; worker_priority 5;", ONE);
    running.reload_now();
    assert_eq!(running.worker(), worker);
    // It is another user's process, for which root does not have the capabilities everywhere.
    if is_allowed(SYS_RESOURCE) {
        assert_eq!((soft_limit(worker, "Max open files"), soft_limit(worker, "Max core file size")), (150, 2048));
    } else {
        let line = running.await_log("prlimit(RLIMIT_NOFILE, 150) failed (1: Operation not permitted)");
        assert!(line.contains("[alert]"), "{line}");
    }
    if is_allowed(SYS_NICE) {
        assert_eq!(priority(worker), 5);
    } else {
        let line = running.await_log("setpriority(5) failed (1: Operation not permitted)");
        assert!(line.contains("[alert]"), "{line}");
    }
}

const SYS_NICE: u32 = 23;
const SYS_RESOURCE: u32 = 24;

/// Whether this process has the capability, or does not need it, since the worker has the same user.
fn is_allowed(capability: u32) -> bool {
    let set = u64::from_str_radix(&status(rustix::process::getpid(), "CapEff"), 16).unwrap();
    set >> capability & 1 == 1 || !rustix::process::geteuid().is_root()
}

fn soft_limit(pid: Pid, name: &str) -> u64 {
    let limits = read(format!("/proc/{}/limits", pid.as_raw_nonzero()).as_ref());
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn priority(pid: Pid) -> i32 {
    let stat = read(format!("/proc/{}/stat", pid.as_raw_nonzero()).as_ref());
    stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().parse().unwrap()
}

#[test]
fn what_the_worker_is_given() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let may_use = sched_getaffinity(None).unwrap();
    let processor = (0..CpuSet::MAX_CPU).find(|number| may_use.is_set(*number)).unwrap();
    let mask = format!("1{}", "0".repeat(processor));
    let running = Running::start(&format!(
        "worker_cpu_affinity {mask}; env LANG=nobody; env PATH; worker_rlimit_core 0; worker_priority 3; \
         working_directory {};",
        directory.path().display()
    ));
    TcpStream::connect(running.at).unwrap();
    let worker = running.worker();
    assert_eq!(command_line(worker), "gatepost: worker process");
    let proc = format!("/proc/{}", worker.as_raw_nonzero());
    let status = read(format!("{proc}/status").as_ref());
    assert!(status.contains(&format!("Cpus_allowed_list:\t{processor}\n")), "{status}");
    assert_eq!((soft_limit(worker, "Max core file size"), priority(worker)), (0, 3));
    if let Ok(place) = fs::read_link(format!("{proc}/cwd")) {
        assert_eq!(place, directory.path());
    }
    if let Ok(environment) = fs::read(format!("{proc}/environ")) {
        let mut names: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
        names.retain(|name| !name.is_empty() && !name.starts_with(b"TZ=") && !name.starts_with(b"OPENSSL_CONF="));
        names.retain(|name| !name.starts_with(b"PATH=") && !name.starts_with(b"SSL_CERT_FILE="));
        assert_eq!(names, [b"LANG=nobody"]);
    }
}
