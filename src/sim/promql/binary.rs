//! Two expressions into one.

use std::collections::{BTreeMap, BTreeSet};

use crate::sim::promql::aggregate::group;
use crate::sim::promql::evaluate::{Failed, Point, Value};
use crate::sim::promql::labels::Labels;
use crate::sim::promql::syntax::{Binary, Grouping, Operator};

/// What an operator makes of two values.
pub(super) fn combined(binary: &Binary, left: Value, right: Value) -> Result<Value, Failed> {
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            Ok(Value::Scalar(binary.operator.apply(left, right)))
        }
        (Value::Vector(left), Value::Scalar(right)) => {
            let points = with_number(binary, left, |value| (value, right));
            Ok(Value::Vector(points))
        }
        (Value::Scalar(left), Value::Vector(right)) => {
            let points = with_number(binary, right, |value| (left, value));
            Ok(Value::Vector(points))
        }
        (Value::Vector(left), Value::Vector(right)) => {
            let points = if binary.operator.is_of_sets() {
                sets(binary, left, right)
            } else {
                pairs(binary, left, &right)?
            };
            Ok(Value::Vector(points))
        }
        _ => Err(Failed("an operator between what has no value".to_owned())),
    }
}

/// Each value of a vector with the same number; `sides` puts them in order.
fn with_number(
    binary: &Binary,
    points: Vec<Point>,
    sides: impl Fn(f64) -> (f64, f64),
) -> Vec<Point> {
    let points = points.into_iter().filter_map(|point| {
        let (left, right) = sides(point.value);
        let value = outcome(binary, point.value, left, right)?;
        let labels = if is_filter(binary) {
            point.labels
        } else {
            point.labels.nameless()
        };
        Some(Point { labels, value })
    });
    points.collect()
}

/// A comparison without `bool` keeps a series as it is, or not.
fn is_filter(binary: &Binary) -> bool {
    binary.operator.compares() && !binary.truth
}

/// The value of a pair; `None`: a comparison leaves it out. What it keeps has the value of the vector, or of the left one.
fn outcome(binary: &Binary, kept: f64, left: f64, right: f64) -> Option<f64> {
    let value = binary.operator.apply(left, right);
    if is_filter(binary) {
        return (value > 0.0).then_some(kept);
    }
    Some(value)
}

fn sets(binary: &Binary, left: Vec<Point>, right: Vec<Point>) -> Vec<Point> {
    let key = |point: &Point| group(&binary.matching, point.labels.clone());
    match binary.operator {
        Operator::Or => {
            let there: BTreeSet<_> = left.iter().map(key).collect();
            let more = right
                .into_iter()
                .filter(|point| !there.contains(&key(point)));
            left.into_iter().chain(more.collect::<Vec<_>>()).collect()
        }
        operator => {
            let there: BTreeSet<_> = right.iter().map(key).collect();
            let wanted = operator == Operator::And;
            let kept = left.into_iter();
            kept.filter(|point| there.contains(&key(point)) == wanted)
                .collect()
        }
    }
}

/// One to one by the labels that have to agree.
fn pairs(binary: &Binary, left: Vec<Point>, right: &[Point]) -> Result<Vec<Point>, Failed> {
    let mut partners: BTreeMap<Labels, &Point> = BTreeMap::new();
    if left.is_empty() {
        return Ok(Vec::new());
    }
    for point in right {
        let key = group(&binary.matching, point.labels.clone());
        if let Some(other) = partners.insert(key.clone(), point) {
            return Err(doubled(&key, &other.labels, &point.labels));
        }
    }
    let mut matched = BTreeSet::new();
    let mut found = Vec::new();
    for point in left {
        let key = group(&binary.matching, point.labels.clone());
        let Some(partner) = partners.get(&key) else {
            continue;
        };
        if !matched.insert(key) {
            let why = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
            return Err(Failed(why.to_owned()));
        }
        if let Some(value) = outcome(binary, point.value, point.value, partner.value) {
            let labels = result(binary, point.labels);
            found.push(Point { labels, value });
        }
    }
    Ok(found)
}

fn doubled(key: &Labels, one: &Labels, other: &Labels) -> Failed {
    let (first, second) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    Failed(format!(
        "found duplicate series for the match group {key} on the right hand-side of the operation: \
        [{first}, {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}

/// The labels of a pair: those that agree. Only a comparison keeps the name.
fn result(binary: &Binary, labels: Labels) -> Labels {
    match &binary.matching {
        Grouping::Without(names) if is_filter(binary) => {
            labels.keep(|name| !names.iter().any(|gone| gone == name))
        }
        matching => group(matching, labels),
    }
}
