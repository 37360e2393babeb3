//! The authentication protocol: what the server answers, and what it is asked.

use std::net::{IpAddr, Ipv4Addr};

use gatepost_proto::auth_http::{
    Client, EncodeError, Frame, MAX_RESPONSE, Parser, Reply, Request, Response, ResponseError, Route, Tls,
};
use gatepost_proto::{Attempt, Dialogue, Envelope, Method, Protocol, Secret, printable};

use crate::canary::{self, CANARY};
use crate::held;
use crate::pieces::{Cut, Fields};

/// What is read of a response: all of it, and the bytes that it takes, or not all of it.
pub(crate) type Read = Result<Option<(Response, usize)>, ResponseError>;

/// Responses of an authentication server. An input is all that it sends.
pub fn reply(input: &[u8]) {
    let [first, others @ ..] = Cut::ways(input);
    let expected = read(input, first);
    for cut in others {
        assert_eq!(read(input, cut), expected, "{cut:?} of {}", printable(input));
    }
    held::at_most(2 * MAX_RESPONSE, || {
        let mut parser = Parser::new();
        (feed(&mut parser, input, Cut::Bytes), parser)
    });
    match expected {
        Err(error) => check_message(&error),
        Ok(None) => assert!(input.len() < MAX_RESPONSE),
        Ok(Some((_, length))) => {
            assert!(length <= input.len().min(MAX_RESPONSE));
            for (protocol, method) in [
                (Protocol::Imap, Method::Plain),
                (Protocol::Pop3, Method::CramMd5),
                (Protocol::Smtp, Method::Plain),
                (Protocol::Smtp, Method::None),
            ] {
                check_verdict(input, protocol, &attempt(method, b"user", b"", b""));
            }
        }
    }
}

/// Reads a response in pieces.
pub(crate) fn read(response: &[u8], cut: Cut) -> Read {
    let mut parser = Parser::new();
    let length = feed(&mut parser, response, cut)?;
    Ok(length.map(|length| (parser.into_response(), length)))
}

/// Gives the response's length, if it is complete.
fn feed(parser: &mut Parser, response: &[u8], cut: Cut) -> Result<Option<usize>, ResponseError> {
    let mut taken = 0;
    for piece in cut.pieces(response) {
        taken += piece.len();
        if let Some(rest) = parser.receive(piece)? {
            return Ok(Some(taken - rest));
        }
    }
    Ok(None)
}

fn check_verdict(input: &[u8], protocol: Protocol, attempt: &Attempt) {
    let Ok(Some((response, _))) = read(input, Cut::Whole) else { panic!("it could be read before") };
    let shown = format!("{response:?}");
    match response.reply(protocol, attempt) {
        Ok(Reply::Accept(route)) => {
            check_route(&route, protocol);
            let is_password = route.password.as_ref().is_some_and(|password| canary::is_in(password.expose()));
            if is_password && input.windows(CANARY.len()).filter(|window| *window == CANARY).count() == 1 {
                assert!(!canary::is_in(format!("{shown} {route:?}")), "the password is in {shown} {route:?}");
            }
        }
        Ok(Reply::Reject(rejection, _)) => {
            check_text(&rejection.text);
            check_text(rejection.code.as_deref().unwrap_or_default());
        }
        Ok(Reply::Wait(_)) => {}
        Err(error) => check_message(&error),
    }
}

fn check_route(route: &Route, protocol: Protocol) {
    check_text(&route.user);
    check_text(route.name.as_bytes());
    match &route.password {
        Some(password) => check_text(password.expose()),
        None => assert_eq!(protocol, Protocol::Smtp, "no password"),
    }
}

/// What reaches a client, a mail server or the log has no control bytes.
fn check_text(text: &[u8]) {
    let fits = text.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    assert!(fits, "control bytes in {}", printable(text));
}

fn check_message(error: &ResponseError) {
    assert!(!error.to_string().contains(['\r', '\n', '\0']), "more than a line: {error:?}");
}

