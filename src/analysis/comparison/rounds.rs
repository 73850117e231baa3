//! From counters to rounds (ANALYSIS 2.2 and 2.3): both arms, up to one common time.
//!
//! Every process is scraped at its own moment. Compared as they are, the arms would cover different times, and a failure of
//! both would show in one of them first (M11); so each counter is read off at the same time, between its samples.

use std::collections::BTreeMap;

use crate::analysis::Counter;
use crate::analysis::comparison::Round;
use crate::analysis::comparison::line::Line;
use crate::analysis::counts::Counts;

/// Seconds between two scrapes, until they are known.
const USUAL_INTERVAL: f64 = 15.0;

/// The part of a scrape interval by which the common time has to move for a round: scrapes are a little early at times, and
/// then a round must not wait for the next one.
const PUNCTUAL: f64 = 0.9;

/// Scrape intervals without a new sample after which a process is not waited for any more (M13).
const PATIENCE: f64 = 2.0;

/// Seconds without a sample after which a process is forgotten: so long a server shows what has gone.
const FORGOTTEN: f64 = 300.0;

/// What one question found.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The time that was asked for, in seconds since 1970.
    pub at: f64,
    /// The counters of both arms, each process of one job only (M10).
    pub counters: &'a [Counter],
    /// When processes began, in seconds since 1970, where that is known: a new process counts from zero only if it began
    /// after the last round, since the first sample of any other holds its whole past (M8).
    pub began: &'a BTreeMap<String, f64>,
    /// Seconds from its beginning on in which what a process counts is left out: 0 for errors, 60 for latency, where
    /// `began` is when the Pod became ready.
    pub grace: f64,
}

/// Processes that have a recent sample, by arm. A proxy can count for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Those that count requests to the canary.
    pub canary: usize,
    /// Those that count requests to stable.
    pub stable: usize,
}

/// The counters of one metric, from which rounds are made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounds {
    processes: BTreeMap<String, Process>,
    /// When the current weight had settled; `None`: it is changing.
    settled: Option<f64>,
    /// The time up to which everything is counted (T).
    common: Option<f64>,
}

impl Rounds {
    /// Goes on at a common time that was recorded: the reading is made now, at that very time (M15).
    #[must_use]
    pub fn resume(settled: f64, reading: &Reading<'_>) -> Self {
        let mut rounds = Self {
            settled: Some(settled),
            common: Some(reading.at),
            ..Self::default()
        };
        rounds.take(reading);
        rounds
    }

    /// The weight is about to change. What is counted until the next `begin` is left out for both arms (M12).
    pub fn rest(&mut self) {
        self.settled = None;
        self.common = None;
    }

    /// The weight has settled at this time, in seconds since 1970; saying it again changes nothing.
    pub fn begin(&mut self, settled: f64) {
        if self.settled != Some(settled) {
            self.settled = Some(settled);
            self.common = None;
        }
    }

    /// The time up to which everything is counted, in seconds since 1970, which has to be remembered with the evidence.
    /// `None`: not every process has a sample since the weight settled.
    #[must_use]
    pub fn common_time(&self) -> Option<f64> {
        self.common
    }

    /// Takes a reading; the round that it completes, if it does.
    #[must_use]
    pub fn advance(&mut self, reading: &Reading<'_>) -> Option<Round> {
        self.take(reading);
        let until = self.newest_common(reading.at);
        let round = match (self.common, until) {
            (Some(from), Some(until)) if until - from >= PUNCTUAL * self.interval() => {
                self.common = Some(until);
                Some(self.gained(from, until))
            }
            (None, Some(until)) if self.all_settled(reading.at, until) => {
                self.common = Some(until);
                None
            }
            _ => None,
        };
        self.forget(reading.at);
        round
    }

    /// How many processes have a recent sample at this time. Those of which there never was any are the caller's to count.
    #[must_use]
    pub fn covered(&self, at: f64) -> Covered {
        let oldest = self.oldest(at);
        let count = |line: fn(&Process) -> &Option<Line>| {
            let lines = self.processes.values().filter_map(|p| line(p).as_ref());
            lines.filter(|line| line.newest() >= oldest).count()
        };
        Covered {
            canary: count(|process| &process.canary),
            stable: count(|process| &process.stable),
        }
    }

    fn take(&mut self, reading: &Reading<'_>) {
        for process in self.processes.values_mut() {
            process.before = process.newest();
        }
        let late = !self.processes.is_empty();
        for counter in reading.counters {
            let Counter { all, bad, at, .. } = *counter;
            if all.is_finite() && bad.is_finite() && at.is_finite() {
                self.take_one(reading, counter, late);
            }
        }
    }

