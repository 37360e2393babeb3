//! The worker dies, or the master does.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::running::{Running, await_some, is_alive};

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
