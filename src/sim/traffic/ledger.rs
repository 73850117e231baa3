//! What became of the requests of one application, and when.

use std::collections::VecDeque;
use std::ops::AddAssign;

use jiff::Timestamp;

/// Moments that are remembered: eleven hours in steps of a second.
const REMEMBERED: usize = 40_000;

/// What became of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that a Pod answered.
    pub answered: u64,
    /// Those of them that the application failed.
    pub errors: u64,
    /// Requests that nobody answered, though users sent them.
    pub lost: u64,
    /// Copies of requests that a Pod answered: users do not see the answers.
    pub copied: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.errors += other.errors;
        self.lost += other.lost;
        self.copied += other.copied;
    }
}

impl Counts {
    fn less(self, before: Self) -> Self {
        Self {
            answered: self.answered - before.answered,
            errors: self.errors - before.errors,
            lost: self.lost - before.lost,
            copied: self.copied - before.copied,
        }
    }
}

/// The requests of one application by version; those that reached no Pod are of the version without a name.
#[derive(Clone, Debug)]
pub struct Ledger {
    versions: Vec<String>,
    counts: Vec<Counts>,
    points: VecDeque<Point>,
    most: usize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            versions: Vec::new(),
            counts: Vec::new(),
            points: VecDeque::new(),
            most: REMEMBERED,
        }
    }
}

/// The counts of all versions up to a time.
#[derive(Clone, Debug)]
struct Point {
    at: Timestamp,
    counts: Box<[Counts]>,
}

impl Ledger {
    /// Counts requests of a version.
    pub(super) fn add(&mut self, version: &str, counts: Counts) {
        let place = self.versions.iter().position(|known| known == version);
        let place = place.unwrap_or_else(|| {
            self.versions.push(version.to_owned());
            self.counts.push(Counts::default());
            self.versions.len() - 1
        });
        if let Some(sum) = self.counts.get_mut(place) {
            *sum += counts;
        }
    }

    /// Remembers the counts as those up to a time; one moment is enough for a time in which nothing happens.
    pub(super) fn mark(&mut self, at: Timestamp) {
        if let Some(last) = self.points.back_mut()
            && *last.counts == *self.counts
        {
            return;
        }
        let counts = self.counts.clone().into_boxed_slice();
        self.points.push_back(Point { at, counts });
        while self.points.len() > self.most {
            self.points.pop_front();
        }
    }

    /// Remembers so many moments from now on.
    pub(super) fn remember(&mut self, moments: usize) {
        self.most = moments.max(1);
    }

    /// The versions, in the order in which they came.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.versions.iter().map(String::as_str)
    }

    /// The requests of a version.
    #[must_use]
    pub fn counts(&self, version: &str) -> Counts {
        let place = self.place(version).and_then(|place| self.counts.get(place));
        place.copied().unwrap_or_default()
    }

    /// All requests.
    #[must_use]
    pub fn total(&self) -> Counts {
        sum(&self.counts)
    }

    /// Requests that nobody answered.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.total().lost
    }

    /// The requests of a version between two times, as far as the ends of slices tell.
    #[must_use]
    pub fn between(&self, version: &str, from: Timestamp, to: Timestamp) -> Counts {
        let Some(place) = self.place(version) else {
            return Counts::default();
        };
        let at = |time| self.point(time).and_then(|point| point.counts.get(place));
        let count = |time| at(time).copied().unwrap_or_default();
        count(to).less(count(from.min(to)))
    }

    /// The part of the answered requests between two times that a version answered; `None`: nobody answered any.
    #[must_use]
    pub fn share(&self, version: &str, from: Timestamp, to: Timestamp) -> Option<f64> {
        let all = self
            .versions()
            .map(|version| self.between(version, from, to).answered);
        let all: u64 = all.sum();
        let answered = self.between(version, from, to).answered;
        (all > 0).then(|| answered as f64 / all as f64)
    }

    /// When requests were lost, by the end of the slice, and how many.
    #[must_use]
    pub fn losses(&self) -> Vec<(Timestamp, u64)> {
        let mut before = 0;
        let mut found = Vec::new();
        for point in &self.points {
            let lost = sum(&point.counts).lost;
            if lost > before {
                found.push((point.at, lost - before));
            }
            before = lost;
        }
        found
    }

    fn place(&self, version: &str) -> Option<usize> {
        self.versions.iter().position(|known| known == version)
    }

    /// The last moment up to a time.
    fn point(&self, time: Timestamp) -> Option<&Point> {
        let after = self.points.partition_point(|point| point.at <= time);
        self.points.get(after.checked_sub(1)?)
    }
}

fn sum(counts: &[Counts]) -> Counts {
    let mut sum = Counts::default();
    for counts in counts {
        sum += *counts;
    }
    sum
}
