//! The controller that looks whether the expressions of validating policies can be read, and says so in their status.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part};
use crate::sim::cel::Expression;
use crate::sim::field::{list, number, text};
use crate::sim::store::Event;

const GROUP: &str = "admissionregistration.k8s.io";
const PLURAL: &str = "validatingadmissionpolicies";

/// The controller.
#[derive(Debug, Default)]
pub struct TypeCheck {
    begun: bool,
}

impl Actor for TypeCheck {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        let mine = |event: &Event| event.key.group == GROUP && event.key.plural == PLURAL;
        if self.begun && !changed.iter().any(mine) {
            return None;
        }
        self.begun = true;
        for (key, policy) in api.list(GROUP, PLURAL, None) {
            let generation = number(&policy, "/metadata/generation");
            if number(&policy, "/status/observedGeneration") == generation {
                continue;
            }
            let checked = checked(&policy);
            let who = account::controller("validatingadmissionpolicy-status-controller");
            // It was deleted meanwhile, or is checked again after the write that came in between.
            drop(api.update(&who, &key, Part::Status, |policy| {
                policy["status"]["observedGeneration"] = json!(generation);
                policy["status"]["typeChecking"] = checked;
            }));
        }
        None
    }
}

/// What cannot be read, as warnings.
fn checked(policy: &Value) -> Value {
    let mut warnings = Vec::new();
    for (at, validation) in list(policy, "/spec/validations").iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let expression = text(validation, &format!("/{field}"));
            if let Some(Err(error)) =
                (!expression.is_empty()).then(|| Expression::parse(expression))
            {
                let place = format!("spec.validations[{at}].{field}");
                warnings.push(json!({"fieldRef": place, "warning": error}));
            }
        }
    }
    if warnings.is_empty() {
        return json!({});
    }
    json!({"expressionWarnings": warnings})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said() {
        let policy = |expression: &str, message: &str| {
            json!({"spec": {"validations": [{"expression": "true"},
                {"expression": expression, "messageExpression": message}]}})
        };
        assert_eq!(checked(&policy("object.a == 1", "'x'")), json!({}));
        for (expression, message, field) in [
            ("object.a ==", "", "expression"),
            ("true", "'x", "messageExpression"),
        ] {
            let warnings = checked(&policy(expression, message));
            let place = format!("spec.validations[1].{field}");
            assert_eq!(warnings["expressionWarnings"][0]["fieldRef"], place);
        }
    }
}
