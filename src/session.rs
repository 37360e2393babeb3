//! The way of a session, from `accept` to the end of the relay.
//!
//! [`run`] tells it from top to bottom. The login is one future, in a box; when it ends it gives a [`Proxied`], and the box
//! is gone: most sessions are idle relays, and pay for nothing else.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use gatepost_proto::secret::wipe;
use gatepost_proto::{Attempt, FrontEnd, Method, Output, Refusal, Rejection, Step, imap, pop3, smtp};

use crate::accept::{Accepted, Leave, Permit};
use crate::addr::Address;
use crate::auth::{self, Verdict};
use crate::config;
use crate::event_loop::race;
use crate::event_loop::time::{after, now, sleep_until, timeout_at};
use crate::log::Level;
use crate::relay::{End, Limits, Relay, Side};
use crate::service::{Door, Service};
use crate::session_log::SessionLog;
use crate::stream::{ReadFailed, Stream, WriteFailed};
use crate::tls::facts::Facts;
use crate::tls::options::VerifyClient;
use crate::{logins, preamble, upstream};

/// How long the last words may take, even where no time is left.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Lives through one session. The login is in a box, which is gone once it is over: a task keeps the size of its largest
/// state for life.
pub fn run(accepted: Accepted) -> impl Future<Output = ()> {
    // Written where it stays, as a rule: `Box::pin` would move all of it there, and most of it is empty yet.
    let login = Box::into_pin(Box::write(Box::new_uninit(), try_log_in(accepted)));
    async move {
        let Some(proxied) = login.await else { return };
        proxied.relay().await;
    }
}

/// The login, unless the session has to leave before that is done.
async fn try_log_in(accepted: Accepted) -> Option<Proxied> {
    let leave = Leave::of(&accepted);
    let (door, number, peer) = (accepted.door.clone(), accepted.number, accepted.peer.clone());
    let tell_loss = |level, what: &str| tell_loss(&door, number, &peer, level, what);
    let proxied = live(pin!(log_in(accepted)), leave.reason(), tell_loss).await?;
    if !proxied.session.permit.settle() {
        tell_loss(Level::Info, Leave::FOR_ANOTHER);
        return None;
    }
    Some(proxied)
}

/// Logs why a session has to end that had no time to say so itself.
fn tell_loss(door: &Door, number: u64, peer: &Address, level: Level, what: &str) {
    let context = format_args!("client: {peer}, server: {}", door.text);
    door.log().write(level, Some(number), format_args!("{what} while in auth state, {context}"));
}

/// Until the login has come to something, its end has come from elsewhere, or a mistake of ours.
async fn live(
    login: Pin<&mut impl Future<Output = Result<Proxied, Ended>>>,
    must_leave: impl Future<Output = &'static str>,
    tell_loss: impl Fn(Level, &str),
) -> Option<Proxied> {
    match race(unwound(login), must_leave).await {
        Ok(Ok(outcome)) => outcome.ok(),
        Ok(Err(panic)) => {
            tell_loss(Level::Alert, &panic);
            None
        }
        Err(reason) => {
            tell_loss(Level::Info, reason);
            None
        }
    }
}

/// What a future comes to, or what its panic says: a mistake of ours costs the session it happens in, and no other.
async fn unwound<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, String> {
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Poll::Ready(Err(panic_message(&*payload))),
    })
    .await
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("no message"))
}

/// The session ended before it was proxied; whatever was to be said about that has been said and logged.
pub struct Ended;

/// What a session needs to know of itself until it is proxied.
pub struct Session {
    /// The connection to the client.
    pub stream: Stream,
    /// By which `listen` it came.
    pub door: Arc<Door>,
    /// The server block: the first that listens there, until the client asks for another by name (SNI).
    pub service: Arc<Service>,
    /// Where its log lines go.
    pub log: SessionLog,
    /// Who the client is.
    pub client: auth::Client,
    /// Who is at the other end of the connection: the client, or a proxy that speaks for it.
    pub peer: Address,
    /// Its place among the connections.
    pub permit: Permit,
    /// When the client's patience with us, or ours with it, ends: see [`Session::allow`].
    pub deadline: Instant,
    /// When it was accepted.
    pub since: Instant,
    /// The attempt to log in that is under way, where somebody keeps count (`limit_login`).
    pub attempt: Option<logins::Attempt>,
}

async fn log_in(accepted: Accepted) -> Result<Proxied, Ended> {
    let mut session = preamble::begin(accepted).await?;
    let mut front = session.front_end(None)?;
    preamble::delay_greeting(&mut session, &mut front).await?;
    session.greet(&mut front).await?;
    loop {
        let attempt = session.converse(&mut front).await?;
        if let Some(route) = session.authenticate(&mut front, &attempt).await? {
            let (stream, to_client) = upstream::log_in(&mut session, &mut front, attempt, route).await?;
            return Ok(session.proxied(stream, front.take_input(), to_client));
        }
    }
}

