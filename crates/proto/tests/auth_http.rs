//! The authentication protocol: requests byte for byte, responses in every piece they may come in.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use gatepost_proto::auth_http::{
    Client, EncodeError, Encryption, Frame, MAX_RESPONSE, Parser, ProxyProtocol, Reply, Request, Response,
    ResponseError, Server, Tls,
};
use gatepost_proto::{Attempt, Dialogue, Envelope, Method, Protocol, Secret};

fn attempt(method: Method, user: &[u8], password: &[u8]) -> Attempt {
    let password = Secret::from(password);
    Attempt { method, user: user.to_vec(), password, salt: None, number: 1, dialogue: Dialogue::Pop3 }
}

fn frame() -> Frame {
    Frame::new("/mail/auth", "auth.example", &[], false).unwrap()
}

fn request<'a>(frame: &'a Frame, protocol: Protocol, attempt: &'a Attempt) -> Request<'a> {
    Request {
        frame,
        protocol,
        attempt,
        client: Client { ip: "192.0.2.7", host: None, proxy_protocol: None },
        tls: None,
    }
}

fn text(request: &Request<'_>) -> String {
    String::from_utf8(request.encode().unwrap().expose().to_vec()).unwrap()
}

#[test]
fn a_plain_request() {
    let attempt = attempt(Method::Plain, b"al% i\xC3\xA9", b"a b\r\n\x00\x1f\x7f+=&");
    assert_eq!(
        text(&request(&frame(), Protocol::Imap, &attempt)),
        "GET /mail/auth HTTP/1.0\r\n\
         Host: auth.example\r\n\
         Auth-Method: plain\r\n\
         Auth-User: al%25%20i\u{e9}\r\n\
         Auth-Pass: a%20b%0D%0A%00%1F\x7f+=&\r\n\
         Auth-Protocol: imap\r\n\
         Auth-Login-Attempt: 1\r\n\
         Client-IP: 192.0.2.7\r\n\
         \r\n"
    );
}

#[test]
fn a_request_with_everything() {
    let mut attempt = attempt(Method::None, b"", b"");
    attempt.number = 3;
    attempt.dialogue = Dialogue::Smtp {
        helo: Some(b"client.example".to_vec()),
        esmtp: true,
        envelope: Some(Envelope { mail: b"MAIL FROM:<a@b> SIZE=1".to_vec(), rcpt: b"rcpt to:\t<c@d>".to_vec() }),
    };
    let headers = [("X-NGX-Key".to_string(), "secret%".to_string()), ("X-Empty".to_string(), String::new())];
    let frame = Frame::new("/mail/auth", "auth.example", &headers, true).unwrap();
    let mut request = request(&frame, Protocol::Smtp, &attempt);
    request.client = Client {
        ip: "unix:",
        host: Some("[UNAVAILABLE]"),
        proxy_protocol: Some(ProxyProtocol { source: ("2001:db8::1", 40000), destination: ("192.0.2.1", 25) }),
    };
    request.tls = Some(Tls {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384",
        verify: "NONE",
        certificate: "-----BEGIN X\nab%",
        ..Tls::default()
    });
    assert_eq!(
        text(&request),
        "GET /mail/auth HTTP/1.0\r\n\
         Host: auth.example\r\n\
         Auth-Method: none\r\n\
         Auth-User: \r\n\
         Auth-Pass: \r\n\
         Auth-Protocol: smtp\r\n\
         Auth-Login-Attempt: 3\r\n\
         Client-IP: unix:\r\n\
         Client-Host: [UNAVAILABLE]\r\n\
         Proxy-Protocol-Addr: 2001:db8::1\r\n\
         Proxy-Protocol-Port: 40000\r\n\
         Proxy-Protocol-Server-Addr: 192.0.2.1\r\n\
         Proxy-Protocol-Server-Port: 25\r\n\
         Auth-SMTP-Helo: client.example\r\n\
         Auth-SMTP-From: MAIL FROM:<a@b> SIZE=1\r\n\
         Auth-SMTP-To: rcpt to:\t<c@d>\r\n\
         Auth-SSL: on\r\n\
         Auth-SSL-Protocol: TLSv1.3\r\n\
         Auth-SSL-Cipher: TLS_AES_256_GCM_SHA384\r\n\
         Auth-SSL-Verify: NONE\r\n\
         Auth-SSL-Cert: -----BEGIN%20X%0Aab%25\r\n\
         X-NGX-Key: secret%\r\n\
         X-Empty: \r\n\
         Connection: keep-alive\r\n\
         \r\n"
    );
}

