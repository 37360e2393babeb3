//! Another binary in place of the running one, sockets from systemd, and what systemd is told.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{PATIENCE, Subject};
use crate::running::{
    Running, await_some, await_some_in, command, command_line, free_address, is_alive, read, stop, write,
};

/// The number in the pid file once it is another.
#[track_caller]
fn successor(running: &Running) -> Pid {
    let old = running.master();
    await_some("new pid file", || {
        let number = read(&running.prefix().join("pid")).trim().parse().ok()?;
        Pid::from_raw(number).filter(|pid| *pid != old)
    })
}

/// Waits until it serves.
#[track_caller]
fn await_worker_of(running: &Running, master: Pid) {
    let pid = master.as_raw_nonzero();
    await_some("its worker", || {
        running.log().lines().find(|line| line.contains(&format!(" {pid}#{pid}: start worker process"))).map(drop)
    });
}

#[test]
fn up_and_back_and_up() {
    let mut running = Running::start("");
    let (mut client, mut server) = running.session();
    let (pid, oldbin) = (running.prefix().join("pid"), running.prefix().join("pid.oldbin"));
    running.signal(Signal::USR2);
    let new = successor(&running);
    await_some("title", || (command_line(new) == command_line(running.master())).then_some(()));
    assert_eq!(read(&oldbin).trim(), running.master().as_raw_nonzero().to_string());
    await_worker_of(&running, new);
    running.client();

    // The way back: the new one ends, the old one has its name again.
    kill_process(new, Signal::QUIT).unwrap();
    await_some("old name", || (!oldbin.exists() && pid.exists()).then_some(()));
    assert_eq!(read(&pid).trim(), running.master().as_raw_nonzero().to_string());
    running.client();

    running.signal(Signal::USR2);
    let new = successor(&running);
    await_worker_of(&running, new);
    running.signal(Signal::QUIT);
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
    drop((client, server));
    assert!(running.end().success());
    assert!(!oldbin.exists() && pid.exists());
    running.client();
    kill_process(new, Signal::TERM).unwrap();
    await_some("end", || (!pid.exists() && !is_alive(new)).then_some(()));
}

#[test]
fn what_the_new_binary_does_not_listen_on_any_more_is_still_there_for_the_old_one() {
    let running = Running::start("");
    let socket = running.prefix().join("socket");
    let both = format!("server {{ listen @at@; listen unix:{}; protocol imap; }}", socket.display());
    running.configure("", &both);
    running.reload_now();
    running.signal(Signal::USR2);
    let new = successor(&running);
    await_worker_of(&running, new);
    running.configure("", "server { listen @at@; protocol imap; }");
    running.reload_now();
    kill_process(new, Signal::QUIT).unwrap();
    await_some("end", || (!is_alive(new)).then_some(()));
    let mut greeting = [0; 4];
    std::os::unix::net::UnixStream::connect(&socket).unwrap().read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"* OK");
    // Where nobody else has it, it goes with the configuration.
    running.reload_now();
    assert!(!socket.exists());
}

#[test]
fn there_is_no_third_binary() {
    let mut running = Running::start("");
    let (pid, oldbin) = (running.prefix().join("pid"), running.prefix().join("pid.oldbin"));
    running.signal(Signal::USR2);
    let new = successor(&running);
    await_worker_of(&running, new);
    running.signal(Signal::USR2);
    running.await_log("the new binary is running already");
    kill_process(new, Signal::USR2).unwrap();
    running.await_log("the old binary is running still");
    assert_eq!(read(&oldbin).trim(), running.master().as_raw_nonzero().to_string());
    assert_eq!(read(&pid).trim(), new.as_raw_nonzero().to_string());
    running.signal(Signal::QUIT);
    assert!(running.end().success());

    // Now it may be followed by another.
    kill_process(new, Signal::USR2).unwrap();
    await_some("third", || (read(&oldbin).trim() == new.as_raw_nonzero().to_string()).then_some(()));
    let third = await_some("its pid file", || Pid::from_raw(read(&pid).trim().parse().ok()?));
    await_worker_of(&running, third);
    for master in [new, third] {
        stop(master);
    }
}

