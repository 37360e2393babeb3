//! The client against servers in the same process that follow a script.
#![allow(clippy::unwrap_used)]

use std::io::{self, ErrorKind};

use gatepost_proto::{Attempt, Dialogue, Method, Protocol};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;
use crate::auth::Client;
use crate::config::Machine;
use crate::event_loop::testing::{self, JoinHandle, Listener, UdpSocket};

const ACCEPT: &str = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\nAuth-Status: OK\r\n\
                      Auth-Server: 127.0.0.1\r\nAuth-Port: 143\r\n\r\nok";

fn config(addresses: Vec<Address>) -> AuthHttp {
    AuthHttp {
        addresses,
        host: "localhost".into(),
        uri: "/auth".into(),
        headers: Vec::new(),
        timeout: Duration::from_secs(5),
        pass_client_cert: false,
        tls: None,
    }
}

fn server(config: &AuthHttp) -> Server {
    Server::open(config, &Shared::new(Arc::new(Machine))).unwrap()
}

fn listen() -> (Listener, Address) {
    let listener = Listener::new();
    let address = listener.address();
    (listener, address)
}

fn attempt() -> Attempt {
    Attempt {
        method: Method::Plain,
        user: b"user".to_vec(),
        password: Secret::from(&b"pass"[..]),
        salt: None,
        number: 1,
        dialogue: Dialogue::Pop3,
    }
}

async fn login(server: &Server) -> Result<Verdict, AuthError> {
    let client =
        Client { address: Address::Ip("192.0.2.7:1".parse().unwrap()), host: None, proxy_protocol: None, tls: None };
    let request = Request { protocol: Protocol::Pop3, attempt: &attempt(), client: &client, resolver: None };
    server.authenticate(&request).await
}

async fn accepted(server: &Server) -> Route {
    match login(server).await.unwrap() {
        Verdict::Accept(route) => route,
        verdict => panic!("{verdict:?}"),
    }
}

/// One request, up to its blank line; an empty string at the end of the connection.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && bytes.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8(bytes).unwrap())
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), response: &str) -> String {
    let request = request(stream).await.unwrap();
    stream.write_all(response.as_bytes()).await.unwrap();
    request
}

/// Answers the requests of one connection after the other, each with the responses of its list, then closes it.
fn serve(listener: Listener, script: Vec<Vec<&'static str>>) -> JoinHandle<Listener> {
    testing::spawn(async move {
        for responses in script {
            let mut stream = listener.accept().await;
            for response in responses {
                answer(&mut stream, response).await;
            }
        }
        listener
    })
}

#[test]
fn one_login() {
    testing::run(|| async {
        let (listener, address) = listen();
        let stub = testing::spawn(async move { answer(&mut listener.accept().await, ACCEPT).await });
        let route = accepted(&server(&config(vec![address]))).await;
        assert_eq!((route.address.to_string(), &*route.name), ("127.0.0.1:143".into(), "127.0.0.1:143"));
        assert_eq!((&route.user[..], route.password), (&b"user"[..], Some(Secret::from(&b"pass"[..]))));
        assert_eq!(
            stub.await.unwrap(),
            "GET /auth HTTP/1.0\r\nHost: localhost\r\nAuth-Method: plain\r\nAuth-User: user\r\nAuth-Pass: pass\r\n\
         Auth-Protocol: pop3\r\nAuth-Login-Attempt: 1\r\nClient-IP: 192.0.2.7\r\nConnection: keep-alive\r\n\r\n"
        );
    });
}

#[test]
fn a_connection_is_used_again() {
    testing::run(|| async {
        let (listener, address) = listen();
        let stub = serve(listener, vec![vec![ACCEPT; 5]]);
        let server = server(&config(vec![address]));
        for _ in 0..5 {
            accepted(&server).await;
        }
        stub.await.unwrap();
    });
}

