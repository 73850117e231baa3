//! What Serin reports about a Canary, and everything that it has to remember between two ticks.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::alert::Alerts;
use crate::crd::comparison::{ComparisonStatus, PackedEvidence};
use crate::crd::header_route::{HeaderRoute, Standing};
use crate::crd::hook::{Afterwards, HookStatus};
use crate::crd::moment::Moment;
pub use crate::crd::traffic_status::TrafficStatus;
use crate::crd::traffic_status::is_default;

pub use crate::crd::record::{Mark, Outcome, Release, RequestOutcome, RequestStatus};

/// The state of one Canary: the intent that the next actions are derived from, and what people read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStatus {
    /// The generation of the spec that this status was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the release stands.
    pub phase: Phase,
    /// The state in one sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The last weight that was accepted by the router, in percent.
    pub canary_weight: u8,
    /// Wanted, written and observed share of the canary.
    pub traffic: TrafficStatus,
    /// What the main release runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<StableStatus>,
    /// What is under test, or was rejected last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<CandidateStatus>,
    /// The steps of the current attempt, frozen when it began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<PlannedStep>,
    /// Requests that go to the canary in some of these steps, as they were described when the attempt began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub header_routes: Vec<HeaderRoute>,
    /// The step that the attempt is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepStatus>,
    /// The step as people read it, for instance `2/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Failed checks of the current attempt.
    pub failed_checks: u32,
    /// Rounds of checks of the current attempt.
    pub iterations: u32,
    /// The last round of checks, worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
    /// How canary and stable compare, in each metric that counts requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comparison: Vec<ComparisonStatus>,
    /// Pods that do not start, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<Diagnosis>,
    /// What the analysis has to remember.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The revision that is being put back on the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revert: Option<String>,
    /// Stable's Pods that are older are evicted, one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evict_before: Option<Moment>,
    /// A canary of stable's own images was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_at: Option<Moment>,
    /// Since when this generation waits for the target to name the same `spec.revision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake_at: Option<Moment>,
    /// Since when spec or cluster have something wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble_at: Option<Moment>,
    /// Progress of the deletion of this Canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// Proof that the gate holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateStatus>,
    /// The last request of a person and what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_request: Option<RequestStatus>,
    /// The release that ended last, while hooks are still to be told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub afterwards: Option<Afterwards>,
    /// Messages to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Alerts>,
    /// Finished attempts, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Release>,
    /// `Ready`, `Reconciling` and `Stalled` as kstatus reads them, `Promoted` and `Gated`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The term of the leader that wrote this, counted up: an older leader may not write over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
}

/// The phases of LIFECYCLE, in Flagger's words.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Phase {
    /// Adopting the target: Services, route and gate are not all there yet.
    #[default]
    Initializing,
    /// Idle; nothing was released through this Canary yet, or stable was put back.
    Initialized,
    /// A candidate waits for a go-ahead before its canary is deployed.
    Waiting,
    /// The canary runs and gets its planned share of the traffic.
    Progressing,
    /// All steps passed; promotion waits for a go-ahead.
    WaitingPromotion,
    /// The main release rolls to the candidate, behind the canary.
    Promoting,
    /// Traffic returns to the main release; the canary is deleted.
    Finalising,
    /// Idle; the last release was promoted.
    Succeeded,
    /// The candidate was rejected; stable serves and the target stays held.
    Failed,
    /// The Canary is being deleted.
    Terminating,
}

impl Phase {
    /// Every phase, in the order of the life of a release.
    pub const ALL: [Self; 10] = [
        Self::Initializing,
        Self::Initialized,
        Self::Waiting,
        Self::Progressing,
        Self::WaitingPromotion,
        Self::Promoting,
        Self::Finalising,
        Self::Succeeded,
        Self::Failed,
        Self::Terminating,
    ];

    /// The word for this phase in status, metrics and payloads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "Initializing",
            Self::Initialized => "Initialized",
            Self::Waiting => "Waiting",
            Self::Progressing => "Progressing",
            Self::WaitingPromotion => "WaitingPromotion",
            Self::Promoting => "Promoting",
            Self::Finalising => "Finalising",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Terminating => "Terminating",
        }
    }

    /// Nothing is to be done in this phase until somebody changes something.
    #[must_use]
    pub fn is_idle(self) -> bool {
        matches!(self, Self::Initialized | Self::Succeeded | Self::Failed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The revision that the main release runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StableStatus {
    /// Hash of its Pod template.
    pub revision: String,
    /// Images of its containers.
    pub images: Vec<String>,
    /// Since when it is stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// The ReplicaSet that serves it: a ReplicaSet that was not released is a bypass.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replica_set: String,
    /// UID of the target that it belongs to: a target made anew is a new baseline.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target_uid: String,
    /// Hashes of the ConfigMaps and Secrets that it mounts, where they may be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<String>,
}

/// The revision under test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CandidateStatus {
    /// Hash of its Pod template.
    pub revision: String,
    /// Images of its containers.
    pub images: Vec<String>,
    /// Hash of its containers alone: a rejected candidate with other annotations is still the same.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub containers: String,
    /// Since when it is under test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// The `spec.revision` that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<String>,
    /// Number of the attempt, counted over the life of the Canary.
    pub attempt: u32,
    /// Stable's own traffic when the attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficLevel>,
    /// Pods of stable that were wanted when the attempt began.
    pub need: i32,
    /// Why the whole analysis is left out, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<Mark>,
    /// The person who forced it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Facts that the history will carry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// The verdict, once it failed or was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// Whether stable's own traffic is enough for evidence; decided once, when an attempt begins (ANALYSIS 4.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrafficLevel {
    /// Evidence is required.
    Enough,
    /// Guards pass without their sample size, and the release is marked unproven.
    Low,
}

/// How an attempt ended, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// What became of the candidate.
    pub outcome: Outcome,
    /// Why, with the numbers.
    pub reason: String,
    /// When it was decided.
    pub at: Moment,
}

