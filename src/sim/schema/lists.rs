//! Lists whose items are told apart: by themselves, or by their keys.

use serde_json::{Map, Value};

use crate::sim::refusal::Cause;
use crate::sim::schema::shape::below;
use crate::sim::schema::{Node, said};

/// Finds items that are there twice.
pub(super) fn check(node: &Node, value: &Value, path: &str, found: &mut Vec<Cause>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(node) = node.properties.get(name) {
                    check(node, value, &below(path, name), found);
                } else if let Some(node) = node.additional() {
                    check(node, value, &format!("{path}[{name}]"), found);
                }
            }
        }
        Value::Array(items) => {
            check_list(node, items, path, found);
            for (index, item) in items.iter().enumerate() {
                if let Some(node) = &node.items {
                    check(node, item, &format!("{path}[{index}]"), found);
                }
            }
        }
        _ => {}
    }
}

fn check_list(node: &Node, items: &[Value], path: &str, found: &mut Vec<Cause>) {
    let identities: Vec<Value> = match node.list_type.as_str() {
        "set" => items.to_vec(),
        "map" => items
            .iter()
            .map(|item| Value::Object(keys(node, item)))
            .collect(),
        _ => return,
    };
    for (index, identity) in identities.iter().enumerate() {
        // Only the first repetition is told.
        if identities[..index]
            .iter()
            .filter(|other| *other == identity)
            .count()
            == 1
        {
            found.push(said::duplicate(&format!("{path}[{index}]"), identity));
        }
    }
}

/// The keys of an item of a list that is a map.
pub(super) fn keys(node: &Node, item: &Value) -> Map<String, Value> {
    let key = |name: &String| Some((name.clone(), item.get(name)?.clone()));
    node.list_keys.iter().filter_map(key).collect()
}
