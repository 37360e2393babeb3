//! `master_process off`: one process that serves by itself.

use std::net::TcpStream;

use rustix::process::Signal;

use crate::running::{Running, await_some, await_some_in, children, command_line, read, status};

#[test]
fn it_is_one_process_with_the_rights_it_was_started_with() {
    let running = Running::start("master_process off;");
    running.session();
    assert!(children(running.master()).is_empty());
    assert!(!command_line(running.master()).starts_with("gatepost: "), "{}", command_line(running.master()));
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(status(running.master(), "Uid"), format!("{uid} {uid} {uid} {uid}"));
    assert_eq!(status(running.master(), "Seccomp"), "0");
    let pid = read(&running.prefix().join("pid"));
    assert_eq!(pid.trim(), running.master().as_raw_nonzero().to_string());
}

#[test]
fn term_and_int_end_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = Running::start("master_process off;");
        let (mut client, _server) = running.session();
        running.signal(signal);
        assert!(running.end().success());
        client.expect_close();
        assert!(!running.prefix().join("pid").exists());
    }
}

#[test]
fn quit_waits_for_the_sessions() {
    let mut running = Running::start("master_process off;");
    let (mut client, mut server) = running.session();
    running.signal(Signal::QUIT);
    await_some("end of listening", || TcpStream::connect(running.at).err());
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
    drop((client, server));
    assert!(running.end().success());
}

#[test]
fn usr1_opens_logs_anew_and_the_others_do_nothing() {
    let running = Running::start("master_process off;");
    for signal in [Signal::USR2, Signal::WINCH, Signal::HUP] {
        running.signal(signal);
    }
    let line = running.await_log("with \"master_process off\" the configuration stays as it is");
    assert!(line.contains("[error]"), "{line}");
    running.session();
    let (log, old) = (running.prefix().join("error.log"), running.prefix().join("old.log"));
    std::fs::rename(&log, &old).unwrap();
    running.signal(Signal::USR1);
    await_some("new log", || log.exists().then_some(()));
    let client = running.client();
    await_some_in(&log, &format!("client {} connected", client.local()));
}
