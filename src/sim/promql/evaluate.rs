//! From an expression and stored samples to a value.

use std::collections::{BTreeMap, BTreeSet};

use crate::sim::promql::aggregate::aggregated;
use crate::sim::promql::binary::combined;
use crate::sim::promql::function::{Function, Run, changed};
use crate::sim::promql::labels::Labels;
use crate::sim::promql::syntax::{At, Expr, Selector};
use crate::sim::promql::window::Window;
use crate::sim::samples::{Sample, Samples, Series};

/// Why a query that could be read has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);

/// The value of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its labels.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// A value for each of some series.
    Vector(Vec<Point>),
    /// Samples for each of some series.
    Matrix(Vec<Series>),
}

/// The times for which a query is asked, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The first.
    pub first: i64,
    /// The last at the latest.
    pub last: i64,
    /// From one to the next; above 0.
    pub step: i64,
}

/// The value at a time, in milliseconds since 1970.
///
/// # Errors
/// If series cannot be told apart.
pub fn at(expr: &Expr, samples: &Samples, time: i64) -> Result<Value, Failed> {
    let evaluation = Evaluation {
        samples,
        at: time,
        first: time,
        last: time,
    };
    evaluation.value(expr)
}

/// The values at many times, by series.
///
/// # Errors
/// If series cannot be told apart.
pub fn over(expr: &Expr, samples: &Samples, times: Times) -> Result<Vec<Series>, Failed> {
    let mut found: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
    let mut time = times.first;
    while time <= times.last {
        let evaluation = Evaluation {
            samples,
            at: time,
            first: times.first,
            last: times.last,
        };
        for point in evaluation.value(expr)?.points() {
            let sample = Sample {
                at: time,
                value: point.value,
            };
            found.entry(point.labels).or_default().push(sample);
        }
        time += times.step.max(1);
    }
    let series = found.into_iter();
    Ok(series
        .map(|(labels, samples)| Series { labels, samples })
        .collect())
}

impl Value {
    /// Its values by series; a number is one without labels.
    fn points(self) -> Vec<Point> {
        match self {
            Self::Vector(points) => points,
            Self::Scalar(value) => vec![Point {
                labels: Labels::default(),
                value,
            }],
            Self::Text(_) | Self::Matrix(_) => Vec::new(),
        }
    }
}

/// A query at one time.
pub(super) struct Evaluation<'a> {
    samples: &'a Samples,
    at: i64,
    first: i64,
    last: i64,
}

impl Evaluation<'_> {
    /// The time of the query.
    pub(super) fn seconds(&self) -> f64 {
        self.at as f64 / 1000.0
    }

    fn value(&self, expr: &Expr) -> Result<Value, Failed> {
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(*number)),
            Expr::Text(text) => Ok(Value::Text(text.clone())),
            Expr::Latest(selector) => Ok(Value::Vector(self.selected(selector))),
            Expr::Range(selector, range) => {
                let until = self.time_of(selector);
                Ok(Value::Matrix(self.samples.between(
                    &selector.matchers,
                    until - range,
                    until,
                )))
            }
            Expr::Call(function, arguments) => self.call(function, arguments),
            Expr::Aggregate(aggregate, grouping, of) => {
                let points = self.points(of)?;
                Ok(Value::Vector(aggregated(*aggregate, grouping, points)))
            }
            Expr::Binary(binary, left, right) => {
                combined(binary, self.value(left)?, self.value(right)?).and_then(distinct)
            }
            Expr::Negative(of) => match self.value(of)? {
                Value::Scalar(value) => Ok(Value::Scalar(-value)),
                other => distinct(Value::Vector(changed(other.points(), |value| -value))),
            },
        }
    }

    fn call(&self, function: &Function, arguments: &[Expr]) -> Result<Value, Failed> {
        let value = match function.run {
            Run::Each(change) => Value::Vector(changed(self.vector(arguments, 0)?, change)),
            Run::Window(run) => Value::Vector(self.windows(function, arguments, run)),
            Run::Other(run) => run(self, arguments)?,
        };
        distinct(value)
    }

    fn windows(
        &self,
        function: &Function,
        arguments: &[Expr],
        run: fn(&Window<'_>) -> Option<f64>,
    ) -> Vec<Point> {
        let Some(Expr::Range(selector, range)) = arguments.first() else {
            return Vec::new();
        };
        let end = self.time_of(selector);
        let start = end - range;
        let series = self.samples.between(&selector.matchers, start, end);
        let points = series.into_iter().filter_map(|series| {
            let samples = &series.samples;
            let value = run(&Window {
                samples,
                start,
                end,
            })?;
            let named = function.name == "last_over_time";
            let labels = if named {
                series.labels
            } else {
                series.labels.nameless()
            };
            Some(Point { labels, value })
        });
        points.collect()
    }

    /// The samples that a selector finds.
    pub(super) fn latest(&self, selector: &Selector) -> Vec<(Labels, Sample)> {
        self.samples
            .latest(&selector.matchers, self.time_of(selector))
    }

    fn selected(&self, selector: &Selector) -> Vec<Point> {
        let found = self.latest(selector).into_iter();
        let points = found.map(|(labels, sample)| Point {
            labels,
            value: sample.value,
        });
        points.collect()
    }

    fn time_of(&self, selector: &Selector) -> i64 {
        let at = match selector.at {
            None => self.at,
            Some(At::Time(at)) => at,
            Some(At::Start) => self.first,
            Some(At::End) => self.last,
        };
        at - selector.offset
    }

    fn points(&self, expr: &Expr) -> Result<Vec<Point>, Failed> {
        self.value(expr).map(Value::points)
    }

    /// An argument that is a vector.
    pub(super) fn vector(&self, arguments: &[Expr], position: usize) -> Result<Vec<Point>, Failed> {
        self.points(argument(arguments, position)?)
    }

    /// An argument that is a number.
    pub(super) fn scalar(&self, arguments: &[Expr], position: usize) -> Result<f64, Failed> {
        match self.value(argument(arguments, position)?)? {
            Value::Scalar(value) => Ok(value),
            Value::Text(_) | Value::Vector(_) | Value::Matrix(_) => {
                Err(Failed("an argument is no number".to_owned()))
            }
        }
    }
}

fn argument(arguments: &[Expr], position: usize) -> Result<&Expr, Failed> {
    let missing = || Failed("an argument is missing".to_owned());
    arguments.get(position).ok_or_else(missing)
}

/// The value, if its series can be told apart.
fn distinct(value: Value) -> Result<Value, Failed> {
    if let Value::Vector(points) = &value {
        let labels: BTreeSet<_> = points.iter().map(|point| &point.labels).collect();
        if labels.len() < points.len() {
            let why = "vector cannot contain metrics with the same labelset";
            return Err(Failed(why.to_owned()));
        }
    }
    Ok(value)
}
