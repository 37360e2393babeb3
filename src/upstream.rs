//! The way to the mail server: connect, PROXY protocol header, TLS, login.
//!
//! Where TLS is wanted, from the first byte or by STARTTLS, nothing of the login is sent before the mail server has proved
//! who it is.

mod connect;

use std::future::Future;
use std::io;

use gatepost_proto::secret::wipe;
use gatepost_proto::{
    Attempt, BackEnd, Dialogue, DialogueError, FrontEnd, Method, Output, Progress, Refusal, imap, pop3, smtp,
};

use self::connect::Destination;
use crate::auth::Route;
use crate::config::ProxyProtocol;
use crate::event_loop::race;
use crate::event_loop::time::{now, timeout_at};
use crate::log::{Errno, Level};
use crate::session::{Ended, Front, Session, gone};
use crate::stream::{ReadFailed, Stream, WriteFailed};
use crate::tls;
use crate::tls::options::UpstreamTls;

/// What the log says is being done until the mail server is there.
const CONNECTING: &str = "connecting to upstream";

/// Connects to where `route` says and logs in as it says. Gives the connection, and what the client is told.
///
/// The whole of it is bounded by `timeout`, and ends at once when the client goes away.
pub async fn log_in(
    session: &mut Session,
    front: &mut Front,
    attempt: Box<Attempt>,
    mut route: Route,
) -> Result<(Stream, Vec<u8>), Ended> {
    session.allow(session.service.conf.timeout);
    let front = front.machine();
    let tls = route.tls.unwrap_or(session.service.conf.proxy.ssl);
    // With another password it is the authentication server that has found the client's good.
    if route.password.as_ref() != Some(&attempt.password) {
        session.nobody_is_asked();
    }
    let mut back = match back_end(session, *attempt, &mut route, tls == UpstreamTls::StartTls) {
        Ok(back) => back,
        Err(error) => return Err(refused(session, front, error).await),
    };
    session.log.context.upstream = Some(std::mem::take(&mut route.name));
    let speaks_first = tls != UpstreamTls::On && session.service.conf.proxy.proxy_protocol == ProxyProtocol::Off;
    let (mut stream, destination) = connect::connect(session, front, &route, speaks_first).await?;
    connect::send_proxy_protocol(session, front, &mut stream).await?;
    if tls == UpstreamTls::On {
        Box::pin(connect::encrypt(session, front, &mut stream, &destination)).await?;
    }
    match converse(session, front, &mut stream, back.as_mut(), &destination).await? {
        Ok(to_client) => {
            session.count_success(&route.user);
            Ok((stream, to_client))
        }
        Err(error) => {
            session.permit.places.release_user();
            if back.is_bad_login(&error) {
                drop(stream);
                let late = session.count_bad_login();
                if !late.is_zero() {
                    session.keep_waiting(front, late).await?;
                }
            }
            Err(refused(session, front, error).await)
        }
    }
}

/// The machine that logs in.
fn back_end(
    session: &Session,
    attempt: Attempt,
    route: &mut Route,
    starttls: bool,
) -> Result<Box<dyn BackEnd>, DialogueError> {
    let conf = &session.service.conf;
    let buffer = conf.proxy.buffer;
    let user = route.user.clone();
    let password = route.password.take();
    Ok(match attempt.dialogue {
        Dialogue::Imap { tag } => {
            let password = password.ok_or(DialogueError::NoPassword)?;
            Box::new(imap::Client::new(tag, user, password, buffer).with_starttls(starttls))
        }
        Dialogue::Pop3 => {
            let password = password.ok_or(DialogueError::NoPassword)?;
            Box::new(pop3::Client::new(&user, &password, buffer)?.with_starttls(starttls))
        }
        Dialogue::Smtp { helo, esmtp, envelope } => {
            debug_assert_eq!(envelope.is_some(), attempt.method == Method::None);
            Box::new(smtp::Client::new(smtp::Login {
                server_name: conf.server_name.clone(),
                starttls,
                xclient: conf.proxy.xclient,
                client_address: session.client.address.ip(),
                client_host: session.client.host.clone().unwrap_or_default(),
                user,
                password,
                smtp_auth: conf.proxy.smtp_auth,
                helo,
                esmtp,
                envelope,
                buffer,
            })?)
        }
    })
}

