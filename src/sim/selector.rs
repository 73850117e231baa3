//! Label selectors.

use serde_json::Value;

use crate::sim::field::{list, pairs, text};

/// Whether a label selector takes an object; no selector takes nothing, an empty one everything.
#[must_use]
pub fn selects(selector: Option<&Value>, object: &Value) -> bool {
    let Some(selector) = selector.filter(|selector| selector.is_object()) else {
        return false;
    };
    let exact = pairs(selector, "/matchLabels").all(|(name, value)| has(object, name, value));
    exact
        && list(selector, "/matchExpressions")
            .iter()
            .all(|expression| holds(expression, object))
}

/// Whether a plain set of labels, as Services have it, takes an object; an empty one takes nothing.
#[must_use]
pub fn includes(selector: Option<&Value>, object: &Value) -> bool {
    let Some(wanted) = selector.and_then(Value::as_object) else {
        return false;
    };
    !wanted.is_empty() && wanted.iter().all(|(name, value)| has(object, name, value))
}

fn label<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.pointer("/metadata/labels")?.get(name)
}

fn has(object: &Value, name: &str, value: &Value) -> bool {
    label(object, name) == Some(value)
}

fn holds(expression: &Value, object: &Value) -> bool {
    let found = label(object, text(expression, "/key"));
    let listed = found.is_some_and(|value| list(expression, "/values").contains(value));
    match text(expression, "/operator") {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_take_what_they_say() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        for (selector, expected) in [
            (json!(null), false),
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "web", "zone": "a"}}), false),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
                false,
            ),
        ] {
            assert_eq!(selects(Some(&selector), &object), expected, "{selector}");
        }
        assert!(includes(Some(&json!({"app": "web"})), &object));
        assert!(!includes(Some(&json!({})), &object));
        assert!(!includes(None, &object));
    }
}
