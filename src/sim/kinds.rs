//! The kinds that are served: those of Kubernetes that Serin and its users need, and whatever CRDs define.

use serde_json::Value;

/// A kind that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural, as addresses have it.
    pub plural: String,
    /// Kind.
    pub kind: String,
    /// Singular, which kubectl takes too.
    pub singular: String,
    /// Short names for kubectl.
    pub short: Vec<String>,
    /// Its objects live in namespaces.
    pub namespaced: bool,
    /// `status` is a subresource.
    pub status: bool,
    /// `scale` is a subresource.
    pub scale: bool,
    /// What a CRD says, for kinds of one.
    pub definition: Option<std::sync::Arc<Value>>,
}

impl Served {
    /// `apps/v1`, or `v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// What a kind has.
const SPACE: u8 = 1;
const STATUS: u8 = 2;
const SCALE: u8 = 4;

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u8,
);

/// Group, version, plural, kind, short names, and what it has.
const BUILT_IN: &[Row] = &[
    ("", "v1", "namespaces", "Namespace", "ns", STATUS),
    ("", "v1", "nodes", "Node", "no", STATUS),
    ("", "v1", "pods", "Pod", "po", SPACE | STATUS),
    ("", "v1", "services", "Service", "svc", SPACE | STATUS),
    ("", "v1", "configmaps", "ConfigMap", "cm", SPACE),
    ("", "v1", "secrets", "Secret", "", SPACE),
    ("", "v1", "serviceaccounts", "ServiceAccount", "sa", SPACE),
    ("", "v1", "events", "Event", "ev", SPACE),
    ("events.k8s.io", "v1", "events", "Event", "ev", SPACE),
    (
        "apps",
        "v1",
        "deployments",
        "Deployment",
        "deploy",
        SPACE | STATUS | SCALE,
    ),
    (
        "apps",
        "v1",
        "replicasets",
        "ReplicaSet",
        "rs",
        SPACE | STATUS | SCALE,
    ),
    (
        "apps",
        "v1",
        "controllerrevisions",
        "ControllerRevision",
        "",
        SPACE,
    ),
    (
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "hpa",
        SPACE | STATUS,
    ),
    (
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        "pdb",
        SPACE | STATUS,
    ),
    (
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        "NetworkPolicy",
        "netpol",
        SPACE,
    ),
    (
        "networking.k8s.io",
        "v1",
        "ingresses",
        "Ingress",
        "ing",
        SPACE | STATUS,
    ),
    (
        "discovery.k8s.io",
        "v1",
        "endpointslices",
        "EndpointSlice",
        "",
        SPACE,
    ),
    ("coordination.k8s.io", "v1", "leases", "Lease", "", SPACE),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "roles",
        "Role",
        "",
        SPACE,
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "rolebindings",
        "RoleBinding",
        "",
        SPACE,
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "clusterroles",
        "ClusterRole",
        "",
        0,
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "clusterrolebindings",
        "ClusterRoleBinding",
        "",
        0,
    ),
    // It is kept, and nobody is called.
    (
        "admissionregistration.k8s.io",
        "v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        "",
        0,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "mutatingadmissionpolicies",
        "MutatingAdmissionPolicy",
        "",
        0,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "mutatingadmissionpolicybindings",
        "MutatingAdmissionPolicyBinding",
        "",
        0,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        "",
        STATUS,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        "",
        0,
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "crd",
        STATUS,
    ),
    (
        "gateway.networking.k8s.io",
        "v1",
        "gatewayclasses",
        "GatewayClass",
        "gc",
        STATUS,
    ),
    (
        "gateway.networking.k8s.io",
        "v1",
        "gateways",
        "Gateway",
        "gtw",
        SPACE | STATUS,
    ),
    (
        "gateway.networking.k8s.io",
        "v1",
        "httproutes",
        "HTTPRoute",
        "",
        SPACE | STATUS,
    ),
    (
        "gateway.networking.k8s.io",
        "v1",
        "grpcroutes",
        "GRPCRoute",
        "",
        SPACE | STATUS,
    ),
];

/// The kinds that are there without any CRD.
#[must_use]
pub fn built_in() -> Vec<Served> {
    BUILT_IN
        .iter()
        .map(|(group, version, plural, kind, short, has)| Served {
            group: (*group).to_owned(),
            version: (*version).to_owned(),
            plural: (*plural).to_owned(),
            kind: (*kind).to_owned(),
            singular: kind.to_lowercase(),
            short: short.split_whitespace().map(str::to_owned).collect(),
            namespaced: has & SPACE != 0,
            status: has & STATUS != 0,
            scale: has & SCALE != 0,
            definition: None,
        })
        .collect()
}
