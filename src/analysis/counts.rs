//! From raw counters to what happened between two times (ANALYSIS 2.2, rows M1, M5, M7 to M9).

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::Counter;

/// Requests of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// All of them.
    pub all: f64,
    /// The bad ones among them.
    pub bad: f64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.all += other.all;
        self.bad += other.bad;
    }
}

/// What happened between two times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Increments {
    /// Requests to the canary.
    pub canary: Counts,
    /// Requests to stable.
    pub stable: Counts,
    /// Processes that count requests to the canary, with or without new ones.
    pub canary_processes: BTreeSet<String>,
    /// Processes that count requests to stable.
    pub stable_processes: BTreeSet<String>,
    /// Time of the newest sample of either arm, in seconds since 1970; 0 if there is none.
    pub newest: f64,
    /// Pods counted, not proxies. They also see probes and callers that bypass the route, so their counts say little about
    /// its weight (ANALYSIS 4.7).
    pub by_pods: bool,
}

/// What the counters gained since `base`, per process and only then summed, so that a restart hides nothing.
///
/// `None`: the base is empty while there are counters now. Then the store is new, or nothing was ever counted; either way
/// nothing says what these counters held at the base's time, and the caller has to begin a new window.
#[must_use]
pub fn increments(base: &[Counter], now: &[Counter]) -> Option<Increments> {
    if base.is_empty() && !now.is_empty() {
        return None;
    }
    let known = Known::new(base);
    let mut gained = Increments::default();
    for counter in now {
        let (arm, processes) = if counter.canary {
            (&mut gained.canary, &mut gained.canary_processes)
        } else {
            (&mut gained.stable, &mut gained.stable_processes)
        };
        arm.add(known.gain(counter));
        processes.insert(counter.process.clone());
        gained.newest = gained.newest.max(counter.at);
        gained.by_pods |= counter.canary_pod;
    }
    Some(gained)
}

/// The counters of the base, and the processes that it had seen at all.
struct Known<'a> {
    counters: BTreeMap<(&'a str, bool), &'a Counter>,
    processes: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    fn new(base: &'a [Counter]) -> Self {
        let counters = base.iter().map(|c| ((c.process.as_str(), c.canary), c));
        Self {
            counters: counters.collect(),
            processes: base.iter().map(|c| c.process.as_str()).collect(),
        }
    }

    fn gain(&self, now: &Counter) -> Counts {
        match self.counters.get(&(now.process.as_str(), now.canary)) {
            Some(before) => difference(before, now),
            None if self.counts_from_zero(now) => whole(now),
            None => Counts::default(),
        }
    }

    /// Whether a counter that the base did not have began at zero after it.
    ///
    /// It did if its process was there: then only this series is new. It also did in a Pod of the canary, which was made
    /// for this attempt: at worst its first requests of this very attempt are counted in this window. Any other process may
    /// have served for days before it was first scraped, so its first sample is only a base.
    fn counts_from_zero(&self, now: &Counter) -> bool {
        now.canary_pod || self.processes.contains(now.process.as_str())
    }
}

/// The gain of one counter. A lower value with a later time is a restart, and counts from zero; a sample that is not later
/// than the last is none: a second server behind the same address may be behind.
pub(super) fn difference(before: &Counter, now: &Counter) -> Counts {
    if now.at <= before.at {
        return Counts::default();
    }
    if now.all < before.all || now.bad < before.bad {
        return whole(now);
    }
    Counts {
        all: now.all - before.all,
        bad: now.bad - before.bad,
    }
}

