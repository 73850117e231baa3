//! Who owns what: references to owners, and the claims of a controller on objects that match its selector.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::api::{Api, Part, Who};
use crate::sim::field::{is_going, is_true, list, text, uid};
use crate::sim::refusal::Refusal;
use crate::sim::selector::selects;
use crate::sim::store::Key;

/// The reference to the controller of an object.
#[must_use]
pub fn controller(object: &Value) -> Option<&Value> {
    list(object, "/metadata/ownerReferences")
        .iter()
        .find(|owner| is_true(owner, "/controller"))
}

/// Whether this owner is the controller of an object.
#[must_use]
pub fn controls(owner: &Value, object: &Value) -> bool {
    controller(object).is_some_and(|found| text(found, "/uid") == uid(owner))
}

/// The name of the controller of an object, if it is of this kind.
#[must_use]
pub fn controller_of_kind<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    controller(object)
        .filter(|owner| text(owner, "/kind") == kind)
        .map(|owner| text(owner, "/name"))
}

/// The reference by which a controller of a kind owns an object.
#[must_use]
pub fn reference(api_version: &str, kind: &str, owner: &Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": text(owner, "/metadata/name"), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// A controller of `apps/v1` that claims what its selector matches.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The API server.
    pub api: &'a Api,
    /// Who claims.
    pub who: &'a Who,
    /// Kind of the owner, in `apps/v1`.
    pub kind: &'a str,
    /// The owner.
    pub owner: &'a Value,
}

impl Claim<'_> {
    /// Objects of a kind that the owner controls; it takes orphans that match in, and lets go what matches no longer.
    ///
    /// # Errors
    /// When the API server refuses a write.
    pub fn all(&self, group: &str, plural: &str) -> Result<Vec<(Key, Arc<Value>)>, Refusal> {
        let namespace = text(self.owner, "/metadata/namespace");
        let mut claimed = Vec::new();
        for (key, object) in self.api.list(group, plural, Some(namespace)) {
            if let Some(object) = self.one(&key, object)? {
                claimed.push((key, object));
            }
        }
        Ok(claimed)
    }

    fn one(&self, key: &Key, object: Arc<Value>) -> Result<Option<Arc<Value>>, Refusal> {
        let matches = selects(self.owner.pointer("/spec/selector"), &object);
        if controller(&object).is_some() {
            if !controls(self.owner, &object) {
                return Ok(None);
            }
            if matches || is_going(self.owner) {
                return Ok(Some(object));
            }
            return self.let_go(key).map(|()| None);
        }
        if !matches || is_going(self.owner) || is_going(&object) {
            return Ok(None);
        }
        self.take_in(key).map(Some)
    }

    fn take_in(&self, key: &Key) -> Result<Arc<Value>, Refusal> {
        let reference = reference("apps/v1", self.kind, self.owner);
        self.api.update(self.who, key, Part::Main, |object| {
            let mut owners = list(object, "/metadata/ownerReferences").to_vec();
            owners.push(reference);
            object["metadata"]["ownerReferences"] = Value::Array(owners);
        })
    }

    fn let_go(&self, key: &Key) -> Result<(), Refusal> {
        let gone = uid(self.owner);
        let written = self.api.update(self.who, key, Part::Main, |object| {
            let mut owners = list(object, "/metadata/ownerReferences").to_vec();
            owners.retain(|owner| text(owner, "/uid") != gone);
            object["metadata"]["ownerReferences"] = Value::Array(owners);
        });
        written.map(|_| ())
    }
}
