//! When a write to a route counts: the conditions of its parents, at its current generation (PROVIDERS 1.3).

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::ParentRef;
use crate::objects::{Kind, ObjectKey, Seen};
use crate::rollout::observed::Acceptance;
use crate::router::acceptance::{because, condition, fulfilled, worst};
use crate::router::spoken;

const GROUP: &str = "gateway.networking.k8s.io";

/// What a route hangs on, with all defaults filled in, so that two references to the same thing are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    group: String,
    kind: String,
    namespace: String,
    name: String,
    section: Option<String>,
    port: Option<i64>,
}

impl Parent {
    /// As a Canary in namespace `home` names it. A Service needs no group.
    pub(super) fn named(reference: &ParentRef, home: &str) -> Self {
        let kind = reference.kind.as_deref().unwrap_or("Gateway");
        let group = match reference.group.as_deref() {
            Some(group) => core_is_empty(group),
            None if kind == "Service" => "",
            None => GROUP,
        };
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: reference.namespace.as_deref().unwrap_or(home).to_owned(),
            name: reference.name.clone(),
            section: reference.section_name.clone(),
            port: reference.port.map(i64::from),
        }
    }

    /// A port of a Service in namespace `home`.
    pub(super) fn service(name: &str, home: &str, port: i32) -> Self {
        Self {
            group: String::new(),
            kind: "Service".to_owned(),
            namespace: home.to_owned(),
            name: name.to_owned(),
            section: None,
            port: Some(i64::from(port)),
        }
    }

    /// As a route in namespace `home`, or its status, writes it.
    pub(super) fn written(reference: &Value, home: &str) -> Self {
        let text = |field: &str| reference[field].as_str();
        Self {
            group: core_is_empty(text("group").unwrap_or(GROUP)).to_owned(),
            kind: text("kind").unwrap_or("Gateway").to_owned(),
            namespace: text("namespace").unwrap_or(home).to_owned(),
            name: text("name").unwrap_or_default().to_owned(),
            section: text("sectionName").map(str::to_owned),
            port: reference["port"].as_i64(),
        }
    }

    /// The reference that a route in namespace `home` has to hold.
    pub(super) fn reference(&self, home: &str) -> Value {
        let mut reference = Map::new();
        reference.insert("group".into(), json!(self.group));
        reference.insert("kind".into(), json!(self.kind));
        if self.namespace != home {
            reference.insert("namespace".into(), json!(self.namespace));
        }
        reference.insert("name".into(), json!(self.name));
        if let Some(section) = &self.section {
            reference.insert("sectionName".into(), json!(section));
        }
        if let Some(port) = self.port {
            reference.insert("port".into(), json!(port));
        }
        Value::Object(reference)
    }

    /// It is a Gateway.
    pub(super) fn is_gateway(&self) -> bool {
        self.group == GROUP && self.kind == "Gateway"
    }

    /// It is a Service of a mesh.
    pub(super) fn is_service(&self) -> bool {
        self.group.is_empty() && self.kind == "Service"
    }

    /// As people write it.
    pub(super) fn spoken(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }
}

fn core_is_empty(group: &str) -> &str {
    if group == "core" { "" } else { group }
}

/// The parents that the spec of a route names.
pub(super) fn parents(spec: &Value, home: &str) -> Vec<Parent> {
    let references = spec["parentRefs"].as_array();
    let references = references.map(Vec::as_slice).unwrap_or_default();
    let written = |reference| Parent::written(reference, home);
    references.iter().map(written).collect()
}

/// Whether every parent that a route names runs it as it stands now.
pub(in crate::router) fn of_route(
    key: &ObjectKey,
    route: &DynamicObject,
    seen: &Seen,
) -> Acceptance {
    let parents = parents(&route.data["spec"], &key.namespace);
    acceptance(key, route, &parents, seen)
}

/// Whether each of these parents runs the route as it stands now.
pub(super) fn acceptance(
    key: &ObjectKey,
    route: &DynamicObject,
    parents: &[Parent],
    seen: &Seen,
) -> Acceptance {
    if parents.is_empty() {
        return Acceptance::Pending(format!("{} has no parentRefs", spoken(key)));
    }
    worst(parents.iter().map(|parent| {
        let reported = reported(key, route, parent);
        let programmed = programmed(parent, seen);
        worst([reported, programmed])
    }))
}

/// The word of every controller that reports on this parent. One that is gone keeps the route pending, with its name: nothing
/// in the route tells a dead controller from a slow one.
fn reported(key: &ObjectKey, route: &DynamicObject, parent: &Parent) -> Acceptance {
    let entries = route.data["status"]["parents"].as_array();
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let about_parent =
        |entry: &&Value| Parent::written(&entry["parentRef"], &key.namespace) == *parent;
    let generation = route.metadata.generation.unwrap_or_default();
    let mut entries = entries.iter().filter(about_parent).peekable();
    if entries.peek().is_none() {
        let parent = parent.spoken();
        return Acceptance::Pending(format!(
            "{}: no controller reports on {parent} yet",
            spoken(key)
        ));
    }
    worst(entries.map(|entry| {
        let controller = entry["controllerName"].as_str().unwrap_or("a controller");
        let subject = format!("{}: {controller} on {}", spoken(key), parent.spoken());
        let conditions = &entry["conditions"];
        worst([
            fulfilled(conditions, "Accepted", generation, &subject),
            fulfilled(conditions, "ResolvedRefs", generation, &subject),
            whole(conditions, generation, &subject),
        ])
    }))
}

/// A Gateway runs routes only once it is programmed itself.
fn programmed(parent: &Parent, seen: &Seen) -> Acceptance {
    if !parent.is_gateway() {
        return Acceptance::Accepted;
    }
    let key = ObjectKey::new(Kind::Gateway, &parent.namespace, &parent.name);
    let Some(gateway) = seen.routes.get(&key) else {
        return Acceptance::Pending(format!("{} does not exist", spoken(&key)));
    };
    let generation = gateway.metadata.generation.unwrap_or_default();
    let conditions = &gateway.data["status"]["conditions"];
    match fulfilled(conditions, "Programmed", generation, &spoken(&key)) {
        // The route is not to blame, and the Gateway may still come up.
        Acceptance::Rejected(why) => Acceptance::Pending(why),
        word => word,
    }
}

/// No rule may have been left out.
fn whole(conditions: &Value, generation: i64, subject: &str) -> Acceptance {
    let Some(condition) = condition(conditions, "PartiallyInvalid") else {
        return Acceptance::Accepted;
    };
    if condition["status"].as_str() != Some("True") {
        return Acceptance::Accepted;
    }
    let why = format!("{subject}: PartiallyInvalid is True{}", because(condition));
    let observed = condition["observedGeneration"].as_i64().unwrap_or_default();
    if observed < generation {
        Acceptance::Pending(why)
    } else {
        Acceptance::Rejected(why)
    }
}
