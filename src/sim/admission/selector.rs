//! Selectors of labels.

use serde_json::{Map, Value};

/// Whether a selector selects nothing in particular, and so everything.
pub(super) fn is_empty(selector: &Value) -> bool {
    let none = |field: &str| match &selector[field] {
        Value::Object(labels) => labels.is_empty(),
        Value::Array(expressions) => expressions.is_empty(),
        _ => true,
    };
    none("matchLabels") && none("matchExpressions")
}

/// Whether a selector selects an object with these labels.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let labels = labels.as_object();
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    wanted
        .into_iter()
        .all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
        && expressions
            .into_iter()
            .all(|expression| holds(expression, labels))
}

fn holds(expression: &Value, labels: Option<&Map<String, Value>>) -> bool {
    let name = expression["key"].as_str().unwrap_or_default();
    let value = labels.and_then(|labels| labels.get(name));
    let is_listed = || {
        expression["values"]
            .as_array()
            .is_some_and(|values| value.is_some_and(|value| values.contains(value)))
    };
    match expression["operator"].as_str() {
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some("In") => is_listed(),
        Some("NotIn") => !is_listed(),
        _ => false,
    }
}