#[test]
fn salts_are_for_apop_and_cram_md5() {
    for (method, expected) in [
        (Method::Apop, "Auth-Pass: d1\r\nAuth-Salt: <1.2@mx>\r\nAuth-Protocol: pop3\r\n"),
        (Method::CramMd5, "Auth-Pass: d1\r\nAuth-Salt: <1.2@mx>\r\nAuth-Protocol: pop3\r\n"),
        (Method::Plain, "Auth-Pass: d1\r\nAuth-Protocol: pop3\r\n"),
        (Method::External, "Auth-Pass: d1\r\nAuth-Protocol: pop3\r\n"),
    ] {
        let mut attempt = attempt(method, b"u", b"d1");
        attempt.salt = Some("<1.2@mx>".to_string());
        let text = text(&request(&frame(), Protocol::Pop3, &attempt));
        assert!(text.contains(expected), "{method:?}: {text}");
    }
}

/// Whatever byte comes in at whatever place: the number of lines stays the same, or there is no request.
#[test]
fn one_header_is_one_line() {
    let lines = |head: &Secret, end: u8| head.expose().iter().filter(|byte| **byte == end).count();
    let clean = lines(&encode_with("x").unwrap(), b'\n');
    for byte in 0..=127u8 {
        let refused = byte < b' ' && byte != b'\t';
        match encode_with(&format!("x{}y", char::from(byte))) {
            Ok(head) if !refused => assert_eq!((lines(&head, b'\n'), lines(&head, b'\r')), (clean, clean)),
            Ok(_) => panic!("{byte} passed"),
            Err(_) => assert!(refused, "{byte} refused"),
        }
    }
}

fn encode_with(value: &str) -> Result<Secret, EncodeError> {
    let mut attempt = attempt(Method::None, value.as_bytes(), value.as_bytes());
    let envelope = Some(Envelope { mail: value.into(), rcpt: value.into() });
    attempt.dialogue = Dialogue::Smtp { helo: Some(value.into()), esmtp: false, envelope };
    let frame = frame();
    let mut request = request(&frame, Protocol::Smtp, &attempt);
    request.client.host = Some(value);
    request.encode()
}

#[test]
fn every_unescaped_value_is_checked() {
    let bad = "a\r\nAuth-Status: OK";
    let attempt = attempt(Method::Plain, b"u", b"p");
    let frame = frame();
    let clean = || request(&frame, Protocol::Imap, &attempt);
    let client = || Client { ip: "::1", host: None, proxy_protocol: None };
    let proxy_protocol = Some(ProxyProtocol { source: (bad, 1), destination: ("::1", 2) });
    for (request, header) in [
        (Request { client: Client { ip: bad, ..client() }, ..clean() }, "Client-IP"),
        (Request { client: Client { host: Some(bad), ..client() }, ..clean() }, "Client-Host"),
        (Request { client: Client { proxy_protocol, ..client() }, ..clean() }, "Proxy-Protocol-Addr"),
        (Request { tls: Some(Tls { subject: bad, ..Tls::default() }), ..clean() }, "Auth-SSL-Subject"),
    ] {
        assert_eq!(request.encode().unwrap_err().header, header);
    }
    let one = |name: &str, value: &str| [(name.to_string(), value.to_string())];
    for (frame, header) in [
        (Frame::new(bad, "auth.example", &[], false), "GET"),
        (Frame::new("/", bad, &[], false), "Host"),
        (Frame::new("/", "auth.example", &one("X", bad), false), "X"),
        (Frame::new("/", "auth.example", &one(bad, "x"), false), "a\\x0D\\x0AAuth-Status: OK"),
    ] {
        assert_eq!(frame.unwrap_err().header, header);
    }
}