fn whole(counter: &Counter) -> Counts {
    Counts {
        all: counter.all,
        bad: counter.bad,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counter(process: &str, canary: bool, at: f64, all: f64, bad: f64) -> Counter {
        Counter {
            process: process.to_owned(),
            canary,
            canary_pod: false,
            all,
            bad,
            at,
        }
    }

    fn pod(at: f64, all: f64, bad: f64) -> Counter {
        Counter {
            canary_pod: true,
            ..counter("podinfo-canary-a", true, at, all, bad)
        }
    }

    fn counts(all: f64, bad: f64) -> Counts {
        Counts { all, bad }
    }

    #[track_caller]
    fn gained(base: &[Counter], now: &[Counter]) -> Increments {
        increments(base, now).expect("the base is known")
    }

    #[test]
    fn errors_born_with_a_series_are_counted() {
        let base = [counter("proxy", true, 0.0, 100.0, 0.0)];
        let now = [counter("proxy", true, 15.0, 137.0, 37.0)];
        assert_eq!(gained(&base, &now).canary, counts(37.0, 37.0));
    }

    #[test]
    fn the_first_series_of_a_known_proxy_counts_from_zero() {
        let base = [counter("proxy", false, 0.0, 900.0, 3.0)];
        let now = [
            counter("proxy", false, 15.0, 990.0, 3.0),
            counter("proxy", true, 15.0, 10.0, 4.0),
        ];
        let gained = gained(&base, &now);
        assert_eq!(gained.canary, counts(10.0, 4.0));
        assert_eq!(gained.stable, counts(90.0, 0.0));
    }

    #[test]
    fn a_canary_pod_counts_from_zero() {
        let base = [counter("podinfo-a", false, 0.0, 900.0, 3.0)];
        let gained = gained(&base, &[pod(15.0, 5.0, 5.0)]);
        assert_eq!(gained.canary, counts(5.0, 5.0));
        assert!(gained.by_pods);
    }

    #[test]
    fn an_old_process_first_seen_brings_nothing() {
        let base = [counter("podinfo-a", false, 0.0, 900.0, 3.0)];
        let now = [counter("podinfo-b", false, 15.0, 5000.0, 70.0)];
        let first = gained(&base, &now);
        assert_eq!(first.stable, Counts::default());
        assert!(first.stable_processes.contains("podinfo-b"), "it is a base");
        let later = [counter("podinfo-b", false, 30.0, 5040.0, 71.0)];
        assert_eq!(gained(&now, &later).stable, counts(40.0, 1.0));
    }

    #[test]
    fn a_new_store_brings_no_errors() {
        let now = [pod(15.0, 5000.0, 70.0)];
        assert_eq!(increments(&[], &now), None);
        assert_eq!(increments(&[], &[]), Some(Increments::default()));
    }

    #[test]
    fn a_restart_is_not_a_negative_count() {
        let samples = [(0.0, 100.0), (15.0, 130.0), (30.0, 20.0)];
        let rounds = samples.map(|(at, all)| [counter("a", false, at, all, 0.0)]);
        let first = gained(&rounds[0], &rounds[1]).stable.all;
        let second = gained(&rounds[1], &rounds[2]).stable.all;
        assert_eq!((first, second), (30.0, 20.0));
    }

    #[test]
    fn a_restart_hides_no_error_of_another_process() {
        let base = [
            counter("a", true, 0.0, 100.0, 50.0),
            counter("b", true, 0.0, 100.0, 0.0),
        ];
        let now = [
            counter("a", true, 15.0, 10.0, 1.0),
            counter("b", true, 15.0, 120.0, 20.0),
        ];
        assert_eq!(gained(&base, &now).canary, counts(30.0, 21.0));
    }

    #[test]
    fn two_servers_count_once() {
        let base = [counter("a", true, 15.0, 130.0, 2.0)];
        let behind = [counter("a", true, 14.0, 125.0, 1.0)];
        assert_eq!(gained(&base, &behind).canary, Counts::default());
        let same = [counter("a", true, 15.0, 130.0, 2.0)];
        assert_eq!(gained(&base, &same).canary, Counts::default());
    }

    #[test]
    fn the_last_candidates_errors_are_not_mine() {
        // The proxy's counter of the canary backend outlives the candidate.
        let base = [counter("proxy", true, 0.0, 4000.0, 900.0)];
        let now = [counter("proxy", true, 60.0, 4100.0, 900.0)];
        assert_eq!(gained(&base, &now).canary, counts(100.0, 0.0));
    }

    #[test]
    fn the_newest_sample_is_the_newest_of_all() {
        let base = [counter("a", true, 0.0, 0.0, 0.0)];
        let now = [
            counter("a", true, 22.0, 1.0, 0.0),
            counter("b", false, 37.0, 1.0, 0.0),
        ];
        assert_eq!(gained(&base, &now).newest, 37.0);
    }

    /// Any counters of a few processes.
    fn any_counters() -> impl Strategy<Value = Vec<Counter>> {
        let one = (0..4_u8, any::<bool>(), 0..100_u8, 0..1000_u16, 0..1000_u16);
        let counters = one.prop_map(|(process, canary, at, all, bad)| {
            let (all, bad) = (f64::from(all), f64::from(bad.min(all)));
            counter(&process.to_string(), canary, f64::from(at), all, bad)
        });
        proptest::collection::vec(counters, 0..8)
    }

    proptest! {
        #[test]
        fn increments_are_never_negative(base in any_counters(), now in any_counters()) {
            if let Some(gained) = increments(&base, &now) {
                for counts in [gained.canary, gained.stable] {
                    prop_assert!(counts.all >= 0.0 && counts.bad >= 0.0);
                }
            }
        }

        #[test]
        fn nothing_happens_in_no_time(now in any_counters()) {
            let unique: BTreeMap<_, _> = now.iter().map(|c| ((&c.process, c.canary), c)).collect();
            let now: Vec<_> = unique.into_values().cloned().collect();
            if let Some(gained) = increments(&now, &now) {
                prop_assert_eq!((gained.canary, gained.stable), Default::default());
            }
        }

        /// Two windows side by side count what the one around them counts, as long as nothing restarts.
        #[test]
        fn windows_add_up(steps in proptest::collection::vec((0..100_u8, 0..100_u8), 3)) {
            let mut at = (0.0, 0.0, 0.0);
            let rounds: Vec<_> = steps.iter().map(|(good, bad)| {
                at = (at.0 + 15.0, at.1 + f64::from(good + bad.min(&100)), at.2 + f64::from(*bad));
                [counter("a", true, at.0, at.1, at.2)]
            }).collect();
            let mut parts = increments(&rounds[0], &rounds[1]).unwrap_or_default().canary;
            parts.add(increments(&rounds[1], &rounds[2]).unwrap_or_default().canary);
            prop_assert_eq!(parts, increments(&rounds[0], &rounds[2]).unwrap_or_default().canary);
        }
    }
}
