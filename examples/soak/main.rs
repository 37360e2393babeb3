//! `make soak`: Gatepost under everything at once, for as long as one likes.
//!
//! Clients of all protocols come again and again, with TLS, STARTTLS and neither, polite ones and others. Some meet servers
//! that fail at one point of their session; now and then all servers of a kind fail for a while, the configuration and the
//! certificate are renewed, and the worker is killed. Who meets none of that must be served, a second after it has ended
//! too. Every byte that is relayed is checked against what was sent, and at the end nothing may be left of all sessions.
//!
//! Environment: `SOAK_SECONDS` (600), `SOAK_SEED` (what chance is made of; it is printed, so that a run can be repeated),
//! `SOAK_CLIENTS` (400), `SOAK_CALM` (nothing fails), `GATEPOST` (binary).

mod auth;
mod client;
mod events;
mod gatepost;
#[allow(dead_code, reason = "the benchmark uses the rest")]
#[path = "../bench/lines.rs"]
mod lines;
#[allow(dead_code, reason = "the benchmark uses the rest")]
#[path = "../bench/machine.rs"]
mod machine;
mod mail;
mod options;
mod pattern;
mod peer;
mod random;
mod report;
mod servers;
mod site;
#[path = "../bench/stream.rs"]
mod stream;
mod tally;
#[path = "../bench/tls.rs"]
mod tls;
mod usage;
mod weather;
#[allow(dead_code, reason = "the benchmark uses the rest")]
#[path = "../bench/wire.rs"]
mod wire;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::sleep;

use client::{Manner, Session};
use options::Options;
use random::Random;
use report::Report;
use site::Site;
use weather::Plan;

fn main() -> ExitCode {
    match run() {
        Ok(report) => {
            print!("{}", report.table());
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Report> {
    let options = Options::from_environment()?;
    println!("seed {}", options.seed);
    Builder::new_current_thread().enable_all().build()?.block_on(soak(&options))
}

async fn soak(options: &Options) -> Result<Report> {
    let site = Arc::new(Site::start(&options.gatepost).await?);
    let begin = Instant::now();
    let end = begin + options.time;
    let next = Arc::new(AtomicU64::new(0));
    // Somebody is served first, so that the worker has begun.
    let mut random = Random::new(options.seed);
    site.visit(&Session::any(next.fetch_add(1, Ordering::Relaxed), None, &mut random)).await;
    let before = site.gatepost.read().await.at_rest().await?;
    let mut visitors = JoinSet::new();
    for _ in 0..options.clients {
        let (site, next, random) = (site.clone(), next.clone(), Random::new(random.next()));
        visitors.spawn(visit(site, next, random, end, options.calm));
    }
    let survived = if options.calm { events::Survived::new() } else { events::until(end, &site, random).await? };
    while visitors.join_next().await.is_some() {}
    let counts = site.tally.now();
    let gatepost = site.gatepost.read().await;
    let after = gatepost.settled(&before).await?;
    if counts.errors() > 0 {
        let log = std::env::temp_dir().join(format!("gatepost-soak-{}.log", options.seed));
        std::fs::write(&log, gatepost.said())?;
        eprintln!("{}\nThe whole log is in {}.", gatepost.said_of(&counts.mistakes), log.display());
    }
    let alarming = gatepost.alarming();
    drop(gatepost);
    let site = Arc::into_inner(site).context("somebody is still there")?;
    let still = site.servers.weather.still();
    let quits = site.gatepost.into_inner().quit().await.is_ok();
    Ok(Report { seed: options.seed, time: begin.elapsed(), counts, survived, still, before, after, alarming, quits })
}

/// A client that comes again and again.
async fn visit(site: Arc<Site>, next: Arc<AtomicU64>, mut random: Random, end: Instant, calm: bool) {
    let plans = Plan::all();
    // Not all at once.
    sleep(random.millis(0, 2000)).await;
    while Instant::now() + Duration::from_secs(1) < end {
        let plan = (!calm && random.one_in(10)).then(|| random.pick(&plans));
        let mut session = Session::any(next.fetch_add(1, Ordering::Relaxed), plan, &mut random);
        if plan.is_none() && random.one_in(3) {
            session.manner = random.pick(&Manner::ALL);
        }
        session.messages = random.below(5);
        if plan.is_some() {
            session.messages += 1;
        }
        session.pause = 1 + random.below(1000);
        site.visit(&session).await;
        sleep(random.millis(10, 1000)).await;
    }
}
