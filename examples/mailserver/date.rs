//! Dates as mail writes them, always in UTC.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// ` 9-Nov-2026 10:00:00 +0000`: the form of IMAP's INTERNALDATE, for seconds since 1970.
pub(crate) fn internal(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    format!("{day:2}-{}-{year} {} +0000", MONTHS[month - 1], clock(seconds))
}

/// `Mon, 9 Nov 2026 10:00:00 +0000`: the form of a header (RFC 5322), for seconds since 1970.
pub(crate) fn header(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let weekday = DAYS[(seconds / 86_400 % 7) as usize];
    format!("{weekday}, {day} {} {year} {} +0000", MONTHS[month - 1], clock(seconds))
}

/// Reads the form of IMAP's INTERNALDATE.
pub(crate) fn parse_internal(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let mut date = words.next()?.split('-');
    let day: u64 = date.next()?.parse().ok()?;
    let name = date.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    let year: u64 = date.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = (days(year, month + 1, day) * 86_400 + hour * 3_600 + minute * 60 + second) as i64;
    u64::try_from(local - offset(words.next()?)?).ok()
}

/// The seconds that `+0130` is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let digits: i64 = zone.get(1..5)?.parse().ok()?;
    let seconds = (digits / 100) * 3_600 + (digits % 100) * 60;
    match zone.as_bytes()[0] {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

/// Year, month (from 1) and day (from 1) of a day counted from 1970-01-01, in the Gregorian calendar. Years begin in
/// March here, so that the leap day is the last.
fn civil(days: u64) -> (u64, usize, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month as usize, day)
}

/// The inverse of [`civil`], for years from 1970.
fn days(year: u64, month: usize, day: u64) -> u64 {
    let month = month as u64;
    let year = if month <= 2 { year - 1 } else { year };
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let known = 1_772_236_799;
        assert_eq!(internal(known), "27-Feb-2026 23:59:59 +0000");
        assert_eq!(header(known), "Fri, 27 Feb 2026 23:59:59 +0000");
        assert_eq!(internal(0), " 1-Jan-1970 00:00:00 +0000");
        assert_eq!(parse_internal("28-feb-2026 01:29:59 +0130"), Some(known));
        for wrong in ["", "28-Feb-2026", "28-Feb-2026 1:2:3", "28-Fib-2026 01:02:03 +0000", "1-Jan-1970 00:00:00 +0100"]
        {
            assert_eq!(parse_internal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in 0..146_097 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }
}
