//! Kubernetes objects and writes as data: what adapters read, and what they ask to be written.

mod kind;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

pub use crate::objects::kind::Kind;

/// Labels or annotations.
pub type Labels = BTreeMap<String, String>;

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of an object.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Whole objects as the API server has them now; a key that is asked for and absent is an object that does not exist.
pub type Live = BTreeMap<ObjectKey, DynamicObject>;

/// A write.
#[derive(Clone, Debug)]
pub enum Change {
    /// Server-side apply of an object that Serin makes or made, as manager `serin`, with force.
    Apply(Box<DynamicObject>),
    /// Server-side apply under another manager's name, without force (the capacity lock, `serin-capacity`).
    ApplyAs(&'static str, Box<DynamicObject>),
    /// A JSON patch (RFC 6902) of an object of somebody else. It replaces `/metadata/resourceVersion` by the one that was read.
    Patch(ObjectKey, Value),
    /// As `Patch`; afterwards Serin's own entry is taken out of `managedFields`, so that the owner's next apply finds no
    /// conflict (PROVIDERS 0.2).
    PatchWithoutTrace(ObjectKey, Value),
    /// A strategic or merge patch of the status subresource, as the second field says.
    PatchStatus(ObjectKey, Value),
    /// Sets the replicas of a Deployment of somebody else through `/scale`.
    Scale(ObjectKey, i32),
    /// Deletes exactly the object with this UID.
    Delete(ObjectKey, String),
    /// Evicts a Pod, budgets respected.
    Evict(ObjectKey),
}

/// What is kept of every object's metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Version of the object as it was read.
    pub resource_version: String,
    /// Generation of its spec.
    pub generation: i64,
    /// All labels.
    pub labels: Labels,
    /// Annotations named `serin.dev/…`, and `deployment.kubernetes.io/revision`.
    pub annotations: Labels,
    /// UID of the owner that controls it.
    pub owner: Option<Owner>,
    /// It is being deleted.
    pub deleting: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// The owner that controls an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// The marks on objects: labels, but for those that say annotation.
pub mod mark {
    /// On the target: UID of the Canary whose gate stands.
    pub const GATE: &str = "serin.dev/gate";
    /// On the target: the gate, not a person, paused it.
    pub const HELD: &str = "serin.dev/held";
    /// On the target: Serin puts the stable revision back.
    pub const REVERTING: &str = "serin.dev/reverting";
    /// On the target: this write is not held.
    pub const BYPASS: &str = "serin.dev/bypass";
    /// On the target: somebody wanted another template while it was reverting.
    pub const CONTESTED: &str = "serin.dev/contested";
    /// On everything that Serin made: UID of its Canary.
    pub const CANARY_UID: &str = "serin.dev/canary-uid";
    /// On canary Pods: `canary`.
    pub const ROLE: &str = "serin.dev/role";
    /// Annotation of the target: the chart's hash of its template.
    pub const REVISION: &str = "serin.dev/revision";
    /// Annotation of the canary workload: the revision that it runs.
    pub const RUNS: &str = "serin.dev/runs";
    /// Annotation of the canary workload with provider `none`: its weight.
    pub const WEIGHT: &str = "serin.dev/weight";
    /// Annotation of a switched Service: the selector that its user wrote.
    pub const SELECTOR: &str = "serin.dev/selector";
    /// Annotation of a Canary: what a person asks for.
    pub const REQUEST: &str = "serin.dev/request";
    /// Annotation of a Canary, written by admission: who asks.
    pub const REQUESTED_BY: &str = "serin.dev/requested-by";
    /// On a Secret: Serin may send what stands in it.
    pub const CREDENTIALS: &str = "serin.dev/credentials";
    /// Finalizer of a Canary.
    pub const FINALIZER: &str = "serin.dev/finalizer";
}

/// A Pod template, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Hash of the whole template without `pod-template-hash`: the revision.
    pub revision: String,
    /// Hash of containers and init containers alone.
    pub containers: String,
    /// Images of the containers.
    pub images: Vec<String>,
    /// Labels of the Pods.
    pub labels: Labels,
    /// ConfigMaps and Secrets that it names, as `ConfigMap/name`, `Secret/name`.
    pub configs: BTreeSet<String>,
    /// It binds ports of the node.
    pub host_ports: bool,
    /// It mounts volume claims.
    pub claims: bool,
    /// Names of container ports and their numbers.
    pub ports: Vec<(String, i32)>,
}

/// A condition of an object's status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Type.
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Reason.
    pub reason: String,
    /// Message.
    pub message: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Generation that it was made for; 0 if it says none.
    pub observed_generation: i64,
}

/// What is kept of a Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deployment {
    /// Metadata.
    pub meta: Meta,
    /// Pods wanted.
    pub replicas: i32,
    /// Rolling is paused.
    pub paused: bool,
    /// `matchLabels`.
    pub selector: Labels,
    /// The selector has expressions.
    pub selector_expressions: bool,
    /// Strategy `Recreate`.
    pub recreate: bool,
    /// Old ReplicaSets that are kept.
    pub history_limit: i32,
    /// Seconds without progress after which a roll is stuck.
    pub progress_deadline: i32,
    /// The template.
    pub template: Template,
    /// Generation that the Deployment controller has seen.
    pub observed_generation: i64,
    /// Pods that exist.
    pub total: i32,
    /// Pods of the current template.
    pub updated: i32,
    /// Ready Pods.
    pub ready: i32,
    /// Available Pods.
    pub available: i32,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// The GitOps manager that applies it, if one does.
    pub gitops: Option<String>,
    /// The manager that owns `spec.paused`, if one does.
    pub pause_manager: Option<String>,
    /// The manager that last wrote the template.
    pub template_manager: Option<String>,
}

