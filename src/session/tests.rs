//! A mistake of ours, and what it costs.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::accept::{self, Dispatcher, Gate};
use crate::boot::log_panics;
use crate::config::{self, Paths, Recording};
use crate::event_loop::time::timeout;
use crate::event_loop::{Source, testing};
use crate::life::Life;
use crate::log::{Context, Log, Logs};
use crate::service::{self, Shared};
use crate::stream::Socket;

/// An IMAP server in this process.
struct Running {
    directory: tempfile::TempDir,
    address: std::net::SocketAddr,
    door: Arc<Door>,
    dispatcher: Arc<Dispatcher>,
}

impl Running {
    fn start() -> Running {
        Running::on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), 8)
    }

    /// With so many connections at most.
    fn on(listener: std::net::TcpListener, limit: usize) -> Running {
        let directory = tempfile::tempdir().unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let door = door(directory.path(), address);
        let gate = Gate::new(vec![door.clone()], &Arc::<Life>::default());
        let listener = Source::new(listener.into()).unwrap();
        let dispatcher = Arc::new(Dispatcher::new(limit));
        testing::spawn(accept::accept(listener, gate, dispatcher.clone()));
        Running { directory, address, door, dispatcher }
    }

    async fn client(&self) -> Socket {
        let mut client = Socket::connect(&Address::Ip(self.address)).await.unwrap();
        expect(&mut client, "* OK IMAP4 ready\r\n").await;
        client
    }

    fn log(&self) -> Arc<Log> {
        self.door.services[0].log.clone()
    }

    fn logged(&self, text: &str) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
        let line = log.lines().find(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("no {text:?} in\n{log}")).to_string()
    }
}

fn door(directory: &Path, address: std::net::SocketAddr) -> Arc<Door> {
    let text = format!(
        "error_log log info; events {{ }}
         mail {{ auth_http 127.0.0.1:9; server {{ listen {address}; protocol imap; }} }}"
    );
    let file = directory.join("gatepost.conf");
    std::fs::write(&file, text).unwrap();
    let paths = Paths {
        prefix: format!("{}/", directory.display()),
        file: file.display().to_string(),
        error_log: "log".into(),
        pid: "pid".into(),
    };
    let files = Arc::new(Recording::of_machine());
    let config = config::load(&paths, None, &*files).config.unwrap();
    service::doors(&config, &Logs::default(), &Shared::new(files)).unwrap().remove(0).remove(0)
}

async fn expect(client: &mut Socket, text: &str) {
    let mut heard = vec![0; text.len()];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(String::from_utf8(heard).unwrap(), text);
}

#[test]
fn a_panic_costs_its_session_and_no_other() {
    testing::run(|| async {
        let running = Running::start();
        log_panics(running.log());
        let mut other = running.client().await;
        let door = running.door.clone();
        let session = testing::spawn(async move {
            let peer = Address::Ip("192.0.2.1:40000".parse().unwrap());
            let tell_loss = |level, what: &str| tell_loss(&door, 7, &peer, level, what);
            let login = pin!(async { panic!("an index is out of bounds") });
            live(login, std::future::pending(), tell_loss).await;
        });
        session.await.unwrap();
        // Tests beside this one may panic too.
        let line = running.logged("src/session/tests.rs");
        assert!(line.contains("[alert]") && line.contains("the session it happened in is lost"), "{line}");
        let line = running.logged(
            ": *7 panicked: an index is out of bounds while in auth state, client: 192.0.2.1:40000, server: 127.0.0.1:",
        );
        assert!(line.contains("[alert]"), "{line}");

        other.write_all(b"a NOOP\r\n").await.unwrap();
        expect(&mut other, "a OK completed\r\n").await;
        running.client().await;
        let _ = std::panic::take_hook();
    });
}

#[test]
fn a_panic_while_proxying_is_told_with_its_context() {
    testing::run(|| async {
        let running = Running::start();
        let context = Context {
            action: "",
            client: "192.0.2.1".into(),
            server: running.door.text.clone(),
            starttls: false,
            login: b"alice".to_vec(),
            upstream: Some("198.51.100.1:143".into()),
        };
        let mut log = SessionLog::new(running.log(), 8, context);
        let end = unwound(pin!(async { panic!("what may not be") })).await.unwrap_or_else(End::Panicked);
        tell_end(&mut log, end);
        let line = running.logged(": *8 panicked: what may not be while proxying, client: 192.0.2.1, server: ");
        assert!(line.contains("[alert]") && line.contains("login: \"alice\", upstream: 198.51.100.1:143"), "{line}");
    });
}

#[test]
fn who_is_to_make_room_before_anybody_looked_at_it_does() {
    testing::run(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // All are accepted at once, before the first of their sessions runs.
        let clients = [(); 4].map(|()| std::net::TcpStream::connect(address).unwrap());
        let running = Running::on(listener, 1);
        let mut clients = clients.map(|client| {
            client.set_nonblocking(true).unwrap();
            Socket::from_accepted(client.into()).unwrap()
        });
        let (last, others) = clients.split_last_mut().unwrap();
        for client in others {
            let mut heard = Vec::new();
            let end = client.read_to_end(&mut heard);
            timeout(Duration::from_secs(10), end).await.expect("it makes room").unwrap();
        }
        running.logged("closed to make room for another connection");
        expect(last, "* OK IMAP4 ready\r\n").await;
        assert_eq!(running.dispatcher.connections(), 1);
    });
}

/// What calling the function gives.
fn size_of_made<A, F>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn an_idle_session_is_small() {
    // The task of a session has room for the relay, and for a pointer to the login.
    let relay = size_of_made(Proxied::relay);
    assert!(relay <= 400, "{relay} bytes");
    let task = size_of_made(run);
    assert!(task <= relay + 32, "{task} bytes");
}
