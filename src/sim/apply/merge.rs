//! Puts what someone applies into an object, and takes fields out of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::sim::apply::compare::is_empty;
use crate::sim::apply::fields::{Fields, element, named, spoken};
use crate::sim::shape::{Listed, Node, Seen};

/// An object with what is applied to it.
///
/// # Errors
/// When items of a list cannot be told apart.
pub(super) fn merge(node: &Node, live: &Value, applied: &Value) -> Result<Value, String> {
    if is_empty(live) && is_empty(applied) {
        return Ok(applied.clone());
    }
    match node.see(applied) {
        Seen::Map => {
            let nothing = Map::new();
            let old = live.as_object().unwrap_or(&nothing);
            merge_map(node, old, applied.as_object().unwrap_or(&nothing))
        }
        Seen::List(listed) => {
            let old = live.as_array().map_or(&[][..], Vec::as_slice);
            let new = applied.as_array().map_or(&[][..], Vec::as_slice);
            merge_list(listed, old, new)
        }
        Seen::Leaf => Ok(applied.clone()),
    }
}

fn merge_map(
    node: &Node,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Value, String> {
    let mut merged = old.clone();
    for (name, value) in new {
        let before = old.get(name).unwrap_or(&Value::Null);
        let value =
            merge(node.child(name).0, before, value).map_err(|why| format!(".{name}{why}"))?;
        merged.insert(name.clone(), value);
    }
    Ok(Value::Object(merged))
}

/// Items that both have stand in the order in which they are applied; those that only the live object has stay where they are
/// between them, before new ones.
fn merge_list(listed: &Listed, old: &[Value], new: &[Value]) -> Result<Value, String> {
    let elements = |items: &[Value]| -> Result<Vec<String>, String> {
        let found = items.iter().enumerate();
        found
            .map(|(at, item)| element(listed, item).map_err(|why| format!(": element {at}: {why}")))
            .collect()
    };
    let (left, right) = (elements(old)?, elements(new)?);
    let mut wanted = BTreeMap::new();
    for (at, element) in right.iter().enumerate() {
        if wanted.insert(element, at).is_some() {
            return Err(format!(": duplicate entries for key {}", spoken(element)));
        }
    }
    let mut merged = Vec::new();
    let mut next = 0;
    for (at, applied) in new.iter().enumerate() {
        next = keep(&mut merged, (old, &left), next, |element| {
            match wanted.get(element) {
                None => Kept::Here,
                Some(place)
                    if *place < at
                        || right[at..*place].iter().any(|other| left.contains(other)) =>
                {
                    Kept::Elsewhere
                }
                Some(_) => Kept::Next,
            }
        });
        let before = left.iter().position(|element| *element == right[at]);
        let before = before.map_or(&Value::Null, |at| &old[at]);
        merged.push(
            merge(&listed.item, before, applied)
                .map_err(|why| format!("{}{why}", spoken(&right[at])))?,
        );
    }
    keep(&mut merged, (old, &left), next, |element| {
        match wanted.get(element) {
            None => Kept::Here,
            Some(_) => Kept::Elsewhere,
        }
    });
    Ok(Value::Array(merged))
}

/// What happens to an item of the live object.
enum Kept {
    /// It stays where it is.
    Here,
    /// It goes where the applied list has it.
    Elsewhere,
    /// It is the next one that both have.
    Next,
}

/// Takes over items of the live object from `next` on, up to one that is due; returns where that is.
fn keep(
    merged: &mut Vec<Value>,
    (old, left): (&[Value], &[String]),
    mut next: usize,
    what: impl Fn(&String) -> Kept,
) -> usize {
    while let Some(element) = left.get(next) {
        match what(element) {
            Kept::Here => merged.push(old[next].clone()),
            Kept::Elsewhere => {}
            Kept::Next => break,
        }
        next += 1;
    }
    next
}

/// A value without these fields and all below them; null, when nothing is left.
pub(super) fn remove(node: &Node, value: &Value, fields: &Fields) -> Value {
    match (node.see(value), value) {
        (Seen::Map, Value::Object(object)) => {
            let kept = object.iter().filter(|(name, _)| !fields.has(&named(name)));
            let kept = kept.map(|(name, value)| {
                let below = fields.below(&named(name));
                let value = below.map_or_else(
                    || value.clone(),
                    |below| remove(node.child(name).0, value, below),
                );
                (name.clone(), value)
            });
            let kept: Map<_, _> = kept.collect();
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Object(kept)
            }
        }
        (Seen::List(listed), Value::Array(items)) => {
            let kept: Vec<_> = items
                .iter()
                .filter_map(|item| remove_item(listed, item, fields))
                .collect();
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Array(kept)
            }
        }
        (Seen::Leaf, value) if value.is_array() || value.is_object() => Value::Null,
        (_, value) => value.clone(),
    }
}

fn remove_item(listed: &Listed, item: &Value, fields: &Fields) -> Option<Value> {
    let element = element(listed, item).unwrap_or_default();
    if fields.has(&element) {
        return None;
    }
    let below = fields.below(&element);
    Some(below.map_or_else(|| item.clone(), |below| remove(&listed.item, item, below)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sim::shape::Shape;

    /// Names of containers in the order that they have after an apply.
    fn order(live: &[&str], applied: &[&str]) -> String {
        let containers = |names: &[&str]| -> Vec<Value> {
            names.iter().map(|name| json!({"name": name})).collect()
        };
        let pod = |names: &[&str]| json!({"spec": {"containers": containers(names)}});
        let shape = Shape::built_in("", "Pod");
        let merged = merge(shape.root(), &pod(live), &pod(applied)).unwrap();
        let containers = merged["spec"]["containers"].as_array().unwrap();
        containers
            .iter()
            .map(|container| container["name"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn items_follow_the_applied_order_and_others_stay_between_them() {
        for (live, applied, wanted) in [
            (&["a", "b", "c"][..], &["a", "b", "c"][..], "abc"),
            (&["a", "b", "c"], &["c", "n", "a"], "bcna"),
            (&["a", "b"], &["n"], "abn"),
            (&["a", "b"], &["n", "b"], "anb"),
            (&[], &["b", "a"], "ba"),
            (&["a", "b", "c"], &["c", "b", "a"], "cba"),
        ] {
            assert_eq!(order(live, applied), wanted, "{live:?} {applied:?}");
        }
    }
}
