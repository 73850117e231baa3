//! `allOf`, `anyOf`, `oneOf` and `not`.

use serde_json::Value;

use crate::sim::refusal::Cause;
use crate::sim::schema::{Node, check, said};

pub(super) fn check(node: &Node, value: &Value, path: &str, found: &mut Vec<Cause>) {
    let parts = &node.parts;
    for part in &parts.all_of {
        check::check(part, value, path, found);
    }
    let mut refuse = |what: &str| {
        found.push(said::invalid(
            path,
            &Value::from(""),
            &format!("{path:?} must {what}"),
        ))
    };
    if !parts.any_of.is_empty() && !parts.any_of.iter().any(|part| passes(part, value)) {
        refuse("validate at least one schema (anyOf)");
    }
    let passed = parts
        .one_of
        .iter()
        .filter(|part| passes(part, value))
        .count();
    if !parts.one_of.is_empty() && passed != 1 {
        let how = if passed == 0 {
            "Found none valid"
        } else {
            "Found more than one valid"
        };
        refuse(&format!("validate one and only one schema (oneOf). {how}"));
    }
    if parts.not.as_ref().is_some_and(|part| passes(part, value)) {
        refuse("not validate the schema (not)");
    }
}

fn passes(node: &Node, value: &Value) -> bool {
    let mut found = Vec::new();
    check::check(node, value, "", &mut found);
    found.is_empty()
}
