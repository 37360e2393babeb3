//! What is measured: the list of scenarios, and the ratios that Gatepost is held to.

use std::time::Duration;

use crate::wire::{Protocol, Security};

/// One thing that both proxies are put through, several times in turn.
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// `worker_processes`
    pub(crate) workers: usize,
    pub(crate) rounds: usize,
    pub(crate) load: Load,
    goals: Vec<Goal>,
}

/// The largest ratio to nginx that is good, by the measure's name.
struct Goal {
    what: &'static str,
    openssl: f64,
    aws_lc: f64,
}

/// What the load does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Many clients log in and close, again and again for that long.
    Logins { protocol: Protocol, security: Security, time: Duration },
    /// Logins begin at a steady rate, in a second.
    Pace { security: Security, rate: u32, time: Duration },
    /// Many sessions that do nothing.
    Idle { security: Security, sessions: usize },
    /// The same, held for that long, with logins beside them.
    Hold { sessions: usize, time: Duration },
    /// Four sessions move that many bytes altogether.
    Bulk { security: Security, upload: bool, length: usize },
    /// Sessions that each give one small command after the other.
    Commands { security: Security, sessions: usize, time: Duration },
    /// That many clients at once connect, are greeted and close, again and again.
    Connects { clients: usize, time: Duration },
    /// Sessions are opened and closed again, several times.
    Waves { sessions: usize, times: usize },
}

/// The names of the measures that goals are set for.
pub(crate) const LOGIN_CPU: &str = "CPU a login";
pub(crate) const SESSION_MEMORY: &str = "memory a session";
pub(crate) const GIGABYTE_CPU: &str = "CPU a GB";
pub(crate) const COMMAND_CPU: &str = "CPU a command";
pub(crate) const P50: &str = "latency, p50";
pub(crate) const P99: &str = "latency, p99";

impl Scenario {
    fn new(name: impl Into<String>, rounds: usize, load: Load) -> Scenario {
        Scenario { name: name.into(), workers: 1, rounds, load, goals: Vec::new() }
    }

    fn goal(mut self, what: &'static str, openssl: f64, aws_lc: f64) -> Scenario {
        self.goals.push(Goal { what, openssl, aws_lc });
        self
    }

    /// The same with two workers. Goals are for one.
    fn two_workers(mut self) -> Scenario {
        self.name += ", 2 workers";
        self.workers = 2;
        self.goals.clear();
        self
    }

    /// The largest good ratio of a measure.
    pub(crate) fn good_ratio(&self, what: &str, aws_lc: bool) -> Option<f64> {
        let goal = self.goals.iter().find(|goal| goal.what == what)?;
        Some(if aws_lc { goal.aws_lc } else { goal.openssl })
    }
}

/// How much of everything.
struct Size {
    rounds: usize,
    time: Duration,
    bulk: usize,
    plain_sessions: usize,
    tls_sessions: usize,
}

/// All scenarios, for a machine that allows a process that many descriptors.
pub(crate) fn scenarios(quick: bool, descriptors: usize) -> Vec<Scenario> {
    // Two descriptors a session, and some for logins and logs.
    let most = (descriptors.saturating_sub(1000) / 2).min(10_000);
    let milliseconds = Duration::from_millis;
    let size = if quick {
        Size { rounds: 1, time: milliseconds(250), bulk: 128 << 20, plain_sessions: 1000, tls_sessions: 500 }
    } else {
        Size {
            rounds: 15,
            time: milliseconds(300),
            bulk: 512 << 20,
            plain_sessions: most,
            tls_sessions: most.min(4000),
        }
    };
    let mut all = logins(&size);
    all.extend(idle(&size));
    all.extend(relayed(&size));
    all.extend(crowded(&size));
    all.extend(two_workers(&size));
    if !quick {
        all.extend(long(most));
    }
    all
}

