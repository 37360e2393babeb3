//! A new configuration in place: nobody is refused, nobody is dropped, and a bad one changes nothing.

use std::collections::VecDeque;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Backend, Conn, PATIENCE, Wanted, tls};
use crate::running::{Running, await_some, command, command_line, free_address, session};

const ONE: &str = "server { listen @at@; protocol imap; }";

#[track_caller]
fn refused_reload(running: &Running, message: &str) {
    let output = running.call(&["-s", "reload"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(message), "{said}");
}

#[test]
fn listeners_come_and_go_and_sessions_stay() {
    let running = Running::start("");
    let worker = running.worker();
    let (mut client, mut server) = running.session();
    let other = free_address();
    running.configure("", &format!("{ONE} server {{ listen {other}; protocol pop3; }}"));
    running.reload_now();
    Conn::connect(other).expect("+OK POP3 ready\r\n");
    running.client();
    running.configure("", &format!("server {{ listen {other}; protocol smtp; server_name mx; }}"));
    running.reload_now();
    Conn::connect(other).expect("220 mx ESMTP ready\r\n");
    await_some("end of listening", || TcpStream::connect(running.at).err());
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
    assert_eq!(running.worker(), worker);
}

#[test]
fn logs_with_more_in_their_names_than_fits_a_packet() {
    let running = Running::start("");
    let worker = running.worker();
    let (mut client, mut server) = running.session();
    let logs: String = (0..400).map(|number| format!("error_log {number:0200}.log;")).collect();
    running.configure("", &format!("server {{ listen @at@; protocol imap; {logs} }}"));
    running.reload_now();
    running.client();
    client.send("b NOOP\r\n");
    server.expect("b NOOP\r\n");
    assert_eq!(running.worker(), worker);
}

#[test]
fn nobody_keeps_a_log_that_is_no_more_in_the_configuration() {
    let running = Running::start("");
    let path = running.prefix().join("test.conf");
    let other = fs::read_to_string(&path).unwrap().replace("error.log", "other.log");
    fs::write(&path, other).unwrap();
    running.reload_now();
    let is_open = |pid: Pid| {
        let open = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap();
        let places: Vec<_> = open.flatten().filter_map(|one| fs::read_link(one.path()).ok()).collect();
        assert!(places.iter().any(|place| place.ends_with("other.log")), "{places:?}");
        places.iter().any(|place| place.ends_with("error.log"))
    };
    for pid in [running.master(), running.worker()] {
        await_some("end of the old log", || (!is_open(pid)).then_some(()));
    }
}

#[test]
fn connections_are_counted_on_by_a_new_configuration() {
    let limited = |most: u32| {
        format!(
            "limit_conn_zone $remote_addr zone=one:1m; limit_conn one {most}; server {{ listen @at@; protocol imap; }}"
        )
    };
    let running = Running::start_with("", &limited(3));
    let (client, server) = running.session();
    running.configure("", &limited(2));
    running.reload_now();
    let _second = await_some("place", || {
        let mut client = Conn::connect(running.at);
        (client.line() == "* OK IMAP4 ready\r\n").then_some(client)
    });
    let mut third = Conn::connect(running.at);
    third.expect("* BYE [UNAVAILABLE] Too many connections\r\n").expect_close();
    // What the old configuration counted is given back.
    drop((client, server));
    await_some("place", || (Conn::connect(running.at).line() == "* OK IMAP4 ready\r\n").then_some(()));
}

#[test]
fn failed_logins_are_not_forgotten() {
    let limited = |refuse: u32| {
        format!(
            "limit_login_exempt off; limit_login address delay=off refuse={refuse};
             server {{ listen @at@; protocol imap; auth_users_file users; }}"
        )
    };
    let running = Running::start_with("", &limited(3));
    let failure = "a NO Invalid login or password\r\n";
    running.client().ask("a LOGIN x p\r\n", failure).ask("a LOGIN x p\r\n", failure);
    running.configure("", &limited(2));
    running.reload_now();
    let refusal = "* BYE [UNAVAILABLE] Too many failed logins, try again later\r\n";
    running.client().ask("a LOGIN x p\r\n", refusal).expect_close();
}

#[test]
fn users_are_read_with_the_rights_of_the_master() {
    let users = "server { auth_users_file users; listen @at@; protocol imap; }";
    let running = Running::start_with("", users);
    running.client().ask("a LOGIN new p\r\n", "a NO Invalid login or password\r\n");
    let file = running.prefix().join("users");
    fs::write(file, format!("new:{{PLAIN}}p:{}\n", running.backend.address())).unwrap();
    running.reload_now();
    let mut client = running.client();
    client.send("a LOGIN new p\r\n");
    running.backend.accept().send("* OK\r\n").expect("a LOGIN {3}\r\n");
}

#[test]
fn certificates_and_keys_that_only_root_may_read() {
    let running = Running::start("");
    let at = free_address();
    let tls = format!("server {{ listen {at} ssl; protocol imap; ssl_certificate m.crt; ssl_certificate_key m.key; }}");
    running.configure("", &format!("{ONE} {tls}"));
    for _ in 0..2 {
        let identity = Wanted::new("mail.example").alone();
        for (name, content) in identity.files("m") {
            let path = running.prefix().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        running.reload_now();
        let client = tls::Client::new().trusting(&identity).name("mail.example");
        Conn::connect(at).tls(client).expect("* OK IMAP4 ready\r\n");
    }
}

#[test]
fn everybody_who_asks_at_once_has_an_answer() {
    let running = Running::start("");
    running.signal(Signal::STOP);
    let questions: Vec<_> = (0..5).map(|_| ask_for_reload(&running)).collect();
    running.signal(Signal::CONT);
    questions.iter().for_each(hear_of_reload);
}

#[test]
fn a_bad_configuration_changes_nothing() {
    let running = Running::start("");
    running.configure("bogus;", ONE);
    refused_reload(&running, "unknown directive \"bogus\"");
    running.signal(Signal::HUP);
    let line = running.await_log("unknown directive \"bogus\"");
    assert!(line.contains("[emerg]"), "{line}");
    running.await_log("the configuration stays as it is");
    running.client();

    running.configure("", "server { auth_users_file none; listen @at@; protocol imap; }");
    refused_reload(&running, "none\" failed (2: No such file or directory)");
    running.session();
}

#[test]
fn a_configuration_that_was_cut_off_changes_nothing() {
    let running = Running::start("");
    let path = running.prefix().join("test.conf");
    let whole = fs::read_to_string(&path).unwrap();
    for (count, length) in (1..).zip([0, whole.find("mail").unwrap()]) {
        fs::write(&path, &whole[..length]).unwrap();
        running.signal(Signal::HUP);
        let refusal = "no \"mail\" section in configuration";
        await_some("refusal", || (running.log().matches(refusal).count() == count).then_some(()));
        running.session();
    }
}

#[test]
fn a_listener_that_cannot_be_opened_changes_nothing() {
    let running = Running::start("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = taken.local_addr().unwrap();
    running.configure("", &format!("server {{ listen {other}; protocol pop3; }}"));
    let why = format!("bind() to {other} failed (98: Address already in use)");
    refused_reload(&running, &why);
    assert_eq!(running.log().matches(&why).count(), 2, "by the master, and by who asked: {}", running.log());
    running.await_log("the listening sockets of the new configuration cannot be opened");
    running.session();
}

#[test]
fn a_listener_that_can_be_opened_at_last_is() {
    let running = Running::start("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = taken.local_addr().unwrap();
    running.configure("", &format!("{ONE} server {{ listen {other}; protocol pop3; }}"));
    running.signal(Signal::HUP);
    running.await_log("try again to bind() after 500ms");
    drop(taken);
    running.await_log("the new configuration is in force");
    Conn::connect(other).expect("+OK POP3 ready\r\n");
    // Why it took its time.
    let why = format!("bind() to {other} failed (98: Address already in use)");
    assert_eq!(running.log().matches(&why).count(), 1, "{}", running.log());
}

#[test]
fn of_listeners_that_cannot_all_be_opened_no_file_is_left() {
    let running = Running::start("");
    let (first, second) = (running.prefix().join("socket"), running.prefix().join("none/socket"));
    let listen = format!("listen unix:{}; listen unix:{};", first.display(), second.display());
    running.configure("", &format!("{ONE} server {{ {listen} protocol pop3; }}"));
    running.signal(Signal::HUP);
    running.await_log("the configuration stays as it is");
    assert!(running.log().contains("none/socket failed (2: No such file or directory)"), "{}", running.log());
    assert!(!first.exists());
    running.session();
}

#[test]
fn nobody_else_tells_what_came_of_a_reload() {
    let running = Running::start("");
    running.signal(Signal::STOP);
    let mut call = command(running.prefix());
    let caller = call.args(["-s", "reload"]).stderr(Stdio::piped()).spawn().unwrap();
    let place = await_some("place of the answer", || place_of_answer(caller.id()));
    running.configure("bogus;", ONE);
    UnixDatagram::unbound().unwrap().send_to_addr(&[0], &place).unwrap();
    running.signal(Signal::CONT);
    let output = caller.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("unknown directive \"bogus\""), "{said}");
}

/// Where a caller waits, as everybody can see it.
fn place_of_answer(caller: u32) -> Option<UnixAddress> {
    let open = fs::read_dir(format!("/proc/{caller}/fd")).ok()?;
    let open: Vec<_> = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect();
    let table = fs::read_to_string("/proc/net/unix").ok()?;
    let name = table.lines().find_map(|line| {
        let (socket, name) = line.split_once(" @")?;
        let inode = socket.split_whitespace().last()?;
        open.iter().any(|place| place.as_os_str() == &*format!("socket:[{inode}]")).then_some(name)
    });
    UnixAddress::from_abstract_name(name?).ok()
}

#[test]
fn sessions_of_a_superseded_configuration_have_their_time() {
    let running = Running::start("worker_shutdown_timeout 300ms;");
    let (mut old, _old_server) = running.session();
    let mut newcomer = running.client();
    running.reload_now();
    let (mut new, mut new_server) = running.session();
    old.expect_close();
    newcomer.expect_close();
    let line = running.await_log("shutdown timeout while proxying");
    assert!(line.contains("[info]"), "{line}");
    new.send("b NOOP\r\n");
    new_server.expect("b NOOP\r\n");
}

#[test]
fn hup_brings_a_drained_worker_back() {
    let running = Running::start("");
    let worker = running.worker();
    let (client, server) = running.session();
    running.signal(Signal::WINCH);
    running.await_log("gracefully shutting down");
    running.reload_now();
    running.client();
    assert_eq!((running.worker(), command_line(worker).as_str()), (worker, "gatepost: worker process"));
    running.signal(Signal::WINCH);
    drop((client, server));
    running.await_log("exited with code 0");
    running.reload_now();
    running.client();
    assert_ne!(running.worker(), worker);
}

/// The worker is told to end with its last session, has none, and is gone before it hears of the configuration.
#[test]
fn hup_while_a_drained_worker_ends() {
    let running = Running::start("");
    let worker = running.worker();
    kill_process(worker, Signal::STOP).unwrap();
    running.signal(Signal::WINCH);
    running.await_log("signal 28");
    let reload = command(running.prefix()).args(["-s", "reload"]).spawn().unwrap();
    running.await_log("reconfiguring");
    kill_process(worker, Signal::CONT).unwrap();
    let output = reload.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", running.log());
    running.client();
    assert_ne!(running.worker(), worker);
}

#[test]
fn the_pid_file_moves() {
    let mut running = Running::start("");
    let (old, new) = (running.prefix().join("pid"), running.prefix().join("other.pid"));
    let number = fs::read_to_string(&old).unwrap();
    running.configure("pid other.pid;", ONE);
    running.signal(Signal::HUP);
    await_some("new pid file", || (fs::read_to_string(&new).ok()? == number && !old.exists()).then_some(()));
    assert!(running.call(&["-s", "stop"]).status.success());
    assert!(running.end().success());
    assert!(!new.exists());
}

#[test]
fn what_only_another_worker_can_have_is_told() {
    let running = Running::start("");
    let worker = running.worker();
    running.configure("env LANG=nobody; working_directory /; worker_cpu_affinity 1; sandbox off;", ONE);
    running.reload_now();
    for name in ["env", "working_directory", "worker_cpu_affinity", "sandbox"] {
        let line = running.await_log(&format!("a new \"{name}\" is for the next worker process"));
        assert!(line.contains("[warn]"), "{line}");
    }
    assert_eq!(running.worker(), worker);
}

#[test]
fn threads_and_connections_change() {
    let running = Running::start("worker_processes 3; events { worker_connections 64; }");
    let mut sessions: Vec<_> = (0..4).map(|_| running.session()).collect();
    running.configure("worker_processes 1; events { worker_connections 512; }", ONE);
    running.reload_now();
    sessions.push(running.session());
    for (client, server) in &mut sessions {
        client.send("b NOOP\r\n");
        server.expect("b NOOP\r\n");
    }
    drop(sessions);
    let threads = || fs::read_dir(format!("/proc/{}/task", running.worker().as_raw_nonzero())).unwrap().count();
    await_some("end of the other threads", || (threads() <= 2).then_some(()));
}

/// How many reloads; with `QUICK=1` a tenth of it.
const RELOADS: usize = 1000;

/// How many sessions of older configurations there are at any time.
const OLD_SESSIONS: usize = 20;

#[test]
fn a_thousand_reloads_under_load() {
    let running = Running::start("events { worker_connections 1024; } error_log error.log error;");
    let reloads = if std::env::var_os("QUICK").is_some() { RELOADS / 10 } else { RELOADS };
    let (master, worker) = (running.master(), running.worker());
    let first_session = running.session();
    let (at, backend) = (running.at, &running.backend);
    let over = &AtomicBool::new(false);
    let begun = Instant::now();
    let (greeted, logged_in, first) = std::thread::scope(|scope| {
        let newcomers = scope.spawn(move || count_while_not(over, || newcomer(at)));
        let mut sessions = VecDeque::from([first_session]);
        let users = scope.spawn(move || count_while_not(over, || old_and_new_session(&mut sessions, at, backend)));
        let end = End(over);
        let mut first = None;
        for number in 0..reloads {
            reload_by_signal(&running);
            if number == reloads / 10 {
                first = Some([resources(master), resources(worker)]);
            }
        }
        drop(end);
        (newcomers.join().unwrap(), users.join().unwrap(), first.unwrap())
    });
    let last = [resources(master), resources(worker)];
    println!(
        "{reloads} reloads in {:?}, {greeted} newcomers, {logged_in} sessions, {first:?} {last:?}",
        begun.elapsed()
    );
    for ((kilobytes, descriptors), (more_kilobytes, more_descriptors)) in first.into_iter().zip(last) {
        assert!(more_kilobytes < kilobytes + 2048, "{kilobytes} KB became {more_kilobytes}");
        assert!(more_descriptors < descriptors + 10, "{descriptors} descriptors became {more_descriptors}");
    }
    assert_eq!((running.worker(), running.log().as_str()), (worker, ""));
    assert!(greeted > reloads && logged_in > reloads, "{greeted} newcomers, {logged_in} sessions");
}

/// Ends the load, also where the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does something again and again, and counts.
fn count_while_not(over: &AtomicBool, what: impl FnMut()) -> usize {
    std::iter::repeat_with(what).take_while(|()| !over.load(Ordering::Relaxed)).count()
}

/// Nothing but what it should hear.
fn newcomer(at: SocketAddr) {
    let mut client = Conn::connect(at);
    client.expect("* OK IMAP4 ready\r\n").ask("a LOGOUT\r\n", "* BYE\r\na OK completed\r\n");
    client.expect_close();
}

/// Another user logs in, and the one who has been there for the longest time is still served before it goes.
fn old_and_new_session(sessions: &mut VecDeque<(Conn, Conn)>, at: SocketAddr, backend: &Backend) {
    sessions.push_back(session(at, backend));
    if sessions.len() > OLD_SESSIONS {
        let (mut client, mut server) = sessions.pop_front().unwrap();
        client.send("b NOOP\r\n");
        server.expect("b NOOP\r\n").send("b OK\r\n");
        client.expect("b OK\r\n");
        drop(client);
        server.expect_close();
    }
}

/// What `-s reload` does besides trying the configuration: a signal with a number, an answer to that number.
fn reload_by_signal(running: &Running) {
    hear_of_reload(&ask_for_reload(running));
}

/// Where the answer comes.
fn ask_for_reload(running: &Running) -> UnixDatagram {
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    let number = std::process::id() as usize * 4096 + NUMBER.fetch_add(1, Ordering::Relaxed);
    let number = number & 0xffff_ffff;
    let place = UnixAddress::from_abstract_name(format!("gatepost-reload-{number:08x}")).unwrap();
    let socket = UnixDatagram::bind_addr(&place).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut(number) };
    // SAFETY: the value is a number for whoever gets it.
    assert_eq!(unsafe { libc::sigqueue(running.master().as_raw_nonzero().get(), libc::SIGRTMIN(), value) }, 0);
    socket
}

fn hear_of_reload(socket: &UnixDatagram) {
    let mut answer = [0; 1024];
    let length = socket.recv(&mut answer).unwrap();
    assert_eq!(&answer[..length], [0], "{}", String::from_utf8_lossy(&answer[..length]));
}

/// Memory in KB, and open descriptors.
fn resources(pid: Pid) -> (usize, usize) {
    let pid = pid.as_raw_nonzero();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kilobytes = line.split_whitespace().next().unwrap().parse().unwrap();
    (kilobytes, fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}
