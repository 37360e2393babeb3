//! Where the error log goes: several files, standard error and syslog, in `mail` and for each server.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use crate::harness::{Conn, PATIENCE, Wire, differs};

/// A wire whose one IMAP server logs there.
fn wire(error_logs: &str) -> Wire {
    Wire::imap(error_logs)
}

/// Makes a line of level `info` and one of level `error`.
#[track_caller]
fn log_both(wire: &Wire) {
    let mut client = wire.client();
    client.send("a LOGIN u p\r\n");
    wire.backend.accept().send("* BYE busy\r\n").expect_close();
    client.expect("* BAD internal server error\r\n").expect_close();
}

/// What has been written to a file in the subject's directory.
fn written(wire: &Wire, name: &str) -> String {
    fs::read_to_string(wire.prefix().join(name)).unwrap()
}

const INFO: &str = "connected to";
const ERROR: &str = "upstream sent invalid response";

#[test]
fn several_files_at_once() {
    let wire = wire("error_log all.log info; error_log errors.log; error_log @prefix@/absolute.log warn;");
    log_both(&wire);
    let all = written(&wire, "all.log");
    assert!(all.contains(INFO) && all.contains(ERROR), "{all}");
    for name in ["errors.log", "absolute.log"] {
        let errors = written(&wire, name);
        assert!(!errors.contains(INFO) && errors.contains(ERROR), "{errors}");
    }
    assert!(!wire.log().contains(ERROR), "the server's logs take the place of the outer one");
}

#[test]
fn the_same_line_goes_to_all() {
    let wire = wire("error_log one.log; error_log two.log;");
    log_both(&wire);
    assert_eq!(written(&wire, "one.log"), written(&wire, "two.log"));
}

#[test]
fn each_server_has_its_own() {
    let wire = Wire::mail(
        "error_log mail.log info; server { listen @main@; protocol imap; }
         server { listen @own@; protocol imap; error_log own.log info; }",
    );
    let (inherited, mut own) = (wire.client(), Conn::connect(wire.place("own")));
    own.expect("* OK IMAP4 ready\r\n");
    let from = [inherited.local(), own.local()].map(|at| format!("client {at} connected to"));
    let (mail, own) = (written(&wire, "mail.log"), written(&wire, "own.log"));
    assert!(mail.contains(&from[0]) && !mail.contains(&from[1]), "{mail}");
    assert!(own.contains(&from[1]) && !own.contains(&from[0]), "{own}");
}

#[test]
fn standard_error() {
    let wire = wire("error_log stderr info;");
    log_both(&wire);
    assert!(written(&wire, "stderr").contains(ERROR));
}

#[test]
fn files_beside_standard_error() {
    let wire = wire("error_log stderr error; error_log beside.log info;");
    log_both(&wire);
    assert!(!written(&wire, "stderr").contains(INFO));
    assert!(written(&wire, "beside.log").contains(INFO));
}

/// Waits for the message of a syslog server that has that text, and checks its head and that it is the log's line.
#[track_caller]
fn expect_message(mut receive: impl FnMut(&mut [u8]) -> usize, head: &str, tag: &str, text: &str) {
    let mut buffer = [0; 4096];
    let message = loop {
        let length = receive(&mut buffer);
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.contains(text) {
            break message;
        }
    };
    let rest = message.strip_prefix(head).unwrap_or_else(|| panic!("no {head} at the beginning of {message:?}"));
    // `Nov 23 02:04:04 `, and the day may be ` 3`.
    let (time, rest) = rest.split_at(16);
    let punctuation: Vec<char> = [3, 6, 9, 12, 15].iter().map(|&at| char::from(time.as_bytes()[at])).collect();
    assert_eq!(punctuation, [' ', ' ', ':', ':', ' '], "{message:?}");
    let rest = rest.strip_prefix(tag).unwrap_or_else(|| panic!("no {tag:?} in {message:?}"));
    // The line is whole, with its own time.
    let (level, _) = rest[20..].strip_prefix('[').unwrap().split_once("] ").unwrap();
    assert!(["info", "error"].contains(&level), "{message:?}");
    assert!(!message.contains('\n'), "{message:?}");
}

fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().to_lowercase()
}

#[test]
fn syslog_over_udp() {
    let server = udp();
    let wire = wire(&format!("error_log syslog:server={} info;", server.local_addr().unwrap()));
    log_both(&wire);
    let tag = format!("{} {}: ", host(), differs("a program has its own name", "nginx", "gatepost"));
    // local7, and the level of the line.
    expect_message(|buffer| server.recv(buffer).unwrap(), "<190>", &tag, INFO);
    expect_message(|buffer| server.recv(buffer).unwrap(), "<187>", &tag, ERROR);
}

#[test]
fn syslog_with_facility_tag_and_no_host() {
    let server = udp();
    let at = server.local_addr().unwrap();
    let wire = wire(&format!("error_log syslog:server={at},facility=mail,tag=front1,nohostname info;"));
    log_both(&wire);
    expect_message(|buffer| server.recv(buffer).unwrap(), "<22>", "front1: ", INFO);
    expect_message(|buffer| server.recv(buffer).unwrap(), "<19>", "front1: ", ERROR);
}

#[test]
fn syslog_over_a_unix_socket_beside_a_file() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("log");
    let server = UnixDatagram::bind(&path).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let logs = format!("error_log syslog:server=unix:{},nohostname,tag=t info; error_log f.log;", path.display());
    let wire = wire(&logs);
    log_both(&wire);
    expect_message(|buffer| server.recv(buffer).unwrap(), "<190>", "t: ", INFO);
    expect_message(|buffer| server.recv(buffer).unwrap(), "<187>", "t: ", ERROR);
    assert!(written(&wire, "f.log").contains(ERROR));
}

#[test]
fn syslog_has_a_level_of_its_own() {
    let server = udp();
    let at = server.local_addr().unwrap();
    let wire = wire(&format!("error_log f.log info; error_log syslog:server={at},nohostname,tag=t error;"));
    log_both(&wire);
    let mut first = [0; 4096];
    let length = server.recv(&mut first).unwrap();
    let first = String::from_utf8_lossy(&first[..length]);
    assert!(first.contains(ERROR), "{first}");
}