#[test]
fn a_connection_is_not_used_again_unless_both_agree() {
    testing::run(|| async {
        let close = "Auth-Server: 127.0.0.1\r\nAuth-Port: 143\r\n\r\n";
        let (listener, address) = listen();
        let stub = serve(listener, vec![vec![close], vec![close]]);
        let wanted = server(&config(vec![address.clone()]));
        accepted(&wanted).await;
        accepted(&wanted).await;
        let stub = serve(stub.await.unwrap(), vec![vec![ACCEPT], vec![ACCEPT]]);
        let mut config = config(vec![address]);
        config.headers = vec![("connection".into(), "close".into())];
        let unwanted = server(&config);
        accepted(&unwanted).await;
        accepted(&unwanted).await;
        stub.await.unwrap();
    });
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced() {
    testing::run(|| async {
        let (listener, address) = listen();
        let server = server(&config(vec![address]));
        let stub = serve(listener, vec![vec![ACCEPT]]);
        accepted(&server).await;
        let listener = stub.await.unwrap();
        let stub = serve(listener, vec![vec![ACCEPT]]);
        accepted(&server).await;
        stub.await.unwrap();
    });
}

/// Closed when the request is there already: nothing but the retry can help.
#[test]
fn a_request_lost_on_a_kept_connection_is_repeated_once() {
    testing::run(|| async {
        let (listener, address) = listen();
        let server = server(&config(vec![address]));
        let stub = testing::spawn(async move {
            let mut first = listener.accept().await;
            answer(&mut first, ACCEPT).await;
            request(&mut first).await.unwrap();
            drop(first);
            let mut second = listener.accept().await;
            request(&mut second).await.unwrap()
        });
        accepted(&server).await;
        let error = login(&server).await.unwrap_err().to_string();
        assert!(error.ends_with(" prematurely closed connection"), "{error}");
        assert!(stub.await.unwrap().starts_with("GET /auth"));
    });
}

#[test]
fn a_kept_connection_that_speaks_unasked_is_not_used() {
    testing::run(|| async {
        let (listener, address) = listen();
        let server = server(&config(vec![address]));
        let stub = testing::spawn(async move {
            let mut first = listener.accept().await;
            answer(&mut first, &format!("{ACCEPT}HTTP/1.1 200 OK\r\nAuth-Status: injected\r\n\r\n")).await;
            let mut second = listener.accept().await;
            answer(&mut second, ACCEPT).await;
            drop(first);
        });
        accepted(&server).await;
        accepted(&server).await;
        stub.await.unwrap();
    });
}

#[test]
fn a_response_in_single_bytes() {
    testing::run(|| async {
        let (listener, address) = listen();
        let stub = testing::spawn(async move {
            let mut stream = listener.accept().await;
            request(&mut stream).await.unwrap();
            for byte in ACCEPT.bytes() {
                stream.write_u8(byte).await.unwrap();
                testing::yield_now().await;
            }
        });
        let server = server(&config(vec![address]));
        accepted(&server).await;
        stub.await.unwrap();
    });
}

#[test]
fn a_unix_socket() {
    testing::run(|| async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth");
        let listener = Listener::unix(&path);
        let stub = testing::spawn(async move {
            let mut stream = listener.accept().await;
            answer(&mut stream, ACCEPT).await;
            answer(&mut stream, ACCEPT).await;
        });
        let server = server(&config(vec![Address::Unix(path)]));
        accepted(&server).await;
        accepted(&server).await;
        stub.await.unwrap();
    });
}

#[test]
fn the_next_address_is_tried() {
    testing::run(|| async {
        // Bound, so that nobody else gets the port, but not listening.
        let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        bound.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let dead = Address::Ip(bound.local_addr().unwrap().as_socket().unwrap());
        let (listener, alive) = listen();
        let stub = serve(listener, vec![vec!["X: y\r\n\r\n"], vec![ACCEPT]]);
        let server = server(&config(vec![dead.clone(), alive.clone()]));
        let error = login(&server).await.unwrap_err().to_string();
        assert_eq!(error, format!("auth http server {alive} did not send server or port"));
        assert_eq!(server.preferred(), &alive);
        accepted(&server).await;
        drop(stub.await.unwrap());
        let error = login(&server).await.unwrap_err();
        assert_eq!(error.to_string(), format!("connect() to {dead} failed (111: Connection refused)"));
        assert_eq!(error.level(), crate::log::Level::Error);
    });
}

#[test]
fn a_silent_server() {
    testing::run_paused(|| async {
        let (listener, address) = listen();
        let server = server(&config(vec![address.clone()]));
        let begin = now();
        let error = login(&server).await.unwrap_err().to_string();
        assert_eq!(error, format!("auth http server {address} timed out (110: Connection timed out)"));
        assert_eq!((now() - begin).as_secs(), 5);
        drop(listener);
    });
}

