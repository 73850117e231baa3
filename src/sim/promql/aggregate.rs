//! Many series into few.

use std::collections::BTreeMap;

use crate::sim::promql::evaluate::Point;
use crate::sim::promql::labels::{Labels, NAME};
use crate::sim::promql::syntax::{Aggregate, Grouping};

/// One value for each group.
pub(super) fn aggregated(
    aggregate: Aggregate,
    grouping: &Grouping,
    points: Vec<Point>,
) -> Vec<Point> {
    let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for point in points {
        let group = group(grouping, point.labels);
        groups.entry(group).or_default().push(point.value);
    }
    let groups = groups.into_iter().map(|(labels, values)| Point {
        labels,
        value: one(aggregate, &values),
    });
    groups.collect()
}

/// The labels that a series has in common with others of its group.
pub(super) fn group(grouping: &Grouping, labels: Labels) -> Labels {
    match grouping {
        Grouping::By(names) => labels.keep(|name| names.iter().any(|kept| kept == name)),
        Grouping::Without(names) => {
            labels.keep(|name| name != NAME && !names.iter().any(|gone| gone == name))
        }
    }
}

fn one(aggregate: Aggregate, values: &[f64]) -> f64 {
    let number = values.len() as f64;
    match aggregate {
        Aggregate::Sum => sum(values.iter().copied()),
        Aggregate::Average => sum(values.iter().copied()) / number,
        Aggregate::Count => number,
        Aggregate::Group => 1.0,
        // What is no number counts only where there is nothing else, which is how `f64` has it too.
        Aggregate::Min => values.iter().copied().fold(f64::NAN, f64::min),
        Aggregate::Max => values.iter().copied().fold(f64::NAN, f64::max),
    }
}

/// A sum that does not lose the small parts (Kahan and Neumaier), as Prometheus sums.
pub(super) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0);
    for value in values {
        let next = sum + value;
        if next.is_infinite() {
            lost = 0.0;
        } else if sum.abs() >= value.abs() {
            lost += (sum - next) + value;
        } else {
            lost += (value - next) + sum;
        }
        sum = next;
    }
    sum + lost
}
