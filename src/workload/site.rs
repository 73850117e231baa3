//! What every rendering works on, and the few forms in which it writes.

use kube::core::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::digest;
use crate::objects::{Change, Deployment, Kind, Labels, Live, Meta, ObjectKey, Seen, mark};
use crate::rollout::observed::{Problem, Severity};
use crate::workload::WorkloadError;

/// A Canary, the objects that were read live for it, and what the watches saw.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) canary: &'a Canary,
    pub(crate) live: &'a Live,
    pub(crate) seen: &'a Seen,
}

impl<'a> Site<'a> {
    pub(crate) fn key(self, kind: Kind, name: &str) -> ObjectKey {
        ObjectKey::new(kind, &self.canary.home(), name)
    }

    pub(crate) fn live(self, kind: Kind, name: &str) -> Option<&'a DynamicObject> {
        self.live.get(&self.key(kind, name))
    }

    /// The live object, if this Canary made it.
    pub(crate) fn own(self, kind: Kind, name: &str) -> Option<&'a DynamicObject> {
        let uid = self.canary.identity();
        self.live(kind, name)
            .filter(|object| label(object, mark::CANARY_UID) == Some(&uid))
    }

    pub(crate) fn target_key(self) -> ObjectKey {
        self.key(Kind::Deployment, self.canary.target_name())
    }

    /// The live target; without one there is nothing to decide on.
    pub(crate) fn target(self) -> Result<Target<'a>, WorkloadError> {
        let key = self.target_key();
        match self.live.get(&key) {
            Some(object) if object.metadata.deletion_timestamp.is_none() => {
                Ok(Target { object, key })
            }
            _ => Err(WorkloadError::Changed(format!("{key} is gone"))),
        }
    }

    /// Applies an object of ours, unless one of somebody else stands in its place, or it is there already.
    pub(crate) fn apply(
        self,
        object: DynamicObject,
        kind: Kind,
    ) -> Result<Option<Change>, WorkloadError> {
        let name = object.metadata.name.clone().unwrap_or_default();
        let Some(live) = self.live(kind, &name) else {
            return Ok(Some(Change::Apply(Box::new(object))));
        };
        let uid = self.canary.identity();
        if label(live, mark::CANARY_UID) != Some(&uid) {
            return Err(WorkloadError::Refused(taken(&self.key(kind, &name), None)));
        }
        Ok((!stands(live, &object)).then(|| Change::Apply(Box::new(object))))
    }

    /// Deletes an object that this Canary made.
    pub(crate) fn delete_own(self, kind: Kind, name: &str) -> Option<Change> {
        let object = self.own(kind, name)?;
        if object.metadata.deletion_timestamp.is_some() {
            return None;
        }
        Some(delete(self.key(kind, name), object))
    }
}

/// Deletes exactly this object.
pub(crate) fn delete(key: ObjectKey, object: &DynamicObject) -> Change {
    Change::Delete(key, object.metadata.uid.clone().unwrap_or_default())
}

/// The live target.
#[derive(Clone)]
pub(crate) struct Target<'a> {
    pub(crate) object: &'a DynamicObject,
    pub(crate) key: ObjectKey,
}

impl<'a> Target<'a> {
    pub(crate) fn label(&self, name: &str) -> Option<&'a String> {
        label(self.object, name)
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&'a String> {
        self.object.metadata.annotations.as_ref()?.get(name)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.label(mark::HELD).is_some()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.object.data["spec"]["paused"] == Value::Bool(true)
    }

    pub(crate) fn template(&self) -> &'a Value {
        &self.object.data["spec"]["template"]
    }

    pub(crate) fn revision(&self) -> String {
        digest::revision(self.template())
    }

    /// The digest of the live object, by the same reading as the watches'.
    pub(crate) fn digest(&self) -> Result<Deployment, WorkloadError> {
        let malformed = |reason: String| WorkloadError::Malformed {
            key: self.key.clone(),
            reason,
        };
        let whole =
            serde_json::to_value(self.object).map_err(|error| malformed(error.to_string()))?;
        digest::deployment(&whole).map_err(|error| malformed(error.to_string()))
    }

    /// A JSON patch under the lock of the version that was read; nothing if there is nothing to change.
    pub(crate) fn patch(&self, operations: Vec<Value>) -> Vec<Change> {
        if operations.is_empty() {
            return Vec::new();
        }
        vec![Change::Patch(
            self.key.clone(),
            locked(self.object, operations),
        )]
    }

    pub(crate) fn set_label(&self, name: &str, value: &str) -> Vec<Value> {
        let labels = self.object.metadata.labels.as_ref();
        set(labels, "/metadata/labels", name, value)
    }

    pub(crate) fn drop_labels(&self, names: &[&str]) -> Vec<Value> {
        let present = names.iter().filter(|name| self.label(name).is_some());
        present
            .map(|name| remove("/metadata/labels", name))
            .collect()
    }

    pub(crate) fn set_annotation(&self, name: &str, value: &str) -> Vec<Value> {
        let annotations = self.object.metadata.annotations.as_ref();
        set(annotations, "/metadata/annotations", name, value)
    }

    pub(crate) fn drop_annotation(&self, name: &str) -> Vec<Value> {
        let present = self.annotation(name).is_some();
        present
            .then(|| remove("/metadata/annotations", name))
            .into_iter()
            .collect()
    }
}

