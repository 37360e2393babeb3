//! `make bench`: what Gatepost costs beside nginx, on loopback, in one run.
//!
//! Both get the same configuration, in front of the same authentication server and mail servers, which are parts of this
//! program, like the clients. The proxy under test has one CPU, the load has another. Every scenario starts a proxy of
//! its own, warms it up, and is repeated, nginx and Gatepost in turn, so that a machine that gets slower meanwhile is the
//! same to both. What it found stands in a table on standard output, and as `bench.json` and `bench.svg` in a directory.
//!
//! The figures to trust are CPU time an operation and bytes a session: they are sums over all processes of a proxy, and
//! depend little on what else the machine does. Rates and latencies are those of proxy, load and loopback together.
//!
//! Environment: `NGINX`, `GATEPOST` (binaries), `QUICK` (a minute instead of ten), `ONLY` (scenarios whose names contain
//! it), `OUT` (directory).

mod client;
mod json;
mod lines;
mod machine;
mod measure;
mod options;
mod plan;
mod plot;
mod proxy;
mod report;
mod servers;
mod stats;
mod stream;
mod tls;
mod tree;
mod wire;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::runtime::Builder;

use client::Clients;
use machine::Cpus;
use measure::Bench;
use options::Options;
use plan::Scenario;
use proxy::{Proxy, Site, Subject};
use report::Report;
use servers::Servers;
use tls::Certificates;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = Options::from_environment()?;
    let cpus = Cpus::find()?;
    cpus.enter_load()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(compare(&options, cpus))?;
    print!("{}", report.table());
    fs::create_dir_all(&options.out)?;
    fs::write(options.out.join("bench.json"), json::of(&report))?;
    fs::write(options.out.join("bench.svg"), plot::of(&report))?;
    println!("\n{0}/bench.json and {0}/bench.svg hold the same.", options.out.display());
    Ok(())
}

async fn compare(options: &Options, cpus: Cpus) -> Result<Report> {
    let begin = Instant::now();
    let subjects = [Subject::new("nginx", &options.nginx)?, Subject::new("Gatepost", &options.gatepost)?];
    let (servers, clients) = (Arc::new(Servers::start().await?), Arc::new(Clients::new()?));
    let site = Site {
        descriptors: machine::raise_descriptor_limit()?,
        auth: servers.auth,
        certificates: Certificates::make()?,
        module: subjects[0].module(),
        cpus,
    };
    let mut report = Report::new(&subjects, machine::describe(&site.cpus, site.descriptors));
    let mut scenarios = plan::scenarios(options.quick, site.descriptors);
    scenarios.retain(|scenario| scenario.name.contains(&options.only));
    if scenarios.is_empty() {
        bail!("no scenario is called so");
    }
    for scenario in &scenarios {
        eprintln!("{:4} s  {}", begin.elapsed().as_secs(), scenario.name);
        for round in 0..scenario.rounds {
            // The one that goes first changes.
            for index in [round % 2, 1 - round % 2] {
                let context = || format!("{}: {}", subjects[index].name, scenario.name);
                let measured = put_through(&subjects[index], scenario, &site, &clients, &servers).await;
                report.add(scenario, index, &measured.with_context(context)?);
            }
        }
    }
    report.end(begin.elapsed(), site.cpus.suffice_for(2));
    Ok(report)
}

async fn put_through(
    subject: &Subject,
    scenario: &Scenario,
    site: &Site,
    clients: &Arc<Clients>,
    servers: &Arc<Servers>,
) -> Result<Vec<measure::Measure>> {
    let proxy = Arc::new(Proxy::start(subject, site, scenario.workers, clients).await?);
    let bench = Bench { clients: clients.clone(), servers: servers.clone(), proxy: proxy.clone() };
    let measured = bench.run(scenario.load).await;
    measured.with_context(|| format!("it logged: {}", proxy.said()))
}
