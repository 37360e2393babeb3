//! A small mail server for demonstrations and tests: IMAP, POP3 and SMTP on loopback, over one store in memory.
//!
//! ```text
//! mailserver [--imap PORT] [--pop3 PORT] [--smtp PORT] [--address ADDRESS] [--user NAME:PASSWORD]... [--until-eof]
//! ```
//!
//! A port of 0, the default, is any free one. When all three listen, one line on standard output says where:
//! `listening imap=127.0.0.1:40001 pop3=127.0.0.1:40002 smtp=127.0.0.1:40003`. Without `--user` there is one user,
//! `alice` with the password `wonderland`. With `--until-eof` it ends when its standard input does, so that it never
//! outlives the program that started it.
//!
//! What it promises: every line, literal, message and the whole store are bounded, a session that says nothing for
//! half an hour is closed, and no input makes it panic. What it is not: a mail server for real use. It has no TLS and
//! keeps nothing, it believes XCLIENT from anybody, and POP3 does not lock the mailbox.

mod date;
mod header;
mod imap;
mod pop3;
mod sasl;
mod smtp;
mod store;
mod wire;

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;

use lexopt::prelude::*;
use tokio::net::{TcpListener, TcpStream};

use store::Store;
use wire::Wire;

const USAGE: &str = "usage: mailserver [--imap PORT] [--pop3 PORT] [--smtp PORT] [--address ADDRESS] \
                     [--user NAME:PASSWORD]... [--until-eof]";

fn main() -> ExitCode {
    let options = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("mailserver: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailserver: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    address: IpAddr,
    imap: u16,
    pop3: u16,
    smtp: u16,
    users: HashMap<String, String>,
    until_eof: bool,
}

impl Options {
    /// The options, or `None` if help is wanted.
    fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
        let mut options = Options {
            address: Ipv4Addr::LOCALHOST.into(),
            imap: 0,
            pop3: 0,
            smtp: 0,
            users: HashMap::new(),
            until_eof: false,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("address") => options.address = parser.value()?.parse()?,
                Long("imap") => options.imap = parser.value()?.parse()?,
                Long("pop3") => options.pop3 = parser.value()?.parse()?,
                Long("smtp") => options.smtp = parser.value()?.parse()?,
                Long("user") => {
                    let user = parser.value()?.string()?;
                    let (name, password) = user.split_once(':').ok_or("--user wants NAME:PASSWORD")?;
                    options.users.insert(name.to_string(), password.to_string());
                }
                Long("until-eof") => options.until_eof = true,
                Long("help") | Short('h') => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        if options.users.is_empty() {
            options.users.insert("alice".to_string(), "wonderland".to_string());
        }
        Ok(Some(options))
    }
}

fn serve(options: Options) -> io::Result<()> {
    if options.until_eof {
        exit_with_standard_input();
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let imap = TcpListener::bind((options.address, options.imap)).await?;
        let pop3 = TcpListener::bind((options.address, options.pop3)).await?;
        let smtp = TcpListener::bind((options.address, options.smtp)).await?;
        announce(&imap, &pop3, &smtp)?;
        let store = Arc::new(Store::new(options.users));
        tokio::join!(
            accept(imap, store.clone(), imap::session),
            accept(pop3, store.clone(), pop3::session),
            accept(smtp, store, smtp::session),
        );
        Ok(())
    })
}

fn announce(imap: &TcpListener, pop3: &TcpListener, smtp: &TcpListener) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening imap={} pop3={} smtp={}", imap.local_addr()?, pop3.local_addr()?, smtp.local_addr()?)?;
    stdout.flush()
}

/// Ends the process when whoever holds the other end of standard input is gone.
fn exit_with_standard_input() {
    std::thread::spawn(|| {
        // A read error means the same as the end: nobody is there any more.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
}

/// Runs a session for each connection, for ever.
async fn accept<S, F>(listener: TcpListener, store: Arc<Store>, session: S)
where
    S: Fn(Wire, Arc<Store>) -> F,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => spawn(stream, &store, &session),
            Err(error) => {
                eprintln!("mailserver: accept: {error}");
                // Out of descriptors, most likely: some session has to end first.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

fn spawn<S, F>(stream: TcpStream, store: &Arc<Store>, session: &S)
where
    S: Fn(Wire, Arc<Store>) -> F,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    match Wire::new(stream) {
        // A session ends with an error when its client goes away: no news.
        Ok(wire) => drop(tokio::spawn(session(wire, store.clone()))),
        Err(error) => eprintln!("mailserver: {error}"),
    }
}
