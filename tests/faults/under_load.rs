//! Servers that fail in every phase, for some sessions or for all at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::RwLockWriteGuard;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::MACHINE;
use crate::client::{Manner, Session, Way};
use crate::harness::Subject;
use crate::random::Random;
use crate::servers::Name;
use crate::site::Site;
use crate::usage::Usage;
use crate::weather::{Fault, Outage, Plan, RECOVERY, Who};
use crate::wire::Protocol;

/// How many sessions are in motion at a time.
const SESSIONS: u64 = 2000;
/// How many begin at once. The next ones begin when somebody has been served, so that no machine is too slow.
const BATCH: u64 = 40;
/// The numbers of the sessions that see whether somebody is served.
const PROBES: u64 = 1 << 40;
/// How often the same load is put on.
const ROUNDS: u64 = 3;
/// What is a leak if the worker grows by it each time, bytes: the heap is never cut up quite in the same way.
const LEAK: u64 = 1 << 20;

/// All of it at work, and what the worker held before.
struct Load {
    site: Arc<Site>,
    before: Usage,
    probes: AtomicU64,
    _alone: RwLockWriteGuard<'static, ()>,
}

impl Load {
    async fn start() -> Load {
        let alone = MACHINE.write().await;
        let site = Site::start(Subject::current().path()).await.unwrap();
        let before = site.gatepost.read().await.usage().unwrap();
        let mut load = Load { site: Arc::new(site), before, probes: AtomicU64::new(PROBES), _alone: alone };
        // Somebody is served, so the worker has begun.
        load.probe().await;
        load.before = load.site.gatepost.read().await.at_rest().await.unwrap();
        load
    }

    /// Somebody is served, by the shortest session there is.
    async fn probe(&self) -> Duration {
        let begin = Instant::now();
        let number = self.probes.fetch_add(1, Ordering::Relaxed);
        let name = Name { plan: None, upstream: "off" };
        let (protocol, way, manner) = (Protocol::Pop3, Way::Plain, Manner::HalfCloses);
        self.site.visit(&Session { number, protocol, way, name, manner, messages: 1, size: 100, pause: 0 }).await;
        begin.elapsed()
    }

    /// Waits until it is time for another.
    async fn pace(&self, number: u64) {
        if number.is_multiple_of(BATCH) {
            self.probe().await;
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Nothing was lost, wrong or late, nothing is left of all sessions, and the log has nothing alarming. Gives what the
    /// worker holds.
    async fn is_sound(&self) -> Usage {
        let counts = self.site.tally.now();
        let gatepost = self.site.gatepost.read().await;
        assert_eq!(counts.errors(), 0, "{counts:#?}\n{}", gatepost.said_of(&counts.mistakes));
        let before = &self.before;
        let after = gatepost.settled(before).await.unwrap();
        assert_eq!(after.leaked_since(before), 0, "descriptors leak: {before:?}, then {after:?}");
        assert_eq!(gatepost.alarming(), [""; 0]);
        after
    }

    /// The worker ends with its last session, so there is none that is not seen.
    async fn quit(self) {
        let site = Arc::into_inner(self.site).expect("all sessions are over");
        let took = site.gatepost.into_inner().quit().await.unwrap();
        assert!(took < Duration::from_secs(5), "QUIT took {took:?}");
    }
}

#[tokio::test]
async fn every_fault_in_every_phase() {
    let load = Load::start().await;
    let plans = Plan::all();
    let mut random = Random::new(1);
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        let mut sessions = JoinSet::new();
        for number in round * SESSIONS..(round + 1) * SESSIONS {
            // Those without a plan among them are served as if nothing were wrong.
            let plan = plans.get(number as usize % (plans.len() + 8)).copied();
            let session = Session::any(number, plan, &mut random);
            let site = load.site.clone();
            sessions.spawn(async move { site.visit(&session).await });
            load.pace(number).await;
        }
        println!("{} at once", sessions.len());
        while sessions.join_next().await.is_some() {}
        sizes.push(load.is_sound().await.memory);
    }
    let counts = load.site.tally.now();
    println!("{counts:?}; memory: {} before, {sizes:?} after each round", load.before.memory);
    assert!(counts.answered > 0 && counts.closed > 0 && counts.garbage > 0 && counts.too_slow > 0, "{counts:#?}");
    assert!(sizes.windows(2).any(|pair| pair[1] < pair[0] + LEAK), "memory leaks: {sizes:?}");
    load.quit().await;
}

#[tokio::test]
async fn servers_that_fail_and_come_back() {
    let load = Load::start().await;
    let (over, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut visitors = JoinSet::new();
    for visitor in 0..SESSIONS {
        let (site, over, next) = (load.site.clone(), over.clone(), next.clone());
        visitors.spawn(async move {
            let mut random = Random::new(visitor);
            while !over.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                site.visit(&mostly_plain(number, &mut random)).await;
                // Who was sent away does not come back at once.
                sleep(random.millis(500, 6000)).await;
            }
        });
        load.pace(visitor).await;
    }
    for (who, fault) in [Who::Auth, Who::Mail].into_iter().flat_map(|who| Fault::ALL.map(|fault| (who, fault))) {
        load.site.servers.weather.begin(Outage { who, fault });
        sleep(Duration::from_millis(1200)).await;
        load.site.servers.weather.end();
        // Sessions that begin from then on must be served.
        sleep(RECOVERY).await;
        let took = load.probe().await;
        let counts = load.site.tally.now();
        let usage = load.site.gatepost.read().await.usage().unwrap();
        println!("{who:?} {fault:?}: service took {took:?}; {} sessions; {usage:?}", counts.sessions);
        sleep(Duration::from_millis(1000)).await;
    }
    over.store(true, Ordering::Relaxed);
    while visitors.join_next().await.is_some() {}
    let after = load.is_sound().await;
    println!("{:?}; {:?}, then {after:?}", load.site.tally.now(), load.before);
    load.quit().await;
}

/// TLS costs time that builds without optimisation do not have.
fn mostly_plain(number: u64, random: &mut Random) -> Session {
    let mut session = Session::any(number, None, random);
    if !random.one_in(8) {
        session.name.upstream = "off";
        session.way = Way::Plain;
    }
    session.messages = 3;
    session.pause = 4000;
    session
}
