//! Everything there is: servers, Gatepost, and the sessions that go through it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use openssl::ssl::SslContext;
use tokio::sync::RwLock;
use tokio::time::sleep;

use crate::client::{self, Ending, Session};
use crate::gatepost::Gatepost;
use crate::machine;
use crate::servers::Servers;
use crate::tally::{Counts, Tally};
use crate::tls::Certificates;
use crate::weather::PULSE;
use crate::wire::Security;

/// A Gatepost between clients and servers.
pub(crate) struct Site {
    pub(crate) tally: Arc<Tally>,
    pub(crate) servers: Servers,
    pub(crate) gatepost: RwLock<Gatepost>,
    tls: SslContext,
    _certificates: Certificates,
}

impl Site {
    /// Starts all of it.
    pub(crate) async fn start(binary: &Path) -> Result<Site> {
        let descriptors = machine::raise_descriptor_limit()?;
        let tally = Arc::new(Tally::default());
        let certificates = Certificates::make()?;
        let servers = Servers::start(certificates.files(Security::Ecdsa).expect("there is one"), &tally).await?;
        let gatepost = Gatepost::start(binary, &servers, &certificates, descriptors).await?;
        let gatepost = RwLock::new(gatepost);
        let weather = servers.weather.clone();
        tokio::spawn(async move { weather.watch().await });
        Ok(Site { tally, servers, gatepost, tls: client::tls()?, _certificates: certificates })
    }

    /// Lives through a session, and counts how it ended.
    pub(crate) async fn visit(&self, session: &Session) {
        let begin = self.servers.weather.sky_at_begin();
        let target = self.gatepost.read().await.target(session.protocol, session.way, session.name.plan);
        let ending = client::run(session, &target, &self.tls).await;
        if !matches!(ending, Ending::Done { .. }) {
            // Until it is known whether the machine stood still.
            sleep(2 * PULSE).await;
        }
        let clear = begin.was_clear_until(&self.servers.weather.sky());
        self.tally.add(|counts| count(counts, session, &ending, clear));
    }
}

/// Counts how a session ended, under a clear sky or not.
fn count(counts: &mut Counts, session: &Session, ending: &Ending, clear: bool) {
    counts.sessions += 1;
    let errors = counts.errors();
    let had_plan = session.name.plan.is_some();
    let counter = match ending {
        Ending::Late(_) => &mut counts.late,
        Ending::Wrong(_) => &mut counts.wrong,
        // What was to go wrong did not.
        Ending::Done { .. } if had_plan => &mut counts.wrong,
        Ending::Done { down } => {
            counts.down += *down as u64;
            &mut counts.done
        }
        Ending::Left => &mut counts.left,
        _ if clear && !had_plan => &mut counts.lost,
        Ending::Answered => &mut counts.answered,
        Ending::Closed => &mut counts.closed,
        Ending::Garbage => &mut counts.garbage,
        Ending::TooSlow => &mut counts.too_slow,
    };
    *counter += 1;
    if counts.errors() > errors {
        counts.tell(format!("{}: {ending:?}: {session:?}", session.name.of(session.number)));
    }
}
