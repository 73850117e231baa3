//! Which fields an object keeps, and what those are that it does not set.

use serde_json::Value;

use crate::sim::schema::{Additional, Node};

/// What every object has, whatever its schema says.
const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Takes out what the schema does not know, and returns the paths of it.
pub(super) fn prune(root: &Node, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_at(Some(root), object, "", &mut unknown);
    unknown.sort();
    unknown
}

pub(super) fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn prune_at(node: Option<&Node>, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    let keeps = node.is_some_and(|node| node.preserve);
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let path = below(path, name);
            if node.is_some_and(|node| node.embedded) && META.contains(&name.as_str()) {
                return true;
            }
            let known =
                node.is_some_and(|node| node.properties.contains_key(name) || takes_any(node));
            if known {
                prune_at(
                    node.and_then(|node| node.field(name)),
                    value,
                    &path,
                    unknown,
                );
            } else if !keeps {
                unknown.push(path);
            }
            known || keeps
        }),
        Value::Array(items) => {
            let item_node = node.and_then(|node| node.items.as_deref());
            // Within what is kept as a whole, items without a schema are kept too.
            if keeps && item_node.is_none() {
                return;
            }
            for (index, item) in items.iter_mut().enumerate() {
                prune_at(item_node, item, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Whether fields without a name of their own have a schema.
fn takes_any(node: &Node) -> bool {
    matches!(
        &node.additional_properties,
        Some(Additional::Are(_) | Additional::May(true))
    )
}

/// Takes out `null` where it means nothing and where no default will replace it.
pub(super) fn prune_nulls(node: &Node, value: &mut Value) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let Some(node) = node.field(name) else {
                return true;
            };
            prune_nulls(node, value);
            !node.is_missing(value) || node.default.is_some()
        }),
        Value::Array(list) => {
            if let Some(node) = &node.items {
                list.iter_mut().for_each(|item| prune_nulls(node, item));
            }
        }
        _ => {}
    }
}

/// Sets what has a default and is missing, and within that too.
pub(super) fn default(node: &Node, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, node) in &node.properties {
                let missing = fields.get(name).is_none_or(|value| node.is_missing(value));
                if let Some(default) = node.default.as_ref().filter(|_| missing) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(node) = node.field(name) {
                    set(node, value);
                }
            }
        }
        Value::Array(list) => {
            if let Some(node) = &node.items {
                list.iter_mut().for_each(|item| set(node, item));
            }
        }
        _ => {}
    }
}

fn set(node: &Node, value: &mut Value) {
    if node.is_missing(value)
        && let Some(default) = &node.default
    {
        *value = default.clone();
    }
    default(node, value);
}
