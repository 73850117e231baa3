//! Watches: one per kind, each into its shelf; every change is told to whoever may have to act on it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ObjectMeta};
use kube::core::{ApiResource, DeserializeGuard, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::cluster::raw::Raw;
use crate::cluster::shelf::{Place, Shelf};
use crate::cluster::shelves::Shelves;
use crate::crd::canary::Canary;
use crate::crd::metric_template::MetricTemplate;
use crate::digest;
use crate::objects::{Kind, ObjectKey};

/// Objects of a list that are read at a time: it bounds the memory that a list needs.
const PAGE: u32 = 100;

/// How long a kind whose API does not exist is left alone before it is looked for again.
const ABSENT: Duration = Duration::from_secs(60);

/// A change that somebody may have to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A Canary.
    Canary(Place),
    /// An object of this kind; its owner's name, if one controls it.
    Object(ObjectKey, Option<String>),
    /// MetricTemplates of this namespace.
    Templates(String),
    /// The admission objects.
    Policies,
}

/// Where watches put what they see, and whom they tell.
#[derive(Clone)]
pub struct Watches {
    client: Client,
    namespace: Option<String>,
    shelves: Arc<Shelves>,
    changes: UnboundedSender<Changed>,
}

impl Watches {
    /// Watches of all namespaces, or of one.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: Option<String>,
        shelves: Arc<Shelves>,
        changes: UnboundedSender<Changed>,
    ) -> Self {
        Self {
            client,
            namespace,
            shelves,
            changes,
        }
    }

    /// Starts every watch. They end with the set.
    pub fn spawn(&self, tasks: &mut JoinSet<()>) {
        tasks.spawn(self.clone().canaries());
        tasks.spawn(self.clone().templates());
        self.workloads(tasks);
        self.traffic(tasks);
        for (kind, plural) in POLICIES {
            tasks.spawn(self.clone().policies(kind, plural));
        }
    }

    fn workloads(&self, tasks: &mut JoinSet<()>) {
        self.kind(
            tasks,
            Kind::Deployment,
            |to| &to.deployments,
            |value| digest::deployment(&value).ok(),
        );
        self.kind(
            tasks,
            Kind::ReplicaSet,
            |to| &to.replica_sets,
            |value| digest::replica_set(&value).ok(),
        );
        self.kind(
            tasks,
            Kind::Pod,
            |to| &to.pods,
            |value| digest::pod(&value).ok(),
        );
        self.kind(
            tasks,
            Kind::PodDisruptionBudget,
            |to| &to.budgets,
            |value| digest::budget(&value).ok(),
        );
        self.kind(
            tasks,
            Kind::HorizontalPodAutoscaler,
            |to| &to.autoscalers,
            |value| digest::autoscaler(&value).ok(),
        );
    }

    fn traffic(&self, tasks: &mut JoinSet<()>) {
        self.kind(
            tasks,
            Kind::Service,
            |to| &to.services,
            |value| digest::service(&value).ok(),
        );
        self.kind(
            tasks,
            Kind::EndpointSlice,
            |to| &to.endpoint_slices,
            |value| digest::endpoint_slice(&value).ok(),
        );
        self.kind(
            tasks,
            Kind::NetworkPolicy,
            |to| &to.network_policies,
            |value| digest::network_policy(&value).ok(),
        );
        for kind in Kind::ROUTES_ALWAYS {
            self.route(tasks, kind);
        }
    }

    /// Starts the watch of a kind that routes traffic.
    pub(crate) fn route(&self, tasks: &mut JoinSet<()>, kind: Kind) {
        let this = self.clone();
        tasks.spawn(async move {
            let shelves = this.shelves.clone();
            if let Some(shelf) = shelves.routes.of(kind) {
                let digest = if kind == Kind::Gateway {
                    gateway
                } else {
                    whole
                };
                this.follow(kind, shelf, digest).await;
            }
        });
    }

    /// Gateways live in namespaces of their own, so they are watched everywhere.
    fn api(&self, kind: Kind, resource: &ApiResource) -> Api<Raw> {
        match &self.namespace {
            Some(namespace) if kind != Kind::Gateway => {
                Api::namespaced_with(self.client.clone(), namespace, resource)
            }
            _ => Api::all_with(self.client.clone(), resource),
        }
    }

    fn kind<T: PartialEq + Send + Sync + 'static>(
        &self,
        tasks: &mut JoinSet<()>,
        kind: Kind,
        shelf: fn(&Shelves) -> &Shelf<T>,
        digest: fn(Value) -> Option<T>,
    ) {
        let this = self.clone();
        tasks.spawn(async move {
            let shelves = this.shelves.clone();
            this.follow(kind, shelf(&shelves), digest).await;
        });
    }

    async fn follow<T: PartialEq>(
        self,
        kind: Kind,
        shelf: &Shelf<T>,
        digest: fn(Value) -> Option<T>,
    ) {
        let resource = kind.api_resource();
        let config = watcher::Config::default().page_size(PAGE);
        let config = labels(kind)
            .into_iter()
            .fold(config, watcher::Config::labels);
        let mut stream = watcher(self.api(kind, &resource), config)
            .default_backoff()
            .boxed();
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => self.note(kind, shelf, digest, event),
                Err(error) => {
                    shelf.fail();
                    stumble(kind, &error).await;
                }
            }
        }
    }

    fn note<T: PartialEq>(
        &self,
        kind: Kind,
        shelf: &Shelf<T>,
        digest: fn(Value) -> Option<T>,
        event: watcher::Event<Raw>,
    ) {
        match event {
            watcher::Event::Init => shelf.begin(),
            watcher::Event::InitApply(raw) => {
                if let (place, _, Some(object)) = read(raw, digest) {
                    shelf.gather(place, Arc::new(object));
                }
            }
            watcher::Event::InitDone => {
                for (place, _) in shelf.finish() {
                    self.tell(kind, place, None);
                }
            }
            watcher::Event::Apply(raw) => {
                let (place, owner, object) = read(raw, digest);
                let Some(object) = object.map(Arc::new) else {
                    warn!(?kind, ?place, "left out an object that cannot be read");
                    return self.tell(kind, place, owner);
                };
                let before = shelf.put(place.clone(), object.clone());
                if before.as_ref() != Some(&object) {
                    self.tell(kind, place, owner);
                }
            }
            watcher::Event::Delete(raw) => {
                let (place, owner, _) = read(raw, |_| None::<()>);
                shelf.take(&place);
                self.tell(kind, place, owner);
            }
        }
    }

    fn tell(&self, kind: Kind, (namespace, name): Place, owner: Option<String>) {
        // The receiver is gone only when the controller ends.
        let _ = self.changes.send(Changed::Object(
            ObjectKey {
                kind,
                namespace,
                name,
            },
            owner,
        ));
    }

    async fn canaries(self) {
        let api: Api<DeserializeGuard<Canary>> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        self.guarded(
            api,
            |shelves| &shelves.canaries,
            |place| Changed::Canary(place.clone()),
        )
        .await;
    }

    async fn templates(self) {
        let api: Api<DeserializeGuard<MetricTemplate>> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        self.guarded(
            api,
            |shelves| &shelves.templates,
            |place| Changed::Templates(place.0.clone()),
        )
        .await;
    }

    /// Watches a kind of ours whole; what cannot be read is left out.
    async fn guarded<K>(
        &self,
        api: Api<DeserializeGuard<K>>,
        shelf: fn(&Shelves) -> &Shelf<K>,
        change: fn(&Place) -> Changed,
    ) where
        K: Resource<DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug
            + Send
            + Sync
            + 'static,
    {
        let shelf = shelf(&self.shelves);
        let tell = |place: &Place| drop(self.changes.send(change(place)));
        let mut stream = watcher(api, watcher::Config::default().page_size(PAGE))
            .default_backoff()
            .boxed();
        while let Some(event) = stream.next().await {
            match event {
                Ok(watcher::Event::Init) => shelf.begin(),
                Ok(watcher::Event::InitApply(object)) => {
                    if let Some((place, object)) = open(object) {
                        shelf.gather(place, Arc::new(object));
                    }
                }
                Ok(watcher::Event::InitDone) => {
                    shelf.finish().iter().for_each(|(place, _)| tell(place))
                }
                Ok(watcher::Event::Apply(object)) => {
                    if let Some((place, object)) = open(object) {
                        shelf.put(place.clone(), Arc::new(object));
                        tell(&place);
                    }
                }
                Ok(watcher::Event::Delete(object)) => {
                    let place = (object.namespace().unwrap_or_default(), object.name_any());
                    shelf.take(&place);
                    tell(&place);
                }
                Err(error) => warn!(%error, "watch broke off and is made again"),
            }
        }
    }

    /// Watches one kind of admission object, in the version that the API server has.
    async fn policies(self, kind: &'static str, plural: &'static str) {
        for version in POLICY_VERSIONS.into_iter().cycle() {
            self.policies_of(version, kind, plural).await;
            tokio::time::sleep(ABSENT / 2).await;
        }
    }

    /// Watches until it turns out that the API server does not have this version. All of a kind lie on one shelf, so lists only add.
    async fn policies_of(&self, version: &str, kind: &'static str, plural: &'static str) {
        let gvk = kube::core::GroupVersionKind::gvk("admissionregistration.k8s.io", version, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<Raw> = Api::all_with(self.client.clone(), &resource);
        let mut stream = watcher(api, watcher::Config::default().page_size(PAGE))
            .default_backoff()
            .boxed();
        let mut listed = BTreeSet::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(raw) | watcher::Event::Apply(raw)) => {
                    let place = (String::new(), format!("{kind}/{}", raw.name_any()));
                    listed.insert(place.clone());
                    let generation = &raw.value["metadata"]["generation"];
                    let id = format!("{}/{generation}", raw.uid().unwrap_or_default());
                    self.shelves.policies.put(place, Arc::new(id));
                    let _ = self.changes.send(Changed::Policies);
                }
                Ok(watcher::Event::InitDone) => self.forget(kind, &listed),
                Ok(watcher::Event::Delete(raw)) => {
                    self.shelves
                        .policies
                        .take(&(String::new(), format!("{kind}/{}", raw.name_any())));
                    let _ = self.changes.send(Changed::Policies);
                }
                Err(error) if absent(&error) => return,
                Err(error) => warn!(kind, %error, "watch broke off and is made again"),
            }
        }
    }

    fn forget(&self, kind: &str, listed: &BTreeSet<Place>) {
        let prefix = format!("{kind}/");
        for (place, _) in self.shelves.policies.list(None) {
            if place.1.starts_with(&prefix) && !listed.contains(&place) {
                self.shelves.policies.take(&place);
            }
        }
        let _ = self.changes.send(Changed::Policies);
    }
}

