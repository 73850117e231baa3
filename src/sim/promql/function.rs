//! The functions that queries may call.

use crate::sim::promql::evaluate::{Evaluation, Failed, Point, Value};
use crate::sim::promql::histogram::histogram_quantile;
use crate::sim::promql::labels::Labels;
use crate::sim::promql::relabel::label_replace;
use crate::sim::promql::syntax::{Expr, Kind};
use crate::sim::promql::window::{self, Window};

/// A function.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static [Kind],
    /// How many of these, from the end, may be left out.
    pub optional: usize,
    /// What it gives.
    pub gives: Kind,
    pub(super) run: Run,
}

/// How a function comes to its value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run {
    /// From each value for itself.
    Each(fn(f64) -> f64),
    /// From the samples of each series within a time.
    Window(fn(&Window<'_>) -> Option<f64>),
    /// In its own way.
    Other(fn(&Evaluation<'_>, &[Expr]) -> Result<Value, Failed>),
}

impl Function {
    /// The function of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// How many arguments it needs.
    #[must_use]
    pub fn least(&self) -> usize {
        self.takes.len() - self.optional
    }
}

const VECTOR: &[Kind] = &[Kind::Vector];
const VECTOR_SCALAR: &[Kind] = &[Kind::Vector, Kind::Scalar];

const fn each(name: &'static str, run: fn(f64) -> f64) -> Function {
    Function {
        name,
        takes: VECTOR,
        optional: 0,
        gives: Kind::Vector,
        run: Run::Each(run),
    }
}

const fn over(name: &'static str, run: fn(&Window<'_>) -> Option<f64>) -> Function {
    Function {
        name,
        takes: &[Kind::Matrix],
        optional: 0,
        gives: Kind::Vector,
        run: Run::Window(run),
    }
}

type Own = fn(&Evaluation<'_>, &[Expr]) -> Result<Value, Failed>;

const fn own(name: &'static str, takes: &'static [Kind], gives: Kind, run: Own) -> Function {
    Function {
        name,
        takes,
        optional: 0,
        gives,
        run: Run::Other(run),
    }
}

const fn with_optional(mut function: Function, optional: usize) -> Function {
    function.optional = optional;
    function
}

static FUNCTIONS: [Function; 32] = [
    each("abs", f64::abs),
    each("ceil", f64::ceil),
    each("exp", f64::exp),
    each("floor", f64::floor),
    each("ln", f64::ln),
    each("log10", f64::log10),
    each("log2", f64::log2),
    each("sqrt", f64::sqrt),
    over("avg_over_time", window::average),
    over("changes", window::changes),
    over("count_over_time", window::count),
    over("delta", window::delta),
    over("idelta", window::last_delta),
    over("increase", window::increase),
    over("irate", window::last_rate),
    over("last_over_time", window::last),
    over("max_over_time", window::largest),
    over("min_over_time", window::smallest),
    over("rate", window::rate),
    over("resets", window::resets),
    over("sum_over_time", window::sum),
    own("absent", VECTOR, Kind::Vector, absent),
    own(
        "clamp",
        &[Kind::Vector, Kind::Scalar, Kind::Scalar],
        Kind::Vector,
        clamp,
    ),
    own("clamp_max", VECTOR_SCALAR, Kind::Vector, clamp_max),
    own("clamp_min", VECTOR_SCALAR, Kind::Vector, clamp_min),
    own(
        "histogram_quantile",
        &[Kind::Scalar, Kind::Vector],
        Kind::Vector,
        histogram_quantile,
    ),
    own(
        "label_replace",
        &[Kind::Vector, Kind::Text, Kind::Text, Kind::Text, Kind::Text],
        Kind::Vector,
        label_replace,
    ),
    with_optional(own("round", VECTOR_SCALAR, Kind::Vector, round), 1),
    own("scalar", VECTOR, Kind::Scalar, scalar),
    own("time", &[], Kind::Scalar, time),
    own("timestamp", VECTOR, Kind::Vector, timestamp),
    own("vector", &[Kind::Scalar], Kind::Vector, vector),
];

fn time(evaluation: &Evaluation<'_>, _: &[Expr]) -> Result<Value, Failed> {
    Ok(Value::Scalar(evaluation.seconds()))
}

fn vector(evaluation: &Evaluation<'_>, arguments: &[Expr]) -> Result<Value, Failed> {
    let value = evaluation.scalar(arguments, 0)?;
    let labels = Labels::default();
    Ok(Value::Vector(vec![Point { labels, value }]))
}

fn scalar(evaluation: &Evaluation<'_>, arguments: &[Expr]) -> Result<Value, Failed> {
    let vector = evaluation.vector(arguments, 0)?;
    let value = match vector.as_slice() {
        [only] => only.value,
        _ => f64::NAN,
    };
    Ok(Value::Scalar(value))
}

/// The times of the samples; around anything but a selector it is the time of the query.
fn timestamp(evaluation: &Evaluation<'_>, arguments: &[Expr]) -> Result<Value, Failed> {
    let points = match arguments.first() {
        Some(Expr::Latest(selector)) => {
            let found = evaluation.latest(selector).into_iter();
            let times = found.map(|(labels, sample)| Point {
                labels: labels.nameless(),
                value: sample.at as f64 / 1000.0,
            });
            times.collect()
        }
        _ => {
            let vector = evaluation.vector(arguments, 0)?;
            changed(vector, |_| evaluation.seconds())
        }
    };
    Ok(Value::Vector(points))
}

/// The values changed, and the name taken away.
pub(super) fn changed(points: Vec<Point>, change: impl Fn(f64) -> f64) -> Vec<Point> {
    let points = points.into_iter().map(|point| Point {
        labels: point.labels.nameless(),
        value: change(point.value),
    });
    points.collect()
}

fn clamp(evaluation: &Evaluation<'_>, arguments: &[Expr]) -> Result<Value, Failed> {
    let (least, most) = (
        evaluation.scalar(arguments, 1)?,
        evaluation.scalar(arguments, 2)?,
    );
    clamped(evaluation, arguments, least, most)
}

fn clamp_min(evaluation: &Evaluation<'_>, arguments: &[Expr]) -> Result<Value, Failed> {
    let least = evaluation.scalar(arguments, 1)?;
    clamped(evaluation, arguments, least, f64::INFINITY)
}

fn clamp_max(evaluation: &Evaluation<'_>, arguments: &[Expr]) -> Result<Value, Failed> {
    let most = evaluation.scalar(arguments, 1)?;
    clamped(evaluation, arguments, f64::NEG_INFINITY, most)
}

fn clamped(
    evaluation: &Evaluation<'_>,
    arguments: &[Expr],
    least: f64,
    most: f64,
) -> Result<Value, Failed> {
    let vector = evaluation.vector(arguments, 0)?;
    if most < least {
        return Ok(Value::Vector(Vec::new()));
    }
    let limited = |value: f64| {
        if [value, least, most].iter().any(|part| part.is_nan()) {
            return f64::NAN;
        }
        value.min(most).max(least)
    };
    Ok(Value::Vector(changed(vector, limited)))
}

fn round(evaluation: &Evaluation<'_>, arguments: &[Expr]) -> Result<Value, Failed> {
    let nearest = match arguments.len() {
        1 => 1.0,
        _ => evaluation.scalar(arguments, 1)?,
    };
    let vector = evaluation.vector(arguments, 0)?;
    // As Prometheus does it: by the inverse, which loses less.
    let inverse = 1.0 / nearest;
    Ok(Value::Vector(changed(vector, |value| {
        (value * inverse + 0.5).floor() / inverse
    })))
}

/// 1 where there is nothing, with the labels that a selector asks for by `=`.
fn absent(evaluation: &Evaluation<'_>, arguments: &[Expr]) -> Result<Value, Failed> {
    if !evaluation.vector(arguments, 0)?.is_empty() {
        return Ok(Value::Vector(Vec::new()));
    }
    let mut labels = Labels::default();
    if let Some(Expr::Latest(selector)) = arguments.first() {
        for matcher in &selector.matchers {
            if let Some([only]) = matcher.values() {
                labels = labels.with(&matcher.label, only);
            }
        }
    }
    Ok(Value::Vector(vec![Point {
        labels: labels.nameless(),
        value: 1.0,
    }]))
}