/// One planned step: a weight or none, then checks, then a pause or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlannedStep {
    /// The canary's weight in this step, in percent.
    pub weight: u8,
    /// Requests that `analysis.match` describes go to the canary, whatever its weight.
    #[serde(skip_serializing_if = "is_default")]
    pub matched: bool,
    /// The status's `headerRoutes` that lead to the canary in this step, by their positions, from 1.
    #[serde(skip_serializing_if = "is_default")]
    pub header_routes: Standing,
    /// Share of requests that are copied to the canary, in percent.
    #[serde(skip_serializing_if = "is_default")]
    pub mirror: u8,
    /// Passed checks that end it.
    pub checks: u32,
    /// How long to stay after the checks; a pause that is not set is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
}

/// A planned stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Seconds to wait; not set: until a person goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

/// Where the attempt is in its plan. Every timer is an absolute time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Position in the plan, from 0.
    pub index: u32,
    /// Number of steps.
    pub of: u32,
    /// When the step began: from here its weight is wanted.
    pub started_at: Moment,
    /// When its clock started: the weight was in force and had settled. Not set: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_at: Option<Moment>,
    /// When the next check is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Moment>,
    /// Without progress until then, the step ends badly.
    pub deadline_at: Moment,
    /// Passed checks.
    pub passed: u32,
    /// When the pause after the checks began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Moment>,
    /// What a person or an approval is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Wait>,
    /// The hooks that were asked whether this step may go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookStatus>,
}

impl StepStatus {
    /// The step as people read it, for instance `2/3`.
    #[must_use]
    pub fn progress(&self) -> String {
        format!("{}/{}", self.index + 1, self.of)
    }
}

/// Why a step stands still until a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Wait {
    /// The plan has a pause without a duration here.
    Approval,
    /// Somebody asked for a pause.
    Paused,
    /// Evidence was missing until the deadline.
    NoEvidence,
    /// Somebody else keeps changing the route.
    Contested,
}

/// One check of the last round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// Name of the metric, hook or built-in check.
    pub name: String,
    /// What it came to.
    pub verdict: CheckVerdict,
    /// The canary's value, as people read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Stable's value in the same window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The limit, as people read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Requests or values that were judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<i64>,
    /// What is missing, or what was seen beside the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was judged.
    pub at: Moment,
}

/// The verdict of a check or of a round, from best to worst (ANALYSIS section 5).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum CheckVerdict {
    /// Within its limits, with enough samples.
    Pass,
    /// Within its limits, by too few samples, where stable's own traffic is low.
    Unproven,
    /// Not enough to decide.
    Inconclusive,
    /// Nothing was measured.
    NoData,
    /// The measurement contradicts itself.
    Invalid,
    /// Outside its limits.
    Fail,
}

/// Why a Pod does not start, and what to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// The Pod, or the workload if there is no Pod.
    pub object: String,
    /// The container, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// One word, for instance `ImagePullBackOff`.
    pub reason: String,
    /// What was seen.
    pub message: String,
    /// What to try.
    pub hint: String,
    /// It can never succeed as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hopeless: bool,
    /// When it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
}

/// What the analysis remembers between rounds and across restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Begin of the window that the next judgement reads at most: the step's clock, or the end of the last failed window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_start: Option<Moment>,
    /// End of the last judged window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_round: Option<Moment>,
    /// When a check last counted as passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_pass: Option<Moment>,
    /// Rounds in a row that failed on both arms alike.
    pub shared_failures: u32,
    /// Restarts of canary containers that were already counted.
    pub restarts: i32,
    /// The evidence of the comparison with stable, by metric, up to the last full round.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub comparison: BTreeMap<String, PackedEvidence>,
    /// For metrics of durations without a limit: what is slower than nearly all of stable's requests were when the attempt began, in
    /// milliseconds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub slower_than_ms: BTreeMap<String, f64>,
    /// The hooks that may roll back, and when they are asked again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookStatus>,
}

/// Progress of the deletion of a Canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// Since when it ends.
    pub since: Moment,
    /// When routes were given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_back: Option<Moment>,
}

/// Proof that the gate holds this target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GateStatus {
    /// Identity of the admission objects that were tried.
    pub policies: String,
    /// When a dry run came back held for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_proof: Option<Moment>,
    /// When it did so again, on a new connection: from here the gate is a fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proved_at: Option<Moment>,
    /// Why the last trial did not come back held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Moment>,
}
