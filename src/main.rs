//! Gatepost: a mail proxy for IMAP, POP3 and SMTP.
//!
//! Here arguments become an exit code, and no more.

#![allow(unreachable_pub, reason = "in a program `pub` marks what a module offers to the others")]

mod accept;
mod addr;
mod admission;
mod auth;
mod boot;
mod bundle;
mod channel;
mod cli;
mod command;
mod config;
mod directives;
mod event_loop;
mod handshake;
mod inherit;
mod layout;
mod life;
mod listen;
mod log;
mod logins;
mod master;
mod memory;
mod notify;
mod preamble;
mod process;
mod relay;
mod reply;
mod resolver;
mod salt;
mod sandbox;
mod scratch;
mod seldom;
mod service;
mod session;
mod session_log;
mod signals;
mod stream;
mod title;
mod tls;
mod upstream;
mod worker;
mod zones;

use std::process::ExitCode;

use cli::Invocation;
use command::Next;

fn main() -> ExitCode {
    tls::init();
    if std::env::args_os().next().is_some_and(|name| name == title::WORKER) {
        return worker::entry::main();
    }
    match cli::parse(std::env::args_os().skip(1).collect()) {
        Ok(Invocation::Run(options)) => match command::run(&options) {
            Next::Exit(code) => code,
            Next::Serve(boot) => boot::run(*boot),
        },
        Ok(Invocation::Passwd(args)) => auth::users::passwd_command(args),
        Err(message) => {
            command::say(&message);
            ExitCode::FAILURE
        }
    }
}
