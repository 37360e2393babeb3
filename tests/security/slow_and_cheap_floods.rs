//! Clients that cost them little and us much: slow ones, and floods of commands that do nothing (CVE-2025-59028, Dovecot).
//!
//! While as many clients as the machine has descriptors for, up to 10,000, say a byte in ten seconds, and others flood,
//! users log in as before. `login_timeout` ends the slow, `max_commands` the fast.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::harness::{Auth, Backend, Conn, PATIENCE, Proxy, Subject, raise_descriptors};

/// The slow clients, if there are descriptors for them: the proxy needs one for each, and the test too. Where tests are
/// threads of one process, half of the descriptors are for the others.
const SLOW: usize = 10_000;

/// How often each says something, and after what time it must leave.
const SLOWNESS: Duration = Duration::from_secs(10);
const LOGIN_TIMEOUT: Duration = Duration::from_secs(20);

const LOGINS: usize = 200;

/// What the 99th of a hundred logins may take with all that going on, on a machine that has other things to do: so many
/// times what it took before, and this in any case.
const TIMES: u32 = 20;
const P99: Duration = Duration::from_millis(500);

#[test]
fn others_log_in_as_before() {
    if Subject::is_nginx() {
        return;
    }
    let descriptors = raise_descriptors();
    let slow = SLOW.min(descriptors / 2);
    let backend = Backend::new();
    let auth = Auth::start(backend.address());
    let conf = format!(
        "error_log error.log warn; pid pid; worker_processes 2; worker_rlimit_nofile {};
        events {{ worker_connections {}; }}
        mail {{ auth_http @auth@;
            server {{ listen @main@; protocol imap; }} server {{ listen @slow@; protocol pop3; login_timeout {}s; }} }}",
        descriptors.min(slow + 400),
        slow + 300,
        LOGIN_TIMEOUT.as_secs()
    );
    let proxy = Proxy::start(&[], &conf, &[("auth", auth.address())]);
    let (main, slow_place) = (proxy.place("main"), proxy.place("slow"));
    let quiet = logins(main, &backend);
    let begun = Instant::now();
    let crowd: Vec<_> = (0..slow).map(|_| greeted(slow_place)).collect();
    let (over, flooded) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (flooded_logins, mut alive) = scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| flood(main, &over, &flooded));
        }
        let talk = scope.spawn(|| murmur(crowd, &over));
        let logins = logins(main, &backend);
        over.store(true, Ordering::Relaxed);
        (logins, talk.join().unwrap())
    });
    println!(
        "p99 of {LOGINS} logins: {:?} alone, {:?} beside {slow} slow clients and {} floods of NOOP",
        p99(&quiet),
        p99(&flooded_logins),
        flooded.load(Ordering::Relaxed)
    );
    assert!(flooded.load(Ordering::Relaxed) > 0);
    let most = P99.max(p99(&quiet) * TIMES);
    assert!(p99(&flooded_logins) < most, "{:?}, not less than {most:?}", p99(&flooded_logins));
    // All have been there meanwhile, unless the machine is so slow that the time of the first was over.
    if begun.elapsed() < LOGIN_TIMEOUT {
        assert_eq!(alive.len(), slow, "have gone before their time");
    }
    // They come to their end.
    let start = Instant::now();
    while !alive.is_empty() {
        alive.retain_mut(|stream| !has_ended(stream));
        assert!(start.elapsed() < LOGIN_TIMEOUT + PATIENCE, "{} are still there", alive.len());
        sleep(Duration::from_millis(50));
    }
}

/// How long each of many users takes to log in, one after the other.
fn logins(to: SocketAddr, backend: &Backend) -> Vec<Duration> {
    (0..LOGINS).map(|_| login(to, backend)).collect()
}

fn login(to: SocketAddr, backend: &Backend) -> Duration {
    let start = Instant::now();
    let mut client = Conn::connect(to);
    client.expect("* OK IMAP4 ready\r\n").send("t LOGIN u p\r\n");
    let mut server = backend.accept();
    server.send("* OK ready\r\n").expect("t LOGIN {1}\r\n");
    server.send("+ go\r\n").expect("u {1}\r\n");
    server.send("+ go\r\n").expect("p\r\n");
    server.send("t OK in\r\n");
    client.expect("t OK in\r\n");
    start.elapsed()
}

fn p99(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() * 99 / 100]
}

/// A slow client that has a session.
fn greeted(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = [0; b"+OK POP3 ready\r\n".len()];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"+OK POP3 ready\r\n");
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Each says a byte of a command in [`SLOWNESS`], in turn. Gives those that are still there.
fn murmur(mut crowd: Vec<TcpStream>, over: &AtomicBool) -> Vec<TcpStream> {
    let mut next = 0;
    let pause = SLOWNESS / u32::try_from(crowd.len()).unwrap().max(1) * 10;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..10 {
            let _ = crowd[next].write(b"x");
            next = (next + 1) % crowd.len();
        }
        sleep(pause);
    }
    crowd.retain_mut(|stream| !has_ended(stream));
    crowd
}

fn has_ended(stream: &mut TcpStream) -> bool {
    let mut chunk = [0; 256];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Says NOOP as fast as it can, and comes again when it is sent away.
fn flood(to: SocketAddr, over: &AtomicBool, count: &AtomicUsize) {
    let noops = "a NOOP\r\n".repeat(1001);
    while !over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = Vec::new();
        // A reset may come instead of an end, if it has not read all.
        if stream.write_all(noops.as_bytes()).is_ok() && stream.read_to_end(&mut heard).is_ok() {
            assert!(heard.ends_with(b"* BYE Too many commands\r\n"));
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