/// Feeds a response in pieces of `step` bytes.
fn parse(bytes: &[u8], step: usize) -> Result<Option<(Response, usize)>, ResponseError> {
    let mut parser = Parser::new();
    for (index, piece) in bytes.chunks(step).enumerate() {
        if let Some(rest) = parser.receive(piece)? {
            let behind = bytes.len() - (index * step + piece.len());
            return Ok(Some((parser.into_response(), rest + behind)));
        }
    }
    Ok(None)
}

/// The reply to an attempt by `user` with `pass`: the same in whatever pieces it comes.
fn reply(protocol: Protocol, method: Method, bytes: &str) -> Result<Reply, ResponseError> {
    let attempt = attempt(method, b"user", b"pass");
    let ask = |step| parse(bytes.as_bytes(), step)?.expect("complete").0.reply(protocol, &attempt);
    let whole = ask(bytes.len());
    for step in 1..bytes.len() {
        assert_eq!(ask(step), whole, "in pieces of {step}: {bytes:?}");
    }
    whole
}

#[test]
fn accepted() {
    for (bytes, server, name, user, password) in [
        (
            "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.1\r\nAuth-Port: 143\r\n\r\n",
            ("192.0.2.1:143", "192.0.2.1:143", "user", "pass"),
        ),
        (
            "HTTP/1.0 500 No\nAuth-Server:192.0.2.1\nAuth-Port:   0143  \n\n",
            ("192.0.2.1:143", "192.0.2.1:0143", "user", "pass"),
        ),
        ("AUTH-STATUS: OK\r\nauth-server: ::1\r\naUth-Port: 1\r\n\r\n", ("[::1]:1", "::1:1", "user", "pass")),
        (
            "X\r\n0-9:\r\nA-Name-Longer-Than-Any-That-Means-Something: x\r\nAuth-Server: 1.1.1.1\r\nAuth-Port: 9\r\nAuth-Server: 127.000.0.1\r\n\r\n",
            ("127.0.0.1:9", "127.000.0.1:9", "user", "pass"),
        ),
        (
            "Auth-Server: ::1\r\nAuth-Port: 9\r\nAuth-User: a b  \r\nAuth-Pass:\t x=%20\r\n\r\n",
            ("[::1]:9", "::1:9", "a b", "\t x=%20"),
        ),
        (
            "Auth-Server: ::1\r\nAuth-Port: 9\r\nAuth-User:\r\nAuth-Pass\r\nAuth-Wait: 3\r\n\r\n",
            ("[::1]:9", "::1:9", "", ""),
        ),
        (
            "Auth-Server: Mail.example.\r\nAuth-Port: 993\r\n\r\n",
            ("Mail.example:993", "Mail.example.:993", "user", "pass"),
        ),
        ("Auth-Server: unix:/run/imap\r\n\r\n", ("/run/imap", "unix:/run/imap", "user", "pass")),
        ("Auth-Server: unix:/run/imap\r\nAuth-Port: 143\r\n\r\n", ("/run/imap", "unix:/run/imap", "user", "pass")),
    ]
    .map(|(bytes, (server, name, user, password))| (bytes, server, name, user, password))
    {
        let Ok(Reply::Accept(route)) = reply(Protocol::Imap, Method::Plain, bytes) else { panic!("{bytes}") };
        match route.server {
            Server::Ip(address) => assert_eq!(address, server.parse().unwrap(), "{bytes}"),
            Server::Unix(path) => assert_eq!(path, server),
            Server::Name(name, port) => assert_eq!(format!("{name}:{port}"), server),
        }
        assert_eq!(route.name, name, "{bytes}");
        assert_eq!(route.user, user.as_bytes(), "{bytes}");
        assert_eq!(route.password.unwrap().expose(), password.as_bytes(), "{bytes}");
    }
}

