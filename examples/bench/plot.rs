//! A report as a picture (SVG): bars for the memory of idle sessions, and for CPU time.

use std::fmt::Write as _;

use crate::plan::{COMMAND_CPU, GIGABYTE_CPU, LOGIN_CPU, SESSION_MEMORY};
use crate::report::{Report, Row};
use crate::stats::median;

const WIDTH: f64 = 860.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 250.0;
const LONGEST: f64 = 500.0;
const BAR: f64 = 12.0;
const ROW: f64 = 34.0;
const COLOURS: [&str; 2] = ["#8a9099", "#1f77b4"];

/// The panels, each with the measure that it shows and a scale of its own.
const PANELS: [(&str, &str); 4] = [
    ("Memory of an idle session, KB", SESSION_MEMORY),
    ("CPU of a login, µs", LOGIN_CPU),
    ("CPU of a GB relayed, s", GIGABYTE_CPU),
    ("CPU of a small command, µs", COMMAND_CPU),
];

pub(crate) fn of(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 50.0;
    for (title, what) in PANELS {
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.what == what).collect();
        if !rows.is_empty() {
            panel(&mut body, &mut y, title, &rows);
        }
    }
    let legend: String = report.subjects.iter().enumerate().map(|(index, (name, _))| key(index, name)).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{legend}{body}</svg>\n"
    )
}

fn key(index: usize, name: &str) -> String {
    let (x, colour) = (LEFT + 100.0 * index as f64, COLOURS[index]);
    let text = x + 18.0;
    format!(
        "<rect x=\"{x}\" y=\"14\" width=\"{BAR}\" height=\"{BAR}\" fill=\"{colour}\"/>\
         <text x=\"{text}\" y=\"24\">{name}</text>\n"
    )
}

fn panel(body: &mut String, y: &mut f64, title: &str, rows: &[&Row]) {
    let all = rows.iter().flat_map(|row| row.values.iter().map(|values| median(values)));
    let longest = all.fold(f64::MIN_POSITIVE, f64::max);
    let _ = writeln!(body, "<text x=\"10\" y=\"{y}\" font-weight=\"bold\">{title}</text>");
    *y += 12.0;
    for row in rows {
        let _ = writeln!(body, "<text x=\"10\" y=\"{}\">{}</text>", *y + 16.0, row.scenario);
        for (index, colour) in COLOURS.iter().enumerate() {
            let value = median(&row.values[index]);
            let (top, width) = (*y + BAR * index as f64, value.max(0.0) / longest * LONGEST);
            let (text, base) = (LEFT + width + 6.0, top + 10.0);
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\
                 <text x=\"{text:.1}\" y=\"{base}\" font-size=\"10\">{value:.1}</text>"
            );
        }
        *y += ROW;
    }
    *y += 28.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_is_as_long_as_may_be() {
        let row = Row {
            scenario: "plain".to_string(),
            what: SESSION_MEMORY,
            unit: "KB",
            goal: None,
            values: [vec![10.0], vec![2.0]],
        };
        let (mut body, mut y) = (String::new(), 0.0);
        panel(&mut body, &mut y, "memory", &[&row]);
        assert!(body.contains("width=\"500.0\"") && body.contains("width=\"100.0\""), "{body}");
    }
}
