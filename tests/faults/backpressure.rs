//! A message of a gigabyte to a reader that takes its time: every byte arrives, and the proxy holds next to none of them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::MACHINE;
use crate::harness::tls::{Client, Server};
use crate::harness::{Conn, Identity, Reply, Wanted, Wire};
use crate::pattern::Pattern;

const GIGABYTE: usize = 1 << 30;
const BLOCK: usize = 64 * 1024;
/// For how long the reader takes nothing at first, and for a while now and then.
const REST: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(20);
/// How much the sockets between a writer and a reader that takes nothing may hold at most, bytes; on loopback the kernel
/// lets each of the four grow to some megabytes.
const UNDER_WAY: u64 = 64 << 20;
/// How much the proxy may grow meanwhile, bytes.
const GROWTH: u64 = 1 << 20;

#[test]
fn to_the_mail_server() {
    let (wire, client, backend) = plain();
    relay(&wire, client, backend);
}

#[test]
fn to_the_client() {
    let (wire, client, backend) = plain();
    relay(&wire, backend, client);
}

#[test]
fn to_the_mail_server_by_tls() {
    let (wire, client, backend) = encrypted();
    relay(&wire, client, backend);
}

#[test]
fn to_the_client_by_tls() {
    let (wire, client, backend) = encrypted();
    relay(&wire, backend, client);
}

fn plain() -> (Wire, Conn, Conn) {
    let wire = Wire::imap("");
    let (client, backend) = wire.imap_session();
    (wire, client, backend)
}

/// With TLS on both sides.
fn encrypted() -> (Wire, Conn, Conn) {
    let root = Identity::root("root");
    let files = Wanted::new("mail.test").by(&root).files("mail");
    let wire = Wire::with(
        &files,
        "mail { server_name proxy.test; auth_http @auth@/auth;
        ssl_certificate mail.crt; ssl_certificate_key mail.key; proxy_ssl on; proxy_ssl_verify off;
        server { listen @main@ ssl; protocol imap; } }",
    );
    wire.auth.always(Reply::accept(wire.backend.address()));
    let mut client = wire.connect().tls(Client::new());
    client.line();
    client.send("t LOGIN u p\r\n");
    let mut backend = wire.backend.accept().accept_tls(&Server::new(&root));
    backend.send("* OK ready\r\n").expect("t LOGIN {1}\r\n");
    backend.send("+ go\r\n").expect("u {1}\r\n");
    backend.send("+ go\r\n").expect("p\r\n");
    backend.send("t OK in\r\n");
    client.expect("t OK in\r\n");
    (wire, client, backend)
}

#[track_caller]
fn relay(wire: &Wire, mut writer: Conn, mut reader: Conn) {
    let _beside_others = MACHINE.blocking_read();
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let before = memory(wire);
    let largest = Largest::watch(wire);
    let writing = thread::spawn(move || {
        let mut block = noise();
        for number in 0..GIGABYTE / BLOCK {
            stamp(&mut block, number);
            writer.send(&block);
            counter.fetch_add(BLOCK as u64, Ordering::Relaxed);
        }
        writer
    });
    thread::sleep(REST);
    let under_way = sent.load(Ordering::Relaxed);
    assert!(under_way < UNDER_WAY, "{under_way} bytes are under way to somebody who takes none");
    let mut expected = noise();
    let begin = Instant::now();
    for number in 0..GIGABYTE / BLOCK {
        stamp(&mut expected, number);
        assert!(reader.take(BLOCK) == expected, "block {number} is another");
        if number % 1000 == 0 {
            thread::sleep(PAUSE);
        }
    }
    let mut writer = writing.join().unwrap();
    // Nothing behind it, and the other direction is as it was.
    reader.send("over\r\n");
    writer.expect("over\r\n");
    let largest = largest.end();
    println!(
        "{under_way} bytes under way at most; the rest took {:?}; {before} bytes, then {largest}",
        begin.elapsed()
    );
    assert!(largest < before + GROWTH, "{before} bytes of memory became {largest}");
}

/// A block of the message: the same bytes in each, ...
fn noise() -> Vec<u8> {
    let mut pattern = Pattern::new(1);
    let mut block = Vec::with_capacity(BLOCK);
    while block.len() < BLOCK {
        block.extend_from_slice(pattern.take(BLOCK));
    }
    block
}

/// ... but for its number.
fn stamp(block: &mut [u8], number: usize) {
    block[..8].copy_from_slice(&number.to_le_bytes());
}

/// What the proxy alone has in memory, bytes.
fn memory(wire: &Wire) -> u64 {
    rollup(&pid(wire))
}

fn pid(wire: &Wire) -> String {
    fs::read_to_string(wire.prefix().join("pid")).unwrap().trim().to_owned()
}

fn rollup(pid: &str) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// The most memory that the proxy has had.
struct Largest {
    over: Arc<AtomicBool>,
    watching: JoinHandle<u64>,
}

impl Largest {
    fn watch(wire: &Wire) -> Largest {
        let (over, pid) = (Arc::new(AtomicBool::new(false)), pid(wire));
        let ends = over.clone();
        let watching = thread::spawn(move || {
            let mut largest = 0;
            while !ends.load(Ordering::Relaxed) {
                largest = rollup(&pid).max(largest);
                thread::sleep(PAUSE);
            }
            largest
        });
        Largest { over, watching }
    }

    fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.watching.join().unwrap()
    }
}