/// Of the admission API. Policies that change objects are `v1beta1` in 1.34 and 1.35, where somebody switched them on.
const POLICY_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

const POLICIES: [(&str, &str); 5] = [
    (
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    ),
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    (
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
    ),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    (
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    ),
];

/// A kind whose API does not exist is looked for again later; everything else is tried again at once, with back-off.
async fn stumble(kind: Kind, error: &watcher::Error) {
    if absent(error) {
        debug!(?kind, "its API is not there");
        tokio::time::sleep(ABSENT).await;
    } else {
        warn!(?kind, %error, "watch broke off and is made again");
    }
}

/// Of Pods only the canary's are watched.
fn labels(kind: Kind) -> Option<&'static str> {
    (kind == Kind::Pod).then_some("serin.dev/role=canary")
}

/// The API of the kind does not exist.
fn absent(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return false;
    };
    status.code == 404
}

fn read<T>(raw: Raw, digest: fn(Value) -> Option<T>) -> (Place, Option<String>, Option<T>) {
    let place = (raw.namespace().unwrap_or_default(), raw.name_any());
    let owners = raw.value["metadata"]["ownerReferences"].as_array();
    let owner = owners.and_then(|all| all.iter().find(|owner| owner["controller"] == true));
    let owner = owner
        .and_then(|owner| owner["name"].as_str())
        .map(str::to_owned);
    let service = raw.value["metadata"]["labels"]["kubernetes.io/service-name"]
        .as_str()
        .map(str::to_owned);
    (place, service.or(owner), digest(raw.value))
}