#[test]
fn a_new_binary_that_fails_leaves_the_old_one_as_it_was() {
    let running = Running::start("");
    running.configure("bogus;", "");
    running.signal(Signal::USR2);
    let line = running.await_log("new binary process");
    let line = if line.contains("start new") { running.await_log("exited with code 1") } else { line };
    assert!(line.contains("[alert]"), "{line}");
    await_some("old name", || (!running.prefix().join("pid.oldbin").exists()).then_some(()));
    assert_eq!(read(&running.prefix().join("pid")).trim(), running.master().as_raw_nonzero().to_string());
    running.session();
}

#[test]
fn where_the_new_binary_does_not_listen_nobody_waits() {
    let one = "server { listen @at@; protocol imap; }";
    let other = free_address();
    let mut running = Running::start_with("", &format!("{one} server {{ listen {other}; protocol pop3; }}"));
    running.configure("", one);
    running.signal(Signal::USR2);
    let new = successor(&running);
    await_worker_of(&running, new);
    running.signal(Signal::QUIT);
    assert!(running.end().success());
    assert_eq!(TcpStream::connect(other).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    running.client();
    kill_process(new, Signal::TERM).unwrap();
    await_some("end", || (!is_alive(new)).then_some(()));
}

#[test]
fn systemd_gives_sockets_and_is_told() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    let listener = std::net::TcpListener::bind(at).unwrap();
    write(prefix.path(), "daemon off;", "server { listen @at@; protocol imap; }", at, at);
    let ears = UnixDatagram::bind(prefix.path().join("notify")).unwrap();
    ears.set_read_timeout(Some(PATIENCE)).unwrap();
    // A shell puts the socket where systemd does, and its own number into the environment.
    let script = "exec 3<&0 </dev/null
        LISTEN_PID=$$ LISTEN_FDS=1 WATCHDOG_USEC=200000 exec \"$0\" -p \"$1\" -c test.conf -e error.log";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(Subject::current().path()).arg(prefix.path());
    shell.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    let mut child = shell.env("NOTIFY_SOCKET", prefix.path().join("notify")).spawn().unwrap();
    drop(shell);

    let hear = |expected: &str| hear(&ears, expected);
    assert_eq!(hear("READY=1"), format!("MAINPID={}\nREADY=1\n", child.id()));
    crate::harness::Conn::connect(at).expect("* OK IMAP4 ready\r\n");
    hear("WATCHDOG=1");
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    assert!(hear("RELOADING=1").contains("MONOTONIC_USEC="));
    // Names in the configuration may take their time to be found.
    assert_eq!(hear_next(&ears), "WATCHDOG_USEC=300000000\nWATCHDOG=1\n");
    assert_eq!(hear_next(&ears), "WATCHDOG_USEC=200000\nWATCHDOG=1\n");
    hear("READY=1");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    hear("STOPPING=1");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_socket_of_systemd_that_no_listen_names_is_closed_and_told_of() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = listener.local_addr().unwrap();
    write(prefix.path(), "daemon off;", "server { listen @at@; protocol imap; }", at, at);
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" -p \"$1\" -c test.conf -e error.log";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(Subject::current().path()).arg(prefix.path());
    shell.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    let mut child = shell.spawn().unwrap();
    drop(shell);
    let line = await_some_in(&prefix.path().join("error.log"), &format!("no \"listen\" names {other}"));
    assert!(line.contains("[warn]"), "{line}");
    await_some("end of listening", || std::net::TcpStream::connect(other).err());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn systemd_is_told_that_a_master_lives_that_waits_for_its_worker() {
    let ears_at = tempfile::tempdir().unwrap();
    let ears = UnixDatagram::bind(ears_at.path().join("notify")).unwrap();
    ears.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = [("NOTIFY_SOCKET", ears_at.path().join("notify").into_os_string()), ("WATCHDOG_USEC", "20000".into())];
    let mut running = Running::start_in("", "server { listen @at@; protocol imap; }", &told);
    let worker = running.worker();
    kill_process(worker, Signal::STOP).unwrap();
    running.signal(Signal::HUP);
    hear(&ears, "RELOADING=1");
    assert_eq!(hear_next(&ears), "WATCHDOG_USEC=300000000\nWATCHDOG=1\n");
    assert_eq!(hear_next(&ears), "WATCHDOG_USEC=20000\nWATCHDOG=1\n");
    for _ in 0..3 {
        assert_eq!(hear_next(&ears), "WATCHDOG=1\n");
    }
    // What else is asked of it waits, but for its end: that is not put off.
    running.signal(Signal::USR1);
    let begin = std::time::Instant::now();
    running.signal(Signal::TERM);
    assert!(running.end().success());
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
    running.await_log("it is shutting down");
}

/// The next that systemd is told with that word in it.
#[track_caller]
fn hear(ears: &UnixDatagram, expected: &str) -> String {
    loop {
        let heard = hear_next(ears);
        if heard.contains(expected) {
            return heard;
        }
    }
}

#[track_caller]
fn hear_next(ears: &UnixDatagram) -> String {
    let mut heard = [0; 256];
    let length = ears.recv(&mut heard).unwrap();
    String::from_utf8_lossy(&heard[..length]).into_owned()
}

/// systemd gives who says STOPPING a minute and a half, and then kills.
#[test]
fn systemd_does_not_wait_for_an_end_while_there_are_sessions() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "daemon off;", "server { listen @at@; protocol imap; }", at, at);
    let ears = UnixDatagram::bind(prefix.path().join("notify")).unwrap();
    ears.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut gatepost = command(prefix.path()).env("NOTIFY_SOCKET", prefix.path().join("notify")).spawn().unwrap();
    hear(&ears, "READY=1");
    let mut client = crate::harness::Conn::connect(at);
    client.expect("* OK IMAP4 ready\r\n");
    kill_process(Pid::from_child(&gatepost), Signal::QUIT).unwrap();
    assert_eq!(hear_next(&ears), "STATUS=Accepts nothing more, and ends with the last session\n");
    await_some_in(&prefix.path().join("error.log"), "gracefully shutting down");
    client.ask("a NOOP\r\n", "a OK completed\r\n");
    drop(client);
    assert_eq!(hear_next(&ears), "STOPPING=1\n");
    assert!(gatepost.wait().unwrap().success());
}

