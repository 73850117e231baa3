//! Any server that answers a GET with JSON. The query is put behind the address; `jsonPath` says where the value stands.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;

use crate::metrics::MetricError;
use crate::metrics::store::{Question, get, json};

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let query = question.query.trim();
    let mark = if query.starts_with(['/', '?']) {
        ""
    } else {
        "/"
    };
    get(&question.at(&format!("{mark}{query}")))
}

/// A number, a number as text, or a truth: 1 or 0. What is not there, or null, is no data.
pub(super) fn value(answer: &Response<Bytes>, path: &str) -> Result<Option<f64>, MetricError> {
    let answer: Value = json(answer)?;
    let wrong = |what: &str| {
        Err(MetricError::Rejected(format!(
            "at {path} stands {what}, and no number"
        )))
    };
    match found(&answer, path)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64()),
        Some(Value::Bool(truth)) => Ok(Some(f64::from(u8::from(*truth)))),
        Some(Value::String(text)) => match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => wrong("another text"),
        },
        Some(Value::Array(_)) => wrong("a list"),
        Some(Value::Object(_)) => wrong("an object"),
    }
}

/// What is wrong with a path, or `Ok`.
pub(super) fn check(path: &str) -> Result<(), String> {
    steps(path).map(drop)
}

fn found<'a>(answer: &'a Value, path: &str) -> Result<Option<&'a Value>, MetricError> {
    let mut at = Some(answer);
    for step in steps(path).map_err(MetricError::Rejected)? {
        at = at.and_then(|value| match step.parse::<usize>() {
            Ok(index) if value.is_array() => value.get(index),
            _ => value.get(&step),
        });
    }
    Ok(at)
}

/// The names and places of `{$.a.b[0]['c']}`; the braces and the dollar may be left out.
fn steps(path: &str) -> Result<Vec<String>, String> {
    let inside = path.trim();
    let inside = inside
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(inside);
    let mut rest = inside.trim().trim_start_matches('$');
    let wrong = || Err(format!("{path:?} is not of the form {{$.name[0].name}}"));
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(inside) = rest.strip_prefix('[') {
            let Some((step, after)) = inside.split_once(']') else {
                return wrong();
            };
            (step.trim_matches(['\'', '"']), after)
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
        };
        if step.is_empty() || step.contains(['*', '?', '@']) {
            return wrong();
        }
        steps.push(step.to_owned());
        rest = after;
    }
    Ok(steps)
}
