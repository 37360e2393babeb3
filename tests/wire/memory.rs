//! What an idle session costs, and what is left of the work for logins.

use crate::harness::tls::Client;
use crate::harness::{Auth, Backend, Conn, Identity, Proxy, Subject, Wanted, raise_descriptors};

const SESSIONS: usize = 1000;

/// Bytes of the process for each logged-in, idle IMAP session; nginx needs about 9 KB.
const PLAIN_LIMIT: usize = 1536;

/// The same over TLS 1.3; nginx needs about 24 KB. Some 15 KB of it are what OpenSSL 3.0 itself holds for a connection.
const TLS_LIMIT: usize = if cfg!(feature = "aws-lc") { 8 * 1024 } else { 17 * 1024 };

/// So many logins at once take their memory at the same time.
const AT_ONCE: usize = 256;

/// Bytes for each session that began with them; 4 KB if nothing were given back.
const AT_ONCE_LIMIT: usize = 2048;

/// Enough that what is paid once has been paid: code, tables, the allocator's first pages.
const WARM_UP: usize = 20;

#[test]
fn an_idle_session_costs_little() {
    let conf = "listen @main@; protocol imap;";
    let each = measure(conf, |proxy| Conn::connect(proxy.place("main")));
    assert!(Subject::is_nginx() || each < PLAIN_LIMIT, "{each} bytes for each idle session");
}

#[test]
fn an_idle_session_over_tls_costs_little() {
    let conf = "listen @main@ ssl; protocol imap; ssl_certificate server.crt; ssl_certificate_key server.key;";
    let each = measure(conf, |proxy| Conn::connect(proxy.place("main")).tls(Client::new()));
    assert!(Subject::is_nginx() || each < TLS_LIMIT, "{each} bytes for each idle session over TLS");
}

#[test]
fn what_a_password_costs_is_given_back() {
    const LOGINS: usize = 40;
    const LIMIT: usize = 20 * 1024 * 1024;
    if Subject::is_nginx() {
        return;
    }
    // A check of this takes 19 MB for some milliseconds.
    let user = "u:$argon2id$v=19$m=19456,t=2,p=1$g/7T2g4IcAslXS8i3EF2sw$/OIFulzNMHxjp9eK8P6syP7ApSnxLcxfAndnVpwFeAg\n";
    let conf = "error_log error.log info; pid pid; events {}
        mail { auth_users_file users; proxy_pass 127.0.0.1; server { listen @main@; protocol imap; } }";
    let proxy = Proxy::start(&[("users".into(), user.into())], conf, &[]);
    let mut clients: Vec<_> = (0..LOGINS).map(|_| Conn::connect(proxy.place("main"))).collect();
    clients.iter_mut().for_each(|client| {
        client.line();
        client.send("a LOGIN u wrong\r\n");
    });
    clients.iter_mut().for_each(|client| {
        client.expect("a NO Invalid login or password\r\n");
    });
    // The thread of the last check may be about to.
    proxy.await_memory(LIMIT);
}

#[test]
fn what_many_logins_at_once_cost_is_given_back() {
    if Subject::is_nginx() {
        return;
    }
    let (proxy, backend, _auth) = start("listen @main@; protocol imap;");
    let _first: Vec<_> = (0..WARM_UP).map(|_| log_in(Conn::connect(proxy.place("main")), &backend)).collect();
    let before = proxy.memory();
    let mut clients: Vec<_> = (0..AT_ONCE).map(|_| Conn::connect(proxy.place("main"))).collect();
    clients.iter_mut().for_each(begin_to_log_in);
    let _servers: Vec<_> = clients.iter().map(|_| serve_login(&backend)).collect();
    clients.iter_mut().for_each(end_to_log_in);
    proxy.await_memory(before + AT_ONCE * AT_ONCE_LIMIT);
}

/// Bytes for each of many idle sessions that begin with such a connection.
fn measure(server: &str, connect: impl Fn(&Proxy) -> Conn) -> usize {
    let (proxy, backend, _auth) = start(server);
    let mut sessions: Vec<_> = (0..WARM_UP).map(|_| log_in(connect(&proxy), &backend)).collect();
    let before = proxy.memory();
    sessions.extend((0..SESSIONS).map(|_| log_in(connect(&proxy), &backend)));
    let each = proxy.memory().saturating_sub(before) / SESSIONS;
    println!("{each} bytes for each idle session");
    let (client, server) = sessions.last_mut().unwrap();
    server.send("* 1 EXISTS\r\n");
    client.expect("* 1 EXISTS\r\n");
    each
}

/// A proxy with this server, for many sessions, and what is behind it.
fn start(server: &str) -> (Proxy, Backend, Auth) {
    raise_descriptors();
    let backend = Backend::new();
    let auth = Auth::start(backend.address());
    let conf = format!(
        "error_log error.log info; pid pid; worker_rlimit_nofile 8192;
        events {{ worker_connections 8192; }}
        mail {{ auth_http @auth@/auth; server {{ {server} }} }}"
    );
    let files = Wanted::new("mail.test").by(&Identity::root("root")).files("server");
    let proxy = Proxy::start(&files, &conf, &[("auth", auth.address())]);
    (proxy, backend, auth)
}

fn log_in(mut client: Conn, backend: &Backend) -> (Conn, Conn) {
    begin_to_log_in(&mut client);
    let server = serve_login(backend);
    end_to_log_in(&mut client);
    (client, server)
}

fn begin_to_log_in(client: &mut Conn) {
    client.line();
    client.send("t LOGIN user.name@example.com password\r\n");
}

fn serve_login(backend: &Backend) -> Conn {
    let mut server = backend.accept();
    server.send("* OK ready\r\n").expect("t LOGIN {21}\r\n");
    server.send("+ go\r\n").expect("user.name@example.com {8}\r\n");
    server.send("+ go\r\n").expect("password\r\n");
    server.send("t OK in\r\n");
    server
}

fn end_to_log_in(client: &mut Conn) {
    client.expect("t OK in\r\n");
}
