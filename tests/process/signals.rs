//! Each signal to the master.

use std::fs;
use std::net::TcpStream;

use rustix::process::{Signal, kill_process};

use crate::running::{Running, await_some, await_some_in, command_line, is_alive, read};

#[test]
fn term_and_int_end_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = Running::start("");
        let worker = running.worker();
        let (mut client, _server) = running.session();
        running.signal(signal);
        assert!(running.end().success());
        client.expect_close();
        assert!(!is_alive(worker));
        assert!(TcpStream::connect(running.at).is_err());
        assert!(!running.prefix().join("pid").exists());
    }
}

#[test]
fn quit_waits_for_the_sessions() {
    let mut running = Running::start("");
    let (mut client, mut server) = running.session();
    running.signal(Signal::QUIT);
    await_some("end of listening", || TcpStream::connect(running.at).err());
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
    assert!(!running.has_ended());
    drop((client, server));
    assert!(running.end().success());
}

#[test]
fn quit_waits_for_worker_shutdown_timeout_at_most() {
    let mut running = Running::start("worker_shutdown_timeout 300ms;");
    let (mut client, _server) = running.session();
    running.signal(Signal::QUIT);
    assert!(running.end().success());
    client.expect_close();
    running.await_log("worker_shutdown_timeout: the last sessions are closed");
}

#[test]
fn a_worker_that_hangs_is_killed() {
    let mut running = Running::start("");
    let worker = running.worker();
    kill_process(worker, Signal::STOP).unwrap();
    running.signal(Signal::TERM);
    assert!(running.end().success());
    assert!(!is_alive(worker));
    running.await_log(&format!("worker process {} exited on signal 9", worker.as_raw_nonzero()));
}

#[test]
fn from_the_command_line() {
    for (name, number) in [("quit", 3), ("stop", 15)] {
        let mut running = Running::start("");
        assert!(running.call(&["-s", name]).status.success());
        assert!(running.end().success());
        running.await_log(&format!("signal {number} ("));
    }
    let running = Running::start("");
    assert!(running.call(&["-s", "reopen"]).status.success());
    running.await_log("signal 10 (SIGUSR1)");
}

#[test]
fn one_that_ends_late_leaves_the_pid_file_of_the_next() {
    let mut running = Running::start("");
    let session = running.session();
    running.signal(Signal::QUIT);
    running.await_log("gracefully shutting down");
    let pid = running.prefix().join("pid");
    fs::write(&pid, "1\n").unwrap();
    drop(session);
    assert!(running.end().success());
    assert_eq!(read(&pid), "1\n");
}

#[test]
fn usr1_opens_logs_that_the_worker_may_not() {
    let running = Running::start("");
    let (log, old) = (running.prefix().join("error.log"), running.prefix().join("old.log"));
    fs::rename(&log, &old).unwrap();
    running.signal(Signal::USR1);
    await_some("new log", || log.exists().then_some(()));
    await_some_in(&old, "reopening logs");
    let client = running.client();
    await_some_in(&log, &format!("client {} connected", client.local()));
    assert!(!read(&old).contains(&client.local().to_string()));
}

#[test]
fn winch_drains_the_worker() {
    let mut running = Running::start("");
    let worker = running.worker();
    let (client, server) = running.session();
    running.signal(Signal::WINCH);
    running.await_log("gracefully shutting down");
    assert!(is_alive(worker));
    await_some("title", || (command_line(worker) == "gatepost: worker process is shutting down").then_some(()));
    drop((client, server));
    await_some("end of the worker", || (!is_alive(worker)).then_some(()));
    assert!(!running.has_ended());
    assert!(TcpStream::connect(running.at).is_ok(), "the listening socket is the master's, and open");
    running.signal(Signal::QUIT);
    assert!(running.end().success());
}

#[test]
fn signals_to_the_worker() {
    let mut running = Running::start("");
    let worker = running.worker();
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH] {
        kill_process(worker, signal).unwrap();
    }
    let (client, server) = running.session();
    drop((client, server));
    assert_eq!(running.worker(), worker);
    running.signal(Signal::TERM);
    assert!(running.end().success());
    assert!(!running.log().contains("[alert]"), "{}", running.log());
}
