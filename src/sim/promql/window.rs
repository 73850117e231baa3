//! What the samples of one series within a time come to.

use crate::sim::promql::aggregate;
use crate::sim::samples::Sample;

/// The samples of one series within a time that does not contain its start; times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    /// The samples, oldest first.
    pub(super) samples: &'a [Sample],
    /// Start.
    pub(super) start: i64,
    /// End.
    pub(super) end: i64,
}

impl Window<'_> {
    fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|sample| sample.value)
    }

    fn pairs(&self) -> impl Iterator<Item = (Sample, Sample)> {
        let later = self.samples.iter().skip(1).copied();
        self.samples.iter().copied().zip(later)
    }

    fn seconds(&self) -> f64 {
        seconds(self.end - self.start)
    }
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// How much a counter rose in a second.
pub(super) fn rate(window: &Window<'_>) -> Option<f64> {
    increase(window).map(|increase| increase / window.seconds())
}

/// How much a counter rose; where it falls, its process began again at zero.
pub(super) fn increase(window: &Window<'_>) -> Option<f64> {
    let falls = window
        .pairs()
        .filter(|(before, after)| after.value < before.value);
    let lost: f64 = falls.map(|(before, _)| before.value).sum();
    let (first, last) = ends(window)?;
    let rise = last.value - first.value + lost;
    // A counter is not taken back to below zero.
    let to_zero = (rise > 0.0 && first.value >= 0.0)
        .then(|| seconds(last.at - first.at) * (first.value / rise));
    Some(rise * stretch(window, first, last, to_zero))
}

/// How much a value that may fall changed.
pub(super) fn delta(window: &Window<'_>) -> Option<f64> {
    let (first, last) = ends(window)?;
    Some((last.value - first.value) * stretch(window, first, last, None))
}

fn ends(window: &Window<'_>) -> Option<(Sample, Sample)> {
    match window.samples {
        [first, .., last] => Some((*first, *last)),
        _ => None,
    }
}

/// How much longer than its samples the window is taken to be: up to its ends if a sample lies about as near as they do among
/// themselves, else by half of that distance (Prometheus' `extrapolatedRate`).
fn stretch(window: &Window<'_>, first: Sample, last: Sample, to_zero: Option<f64>) -> f64 {
    let sampled = seconds(last.at - first.at);
    let apart = sampled / (window.samples.len() - 1) as f64;
    let near = |distance: f64| {
        if distance >= apart * 1.1 {
            apart / 2.0
        } else {
            distance
        }
    };
    let before = near(seconds(first.at - window.start));
    let before = to_zero.map_or(before, |to_zero| before.min(to_zero));
    let after = near(seconds(window.end - last.at));
    (sampled + before + after) / sampled
}

/// The last rise of a counter, in a second.
pub(super) fn last_rate(window: &Window<'_>) -> Option<f64> {
    let (before, after) = window.pairs().last()?;
    let rise = if after.value < before.value {
        after.value
    } else {
        after.value - before.value
    };
    Some(rise / seconds(after.at - before.at))
}

/// The last change of a value.
pub(super) fn last_delta(window: &Window<'_>) -> Option<f64> {
    let (before, after) = window.pairs().last()?;
    Some(after.value - before.value)
}

/// Number of samples.
pub(super) fn count(window: &Window<'_>) -> Option<f64> {
    Some(window.samples.len() as f64)
}

/// Sum of the values.
pub(super) fn sum(window: &Window<'_>) -> Option<f64> {
    Some(aggregate::sum(window.values()))
}

/// Mean of the values.
pub(super) fn average(window: &Window<'_>) -> Option<f64> {
    Some(aggregate::sum(window.values()) / window.samples.len() as f64)
}

/// Largest value.
pub(super) fn largest(window: &Window<'_>) -> Option<f64> {
    Some(window.values().fold(f64::NAN, f64::max))
}

/// Smallest value.
pub(super) fn smallest(window: &Window<'_>) -> Option<f64> {
    Some(window.values().fold(f64::NAN, f64::min))
}

/// Last value.
pub(super) fn last(window: &Window<'_>) -> Option<f64> {
    window.values().last()
}

/// How often the value changed.
pub(super) fn changes(window: &Window<'_>) -> Option<f64> {
    let changed = |(before, after): &(Sample, Sample)| {
        before.value != after.value && !(before.value.is_nan() && after.value.is_nan())
    };
    Some(window.pairs().filter(changed).count() as f64)
}

/// How often a counter fell.
pub(super) fn resets(window: &Window<'_>) -> Option<f64> {
    let fell = |(before, after): &(Sample, Sample)| after.value < before.value;
    Some(window.pairs().filter(fell).count() as f64)
}
