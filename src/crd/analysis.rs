//! How a candidate is judged: steps, checks and limits.

use std::collections::BTreeMap;

use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::affinity::SessionAffinity;
use crate::crd::alert::AlertRoute;
use crate::crd::header_route::HeaderRoute;
use crate::crd::hook::Hook;
use crate::crd::matching::RequestMatch;

/// Steps, checks and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Analysis {
    /// Time between two rounds of checks.
    pub interval: Duration,
    /// Failed checks that roll back.
    #[schemars(range(min = 0, max = 10_000))]
    pub threshold: u32,
    /// Passed checks that end a step.
    #[schemars(range(min = 1, max = 10_000))]
    pub checks: u32,
    /// The weights, strictly rising.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(range(min = 1, max = 100)))]
    pub step_weights: Vec<i32>,
    /// Weights by equal steps, up to `maxWeight`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub step_weight: Option<i32>,
    /// The last weight with `stepWeight`; 100 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_weight: Option<i32>,
    /// Step by step, instead of weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub steps: Vec<Step>,
    /// Blue/green: rounds of checks against the canary without traffic, before the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub iterations: Option<u32>,
    /// Stay at the last weight, still checking, before promotion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake: Option<Duration>,
    /// Checks with limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub metrics: Vec<Metric>,
    /// What happens when stable's own traffic is too small for evidence.
    pub low_traffic: LowTraffic,
    /// How long evidence may be waited for in a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Duration>,
    /// The sequential test against stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// Ready Pods that the canary needs, in percent of those wanted.
    #[schemars(range(min = 1, max = 100))]
    pub canary_ready_threshold: i32,
    /// Ready Pods that stable needs, in percent of those wanted.
    #[schemars(range(min = 1, max = 100))]
    pub primary_ready_threshold: i32,
    /// What a failed verdict does.
    pub on_failure: OnFailure,
    /// A changed ConfigMap or Secret of the Pods is a release too.
    pub config_tracking: bool,
    /// Addresses that are asked, or told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub webhooks: Vec<Hook>,
    /// Messages to people: where they go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub alerts: Vec<AlertRoute>,
    /// A/B testing: requests that one of these describes go to the canary. Without weights they alone do.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub matches: Vec<RequestMatch>,
    /// The canary gets copies of requests, whose answers nobody sees, before it gets any share; with `iterations` in all rounds.
    pub mirror: bool,
    /// Share of copied requests, in percent; 100 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub mirror_weight: Option<i32>,
    /// A cookie keeps users on stable, or on the canary, until its share reaches them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
    /// After promotion the canary's share goes down by so many percent an interval, and not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub step_weight_promotion: Option<i32>,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            interval: Duration::from(std::time::Duration::from_secs(60)),
            threshold: 2,
            checks: 3,
            step_weights: Vec::new(),
            step_weight: None,
            max_weight: None,
            steps: Vec::new(),
            iterations: None,
            bake: None,
            metrics: Vec::new(),
            low_traffic: LowTraffic::default(),
            max_wait: None,
            comparison: None,
            canary_ready_threshold: 100,
            primary_ready_threshold: 100,
            on_failure: OnFailure::default(),
            config_tracking: false,
            webhooks: Vec::new(),
            alerts: Vec::new(),
            matches: Vec::new(),
            mirror: false,
            mirror_weight: None,
            session_affinity: None,
            step_weight_promotion: None,
        }
    }
}

/// One step: exactly one of its fields is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Step {
    /// The canary's weight from here on, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub set_weight: Option<i32>,
    /// Stay here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<StepPause>,
    /// Rounds of checks that have to pass here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub checks: Option<u32>,
    /// Share of requests that are copied to the canary from here on, in percent; 0 ends that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub set_mirror: Option<i32>,
    /// Requests with certain headers go to the canary from here on, whatever its weight; without `match` they no longer do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_header_route: Option<HeaderRoute>,
}

/// A stop of some time, or until a person goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StepPause {
    /// How long; until `promote` if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// A check with limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Name; `request-success-rate` and `request-duration` are built in.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// The MetricTemplate that says how to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<TemplateRef>,
    /// Values for `{{ variables.x }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub template_variables: BTreeMap<String, String>,
    /// A PromQL query, in Flagger's old way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8_192))]
    pub query: Option<String>,
    /// Window of the measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_range: Option<ThresholdRange>,
    /// Flagger's old limit: the least success rate, the most of anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// What no value means.
    #[serde(default)]
    pub on_no_data: OnNoData,
    /// Shown, but decides nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Requests that a verdict needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000i64))]
    pub min_samples: Option<i64>,
}

/// A reference to a MetricTemplate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; the Canary's if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Limits of a value; a value on a limit passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ThresholdRange {
    /// The least value that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// What no value means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnNoData {
    /// Wait for data; at the deadline for a person.
    #[default]
    Wait,
    /// It passes.
    Pass,
    /// It fails.
    Fail,
}

/// What happens when stable's own traffic is too small for evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LowTraffic {
    /// Go on, and mark the release as unproven.
    #[default]
    Proceed,
    /// Wait for evidence; at `maxWait` a person decides.
    Wait,
    /// Wait for evidence; at `maxWait` roll back.
    Rollback,
}

/// Parameters of the sequential test of ANALYSIS section 4.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Comparison {
    /// Whether the arms are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Probability of a false rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.000_001, max = 0.5))]
    pub false_rollback: Option<f64>,
    /// How many times worse than stable is still tolerated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 100.0))]
    pub tolerance: Option<f64>,
    /// How many times worse than stable has to be excluded before promotion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 100.0))]
    pub non_inferiority: Option<f64>,
    /// Probability of promoting what is worse; 1 asks for no evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.000_001, max = 1.0))]
    pub missed_regression: Option<f64>,
}

/// What a failed verdict does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// Weight 0; the canary is deleted.
    #[default]
    Rollback,
    /// Weight 0; the canary is kept for inspection.
    Pause,
}
