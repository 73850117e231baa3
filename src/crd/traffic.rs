//! How traffic reaches the two arms: Services, and the routes that are generated or patched.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::canary::Open;

/// A route that the user owns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    /// Its API version.
    #[schemars(length(min = 1, max = 128))]
    pub api_version: String,
    /// Its kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Name of the only rule to change; all rules with both backends if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub rule: Option<String>,
    /// Name of stable's backend, if it is not the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub stable: Option<String>,
    /// Name of the canary's backend, if it is not `<service>-canary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub canary: Option<String>,
    /// Insert the canary's backend where it is missing.
    #[serde(default)]
    pub insert_canary: bool,
}

/// How apex and canary Services and the generated route look. An existing Service is used as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryService {
    /// Name of the apex Service; the target's name if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
    /// Port of the Service that takes the traffic.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Name of that port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub port_name: Option<String>,
    /// Port of the Pods, by number or name; the Service's port if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<IntOrString>,
    /// Add the other ports of the Pods to a Service that Serin makes.
    #[serde(default)]
    pub port_discovery: bool,
    /// Application protocol of the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub app_protocol: Option<String>,
    /// Gateways (or, for a mesh, Services) that the generated route hangs on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub gateway_refs: Vec<ParentRef>,
    /// Host names of the generated route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub hosts: Vec<String>,
    /// Provider `istio`: gateways of the generated VirtualService; those of the mesh alone if not set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub gateways: Vec<String>,
    /// Provider `istio`: the generated VirtualService has neither hosts nor gateways, since another one delegates to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delegation: bool,
    /// Timeout of a request in the generated route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 24))]
    pub timeout: Option<String>,
    /// What `<service>-canary` selects while no canary runs.
    #[serde(default)]
    pub canary_idle: CanaryIdle,
    /// Provider `kubernetes`: switch the Service's selector to the canary before the main release rolls.
    #[serde(default = "yes")]
    pub switch_traffic: bool,
    /// Labels and annotations of a Service that Serin makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apex: Option<Marks>,
    /// Labels and annotations of `<service>-canary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Marks>,
    /// Fields of Flagger whose behaviour is not there yet; each is refused by name.
    #[serde(flatten)]
    #[schemars(skip)]
    pub others: BTreeMap<String, Open>,
}

fn yes() -> bool {
    true
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Marks {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What a generated route hangs on: a Gateway, or a Service of a mesh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ParentRef {
    /// API group; `gateway.networking.k8s.io` if not set, empty for a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind; `Gateway` if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// Namespace; the Canary's if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
    /// Port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
}

/// What `<service>-canary` selects while no canary runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CanaryIdle {
    /// Stable's Pods for gateways and `kubernetes`, nothing for meshes.
    #[default]
    Auto,
    /// Stable's Pods.
    Stable,
    /// Nothing.
    Empty,
}