/// The front end of a protocol. SMTP alone has a reply before its greeting.
pub enum Front {
    /// IMAP.
    Imap(imap::Server),
    /// POP3.
    Pop3(pop3::Server),
    /// SMTP.
    Smtp(smtp::Server),
}

impl Front {
    /// As the machine every protocol has.
    pub fn machine(&mut self) -> &mut dyn FrontEnd {
        match self {
            Front::Imap(server) => server,
            Front::Pop3(server) => server,
            Front::Smtp(server) => server,
        }
    }

    fn take_input(&mut self) -> Vec<u8> {
        self.machine().input().take()
    }

    /// The challenge that the client was greeted with, and keeps.
    fn challenge(&self) -> Option<String> {
        match self {
            Front::Pop3(server) => server.challenge().map(str::to_owned),
            Front::Imap(_) | Front::Smtp(_) => None,
        }
    }
}

impl Session {
    fn front_end(&self, challenge: Option<String>) -> Result<Front, Ended> {
        let conf = &self.service.conf;
        let salt = match challenge {
            Some(challenge) => challenge,
            None if conf.front_end.challenges() => crate::salt::new(&conf.server_name).ok_or(Ended)?,
            None => String::new(),
        };
        let mut front = match &conf.front_end {
            config::FrontEnd::Imap(options) => Front::Imap(imap::Server::new(options.clone(), salt)),
            config::FrontEnd::Pop3(options) => Front::Pop3(pop3::Server::new(options.clone(), salt)),
            config::FrontEnd::Smtp { options, .. } => Front::Smtp(smtp::Server::new(options.clone(), salt)),
        };
        if self.stream.is_tls() {
            front.machine().tls_started();
        }
        Ok(front)
    }

    async fn greet(&mut self, front: &mut Front) -> Result<(), Ended> {
        self.log.context.action = "sending client greeting line";
        self.allow(self.service.conf.timeout);
        let mut out = Output::default();
        front.machine().greet(&mut out);
        self.log.write(Level::Debug, format_args!("greeting"));
        self.say(&mut out).await
    }

    /// Talks with the client until it gives credentials.
    async fn converse(&mut self, front: &mut Front) -> Result<Box<Attempt>, Ended> {
        self.log.context.action = "in auth state";
        let mut out = Output::default();
        loop {
            let step = front.machine().step(&mut out);
            self.log.set_login(front.machine().user());
            self.say(&mut out).await?;
            match step {
                Step::Input => self.hear(front).await?,
                Step::Authenticate(attempt) => {
                    let (number, method) = (attempt.number, attempt.method.name());
                    self.log.write(Level::Debug, format_args!("login attempt {number}, method {method}"));
                    return Ok(attempt);
                }
                Step::Close => return Err(self.close().await),
                Step::Refuse(refusal) => return Err(self.turn_away(refusal).await),
                Step::StartTls => Box::pin(self.encrypt(front)).await?,
            }
        }
    }

    /// Does what STARTTLS asks for. The name that the client asks for may lead to another server block.
    async fn encrypt(&mut self, front: &mut Front) -> Result<(), Ended> {
        let before = self.service.clone();
        self.log.context.starttls = true;
        self.start_tls().await?;
        if Arc::ptr_eq(&before, &self.service) {
            front.machine().tls_started();
        } else {
            let tally = *front.machine().tally();
            *front = self.front_end(front.challenge())?;
            *front.machine().tally() = tally;
            self.admit().await?;
            self.look_up_host().await?;
        }
        self.log.context.action = "in auth state";
        self.allow(self.service.conf.timeout);
        Ok(())
    }

    /// Asks who the client is. None if it was told to try again.
    async fn authenticate(&mut self, front: &mut Front, attempt: &Attempt) -> Result<Option<auth::Route>, Ended> {
        self.log.context.action = "in http auth state";
        self.weigh(front, attempt).await?;
        if attempt.method == Method::External && self.lacks_certificate() {
            let rejection = Rejection { text: b"No required SSL certificate".to_vec(), code: None };
            return self.reject(front, &rejection, Duration::ZERO, Duration::ZERO).await.map(|()| None);
        }
        let service = self.service.clone();
        let resolver = service.resolver.as_ref().map(|resolver| (resolver, service.conf.resolver_timeout));
        let protocol = service.conf.protocol();
        let request = auth::Request { protocol, attempt, client: &self.client, resolver };
        let asked = timeout_at(self.login_end(), service.auth.authenticate(&request));
        let Ok(verdict) = race(asked, gone(&mut self.stream, front.machine())).await else {
            return Err(self.client_gone());
        };
        match verdict {
            Ok(Ok(Verdict::Accept(route))) => {
                self.log.set_login(&route.user);
                self.admit_user(&route.user).await?;
                Ok(Some(route))
            }
            Ok(Ok(Verdict::Reject { rejection, wait })) => {
                self.log.set_login(&attempt.user);
                let late = self.count_failure(&rejection);
                self.reject(front, &rejection, wait, late).await.map(|()| None)
            }
            Ok(Err(error)) => {
                self.log.write(error.level(), format_args!("{error}"));
                Err(self.internal_error(front.machine()).await)
            }
            Err(_) => {
                // Who begins late enough hears of a failure in no other way.
                self.count_abandoned();
                Err(self.turn_away(Refusal::Late).await)
            }
        }
    }

