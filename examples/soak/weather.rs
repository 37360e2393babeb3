//! What servers do wrong: each at a point of the sessions that are meant for it, or all at once for a while.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long after an outage everything must work again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(1);

/// How often it is seen whether the machine stands still, and from when on it does.
pub(crate) const PULSE: Duration = Duration::from_millis(100);
const STILL: Duration = Duration::from_secs(1);

/// How a server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not there; those that are connected are reset.
    Stop,
    /// It is there and says nothing.
    Hang,
    /// It resets connections.
    Reset,
    /// It says something that is not of the protocol.
    Garbage,
    /// It says one byte a second.
    Slow,
}

impl Fault {
    pub(crate) const ALL: [Fault; 5] = [Fault::Stop, Fault::Hang, Fault::Reset, Fault::Garbage, Fault::Slow];

    /// What it does.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Stop => "stopped",
            Fault::Hang => "hung",
            Fault::Reset => "reset connections",
            Fault::Garbage => "talked nonsense",
            Fault::Slow => "one byte a second",
        }
    }
}

/// Where in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    AuthConnect,
    AuthAnswer,
    Connect,
    ProxyHeader,
    Greeting,
    StartTls,
    Handshake,
    Login,
    Relay,
}

impl Phase {
    pub(crate) const ALL: [Phase; 9] = [
        Phase::AuthConnect,
        Phase::AuthAnswer,
        Phase::Connect,
        Phase::ProxyHeader,
        Phase::Greeting,
        Phase::StartTls,
        Phase::Handshake,
        Phase::Login,
        Phase::Relay,
    ];

    /// Whether a server can fail so there.
    pub(crate) fn knows(self, fault: Fault) -> bool {
        match self {
            // Before a server has accepted, nothing else can be told apart.
            Phase::AuthConnect | Phase::Connect => matches!(fault, Fault::Stop | Fault::Hang),
            Phase::ProxyHeader | Phase::Handshake => fault != Fault::Slow,
            _ => true,
        }
    }
}

/// What is to go wrong in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) phase: Phase,
    pub(crate) fault: Fault,
}

impl Plan {
    /// Every fault in every phase.
    pub(crate) fn all() -> Vec<Plan> {
        let each = |phase: Phase| Fault::ALL.into_iter().map(move |fault| Plan { phase, fault });
        Phase::ALL.into_iter().flat_map(each).filter(|plan| plan.phase.knows(plan.fault)).collect()
    }
}

/// Who fails as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The authentication server.
    Auth,
    /// All mail servers.
    Mail,
    /// Gatepost's worker, which is killed.
    Worker,
}

/// A failure of servers as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) who: Who,
    pub(crate) fault: Fault,
}

/// What there is of outages at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sky {
    outage: Option<Outage>,
    /// When this began.
    since: Instant,
    /// How many outages have begun so far.
    begun: u64,
    /// How often the machine stood still.
    still: u64,
}

impl Sky {
    /// Whether what began under this sky, and ends under that one, had nothing in its way.
    pub(crate) fn was_clear_until(&self, end: &Sky) -> bool {
        self.outage.is_none() && self.begun == end.begun && self.still == end.still
    }

    /// How `who` fails.
    pub(crate) fn fault(&self, who: Who) -> Option<Fault> {
        self.outage.filter(|outage| outage.who == who).map(|outage| outage.fault)
    }
}

/// Outages, as they come and go.
pub(crate) struct Weather(watch::Sender<Sky>);

impl Weather {
    pub(crate) fn new() -> Weather {
        Weather(watch::Sender::new(Sky { outage: None, since: Instant::now(), begun: 0, still: 0 }))
    }

    pub(crate) fn begin(&self, outage: Outage) {
        self.0.send_modify(|sky| {
            *sky = Sky { outage: Some(outage), since: Instant::now(), begun: sky.begun + 1, ..*sky }
        });
    }

    pub(crate) fn end(&self) {
        self.0.send_modify(|sky| *sky = Sky { outage: None, since: Instant::now(), ..*sky });
    }

    /// Watches the machine. One that does nothing for longer than [`STILL`] makes time-outs of its own.
    pub(crate) async fn watch(&self) {
        loop {
            let begin = Instant::now();
            sleep(PULSE).await;
            if begin.elapsed() > STILL {
                self.0.send_modify(|sky| sky.still += 1);
            }
        }
    }

    /// How often it stood still.
    pub(crate) fn still(&self) -> u64 {
        self.sky().still
    }

    pub(crate) fn sky(&self) -> Sky {
        *self.0.borrow()
    }

    /// The same for a session that begins now: what has just recovered may still fail.
    pub(crate) fn sky_at_begin(&self) -> Sky {
        let sky = self.sky();
        let recovering = sky.begun > 0 && sky.since.elapsed() < RECOVERY;
        // One more than there were: it is clear until no end.
        if recovering { Sky { begun: u64::MAX, ..sky } } else { sky }
    }

    /// Waits until there is such a fault, or none.
    pub(crate) async fn until(&self, who: Who, mut fits: impl FnMut(Option<Fault>) -> bool) {
        // The sender lives, since this borrows it.
        let _ = self.0.subscribe().wait_for(|sky| fits(sky.fault(who))).await;
    }
}
