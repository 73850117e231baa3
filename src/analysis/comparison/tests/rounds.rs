//! Rounds out of counters.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::analysis::Counter;
use crate::analysis::comparison::rounds::{Covered, Reading, Rounds};
use crate::analysis::comparison::{Round, round};

fn sample(process: &str, canary: bool, at: f64, all: f64, bad: f64) -> Counter {
    Counter {
        process: process.to_owned(),
        canary,
        canary_pod: canary,
        all,
        bad,
        at,
    }
}

fn canary(at: f64, all: f64, bad: f64) -> Counter {
    sample("podinfo-canary-a", true, at, all, bad)
}

fn stable(at: f64, all: f64, bad: f64) -> Counter {
    sample("podinfo-a", false, at, all, bad)
}

/// Readings whose processes began long ago.
fn read(rounds: &mut Rounds, at: f64, counters: &[Counter]) -> Option<Round> {
    read_with(rounds, at, counters, (&[], 0.0))
}

fn read_with(
    rounds: &mut Rounds,
    at: f64,
    counters: &[Counter],
    (began, grace): (&[(&str, f64)], f64),
) -> Option<Round> {
    let began = began
        .iter()
        .map(|(name, began)| ((*name).to_owned(), *began));
    rounds.advance(&Reading {
        at,
        counters,
        began: &began.collect(),
        grace,
    })
}

fn begun() -> Rounds {
    let mut rounds = Rounds::default();
    rounds.begin(0.0);
    rounds
}

#[test]
fn arms_are_compared_up_to_a_common_time() {
    let mut rounds = begun();
    let readings = [
        [canary(0.0, 100.0, 0.0), stable(7.0, 50.0, 0.0)],
        [canary(15.0, 130.0, 0.0), stable(7.0, 50.0, 0.0)],
        [canary(15.0, 130.0, 0.0), stable(22.0, 80.0, 0.0)],
        [canary(30.0, 160.0, 0.0), stable(22.0, 80.0, 0.0)],
    ];
    let times = [8.0, 16.0, 23.0, 31.0];
    let mut made = times
        .iter()
        .zip(&readings)
        .map(|(at, now)| (read(&mut rounds, *at, now), rounds.common_time()))
        .collect::<Vec<_>>();
    assert_eq!(
        made.pop(),
        Some((Some(round(30.0, 30.0, 0.0, 0.0)), Some(22.0)))
    );
    assert_eq!(made.pop(), Some((None, Some(7.0))));
}

#[test]
fn a_restart_counts_from_zero() {
    let mut rounds = begun();
    let gained: Vec<_> = [(0.0, 100.0), (15.0, 130.0), (30.0, 20.0)]
        .iter()
        .map(|(at, all)| read(&mut rounds, at + 1.0, &[stable(*at, *all, 0.0)]))
        .map(|round| round.map(|round| round.stable.all))
        .collect();
    assert_eq!(gained, [None, Some(30.0), Some(20.0)]);
}

#[test]
fn errors_born_with_a_series_are_counted() {
    // A proxy is known by its requests to stable; that it counts some for the canary is new.
    let proxy = |canary, at, bad| sample("proxy", canary, at, bad, bad);
    let mut rounds = begun();
    read(&mut rounds, 1.0, &[proxy(false, 0.0, 7.0)]);
    let now = [proxy(false, 15.0, 7.0), proxy(true, 15.0, 37.0)];
    let made = read(&mut rounds, 16.0, &now);
    assert_eq!(made, Some(round(37.0, 0.0, 37.0, 0.0)));
}

#[test]
fn a_new_store_brings_no_errors() {
    let mut rounds = begun();
    read(&mut rounds, 1.0, &[stable(0.0, 100.0, 0.0)]);
    let now = [stable(15.0, 130.0, 0.0), canary(15.0, 5000.0, 70.0)];
    let made = read(&mut rounds, 16.0, &now);
    assert_eq!(made, Some(round(0.0, 30.0, 0.0, 0.0)));
    let now = [stable(30.0, 160.0, 0.0), canary(30.0, 5040.0, 71.0)];
    let made = read(&mut rounds, 31.0, &now);
    assert_eq!(made, Some(round(40.0, 30.0, 1.0, 0.0)), "it was a base");
}

#[test]
fn a_process_counts_from_zero_only_if_it_began_after_the_last_round() {
    for (began, expected) in [(3.0, 9.0), (0.0, 0.0), (-100.0, 0.0)] {
        let mut rounds = begun();
        read(&mut rounds, 1.0, &[stable(0.0, 100.0, 0.0)]);
        let now = [stable(15.0, 130.0, 0.0), canary(15.0, 9.0, 9.0)];
        let began = [("podinfo-canary-a", began)];
        let made = read_with(&mut rounds, 16.0, &now, (&began, 0.0));
        let made = made.expect("a round");
        assert_eq!(made.canary.bad, expected, "{began:?}");
    }
}

