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
