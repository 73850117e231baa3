//! The part of an object that a write to the other part leaves alone.

use serde_json::Value;

use crate::sim::apply::fields::Fields;
use crate::sim::shape::Shape;

type Paths = &'static [&'static [&'static str]];

/// Fields that a write to this subresource does not change.
fn paths(shape: &Shape, subresource: Option<&str>) -> Paths {
    match (subresource, shape.kind.as_str()) {
        (None, _) if shape.status => &[&["status"]],
        (Some("status"), "Deployment") => &[&["spec"], &["metadata", "labels"]],
        (Some("status"), "Pod") => &[
            &["spec"],
            &["metadata", "deletionTimestamp"],
            &["metadata", "ownerReferences"],
        ],
        (Some("status"), _) if shape.typed => &[&["spec"]],
        (Some("status"), _) => &[&["spec"], &["metadata"]],
        _ => &[],
    }
}

/// The same as a set.
pub(super) fn of(shape: &Shape, subresource: Option<&str>) -> Fields {
    Fields::of_names(paths(shape, subresource))
}

/// Gives these fields the values of the live object back.
pub(super) fn restore(
    shape: &Shape,
    subresource: Option<&str>,
    live: Option<&Value>,
    object: &mut Value,
) {
    for path in paths(shape, subresource) {
        let (parent, name) = match path {
            [parent, name] => (Some(*parent), *name),
            [name] => (None, *name),
            _ => continue,
        };
        let old = live.map(|live| parent.map_or(live, |parent| &live[parent]));
        let old = old.map_or(Value::Null, |holder| holder[name].clone());
        let entries = object["metadata"]["managedFields"].clone();
        let holder = match parent {
            Some(parent) => &mut object[parent],
            None => &mut *object,
        };
        put(holder, name, old);
        put(&mut object["metadata"], "managedFields", entries);
    }
    shape.tidy(object);
}

fn put(holder: &mut Value, name: &str, value: Value) {
    let Some(holder) = holder.as_object_mut() else {
        return;
    };
    if value.is_null() {
        holder.remove(name);
    } else {
        holder.insert(name.to_owned(), value);
    }
}
