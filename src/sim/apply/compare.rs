//! Which fields differ between two states of an object.

use serde_json::{Map, Value};

use crate::sim::apply::fields::{Fields, group, named};
use crate::sim::shape::{Listed, Node, Seen};

/// What a write changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Fields that are gone.
    pub removed: Fields,
    /// Fields with another value.
    pub modified: Fields,
    /// Fields that are new.
    pub added: Fields,
}

impl Changes {
    /// Without these fields, and without all below them.
    pub(super) fn without(&self, fields: &Fields) -> Self {
        Self {
            removed: self.removed.without(fields),
            modified: self.modified.without(fields),
            added: self.added.without(fields),
        }
    }

    /// Fields that have a value that they did not have.
    pub(super) fn written(&self) -> Fields {
        self.modified.clone().union(&self.added)
    }
}

/// Compares two states of an object.
pub(super) fn compare(node: &Node, before: &Value, after: &Value) -> Changes {
    let mut walk = Walk::default();
    walk.value(node, Some(before), Some(after));
    walk.changes
}

/// A walk through two states at once.
#[derive(Default)]
struct Walk {
    path: Vec<String>,
    changes: Changes,
}

type Both<'a> = (Option<&'a Value>, Option<&'a Value>);

impl Walk {
    fn value(&mut self, node: &Node, before: Option<&Value>, after: Option<&Value>) {
        if before == after {
            return;
        }
        let Some(some) = after.filter(|value| !value.is_null()).or(before).or(after) else {
            return;
        };
        let differ =
            matches!((before, after), (Some(before), Some(after)) if !are_alike(before, after));
        let is_empty = before.is_none_or(is_empty) && after.is_none_or(is_empty);
        match node.see(some) {
            _ if differ || is_empty => self.leaf((before, after)),
            Seen::Leaf => self.leaf((before, after)),
            Seen::Map => self.map(node, (before, after)),
            Seen::List(listed) => self.list(listed, (before, after)),
        }
    }

    fn leaf(&mut self, both: Both<'_>) {
        match both {
            (None, _) => self.changes.added.insert(&self.path),
            (_, None) => self.changes.removed.insert(&self.path),
            _ => self.changes.modified.insert(&self.path),
        }
    }

    /// A field that holds others is itself added or removed, never modified.
    fn container(&mut self, both: Both<'_>) {
        match both {
            (None, _) => self.changes.added.insert(&self.path),
            (_, None) => self.changes.removed.insert(&self.path),
            _ => {}
        }
    }

    fn map<'a>(&mut self, node: &Node, (before, after): Both<'a>) {
        let get = |value: Option<&'a Value>, name: &str| value.and_then(|value| value.get(name));
        let gone = names(before).filter(|name| get(after, name).is_none());
        for name in names(after).chain(gone) {
            // Nobody owns what says who owns.
            if name == "managedFields" && self.path == ["f:metadata"] {
                continue;
            }
            self.path.push(named(name));
            self.value(node.child(name).0, get(before, name), get(after, name));
            self.path.pop();
        }
        self.container((before, after));
    }

    fn list(&mut self, listed: &Listed, (before, after): Both<'_>) {
        let old = group(listed, before.unwrap_or(&Value::Null));
        let new = group(listed, after.unwrap_or(&Value::Null));
        let gone = old.keys().filter(|element| !new.contains_key(*element));
        for element in new.keys().chain(gone) {
            self.path.push(element.clone());
            let (was, is) = (old.get(element), new.get(element));
            self.items(
                listed,
                was.map_or(&[], Vec::as_slice),
                is.map_or(&[], Vec::as_slice),
            );
            self.path.pop();
        }
        self.container((before, after));
    }

    /// Items with one path element: one on each side, unless the list has duplicates, which are taken as one leaf.
    fn items(&mut self, listed: &Listed, old: &[&Value], new: &[&Value]) {
        let node = &listed.item;
        match (old, new) {
            ([] | [_], [] | [_]) => self.value(node, old.first().copied(), new.first().copied()),
            ([_, _, ..], [_, _, ..]) if old == new => {}
            ([_, _, ..], [_, _, ..]) => self.changes.modified.insert(&self.path),
            ([_, _, ..], _) => {
                self.value(node, None, new.first().copied());
                self.changes.removed.insert(&self.path);
            }
            (_, _) => {
                self.value(node, old.first().copied(), None);
                self.changes.added.insert(&self.path);
            }
        }
    }
}

fn names(value: Option<&Value>) -> impl Iterator<Item = &String> {
    value
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
}

fn are_alike(one: &Value, other: &Value) -> bool {
    one.is_null() || other.is_null() || std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Nothing to walk into: the difference between nothing and empty is one of a leaf.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
