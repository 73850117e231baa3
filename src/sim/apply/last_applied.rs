//! How kubectl takes over, applying at the server, what it applied by itself before: the annotation in which it remembered that
//! counts as its own.

use serde_json::{Value, json};

use crate::sim::apply::Writer;
use crate::sim::apply::compare::compare;
use crate::sim::apply::fields::Fields;
use crate::sim::shape::Shape;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Only this manager takes over; who does not want it says another name.
const MANAGER: &str = "kubectl";

fn remembered<'a>(object: &'a Value, writer: &Writer<'_>) -> Option<&'a str> {
    let text = object["metadata"]["annotations"][ANNOTATION].as_str()?;
    (writer.manager == MANAGER && !text.is_empty()).then_some(text)
}

/// The fields that kubectl applied itself and that are still as it left them: nobody else's claim on them counts.
pub(super) fn own(shape: &Shape, live: &Value, writer: &Writer<'_>) -> Fields {
    let applied = remembered(live, writer).and_then(|text| serde_json::from_str(text).ok());
    let applied: Value = applied.unwrap_or_default();
    if applied["apiVersion"] != writer.api_version {
        return Fields::default();
    }
    let changes = compare(shape.root(), &applied, live);
    Fields::set_by(shape.root(), &applied)
        .difference(&changes.written())
        .difference(&changes.removed)
}

/// Remembers what is applied now where something was remembered before.
pub(super) fn remember(merged: &mut Value, applied: &Value, writer: &Writer<'_>) {
    if remembered(merged, writer).is_none() {
        return;
    }
    let mut applied = applied.clone();
    let notes = applied.pointer_mut("/metadata/annotations");
    if let Some(notes) = notes.and_then(Value::as_object_mut) {
        notes.remove(ANNOTATION);
    }
    merged["metadata"]["annotations"][ANNOTATION] = json!(format!("{applied}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::apply::{apply, track};

    fn write(manager: &str) -> Writer<'_> {
        Writer {
            manager,
            api_version: "v1",
            subresource: None,
            now: "2030-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn map(data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
    }

    /// A ConfigMap that kubectl applied by itself, of which another wrote `b`.
    fn live(shape: &Shape) -> Value {
        let mut first = map(&json!({"a": "1", "b": "1"}));
        let text = first.to_string();
        first["metadata"]["annotations"] = json!({ANNOTATION: text});
        track(shape, None, &mut first, &write("kubectl-client-side-apply"));
        let mut second = first.clone();
        second["data"]["b"] = json!("2");
        track(shape, Some(&first), &mut second, &write("other"));
        second
    }

    #[test]
    fn kubectl_takes_over_what_it_applied_itself() {
        let shape = Shape::built_in("", "ConfigMap");
        let live = live(&shape);
        for (manager, data, conflicts) in [
            ("kubectl", json!({"a": "3"}), ""),
            ("kubectl", json!({"a": "3", "b": "3"}), ".data.b"),
            ("someone", json!({"a": "3"}), ".data.a"),
            ("someone", json!({"a": "1"}), ""),
        ] {
            let applied = map(&data);
            match apply(&shape, Some(&live), &applied, &write(manager), false) {
                Ok(merged) => {
                    assert_eq!(conflicts, "", "{manager} {data}");
                    let note = &merged["metadata"]["annotations"][ANNOTATION];
                    let told = *note == json!(format!("{applied}\n"));
                    assert_eq!(told, manager == MANAGER, "{note}");
                }
                Err(refusal) => {
                    let fields: Vec<_> = refusal.causes.iter().map(|cause| &cause.field).collect();
                    assert_eq!(fields, [conflicts], "{manager} {data}");
                }
            }
        }
    }
}
