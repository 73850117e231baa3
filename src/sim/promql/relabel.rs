//! `label_replace`.

use regex::Regex;

use crate::sim::promql::evaluate::{Evaluation, Failed, Point, Value};
use crate::sim::promql::labels::{Labels, anchored};
use crate::sim::promql::syntax::Expr;

/// Sets a label to what a pattern makes of another one; a series whose label does not match stays as it is.
pub(super) fn label_replace(
    evaluation: &Evaluation<'_>,
    arguments: &[Expr],
) -> Result<Value, Failed> {
    let [_, to, replacement, from, pattern] = arguments else {
        return Err(Failed("label_replace takes five arguments".to_owned()));
    };
    let literal = !text(replacement).contains('$');
    let pattern = pattern_of(text(pattern), literal)?;
    let (to, from) = (text(to), text(from));
    if to.is_empty() {
        let why = "invalid destination label name in label_replace(): ".to_owned();
        return Err(Failed(why));
    }
    let replaced = |labels: Labels| {
        let Some(pattern) = &pattern else {
            let is_set = !labels.get(from).is_empty();
            return if is_set {
                labels
            } else {
                labels.with(to, text(replacement))
            };
        };
        let Some(found) = pattern.captures(labels.get(from)) else {
            return labels;
        };
        let mut value = String::new();
        found.expand(text(replacement), &mut value);
        labels.clone().with(to, &value)
    };
    let points = evaluation.vector(arguments, 0)?.into_iter();
    let points = points.map(|Point { labels, value }| Point {
        labels: replaced(labels),
        value,
    });
    Ok(Value::Vector(points.collect()))
}

/// Nothing stands for the empty pattern, which is asked most and matches a label that is not there; but for a replacement with
/// parts of the match, which are empty then.
fn pattern_of(pattern: &str, literal: bool) -> Result<Option<Regex>, Failed> {
    if pattern.is_empty() && literal {
        return Ok(None);
    }
    let read = anchored(pattern).map_err(|_| {
        Failed(format!(
            "invalid regular expression in label_replace(): {pattern}"
        ))
    });
    read.map(Some)
}

fn text(expr: &Expr) -> &str {
    match expr {
        Expr::Text(text) => text,
        _ => "",
    }
}
