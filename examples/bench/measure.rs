//! Putting one proxy that runs through one scenario.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::client::{Client, Clients};
use crate::plan::{COMMAND_CPU, GIGABYTE_CPU, LOGIN_CPU, Load, P50, P99, SESSION_MEMORY};
use crate::proxy::Proxy;
use crate::servers::Servers;
use crate::stats::percentile;
use crate::wire::{Protocol, Security};

/// How many clients log in at the same time.
const CROWD: usize = 64;
/// How many logins come before anything is measured.
const WARM_UP: usize = 16;
/// How many sessions move bulk at the same time.
const BULK_SESSIONS: usize = 4;
/// The smaller of the two numbers of idle sessions that are compared.
const FEW: usize = 1000;
/// How long a proxy may take until it gives memory back.
const GRACE: Duration = Duration::from_secs(10);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(10);
/// How long sessions are idle before their memory is looked at: what logins took is given back by then, if ever.
const IDLE: Duration = Duration::from_millis(1500);

/// A figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
}

fn measure(what: &'static str, unit: &'static str, value: f64) -> Measure {
    Measure { what, unit, value }
}

/// A proxy, and all that is around it.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) clients: Arc<Clients>,
    pub(crate) servers: Arc<Servers>,
    pub(crate) proxy: Arc<Proxy>,
}

/// What some work took.
struct Cost {
    cpu: Duration,
    elapsed: Duration,
}

impl Cost {
    fn microseconds_each(&self, count: usize) -> f64 {
        microseconds(self.cpu) / count.max(1) as f64
    }

