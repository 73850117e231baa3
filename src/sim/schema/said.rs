//! What the API server says of a field, word for word: people and scripts look for these texts.

use serde_json::Value;

use crate::sim::cel::function::go_number;
use crate::sim::refusal::Cause;

fn cause(reason: &str, path: &str, message: String) -> Cause {
    let field = match path.trim_start_matches('.') {
        "" => "<nil>",
        field => field,
    };
    Cause {
        reason: reason.to_owned(),
        field: field.to_owned(),
        message,
    }
}

/// A value within a message.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Number(number) if number.is_f64() => go_number(number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

/// A value that does not pass; what it is, and why.
pub(super) fn invalid(path: &str, value: &Value, why: &str) -> Cause {
    cause(
        "FieldValueInvalid",
        path,
        format!("Invalid value: {}: {why}", shown(value)),
    )
}

/// A list or an object that a rule refuses.
pub(super) fn refused(path: &str, why: &str) -> Cause {
    cause("FieldValueInvalid", path, format!("Invalid value: {why}"))
}

/// A value of the wrong type, or not of the form that its type has.
pub(super) fn mistyped(path: &str, wanted: &str, found: &str) -> Cause {
    let name = path.trim_start_matches('.');
    cause(
        "FieldValueTypeInvalid",
        path,
        format!("Invalid value: {found:?}: {name} in body must be of type {wanted}: {found:?}"),
    )
}

/// A field that is missing.
pub(super) fn required(path: &str, why: &str) -> Cause {
    let colon = if why.is_empty() { "" } else { ": " };
    cause(
        "FieldValueRequired",
        path,
        format!("Required value{colon}{why}"),
    )
}

/// A field that may not be there.
pub(super) fn forbidden(path: &str, why: &str) -> Cause {
    cause("FieldValueForbidden", path, format!("Forbidden: {why}"))
}

/// A value that is not among those allowed.
pub(super) fn unsupported(path: &str, value: &Value, allowed: &[Value]) -> Cause {
    let allowed: Vec<_> = allowed
        .iter()
        .map(|value| {
            format!(
                "{:?}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            )
        })
        .collect();
    let message = format!(
        "Unsupported value: {}: supported values: {}",
        shown(value),
        allowed.join(", ")
    );
    cause("FieldValueNotSupported", path, message)
}

/// A value that is there already.
pub(super) fn duplicate(path: &str, value: &Value) -> Cause {
    cause(
        "FieldValueDuplicate",
        path,
        format!("Duplicate value: {}", shown(value)),
    )
}

/// A text that is too long.
pub(super) fn too_long(path: &str, most: usize) -> Cause {
    let unit = if most == 1 { "byte" } else { "bytes" };
    cause(
        "FieldValueTooLong",
        path,
        format!("Too long: may not be more than {most} {unit}"),
    )
}

/// A list or map with too many entries.
pub(super) fn too_many(path: &str, count: usize, most: usize) -> Cause {
    let unit = if most == 1 { "item" } else { "items" };
    cause(
        "FieldValueTooMany",
        path,
        format!("Too many: {count}: must have at most {most} {unit}"),
    )
}

/// Whether rules are not even tried beside this.
pub(super) fn blocks(cause: &Cause) -> bool {
    matches!(
        cause.reason.as_str(),
        "FieldValueNotSupported"
            | "FieldValueRequired"
            | "FieldValueTooLong"
            | "FieldValueTooMany"
            | "FieldValueTypeInvalid"
    )
}

/// That the rules were not tried.
pub(super) fn not_all() -> Cause {
    invalid(
        "",
        &Value::Null,
        "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
    )
}
