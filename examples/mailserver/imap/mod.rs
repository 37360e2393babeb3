//! IMAP (RFC 3501) as far as ordinary clients need it, with IDLE (RFC 2177), UIDPLUS (RFC 4315) and non-synchronising
//! literals (RFC 7888).
//!
//! Known gaps: a message is one text part to BODYSTRUCTURE whatever its MIME structure, mailboxes have no hierarchy
//! and are never deleted or renamed, SEARCH knows the common keys only.

mod command;
mod fetch;
mod mailbox;
mod search;
mod view;

use std::io;
use std::sync::Arc;

use crate::sasl;
use crate::store::{MESSAGE_LIMIT, Store, User};
use crate::wire::Wire;
use command::{Command, Token};
use view::View;

/// What all literals of one command may hold before login, bytes.
const LITERALS_BEFORE_LOGIN: usize = 4096;
const CAPABILITIES: &str = "IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ IDLE UIDPLUS UNSELECT";

/// Serves one client.
///
/// # Errors
/// When the connection breaks.
pub(crate) async fn session(mut wire: Wire, store: Arc<Store>) -> io::Result<()> {
    wire.send(format!("* OK [CAPABILITY {CAPABILITIES}] sample server ready\r\n").as_bytes()).await?;
    Session { wire, store, user: None, view: None, out: Vec::new() }.run().await
}

struct Session {
    wire: Wire,
    store: Arc<Store>,
    user: Option<Arc<User>>,
    view: Option<View>,
    /// Untagged responses not sent yet.
    out: Vec<u8>,
}

/// How a command ends: `OK`, `NO` or `BAD`, and a text.
type Answer = String;

fn ok() -> Answer {
    "OK done".to_string()
}

fn no(why: &str) -> Answer {
    format!("NO {why}")
}

fn bad() -> Answer {
    "BAD unknown command or wrong arguments".to_string()
}

impl Session {
    async fn run(mut self) -> io::Result<()> {
        loop {
            let literals = if self.user.is_some() { MESSAGE_LIMIT } else { LITERALS_BEFORE_LOGIN };
            let command = match command::read(&mut self.wire, literals).await? {
                Ok(command) => command,
                Err(refusal) => {
                    self.wire.send(refusal.as_bytes()).await?;
                    continue;
                }
            };
            let answer = self.execute(&command).await?;
            self.out.extend(format!("{} {answer}\r\n", command.tag).bytes());
            self.flush().await?;
            if command.name == "LOGOUT" {
                return Ok(());
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.wire.send(&self.out).await?;
        self.out = Vec::new();
        Ok(())
    }

    fn untagged(&mut self, text: &str) {
        self.out.extend(format!("* {text}\r\n").bytes());
    }

    async fn execute(&mut self, command: &Command) -> io::Result<Answer> {
        match command.name.as_str() {
            "CAPABILITY" => {
                self.untagged(&format!("CAPABILITY {CAPABILITIES}"));
                Ok(ok())
            }
            "LOGOUT" => {
                self.untagged("BYE see you");
                Ok(ok())
            }
            "NOOP" | "CHECK" => {
                self.sync();
                Ok(ok())
            }
            _ => match self.user.clone() {
                Some(user) => self.authenticated(&user, command).await,
                None => self.not_authenticated(command).await,
            },
        }
    }

    async fn not_authenticated(&mut self, command: &Command) -> io::Result<Answer> {
        match (command.name.as_str(), &command.arguments[..]) {
            ("LOGIN", [Token::Text(user), Token::Text(password)]) => Ok(self.log_in(user, password)),
            ("AUTHENTICATE", [Token::Text(mechanism), initial @ ..]) if mechanism.eq_ignore_ascii_case(b"PLAIN") => {
                let response = match initial {
                    [Token::Text(response)] => response.clone(),
                    _ => {
                        self.wire.send(b"+ \r\n").await?;
                        self.wire.line().await?
                    }
                };
                Ok(match sasl::plain(&response) {
                    Some((user, password)) => self.log_in(&user, &password),
                    None => "BAD bad base64, or cancelled".to_string(),
                })
            }
            _ => Ok("BAD unknown command, or not before login".to_string()),
        }
    }

    fn log_in(&mut self, user: &[u8], password: &[u8]) -> Answer {
        self.user = self.store.log_in(user, password);
        match self.user {
            Some(_) => format!("OK [CAPABILITY {CAPABILITIES}] logged in"),
            None => no("[AUTHENTICATIONFAILED] wrong user or password"),
        }
    }

    async fn authenticated(&mut self, user: &Arc<User>, command: &Command) -> io::Result<Answer> {
        let arguments = &command.arguments[..];
        match (command.name.as_str(), self.view.is_some()) {
            ("IDLE", _) => self.idle().await,
            ("SELECT", _) => Ok(self.select(user, arguments, false)),
            ("EXAMINE", _) => Ok(self.select(user, arguments, true)),
            ("LIST" | "LSUB", _) => Ok(self.list(user, command)),
            ("STATUS", _) => Ok(self.status(user, arguments)),
            ("CREATE", _) => Ok(self.create(user, arguments)),
            ("SUBSCRIBE" | "UNSUBSCRIBE", _) => Ok(ok()),
            ("APPEND", _) => Ok(self.append(user, arguments)),
            ("UID", true) => match command.without_uid() {
                Some(command) => self.selected(user, &command, true).await,
                None => Ok(bad()),
            },
            (_, true) => self.selected(user, command, false).await,
            (_, false) => Ok("BAD unknown command, or no mailbox selected".to_string()),
        }
    }

    async fn selected(&mut self, user: &Arc<User>, command: &Command, by_uid: bool) -> io::Result<Answer> {
        let arguments = &command.arguments[..];
        match command.name.as_str() {
            "FETCH" => self.fetch(arguments, by_uid).await,
            "STORE" => Ok(self.store_flags(arguments, by_uid)),
            "SEARCH" => Ok(self.search(arguments, by_uid)),
            "COPY" => Ok(self.copy(user, arguments, by_uid)),
            "EXPUNGE" => Ok(self.expunge(by_uid.then_some(arguments))),
            "CLOSE" | "UNSELECT" => {
                if command.name == "CLOSE" {
                    self.expunge(None);
                    self.out.clear();
                }
                self.view = None;
                Ok(ok())
            }
            _ => Ok(bad()),
        }
    }

    /// Tells of changes until the client says DONE.
    async fn idle(&mut self) -> io::Result<Answer> {
        self.wire.send(b"+ idling\r\n").await?;
        loop {
            self.sync();
            self.flush().await?;
            let line = match &mut self.view {
                Some(view) => tokio::select! {
                    line = self.wire.line() => line?,
                    () = view.changed() => continue,
                },
                None => self.wire.line().await?,
            };
            return Ok(if line.eq_ignore_ascii_case(b"DONE") { ok() } else { bad() });
        }
    }

    /// Tells what changed in the selected mailbox since the client was last told.
    fn sync(&mut self) {
        if let Some(view) = &mut self.view {
            self.out.extend(view.sync());
        }
    }
}
