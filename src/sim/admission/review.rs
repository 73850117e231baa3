//! A request as admission sees it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::store::{Key, Store};

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An object is new.
    Create,
    /// An object changes.
    Update,
    /// An object goes.
    Delete,
    /// A connection is opened, as by `exec`.
    Connect,
}

impl Operation {
    /// As policies name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }

    /// The kind of the options that go with it.
    fn options(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Delete => "DeleteOptions",
            Self::Connect => "ConnectOptions",
        }
    }
}

/// A request: who does what with which object.
#[derive(Clone, Copy, Debug)]
pub struct Review<'a> {
    /// What it does.
    pub operation: Operation,
    /// What it is about; the name is empty if it is yet to be generated.
    pub key: &'a Key,
    /// Version of the kind.
    pub version: &'a str,
    /// Kind; of a subresource, the kind of that: `Scale`.
    pub kind: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// User.
    pub user: &'a str,
    /// Groups of the user.
    pub groups: &'a [String],
    /// The field manager that the request names; empty if it names none, even if one follows from its user agent.
    pub manager: &'a str,
    /// Nothing will be written.
    pub dry_run: bool,
    /// The object as it is to be; none of a deletion.
    pub object: Option<&'a Value>,
    /// The object as it is; none of a creation.
    pub old: Option<&'a Value>,
}

impl Review<'_> {
    /// What expressions see as `request`.
    pub(super) fn request(&self) -> Value {
        let kind = json!({"group": self.kind_group(), "version": self.version, "kind": self.kind});
        let resource =
            json!({"group": self.key.group, "version": self.version, "resource": self.key.plural});
        let mut request = json!({
            "uid": "", "kind": kind, "requestKind": kind, "resource": resource, "requestResource": resource,
            "operation": self.operation.name(), "dryRun": self.dry_run,
            "userInfo": {"username": self.user, "groups": self.groups},
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": self.operation.options()},
        });
        let optional = [
            ("name", self.key.name.as_str()),
            ("namespace", self.place()),
            ("subResource", self.subresource),
            ("requestSubResource", self.subresource),
        ];
        for (field, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
            request[field] = Value::from(value);
        }
        if !self.manager.is_empty() {
            request["options"]["fieldManager"] = Value::from(self.manager);
        }
        if self.dry_run {
            request["options"]["dryRun"] = json!(["All"]);
        }
        request
    }

    /// A request about a namespace is in that namespace.
    pub(super) fn place(&self) -> &str {
        let is_namespace = self.key.group.is_empty() && self.key.plural == "namespaces";
        if is_namespace {
            &self.key.name
        } else {
            &self.key.namespace
        }
    }

    fn kind_group(&self) -> &str {
        match self.kind {
            "Scale" => "autoscaling",
            "Eviction" => "policy",
            _ => &self.key.group,
        }
    }

    /// What messages call the object.
    pub(super) fn about(&self) -> Key {
        let meta = self.object.map(|object| &object["metadata"]);
        let text = |field: &str| {
            meta.and_then(|meta| meta[field].as_str())
                .filter(|text| !text.is_empty())
        };
        let name = match self.key.name.as_str() {
            "" => text("name")
                .or_else(|| text("generateName"))
                .unwrap_or("Unknown"),
            name => name,
        };
        Key {
            name: name.to_owned(),
            ..self.key.clone()
        }
    }
}

/// The namespace that a request is in.
pub(super) fn namespace(store: &Store, review: &Review<'_>) -> Option<Arc<Value>> {
    store.get(&Key::new("", "namespaces", "", review.place()))
}