#[test]
fn encrypted_on_the_way() {
    for (header, encryption) in [
        ("", Ok(None)),
        ("Auth-SSL-Upstream: off\r\n", Ok(Some(Encryption::Off))),
        ("auth-ssl-upstream: on\r\n", Ok(Some(Encryption::On))),
        ("Auth-SSL-Upstream: off\r\nAuth-SSL-Upstream: starttls\r\n", Ok(Some(Encryption::StartTls))),
        ("Auth-SSL-Upstream: ON\r\n", Err("sent invalid Auth-SSL-Upstream:\"ON\"")),
        ("Auth-SSL-Upstream:\r\n", Err("sent invalid Auth-SSL-Upstream:\"\"")),
    ] {
        let outcome = reply(Protocol::Smtp, Method::None, &format!("{header}Auth-Server: ::1\r\nAuth-Port: 1\r\n\r\n"));
        let outcome = outcome.map_err(|error| error.to_string()).map(|reply| match reply {
            Reply::Accept(route) => route.encryption,
            other => panic!("{other:?}"),
        });
        assert_eq!(outcome, encryption.map_err(str::to_owned));
    }
}

#[test]
fn refused() {
    for (bytes, text, code, wait) in [
        ("Auth-Status: Invalid login\r\n\r\n", "Invalid login", None, 0),
        ("Auth-Status: ok\r\nAuth-Wait: 7\r\n\r\n", "ok", None, 7),
        ("Auth-Status:\r\n\r\n", "", None, 0),
        ("Auth-Status: OK \u{e9}\r\nAuth-Error-Code: 454 4.7.0\r\n\r\n", "OK \u{e9}", Some("454 4.7.0"), 0),
        ("Auth-Status: no\r\nAuth-Status: OK\r\nAuth-Server: ::1\r\nAuth-Port: 1\r\n\r\n", "no", None, 0),
        ("Auth-Status: one\r\nAuth-Status: WAIT\r\nAuth-Status: two\r\n\r\n", "two", None, 0),
        ("Auth-Status: no\r\nAuth-Wait: 2\r\nAuth-Wait: soon\r\nAuth-Wait: 9999999999999999999\r\n\r\n", "no", None, 2),
        ("Auth-Status: no\r\nAuth-Error-Code:\r\n\r\n", "no", None, 0),
    ] {
        let Ok(Reply::Reject(rejection, time)) = reply(Protocol::Smtp, Method::Plain, bytes) else { panic!("{bytes}") };
        assert_eq!(rejection.text, text.as_bytes());
        assert_eq!(rejection.code.as_deref(), code.map(str::as_bytes));
        assert_eq!(time, Duration::from_secs(wait));
    }
}

#[test]
fn asked_to_wait() {
    for (bytes, seconds) in [
        ("Auth-Status: WAIT\r\nAuth-Wait: 5\r\n\r\n", 5),
        ("Auth-Status: WAIT\r\nAuth-Status: OK\r\nAuth-Server: ::1\r\nAuth-Port: 1\r\n\r\n", 0),
    ] {
        assert_eq!(reply(Protocol::Imap, Method::Plain, bytes), Ok(Reply::Wait(Duration::from_secs(seconds))));
    }
}

