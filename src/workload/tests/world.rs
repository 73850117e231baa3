//! A namespace for tests: every object is in the caches and can be read live.

use std::sync::Arc;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::digest;
use crate::objects::{Change, Kind, Live, ObjectKey, Seen};
use crate::rollout::decision::Action;
use crate::workload::{objects, render};

/// UID of the Canary in tests.
pub(crate) const UID: &str = "uid-canary";

/// A namespace, and the Canary in it.
pub(crate) struct World {
    pub(crate) canary: Canary,
    pub(crate) seen: Seen,
    pub(crate) live: Live,
}

impl World {
    /// Canary `web` of Deployment `web`, with this spec beside it.
    pub(crate) fn new(spec: Value) -> Self {
        let mut object = json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
            "metadata": {"name": "web", "namespace": "shop", "uid": UID},
            "spec": {"targetRef": {"name": "web"}, "provider": "gatewayapi:v1"},
        });
        merge(&mut object["spec"], &spec);
        Self {
            canary: serde_json::from_value(object).unwrap(),
            seen: Seen::default(),
            live: Live::default(),
        }
    }

    /// The same, with a target that runs 1.0, its ReplicaSet and its Service.
    pub(crate) fn serving(spec: Value) -> Self {
        let set = replica_set("web-1", "web:1.0", 2);
        Self::new(spec)
            .with(target(json!({})))
            .with(set)
            .with(service("web", json!({})))
    }

    pub(crate) fn status(mut self, status: Value) -> Self {
        self.canary.status = Some(serde_json::from_value(status).unwrap());
        self
    }

    pub(crate) fn with(mut self, object: Value) -> Self {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let text = |field: &str| object[field].as_str().unwrap();
        let kind = Kind::named(text("apiVersion"), text("kind")).unwrap();
        let seen = &mut self.seen;
        match kind {
            Kind::Deployment => drop(
                seen.deployments
                    .insert(name.clone(), Arc::new(digest::deployment(&object).unwrap())),
            ),
            Kind::ReplicaSet => drop(seen.replica_sets.insert(
                name.clone(),
                Arc::new(digest::replica_set(&object).unwrap()),
            )),
            Kind::Service => drop(
                seen.services
                    .insert(name.clone(), Arc::new(digest::service(&object).unwrap())),
            ),
            Kind::EndpointSlice => drop(seen.endpoint_slices.insert(
                name.clone(),
                Arc::new(digest::endpoint_slice(&object).unwrap()),
            )),
            Kind::Pod => drop(
                seen.pods
                    .insert(name.clone(), Arc::new(digest::pod(&object).unwrap())),
            ),
            Kind::PodDisruptionBudget => drop(
                seen.budgets
                    .insert(name.clone(), Arc::new(digest::budget(&object).unwrap())),
            ),
            Kind::NetworkPolicy => drop(seen.policies.insert(
                name.clone(),
                Arc::new(digest::network_policy(&object).unwrap()),
            )),
            Kind::HorizontalPodAutoscaler => drop(
                seen.autoscalers
                    .insert(name.clone(), Arc::new(digest::autoscaler(&object).unwrap())),
            ),
            _ => {}
        }
        let live: DynamicObject = serde_json::from_value(object).unwrap();
        self.live.insert(ObjectKey::new(kind, "shop", &name), live);
        self
    }

    /// Asks what has to be read, reads exactly that, and renders.
    pub(crate) fn changes(
        &self,
        action: &Action,
    ) -> Result<Vec<Change>, crate::workload::WorkloadError> {
        let keys = objects(&self.canary, action, &self.seen);
        let read = keys
            .into_iter()
            .filter_map(|key| Some((key.clone(), self.live.get(&key)?.clone())));
        render(&self.canary, action, &read.collect(), &self.seen)
    }

    pub(crate) fn render(&self, action: &Action) -> String {
        match self.changes(action) {
            Ok(changes) if changes.is_empty() => "nothing\n".to_owned(),
            Ok(changes) => changes.iter().map(show).collect(),
            Err(error) => format!("{}: {error}\n", kind_of(&error)),
        }
    }
}

fn kind_of(error: &crate::workload::WorkloadError) -> &'static str {
    match error {
        crate::workload::WorkloadError::Changed(_) => "changed",
        crate::workload::WorkloadError::Refused(_) => "refused",
        crate::workload::WorkloadError::Malformed { .. } => "malformed",
    }
}

/// A change in lines: operations one by one, applied objects without what is the same in all.
pub(crate) fn show(change: &Change) -> String {
    match change {
        Change::Apply(object) => format!("apply {}", lines(object)),
        Change::ApplyAs(manager, object) => format!("apply as {manager} {}", lines(object)),
        Change::Patch(key, patch) => format!("patch {key}\n{}", operations(patch)),
        Change::PatchWithoutTrace(key, patch) => {
            format!("patch without trace {key}\n{}", operations(patch))
        }
        Change::PatchStatus(key, patch) => format!("status {key} {patch}\n"),
        Change::Scale(key, replicas) => format!("scale {key} to {replicas}\n"),
        Change::Delete(key, uid) => format!("delete {key} {uid}\n"),
        Change::Evict(key) => format!("evict {key}\n"),
    }
}

