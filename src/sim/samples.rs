//! What a Prometheus remembers: the samples of series, by the target that showed them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::sim::promql::labels::{Labels, Matcher, NAME};

/// A value at a time, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: i64,
    /// What.
    pub value: f64,
}

/// Samples of one series, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// What a target shows when it is scraped.
#[derive(Clone, Debug)]
pub struct Page {
    /// The labels of the target, which all its series have.
    pub target: Labels,
    /// Its series. As long as this is the same allocation, it is not looked at again.
    pub columns: Arc<[Labels]>,
    /// A value for each of them; none: the target does not answer.
    pub values: Option<Vec<f64>>,
}

/// A sample further back than this is not the present one any more, in milliseconds.
const LOOK_BACK: i64 = 300_000;

/// The value that ends a series; the bits are Prometheus' own.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Labels by which targets are found without looking at all of them.
const INDEXED: [&str; 6] = [
    "instance",
    "job",
    "kubernetes_namespace",
    "kubernetes_pod_name",
    "namespace",
    "pod",
];

fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// Series and their samples.
#[derive(Debug)]
pub struct Samples {
    retention: i64,
    targets: BTreeMap<Labels, Target>,
    /// Targets by label and value of their series.
    index: BTreeMap<(&'static str, String), BTreeSet<Labels>>,
}

/// The series of one target are scraped together, so they are stored as rows of a table. Series that came later have no place
/// in the rows before.
#[derive(Debug, Default)]
struct Target {
    columns: Vec<Labels>,
    /// The series of the last page, and where their columns are.
    page: Option<Arc<[Labels]>>,
    places: Vec<usize>,
    rows: VecDeque<Row>,
}

#[derive(Debug)]
struct Row {
    at: i64,
    /// Rows that are alike share their values.
    values: Arc<[f64]>,
}

impl Samples {
    /// Remembers samples for this long.
    #[must_use]
    pub fn new(retention: Duration) -> Self {
        Self {
            retention: i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
            targets: BTreeMap::new(),
            index: BTreeMap::new(),
        }
    }

    /// Stores what a target shows; what it showed before and shows no more ends.
    pub fn record(&mut self, page: &Page, at: i64) {
        let target = self.targets.entry(page.target.clone()).or_default();
        let known = target.columns.len();
        if known == 0 {
            let up = page.target.clone().with(NAME, "up");
            target.columns.push(up);
        }
        target.turn_to(&page.columns);
        target.write(page.values.as_deref(), at);
        target.forget(at.saturating_sub(self.retention));
        for labels in target.columns.iter().skip(known) {
            for name in INDEXED.iter().filter(|name| !labels.get(name).is_empty()) {
                let key = (*name, labels.get(name).to_owned());
                let found = self.index.entry(key).or_default();
                found.insert(page.target.clone());
            }
        }
    }

    /// A target is not scraped any more: its series end.
    pub fn end(&mut self, target: &Labels, at: i64) {
        if let Some(target) = self.targets.get_mut(target) {
            let width = target.columns.len();
            target.put(vec![STALE; width], at);
        }
    }

    /// Forgets the targets of which nothing is remembered.
    pub fn sweep(&mut self, now: i64) {
        let oldest = now.saturating_sub(self.retention);
        let mut gone = Vec::new();
        for (labels, target) in &mut self.targets {
            if target.rows.back().is_none_or(|row| row.at <= oldest) {
                gone.push(labels.clone());
            }
        }
        for labels in gone {
            self.targets.remove(&labels);
            for found in self.index.values_mut() {
                found.remove(&labels);
            }
        }
        self.index.retain(|_, found| !found.is_empty());
    }

