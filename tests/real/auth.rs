//! A small authentication server: it knows the users of [`crate::site`], and answers with the back end that the
//! request's path names.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

use crate::process::free_addresses;
use crate::site::password_of;

/// One request, as it came: names in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    route: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of the header `name` (in lower case), or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// The running server; it ends when dropped.
#[derive(Debug)]
pub(crate) struct AuthServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    routes: Vec<(String, SocketAddr)>,
    requests: Mutex<Vec<Request>>,
    stop: AtomicBool,
}

impl AuthServer {
    /// Serves `routes`: from the request's path without its slash, to a back end.
    pub(crate) fn start(routes: Vec<(String, SocketAddr)>) -> AuthServer {
        let [address] = free_addresses();
        let listener = TcpListener::bind(address).unwrap();
        let shared = Arc::new(Shared { routes, requests: Mutex::default(), stop: AtomicBool::new(false) });
        let served = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for connection in listener.incoming() {
                if served.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&served);
                thread::spawn(move || connection.and_then(|stream| shared.answer(stream)));
            }
        });
        AuthServer { address, shared, thread: Some(thread) }
    }

    /// The value of `auth_http` for a route; with `+on`, `+off` or `+starttls` behind it, the answer says that in
    /// `Auth-SSL-Upstream`.
    pub(crate) fn url(&self, route: &str) -> String {
        format!("http://{}/{route}", self.address)
    }

    /// All requests about `user` so far.
    pub(crate) fn requests(&self, user: &str) -> Vec<Request> {
        let all = self.shared.requests.lock().unwrap();
        all.iter().filter(|request| request.header("auth-user") == user).cloned().collect()
    }
}

impl Drop for AuthServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let target = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut headers = Vec::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_string()));
        }
        let route = target.split_ascii_whitespace().nth(1).unwrap_or("/").trim_start_matches('/').to_string();
        let request = Request { route, headers };
        let reply = self.decide(&request);
        self.requests.lock().unwrap().push(request);
        (&stream).write_all(format!("HTTP/1.0 200 OK\r\n{reply}\r\n").as_bytes())
    }

    fn decide(&self, request: &Request) -> String {
        let (wanted, upstream) = match request.route.split_once('+') {
            Some((route, tls)) => (route, format!("Auth-SSL-Upstream: {tls}\r\n")),
            None => (&*request.route, String::new()),
        };
        let Some((_, server)) = self.routes.iter().find(|(route, _)| route == wanted) else {
            return "Auth-Status: No such route\r\n".to_string();
        };
        let login = unescape(request.header("auth-user"));
        let (host, port) = (server.ip(), server.port());
        let place = format!("Auth-Status: OK\r\nAuth-Server: {host}\r\nAuth-Port: {port}\r\n{upstream}");
        match (request.header("auth-method"), password_of(&login)) {
            ("none", _) => place,
            (_, Some(password)) if proves(request, password) => format!("{place}Auth-Pass: {password}\r\n"),
            _ => "Auth-Status: Invalid login or password\r\n".to_string(),
        }
    }
}

/// Whether the request shows knowledge of the password, or a certificate in its place.
fn proves(request: &Request, password: &str) -> bool {
    let given = unescape(request.header("auth-pass"));
    let salt = request.header("auth-salt");
    match request.header("auth-method") {
        "plain" => given == password,
        "apop" => given == hex(&Md5::digest(format!("{salt}{password}"))),
        "cram-md5" => given == cram(salt, password),
        "external" => request.header("auth-ssl-verify") == "SUCCESS",
        _ => false,
    }
}

/// The response of CRAM-MD5 (RFC 2195).
fn cram(salt: &str, password: &str) -> String {
    let mut mac = Hmac::<Md5>::new_from_slice(password.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(salt.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Undoes `%XX`.
fn unescape(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(code.expect("the proxy escapes every %"));
        plain.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(plain).expect("logins here are text")
}
