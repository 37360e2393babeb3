//! What happens to Gatepost and its servers meanwhile, at random.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::random::Random;
use crate::site::Site;
use crate::weather::{Fault, Outage, RECOVERY, Who};

/// One of them.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// All servers of a kind fail for a while.
    Outage(Outage),
    /// The configuration is read anew.
    Reload,
    /// The same with a new certificate.
    NewCertificate,
    /// The same with a configuration that cannot be.
    BadReload,
    /// The logs are opened anew.
    NewLog,
    /// The worker dies.
    Death,
}

/// How often each has happened, by name.
pub(crate) type Survived = BTreeMap<String, u64>;

impl Event {
    fn any(random: &mut Random) -> Event {
        match random.below(10) {
            0..=4 => {
                let who = random.pick(&[Who::Auth, Who::Mail]);
                Event::Outage(Outage { who, fault: random.pick(&Fault::ALL) })
            }
            5 | 6 => Event::Reload,
            7 => Event::NewCertificate,
            8 => random.pick(&[Event::BadReload, Event::NewLog]),
            _ => Event::Death,
        }
    }

    fn name(self) -> String {
        match self {
            Event::Outage(Outage { who: Who::Auth, fault }) => format!("authentication server: {}", fault.name()),
            Event::Outage(Outage { fault, .. }) => format!("mail servers: {}", fault.name()),
            Event::Reload => "reload".to_owned(),
            Event::NewCertificate => "reload with a new certificate".to_owned(),
            Event::BadReload => "reload of a bad configuration, refused".to_owned(),
            Event::NewLog => "logs opened anew".to_owned(),
            Event::Death => "worker killed".to_owned(),
        }
    }
}

/// Lets things happen until that time.
pub(crate) async fn until(end: Instant, site: &Site, mut random: Random) -> Result<Survived> {
    let mut survived = Survived::new();
    loop {
        sleep(random.millis(300, 1500)).await;
        // The last one leaves time for all to be well again.
        if Instant::now() + Duration::from_secs(2) + RECOVERY > end {
            return Ok(survived);
        }
        let event = Event::any(&mut random);
        happen(event, site, &mut random).await.with_context(|| event.name())?;
        *survived.entry(event.name()).or_default() += 1;
    }
}

async fn happen(event: Event, site: &Site, random: &mut Random) -> Result<()> {
    let weather = &site.servers.weather;
    match event {
        Event::Outage(outage) => {
            weather.begin(outage);
            let time = random.millis(200, 2000);
            sleep(time).await;
            weather.end();
            sleep(RECOVERY).await;
            Ok(())
        }
        Event::Reload => site.gatepost.read().await.reload(false).await,
        Event::NewCertificate => site.gatepost.read().await.reload(true).await,
        Event::BadReload => site.gatepost.read().await.bad_reload().await,
        Event::NewLog => site.gatepost.read().await.rotate_logs().await,
        Event::Death => {
            weather.begin(Outage { who: Who::Worker, fault: Fault::Stop });
            let killed = site.gatepost.write().await.kill_worker().await;
            weather.end();
            killed
        }
    }
}