#[test]
fn nonsense() {
    const HEADER: &str = "sent invalid header in response";
    for (bytes, error) in [
        ("HTTP/1.0 200\rOK\r\n\r\n", "sent invalid response"),
        ("HTTP 1.0 200\r\n\r\n", HEADER),
        ("220 mx ESMTP\r\n\r\n", HEADER),
        (" Auth-Status: OK\r\n\r\n", HEADER),
        ("-a: b\r\n\r\n", HEADER),
        (": b\r\n\r\n", HEADER),
        ("a_b: c\r\n\r\n", HEADER),
        ("A-Name-Longer-Than-Any-That-Means_Something: c\r\n\r\n", HEADER),
        ("a.b: c\r\n\r\n", HEADER),
        ("a : c\r\n\r\n", HEADER),
        ("a: b\rc\r\n\r\n", HEADER),
        ("a: b\r\r\n\r\n", HEADER),
        ("a: b\r\n\rc\r\n", HEADER),
        ("Auth-Status: a\0b\r\n\r\n", HEADER),
        ("Auth-User: a\x01\r\n\r\n", HEADER),
        ("Auth-Pass: a\x7f\r\n\r\n", HEADER),
        ("Auth-Error-Code: \x0b\r\n\r\n", HEADER),
        ("Auth-Status: OK\r\n\r\n", "did not send server or port"),
        ("Auth-Server: ::1\r\n\r\n", "did not send server or port"),
        ("Auth-Port: 1\r\n\r\n", "did not send server or port"),
        ("Auth-Server:\r\nAuth-Port: 1\r\n\r\n", "did not send server or port"),
        ("Auth-Server: [::1]\r\nAuth-Port: 1\r\n\r\n", "sent invalid server address:\"[::1]\""),
        ("Auth-Server: mail\0\r\nAuth-Port: 1\r\n\r\n", "sent invalid server address:\"mail\\x00\""),
        ("Auth-Server: unix:run\r\n\r\n", "sent invalid server address:\"unix:run\""),
        ("Auth-Server: unix:\r\nAuth-Port: 1\r\n\r\n", "sent invalid server address:\"unix:\""),
        ("Auth-Server: ::1\r\nAuth-Port: 65536\r\n\r\n", "sent invalid server port:\"65536\""),
        ("Auth-Server: 1.2.3\r\nAuth-Port: 1\r\n\r\n", "sent invalid server address:\"1.2.3\""),
        ("Auth-Server: mail\r\nAuth-Port: 0\r\n\r\n", "sent invalid server port:\"0\""),
        ("Auth-Server: ::1\r\nAuth-Port: imap\r\n\r\n", "sent invalid server port:\"imap\""),
    ] {
        let attempt = attempt(Method::Plain, b"user", b"pass");
        for step in 1..=bytes.len() {
            let parsed = parse(bytes.as_bytes(), step);
            let outcome = parsed.and_then(|parsed| parsed.expect("complete").0.reply(Protocol::Imap, &attempt));
            assert_eq!(outcome.unwrap_err().to_string(), error, "in pieces of {step}: {bytes:?}");
        }
    }
}

#[test]
fn imap_and_pop3_need_a_password() {
    let bytes = "Auth-Server: ::1\r\nAuth-Port: 1\r\n\r\n";
    for method in [Method::Apop, Method::CramMd5, Method::External] {
        assert_eq!(reply(Protocol::Pop3, method, bytes), Err(ResponseError::NoPassword));
        assert_eq!(reply(Protocol::Imap, method, bytes), Err(ResponseError::NoPassword));
        let Ok(Reply::Accept(route)) = reply(Protocol::Smtp, method, bytes) else { panic!("{method:?}") };
        assert_eq!(route.password, None);
    }
}

#[test]
fn who_does_not_speak_http_is_told_at_once() {
    for bytes in [&b"\x16\x03\x01"[..], b"* OK", b"+OK", b"HTTQ ", b"a\xff"] {
        assert_eq!(parse(bytes, bytes.len()), Err(ResponseError::Header), "{bytes:?}");
    }
    for bytes in [&b"H"[..], b"HTTP", b"HTTP/\xff", b"Auth-Status: \0", b"\r", b"X\r"] {
        assert_eq!(parse(bytes, bytes.len()), Ok(None), "{bytes:?}");
    }
}

