//! What happens before the greeting: the PROXY protocol header, the client's host name, the delay.

use gatepost_proto::proxy_protocol::{self, Addresses, Parsed};
use gatepost_proto::{FrontEnd, Output, Protocol};
use zeroize::Zeroizing;

use crate::accept::Accepted;
use crate::addr::Address;
use crate::auth;
use crate::config;
use crate::event_loop::race;
use crate::event_loop::time::timeout_at;
use crate::log::{Context, Errno, Level};
use crate::resolver::{self, Complaint, Host};
use crate::session::{Ended, Front, Session};
use crate::session_log::SessionLog;
use crate::stream::{Socket, Stream};

/// Gets to know the client.
pub async fn begin(accepted: Accepted) -> Result<Box<Session>, Ended> {
    let Accepted { socket, peer, door, number, since, permit, newcomer: _ } = accepted;
    let service = door.services[0].clone();
    let context = Context {
        action: "sending client greeting line",
        client: peer.host(),
        server: door.text.clone(),
        starttls: false,
        login: Vec::new(),
        upstream: None,
    };
    let log = SessionLog::new(service.log.clone(), number, context);
    log.write_bare(Level::Info, format_args!("client {peer} connected to {}", door.text));
    let stream = match Socket::from_accepted(socket) {
        Ok(socket) => Stream::Plain(socket),
        Err(error) => {
            log.write(Level::Crit, format_args!("socket cannot be used{}", Errno(&error)));
            return Err(Ended);
        }
    };
    let deadline = since + service.conf.timeout.min(service.conf.limits.login_timeout);
    let client = auth::Client { address: peer.clone(), host: None, proxy_protocol: None, tls: None };
    let session = Session { stream, door, service, log, client, peer, permit, deadline, since, attempt: None };
    let mut session = Box::new(session);
    if session.door.endpoint.proxy_protocol {
        session.read_proxy_header().await?;
    }
    // Where TLS chooses among servers, it is not known yet whose rules hold.
    if !session.door.endpoint.ssl || session.door.services.len() == 1 {
        session.admit().await?;
    }
    if session.door.endpoint.ssl {
        session.start_tls().await?;
        if session.door.services.len() > 1 {
            session.admit().await?;
        }
    }
    session.look_up_host().await?;
    Ok(session)
}

/// Waits before the greeting (`smtp_greeting_delay`): a client that cannot wait is sent away.
pub async fn delay_greeting(session: &mut Session, front: &mut Front) -> Result<(), Ended> {
    let config::FrontEnd::Smtp { greeting_delay, .. } = session.service.conf.front_end else { return Ok(()) };
    let Front::Smtp(server) = front else { return Ok(()) };
    if greeting_delay.is_zero() {
        return Ok(());
    }
    session.log.context.action = "in delay pipelining state";
    let input = server.input();
    let space = input.space();
    session.allow(greeting_delay);
    match timeout_at(session.deadline, session.stream.receive(space, |bytes| input.push(bytes))).await {
        Err(_) if session.deadline == session.login_end() => Err(session.timed_out().await),
        Err(_) => Ok(()),
        Ok(Ok(1..)) => {
            let mut out = Output::default();
            server.reject_early(&mut out);
            Err(session.farewell(&mut out).await)
        }
        Ok(_) => Err(Ended),
    }
}

impl Session {
    /// Reads the header that every connection by this `listen` begins with. It may come in pieces, within `timeout`.
    async fn read_proxy_header(&mut self) -> Result<(), Ended> {
        self.log.context.action = "reading PROXY protocol";
        let mut header = Zeroizing::new(Vec::new());
        loop {
            let before = header.len();
            let Some(socket) = self.stream.socket() else { return Err(Ended) };
            match timeout_at(self.deadline, socket.peek(&mut header)).await {
                Ok(Ok(0)) => return Err(Ended),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    self.log.write(Level::Info, format_args!("recv() failed{}", Errno(&error)));
                    return Err(Ended);
                }
                Err(_) => return Err(self.timed_out().await),
            }
            match proxy_protocol::parse(&header) {
                Ok(Parsed::NeedMore) => self.stream.skip(header.len() - before).await.map_err(|_| Ended)?,
                Ok(Parsed::Header { length, addresses }) => {
                    self.stream.skip(length - before).await.map_err(|_| Ended)?;
                    self.introduce(addresses);
                    return Ok(());
                }
                Err(error) => {
                    self.log.write(Level::Error, format_args!("{error}"));
                    return Err(Ended);
                }
            }
        }
    }

    fn introduce(&mut self, addresses: Option<Addresses>) {
        let Some(Addresses { source, destination }) = addresses else { return };
        self.client.proxy_protocol = Some((Address::Ip(source), Address::Ip(destination)));
        self.recognise();
    }

    /// Whether a proxy has said whom it speaks for, where nobody is believed in that (`set_real_ip_from`): all its clients seem
    /// to be at one address.
    pub fn is_behind_a_proxy(&self) -> bool {
        self.service.conf.real_ip_from.is_empty() && self.client.proxy_protocol.is_some()
    }

    /// Believes what the PROXY protocol header said of the client, where the server block believes whom it came from
    /// (`set_real_ip_from`).
    pub fn recognise(&mut self) {
        let Some((source, _)) = &self.client.proxy_protocol else { return };
        let is_trusted = self.service.conf.real_ip_from.iter().any(|network| network.contains(&self.peer));
        self.client.address = if is_trusted { source.clone() } else { self.peer.clone() };
        self.log.context.client = self.client.address.host();
    }
}

impl Session {
    /// Finds out what an SMTP client is called (`resolver`).
    pub async fn look_up_host(&mut self) -> Result<(), Ended> {
        if self.service.conf.protocol() != Protocol::Smtp {
            return Ok(());
        }
        let service = self.service.clone();
        let host = match (&service.resolver, self.client.address.ip()) {
            (None, _) => resolver::UNAVAILABLE.to_string(),
            (Some(_), None) => resolver::TEMPUNAVAIL.to_string(),
            (Some(resolver), Some(ip)) => {
                // In a box: few servers have a resolver, and all logins would be as large.
                let look_up = Box::pin(resolver.client_host(ip, service.conf.resolver_timeout));
                let look_up = timeout_at(self.login_end(), look_up);
                let Host { name, complaint } = match race(look_up, left_without_a_word(&self.stream)).await {
                    Ok(Ok(host)) => host,
                    Ok(Err(_)) => return Err(self.timed_out().await),
                    Err(()) => return Err(self.client_gone()),
                };
                if let Some(Complaint { action, message }) = complaint {
                    self.log.context.action = action;
                    self.log.write(Level::Error, format_args!("{message}"));
                }
                name
            }
        };
        self.client.host = Some(host);
        Ok(())
    }
}

/// Waits until the client has gone before it said anything. Of one that uses TLS or has spoken it is not known.
async fn left_without_a_word(stream: &Stream) {
    if let Stream::Plain(socket) = stream
        && let Ok(0) | Err(_) = socket.peek(&mut Zeroizing::default()).await
    {
        return;
    }
    std::future::pending().await
}