/// Keeps an object whole, but for the managers' lists of fields, which are longer than all the rest of it: of them stays who wrote
/// to the spec.
fn whole(value: Value) -> Option<DynamicObject> {
    let mut object: DynamicObject = serde_json::from_value(value).ok()?;
    for entry in object.metadata.managed_fields.iter_mut().flatten() {
        let fields = entry.fields_v1.take();
        let spec = fields.is_some_and(|fields| fields.0.get(SPEC).is_some());
        entry.fields_v1 = spec.then(|| FieldsV1(json!({SPEC: {}})));
    }
    Some(object)
}

/// Keeps of a Gateway what it says of itself. It counts its routes, too, and if that were news, every route that comes would call every
/// Canary of the Gateway.
fn gateway(value: Value) -> Option<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(value).ok()?;
    let metadata = ObjectMeta {
        name: object.metadata.name,
        namespace: object.metadata.namespace,
        generation: object.metadata.generation,
        ..ObjectMeta::default()
    };
    let data = json!({"status": {"conditions": object.data["status"]["conditions"]}});
    Some(DynamicObject {
        types: object.types,
        metadata,
        data,
    })
}

/// How a manager's list of fields names the spec.
const SPEC: &str = "f:spec";

/// Takes an object of ours without the managers' lists of fields, which nothing here asks for.
fn open<K: Resource<DynamicType = ()>>(guard: DeserializeGuard<K>) -> Option<(Place, K)> {
    match guard.0 {
        Ok(mut object) => {
            object.meta_mut().managed_fields = None;
            let place = (object.namespace().unwrap_or_default(), object.name_any());
            Some((place, object))
        }
        Err(invalid) => {
            let name = invalid.metadata.name.unwrap_or_default();
            warn!(kind = %K::kind(&()), name, error = invalid.error, "left out an object that cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_come_to_a_gateway_are_no_news() {
        let seen = |version: &str, routes: u32, programmed: &str| {
            gateway(json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
                "metadata": {"name": "gw", "namespace": "edge", "generation": 2, "resourceVersion": version},
                "spec": {"gatewayClassName": "traefik"},
                "status": {
                    "conditions": [{"type": "Programmed", "status": programmed}],
                    "listeners": [{"name": "http", "attachedRoutes": routes}],
                },
            }))
        };
        assert_eq!(seen("7", 1, "True"), seen("8", 2, "True"));
        assert_ne!(seen("7", 1, "True"), seen("8", 1, "False"));
    }
}
