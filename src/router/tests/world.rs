//! Live objects that changes are applied to as the API server would, and the digests that watches keep of them.

use std::sync::Arc;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::{
    Change, Deployment, EndpointSlice, Kind, Labels, Live, Meta, ObjectKey, Owner, ReplicaSet,
    Seen, Service, Template,
};
use crate::rollout::observed::{Routes, Split};
use crate::router::Router;

pub(crate) const UID: &str = "8c1f";

/// A Canary `podinfo` in namespace `shop` with this spec, beside its target.
pub(crate) fn canary(spec: Value) -> Canary {
    let mut canary = json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "shop", "uid": UID},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}},
    });
    let Value::Object(fields) = spec else {
        panic!("a spec is a map")
    };
    canary["spec"].as_object_mut().unwrap().extend(fields);
    serde_json::from_value(canary).unwrap()
}

pub(crate) fn split(percent: u8) -> Routes {
    Routes::share(percent)
}

/// All objects of a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) live: Live,
}

impl World {
    pub(crate) fn of(objects: impl IntoIterator<Item = Value>) -> Self {
        let mut world = Self::default();
        for object in objects {
            let mut object: DynamicObject = serde_json::from_value(object).unwrap();
            let key = key_of(&object);
            let version = || Some("1".to_owned());
            object.metadata.resource_version = object.metadata.resource_version.or_else(version);
            object.metadata.generation = object.metadata.generation.or(Some(1));
            default(&key, &mut object.data);
            world.live.insert(key, object);
        }
        world
    }

    /// The Service of the application is there.
    pub(crate) fn serve(&mut self, canary: &Canary) {
        let key = ObjectKey::new(Kind::Service, &canary.home(), canary.service_name());
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": key.name}});
        let service = || serde_json::from_value(service).unwrap();
        self.live.entry(key).or_insert_with(service);
    }

    pub(crate) fn get(&self, kind: Kind, name: &str) -> &DynamicObject {
        &self.live[&ObjectKey::new(kind, "shop", name)]
    }

    /// Edits an object as somebody else.
    pub(crate) fn edit(&mut self, kind: Kind, name: &str, edit: impl FnOnce(&mut Value)) {
        let key = ObjectKey::new(kind, "shop", name);
        let object = self.live.remove(&key).unwrap();
        let mut value = serde_json::to_value(object).unwrap();
        edit(&mut value);
        self.store(key, value);
    }