    /// Whether there is nothing that EXTERNAL could go by, though clients are asked for it. A bad certificate has ended the
    /// session before, but with `optional_no_ca`: there the authentication server looks at it.
    fn lacks_certificate(&self) -> bool {
        let has_one = self.client.tls.as_ref().is_some_and(Facts::has_certificate);
        self.service.verify_client() != VerifyClient::Off && !has_one
    }

    /// Tells the client that its login failed, after `wait` or `late`, whichever is longer. It may try again if there is a
    /// `wait`.
    async fn reject(
        &mut self,
        front: &mut Front,
        rejection: &Rejection,
        wait: Duration,
        late: Duration,
    ) -> Result<(), Ended> {
        let text = gatepost_proto::excerpt(&rejection.text);
        self.log.write(Level::Info, format_args!("client login failed: \"{text}\""));
        let pause = wait.max(late);
        if !pause.is_zero() {
            self.keep_waiting(front.machine(), pause).await?;
        }
        let mut out = Output::default();
        front.machine().reject(rejection, &mut out);
        self.allow(self.service.conf.timeout);
        self.say(&mut out).await?;
        if wait.is_zero() { Err(self.close().await) } else { Ok(()) }
    }

    /// Lets the client wait, unless it leaves.
    pub async fn keep_waiting(&mut self, front: &mut dyn FrontEnd, time: Duration) -> Result<(), Ended> {
        let end = after(time);
        let login_end = self.login_end();
        if race(gone(&mut self.stream, front), sleep_until(end.min(login_end))).await.is_ok() {
            return Err(self.client_gone());
        }
        if end < login_end { Ok(()) } else { Err(self.turn_away(Refusal::Late).await) }
    }

    /// From now on the client, or what is done for it, has so much time, within what is left of `login_timeout`.
    pub fn allow(&mut self, time: Duration) {
        self.deadline = after(time).min(self.login_end());
    }

    /// When `login_timeout` is over.
    pub fn login_end(&self) -> Instant {
        self.since + self.service.conf.limits.login_timeout
    }

