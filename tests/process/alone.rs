//! `master_process off`: one process that serves by itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::harness::{PATIENCE, Wanted, tls};
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
    assert!(running.call(&["-s", "quit"]).status.success());
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

#[test]
fn a_reload_is_refused_with_the_reason() {
    let running = Running::start("master_process off;");
    // Whatever the file says by now.
    running.configure("", "server { listen @at@; protocol imap; }");
    let output = running.call(&["-s", "reload"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("with \"master_process off\" the configuration stays"), "{said}");
    running.session();
}

/// What the library for TLS has for everybody must not go away under the hands of the threads.
#[test]
fn it_ends_in_the_middle_of_handshakes() {
    let files = tempfile::tempdir().unwrap();
    for (name, content) in Wanted::new("mail.test").alone().files("m") {
        std::fs::write(files.path().join(name), content).unwrap();
    }
    let at = files.path().join("m").display().to_string();
    let server = format!(
        "server {{ listen @at@; protocol imap; starttls on; ssl_certificate {at}.crt; ssl_certificate_key {at}.key; }}"
    );
    for _ in 0..8 {
        let mut running = Running::start_with("master_process off; worker_processes 4;", &server);
        let (over, handshakes) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            for _ in 0..12 {
                threads.spawn(|| {
                    while !over.load(Ordering::Relaxed)
                        && let Ok(stream) = TcpStream::connect(running.at)
                        && shake_hands(stream).is_some()
                    {
                        handshakes.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            await_some("handshakes", || (handshakes.load(Ordering::Relaxed) > 100).then_some(()));
            running.signal(Signal::TERM);
            over.store(true, Ordering::Relaxed);
        });
        let status = running.end();
        assert!(status.success(), "{status}");
    }
}

/// None when the server is gone.
fn shake_hands(mut stream: TcpStream) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"a STARTTLS\r\n").ok()?;
    let mut said = [0; 64];
    let mut length = 0;
    while !said[..length].ends_with(b"a OK completed\r\n") {
        length += stream.read(&mut said[length..]).ok().filter(|count| *count > 0)?;
    }
    tls::Client::new().ssl().connect(stream).ok().map(drop)
}
