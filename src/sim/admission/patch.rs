//! The two forms of mutations.

use json_patch::PatchOperation;
use serde_json::{Map, Value};

/// Applies a list of patches. If a test among them fails, none of them counts.
pub(super) fn json_patch(object: Value, patches: Value) -> Result<Value, String> {
    let patches: Vec<PatchOperation> =
        serde_json::from_value(patches).map_err(|error| format!("JSON Patch: {error}"))?;
    let mut patched = object.clone();
    match json_patch::patch(&mut patched, &patches) {
        Ok(()) => Ok(patched),
        Err(error) if matches!(error.kind, json_patch::PatchErrorKind::TestFailed) => Ok(object),
        Err(error) => Err(format!("JSON Patch: {error}")),
    }
}

/// Merges a configuration into an object. Lists are merged by `name` where their items have one, and replaced otherwise:
/// that is right for containers, volumes and variables, and not for every list that Kubernetes has.
pub(super) fn apply(object: Value, configuration: Value) -> Value {
    match (object, configuration) {
        (Value::Object(object), Value::Object(fields)) => Value::Object(merge(object, fields)),
        (Value::Array(object), Value::Array(items))
            if items.iter().all(|item| item["name"].is_string()) =>
        {
            Value::Array(items.into_iter().fold(object, merge_item))
        }
        (_, configuration) => configuration,
    }
}

fn merge(mut object: Map<String, Value>, fields: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in fields {
        let before = object.remove(&name).unwrap_or_default();
        object.insert(name, apply(before, value));
    }
    object
}

fn merge_item(mut items: Vec<Value>, item: Value) -> Vec<Value> {
    match items.iter_mut().find(|known| known["name"] == item["name"]) {
        Some(known) => *known = apply(known.take(), item),
        None => items.push(item),
    }
    items
}
