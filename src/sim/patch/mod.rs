//! The three kinds of patches that change an object without owning its fields.

mod strategic;

use serde_json::Value;

use crate::sim::refusal::Refusal;
use crate::sim::shape::Shape;

/// Operations in one JSON patch, at most.
const OPERATIONS: usize = 10_000;

/// A JSON patch (RFC 6902). One that replaces `/metadata/resourceVersion` sets that field: who calls compares it.
///
/// # Errors
/// 400 when it is none; 422 when a test fails or a path is not there, and nothing is changed.
pub fn json(object: &mut Value, patch: &Value) -> Result<(), Refusal> {
    if !patch.is_array() {
        return Err(undecoded(patch, "[]handlers.jsonPatchOp"));
    }
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(|_| unfit())?;
    if patch.0.len() > OPERATIONS {
        let message = format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS}, got {}",
            patch.0.len()
        );
        return Err(Refusal::new(413, "RequestEntityTooLarge", message));
    }
    json_patch::patch(object, &patch).map_err(|_| unfit())
}

/// A merge patch (RFC 7386).
///
/// # Errors
/// 400 when it is no object.
pub fn merge(object: &mut Value, patch: &Value) -> Result<(), Refusal> {
    if !patch.is_object() {
        return Err(undecoded(patch, "map[string]interface {}"));
    }
    json_patch::merge(object, patch);
    Ok(())
}

/// A strategic merge patch, which merges lists by keys.
///
/// # Errors
/// As a real API server refuses: 415 for kinds of CRDs, 400 for wrong directives, 500 without a key.
pub fn strategic(shape: &Shape, object: &mut Value, patch: &Value) -> Result<(), Refusal> {
    if !shape.typed {
        let message = "the body of the request was in an unknown format - accepted media types include: \
            application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
        return Err(Refusal::new(415, "UnsupportedMediaType", message));
    }
    let Value::Object(patch) = patch else {
        let what = type_of(patch);
        return Err(Refusal::bad_request(format!(
            "json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
        )));
    };
    let mut patched = object.clone();
    strategic::merge(shape.root(), &mut patched, patch)?;
    *object = patched;
    Ok(())
}

/// 422: what the patch says does not fit the object.
fn unfit() -> Refusal {
    Refusal::new(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
    )
}

/// 400: the patch is of another type.
fn undecoded(patch: &Value, wanted: &str) -> Refusal {
    let what = type_of(patch);
    Refusal::bad_request(format!(
        "error decoding patch: json: cannot unmarshal {what} into Go value of type {wanted}"
    ))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
