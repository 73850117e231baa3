//! What an API server refuses: the rules that clients meet, with its messages.

mod name;
mod pod;
mod workload;

use serde_json::Value;

use crate::sim::refusal::Cause;

/// What is wrong with an object, with defaults filled; and with a change, when there was one before.
#[must_use]
pub fn check(kind: &str, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut found = Found::default();
    name::metadata(kind, (new, old), &mut found);
    match kind {
        "Deployment" => workload::deployment((new, old), &mut found),
        "ReplicaSet" => workload::replica_set((new, old), &mut found),
        "Pod" => pod::spec(&new["spec"], "spec", &mut found),
        "Service" => workload::service((new, old), &mut found),
        "HorizontalPodAutoscaler" => workload::autoscaler(&new["spec"], &mut found),
        "PodDisruptionBudget" => workload::budget(&new["spec"], &mut found),
        _ => {}
    }
    found.0
}

/// A new state, and the one before if there is one.
type Change<'a> = (&'a Value, Option<&'a Value>);

/// Causes that were found.
#[derive(Debug, Default)]
struct Found(Vec<Cause>);

impl Found {
    fn add(&mut self, reason: &str, field: &str, message: impl Into<String>) {
        self.0.push(Cause {
            reason: reason.to_owned(),
            field: field.to_owned(),
            message: message.into(),
        });
    }

    fn invalid(&mut self, field: &str, value: &Value, why: &str) {
        self.add(
            "FieldValueInvalid",
            field,
            format!("Invalid value: {value}: {why}"),
        );
    }

    fn required(&mut self, field: &str, why: &str) {
        let colon = if why.is_empty() { "" } else { ": " };
        self.add(
            "FieldValueRequired",
            field,
            format!("Required value{colon}{why}"),
        );
    }

    fn duplicate(&mut self, field: &str, value: &Value) {
        self.add(
            "FieldValueDuplicate",
            field,
            format!("Duplicate value: {value}"),
        );
    }

    fn unsupported(&mut self, field: &str, value: &Value, supported: &[&str]) {
        let supported: Vec<_> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!(
            "Unsupported value: {value}: supported values: {}",
            supported.join(", ")
        );
        self.add("FieldValueNotSupported", field, message);
    }

    fn forbidden(&mut self, field: &str, why: &str) {
        self.add("FieldValueForbidden", field, format!("Forbidden: {why}"));
    }

    /// A number that is there must not be below zero.
    fn not_negative(&mut self, field: &str, value: &Value) {
        if value.as_i64().is_some_and(|number| number < 0) {
            self.invalid(field, value, "must be greater than or equal to 0");
        }
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_none_or(str::is_empty)
}
