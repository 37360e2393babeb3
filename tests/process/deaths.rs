//! The worker dies, or the master does.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Conn, Subject};
use crate::running::{Running, await_some, await_some_in, children, command, free_address, is_alive, is_worker, write};

const ONE: &str = "server { listen @at@; protocol imap; }";

/// Another worker than that one.
#[track_caller]
fn successor(running: &Running, of: Pid) -> Pid {
    await_some("new worker", || Some(running.worker()).filter(|worker| *worker != of))
}

#[test]
fn a_killed_worker_is_back_within_a_second() {
    let running = Running::start("");
    let worker = running.worker();
    let killed = Instant::now();
    kill_process(worker, Signal::KILL).unwrap();
    // Not refused, though nobody may be there to greet yet.
    let _client = running.client();
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    let pid = worker.as_raw_nonzero();
    let line = running.await_log(&format!("worker process {pid} exited on signal 9"));
    assert!(line.contains("[alert]"), "{line}");
    successor(&running, worker);
}

/// What started the program may have left that to it.
#[test]
fn a_killed_worker_is_back_where_ended_children_are_ignored() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "daemon off;", ONE, at, at);
    let mut gatepost = command(prefix.path());
    let ignore = || {
        for signal in [libc::SIGCHLD, libc::SIGHUP] {
            // SAFETY: no handler is set.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        Ok(())
    };
    // SAFETY: what is called between `fork` and `exec` makes two system calls.
    let mut gatepost = unsafe { gatepost.pre_exec(ignore) }.spawn().unwrap();
    let master = Pid::from_child(&gatepost);
    await_some("listener", || TcpStream::connect(at).ok());
    Conn::connect(at).expect("* OK IMAP4 ready\r\n");
    let worker = await_some("worker", || children(master).into_iter().find(|pid| is_worker(*pid)));
    kill_process(worker, Signal::KILL).unwrap();
    let another = |pid: &Pid| *pid != worker && is_worker(*pid);
    await_some("new worker", || children(master).into_iter().find(another));
    kill_process(master, Signal::HUP).unwrap();
    await_some_in(&prefix.path().join("error.log"), "the new configuration is in force");
    kill_process(master, Signal::TERM).unwrap();
    assert!(gatepost.wait().unwrap().success());
}

#[test]
fn one_that_dies_again_and_again_is_waited_for() {
    let mut running = Running::start("");
    let mut worker = running.worker();
    for _ in 0..3 {
        kill_process(worker, Signal::KILL).unwrap();
        worker = successor(&running, worker);
    }
    running.await_log("the next worker process is started in 1 s");
    running.signal(Signal::TERM);
    assert!(running.end().success());
}

#[test]
fn unix_sockets_that_a_killed_master_left_are_in_nobodys_way() {
    let mut running = Running::start("");
    let socket = running.prefix().join("socket");
    running.configure("", &format!("{ONE} server {{ listen unix:{}; protocol pop3; }}", socket.display()));
    running.reload_now();
    assert!(UnixStream::connect(&socket).is_ok());
    // While somebody listens, it is taken.
    let taken = running.call(&[]);
    let said = String::from_utf8_lossy(&taken.stderr);
    let expected = format!("bind() to unix:{} failed (98: Address already in use)", socket.display());
    assert!(!taken.status.success() && said.contains(&expected), "{said}");
    assert!(UnixStream::connect(&socket).is_ok());

    running.signal(Signal::KILL);
    running.end();
    running.await_log("the master process is gone");
    assert!(socket.exists());
    let again = running.call(&[]);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert!(UnixStream::connect(&socket).is_ok());
    assert!(running.call(&["-s", "stop"]).status.success());
    await_some("end", || (!socket.exists()).then_some(()));
}

#[test]
fn the_worker_ends_its_sessions_when_the_master_is_killed() {
    let mut running = Running::start("");
    let worker = running.worker();
    let (mut client, mut server) = running.session();
    running.signal(Signal::KILL);
    running.end();
    running.await_log("the master process is gone");
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
    assert!(is_alive(worker));
    drop((client, server));
    await_some("end of the worker", || (!is_alive(worker)).then_some(()));
}

#[test]
fn the_first_process_of_a_container_waits_for_those_that_nobody_else_does() {
    let container = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork"]);
        command
    };
    // Not everybody may have one.
    if !container().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return;
    }
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "daemon off;", ONE, at, at);
    let script = "(sleep 0.2 &); exec \"$0\" -p \"$1\" -c test.conf -e error.log";
    let mut child = container();
    child.args(["sh", "-c", script]).arg(Subject::current().path()).arg(prefix.path());
    let mut child = child.spawn().unwrap();
    let first = await_some("first process", || children(Pid::from_child(&child)).first().copied());
    let worker = await_some("worker", || children(first).into_iter().find(|pid| is_worker(*pid)));
    await_some("end of the orphan", || (children(first) == [worker]).then_some(()));
    kill_process(first, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}