/// The operations, after one that fails with a conflict if the object is another than the one read.
///
/// A `test` would fail as an invalid request instead.
pub(crate) fn locked(object: &DynamicObject, operations: Vec<Value>) -> Value {
    let version = object.metadata.resource_version.clone().unwrap_or_default();
    let lock = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version});
    Value::Array([vec![lock], operations].concat())
}

fn set(map: Option<&Labels>, path: &str, name: &str, value: &str) -> Vec<Value> {
    if map
        .and_then(|map| map.get(name))
        .is_some_and(|old| old == value)
    {
        return Vec::new();
    }
    let mut operations = Vec::new();
    if map.is_none() {
        operations.push(json!({"op": "add", "path": path, "value": {}}));
    }
    let path = format!("{path}/{}", pointer(name));
    operations.push(json!({"op": "add", "path": path, "value": value}));
    operations
}

pub(crate) fn remove(path: &str, name: &str) -> Value {
    json!({"op": "remove", "path": format!("{path}/{}", pointer(name))})
}

/// A key as one step of a JSON pointer.
pub(crate) fn pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

pub(crate) fn label<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a String> {
    object.metadata.labels.as_ref()?.get(name)
}

/// This Canary made it.
pub(crate) fn is_own(canary: &Canary, meta: &Meta) -> bool {
    meta.labels.get(mark::CANARY_UID) == Some(&canary.identity())
}

/// A new object of ours.
pub(crate) fn object(canary: &Canary, kind: Kind, name: &str, body: Value) -> DynamicObject {
    let resource = kind.api_resource();
    DynamicObject {
        types: Some(TypeMeta {
            api_version: resource.api_version,
            kind: resource.kind,
        }),
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(canary.home()),
            ..ObjectMeta::default()
        },
        data: body,
    }
}

/// Everything that is wanted stands in the live object already. Labels have to be the same, for ours carry nothing else.
pub(crate) fn stands(live: &DynamicObject, wanted: &DynamicObject) -> bool {
    let empty = Labels::new();
    let annotations = live.metadata.annotations.as_ref().unwrap_or(&empty);
    let noted = wanted.metadata.annotations.iter().flatten();
    let mut noted = noted.map(|(key, value)| annotations.get(key) == Some(value));
    let labels = live.metadata.labels.as_ref().unwrap_or(&empty);
    labels == wanted.metadata.labels.as_ref().unwrap_or(&empty)
        && noted.all(|same| same)
        && covers(&live.data, &wanted.data)
}

fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, value)| {
            let found = live.get(key).unwrap_or(&Value::Null);
            // Selectors are whole: one label more is another selector.
            if key == "selector" || key == "matchLabels" {
                found == value
            } else {
                covers(found, value) || is_default(found, value)
            }
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(one, two)| covers(one, two))
        }
        (live, wanted) => live == wanted,
    }
}

/// The API server leaves out what is false.
fn is_default(live: &Value, wanted: &Value) -> bool {
    live.is_null() && matches!(wanted, Value::Null | Value::Bool(false))
}

/// A refusal, for which somebody has to change something.
pub(crate) fn refusal(reason: &'static str, message: String) -> Problem {
    Problem {
        reason,
        message,
        severity: Severity::Refused,
    }
}

/// Something of somebody else has the name of an object that Serin has to make.
pub(crate) fn taken(key: &ObjectKey, meta: Option<&Meta>) -> Problem {
    let owner = meta.and_then(holder);
    let whose = owner.map_or_else(String::new, |owner| format!(" ({owner})"));
    let resource = key.kind.api_resource().kind;
    let message = format!(
        "{resource} {}/{} exists and is not this Canary's{whose}: rename or delete it; nothing of it was touched",
        key.namespace, key.name
    );
    refusal("NameTaken", message)
}

/// Who an object belongs to, as far as it says.
fn holder(meta: &Meta) -> Option<String> {
    let label = |name: &str| meta.labels.get(name).filter(|value| !value.is_empty());
    if let Some(owner) = &meta.owner {
        return Some(format!("controlled by {} {}", owner.kind, owner.name));
    }
    if label(mark::CANARY_UID).is_some() {
        return Some("made for another Canary".to_owned());
    }
    let instance = label("app.kubernetes.io/instance");
    match (label("app.kubernetes.io/managed-by"), instance) {
        (Some(tool), Some(instance)) => Some(format!("managed by {tool}, instance {instance}")),
        (Some(tool), None) => Some(format!("managed by {tool}")),
        (None, Some(instance)) => Some(format!("instance {instance}")),
        (None, None) => None,
    }
}