/// Requests to an authentication server.
///
/// An input is a byte that chooses what is known of the client, and fields: user name, password, name in HELO, MAIL, name
/// of the client's address, subject of its certificate, certificate, value of `auth_http_header`.
pub fn request(input: &[u8]) {
    let mut fields = Fields::new(input);
    let bits = fields.byte();
    let methods = [Method::Plain, Method::CramMd5, Method::External, Method::None];
    let method = methods[usize::from(bits & 3)];
    let attempt = attempt(method, fields.next(), fields.next(), fields.next());
    let [mail, host, subject, certificate, value] = [(); 5].map(|()| fields.next());
    let [host, subject, certificate, value] =
        [host, subject, certificate, value].map(|field| String::from_utf8_lossy(field).into_owned());
    let attempt = if method == Method::None { with_mail(attempt, mail) } else { attempt };
    let tls = (bits & 4 != 0).then(|| Tls { subject: &subject, certificate: &certificate, ..Tls::default() });
    let frame = match Frame::new("/auth", "auth.example", &[("X-Extra".to_owned(), value)], true) {
        Ok(frame) => frame,
        Err(error) => return check_refusal(&error),
    };
    let request = Request {
        frame: &frame,
        protocol: Protocol::Smtp,
        attempt: &attempt,
        client: Client { ip: &IpAddr::V4(Ipv4Addr::LOCALHOST).to_string(), host: Some(&host), proxy_protocol: None },
        tls,
    };
    check_request(&request, &["X-Extra", "Connection"]);
}

/// Checks that a request to `/auth` has its headers, `last` behind them, and no other, each on one line.
pub(crate) fn check_request(request: &Request<'_>, last: &[&str]) {
    let head = match request.encode() {
        Ok(head) => head,
        Err(error) => return check_refusal(&error),
    };
    let text = head.expose().strip_suffix(b"\r\n\r\n").expect("a blank line ends the head");
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    assert_eq!(lines.next(), Some(&b"GET /auth HTTP/1.0"[..]));
    let mut names = names(request).into_iter().chain(last.iter().copied());
    for line in lines {
        // nginx escapes and refuses what is below a space, and lets DEL pass.
        let is_one = line.iter().all(|byte| *byte >= b' ' || *byte == b'\t');
        assert!(is_one, "control bytes in {}", printable(line));
        let name = names.next().unwrap_or_else(|| panic!("one more header: {}", printable(line)));
        let value = line.strip_prefix(format!("{name}: ").as_bytes());
        let value = value.unwrap_or_else(|| panic!("not {name}: {}", printable(line)));
        match name {
            "Auth-User" => assert_eq!(unescape(value), request.attempt.user),
            "Auth-Pass" => assert_eq!(unescape(value), request.attempt.password.expose()),
            _ => {}
        }
    }
    assert_eq!(names.next(), None, "a header is missing");
}

fn check_refusal(error: &EncodeError) {
    assert!(!error.to_string().contains(['\r', '\n']), "{error:?}");
}

/// The headers that a request is to have before those of its frame.
fn names<'a>(request: &Request<'a>) -> Vec<&'a str> {
    let method = request.attempt.method;
    let mut names = vec!["Host", "Auth-Method", "Auth-User", "Auth-Pass"];
    names.extend(matches!(method, Method::CramMd5 | Method::Apop).then_some("Auth-Salt"));
    names.extend(["Auth-Protocol", "Auth-Login-Attempt", "Client-IP"]);
    names.extend(request.client.host.filter(|host| !host.is_empty()).map(|_| "Client-Host"));
    if method == Method::None {
        names.extend(["Auth-SMTP-Helo", "Auth-SMTP-From", "Auth-SMTP-To"]);
    }
    if let Some(tls) = &request.tls {
        names.push("Auth-SSL");
        names.extend((!tls.subject.is_empty()).then_some("Auth-SSL-Subject"));
        names.extend((!tls.certificate.is_empty()).then_some("Auth-SSL-Cert"));
    }
    names
}

fn unescape(value: &[u8]) -> Vec<u8> {
    let mut bytes = value.iter();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|digit| char::from(*digit).to_digit(16)).expect("a digit");
        plain.push(if *byte == b'%' { (digit() * 16 + digit()) as u8 } else { *byte });
    }
    plain
}

fn attempt(method: Method, user: &[u8], password: &[u8], helo: &[u8]) -> Attempt {
    Attempt {
        method,
        user: user.to_vec(),
        password: Secret::from(password),
        salt: matches!(method, Method::CramMd5).then(|| crate::setup::SALT.to_owned()),
        number: 1,
        dialogue: Dialogue::Smtp { helo: Some(helo.to_vec()), esmtp: true, envelope: None },
    }
}

fn with_mail(attempt: Attempt, mail: &[u8]) -> Attempt {
    let Dialogue::Smtp { helo, esmtp, .. } = attempt.dialogue else { unreachable!("attempts are made for SMTP") };
    let envelope = Some(Envelope { mail: mail.to_vec(), rcpt: mail.to_vec() });
    Attempt { dialogue: Dialogue::Smtp { helo, esmtp, envelope }, ..attempt }
}