fn logins(size: &Size) -> Vec<Scenario> {
    let kinds = [
        (Security::Plain, 0.75, 0.75),
        (Security::Ecdsa, 0.90, 0.50),
        (Security::Rsa, 0.90, 0.70),
        (Security::Resumed, 0.90, 0.50),
    ];
    let mut all = Vec::new();
    for (security, openssl, aws_lc) in kinds {
        for protocol in Protocol::ALL {
            let name = format!("logins, {}, {}", protocol.name().to_uppercase(), security.name());
            let load = Load::Logins { protocol, security, time: size.time };
            all.push(Scenario::new(name, size.rounds, load).goal(LOGIN_CPU, openssl, aws_lc));
        }
    }
    all
}

fn idle(size: &Size) -> Vec<Scenario> {
    let plain = Load::Idle { security: Security::Plain, sessions: size.plain_sessions };
    let tls = Load::Idle { security: Security::Ecdsa, sessions: size.tls_sessions };
    let rounds = size.rounds.min(2);
    vec![
        Scenario::new("idle sessions, plain", rounds, plain).goal(SESSION_MEMORY, 0.25, 0.25),
        Scenario::new("idle sessions, TLS 1.3", rounds, tls).goal(SESSION_MEMORY, 0.65, 0.35),
    ]
}

fn relayed(size: &Size) -> Vec<Scenario> {
    let kinds = [("plain", Security::Plain, 0.60, 0.60), ("TLS", Security::Ecdsa, 0.85, 0.65)];
    let mut all = Vec::new();
    for (name, security, openssl, aws_lc) in kinds {
        for (direction, upload) in [("download", false), ("upload", true)] {
            let load = Load::Bulk { security, upload, length: size.bulk };
            let scenario = Scenario::new(format!("bulk {direction}, {name}"), size.rounds.min(7), load);
            all.push(scenario.goal(GIGABYTE_CPU, openssl, aws_lc));
        }
    }
    for (name, security, ..) in kinds {
        let load = Load::Commands { security, sessions: 50, time: size.time };
        let scenario = Scenario::new(format!("small commands, {name}"), size.rounds, load);
        all.push(scenario.goal(COMMAND_CPU, 0.90, 0.90).goal(P99, 1.0, 1.0));
    }
    all
}

fn crowded(size: &Size) -> Vec<Scenario> {
    let pace = |security| Load::Pace { security, rate: 200, time: size.time * 2 };
    let rounds = size.rounds.min(3);
    vec![
        Scenario::new("200 logins/s, plain", rounds, pace(Security::Plain)),
        Scenario::new("200 logins/s, TLS 1.3", rounds, pace(Security::Ecdsa)).goal(P50, 0.10, 0.10),
        Scenario::new("connect storm", size.rounds, Load::Connects { clients: 500, time: size.time }),
    ]
}

fn two_workers(size: &Size) -> Vec<Scenario> {
    let rounds = size.rounds.min(3);
    let login = |security| Load::Logins { protocol: Protocol::Imap, security, time: size.time };
    let bulk = Load::Bulk { security: Security::Plain, upload: false, length: size.bulk };
    vec![
        Scenario::new("logins, IMAP, plain", rounds, login(Security::Plain)).two_workers(),
        Scenario::new("logins, IMAP, TLS, ECDSA", rounds, login(Security::Ecdsa)).two_workers(),
        Scenario::new("bulk download, plain", rounds, bulk).two_workers(),
    ]
}

fn long(most: usize) -> [Scenario; 2] {
    let minute = Duration::from_secs(60);
    let nearly = most.min(9000);
    [
        Scenario::new(format!("{most} idle sessions for a minute"), 1, Load::Hold { sessions: most, time: minute }),
        Scenario::new(format!("10 × {nearly} sessions"), 1, Load::Waves { sessions: nearly, times: 10 }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_goals_are_for_one_worker() {
        for quick in [false, true] {
            let all = scenarios(quick, 20_000);
            let names: HashSet<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
            assert_eq!(names.len(), all.len());
            assert!(all.iter().all(|scenario| scenario.workers == 1 || scenario.goals.is_empty()));
        }
    }

    #[test]
    fn sessions_fit_the_descriptors() {
        let fits = |load: Load| match load {
            Load::Idle { sessions, .. } | Load::Hold { sessions, .. } | Load::Waves { sessions, .. } => {
                sessions * 2 < 20_000
            }
            _ => true,
        };
        assert!(scenarios(false, 20_000).iter().all(|scenario| fits(scenario.load)));
    }
}