fn operations(patch: &Value) -> String {
    patch
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| format!("  {operation}\n"))
        .collect()
}

fn lines(object: &DynamicObject) -> String {
    let kind = &object.types.as_ref().unwrap().kind;
    let name = object.metadata.name.as_ref().unwrap();
    let mut text = format!("{kind} {name}\n");
    for (what, map) in [
        ("labels", &object.metadata.labels),
        ("annotations", &object.metadata.annotations),
    ] {
        if let Some(map) = map {
            text.push_str(&format!("  {what}: {}\n", json!(map)));
        }
    }
    for owner in object.metadata.owner_references.iter().flatten() {
        text.push_str(&format!("  owner: {}\n", json!(owner)));
    }
    for (field, value) in object.data.as_object().unwrap() {
        match value.as_object() {
            Some(inner) => inner
                .iter()
                .for_each(|(key, value)| text.push_str(&format!("  {field}.{key}: {value}\n"))),
            None => text.push_str(&format!("  {field}: {value}\n")),
        }
    }
    text
}

/// Merges as a JSON merge patch does.
pub(crate) fn merge(into: &mut Value, patch: &Value) {
    match patch {
        Value::Object(patch) => {
            for (key, value) in patch {
                if value.is_null() {
                    into.as_object_mut().unwrap().remove(key);
                } else {
                    merge(&mut into[key], value);
                }
            }
        }
        value => *into = value.clone(),
    }
}

fn merged(mut base: Value, patch: &Value) -> Value {
    merge(&mut base, patch);
    base
}

pub(crate) fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}})
}

/// Revision of `template(image)`.
pub(crate) fn revision(image: &str) -> String {
    digest::revision(&template(image))
}

/// Deployment `web`: two Pods of `web:1.0`, rolled out and armed.
pub(crate) fn target(patch: Value) -> Value {
    let base = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "uid-web", "resourceVersion": "7", "generation": 3,
            "labels": {"serin.dev/gate": UID},
        },
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("web:1.0")},
        "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2},
    });
    merged(base, &patch)
}

/// The same, held at `web:2.0`.
pub(crate) fn held(patch: Value) -> Value {
    let hold = json!({
        "metadata": {"labels": {"serin.dev/held": "true"}},
        "spec": {"paused": true, "template": template("web:2.0")},
        "status": {"updatedReplicas": 0},
    });
    merged(target(hold), &patch)
}

/// A ReplicaSet of the target.
pub(crate) fn replica_set(name: &str, image: &str, pods: i32) -> Value {
    let mut template = template(image);
    template["metadata"]["labels"]["pod-template-hash"] = json!(name);
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "creationTimestamp": "2026-01-05T00:00:00Z",
            "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "uid-web", "controller": true}],
        },
        "spec": {"replicas": pods, "template": template},
        "status": {"replicas": pods, "readyReplicas": pods, "availableReplicas": pods},
    })
}

pub(crate) fn service(name: &str, patch: Value) -> Value {
    let base = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": {"team": "shop", "app.kubernetes.io/instance": "web"}},
        "spec": {"type": "ClusterIP", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30080}]},
    });
    merged(base, &patch)
}

/// The canary workload: two Pods of `web:2.0`.
pub(crate) fn clone(patch: Value) -> Value {
    let base = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web-canary", "namespace": "shop", "uid": "uid-web-canary", "generation": 1,
            "labels": {"serin.dev/canary-uid": UID},
            "annotations": {"serin.dev/runs": revision("web:2.0"), "serin.dev/weight": "0"},
        },
        "spec": {"replicas": 2, "selector": {"matchLabels": {"serin.dev/canary-uid": UID, "serin.dev/role": "canary"}}, "template": template("web:2.0")},
        "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2},
    });
    merged(base, &patch)
}

/// A Pod of the canary.
pub(crate) fn pod(name: &str, patch: Value) -> Value {
    let base = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "creationTimestamp": "2026-01-05T00:00:00Z",
            "labels": {"app": "web-canary", "serin.dev/canary-uid": UID, "serin.dev/role": "canary"},
        },
        "spec": {"containers": [{"name": "web", "image": "web:2.0", "readinessProbe": {}}]},
        "status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "web", "ready": true, "started": true, "restartCount": 0}],
        },
    });
    merged(base, &patch)
}

/// The ready Pods behind a Service.
pub(crate) fn endpoints(service: &str, pods: &[&str]) -> Value {
    let endpoint = |pod: &&str| json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": pod}});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": format!("{service}-x"), "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
        "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

/// An autoscaler of the target.
pub(crate) fn autoscaler(patch: Value) -> Value {
    let base = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop", "uid": "uid-hpa", "resourceVersion": "9"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        },
        "status": {"currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 75}}}]},
    });
    merged(base, &patch)
}
