//! One counter over time (ANALYSIS 2.2): what it gained from sample to sample, with restarts taken out, and straight lines
//! between the samples.

use crate::analysis::Counter;
use crate::analysis::counts::{Counts, difference};

/// The samples of one counter, from the last before the common time on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// The last sample, as it was read.
    last: Counter,
    /// Times, and what was gained until then; never empty, in order of time.
    samples: Vec<(f64, Counts)>,
    /// Seconds between the last two samples.
    spacing: Option<f64>,
}

impl Line {
    /// A counter that was zero at a time, or, if that is not known, one whose first sample is only a base.
    pub(super) fn new(first: &Counter, zero_at: Option<f64>) -> Self {
        let gained = Counts {
            all: first.all,
            bad: first.bad,
        };
        let zero = Counts::default();
        let samples = match zero_at.filter(|at| *at < first.at) {
            Some(at) => vec![(at, zero), (first.at, gained)],
            None => vec![(first.at, zero)],
        };
        Self {
            last: first.clone(),
            samples,
            spacing: None,
        }
    }

    /// Takes a sample that is later than the last; others bring nothing: a second server behind the address may be behind.
    pub(super) fn take(&mut self, counter: &Counter) {
        if counter.at <= self.last.at {
            return;
        }
        let mut gained = self.samples.last().map_or(Counts::default(), |last| last.1);
        gained.add(difference(&self.last, counter));
        self.spacing = Some(counter.at - self.last.at);
        self.samples.push((counter.at, gained));
        self.last = counter.clone();
    }

    /// Time of the last sample.
    pub(super) fn newest(&self) -> f64 {
        self.last.at
    }

    pub(super) fn spacing(&self) -> Option<f64> {
        self.spacing
    }

    /// Whether there is a sample between two times.
    pub(super) fn has_sample(&self, from: f64, until: f64) -> bool {
        let mut times = self.samples.iter().map(|(at, _)| *at);
        times.any(|at| at >= from && at <= until)
    }

    /// What was gained between two times. Before the first sample and after the last nothing is.
    pub(super) fn gained(&self, from: f64, until: f64) -> Counts {
        let (before, after) = (self.at(from), self.at(until));
        Counts {
            all: (after.all - before.all).max(0.0),
            bad: (after.bad - before.bad).max(0.0),
        }
    }

    /// Forgets samples that no time from `from` on needs.
    pub(super) fn forget(&mut self, from: f64) {
        let later = self.samples.partition_point(|(at, _)| *at <= from);
        self.samples.drain(..later.saturating_sub(1));
    }

    /// What was gained until a time, on the straight line between the samples around it.
    fn at(&self, time: f64) -> Counts {
        let later = self.samples.partition_point(|(at, _)| *at <= time);
        let before = later.checked_sub(1).and_then(|i| self.samples.get(i));
        match (before, self.samples.get(later)) {
            (Some((from, start)), Some((until, end))) => {
                let part = (time - from) / (until - from);
                Counts {
                    all: start.all + part * (end.all - start.all),
                    bad: start.bad + part * (end.bad - start.bad),
                }
            }
            (Some((_, counts)), None) | (None, Some((_, counts))) => *counts,
            (None, None) => Counts::default(),
        }
    }
}
