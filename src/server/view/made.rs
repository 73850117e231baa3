//! How the views are made from a Canary.

use std::time::Duration;

use kube::ResourceExt;

use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::{
    CanaryStatus, CandidateStatus, CheckStatus, Diagnosis, Pause, Phase, PlannedStep, Release,
    RequestStatus, StableStatus, StepStatus,
};
use crate::rollout::verbs;
use crate::server::view::{
    Asked, Attempt, CanaryItem, CanaryView, Check, Claim, Current, FailedChecks, Offer, PlanStep,
    Position, Stop, Target, Traffic, Trouble, Version,
};

impl CanaryItem {
    /// What a list shows of this Canary.
    #[must_use]
    pub fn of(canary: &Canary) -> Self {
        let status = canary.status.clone().unwrap_or_default();
        let step = status.step.as_ref();
        Self {
            namespace: canary.home(),
            name: canary.name_any(),
            labels: canary.labels().clone(),
            target: Target {
                kind: canary.spec.target_ref.kind.clone(),
                name: canary.target_name().to_owned(),
            },
            phase: status.phase,
            weight: status.canary_weight,
            step: step.map(Position::of),
            candidate: status.candidate.as_ref().map(candidate),
            stable: status.stable.as_ref().map(stable),
            since: since(&status),
            last_outcome: status.history.first().map(|release| release.outcome),
            next_at: step.and_then(|step| next_at(&status, step)),
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
            plan: status
                .plan
                .iter()
                .map(|step| plan_step(&status, step))
                .collect(),
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
            comparison: status.comparison,
            diagnosis: status.diagnosis.into_iter().map(trouble).collect(),
            last_request: status.last_request.map(asked),
            history: status
                .history
                .iter()
                .map(|past| attempt(canary, past))
                .collect(),
            conditions: status.conditions.iter().map(claim).collect(),
            verbs: verbs::allowed(canary).into_iter().map(offer).collect(),
            up_to_date: status.observed_generation == canary.metadata.generation,
        }
    }
}

impl Position {
    /// Where in its plan a step is.
    #[must_use]
    pub fn of(step: &StepStatus) -> Self {
        Self {
            number: step.index + 1,
            of: step.of,
        }
    }
}

fn since(status: &CanaryStatus) -> Option<Moment> {
    let step = status.step.as_ref().map(|step| step.started_at);
    step.or_else(|| status.history.first().map(|release| release.ended_at))
}

/// The end of the pause that runs, or the next check; nothing while a person is waited for.
fn next_at(status: &CanaryStatus, step: &StepStatus) -> Option<Moment> {
    if step.waiting.is_some() {
        return None;
    }
    let planned = usize::try_from(step.index).ok();
    let planned = planned.and_then(|index| status.plan.get(index));
    let pause = planned.and_then(|planned| planned.pause);
    match (step.paused_at, pause.and_then(|pause| pause.seconds)) {
        (Some(began), Some(seconds)) => Some(began.after(Duration::from_secs(seconds.into()))),
        _ => step.next_at,
    }
}

fn offer(of: verbs::Offer) -> Offer {
    let verbs::Offer {
        verb,
        effect,
        danger,
    } = of;
    Offer {
        verb,
        effect,
        danger,
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

fn plan_step(status: &CanaryStatus, step: &PlannedStep) -> PlanStep {
    PlanStep {
        weight: step.weight,
        matched: step.matched,
        header_routes: step
            .header_routes
            .of(&status.header_routes)
            .map(|route| route.name.clone())
            .collect(),
        mirror: Some(step.mirror).filter(|share| *share > 0),
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

fn attempt(canary: &Canary, of: &Release) -> Attempt {
    Attempt {
        version: Version {
            revision: of.revision.clone(),
            images: of.images.clone(),
            since: of.started_at,
        },
        outcome: of.outcome,
        marks: of.marks.clone(),
        reason: of.reason.clone(),
        by: of.by.clone(),
        ended_at: of.ended_at,
        rollback: verbs::rollback_to(canary, of),
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
