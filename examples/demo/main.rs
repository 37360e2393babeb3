//! `make demo`: Gatepost in front of sample mail servers, tried out before your eyes.
//!
//! ```text
//! demo [--once]
//! ```
//!
//! It starts `mailserver` (the other example) and Gatepost, which it expects where cargo puts them, sends a message
//! through SMTP, reads it back through IMAP and POP3, and shows what was said. Then it says how to connect by hand and
//! runs until INT or TERM; with `--once` it ends there. It exits with status 1 if anything went otherwise than it
//! should. What it started and wrote is gone when it ends.

mod dialogue;
mod site;
mod transcript;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use site::Site;

/// How long the transcript may take.
const DIALOGUE_LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let once = match std::env::args().skip(1).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--once"] => true,
        _ => {
            eprintln!("usage: demo [--once]");
            return ExitCode::from(2);
        }
    };
    match run(once) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(once: bool) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let interrupted = interrupted()?;
        tokio::select! {
            () = interrupted => Ok(()),
            result = demonstrate(once) => result,
        }
    })
}

/// Done when somebody wants the program to end.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

async fn demonstrate(once: bool) -> Result<()> {
    let mut site = Site::start().await?;
    println!("{}", site.introduction()?);
    match tokio::time::timeout(DIALOGUE_LIMIT, dialogue::all(&site)).await {
        Ok(result) => result.with_context(|| format!("what Gatepost logged:\n{}", site.log()))?,
        Err(_) => bail!("no end after {DIALOGUE_LIMIT:?}; what Gatepost logged:\n{}", site.log()),
    }
    println!("\n== Gatepost's log\n{}", site.log());
    println!("The message that went in through SMTP came out through IMAP and POP3.");
    if once {
        return Ok(());
    }
    println!("\n{}", site.by_hand());
    site.until_one_ends().await
}