    pub(crate) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Apply(object) => self.server_side_apply(&object),
                Change::PatchWithoutTrace(key, patch) => self.json_patch(&key, &patch),
                Change::Delete(key, uid) => {
                    let gone = self.live.remove(&key).unwrap();
                    assert_eq!(gone.metadata.uid.unwrap_or_default(), uid);
                }
                other => panic!("no router writes {other:?}"),
            }
        }
    }

    /// Asks a router for this split, and applies it.
    pub(crate) fn route(&mut self, router: &dyn Router, canary: &Canary, percent: u8) {
        let changes = router.render(canary, &self.live, split(percent)).unwrap();
        self.apply(changes);
    }

    pub(crate) fn observe(&self, router: &dyn Router, canary: &Canary) -> Option<Split> {
        router.observe(canary, &self.seen()).unwrap()
    }

    pub(crate) fn routes(&self, router: &dyn Router, canary: &Canary) -> Option<u8> {
        Some(self.observe(router, canary)?.routes?.canary.percent())
    }

    /// Makes the controller of every parent accept every route as it is, and every Gateway programmed.
    pub(crate) fn accept(&mut self, controller: &str) {
        for (key, object) in &mut self.live {
            let generation = object.metadata.generation;
            let condition = |type_: &str| json!({"type": type_, "status": "True", "observedGeneration": generation});
            match key.kind {
                Kind::Gateway => {
                    object.data["status"] = json!({"conditions": [condition("Programmed")]});
                }
                Kind::HttpProxy => {
                    object.data["status"] =
                        json!({"currentStatus": "valid", "conditions": [condition("Valid")]});
                }
                kind if kind.group() == "gateway.networking.k8s.io" => {
                    let parents = object.data["spec"]["parentRefs"].as_array().cloned();
                    let entry = |parent| {
                        json!({"parentRef": parent, "controllerName": controller,
                            "conditions": [condition("Accepted"), condition("ResolvedRefs")]})
                    };
                    let entries = parents.unwrap_or_default().into_iter().map(entry);
                    object.data["status"] = json!({"parents": entries.collect::<Vec<_>>()});
                }
                _ => {}
            }
        }
    }

    /// `rules` is atomic, so an apply replaces each field of the spec; annotations and labels merge.
    fn server_side_apply(&mut self, applied: &DynamicObject) {
        let key = key_of(applied);
        let new = serde_json::to_value(applied).unwrap();
        let Some(object) = self.live.remove(&key) else {
            let mut new = new;
            new["metadata"]["uid"] = json!("route-uid");
            return self.store(key, new);
        };
        let given = &applied.metadata.resource_version;
        assert_eq!(given, &object.metadata.resource_version, "409 on {key}");
        let mut value = serde_json::to_value(object).unwrap();
        for field in ["labels", "annotations"] {
            let standing = value["metadata"][field].as_object().cloned();
            let mut merged = standing.unwrap_or_default();
            let applied = ["serin.dev/", "nginx.ingress.kubernetes.io/canary"];
            merged.retain(|name, _| !applied.iter().any(|ours| name.starts_with(ours)));
            merged.extend(
                new["metadata"][field]
                    .as_object()
                    .cloned()
                    .unwrap_or_default(),
            );
            value["metadata"][field] = Value::Object(merged);
        }
        for (field, part) in new["spec"].as_object().unwrap() {
            value["spec"][field] = part.clone();
        }
        self.store(key, value);
    }

    fn json_patch(&mut self, key: &ObjectKey, patch: &Value) {
        let object = self.live.remove(key).unwrap();
        let version = object.metadata.resource_version.clone().unwrap();
        let lock = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version});
        let operations = patch.as_array().unwrap();
        assert_eq!(operations[0], lock, "409 on {key}");
        let mut value = serde_json::to_value(object).unwrap();
        for operation in &operations[1..] {
            operate(&mut value, operation);
        }
        self.store(key.clone(), value);
    }

    fn store(&mut self, key: ObjectKey, mut value: Value) {
        default(&key, &mut value);
        let mut object: DynamicObject = serde_json::from_value(value).unwrap();
        let metadata = &mut object.metadata;
        let version = metadata.resource_version.take();
        let version: u32 = version.map_or(0, |version| version.parse().unwrap());
        metadata.resource_version = Some((version + 1).to_string());
        metadata.generation = Some(metadata.generation.unwrap_or_default() + 1);
        self.live.insert(key, object);
    }

    pub(crate) fn seen(&self) -> Seen {
        let mut seen = Seen {
            kinds: Kind::ROUTES.into(),
            ..Seen::default()
        };
        for (key, object) in &self.live {
            let name = key.name.clone();
            match key.kind {
                Kind::Deployment => {
                    let digest = Arc::new(deployment(key, object));
                    seen.deployments.insert(name, digest);
                }
                Kind::ReplicaSet => {
                    let digest = Arc::new(replica_set(key, object));
                    seen.replica_sets.insert(name, digest);
                }
                Kind::Service => {
                    let meta = meta(key, object);
                    let selector = labels(&object.data["spec"]["selector"]);
                    let digest = Arc::new(Service {
                        meta,
                        selector,
                        ..Service::default()
                    });
                    seen.services.insert(name, digest);
                }
                Kind::EndpointSlice => {
                    let digest = Arc::new(endpoint_slice(key, object));
                    seen.endpoint_slices.insert(name, digest);
                }
                _ => {
                    seen.routes.insert(key.clone(), Arc::new(object.clone()));
                }
            }
        }
        seen
    }
}

