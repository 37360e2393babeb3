//! What it came to, as a table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::events::Survived;
use crate::tally::Counts;
use crate::usage::Usage;

/// All that was found.
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    pub(crate) counts: Counts,
    pub(crate) survived: Survived,
    /// How often the machine stood still.
    pub(crate) still: u64,
    /// What the worker held when it had served somebody, and what it holds when all have left.
    pub(crate) before: Usage,
    pub(crate) after: Usage,
    /// Lines of the log that there should be none of.
    pub(crate) alarming: Vec<String>,
    /// Whether a graceful stop ended it at once.
    pub(crate) quits: bool,
}

impl Report {
    /// What has leaked: descriptors, connections beyond those that are kept, sessions that a stop still waits for.
    fn leaks(&self) -> usize {
        self.after.leaked_since(&self.before) + usize::from(!self.quits)
    }

    /// Whether all is well.
    pub(crate) fn is_good(&self) -> bool {
        self.counts.errors() == 0 && self.leaks() == 0 && self.alarming.is_empty() && self.counts.done > 0
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let Report { counts, before, after, .. } = self;
        let mut text = format!("soak of {} s, seed {}\n\n", self.time.as_secs(), self.seed);
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<52} {value:>16}");
        };
        row("sessions", counts.sessions.to_string());
        row("  to their end, every byte checked", counts.done.to_string());
        row("  whose client left in the middle", counts.left.to_string());
        row("  cut by a fault: the client was told", counts.answered.to_string());
        row("  cut by a fault: the connection was closed", counts.closed.to_string());
        row("  cut by a fault: the server's nonsense came through", counts.garbage.to_string());
        row("  cut by a fault: too slow for the client", counts.too_slow.to_string());
        row("bytes to mail servers", counts.up.to_string());
        row("bytes to clients", counts.down.to_string());
        row("survived", self.survived.values().sum::<u64>().to_string());
        for (name, count) in &self.survived {
            row(&format!("  {name}"), count.to_string());
        }
        row("times that the machine stood still", self.still.to_string());
        row("errors", counts.errors().to_string());
        row("  lost: ended early, and nothing was wrong", counts.lost.to_string());
        row("  wrong: not what was sent", counts.wrong.to_string());
        row("  late: neither an answer nor a close in time", counts.late.to_string());
        row("leaks", self.leaks().to_string());
        row("  descriptors, before and after", format!("{} / {}", before.descriptors, after.descriptors));
        row("  kept connections to the authentication server", after.kept.to_string());
        row("  ends of pipes, before and after", format!("{} / {}", before.pipes, after.pipes));
        row("  sessions that a graceful stop waits for", if self.quits { "0" } else { "some" }.to_owned());
        row(
            "memory of the worker, before and after, KB",
            format!("{} / {}", before.memory / 1024, after.memory / 1024),
        );
        for line in counts.mistakes.iter().chain(&self.alarming) {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}
