//! Quantiles from cumulative buckets.

use std::collections::BTreeMap;

use crate::sim::promql::evaluate::{Evaluation, Failed, Point, Value};
use crate::sim::promql::labels::Labels;
use crate::sim::promql::syntax::Expr;

/// Relative differences between neighbouring buckets that are taken as rounding.
const ROUNDING: f64 = 1e-12;

/// Upper bound, and how many are not above it.
type Bucket = (f64, f64);

/// The quantile of each histogram.
pub(super) fn histogram_quantile(
    evaluation: &Evaluation<'_>,
    arguments: &[Expr],
) -> Result<Value, Failed> {
    let part = evaluation.scalar(arguments, 0)?;
    let mut histograms: BTreeMap<Labels, Vec<Bucket>> = BTreeMap::new();
    for point in evaluation.vector(arguments, 1)? {
        if let Some(bound) = bound(point.labels.get("le")) {
            let labels = point.labels.nameless().with("le", "");
            let buckets = histograms.entry(labels).or_default();
            buckets.push((bound, point.value));
        }
    }
    let quantiles = histograms.into_iter().map(|(labels, buckets)| Point {
        labels,
        value: quantile(part, buckets),
    });
    Ok(Value::Vector(quantiles.collect()))
}

/// A bound as labels have it; a series without one is no bucket.
fn bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// The value that this part is not above, if values are spread evenly within each bucket.
fn quantile(part: f64, buckets: Vec<Bucket>) -> f64 {
    if part.is_nan() {
        return f64::NAN;
    }
    if part < 0.0 {
        return f64::NEG_INFINITY;
    }
    if part > 1.0 {
        return f64::INFINITY;
    }
    let buckets = in_order(buckets);
    let Some((&(top, all), finite)) = buckets.split_last() else {
        return f64::NAN;
    };
    if top != f64::INFINITY || finite.is_empty() || all == 0.0 {
        return f64::NAN;
    }
    within(finite, part * all)
}

/// Where the value of this rank lies, between finite bounds.
fn within(finite: &[Bucket], rank: f64) -> f64 {
    let reached = finite.partition_point(|(_, count)| *count < rank);
    let before = reached.checked_sub(1).and_then(|before| finite.get(before));
    match (finite.get(reached), before) {
        // Above the last finite bound there is nothing to tell values apart by.
        (None, before) => before.map_or(f64::NAN, |(bound, _)| *bound),
        (Some((bound, _)), None) if *bound <= 0.0 => *bound,
        (Some((bound, count)), before) => {
            let (start, below) = before.copied().unwrap_or((0.0, 0.0));
            start + (bound - start) * ((rank - below) / (count - below))
        }
    }
}

/// Sorted, each bound once, and never fewer above a higher bound.
fn in_order(mut buckets: Vec<Bucket>) -> Vec<Bucket> {
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut found: Vec<Bucket> = Vec::with_capacity(buckets.len());
    for (bound, count) in buckets {
        match found.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            _ => found.push((bound, count)),
        }
    }
    let mut least = found.first().map_or(0.0, |(_, count)| *count);
    for (_, count) in &mut found {
        let rounding = (*count - least).abs() <= ROUNDING * least.abs().max(count.abs());
        if *count < least || rounding {
            *count = least;
        }
        least = *count;
    }
    found
}