#[test]
fn a_server_that_drips() {
    testing::run_paused(|| async {
        let (listener, address) = listen();
        let stub = testing::spawn(async move {
            let mut stream = listener.accept().await;
            request(&mut stream).await.unwrap();
            while stream.write_all(b"X").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let begin = now();
        let error = login(&server(&config(vec![address]))).await.unwrap_err().to_string();
        assert!(error.contains("timed out"), "{error}");
        assert_eq!((now() - begin).as_secs(), 5);
        stub.await.unwrap();
    });
}

#[test]
fn waiting_takes_at_least_a_second() {
    testing::run_paused(|| async {
        let (listener, address) = listen();
        let stub = serve(
            listener,
            vec![
                vec!["Auth-Status: WAIT\r\n\r\n"],
                vec!["Auth-Status: WAIT\r\nAuth-Wait: 4\r\n\r\n"],
                vec!["Auth-Status: Locked\r\nAuth-Wait: 3\r\nAuth-Error-Code: 454 4.7.0\r\n\r\n"],
            ],
        );
        let begin = now();
        let verdict = login(&server(&config(vec![address]))).await.unwrap();
        let Verdict::Reject { rejection, wait } = verdict else { panic!("{verdict:?}") };
        assert_eq!((&rejection.text[..], rejection.code.as_deref()), (&b"Locked"[..], Some(&b"454 4.7.0"[..])));
        assert_eq!((wait.as_secs(), (now() - begin).as_secs()), (3, 5));
        stub.await.unwrap();
    });
}

#[test]
fn what_makes_no_sense_is_an_error() {
    testing::run(|| async {
        let (listener, address) = listen();
        let stub =
            serve(listener, vec![vec!["Auth-Server: mail.example\r\nAuth-Port: 1\r\n\r\n"], vec!["\0"], vec!["X"]]);
        let server = server(&config(vec![address]));
        for expected in [
            "sent invalid server address:\"mail.example\"",
            "sent invalid header in response",
            "prematurely closed connection",
        ] {
            let error = login(&server).await.unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        stub.await.unwrap();
    });
}

/// A server that serves one connection at a time: the second client waits until the first, idle connection is closed.
#[test]
fn idle_connections_do_not_stand_in_the_way() {
    testing::run(|| async {
        let (listener, address) = listen();
        let stub = testing::spawn(async move {
            for _ in 0..2 {
                let mut stream = listener.accept().await;
                while !request(&mut stream).await.unwrap().is_empty() {
                    stream.write_all(ACCEPT.as_bytes()).await.unwrap();
                }
            }
        });
        let server = server(&config(vec![address]));
        tokio::join!(accepted(&server), accepted(&server));
        drop(server);
        stub.await.unwrap();
    });
}

#[test]
fn a_header_of_two_lines_is_refused_at_start() {
    testing::run(|| async {
        let mut config = config(vec![Address::Unix("/x".into())]);
        config.headers = vec![("X-Key".into(), "a\r\nAuth-User: root".into())];
        let error = Server::open(&config, &Shared::new(Arc::new(Machine))).unwrap_err();
        assert_eq!(error.messages, ["control character in \"X-Key\" for auth http server"]);
    });
}

/// A login that waits for its answer keeps this much memory.
#[test]
fn the_future_is_small() {
    let server = server(&config(vec![Address::Unix("/x".into())]));
    fn size(future: impl Future) -> usize {
        std::mem::size_of_val(&future)
    }
    let attempt = attempt();
    let client = Client { address: Address::Unix("".into()), host: None, proxy_protocol: None, tls: None };
    let request = Request { protocol: Protocol::Pop3, attempt: &attempt, client: &client, resolver: None };
    let size = size(crate::auth::Backend::Http(server).authenticate(&request));
    assert!(size < 800, "{size}");
}

/// A name server that knows one name, `mail.example`, at 127.0.0.1 and ::1.
async fn name_server() -> std::net::SocketAddr {
    use hickory_proto::op::Message;
    use hickory_proto::rr::rdata::{A, AAAA};
    use hickory_proto::rr::{RData, Record, RecordType};

    let socket = UdpSocket::new();
    let address = socket.local_addr();
    testing::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (size, from) = socket.recv_from(&mut buffer).await;
            let question = Message::from_vec(&buffer[..size]).unwrap();
            let query = question.queries[0].clone();
            let mut answer = question.into_response();
            let data = match query.query_type {
                _ if query.name.to_ascii() != "mail.example." => None,
                RecordType::A => Some(RData::A(A([127, 0, 0, 1].into()))),
                _ => Some(RData::AAAA(AAAA("::1".parse().unwrap()))),
            };
            answer.add_answers(data.map(|data| Record::from_rdata(query.name, 60, data)));
            socket.send_to(&answer.to_vec().unwrap(), from);
        }
    });
    address
}