    fn rate(&self, count: usize) -> f64 {
        count as f64 / self.elapsed.as_secs_f64()
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn megabytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

impl Bench {
    pub(crate) async fn run(&self, load: Load) -> Result<Vec<Measure>> {
        let work = async {
            self.warm_up(load).await?;
            match load {
                Load::Logins { protocol, security, time } => self.logins(protocol, security, time).await,
                Load::Pace { security, rate, time } => self.pace(security, rate, time).await,
                Load::Idle { security, sessions } => self.idle(security, sessions).await,
                Load::Hold { sessions, time } => self.hold(sessions, time).await,
                Load::Bulk { security, upload, length } => self.bulk(security, upload, length).await,
                Load::Commands { security, sessions, time } => self.commands(security, sessions, time).await,
                Load::Connects { clients, time } => self.connects(clients, time).await,
                Load::Waves { sessions, times } => self.waves(sessions, times).await,
            }
        };
        timeout(PATIENCE, work).await.context("no end")?
    }

    /// Some logins, so that what is made at the first use is there. Few, and one after the other unless logins are what is
    /// measured, so that no memory is left behind, or has to be given back.
    async fn warm_up(&self, load: Load) -> Result<()> {
        let (protocol, security) = match load {
            Load::Logins { protocol, security, .. } => (protocol, security),
            Load::Pace { security, .. }
            | Load::Idle { security, .. }
            | Load::Bulk { security, .. }
            | Load::Commands { security, .. } => (Protocol::Imap, security),
            Load::Hold { .. } | Load::Connects { .. } | Load::Waves { .. } => (Protocol::Imap, Security::Plain),
        };
        if security == Security::Resumed {
            self.clients.obtain_session(&self.proxy, protocol).await?;
        }
        let at_once = if matches!(load, Load::Logins { .. }) { WARM_UP } else { 1 };
        crowd(at_once, |_| {
            let bench = self.clone();
            async move {
                for _ in 0..WARM_UP / at_once {
                    bench.log_in(protocol, security).await?.close().await?;
                }
                Ok(())
            }
        })
        .await?;
        self.quiet().await
    }

    async fn logins(&self, protocol: Protocol, security: Security, time: Duration) -> Result<Vec<Measure>> {
        let (count, cost) = self.repeat_logins(protocol, security, time).await?;
        Ok(vec![measure(LOGIN_CPU, "µs", cost.microseconds_each(count)), measure("logins", "1/s", cost.rate(count))])
    }

    async fn repeat_logins(&self, protocol: Protocol, security: Security, time: Duration) -> Result<(usize, Cost)> {
        let (counts, cost) = self
            .cost(crowd(CROWD, |_| {
                let bench = self.clone();
                async move {
                    let (begin, mut count) = (Instant::now(), 0);
                    while begin.elapsed() < time {
                        bench.log_in(protocol, security).await?.close().await?;
                        count += 1;
                    }
                    Ok(count)
                }
            }))
            .await?;
        Ok((counts.into_iter().sum(), cost))
    }

    async fn pace(&self, security: Security, rate: u32, time: Duration) -> Result<Vec<Measure>> {
        let mut beat = interval(Duration::from_secs(1) / rate);
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (begin, mut logins) = (Instant::now(), JoinSet::new());
        while begin.elapsed() < time {
            beat.tick().await;
            let bench = self.clone();
            logins.spawn(async move {
                let begin = Instant::now();
                let client = bench.log_in(Protocol::Imap, security).await?;
                let latency = begin.elapsed();
                client.close().await?;
                anyhow::Ok(microseconds(latency))
            });
        }
        let latencies: Result<Vec<f64>> = logins.join_all().await.into_iter().collect();
        Ok(latency_measures(&latencies?))
    }

    async fn idle(&self, security: Security, sessions: usize) -> Result<Vec<Measure>> {
        let before = self.memory()?;
        let mut clients = self.open(security, sessions.min(FEW)).await?;
        sleep(IDLE).await;
        let few = (self.memory()? - before) / clients.len() as f64;
        clients.extend(self.open(security, sessions - clients.len()).await?);
        sleep(IDLE).await;
        let many = (self.memory()? - before) / clients.len() as f64;
        let lost = self.close(clients).await?;
        Ok(vec![
            measure(SESSION_MEMORY, "KB", many / 1024.0),
            measure("the same at 1,000", "KB", few / 1024.0),
            measure("memory without sessions", "MB", megabytes(before)),
            measure("sessions lost", "", lost as f64),
        ])
    }

    async fn hold(&self, sessions: usize, time: Duration) -> Result<Vec<Measure>> {
        let second = Duration::from_secs(1);
        let (count, cost) = self.repeat_logins(Protocol::Imap, Security::Plain, second).await?;
        let alone = measure("logins, no other session", "1/s", cost.rate(count));
        let clients = self.open(Security::Plain, sessions).await?;
        let nothing = async {
            sleep(time).await;
            Ok(())
        };
        let ((), kept) = self.cost_of(nothing).await?;
        let (count, cost) = self.repeat_beside(sessions, second).await?;
        let lost = self.close(clients).await?;
        Ok(vec![
            measure("sessions lost", "", lost as f64),
            measure("CPU of the whole minute", "ms", microseconds(kept.cpu) / 1e3),
            alone,
            measure("logins beside the sessions", "1/s", cost.rate(count)),
            measure("CPU a login beside them", "µs", cost.microseconds_each(count)),
        ])
    }

    /// [`Bench::repeat_logins`] while that many other sessions stay.
    async fn repeat_beside(&self, sessions: usize, time: Duration) -> Result<(usize, Cost)> {
        self.servers.ignore(sessions);
        let outcome = self.repeat_logins(Protocol::Imap, Security::Plain, time).await;
        self.servers.ignore(0);
        outcome
    }

    async fn bulk(&self, security: Security, upload: bool, length: usize) -> Result<Vec<Measure>> {
        let each = length / BULK_SESSIONS;
        let (_, cost) = self
            .cost(crowd(BULK_SESSIONS, |_| {
                let bench = self.clone();
                async move {
                    let mut client = bench.log_in(Protocol::Imap, security).await?;
                    if upload {
                        client.upload(each).await?
                    } else {
                        client.download(each).await?
                    }
                    client.close().await
                }
            }))
            .await?;
        let gigabytes = (each * BULK_SESSIONS) as f64 / 1e9;
        Ok(vec![
            measure(GIGABYTE_CPU, "s", cost.cpu.as_secs_f64() / gigabytes),
            measure("throughput", "GB/s", gigabytes / cost.elapsed.as_secs_f64()),
        ])
    }

    async fn commands(&self, security: Security, sessions: usize, time: Duration) -> Result<Vec<Measure>> {
        let clients = self.open(security, sessions).await?;
        self.quiet_proxy().await?;
        let work = async {
            let mut tasks = JoinSet::new();
            for client in clients {
                tasks.spawn(repeat_command(client, time));
            }
            tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()
        };
        let (latencies, cost) = self.cost_of(work).await?;
        let (clients, latencies): (Vec<Client>, Vec<Vec<f64>>) = latencies.into_iter().unzip();
        let latencies = latencies.concat();
        self.close(clients).await?;
        let mut all = vec![
            measure(COMMAND_CPU, "µs", cost.microseconds_each(latencies.len())),
            measure("commands", "1/s", cost.rate(latencies.len())),
        ];
        all.extend(latency_measures(&latencies));
        Ok(all)
    }

    async fn connects(&self, clients: usize, time: Duration) -> Result<Vec<Measure>> {
        let (latencies, cost) = self
            .cost(crowd(clients, |_| {
                let bench = self.clone();
                async move {
                    let (begin, mut latencies) = (Instant::now(), Vec::new());
                    while begin.elapsed() < time {
                        let connect = Instant::now();
                        let greeted = bench.clients.greeted(&bench.proxy, Protocol::Imap, Security::Plain);
                        let client = greeted.await?;
                        latencies.push(microseconds(connect.elapsed()));
                        client.close().await?;
                    }
                    Ok(latencies)
                }
            }))
            .await?;
        let latencies = latencies.concat();
        let mut all = vec![
            measure("CPU a connection", "µs", cost.microseconds_each(latencies.len())),
            measure("connections", "1/s", cost.rate(latencies.len())),
        ];
        all.extend(latency_measures(&latencies));
        Ok(all)
    }

    async fn waves(&self, sessions: usize, times: usize) -> Result<Vec<Measure>> {
        let (before, mut highest) = (self.memory()?, 0.0_f64);
        for _ in 0..times {
            let clients = self.open(Security::Plain, sessions).await?;
            highest = highest.max(self.memory()?);
            self.close(clients).await?;
        }
        sleep(GRACE).await;
        Ok(vec![
            measure("memory before", "MB", megabytes(before)),
            measure("memory at the height", "MB", megabytes(highest)),
            measure("memory 10 s after", "MB", megabytes(self.memory()?)),
        ])
    }

    async fn log_in(&self, protocol: Protocol, security: Security) -> Result<Client> {
        self.clients.log_in(&self.proxy, protocol, security).await
    }

    /// Opens that many IMAP sessions.
    async fn open(&self, security: Security, sessions: usize) -> Result<Vec<Client>> {
        let opened = crowd(CROWD, |index| {
            let bench = self.clone();
            let share = sessions / CROWD + usize::from(index < sessions % CROWD);
            async move {
                let mut clients = Vec::with_capacity(share);
                for _ in 0..share {
                    clients.push(bench.log_in(Protocol::Imap, security).await?);
                }
                Ok(clients)
            }
        });
        Ok(opened.await?.into_iter().flatten().collect())
    }

    /// Closes sessions, each after a last command. Gives how many of them did not answer it.
    async fn close(&self, clients: Vec<Client>) -> Result<usize> {
        let mut lost = 0;
        for mut client in clients {
            lost += usize::from(client.noop().await.is_err());
            client.close().await?;
        }
        self.quiet().await?;
        Ok(lost)
    }

    /// What some work took, the end of all its sessions included.
    async fn cost<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, Cost)> {
        let (begin, before) = (Instant::now(), self.proxy.tree().cpu()?);
        let outcome = work.await?;
        let elapsed = begin.elapsed();
        self.quiet().await?;
        Ok((outcome, Cost { cpu: self.proxy.tree().cpu()? - before, elapsed }))
    }

    /// What some work took while sessions stay.
    async fn cost_of<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, Cost)> {
        let (begin, before) = (Instant::now(), self.proxy.tree().cpu()?);
        let outcome = work.await?;
        Ok((outcome, Cost { cpu: self.proxy.tree().cpu()? - before, elapsed: begin.elapsed() }))
    }