fn deployment(key: &ObjectKey, object: &DynamicObject) -> Deployment {
    let status = &object.data["status"];
    Deployment {
        meta: meta(key, object),
        template: template(object),
        replicas: number(&object.data["spec"]["replicas"]),
        total: number(&status["replicas"]),
        ready: number(&status["readyReplicas"]),
        observed_generation: status["observedGeneration"].as_i64().unwrap_or(1),
        ..Deployment::default()
    }
}

fn replica_set(key: &ObjectKey, object: &DynamicObject) -> ReplicaSet {
    ReplicaSet {
        meta: meta(key, object),
        template: template(object),
        ready: number(&object.data["status"]["readyReplicas"]),
        ..ReplicaSet::default()
    }
}

fn endpoint_slice(key: &ObjectKey, object: &DynamicObject) -> EndpointSlice {
    let meta = meta(key, object);
    let pods = object.data["endpoints"].as_array().unwrap().iter();
    let name = |it: &Value| it["targetRef"]["name"].as_str().unwrap().to_owned();
    EndpointSlice {
        service: meta.labels["kubernetes.io/service-name"].clone(),
        ready: pods.map(|it| (name(it), String::new())).collect(),
        meta,
    }
}

fn template(object: &DynamicObject) -> Template {
    let labelled = &object.data["spec"]["template"]["metadata"]["labels"];
    Template {
        labels: labels(labelled),
        ..Template::default()
    }
}

fn number(value: &Value) -> i32 {
    i32::try_from(value.as_i64().unwrap_or_default()).unwrap()
}

fn meta(key: &ObjectKey, object: &DynamicObject) -> Meta {
    let metadata = &object.metadata;
    let owner = metadata.owner_references.iter().flatten().next();
    Meta {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        labels: metadata.labels.clone().unwrap_or_default(),
        annotations: metadata.annotations.clone().unwrap_or_default(),
        owner: owner.map(|owner| Owner {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        }),
        ..Meta::default()
    }
}

fn labels(value: &Value) -> Labels {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn key_of(object: &DynamicObject) -> ObjectKey {
    let types = object.types.as_ref().unwrap();
    let kind = Kind::named(&types.api_version, &types.kind).unwrap();
    let metadata = &object.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or("shop");
    ObjectKey::new(kind, namespace, metadata.name.as_deref().unwrap())
}

/// The defaults that the API fills in.
fn default(key: &ObjectKey, value: &mut Value) {
    fn each<'a>(value: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
        value
            .get_mut(field)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
    }
    fn fill(value: &mut Value, field: &str, default: Value) {
        value
            .as_object_mut()
            .unwrap()
            .entry(field)
            .or_insert(default);
    }
    if key.kind.group() != "gateway.networking.k8s.io" {
        return;
    }
    let spec = &mut value["spec"];
    for parent in each(spec, "parentRefs") {
        fill(parent, "group", json!("gateway.networking.k8s.io"));
        fill(parent, "kind", json!("Gateway"));
    }
    for rule in each(spec, "rules") {
        if key.kind == Kind::HttpRoute {
            let all = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
            fill(rule, "matches", all);
        }
        for backend in each(rule, "backendRefs") {
            fill(backend, "group", json!(""));
            fill(backend, "kind", json!("Service"));
            fill(backend, "weight", json!(1));
        }
    }
}

fn operate(document: &mut Value, operation: &Value) {
    let path = operation["path"].as_str().unwrap();
    let value = operation["value"].clone();
    if operation["op"] == "test" {
        assert_eq!(document.pointer(path), Some(&value), "422 at {path}");
        return;
    }
    let (parent, last) = path.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/").replace("~0", "~");
    match (
        operation["op"].as_str().unwrap(),
        document.pointer_mut(parent).unwrap(),
    ) {
        ("add", Value::Object(fields)) => drop(fields.insert(last, value)),
        ("add", Value::Array(elements)) if last == "-" => elements.push(value),
        ("remove", Value::Object(fields)) => drop(fields.remove(&last).unwrap()),
        ("remove", Value::Array(elements)) => drop(elements.remove(last.parse().unwrap())),
        (op, _) => panic!("{op} {path}"),
    }
}
