//! Strategic merge patches.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::sim::refusal::Refusal;
use crate::sim::shape::{Holds, Node};

type Object = Map<String, Value>;
type Outcome<T> = Result<T, Refusal>;

/// Says what becomes of the object or the item that it stands in.
const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";

/// Merges a patch into an object.
pub(super) fn merge(node: &Node, target: &mut Value, patch: &Object) -> Outcome<()> {
    if let Some(directive) = patch.get(PATCH) {
        *target = match directive.as_str() {
            Some("replace") => {
                let mut instead = patch.clone();
                instead.remove(PATCH);
                Value::Object(instead)
            }
            Some("delete") => json!({}),
            _ => return Err(unknown(directive, patch)),
        };
        return Ok(());
    }
    if !target.is_object() {
        *target = json!({});
    }
    let Some(object) = target.as_object_mut() else {
        return Ok(());
    };
    retain_keys(object, patch)?;
    let before = object.clone();
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        merge_field(node.child(name).0, object, name, value)?;
    }
    for (name, value) in patch {
        if let Some(name) = name.strip_prefix(DELETE_VALUES) {
            delete_values(object, name, value)?;
        }
    }
    for (name, value) in patch {
        if let Some(name) = name.strip_prefix(ORDER) {
            let Some(order) = value.as_array() else {
                return Err(Refusal::bad_request(
                    "invalid patch format of setElementOrder list",
                ));
            };
            let was = before.get(name).and_then(Value::as_array);
            if let Some(list) = object.get_mut(name).and_then(Value::as_array_mut) {
                let key = merged_by(node.child(name).0).flatten();
                arrange(list, key, (was.map_or(&[], Vec::as_slice), order));
            }
        }
    }
    Ok(())
}

fn merge_field(node: &Node, object: &mut Object, name: &str, patch: &Value) -> Outcome<()> {
    let old = object.get_mut(name);
    match (old, patch) {
        (_, Value::Null) => {
            object.remove(name);
        }
        (Some(old @ Value::Object(_)), Value::Object(patch)) if !node.replaced => {
            merge(node, old, patch)?
        }
        (Some(Value::Array(old)), Value::Array(patch)) => merge_list(node, old, patch)?,
        (_, patch) => match without_directives(patch) {
            Some(value) => {
                object.insert(name.to_owned(), value);
            }
            None => {
                object.remove(name);
            }
        },
    }
    Ok(())
}

/// A new value: it must not hold directives, and nulls in it mean nothing.
fn without_directives(patch: &Value) -> Option<Value> {
    match patch {
        Value::Object(object) => {
            if object.contains_key(PATCH) {
                let deletes = object[PATCH] == "delete";
                return (!deletes).then(|| plain(object));
            }
            Some(plain(object))
        }
        Value::Array(items) => Some(Value::Array(
            items.iter().filter_map(without_directives).collect(),
        )),
        value => Some(value.clone()),
    }
}

fn plain(object: &Object) -> Value {
    let fields = object
        .iter()
        .filter(|(name, value)| !name.starts_with('$') && !value.is_null());
    let fields =
        fields.filter_map(|(name, value)| Some((name.clone(), without_directives(value)?)));
    Value::Object(fields.collect())
}

fn merge_list(node: &Node, old: &mut Vec<Value>, patch: &[Value]) -> Outcome<()> {
    match merged_by(node) {
        None => *old = patch.to_vec(),
        Some(None) => {
            let was = old.clone();
            old.extend(patch.iter().filter(|value| !was.contains(value)).cloned());
            arrange(old, None, (&was, patch));
        }
        Some(Some(key)) => merge_items(node.item(), key, old, patch)?,
    }
    Ok(())
}

fn merged_by(node: &Node) -> Option<Option<&str>> {
    match &node.holds {
        Holds::List(listed) => listed.merged_by.as_ref().map(Option::as_deref),
        _ => None,
    }
}