#[test]
fn long_responses() {
    let head = |length: usize| {
        let end = "\r\nAuth-Status: WAIT\r\n\r\n";
        format!("X: {}{end}", "x".repeat(length - 3 - end.len()))
    };
    assert!(parse(head(MAX_RESPONSE).as_bytes(), 1000).unwrap().is_some());
    let whole = parse(format!("{}body", head(MAX_RESPONSE)).as_bytes(), 1 << 20).unwrap();
    assert_eq!(whole.map(|(_, rest)| rest), Some(4));
    for step in [1, 1000, 1 << 20] {
        assert_eq!(parse(head(MAX_RESPONSE + 1).as_bytes(), step), Err(ResponseError::TooLong));
    }
}

#[test]
fn connections_that_can_be_used_again() {
    const OK: &str = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n";
    for (head, body) in [
        (format!("{OK}Content-Length: 12\r\n\r\n"), Some(12)),
        (format!("{OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), Some(1)),
        ("HTTP/1.0 403 No\r\nConnection: x, Keep-Alive\r\nContent-Length: 0\r\n\r\n".into(), Some(0)),
        ("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n".into(), Some(0)),
        (format!("{OK}\r\n"), None),
        (format!("{OK}Connection: close\r\nContent-Length: 1\r\n\r\n"), None),
        (format!("{OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), None),
        (format!("{OK}Content-Length: -1\r\n\r\n"), None),
        (format!("{OK}Transfer-Encoding: x\r\nContent-Length: 1\r\n\r\n"), None),
        (format!("{OK}Content-Length: 1\r\nTransfer-Encoding: x\r\n\r\n"), None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n".into(), None),
        ("HTTP/1.1 100 Continue\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n".into(), None),
        ("Connection: keep-alive\r\nContent-Length: 1\r\n\r\n".into(), None),
    ] {
        let (response, rest) = parse(format!("{head}abc").as_bytes(), 1 << 20).unwrap().unwrap();
        assert_eq!(response.keep_alive(), body, "{head}");
        assert_eq!(rest, 3);
    }
}

const FRAGMENTS: [&[u8]; 24] = [
    b"Auth-Status:",
    b"Auth-Server:",
    b"Auth-Port:",
    b"Auth-User:",
    b"Auth-Pass:",
    b"Auth-Wait:",
    b"Auth-Error-Code:",
    b" ",
    b"OK",
    b"WAIT",
    b"no",
    b"127.0.0.1",
    b"143",
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\x01",
    b"HTTP/1.1 200",
    b"Connection: keep-alive",
    b"\xff",
    b"x",
];

/// Random responses, made of fragments that matter: never a panic, the same outcome in any pieces, and nothing that a
/// client or a mail server is given has a control byte.
#[test]
fn random_responses() {
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 20) as usize
    };
    for _ in 0..20_000 {
        let count = next() % 24;
        let bytes = (0..count).flat_map(|_| FRAGMENTS[next() % FRAGMENTS.len()].to_vec()).collect::<Vec<u8>>();
        let whole = parse(&bytes, bytes.len().max(1));
        match (&whole, parse(&bytes, 1 + next() % 7)) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, &pieces, "{}", bytes.escape_ascii()),
            (Err(_), Err(_)) => {}
            (whole, pieces) => panic!("{whole:?} {pieces:?} {}", bytes.escape_ascii()),
        }
        if let Ok(Some((response, _))) = whole {
            passes_no_control_byte(response);
        }
    }
}

fn passes_no_control_byte(response: Response) {
    let clean = |text: &[u8]| assert!(!text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'));
    match response.reply(Protocol::Imap, &attempt(Method::Plain, b"user", b"pass")) {
        Ok(Reply::Accept(route)) => {
            clean(&route.user);
            clean(route.name.as_bytes());
            clean(route.password.unwrap().expose());
        }
        Ok(Reply::Reject(rejection, _)) => {
            clean(&rejection.text);
            clean(&rejection.code.unwrap_or_default());
        }
        Ok(Reply::Wait(_)) | Err(_) => {}
    }
}
