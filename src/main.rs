//! Gatepost: a mail proxy for IMAP, POP3 and SMTP.

#![allow(unreachable_pub, reason = "in a program `pub` marks what a module offers to the others")]

mod addr;
mod auth;
mod cli;
mod command;
mod config;
mod directives;
mod layout;
mod log;
mod real_ip;
mod resolver;

use std::process::ExitCode;

use cli::Invocation;
use command::Next;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1).collect()) {
        Ok(Invocation::Run(options)) => match command::run(&options) {
            Next::Exit(code) => code,
            Next::Serve(_) => ExitCode::FAILURE,
        },
        Ok(Invocation::Passwd(args)) => auth::users::passwd_command(args),
        Err(message) => {
            eprintln!("gatepost: {message}");
            ExitCode::FAILURE
        }
    }
}