fn merge_items(node: &Node, key: &str, old: &mut Vec<Value>, patch: &[Value]) -> Outcome<()> {
    let was = old.clone();
    let mut items = Vec::new();
    let mut replaces = false;
    for item in patch {
        let Value::Object(object) = item else {
            return Err(Refusal::new(
                500,
                "",
                "list of maps has an item that is none",
            ));
        };
        match object.get(PATCH).map(Value::as_str) {
            None => items.push(object),
            Some(Some("delete")) => {
                let value = key_of(object, key)?;
                old.retain(|item| &item[key] != value);
            }
            Some(Some("replace")) => replaces = true,
            Some(Some("merge")) => {
                let why = "merging lists cannot yet be specified in the patch";
                return Err(Refusal::new(500, "", why));
            }
            Some(_) => return Err(unknown(&object[PATCH], object)),
        }
    }
    if replaces {
        *old = items
            .into_iter()
            .map(|object| Value::Object(object.clone()))
            .collect();
        return Ok(());
    }
    for object in items {
        let value = key_of(object, key)?;
        match old.iter_mut().find(|item| &item[key] == value) {
            Some(item) => merge(node, item, object)?,
            None => old.push(plain(object)),
        }
    }
    arrange(old, Some(key), (&was, patch));
    Ok(())
}

fn key_of<'a>(item: &'a Object, key: &str) -> Outcome<&'a Value> {
    item.get(key).ok_or_else(|| {
        let item = spoken(&Value::Object(item.clone()));
        Refusal::new(
            500,
            "",
            format!("map: {item} does not contain declared merge key: {key}"),
        )
    })
}

/// `$retainKeys` names the fields that may stay.
fn retain_keys(object: &mut Object, patch: &Object) -> Outcome<()> {
    let Some(names) = patch.get(RETAIN_KEYS) else {
        return Ok(());
    };
    let Some(names) = names.as_array() else {
        return Err(Refusal::bad_request("invalid patch format of retainKeys"));
    };
    let is_named = |name: &str| names.iter().any(|other| other == name);
    let given = patch
        .iter()
        .filter(|(name, value)| !name.starts_with('$') && !value.is_null());
    if given.map(|(name, _)| name).any(|name| !is_named(name)) {
        return Err(Refusal::bad_request("invalid patch format of retainKeys"));
    }
    object.retain(|name, _| is_named(name));
    Ok(())
}

fn delete_values(object: &mut Object, name: &str, values: &Value) -> Outcome<()> {
    let Some(list) = object.get_mut(name).and_then(Value::as_array_mut) else {
        return Ok(());
    };
    let Some(values) = values.as_array() else {
        return Err(Refusal::bad_request(
            "invalid patch format of primitive list",
        ));
    };
    list.retain(|value| !values.contains(value));
    Ok(())
}

/// Puts the items that an order names into that order; others come before those that they stood before, new ones first.
fn arrange(list: &mut Vec<Value>, key: Option<&str>, (was, order): (&[Value], &[Value])) {
    let id = |item: &Value| key.map_or_else(|| item.clone(), |key| item[key].clone());
    let place =
        |items: &[Value], item: &Value| items.iter().position(|other| id(other) == id(item));
    let (mut named, others): (Vec<_>, Vec<_>) = list
        .drain(..)
        .partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    let mut others = others.into_iter().peekable();
    for item in named {
        let at = place(was, &item);
        while let Some(other) = others.next_if(|other| at.is_some() && place(was, other) < at) {
            list.push(other);
        }
        list.push(item);
    }
    list.extend(others);
}

fn unknown(directive: &Value, patch: &Object) -> Refusal {
    let directive = directive.as_str().unwrap_or_default();
    let patch = spoken(&Value::Object(patch.clone()));
    Refusal::new(
        500,
        "",
        format!("unknown patch type: {directive} in map: {patch}"),
    )
}

/// A value as Go prints it.
fn spoken(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(spoken).collect::<Vec<_>>().join(" ")
        ),
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name}:{}", spoken(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        value => value.to_string(),
    }
}
