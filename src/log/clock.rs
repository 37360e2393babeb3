//! The local time as log lines write it.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// One second of local time, in both spellings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// `2026/11/23 02:04:04`
    pub(super) line: [u8; 19],
    /// `Nov 23 02:04:04`, the day padded with a space (RFC 3164, section 4.1.2).
    pub(super) syslog: [u8; 15],
}

/// The present second. It is spelled once a second in each thread. The first call of the process reads the time zone
/// (`TZ`, `/etc/localtime`); it must come before access to files is given up.
pub(super) fn now() -> Stamp {
    thread_local! {
        static LAST: Cell<Option<(libc::time_t, Stamp)>> = const { Cell::new(None) };
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as libc::time_t);
    match LAST.get() {
        Some((last, stamp)) if last == seconds => stamp,
        _ => {
            let stamp = Stamp::new(&local(seconds));
            LAST.set(Some((seconds, stamp)));
            stamp
        }
    }
}

impl Stamp {
    fn new(time: &libc::tm) -> Stamp {
        let (year, month) = (time.tm_year + 1900, time.tm_mon + 1);
        let (day, hour, minute, second) = (time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec);
        let name = MONTHS[usize::try_from(time.tm_mon).unwrap_or(0).min(11)];
        Stamp {
            line: fixed(&format!("{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}")),
            syslog: fixed(&format!("{name} {day:2} {hour:02}:{minute:02}:{second:02}")),
        }
    }
}

/// The text in an array: cut, or padded with spaces, in years that have not four digits.
fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut array = [b' '; N];
    array.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    array
}

fn local(seconds: libc::time_t) -> libc::tm {
    // SAFETY: `tm` is a C struct of integers and one pointer, for which all zeros is a value.
    let mut time = unsafe { std::mem::zeroed::<libc::tm>() };
    // SAFETY: both pointers are to live variables of the right types, and the function keeps neither.
    unsafe { libc::localtime_r(&seconds, &mut time) };
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings() {
        let mut time = local(0);
        (time.tm_year, time.tm_mon, time.tm_mday) = (126, 10, 3);
        (time.tm_hour, time.tm_min, time.tm_sec) = (2, 4, 59);
        let stamp = Stamp::new(&time);
        assert_eq!(&stamp.line, b"2026/11/03 02:04:59");
        assert_eq!(&stamp.syslog, b"Nov  3 02:04:59");
    }

    #[test]
    fn the_present_looks_like_a_time() {
        let stamp = now();
        assert!(
            stamp.line.iter().zip(b"0000/00/00 00:00:00").all(|(a, b)| a == b || (*b == b'0' && a.is_ascii_digit()))
        );
    }
}
