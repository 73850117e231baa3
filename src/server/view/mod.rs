//! What the API shows of a Canary: made for its reader, not the object as it is stored.

mod made;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::crd::comparison::ComparisonStatus;
use crate::crd::moment::Moment;
use crate::crd::status::{CheckVerdict, Mark, Outcome, Phase, RequestOutcome, Wait};

/// A list of Canaries, by namespace and name.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryList {
    /// The Canaries.
    pub items: Vec<CanaryItem>,
}

/// A Canary in a list.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryItem {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The workload that it watches over.
    pub target: Target,
    /// Where its release stands.
    pub phase: Phase,
    /// The state in one sentence.
    pub message: String,
    /// The canary's share of the traffic in percent, as the router last accepted it.
    pub weight: u8,
    /// Where in its plan the attempt is; absent when none is going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Position>,
    /// What is under test, or was rejected last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Version>,
    /// What the main release runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<Version>,
    /// When the step that it is in began; else when the newest attempt ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// What became of the newest finished attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_outcome: Option<Outcome>,
    /// When the next check is due, or the pause ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Moment>,
    /// A person has to decide how it goes on.
    pub needs_decision: bool,
    /// `Progressing` is paused by the spec.
    pub suspended: bool,
}

/// A Canary, whole.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryView {
    /// What lists show too.
    #[serde(flatten)]
    pub item: CanaryItem,
    /// What routes its traffic; absent: the controller's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The steps of the current attempt.
    pub plan: Vec<PlanStep>,
    /// The step that the attempt is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Current>,
    /// The canary's share of the traffic, in percent.
    pub traffic: Traffic,
    /// Failed checks of the attempt, and how many of them roll back.
    pub failed_checks: FailedChecks,
    /// The last round of checks, worst first.
    pub checks: Vec<Check>,
    /// How canary and stable compare, in each metric that counts requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comparison: Vec<ComparisonStatus>,
    /// Pods that do not start.
    pub diagnosis: Vec<Trouble>,
    /// What a person asked for last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_request: Option<Asked>,
    /// Finished attempts, newest first.
    pub history: Vec<Attempt>,
    /// Claims about it, as other tools read them.
    pub conditions: Vec<Claim>,
    /// The status was made from the spec as it is now.
    pub up_to_date: bool,
    /// What a person may ask for now.
    pub verbs: Vec<Offer>,
}

/// Something that a person may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// The verb.
    pub verb: &'static str,
    /// What will happen, in a sentence.
    pub effect: String,
    /// It takes traffic or checks away, or puts another version on the target: worth a question.
    pub danger: bool,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Where in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Number of the step, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// A version of the workload.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Hash of its Pod template.
    pub revision: String,
    /// Images of its containers.
    pub images: Vec<String>,
    /// Since when it is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
}

/// A planned step.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// The canary's weight, in percent.
    pub weight: u8,
    /// Requests that `analysis.match` describes go to the canary, whatever its weight.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub matched: bool,
    /// The steps `setHeaderRoute` whose requests go to the canary, whatever its weight, by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header_routes: Vec<String>,
    /// Share of requests that are copied to the canary, in percent, if any are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<u8>,
    /// Passed checks that end it.
    pub checks: u32,
    /// The stop after the checks.
    pub pause: Stop,
}

/// A planned stop.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Stop {
    /// There is none.
    None,
    /// For some time.
    Timed {
        /// How long.
        seconds: u32,
    },
    /// Until a person goes on.
    Approval,
}

/// Where the attempt is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Current {
    /// Number of the attempt over the life of the Canary.
    pub attempt: u32,
    /// Passed checks of this step.
    pub passed: u32,
    /// When the step began.
    pub started_at: Moment,
    /// When the next check is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Moment>,
    /// Without progress until then it ends badly.
    pub deadline_at: Moment,
    /// What a person is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Wait>,
}

/// The canary's share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// As the plan wants it.
    pub wanted: u8,
    /// As the route says.
    pub written: u8,
    /// As it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
}

/// Failed checks.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedChecks {
    /// So far.
    pub count: u32,
    /// So many roll back.
    pub threshold: u32,
}

/// A check of the last round.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What it came to.
    pub verdict: CheckVerdict,
    /// The canary's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// Stable's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Requests or values that were judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<i64>,
    /// What is missing, or was seen beside the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was judged.
    pub at: Moment,
}

/// Why a Pod does not start.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// The Pod or workload.
    pub object: String,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// One word.
    pub reason: String,
    /// What was seen.
    pub message: String,
    /// What to try.
    pub hint: String,
}

/// What a person asked for.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The verb.
    pub verb: String,
    /// The request's identity.
    pub id: String,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was handled.
    pub at: Moment,
    /// Whether it was followed.
    pub outcome: RequestOutcome,
    /// Why not, or what it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A finished attempt.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The version that was tried.
    pub version: Version,
    /// What became of it.
    pub outcome: Outcome,
    /// Exceptions that it owed its promotion to.
    pub marks: Vec<Mark>,
    /// Why.
    pub reason: String,
    /// The person or manager behind its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it ended.
    pub ended_at: Moment,
    /// What `rollback` to this revision would do; absent where it is not allowed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<String>,
}

/// A claim about a Canary.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// `Ready`, `Reconciling`, `Stalled`, `Promoted` or `Gated`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// Since when.
    pub since: Moment,
}
