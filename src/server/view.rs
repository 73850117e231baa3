//! What the API shows of a Canary: made for its reader, not the object as it is stored.

use kube::ResourceExt;
use serde::Serialize;

use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::{
    CanaryStatus, CandidateStatus, CheckStatus, CheckVerdict, Diagnosis, Mark, Outcome, Pause,
    Phase, PlannedStep, Release, RequestOutcome, RequestStatus, StableStatus, StepStatus, Wait,
};

/// A list of Canaries, by namespace and name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryList {
    /// The Canaries.
    pub items: Vec<CanaryItem>,
}

/// A Canary in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryItem {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
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
    /// A person has to decide how it goes on.
    pub needs_decision: bool,
    /// `Progressing` is paused by the spec.
    pub suspended: bool,
}

/// A Canary, whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Where in a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Number of the step, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// A version of the workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// The canary's weight, in percent.
    pub weight: u8,
    /// Passed checks that end it.
    pub checks: u32,
    /// The stop after the checks.
    pub pause: Stop,
}

/// A planned stop.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedChecks {
    /// So far.
    pub count: u32,
    /// So many roll back.
    pub threshold: u32,
}

/// A check of the last round.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
}

/// A claim about a Canary.
#[derive(Clone, Debug, PartialEq, Serialize)]
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

impl CanaryItem {
    /// What a list shows of this Canary.
    #[must_use]
    pub fn of(canary: &Canary) -> Self {
        let status = canary.status.clone().unwrap_or_default();
        let step = status.step.as_ref();
        Self {
            namespace: canary.home(),
            name: canary.name_any(),
            target: Target {
                kind: canary.spec.target_ref.kind.clone(),
                name: canary.target_name().to_owned(),
            },
            phase: status.phase,
            weight: status.canary_weight,
            step: step.map(|step| Position {
                number: step.index + 1,
                of: step.of,
            }),
            candidate: status.candidate.as_ref().map(candidate),
            stable: status.stable.as_ref().map(stable),
            needs_decision: matches!(status.phase, Phase::Waiting | Phase::WaitingPromotion)
                || step.is_some_and(|step| step.waiting.is_some()),
            suspended: canary.spec.suspend,
            message: status.message,
        }
    }
}

impl CanaryView {
    /// All that is shown of this Canary.
    #[must_use]
    pub fn of(canary: &Canary) -> Self {
        let status = canary.status.clone().unwrap_or_default();
        Self {
            item: CanaryItem::of(canary),
            provider: canary.spec.provider.clone(),
            plan: status.plan.iter().map(plan_step).collect(),
            current: status.step.as_ref().map(|step| current(&status, step)),
            traffic: Traffic {
                wanted: status.traffic.wanted,
                written: status.traffic.written,
                observed: status.traffic.observed.clone(),
            },
            failed_checks: FailedChecks {
                count: status.failed_checks,
                threshold: canary.spec.analysis.threshold,
            },
            checks: status.checks.into_iter().map(check).collect(),
            diagnosis: status.diagnosis.into_iter().map(trouble).collect(),
            last_request: status.last_request.map(asked),
            history: status.history.into_iter().map(attempt).collect(),
            conditions: status.conditions.iter().map(claim).collect(),
            up_to_date: status.observed_generation == canary.metadata.generation,
        }
    }
}

fn candidate(of: &CandidateStatus) -> Version {
    Version {
        revision: of.revision.clone(),
        images: of.images.clone(),
        since: of.since,
    }
}

fn stable(of: &StableStatus) -> Version {
    Version {
        revision: of.revision.clone(),
        images: of.images.clone(),
        since: of.since,
    }
}

fn plan_step(step: &PlannedStep) -> PlanStep {
    PlanStep {
        weight: step.weight,
        checks: step.checks,
        pause: match step.pause {
            None => Stop::None,
            Some(Pause {
                seconds: Some(seconds),
            }) => Stop::Timed { seconds },
            Some(Pause { seconds: None }) => Stop::Approval,
        },
    }
}

fn current(status: &CanaryStatus, step: &StepStatus) -> Current {
    Current {
        attempt: status
            .candidate
            .as_ref()
            .map_or(0, |candidate| candidate.attempt),
        passed: step.passed,
        started_at: step.started_at,
        next_at: step.next_at,
        deadline_at: step.deadline_at,
        waiting: step.waiting,
    }
}

fn check(of: CheckStatus) -> Check {
    let CheckStatus {
        name,
        verdict,
        value,
        stable,
        limit,
        samples,
        message,
        at,
    } = of;
    Check {
        name,
        verdict,
        canary: value,
        stable,
        limit,
        samples,
        message,
        at,
    }
}

fn trouble(of: Diagnosis) -> Trouble {
    let Diagnosis {
        object,
        container,
        reason,
        message,
        hint,
        hopeless: _,
        since: _,
    } = of;
    Trouble {
        object,
        container,
        reason,
        message,
        hint,
    }
}

fn asked(of: RequestStatus) -> Asked {
    let RequestStatus {
        verb,
        id,
        by,
        reason,
        at,
        outcome,
        message,
        standing: _,
    } = of;
    Asked {
        verb,
        id,
        by,
        reason,
        at,
        outcome,
        message,
    }
}

fn attempt(of: Release) -> Attempt {
    let Release {
        revision,
        images,
        outcome,
        marks,
        reason,
        by,
        started_at,
        ended_at,
        attempt: _,
    } = of;
    let version = Version {
        revision,
        images,
        since: started_at,
    };
    Attempt {
        version,
        outcome,
        marks,
        reason,
        by,
        ended_at,
    }
}

fn claim(of: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition) -> Claim {
    Claim {
        type_: of.type_.clone(),
        status: of.status.clone(),
        reason: of.reason.clone(),
        message: of.message.clone(),
        since: Moment::new(of.last_transition_time.0),
    }
}
