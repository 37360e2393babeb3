//! What was found, and its table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::machine;
use crate::measure::Measure;
use crate::plan::Scenario;
use crate::proxy::Subject;
use crate::stats::{median, range};

/// Everything that a run found.
pub(crate) struct Report {
    /// What the proxies are called, and what they say of themselves.
    pub(crate) subjects: [(String, String); 2],
    pub(crate) machine: String,
    pub(crate) remarks: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One measure of one scenario.
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// The largest ratio that is good.
    pub(crate) goal: Option<f64>,
    /// nginx's in each round, and Gatepost's.
    pub(crate) values: [Vec<f64>; 2],
}

impl Row {
    /// The median of what Gatepost's figure is over nginx's in each round, if that means anything: both have been taken one
    /// after the other, when the machine was about as fast.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let [nginx, gatepost] = &self.values;
        let ratios: Vec<f64> = nginx.iter().zip(gatepost).map(|(nginx, gatepost)| gatepost / nginx).collect();
        Some(median(&ratios)).filter(|ratio| ratio.is_finite() && *ratio > 0.0)
    }
}

impl Report {
    pub(crate) fn new(subjects: &[Subject; 2], machine: String) -> Report {
        let describe = |subject: &Subject| (subject.name.to_string(), subject.version.clone());
        let subjects = [describe(&subjects[0]), describe(&subjects[1])];
        Report { subjects, machine, remarks: Vec::new(), rows: Vec::new() }
    }

    /// Adds what a round of a scenario found for one of the two.
    pub(crate) fn add(&mut self, scenario: &Scenario, index: usize, measures: &[Measure]) {
        for &Measure { what, unit, value } in measures {
            let same = |row: &Row| row.scenario == scenario.name && row.what == what;
            let at = self.rows.iter().position(same).unwrap_or_else(|| {
                let goal = scenario.good_ratio(what, self.aws_lc());
                let values = [Vec::new(), Vec::new()];
                self.rows.push(Row { scenario: scenario.name.clone(), what, unit, goal, values });
                self.rows.len() - 1
            });
            self.rows[at].values[index].push(value);
        }
    }

    /// Adds what is known only now.
    pub(crate) fn end(&mut self, elapsed: Duration, enough_cpus: bool) {
        let (seconds, busy) = (elapsed.as_secs(), machine::busy());
        self.remarks.push(format!("The run took {seconds} s; load average at its end {busy}."));
        if !enough_cpus {
            self.remarks.push("Two workers share a CPU with the load here: their rates say little.".to_string());
        }
    }

    fn aws_lc(&self) -> bool {
        self.subjects[1].1.contains("AWS-LC")
    }

    /// For people, as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("\n{}\n\n", self.machine);
        for (name, version) in &self.subjects {
            let lines: Vec<&str> = version.lines().filter(|line| !line.starts_with("configure")).collect();
            let _ = writeln!(text, "* {name}: {}", lines.join("; "));
        }
        text +=
            "\nMedians, and in brackets the least and the greatest. The ratio is the median of the rounds' ratios.\n\n";
        text += "| scenario | | nginx | Gatepost | ratio | goal |\n| --- | --- | --- | --- | --- | --- |\n";
        let mut scenario = "";
        for row in &self.rows {
            let name = if row.scenario == scenario { "" } else { &row.scenario };
            scenario = &row.scenario;
            let [nginx, gatepost] = [0, 1].map(|index| figure(&row.values[index], row.unit));
            let ratio = row.ratio().map(|ratio| shown(ratio, row.goal)).unwrap_or_default();
            let goal = judgement(row);
            let _ = writeln!(text, "| {name} | {} | {nginx} | {gatepost} | {ratio} | {goal} |", row.what);
        }
        for remark in &self.remarks {
            let _ = write!(text, "\n{remark}");
        }
        text + "\n"
    }
}

fn judgement(row: &Row) -> String {
    match (row.goal, row.ratio()) {
        (Some(goal), Some(ratio)) if ratio <= goal => format!("≤ {goal:.2} ✓"),
        (Some(goal), _) => format!("≤ {goal:.2} missed"),
        (None, _) => String::new(),
    }
}

/// With two digits behind the point, or three where two would not tell whether the goal is met.
fn shown(ratio: f64, goal: Option<f64>) -> String {
    let close = goal.is_some_and(|goal| (ratio - goal).abs() < 0.005);
    if close { format!("**{ratio:.3}**") } else { format!("**{ratio:.2}**") }
}

fn figure(values: &[f64], unit: &str) -> String {
    let (least, greatest) = range(values);
    let middle = median(values);
    let spread = if values.len() > 1 { format!(" ({}–{})", short(least), short(greatest)) } else { String::new() };
    format!("{} {unit}{spread}", short(middle)).replace("  ", " ")
}

/// Three digits or so.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(nginx: f64, gatepost: f64) -> Row {
        let values = [vec![nginx], vec![gatepost]];
        Row { scenario: "logins".to_string(), what: "CPU", unit: "µs", goal: Some(0.5), values }
    }

    #[test]
    fn goals_are_judged() {
        assert_eq!(judgement(&row(100.0, 50.0)), "≤ 0.50 ✓");
        assert_eq!(judgement(&row(100.0, 51.0)), "≤ 0.50 missed");
        assert_eq!(row(0.0, 0.0).ratio(), None);
        let rounds = Row { values: [vec![1.0, 4.0, 10.0], vec![0.7, 2.0, 9.0]], ..row(0.0, 0.0) };
        assert_eq!(rounds.ratio(), Some(0.7));
    }

    #[test]
    fn ratios_tell_whether_the_goal_is_met() {
        assert_eq!(shown(1.0, None), "**1.00**");
        assert_eq!(shown(0.91, Some(0.90)), "**0.91**");
        assert_eq!(shown(1.002, Some(1.0)), "**1.002**");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(figure(&[1234.5], "µs"), "1234 µs");
        assert_eq!(figure(&[1.0, 2.0, 30.0], "s"), "2.00 s (1.00–30.0)");
        assert_eq!(figure(&[0.0], ""), "0 ");
    }
}
