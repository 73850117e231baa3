//! The rules in CEL.

use serde_json::Value;

use crate::sim::cel::scope::Scope;
use crate::sim::cel::value::{Fault, Val};
use crate::sim::refusal::Cause;
use crate::sim::schema::shape::below;
use crate::sim::schema::{Node, Rule, lists, said};

/// A value, and what it was before, if it can be told what that is.
type Pair<'a> = (&'a Value, Option<&'a Value>);

/// Finds the rules that do not hold, here and below.
pub(super) fn check(node: &Node, pair: Pair<'_>, path: &str, found: &mut Vec<Cause>) {
    let (value, old) = pair;
    if value.is_null() {
        return;
    }
    found.extend(
        node.rules
            .iter()
            .filter_map(|rule| broken(rule, node, pair, path)),
    );
    for part in &node.parts.all_of {
        check(part, pair, path, found);
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let pair = (value, old.and_then(|old| old.get(name)));
                if let Some(node) = node.properties.get(name) {
                    check(node, pair, &below(path, name), found);
                } else if let Some(node) = node.additional() {
                    check(node, pair, &format!("{path}[{name}]"), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(inner) = &node.items {
                    check(
                        inner,
                        (item, before(node, item, old)),
                        &format!("{path}[{index}]"),
                        found,
                    );
                }
            }
        }
        _ => {}
    }
}

/// What an item was before: only the items of a list that is a map can be told from each other.
fn before<'a>(node: &Node, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    if node.list_type != "map" {
        return None;
    }
    let keys = lists::keys(node, item);
    old?.as_array()?
        .iter()
        .find(|old| lists::keys(node, old) == keys)
}

fn broken<'a>(rule: &'a Rule, node: &Node, (value, old): Pair<'a>, path: &str) -> Option<Cause> {
    if rule.rule.0.mentions("oldSelf") && old.is_none() && !rule.optional_old_self {
        return None;
    }
    let old = old.map(Val::of);
    let old = match (rule.optional_old_self, old) {
        (true, old) => Some(old.map_or_else(Val::none, Val::some)),
        (false, old) => old,
    };
    let mut scope = Scope::default().with("self", Val::of(value));
    if let Some(old) = old {
        scope = scope.with("oldSelf", old);
    }
    let is_whole = matches!(node.kind.as_deref(), Some("object" | "array"));
    match rule.rule.0.evaluate(&scope) {
        Ok(outcome) if outcome.is_true() => None,
        Ok(_) => Some(refusal(
            rule,
            (value, is_whole),
            path,
            &detail(rule, &scope),
        )),
        Err(fault) => {
            let kind = node.kind.as_deref().unwrap_or_default();
            Some(said::invalid(
                path,
                &Value::from(kind),
                &failure(rule, &fault),
            ))
        }
    }
}

fn failure(rule: &Rule, fault: &Fault) -> String {
    let about = if rule.message.is_empty() {
        rule.rule.0.text()
    } else {
        rule.message.trim()
    };
    if fault.text().starts_with("no such overload") {
        return format!(
            "'{}': call arguments did not match a supported operator, function or macro signature for rule: {about}",
            fault.text()
        );
    }
    format!("{} evaluating rule: {about}", fault.text())
}

/// What a rule says when it does not hold.
fn detail<'a>(rule: &'a Rule, scope: &Scope<'a>) -> String {
    let made = rule.message_expression.as_ref().and_then(|text| {
        let value = text.0.evaluate(scope).ok()?;
        let text = value.as_text()?.trim();
        (!text.is_empty() && !text.contains('\n')).then(|| text.to_owned())
    });
    made.unwrap_or_else(|| match rule.message.trim() {
        "" => format!("failed rule: {}", rule.rule.0.text()),
        message => message.to_owned(),
    })
}

fn refusal(rule: &Rule, (value, is_whole): (&Value, bool), path: &str, why: &str) -> Cause {
    let path = format!("{path}{}", rule.field_path);
    match rule.reason.as_str() {
        "FieldValueRequired" => said::required(&path, why),
        "FieldValueForbidden" => said::forbidden(&path, why),
        "FieldValueDuplicate" => said::duplicate(&path, value),
        _ if is_whole => said::refused(&path, why),
        _ => said::invalid(&path, value, why),
    }
}