#[test]
fn cold_caches_are_left_out_of_latency() {
    let mut rounds = begun();
    let began = [("podinfo-canary-a", 3.0)];
    let mut slow = Vec::new();
    for number in 0..7_u8 {
        let at = 15.0 * f64::from(number);
        let counted = 10.0 * f64::from(number);
        // An unknown process of stable comes at 15 s, and cannot be older.
        let mut now = vec![stable(at, counted, 0.0), canary(at, counted, counted)];
        now.extend((number > 0).then(|| sample("podinfo-b", false, at, counted, counted)));
        slow.extend(read_with(&mut rounds, at + 1.0, &now, (&began, 60.0)));
    }
    let bad: Vec<_> = slow
        .iter()
        .map(|round| (round.canary.bad, round.stable.bad))
        .collect();
    let none = (0.0, 0.0);
    assert_eq!(bad, [none, none, none, none, none, (10.0, 10.0)]);
}

#[test]
fn two_servers_count_once() {
    let mut rounds = begun();
    let samples = [(0.0, 100.0), (15.0, 130.0), (14.0, 125.0), (30.0, 160.0)];
    let made = samples
        .iter()
        .zip([1.0, 16.0, 21.0, 31.0])
        .filter_map(|((at, all), read_at)| read(&mut rounds, read_at, &[stable(*at, *all, 0.0)]));
    let gained: Vec<_> = made.map(|round| round.stable.all).collect();
    assert_eq!(gained, [30.0, 30.0]);
}

#[test]
fn a_weight_change_ends_the_interval() {
    let mut rounds = begun();
    let at = |at: f64, bad: f64| [canary(at, 10.0 * at, bad), stable(at, 90.0 * at, bad)];
    read(&mut rounds, 1.0, &at(0.0, 0.0));
    assert!(read(&mut rounds, 16.0, &at(15.0, 0.0)).is_some());
    rounds.rest();
    assert_eq!(read(&mut rounds, 31.0, &at(30.0, 500.0)), None);
    rounds.begin(33.0);
    rounds.begin(33.0);
    assert_eq!(read(&mut rounds, 46.0, &at(45.0, 900.0)), None);
    assert_eq!(rounds.common_time(), Some(45.0));
    let made = read(&mut rounds, 61.0, &at(60.0, 901.0));
    assert_eq!(made, Some(round(150.0, 1350.0, 1.0, 1.0)));
}

#[test]
fn no_line_reaches_back_behind_the_change() {
    // The canary's first sample after the change is at 20 s, stable's at 12 s: from 20 s on both are known.
    let mut rounds = Rounds::default();
    rounds.begin(10.0);
    let now = |c: f64, s: f64| [canary(c, c, 0.0), stable(s, s, 0.0)];
    let steps = [
        (6.0, 5.0, -3.0, None),
        (13.0, 5.0, 12.0, None),
        (21.0, 20.0, 12.0, None),
        (28.0, 20.0, 27.0, Some(20.0)),
    ];
    for (at, c, s, expected) in steps {
        assert_eq!(read(&mut rounds, at, &now(c, s)), None);
        assert_eq!(rounds.common_time(), expected, "at {at}");
    }
}

#[test]
fn a_vanished_process_counts_up_to_its_last_sample() {
    let mut rounds = begun();
    let now = |c: f64, s: f64| [canary(c, c, c), stable(s, s, 0.0)];
    let both = Covered {
        canary: 1,
        stable: 1,
    };
    let steps = [
        (16.0, now(0.0, 5.0), None),
        (16.0, now(15.0, 5.0), None),
        (31.0, now(30.0, 20.0), Some(round(15.0, 15.0, 15.0, 0.0))),
        (51.0, now(30.0, 50.0), None),
    ];
    for (at, counters, expected) in steps {
        assert_eq!(read(&mut rounds, at, &counters), expected, "at {at}");
        assert_eq!(rounds.covered(at), both);
    }
    let made = read(&mut rounds, 61.0, &now(30.0, 50.0));
    assert_eq!(made, Some(round(10.0, 30.0, 10.0, 0.0)));
    let canary = 0;
    assert_eq!(rounds.covered(61.0), Covered { canary, ..both });
}

#[test]
fn what_happened_in_silence_is_not_counted_afterwards_as_new() {
    let mut rounds = begun();
    read(
        &mut rounds,
        1.0,
        &[canary(0.0, 0.0, 0.0), stable(0.0, 0.0, 0.0)],
    );
    for at in [15.0, 30.0, 45.0, 60.0, 75.0] {
        let silent = [canary(0.0, 0.0, 0.0), stable(at, at, 0.0)];
        let _ = read(&mut rounds, at + 1.0, &silent);
    }
    let back = [canary(90.0, 90.0, 90.0), stable(90.0, 90.0, 0.0)];
    let made = read(&mut rounds, 91.0, &back);
    assert_eq!(made, Some(round(15.0, 15.0, 15.0, 0.0)));
}