#[test]
fn a_mail_server_may_have_a_name_where_there_is_a_resolver() {
    testing::run(|| async {
        let name_server = name_server().await;
        let config = crate::config::Resolver { servers: vec![name_server], valid: None, ipv4: true, ipv6: true };
        let resolver = Resolver::new(&config);
        let (listener, address) = listen();
        let stub = serve(
            listener,
            vec![
                vec!["Auth-Server: mail.example\r\nAuth-Port: 993\r\nAuth-SSL-Upstream: on\r\n\r\n"],
                vec!["Auth-Server: no.example\r\nAuth-Port: 993\r\n\r\n"],
            ],
        );
        let server = server(&self::config(vec![address]));
        let (attempt, client) =
            (attempt(), Client { address: Address::nameless(), host: None, proxy_protocol: None, tls: None });
        let resolver = Some((&resolver, Duration::from_secs(5)));
        let request = Request { protocol: Protocol::Pop3, attempt: &attempt, client: &client, resolver };
        let Verdict::Accept(route) = server.authenticate(&request).await.unwrap() else { panic!() };
        let mut found: Vec<String> =
            route.alternatives.iter().chain([&route.address]).map(Address::to_string).collect();
        found.sort();
        assert_eq!(found, ["127.0.0.1:993", "[::1]:993"]);
        assert_eq!((route.name.as_str(), route.verify_name.as_deref()), ("mail.example:993", Some("mail.example")));
        assert_eq!(route.tls, Some(UpstreamTls::On));
        let error = server.authenticate(&request).await.unwrap_err();
        assert_eq!(error.to_string(), "no.example could not be resolved (3: Host not found)");
        stub.await.unwrap();
    });
}

/// An authority, and a server of its with a certificate for this name.
fn certified(name: &str) -> (crate::tls::testing::Files, AuthHttp, openssl::ssl::SslContextBuilder) {
    use crate::tls::client::testing::{options, server, server_identity};
    use crate::tls::testing::{Authority, Files};

    let (files, authority) = (Files::new(), Authority::new("Root"));
    let options = options(files.certificates("ca.pem", &[&authority.certificate]));
    let config = AuthHttp { host: name.into(), tls: Some(Box::new(options)), ..config(Vec::new()) };
    let context = server(&server_identity(&authority, &["auth.example"]), &[]);
    (files, config, context)
}

#[test]
fn an_encrypted_connection_is_used_again() {
    testing::run(|| async {
        let (_files, mut config, context) = certified("auth.example");
        let (listener, address) = listen();
        config.addresses = vec![address];
        let stub = testing::spawn(async move {
            let mut stream =
                crate::tls::client::testing::accept(&context.build(), listener.accept().await).await.unwrap();
            let first = answer(&mut stream, ACCEPT).await;
            for _ in 0..3 {
                answer(&mut stream, ACCEPT).await;
            }
            first
        });
        let server = server(&config);
        for _ in 0..4 {
            accepted(&server).await;
        }
        assert!(stub.await.unwrap().starts_with("GET /auth HTTP/1.0\r\nHost: auth.example\r\n"));
    });
}

#[test]
fn an_encrypted_connection_that_was_closed_is_replaced() {
    testing::run(|| async {
        let (_files, mut config, context) = certified("auth.example");
        let (listener, address) = listen();
        config.addresses = vec![address];
        let stub = testing::spawn(async move {
            let context = context.build();
            for _ in 0..2 {
                let socket = listener.accept().await;
                let mut stream = crate::tls::client::testing::accept(&context, socket).await.unwrap();
                answer(&mut stream, ACCEPT).await;
                stream.shutdown().await.unwrap();
            }
        });
        let server = server(&config);
        accepted(&server).await;
        accepted(&server).await;
        stub.await.unwrap();
    });
}

#[test]
fn a_server_that_is_somebody_else_gets_no_request() {
    testing::run(|| async {
        let (_files, mut config, context) = certified("other.example");
        let (listener, address) = listen();
        config.addresses = vec![address.clone()];
        let stub = testing::spawn(async move {
            let socket = listener.accept().await;
            crate::tls::client::testing::accept(&context.build(), socket).await.is_err()
        });
        let error = login(&server(&config)).await.unwrap_err();
        let expected = "SSL certificate does not match \"other.example\"";
        assert_eq!(error.to_string(), format!("auth http server {address} \"other.example\": {expected}"));
        assert!(stub.await.unwrap());
        let (listener, address) = listen();
        config.addresses = vec![address.clone()];
        let stub = testing::spawn(async move {
            let mut stream = listener.accept().await;
            stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await.unwrap();
            let mut sent = Vec::new();
            let _ = stream.read_to_end(&mut sent).await;
            sent
        });
        let error = login(&server(&config)).await.unwrap_err().to_string();
        assert!(error.contains("SSL_do_handshake() failed (SSL: error:"), "{error}");
        assert!(!String::from_utf8_lossy(&stub.await.unwrap()).contains("Auth-"));
    });
}

#[test]
fn a_missing_file_is_told_at_start() {
    let (files, mut config, _) = certified("auth.example");
    config.tls.as_mut().unwrap().trusted_certificate = Some(files.path("none"));
    let error = Server::open(&config, &Shared::new(Arc::new(Machine))).unwrap_err();
    assert!(error.messages[0].starts_with("cannot load certificate \""), "{error:?}");
}