    fn memory(&self) -> Result<f64> {
        Ok(self.proxy.tree().memory()? as f64)
    }

    /// Waits until no session is left, and the proxy has nothing more to do.
    async fn quiet(&self) -> Result<()> {
        self.servers.idle().await?;
        self.quiet_proxy().await
    }

    /// Waits until the proxy's CPU time stands still, but not for long: it may have something to do of its own.
    async fn quiet_proxy(&self) -> Result<()> {
        let mut before = self.proxy.tree().cpu()?;
        for _ in 0..50 {
            sleep(LOOK).await;
            let now = self.proxy.tree().cpu()?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(())
    }
}

/// Runs something in that many tasks, each with its index.
async fn crowd<T, F>(count: usize, work: impl Fn(usize) -> F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for index in 0..count {
        tasks.spawn(work(index));
    }
    tasks.join_all().await.into_iter().collect()
}

/// Gives the client back, and how long each answer took.
async fn repeat_command(mut client: Client, time: Duration) -> Result<(Client, Vec<f64>)> {
    let (begin, mut latencies) = (Instant::now(), Vec::new());
    while begin.elapsed() < time {
        let command = Instant::now();
        client.noop().await?;
        latencies.push(microseconds(command.elapsed()));
    }
    Ok((client, latencies))
}

fn latency_measures(latencies: &[f64]) -> Vec<Measure> {
    vec![measure(P50, "ms", percentile(latencies, 0.50) / 1e3), measure(P99, "ms", percentile(latencies, 0.99) / 1e3)]
}
