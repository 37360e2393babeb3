//! Numbers, sizes and times as nginx reads them.
//!
//! nginx counts in signed machine words; so does this module, so that what overflows there is refused here.

use std::time::Duration;

/// A decimal number: digits only.
pub fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse::<i64>().ok()).flatten().and_then(|number| u64::try_from(number).ok())
}

/// A size in bytes: a number with `k` or `m` behind it, or nothing.
pub fn size(text: &str) -> Option<u64> {
    scaled(text, &[('k', 1 << 10), ('m', 1 << 20)])
}

/// A length in bytes that may exceed memory: like [`size`], and `g`.
pub fn offset(text: &str) -> Option<u64> {
    scaled(text, &[('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30)])
}

fn scaled(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let unit = units.iter().find(|(unit, _)| text.ends_with([*unit, unit.to_ascii_uppercase()]));
    let (digits, scale) = match unit {
        Some((_, scale)) => (&text[..text.len() - 1], *scale),
        None => (text, 1),
    };
    number(digits)?.checked_mul(scale).filter(|size| i64::try_from(*size).is_ok())
}

/// A time with units down to `ms`: `1d 2h`, `30s`, `500ms`; without a unit, seconds. Units fall from left to right, weeks
/// are the longest.
pub fn milliseconds(text: &str) -> Option<Duration> {
    time(text, Finest::Milliseconds).map(Duration::from_millis)
}

/// A time with units down to seconds: `1y 2M`, `30m`, `10`. Units fall from left to right, years are the longest.
pub fn seconds(text: &str) -> Option<Duration> {
    time(text, Finest::Seconds).map(Duration::from_secs)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finest {
    Milliseconds,
    Seconds,
}

/// Units and their lengths in milliseconds, the longest first.
const UNITS: &[(&str, u64)] = &[
    ("y", 365 * 86_400_000),
    ("M", 30 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// The place of `s` in [`UNITS`].
const SECOND: usize = 6;

/// nginx is lenient here: a number at the very end counts seconds whatever stands before it, and a unit needs no number
/// if there is one elsewhere.
fn time(text: &str, finest: Finest) -> Option<u64> {
    // Where time is counted in milliseconds, neither years nor months are known.
    let mut next_unit = if finest == Finest::Milliseconds { 2 } else { 0 };
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (amount, tail) = rest.split_at(digits);
        let (unit, after, tail) = unit(tail, next_unit)?;
        if finest == Finest::Seconds && UNITS[unit].0 == "ms" {
            return None;
        }
        let amount = if amount.is_empty() { 0 } else { number(amount)? };
        let scale = UNITS[unit].1 / if finest == Finest::Seconds { 1000 } else { 1 };
        total = total.checked_add(amount.checked_mul(scale)?)?;
        next_unit = after;
        rest = tail;
    }
    let any_number = text.bytes().any(|byte| byte.is_ascii_digit());
    (any_number && i64::try_from(total).is_ok()).then_some(total)
}

/// The unit at the beginning of a text, the first that may follow it, and the rest of the text.
fn unit(text: &str, first_allowed: usize) -> Option<(usize, usize, &str)> {
    let (index, after, length) = match text.as_bytes() {
        [] => return Some((SECOND, UNITS.len(), "")),
        // A number before a blank counts seconds, and only another at the end may follow.
        [b' ', ..] => (SECOND, UNITS.len(), 1),
        _ => {
            let at = |(name, _): &(&str, u64)| text.starts_with(name);
            let index = UNITS.iter().rposition(at)?;
            (index, index + 1, UNITS[index].0.len())
        }
    };
    (index >= first_allowed).then(|| (index, after, text[length..].trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX as u64)),
            ("9223372036854775808", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1k", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("4096", Some(4096)),
            ("4k", Some(4096)),
            ("4K", Some(4096)),
            ("1m", Some(1 << 20)),
            ("1M", Some(1 << 20)),
            ("1g", None),
            ("k", None),
            ("", None),
            ("9223372036854775807k", None),
            ("1 k", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
        assert_eq!(offset("2g"), Some(2 << 30));
        assert_eq!(offset("2G"), Some(2 << 30));
    }

    #[test]
    fn times() {
        let millis = |text| milliseconds(text).map(|time| time.as_millis());
        for (text, expected) in [
            ("30", Some(30_000)),
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1h 30", Some(3_630_000)),
            ("1w1d1h1m1s1ms", Some(694_861_001)),
            ("0", Some(0)),
            ("1m1h", None),
            ("1m1m", None),
            ("1 1", Some(2000)),
            ("1 1 1", None),
            ("1 1s", None),
            ("1s2", Some(3000)),
            ("1 ", Some(1000)),
            ("s1", Some(1000)),
            ("1m s", Some(60_000)),
            ("1y", None),
            ("1M", None),
            ("", None),
            ("s", None),
            ("1x", None),
            ("-1", None),
            ("9223372036854775807", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
        for (text, expected) in [
            ("1y", Some(31_536_000)),
            ("1M", Some(2_592_000)),
            ("1y1M", Some(34_128_000)),
            ("10", Some(10)),
            ("1ms", None),
        ] {
            assert_eq!(seconds(text).map(|time| time.as_secs()), expected, "{text}");
        }
    }
}
