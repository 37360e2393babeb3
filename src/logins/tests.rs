#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use super::*;
use crate::config::limits::logins::AddressLimit;

const MINUTE: Duration = Duration::from_secs(60);

fn config(address: Option<Limit>, login: Option<Limit>) -> FailedLogins {
    let address = address.map(|limit| AddressLimit { limit, ipv4: 32, ipv6: 64 });
    let exempt = vec![Network::Ip { address: "127.0.0.0".parse().unwrap(), prefix: 8 }];
    FailedLogins { address, login, exempt }
}

fn limit(delay: u32, refuse: u32) -> Option<Limit> {
    Some(Limit { delay: Some(delay), refuse: Some(refuse), within: MINUTE })
}

fn guard(address: Option<Limit>, login: Option<Limit>) -> Guard {
    Guard::new(&config(address, login), &Tables::default()).unwrap()
}

fn attempt(guard: &Guard, from: &str, login: &str) -> Attempt {
    guard.attempt(&Address::Ip((from.parse::<IpAddr>().unwrap(), 1).into()), login.as_bytes())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn succeed(guard: &Guard, from: &str, login: &str, user: &str, now: Instant) {
    let address = Address::Ip((from.parse::<IpAddr>().unwrap(), 1).into());
    guard.succeeded(&attempt(guard, from, login), &address, user.as_bytes(), now);
}

/// Fails so many times with different logins, and tells the sentence for the next.
fn fail(guard: &Guard, from: &str, times: usize, now: Instant) -> Sentence {
    for number in 0..times {
        guard.failed(&attempt(guard, from, &format!("{number}")), now);
    }
    guard.judge(&attempt(guard, from, "next"), now)
}

#[test]
fn an_address_waits_longer_and_longer_and_is_refused() {
    let (guard, now) = (guard(limit(3, 10), None), Instant::now());
    assert_eq!(fail(&guard, "192.0.2.1", 2, now), Sentence::Ask);
    for expected in [1, 2, 4, 8, 15, 15, 15] {
        assert_eq!(fail(&guard, "192.0.2.1", 1, now), Sentence::Wait(seconds(expected)));
    }
    assert_eq!(fail(&guard, "192.0.2.1", 1, now), Sentence::Refuse(By::Address));
    assert_eq!(fail(&guard, "192.0.2.2", 0, now), Sentence::Ask);
    assert_eq!(fail(&guard, "192.0.2.1", 0, now + MINUTE + seconds(30)), Sentence::Wait(seconds(4)));
    assert_eq!(fail(&guard, "192.0.2.1", 0, now + 2 * MINUTE), Sentence::Ask);
}

#[test]
fn a_network_of_ipv6_is_one_address_and_some_are_exempt() {
    let (guard, now) = (guard(limit(1, 2), None), Instant::now());
    assert_eq!(fail(&guard, "2001:db8::1", 1, now), Sentence::Wait(seconds(1)));
    assert_eq!(fail(&guard, "2001:db8::2", 1, now), Sentence::Refuse(By::Address));
    assert_eq!(fail(&guard, "2001:db8:0:1::1", 0, now), Sentence::Ask);
    assert_eq!(fail(&guard, "127.0.0.1", 100, now), Sentence::Ask);
    assert_eq!(fail(&guard, "::ffff:127.0.0.1", 100, now), Sentence::Ask);
}

#[test]
fn a_login_that_was_good_from_there_is_not_touched_until_it_fails_three_times() {
    let (guard, now) = (guard(limit(1, 2), limit(1, 2)), Instant::now());
    let joe = attempt(&guard, "192.0.2.1", "Joe");
    succeed(&guard, "192.0.2.1", "Joe", "joe", now);
    assert_eq!(fail(&guard, "192.0.2.1", 50, now), Sentence::Refuse(By::Address));
    for from in ["192.0.2.2", "192.0.2.3"] {
        guard.failed(&attempt(&guard, from, "joe"), now);
    }
    assert_eq!(guard.judge(&joe, now), Sentence::Ask);
    assert_eq!(guard.judge(&attempt(&guard, "192.0.2.1", "JOE"), now), Sentence::Ask, "names have no case");
    assert_eq!(guard.judge(&attempt(&guard, "192.0.2.4", "joe"), now), Sentence::Refuse(By::Login));
    for _ in 0..2 {
        guard.failed(&joe, now);
        assert_eq!(guard.judge(&joe, now), Sentence::Ask, "a slip, or a neighbour");
    }
    succeed(&guard, "192.0.2.1", "joe", "joe", now);
    for _ in 0..3 {
        assert_eq!(guard.judge(&joe, now), Sentence::Ask);
        guard.failed(&joe, now);
    }
    assert_eq!(guard.judge(&joe, now), Sentence::Refuse(By::Login));
    assert_eq!(guard.judge(&attempt(&guard, "192.0.2.1", "jane"), now), Sentence::Refuse(By::Address));
}

#[test]
fn good_logins_are_remembered_for_a_day_and_longer_if_they_go_on() {
    let (guard, start) = (guard(limit(1, 2), None), Instant::now());
    let joe = attempt(&guard, "192.0.2.1", "joe");
    let day = |days: u32| start + days * REMEMBERED;
    for days in 0..5 {
        succeed(&guard, "192.0.2.1", "joe", "joe", day(days));
    }
    fail(&guard, "192.0.2.1", 5, day(5));
    assert_eq!(guard.judge(&joe, day(5)), Sentence::Ask);
    fail(&guard, "192.0.2.1", 5, day(6));
    assert_eq!(guard.judge(&joe, day(6)), Sentence::Refuse(By::Address));
}

#[test]
fn an_address_of_many_users_is_allowed_as_many_times_as_many_failures() {
    let (guard, now) = (guard(limit(10, 100), None), Instant::now());
    for number in 0..20 {
        // One user often is one user, by whatever name.
        for name in ["", "+a", "+b"] {
            let user = format!("user{number}");
            succeed(&guard, "192.0.2.1", &format!("{user}{name}"), &user, now);
            succeed(&guard, "192.0.2.1", &format!("{user}{name}"), &user.to_uppercase(), now);
        }
    }
    assert_eq!(fail(&guard, "192.0.2.1", 199, now), Sentence::Ask);
    assert_eq!(fail(&guard, "192.0.2.1", 1, now), Sentence::Wait(seconds(1)));
    assert_eq!(fail(&guard, "192.0.2.1", 20, now), Sentence::Wait(seconds(2)));
    assert_eq!(fail(&guard, "192.0.2.1", 1779, now), Sentence::Wait(seconds(15)));
    assert_eq!(fail(&guard, "192.0.2.1", 1, now), Sentence::Refuse(By::Address));
}

#[test]
fn that_has_an_end_however_many_users_there_seem_to_be() {
    let (guard, now) = (guard(limit(10, 100), None), Instant::now());
    for number in 0..1000 {
        let name = format!("me+{number}");
        succeed(&guard, "192.0.2.1", &name, &name, now);
    }
    assert_eq!(fail(&guard, "192.0.2.1", 319, now), Sentence::Ask);
    assert_eq!(fail(&guard, "192.0.2.1", 1, now), Sentence::Wait(seconds(1)));
    assert_eq!(fail(&guard, "192.0.2.1", 2880, now), Sentence::Refuse(By::Address));
}

#[test]
fn who_does_not_wait_for_the_answer_has_failed() {
    let by_login = Limit { delay: Some(1), refuse: None, within: MINUTE };
    let (guard, now) = (guard(limit(1, 2), Some(by_login)), Instant::now());
    let joe = attempt(&guard, "192.0.2.1", "joe");
    guard.abandoned(&joe, now);
    guard.abandoned(&Attempt { asked: Some(now), ..joe }, now + PATIENCE);
    assert_eq!(guard.judge(&joe, now), Sentence::Ask);
    for expected in [Sentence::Wait(seconds(1)), Sentence::Refuse(By::Address)] {
        guard.abandoned(&Attempt { asked: Some(now), ..joe }, now);
        assert_eq!(guard.judge(&joe, now), expected);
    }
    let elsewhere = attempt(&guard, "192.0.2.2", "joe");
    assert_eq!(guard.failed(&elsewhere, now), None, "the login has not: nobody was there to hear of it late");
}

#[test]
fn who_does_not_wait_has_failed_as_a_login_where_that_may_be_refused() {
    let (guard, now) = (guard(None, limit(1, 2)), Instant::now());
    for expected in [Sentence::Ask, Sentence::Ask, Sentence::Refuse(By::Login)] {
        let joe = attempt(&guard, "192.0.2.1", "joe");
        assert_eq!(guard.judge(&joe, now), expected);
        guard.abandoned(&Attempt { asked: Some(now), ..joe }, now);
    }
}

#[test]
fn who_does_not_wait_does_not_guess_for_ever_at_a_login_that_was_good_there() {
    let (guard, now) = (guard(limit(1, 2), None), Instant::now());
    succeed(&guard, "192.0.2.1", "joe", "joe", now);
    let joe = attempt(&guard, "192.0.2.1", "joe");
    for _ in 0..FAILURES_OF_GOOD {
        assert_eq!(guard.judge(&joe, now), Sentence::Ask);
        guard.abandoned(&Attempt { asked: Some(now), ..joe }, now);
    }
    assert_eq!(guard.judge(&joe, now), Sentence::Refuse(By::Address));
}

#[test]
fn one_user_that_logs_in_again_and_again_is_one() {
    let (guard, start) = (guard(limit(10, 100), None), Instant::now());
    for half_minutes in 0..10 {
        succeed(&guard, "192.0.2.1", "joe", "joe", start + half_minutes * MINUTE / 2);
    }
    let now = start + 5 * MINUTE;
    assert_eq!(fail(&guard, "192.0.2.1", 10, now), Sentence::Wait(seconds(1)));
    assert_eq!(fail(&guard, "192.0.2.1", 90, now), Sentence::Refuse(By::Address));
}

#[test]
fn users_that_log_in_again_and_again_keep_their_address_allowed() {
    let (guard, start) = (guard(limit(10, 100), None), Instant::now());
    let minute = |number: u32| start + number * MINUTE;
    for number in 0..10 {
        for user in 0..30 {
            let user = format!("user{user}");
            succeed(&guard, "192.0.2.1", &user, &user, minute(number));
        }
    }
    assert_eq!(fail(&guard, "192.0.2.1", 299, minute(9)), Sentence::Ask);
    assert_eq!(fail(&guard, "192.0.2.1", 299, minute(11)), Sentence::Refuse(By::Address), "they are there no more");
}

#[test]
fn a_login_that_fails_often_hears_of_it_late_and_nothing_else_happens_to_it() {
    let by_login = Limit { delay: Some(2), refuse: None, within: MINUTE };
    let (guard, now) = (guard(limit(1000, 1000), Some(by_login)), Instant::now());
    let from = |number: usize| attempt(&guard, &format!("192.0.2.{number}"), "joe");
    let delays: Vec<_> = (0..8).map(|number| guard.failed(&from(number), now)).collect();
    let expected = [None, None, Some(1), Some(2), Some(4), Some(8), Some(15), Some(15)].map(|it| it.map(seconds));
    assert_eq!(delays, expected);
    assert_eq!(guard.judge(&from(9), now), Sentence::Ask);
    assert_eq!(guard.failed(&attempt(&guard, "192.0.2.1", "jane"), now), None);
}

#[test]
fn tables_outlive_a_reload_and_are_shared_by_servers_with_the_same_settings() {
    let (tables, now) = (Tables::default(), Instant::now());
    let make = |by_address| Guard::new(&config(by_address, None), &tables).unwrap();
    let before = make(limit(1, 2));
    fail(&before, "192.0.2.1", 2, now);
    let after = make(limit(1, 3));
    drop(before);
    assert_eq!(fail(&after, "192.0.2.1", 0, now), Sentence::Wait(seconds(2)));
    let other = make(Some(Limit { within: 2 * MINUTE, ..limit(1, 2).unwrap() }));
    assert_eq!(fail(&other, "192.0.2.1", 0, now), Sentence::Ask);
}

#[test]
fn off_is_nothing() {
    assert!(Guard::new(&config(None, None), &Tables::default()).is_none());
    let guard = guard(None, Some(Limit { delay: None, refuse: None, within: MINUTE }));
    assert_eq!(fail(&guard, "192.0.2.1", 100, Instant::now()), Sentence::Ask);
}