/// Runs the login dialogue. The outer error is the session's end, the inner one the mail server's refusal.
async fn converse(
    session: &mut Session,
    front: &mut dyn FrontEnd,
    stream: &mut Stream,
    back: &mut dyn BackEnd,
    destination: &Destination,
) -> Result<Result<Vec<u8>, DialogueError>, Ended> {
    let mut out = Output::default();
    let mut is_open = destination.is_open;
    // The greeting is.
    let mut asked_for = 1;
    loop {
        // Until it answers, the mail server is still being told.
        session.log.context.action = back.action();
        let mut progress = Ok(Progress::More);
        let receive = stream.receive(usize::MAX, |bytes| progress = back.receive(bytes, &mut out));
        let received = unless_gone(session, front, receive).await?;
        if received.is_some() {
            session.log.context.action = "reading response from upstream";
        }
        match received {
            Some(Ok(0)) => {
                session.log.write(Level::Error, format_args!("upstream closed connection"));
                return Err(session.internal_error(front).await);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) if is_open && !was_connected(&error) => {
                session.log.context.action = CONNECTING;
                session.log.write(Level::Error, format_args!("connect() failed{}", Errno(&error)));
                return Err(session.internal_error(front).await);
            }
            Some(Err(error)) => {
                session.log.write(Level::Error, format_args!("{}", ReadFailed(&error)));
                return Err(session.internal_error(front).await);
            }
            None => return Err(timed_out(session, front).await),
        }
        is_open = false;
        // Whoever has said more than was asked is not believed in what he said.
        if back.answers() > asked_for {
            progress = Err(DialogueError::Unasked);
        }
        match progress {
            Err(error) => return Ok(Err(error)),
            Ok(Progress::Done { to_client }) => return Ok(Ok(to_client)),
            Ok(Progress::More) => {}
            Ok(Progress::StartTls) => {
                Box::pin(connect::encrypt(session, front, stream, destination)).await?;
                back.tls_started(&mut out);
            }
        }
        if !out.bytes.is_empty() {
            asked_for += 1;
            session.log.context.action = back.action();
            session.log.write(Level::Debug, format_args!("{} bytes for upstream", out.bytes.len()));
            let sent = send(session, front, stream, &out.bytes).await;
            wipe(&mut out.bytes);
            sent?;
        }
    }
}

/// Whether a connection broke, and not the attempt to make one, where the first read tells of either.
fn was_connected(error: &io::Error) -> bool {
    tls::reason(error).is_some() || error.kind() == io::ErrorKind::ConnectionReset
}

async fn send(session: &mut Session, front: &mut dyn FrontEnd, stream: &mut Stream, bytes: &[u8]) -> Result<(), Ended> {
    match unless_gone(session, front, stream.send(bytes)).await? {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => {
            session.log.write(Level::Error, format_args!("{}", WriteFailed(&error)));
            Err(session.internal_error(front).await)
        }
        None => Err(timed_out(session, front).await),
    }
}

/// Does `work` until the deadline, whose passing gives None, and unless the client goes away.
async fn unless_gone<T>(
    session: &mut Session,
    front: &mut dyn FrontEnd,
    work: impl Future<Output = T>,
) -> Result<Option<T>, Ended> {
    let deadline = session.deadline;
    match race(timeout_at(deadline, work), gone(&mut session.stream, front)).await {
        Ok(done) => Ok(done.ok()),
        Err(()) => Err(session.client_gone()),
    }
}

async fn timed_out(session: &mut Session, front: &mut dyn FrontEnd) -> Ended {
    session.log.write(Level::Error, format_args!("upstream timed out (110: Connection timed out)"));
    if now() >= session.login_end() {
        session.count_abandoned();
        return session.turn_away(Refusal::Late).await;
    }
    session.internal_error(front).await
}

/// Logs why the mail server did not let the user in, and tells the client: the server's own words with
/// `proxy_pass_error_message on`.
async fn refused(session: &mut Session, front: &mut dyn FrontEnd, error: DialogueError) -> Ended {
    match error {
        DialogueError::Refused { reply } if session.service.conf.proxy.pass_error_message => {
            let text = gatepost_proto::excerpt(&reply);
            session.log.write(Level::Info, format_args!("upstream sent invalid response: \"{text}\""));
            session.farewell(&mut Output { bytes: reply, notes: Vec::new() }).await
        }
        error => {
            session.log.write(Level::Error, format_args!("{error}"));
            session.internal_error(front).await
        }
    }
}
