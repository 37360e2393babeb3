//! A report as JSON.

use crate::report::{Report, Row};
use crate::stats::{median, range};

/// The whole report.
pub(crate) fn of(report: &Report) -> String {
    let [nginx, gatepost] = &report.subjects;
    let rows: Vec<String> = report.rows.iter().map(row).collect();
    let remarks: Vec<String> = report.remarks.iter().map(|remark| text(remark)).collect();
    format!(
        "{{\n\"machine\": {},\n\"nginx\": {},\n\"gatepost\": {},\n\"remarks\": [{}],\n\"results\": [\n{}\n]\n}}\n",
        text(&report.machine),
        text(&nginx.1),
        text(&gatepost.1),
        remarks.join(", "),
        rows.join(",\n")
    )
}

fn row(row: &Row) -> String {
    let [nginx, gatepost] = [0, 1].map(|index| values(&row.values[index]));
    format!(
        "{{\"scenario\": {}, \"measure\": {}, \"unit\": {}, \"nginx\": {nginx}, \"gatepost\": {gatepost}, \
         \"ratio\": {}, \"goal\": {}}}",
        text(&row.scenario),
        text(row.what),
        text(row.unit),
        number(row.ratio()),
        number(row.goal)
    )
}

fn values(values: &[f64]) -> String {
    let (least, greatest) = range(values);
    let middle = median(values);
    let rounds: Vec<String> = values.iter().map(f64::to_string).collect();
    let rounds = rounds.join(", ");
    format!("{{\"median\": {middle}, \"min\": {least}, \"max\": {greatest}, \"rounds\": [{rounds}]}}")
}

fn number(value: Option<f64>) -> String {
    value.map_or("null".to_string(), |value| value.to_string())
}

fn text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => quoted += &format!("\\u{:04x}", u32::from(control)),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted() {
        assert_eq!(text("a \"b\" \\ c\n"), r#""a \"b\" \\ c\u000a""#);
    }

    #[test]
    fn a_row() {
        let values = [vec![2.0, 4.0], vec![1.0, 3.0]];
        let row = super::row(&Row { scenario: "s".to_string(), what: "w", unit: "µs", goal: None, values });
        assert_eq!(
            row,
            r#"{"scenario": "s", "measure": "w", "unit": "µs", "nginx": {"median": 3, "min": 2, "max": 4, "rounds": [2, 4]}, "gatepost": {"median": 2, "min": 1, "max": 3, "rounds": [1, 3]}, "ratio": 0.625, "goal": null}"#
        );
    }
}
