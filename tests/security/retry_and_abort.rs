//! A SASL exchange ends in many ways besides success, and none may leave anything behind: CVE-2026-27651 (nginx),
//! CVE-2019-11494 and CVE-2019-11499 (Dovecot).
//!
//! A hundred thousand times in sum, over all protocols, an exchange fails, is aborted by `*`, or ends with its connection;
//! the process grows by nothing.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::harness::{Auth, Backend, Conn, PATIENCE, Proxy, Reply, Subject, raise_descriptors};

/// Aborts and disconnections for each protocol.
const ABORTS: usize = 28_000;
const DISCONNECTIONS: usize = 4_000;

/// Sessions for each protocol that fail at a time, and how often each does so before it leaves.
const FAILING: usize = 350;
const FAILURES: usize = 2;

/// What the process may have grown by between a tenth of the work and all of it, bytes: some 20 for each exchange, less than
/// anything that is allocated. What the allocator keeps of a thousand sessions at a time varies by a quarter of it.
const FLAT: usize = 2 * 1024 * 1024;

/// Aborts on one connection.
const PIPELINED: usize = 400;

struct Talk {
    name: &'static str,
    /// Begins an exchange, and what is answered.
    begin: (&'static str, &'static str),
    /// How an abort is answered.
    aborted: &'static str,
    /// A login, and how its failure is answered.
    login: (&'static str, &'static str),
}

const PROTOCOLS: [Talk; 3] = [
    Talk {
        name: "imap",
        begin: ("a AUTHENTICATE LOGIN\r\n", "+ VXNlcm5hbWU6\r\n"),
        // As in nginx without a tag.
        aborted: "BAD invalid command\r\n",
        login: ("a AUTHENTICATE PLAIN AHUAcA==\r\n", "a NO no\r\n"),
    },
    Talk {
        name: "pop3",
        begin: ("AUTH LOGIN\r\n", "+ VXNlcm5hbWU6\r\n"),
        aborted: "-ERR invalid command\r\n",
        login: ("AUTH PLAIN AHUAcA==\r\n", "-ERR no\r\n"),
    },
    Talk {
        name: "smtp",
        begin: ("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n"),
        aborted: "500 5.5.1 Invalid command\r\n",
        login: ("AUTH PLAIN AHUAcA==\r\n", "535 5.7.0 no\r\n"),
    },
];

/// A server of each protocol on a Unix domain socket, whose connections take no ports. None if the subject is nginx.
fn start(auth: &Auth) -> Option<Proxy> {
    let servers: String = PROTOCOLS
        .iter()
        .map(|Talk { name, .. }| format!("server {{ listen unix:@prefix@/{name}; protocol {name}; }}"))
        .collect();
    (!Subject::is_nginx()).then(|| {
        // At level info the log would have half a million lines.
        let conf = format!(
            "error_log error.log warn; pid pid; worker_rlimit_nofile 4096; events {{ worker_connections 4096; }}
             mail {{ auth_http @auth@; limit_login off; server {{ listen @main@; protocol imap; }} {servers} }}"
        );
        let proxy = Proxy::start(&[], &conf, &[("auth", auth.address())]);
        // It listens everywhere before it greets anybody.
        Conn::connect(proxy.place("main")).line();
        proxy
    })
}

fn connect(proxy: &Proxy, talk: &Talk) -> UnixStream {
    let stream = UnixStream::connect(proxy.prefix().join(talk.name)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads until so many bytes have come; those of a greeting before them are not counted.
fn expect(stream: &mut UnixStream, answer: &str, times: usize) {
    let mut heard = String::new();
    let mut chunk = [0; 16 * 1024];
    while heard.matches(answer).count() < times {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "closed after {heard:?}");
        heard.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
    }
}

fn abort(proxy: &Proxy, talk: &Talk, times: usize) {
    for _ in 0..times.div_ceil(PIPELINED) {
        let mut stream = connect(proxy, talk);
        stream.write_all(format!("{}*\r\n", talk.begin.0).repeat(PIPELINED).as_bytes()).unwrap();
        expect(&mut stream, &format!("{}{}", talk.begin.1, talk.aborted), PIPELINED);
    }
}

/// Leaves in the middle of an exchange: before or behind the answer, in the middle of a line or behind one.
fn disconnect(proxy: &Proxy, talk: &Talk, times: usize) {
    for number in 0..times {
        let mut stream = connect(proxy, talk);
        let begin = talk.begin.0;
        match number % 4 {
            0 => stream.write_all(&begin.as_bytes()[..begin.len() / 2]).unwrap(),
            1 => stream.write_all(begin.as_bytes()).unwrap(),
            2 => {
                stream.write_all(begin.as_bytes()).unwrap();
                expect(&mut stream, talk.begin.1, 1);
                stream.write_all(b"dQ==\r").unwrap();
            }
            _ => {
                stream.write_all(format!("{begin}dQ==\r\n").as_bytes()).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
        }
    }
}

/// Fails again and again, in many sessions at a time, since each failure takes a second.
fn fail(proxy: &Proxy) {
    let mut sessions: Vec<_> =
        PROTOCOLS.iter().flat_map(|talk| (0..FAILING).map(move |_| (talk.login, connect(proxy, talk)))).collect();
    for _ in 0..FAILURES {
        sessions.iter_mut().for_each(|(login, stream)| stream.write_all(login.0.as_bytes()).unwrap());
        sessions.iter_mut().for_each(|(login, stream)| expect(stream, login.1, 1));
    }
}

#[test]
fn a_hundred_thousand_times_and_nothing_is_left() {
    let backend = Backend::new();
    let auth = Auth::start(backend.address());
    let Some(proxy) = start(&auth) else { return };
    // Those that fail are there at the same time.
    raise_descriptors();
    auth.always(Reply::refuse("no").with("Auth-Wait", "1"));
    let work = |tenths: usize| {
        for talk in &PROTOCOLS {
            abort(&proxy, talk, ABORTS * tenths / 10);
            disconnect(&proxy, talk, DISCONNECTIONS * tenths / 10);
        }
        // At their peak the sessions are as many each time.
        fail(&proxy);
    };
    work(1);
    let before = proxy.memory();
    work(9);
    let after = settled(&proxy, before);
    let sum = PROTOCOLS.len() * (ABORTS + DISCONNECTIONS + 2 * FAILING * FAILURES);
    assert!(sum >= 100_000, "{sum}");
    println!("{sum} exchanges: {before} bytes after a tenth, {after} after all");
    assert!(after < before + FLAT, "{before} bytes after a tenth, {after} after all");
    // And it still works.
    auth.always(Reply::accept(backend.address()));
    for talk in &PROTOCOLS {
        let mut stream = connect(&proxy, talk);
        stream.write_all(format!("{}*\r\n{}", talk.begin.0, talk.login.0).as_bytes()).unwrap();
        backend.accept();
    }
}

/// What the process has when those who left have been noticed.
fn settled(proxy: &Proxy, expected: usize) -> usize {
    let mut now = proxy.memory();
    for _ in 0..100 {
        if now < expected + FLAT {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        now = proxy.memory();
    }
    now
}