    /// `late`: there are older processes, so that one that is not known has come since.
    fn take_one(&mut self, reading: &Reading<'_>, counter: &Counter, late: bool) {
        let name = &counter.process;
        let process = self.processes.entry(name.clone()).or_insert_with(|| {
            let came = late.then_some(counter.at);
            Process::new(came)
        });
        process.heard = counter.at.max(process.heard);
        let began = reading.began.get(name).copied();
        let young = began.or(process.came);
        if reading.grace > 0.0 && young.is_some_and(|began| counter.at < began + reading.grace) {
            return;
        }
        let fresh = |began: &f64| reading.grace <= 0.0 && self.common.is_some_and(|t| *began > t);
        let zero_at = process.before.or(began.filter(fresh));
        let line = if counter.canary {
            &mut process.canary
        } else {
            &mut process.stable
        };
        match line {
            Some(line) => line.take(counter),
            None => *line = Some(Line::new(counter, zero_at)),
        }
    }

    /// The earliest among the newest samples of the processes that are waited for.
    fn newest_common(&self, at: f64) -> Option<f64> {
        let newest = self.waited_for(at).map(Line::newest);
        newest.min_by(f64::total_cmp)
    }

    /// Whether every process has a sample since the weight settled, up to this time: from there on straight lines between
    /// samples do not reach back behind the change.
    fn all_settled(&self, at: f64, until: f64) -> bool {
        let mut lines = self.waited_for(at);
        self.settled
            .is_some_and(|settled| lines.all(|line| line.has_sample(settled, until)))
    }

    fn gained(&self, from: f64, until: f64) -> Round {
        let mut round = Round::default();
        for process in self.processes.values() {
            let of = |line: &Option<Line>| {
                let line = line.as_ref();
                line.map_or(Counts::default(), |line| line.gained(from, until))
            };
            round.canary.add(of(&process.canary));
            round.stable.add(of(&process.stable));
        }
        round
    }

    /// Forgets samples that no round needs any more, and processes that are gone.
    fn forget(&mut self, at: f64) {
        let needed = self.common.or(self.settled).unwrap_or(at);
        self.processes
            .retain(|_, process| process.heard >= at - FORGOTTEN);
        for process in self.processes.values_mut() {
            let lines = [&mut process.canary, &mut process.stable];
            lines
                .into_iter()
                .flatten()
                .for_each(|line| line.forget(needed));
        }
    }

    /// The median time between two samples, in seconds; of an even number the lower one, since a sample that was missed makes
    /// a time longer.
    fn interval(&self) -> f64 {
        let mut spacings: Vec<f64> = self.lines().filter_map(Line::spacing).collect();
        spacings.sort_by(f64::total_cmp);
        let median = spacings.get(spacings.len().saturating_sub(1) / 2);
        median.copied().unwrap_or(USUAL_INTERVAL)
    }

    /// The time of a sample that is just recent enough.
    fn oldest(&self, at: f64) -> f64 {
        at - PATIENCE * self.interval()
    }

    fn waited_for(&self, at: f64) -> impl Iterator<Item = &Line> {
        let oldest = self.oldest(at);
        self.lines().filter(move |line| line.newest() >= oldest)
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.processes.values().flat_map(Process::lines)
    }
}

/// A Pod, or an instance of a proxy, with its counters for either arm.
#[derive(Clone, Debug, PartialEq)]
struct Process {
    canary: Option<Line>,
    stable: Option<Line>,
    /// Its first sample, if it came after others.
    came: Option<f64>,
    /// Its newest sample, used or not.
    heard: f64,
    /// Its newest sample before the current reading: a counter of it that is new was zero then.
    before: Option<f64>,
}

impl Process {
    fn new(came: Option<f64>) -> Self {
        Self {
            canary: None,
            stable: None,
            came,
            heard: f64::NEG_INFINITY,
            before: None,
        }
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.canary.iter().chain(&self.stable)
    }

    fn newest(&self) -> Option<f64> {
        self.lines().map(Line::newest).max_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::comparison::round;

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
        let made =
            samples
                .iter()
                .zip([1.0, 16.0, 21.0, 31.0])
                .filter_map(|((at, all), read_at)| {
                    read(&mut rounds, read_at, &[stable(*at, *all, 0.0)])
                });
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
}