    /// Sends what a machine has put out, and logs its notes.
    pub async fn say(&mut self, out: &mut Output) -> Result<(), Ended> {
        for note in out.notes.drain(..) {
            self.log.write(Level::Info, format_args!("{note}"));
        }
        if out.bytes.is_empty() {
            return Ok(());
        }
        let sent = timeout_at(self.deadline, self.stream.send(&out.bytes)).await;
        wipe(&mut out.bytes);
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.log.write(Level::Info, format_args!("{}", WriteFailed(&error)));
                Err(Ended)
            }
            // It takes nothing, so there are no last words.
            Err(_) => Err(self.client_timed_out()),
        }
    }

    /// Reads once.
    async fn hear(&mut self, front: &mut Front) -> Result<(), Ended> {
        let input = front.machine().input();
        let space = input.space();
        match timeout_at(self.deadline, self.stream.receive(space, |bytes| input.push(bytes))).await {
            Ok(Ok(0)) => Err(Ended),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                self.log.write(Level::Info, format_args!("{}", ReadFailed(&error)));
                Err(Ended)
            }
            Err(_) => Err(self.timed_out().await),
        }
    }

    /// Tells the client that something that is not its fault went wrong, and closes.
    pub async fn internal_error(&mut self, front: &mut dyn FrontEnd) -> Ended {
        let mut out = Output::default();
        front.internal_error(&mut out);
        self.farewell(&mut out).await
    }

    /// Says the last words and closes.
    pub async fn farewell(&mut self, out: &mut Output) -> Ended {
        self.deadline = now() + self.service.conf.timeout.min(LAST_WORDS);
        match self.say(out).await {
            Ok(()) => self.close().await,
            Err(ended) => ended,
        }
    }

    /// Closes, so that what was said arrives.
    pub async fn close(&mut self) -> Ended {
        // A client that does not take its last reply in time loses it.
        let _ = timeout_at(self.deadline, self.stream.finish()).await;
        Ended
    }

    /// Ends a session that overstepped a limit. The client is told why, where it can be told anything: where the
    /// connection begins with TLS, not before that, for a handshake is what an attacker would cost us.
    pub async fn turn_away(&mut self, refusal: Refusal) -> Ended {
        let (level, message) = match refusal {
            Refusal::Denied => (Level::Error, "access forbidden by rule"),
            Refusal::Commands => (Level::Warn, "client sent too many commands"),
            Refusal::Late => (Level::Warn, "client did not log in within \"login_timeout\""),
            Refusal::Connections => (Level::Error, "limiting connections"),
            Refusal::FailedLogins => (Level::Error, "limiting logins"),
        };
        self.turn_away_as(refusal, level, message).await
    }

    /// The same, with a message for the log that tells more. Nothing in it may come from outside.
    pub async fn turn_away_as(&mut self, refusal: Refusal, level: Level, message: &str) -> Ended {
        self.log.write_seldom(&self.service.seldom, level, message);
        let hears = match self.stream {
            Stream::Plain(_) => !self.door.endpoint.ssl,
            Stream::Tls(_) => true,
            Stream::Gone => false,
        };
        if !hears {
            return Ended;
        }
        let bytes = refusal.reply(self.service.conf.protocol()).into_bytes();
        self.farewell(&mut Output { bytes, notes: Vec::new() }).await
    }

    /// Ends a session whose deadline has passed: as nginx does without a word, but with one if it is that of the login.
    pub async fn timed_out(&mut self) -> Ended {
        if now() >= self.login_end() {
            return self.turn_away(Refusal::Late).await;
        }
        self.client_timed_out()
    }

    fn client_timed_out(&mut self) -> Ended {
        self.log.write(Level::Info, format_args!("client timed out (110: Connection timed out)"));
        Ended
    }

    /// Logs that the client went away while something was done for it.
    pub fn client_gone(&mut self) -> Ended {
        self.count_abandoned();
        self.log.write(Level::Info, format_args!("client closed connection"));
        Ended
    }

    fn proxied(self: Box<Self>, upstream: Stream, to_upstream: Vec<u8>, to_client: Vec<u8>) -> Proxied {
        Proxied { session: self, upstream, to_upstream, to_client }
    }
}

/// Waits until the client has gone: it closed and left nothing to do. What it sends meanwhile is kept as input while
/// there is room. A client that ended its direction behind pipelined commands has not gone: it waits for their answers.
pub async fn gone(stream: &mut Stream, front: &mut dyn FrontEnd) {
    let input = front.input();
    loop {
        let space = input.space();
        if space == 0 {
            return std::future::pending().await;
        }
        match stream.receive(space, |bytes| input.push(bytes)).await {
            Ok(0) if !input.unread().is_empty() => return std::future::pending().await,
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// A session that is logged in.
pub struct Proxied {
    session: Box<Session>,
    upstream: Stream,
    to_upstream: Vec<u8>,
    to_client: Vec<u8>,
}

impl Proxied {
    /// The task of an idle session: whatever it holds is paid for by each of them. A block, since it holds what it takes
    /// over once, where a function would hold each argument twice.
    fn relay(self) -> impl Future<Output = ()> {
        let Proxied { session, upstream, to_upstream, to_client } = self;
        let limits = Limits { idle: session.service.conf.proxy.timeout, half_closed: session.service.conf.timeout };
        let Session { stream, mut log, permit, .. } = *session;
        log.context.action = "";
        log.write(Level::Info, format_args!("client logged in"));
        log.shrink();
        let mut relay = Relay::new(stream, upstream, to_upstream, to_client, limits);
        async move {
            let run = pin!(relay.run());
            let end = match race(unwound(run), permit.generation().over()).await {
                Ok(end) => end.unwrap_or_else(End::Panicked),
                Err(()) => End::ShutDown,
            };
            tell_end(&mut log, end);
            drop(permit);
        }
    }
}

fn tell_end(log: &mut SessionLog, end: End) {
    match end {
        End::Done => {}
        End::ShutDown => {
            log.context.action = "proxying";
            log.write(Level::Info, format_args!("shutdown timeout"));
            return;
        }
        End::Panicked(panic) => {
            log.context.action = "proxying";
            log.write(Level::Alert, format_args!("{panic}"));
            return;
        }
        End::TimedOut => {
            log.context.action = "proxying";
            log.write(Level::Info, format_args!("client timed out (110: Connection timed out)"));
            return;
        }
        End::Broken(side, error) => {
            let (level, action) = match side {
                Side::Client => (Level::Info, "proxying and reading from client"),
                Side::Upstream => (Level::Error, "proxying and reading from upstream"),
            };
            log.context.action = action;
            log.write(level, format_args!("{}", ReadFailed(&error)));
        }
    }
    log.context.action = "";
    log.write(Level::Info, format_args!("proxied session done"));
}

#[cfg(test)]
mod tests;
