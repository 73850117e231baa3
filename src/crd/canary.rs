//! The `Canary`: what a team writes beside its Deployment.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::status::CanaryStatus;

pub use crate::crd::analysis::{
    Analysis, Comparison, LowTraffic, Metric, OnFailure, OnNoData, Step, StepPause, TemplateRef,
    ThresholdRange,
};
pub use crate::crd::traffic::{CanaryIdle, CanaryService, Marks, ParentRef, RouteRef};

/// A JSON value whose shape is another project's business.
pub type Open = serde_json::Value;

/// How new versions of one workload are tried on real traffic before they become the main release.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "serin.dev",
    version = "v1beta1",
    kind = "Canary",
    plural = "canaries",
    namespaced,
    status = "CanaryStatus",
    derive = "PartialEq",
    shortname = "cn",
    category = "serin",
    doc = "How new versions of one workload are tried on real traffic before they become the main release."
)]
#[serde(rename_all = "camelCase")]
pub struct CanarySpec {
    /// The main release: a Deployment of the same namespace. It cannot be changed.
    pub target_ref: ObjectRef,
    /// Hash of the rendered Pod template, for the handshake with Helm: the same value stands on the target as annotation
    /// `serin.dev/revision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub revision: Option<String>,
    /// What routes the traffic; the controller's default if not set. `kubernetes` is blue/green by the selector of the Service,
    /// `none` is for workers without one. `gatewayapi:v1beta1` and `knative` come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub provider: Option<String>,
    /// Address of the Prometheus server that the built-in checks ask; the controller's default if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub metrics_server: Option<String>,
    /// How Services and route look. Required, but with provider `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<CanaryService>,
    /// Routes that stay the user's: only the weights of the two backends are changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub route_refs: Vec<RouteRef>,
    /// The HorizontalPodAutoscaler of the target. A ScaledObject comes later; named, it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaler_ref: Option<ObjectRef>,
    /// The Ingress of the apex, for the providers `nginx` and `skipper`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_ref: Option<ObjectRef>,
    /// The ApisixRoute whose requests are shared, for the provider `apisix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_ref: Option<ObjectRef>,
    /// The Upstream of Gloo whose settings both versions get. They come later; set, it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_ref: Option<ObjectRef>,
    /// Steps, checks and limits.
    #[serde(default)]
    pub analysis: Analysis,
    /// Size of the canary.
    #[serde(default)]
    pub canary: CanarySize,
    /// Seconds without progress after which the candidate is rejected.
    #[serde(default = "default_progress_deadline")]
    #[schemars(range(min = 1, max = 86_400))]
    pub progress_deadline_seconds: i32,
    /// How long a pause or an approval may last before `analysis.onFailure` applies; for ever if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_deadline: Option<Duration>,
    /// A candidate equal to one of so many last promoted revisions skips the analysis.
    #[serde(default = "default_rollback_window")]
    #[schemars(range(min = 0, max = 50))]
    pub rollback_window: i32,
    /// Finished releases that the status keeps.
    #[serde(default = "default_history_limit")]
    #[schemars(range(min = 0, max = 50))]
    pub history_limit: i32,
    /// Promote as soon as the canary is ready.
    #[serde(default)]
    pub skip_analysis: bool,
    /// Do nothing; the gate stays.
    #[serde(default)]
    pub suspend: bool,
    /// What becomes of a held target when the Canary is deleted; by default `Revert`, under a GitOps manager `Hold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Takes a workload that is otherwise refused, at its owner's risk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub allow: Vec<Allowance>,
}

fn default_progress_deadline() -> i32 {
    600
}
fn default_rollback_window() -> i32 {
    3
}
fn default_history_limit() -> i32 {
    10
}

/// A reference to an object of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its API version.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub api_version: String,
    /// Its kind.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Size of the canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanarySize {
    /// A number, or a percentage of the target's size; not set: the share of its weight, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<IntOrString>,
}

/// What becomes of a held target when the Canary is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Stable's template is put back.
    Revert,
    /// It stays paused with the candidate's template.
    Hold,
}

/// A property of a workload that is otherwise refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Allowance {
    /// Strategy `Recreate`.
    Recreate,
    /// Volume claims that canary and stable share.
    ReadWriteOnce,
    /// Host ports.
    HostPort,
}
