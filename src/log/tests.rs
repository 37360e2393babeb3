#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use super::*;

fn file(path: &Path, level: Level) -> Spec {
    Spec { destination: Destination::File(path.to_path_buf()), level }
}

fn syslog(server: Address, nohostname: bool) -> Spec {
    let syslog = Syslog { server, facility: 23, tag: "nginx".to_string(), nohostname };
    Spec { destination: Destination::Syslog(syslog), level: Level::Info }
}

/// The messages of the lines in a file.
fn messages(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split_once(": ").unwrap().1.to_string()).collect()
}

#[test]
fn a_line_goes_to_every_target_that_admits_it() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let log = Logs::default().open(&[file(&one, Level::Info), file(&two, Level::Error)]).unwrap();
    assert!(log.enabled(Level::Info) && !log.enabled(Level::Debug));
    log.write(Level::Debug, None, format_args!("debug"));
    log.write(Level::Info, Some(3), format_args!("info"));
    log.write(Level::Error, Some(3), format_args!("error"));
    assert_eq!(messages(&one), ["*3 info", "*3 error"]);
    assert_eq!(messages(&two), ["*3 error"]);
    assert_eq!(fs::metadata(&one).unwrap().permissions().mode() & 0o133, 0, "0644 without the umask");
}

#[test]
fn a_log_written_while_a_line_is_spelt() {
    struct Nested<'a>(&'a Log);
    impl fmt::Display for Nested<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.write(Level::Info, None, format_args!("inner"));
            f.write_str("outer")
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = Logs::default().open(&[file(&path, Level::Info)]).unwrap();
    log.write(Level::Info, None, format_args!("{}", Nested(&log)));
    assert_eq!(messages(&path), ["inner", "outer"]);
}

#[test]
fn a_file_is_opened_once_and_reopened_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
    let logs = Logs::default();
    let (first, second) =
        (logs.open(&[file(&path, Level::Info)]).unwrap(), logs.open(&[file(&path, Level::Warn)]).unwrap());
    assert!(Arc::ptr_eq(&first.targets[0].sink, &second.targets[0].sink));
    fs::rename(&path, &old).unwrap();
    first.write(Level::Info, None, format_args!("before"));
    assert!(logs.reopen().is_empty());
    first.write(Level::Info, None, format_args!("after"));
    second.write(Level::Warn, None, format_args!("after too"));
    assert_eq!(messages(&old), ["before"]);
    assert_eq!(messages(&path), ["after", "after too"]);
}

#[test]
fn a_file_that_cannot_be_opened_is_told_as_nginx_does() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::default();
    let path = dir.path().join("none/log");
    let expected = format!("open() \"{}\" failed (2: No such file or directory)", path.display());
    assert_eq!(logs.open(&[file(&path, Level::Info)]).unwrap_err().to_string(), expected);

    fs::create_dir(path.parent().unwrap()).unwrap();
    let log = logs.open(&[file(&path, Level::Info)]).unwrap();
    let moved = dir.path().join("moved");
    fs::rename(path.parent().unwrap(), &moved).unwrap();
    assert_eq!(logs.reopen().into_iter().map(|error| error.to_string()).collect::<Vec<_>>(), [expected]);
    log.write(Level::Info, None, format_args!("still here"));
    assert_eq!(messages(&moved.join("log")), ["still here"]);
}

#[test]
fn a_full_disk_is_told_once_to_the_other_logs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = Logs::default().open(&[file(Path::new("/dev/full"), Level::Info), file(&path, Level::Alert)]).unwrap();
    log.write(Level::Info, None, format_args!("lost"));
    log.write(Level::Info, None, format_args!("lost too"));
    let complaint = "write() to \"/dev/full\" failed (28: No space left on device), lines are lost";
    assert_eq!(messages(&path), [complaint]);
}

#[test]
fn syslog_over_udp() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let address = Address::Ip(server.local_addr().unwrap());
    let log = Logs::default().open(&[syslog(address, false)]).unwrap();
    log.write(Level::Error, Some(5), format_args!("no"));
    let mut buffer = [0; 4096];
    let size = server.recv(&mut buffer).unwrap();
    let text = String::from_utf8(buffer[..size].to_vec()).unwrap();
    // <187>Nov 23 02:04:04 host nginx: 2026/11/23 02:04:04 [error] 1#1: *5 no
    let host = rustix::system::uname().nodename().to_str().unwrap().to_lowercase();
    assert!(text.starts_with("<187>"), "{text}");
    assert!(text[20..].starts_with(&format!(" {host} nginx: 2")), "{text}");
    assert!(text.contains(" [error] ") && text.ends_with(": *5 no"), "{text}");
}

#[test]
fn syslog_over_a_unix_socket_that_comes_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, path) = (dir.path().join("socket"), dir.path().join("log"));
    let log = Logs::default().open(&[syslog(Address::Unix(socket.clone()), true), file(&path, Level::Info)]).unwrap();
    let receive = |server: &UnixDatagram| {
        let mut buffer = [0; 4096];
        let size = server.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..size].to_vec()).unwrap()
    };
    log.write(Level::Info, None, format_args!("lost"));
    log.write(Level::Info, None, format_args!("lost too"));
    let server = UnixDatagram::bind(&socket).unwrap();
    log.write(Level::Info, None, format_args!("first"));
    let text = receive(&server);
    assert!(text.starts_with("<190>") && text[20..].starts_with(" nginx: 2") && text.ends_with(": first"), "{text}");

    drop(server);
    fs::remove_file(&socket).unwrap();
    let server = UnixDatagram::bind(&socket).unwrap();
    log.write(Level::Info, None, format_args!("second"));
    assert!(receive(&server).ends_with(": second"));

    let complaint = format!(
        "connect() failed (2: No such file or directory) while logging to syslog, server: unix:{}",
        socket.display()
    );
    assert_eq!(messages(&path), ["lost", &complaint, "lost too", "first", "second"]);
}

#[test]
fn a_syslog_server_that_does_not_read_delays_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let _server = UnixDatagram::bind(&socket).unwrap();
    let log = Logs::default().open(&[syslog(Address::Unix(socket), true)]).unwrap();
    for _ in 0..2000 {
        log.write(Level::Info, None, format_args!("{}", "x".repeat(1000)));
    }
}