impl Deployment {
    /// The condition of this type.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.type_ == type_)
    }
}

/// What is kept of a ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaSet {
    /// Metadata.
    pub meta: Meta,
    /// Pods wanted.
    pub replicas: i32,
    /// Pods that exist.
    pub total: i32,
    /// Ready Pods.
    pub ready: i32,
    /// Available Pods.
    pub available: i32,
    /// The template.
    pub template: Template,
    /// Conditions, for instance `ReplicaFailure`.
    pub conditions: Vec<Condition>,
}

/// What is kept of a Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Metadata.
    pub meta: Meta,
    /// Selector; empty: none.
    pub selector: Labels,
    /// Type `ExternalName`.
    pub external: bool,
    /// Ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// Name.
    pub name: String,
    /// Port.
    pub port: i32,
    /// Application protocol.
    pub app_protocol: Option<String>,
}

/// What is kept of an EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointSlice {
    /// Metadata.
    pub meta: Meta,
    /// The Service that it belongs to.
    pub service: String,
    /// Ready Pods by name, with their addresses.
    pub ready: BTreeMap<String, String>,
}

/// What is kept of a Pod. Only canary Pods are watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Metadata.
    pub meta: Meta,
    /// Phase.
    pub phase: String,
    /// Ready, by its condition.
    pub ready: bool,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// Init containers and containers, in order.
    pub containers: Vec<Container>,
}

impl Pod {
    /// Since when it is ready; `None`: it is not, or does not say.
    #[must_use]
    pub fn ready_since(&self) -> Option<Timestamp> {
        let mut conditions = self.conditions.iter();
        let ready = conditions.find(|it| it.type_ == "Ready" && it.status == "True");
        ready.and_then(|condition| condition.since)
    }
}

/// State of a container in a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// It is an init container.
    pub init: bool,
    /// Ready.
    pub ready: bool,
    /// Started, by its startup probe.
    pub started: bool,
    /// Restarts.
    pub restarts: i32,
    /// Reason and message while it waits.
    pub waiting: Option<(String, String)>,
    /// Reason, message and exit code of the current or last end.
    pub terminated: Option<Terminated>,
    /// It has a readiness probe.
    pub readiness_probe: bool,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminated {
    /// Reason.
    pub reason: String,
    /// Message.
    pub message: String,
    /// Exit code.
    pub exit_code: i32,
}

/// What is kept of a PodDisruptionBudget or a NetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selecting {
    /// Metadata.
    pub meta: Meta,
    /// `matchLabels` of its selector.
    pub selector: Labels,
    /// The selector has expressions.
    pub selector_expressions: bool,
}

/// What is kept of a HorizontalPodAutoscaler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Autoscaler {
    /// Metadata.
    pub meta: Meta,
    /// Kind of what it scales.
    pub target_kind: String,
    /// Name of what it scales.
    pub target: String,
    /// Least Pods.
    pub min: i32,
    /// Most Pods.
    pub max: i32,
    /// Every metric is per Pod (Resource, ContainerResource or Pods).
    pub per_pod: bool,
    /// The largest of current/target over its metrics.
    pub pressure: Option<f64>,
    /// `behavior.scaleDown.selectPolicy`.
    pub select_policy: Option<String>,
    /// Managers that own that field.
    pub select_policy_managers: Vec<String>,
}

/// Everything in one namespace that decisions may need, as the watches last saw it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Deployments by name.
    pub deployments: BTreeMap<String, Arc<Deployment>>,
    /// ReplicaSets by name.
    pub replica_sets: BTreeMap<String, Arc<ReplicaSet>>,
    /// Services by name.
    pub services: BTreeMap<String, Arc<Service>>,
    /// EndpointSlices by name.
    pub endpoint_slices: BTreeMap<String, Arc<EndpointSlice>>,
    /// Canary Pods by name.
    pub pods: BTreeMap<String, Arc<Pod>>,
    /// PodDisruptionBudgets by name.
    pub budgets: BTreeMap<String, Arc<Selecting>>,
    /// NetworkPolicies by name.
    pub policies: BTreeMap<String, Arc<Selecting>>,
    /// HorizontalPodAutoscalers by name.
    pub autoscalers: BTreeMap<String, Arc<Autoscaler>>,
    /// Routes of this namespace and Gateways of all, whole.
    pub routes: BTreeMap<ObjectKey, Arc<DynamicObject>>,
    /// Kinds whose API is there to be watched.
    pub kinds: BTreeSet<Kind>,
}

impl Seen {
    /// Ready Pods behind a Service, by name, with their addresses.
    #[must_use]
    pub fn endpoints(&self, service: &str) -> BTreeMap<String, String> {
        let of = |slice: &&Arc<EndpointSlice>| slice.service == service;
        self.endpoint_slices
            .values()
            .filter(of)
            .flat_map(|slice| slice.ready.clone())
            .collect()
    }

    /// The ReplicaSets that this owner controls.
    pub fn replica_sets_of<'a>(
        &'a self,
        uid: &'a str,
    ) -> impl Iterator<Item = &'a Arc<ReplicaSet>> + 'a {
        self.replica_sets.values().filter(move |set| {
            set.meta
                .owner
                .as_ref()
                .is_some_and(|owner| owner.uid == uid)
        })
    }
}

/// Every label of the selector stands on the Pods; an empty selector matches nothing.
#[must_use]
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    !selector.is_empty()
        && selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}