    /// The present sample of each series that all matchers take, by labels.
    #[must_use]
    pub fn latest(&self, matchers: &[Matcher], at: i64) -> Vec<(Labels, Sample)> {
        let mut found = Vec::new();
        for target in self.candidates(matchers) {
            let Some(row) = target.row(at).filter(|row| row.at > at - LOOK_BACK) else {
                continue;
            };
            for (labels, value) in target.columns.iter().zip(row.values.iter()) {
                if !is_stale(*value) && selected(matchers, labels) {
                    let sample = Sample {
                        at: row.at,
                        value: *value,
                    };
                    found.push((labels.clone(), sample));
                }
            }
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    }

    /// The samples after one time and up to another of each series that all matchers take, by labels.
    #[must_use]
    pub fn between(&self, matchers: &[Matcher], after: i64, until: i64) -> Vec<Series> {
        let mut found = Vec::new();
        for target in self.candidates(matchers) {
            for (column, labels) in target.columns.iter().enumerate() {
                if selected(matchers, labels) {
                    found.extend(target.series(column, labels, after, until));
                }
            }
        }
        found.sort_by(|one, other| one.labels.cmp(&other.labels));
        found
    }

    /// Targets that may have series that the matchers take.
    fn candidates(&self, matchers: &[Matcher]) -> Vec<&Target> {
        let narrowed = matchers.iter().filter_map(|matcher| self.named(matcher));
        match narrowed.min_by_key(BTreeSet::len) {
            Some(names) => names
                .iter()
                .filter_map(|name| self.targets.get(name))
                .collect(),
            None => self.targets.values().collect(),
        }
    }

    /// Targets with a value of an indexed label that the matcher takes; `None`: it narrows nothing.
    fn named(&self, matcher: &Matcher) -> Option<BTreeSet<&Labels>> {
        let name = INDEXED.iter().find(|name| **name == matcher.label)?;
        let found = matcher.values()?.iter();
        let found = found.filter_map(|value| self.index.get(&(*name, value.clone())));
        Some(found.flatten().collect())
    }
}

fn selected(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

impl Target {
    /// Gives each series of a page its column.
    fn turn_to(&mut self, page: &Arc<[Labels]>) {
        if self
            .page
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, page))
        {
            return;
        }
        let known = self.columns.iter().cloned().zip(0..);
        let known: BTreeMap<Labels, usize> = known.collect();
        self.places.clear();
        for labels in page.iter() {
            let place = known.get(labels).copied().unwrap_or(self.columns.len());
            if place == self.columns.len() {
                self.columns.push(labels.clone());
            }
            self.places.push(place);
        }
        self.page = Some(Arc::clone(page));
    }

    fn write(&mut self, values: Option<&[f64]>, at: i64) {
        let mut row = vec![STALE; self.columns.len()];
        if let Some(up) = row.first_mut() {
            *up = if values.is_some() { 1.0 } else { 0.0 };
        }
        for (place, value) in self.places.iter().zip(values.unwrap_or_default()) {
            if let Some(cell) = row.get_mut(*place) {
                *cell = *value;
            }
        }
        self.put(row, at);
    }

    fn put(&mut self, values: Vec<f64>, at: i64) {
        let bits = |values: &[f64]| {
            values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        let last = self.rows.back().map(|row| &row.values);
        let alike = last.filter(|last| last.len() == values.len() && bits(last) == bits(&values));
        let values = alike.map_or_else(|| values.into(), Arc::clone);
        self.rows.push_back(Row { at, values });
    }

    fn forget(&mut self, oldest: i64) {
        while self.rows.front().is_some_and(|row| row.at <= oldest) {
            self.rows.pop_front();
        }
    }

    /// The last row up to a time.
    fn row(&self, at: i64) -> Option<&Row> {
        let after = self.rows.partition_point(|row| row.at <= at);
        self.rows.get(after.checked_sub(1)?)
    }

    /// The samples of a column; `None`: there is none.
    fn series(&self, column: usize, labels: &Labels, after: i64, until: i64) -> Option<Series> {
        let first = self.rows.partition_point(|row| row.at <= after);
        let rows = self.rows.range(first..).take_while(|row| row.at <= until);
        let samples = rows.filter_map(|row| {
            let value = *row.values.get(column)?;
            (!is_stale(value)).then_some(Sample { at: row.at, value })
        });
        let samples: Vec<_> = samples.collect();
        let labels = labels.clone();
        (!samples.is_empty()).then_some(Series { labels, samples })
    }
}