#[test]
fn a_restart_of_the_controller_loses_nothing() {
    let all = |at: f64| [canary(at, 2.0 * at, at), stable(at, 3.0 * at, 0.0)];
    let mut rounds = begun();
    read(&mut rounds, 1.0, &all(0.0));
    read(&mut rounds, 16.0, &all(15.0));
    let common = rounds.common_time().expect("a common time");
    let reading = Reading {
        at: common,
        counters: &all(15.0),
        began: &BTreeMap::new(),
        grace: 0.0,
    };
    let mut resumed = Rounds::resume(0.0, &reading);
    resumed.begin(0.0);
    let made = read(&mut rounds, 31.0, &all(30.0));
    assert_eq!(made, Some(round(30.0, 45.0, 15.0, 0.0)));
    assert_eq!(read(&mut resumed, 31.0, &all(30.0)), made);
}

/// What a server takes in late is not there at first, and is there when the same time is asked for again after a restart (M15).
#[test]
fn late_samples_are_not_counted_twice() {
    let samples = |late: f64| [canary(30.0, 300.0, 3.0), stable(late, late * 10.0, 0.0)];
    let mut before = begun();
    let first = [canary(0.0, 0.0, 0.0), stable(0.0, 0.0, 0.0)];
    assert_eq!(read(&mut before, 1.0, &first), None);
    let counted = read(&mut before, 31.0, &samples(15.0)).expect("a round");
    assert_eq!(before.common_time(), Some(15.0));
    // Asked for again, the time of the last round has what was late by then, and the next round begins there.
    let began = BTreeMap::new();
    let again = Reading {
        at: 15.0,
        counters: &[canary(15.0, 150.0, 1.5), stable(15.0, 150.0, 0.0)],
        began: &began,
        grace: 0.0,
    };
    let mut after = Rounds::resume(0.0, &again);
    let rest = read(&mut after, 46.0, &samples(30.0)).expect("a round");
    let sum = (
        counted.canary.all + rest.canary.all,
        counted.stable.all + rest.stable.all,
    );
    assert_eq!(sum, (300.0, 300.0));
}

#[test]
fn rounds_follow_the_scrapes() {
    let mut rounds = begun();
    let mut made = 0;
    for second in 0..120_u8 {
        // A scrape every 5 s, a little early or late.
        let scrape = second / 5;
        let at = 5.0 * f64::from(scrape) + 0.2 * f64::from(scrape * 7 % 3);
        let now = [canary(at, at, 0.0), stable(at, at, 0.0)];
        made += i32::from(read(&mut rounds, f64::from(second) + 0.5, &now).is_some());
    }
    assert!((20..=23).contains(&made), "{made}");
}

#[test]
fn nothing_that_is_no_number_is_taken() {
    let mut rounds = begun();
    let nonsense = [
        canary(f64::NAN, 1.0, 0.0),
        canary(0.0, f64::INFINITY, 0.0),
        canary(0.0, 1.0, f64::NAN),
    ];
    assert_eq!(read(&mut rounds, 1.0, &nonsense), None);
    assert_eq!(rounds.covered(1.0), Covered::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However processes are scraped, rounds add up to what was counted between the first and the last common time.
    #[test]
    fn rounds_add_up(offsets in proptest::collection::vec(0.0_f64..15.0, 2..6), late in 0.0_f64..5.0) {
        let mut rounds = begun();
        let (mut sum, mut from) = (Round::default(), None);
        for reading in 0..60_u8 {
            let at = late + 5.0 * f64::from(reading);
            let now: Vec<_> = offsets.iter().enumerate().filter(|(_, offset)| **offset <= at).map(|(i, offset)| {
                let at = offset + 15.0 * ((at - offset) / 15.0).floor();
                sample(&i.to_string(), i % 2 == 0, at, 100.0 + 4.0 * at, at)
            }).collect();
            if now.len() < offsets.len() {
                continue;
            }
            if let Some(round) = read(&mut rounds, at, &now) {
                sum.canary.add(round.canary);
                sum.stable.add(round.stable);
            }
            from = from.or(rounds.common_time());
        }
        let time = rounds.common_time().zip(from).map_or(0.0, |(until, from)| until - from);
        prop_assert!(time > 200.0);
        let stable = (offsets.len() / 2) as f64;
        let canary = offsets.len() as f64 - stable;
        let (canary, stable) = (canary * time, stable * time);
        let expected = round(4.0 * canary, 4.0 * stable, canary, stable);
        for (found, expected) in [(sum.canary, expected.canary), (sum.stable, expected.stable)] {
            prop_assert!((found.all - expected.all).abs() < 1e-6 && (found.bad - expected.bad).abs() < 1e-6);
        }
    }
}