#[test]
fn systemd_is_told_who_goes_on() {
    let prefix = tempfile::tempdir().unwrap();
    let at = free_address();
    write(prefix.path(), "daemon off;", "server { listen @at@; protocol imap; }", at, at);
    let ears = UnixDatagram::bind(prefix.path().join("notify")).unwrap();
    ears.set_read_timeout(Some(PATIENCE)).unwrap();
    let script = "WATCHDOG_PID=$$ WATCHDOG_USEC=200000 exec \"$0\" -p \"$1\" -c test.conf -e error.log";
    let mut old = Command::new("sh");
    old.args(["-c", script]).arg(Subject::current().path()).arg(prefix.path());
    let mut old = old.env("NOTIFY_SOCKET", prefix.path().join("notify")).spawn().unwrap();
    hear(&ears, "READY=1");
    let pid = Pid::from_child(&old);
    kill_process(pid, Signal::USR2).unwrap();
    let log = prefix.path().join("error.log");
    let line = await_some_in(&log, "start new binary process");
    let new: i32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    hear(&ears, &format!("MAINPID={new}\nREADY=1\n"));

    // The service does not stop: another process is the main one.
    kill_process(pid, Signal::QUIT).unwrap();
    let mut told = hear_next(&ears);
    while told == "WATCHDOG=1\n" {
        told = hear_next(&ears);
    }
    assert_eq!(told, format!("MAINPID={new}\n"));
    assert!(old.wait().unwrap().success());
    // It lives, and says so.
    for _ in 0..3 {
        assert_eq!(hear_next(&ears), "WATCHDOG=1\n");
    }
    let new = Pid::from_raw(new).unwrap();
    kill_process(new, Signal::TERM).unwrap();
    hear(&ears, "STOPPING=1");
    await_some("end", || (!is_alive(new)).then_some(()));
}
