//! nginx's HTTP authentication protocol: the head of the request and of the response, without I/O.
//!
//! The caller sends what [`Request::encode`] gives, feeds what comes back to a [`Parser`], and asks the [`Response`]
//! what to do: [`Response::reply`].
//!
//! What is guaranteed: each header of a request is exactly one line, whatever a client, a PTR record or the
//! configuration put into it; a response is at most [`MAX_RESPONSE`] bytes, may arrive in any pieces, and no control
//! byte of it gets as far as a client or a mail server. Passwords are wiped.
//!
//! Where it differs from nginx: the last line of a request may be `Connection: keep-alive` (nginx's own lines all come
//! before it, unchanged); a response may be longer than 1024 bytes; control bytes in values that are passed on, an
//! empty `Auth-Status` in SMTP (nginx takes that for OK), and an empty part in an IPv4 address (`10..0.1`) are errors;
//! `Auth-Server: unix:/path` is understood, and needs no `Auth-Port`; it may be a host name too, which the caller refuses
//! if it has no resolver; `Auth-SSL-Upstream` is understood; the addresses of a PROXY protocol header come in
//! their usual spelling (nginx repeats the text of version 1: `2001:DB8::05`); `Auth-User` and `Auth-Pass` beside `Auth-Status: WAIT` are not used.

mod address;
mod request;
mod response;

pub use address::{parse_ip, parse_port};
pub use request::{Client, EncodeError, Frame, ProxyProtocol, Request, Tls};
pub use response::{Encryption, MAX_RESPONSE, Parser, Reply, Response, ResponseError, Route, Server};
