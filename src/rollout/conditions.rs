//! Conditions from the status: what `kubectl wait`, Helm, Flux and Argo CD read (GATE, the handshake's table).

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::crd::status::{Mark, Outcome, Phase};
use crate::rollout::observed::{Gate, Severity, Target};
use crate::rollout::tick::Tick;

/// So long a mistake may be one that a pipeline is about to mend: the route that a Canary names comes after it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sets `Ready`, `Reconciling`, `Stalled`, `Promoted` and `Gated`.
pub(crate) fn set(tick: &mut Tick<'_>) {
    let (ready, reconciling, stalled) = kstatus(tick);
    let all = [
        ("Ready", ready),
        ("Reconciling", reconciling),
        ("Stalled", stalled),
        ("Promoted", promoted(tick)),
        ("Gated", gated(tick)),
    ];
    for (type_, (status, reason, message)) in all {
        put(tick, type_, status, reason, &message);
    }
}

type State = (&'static str, &'static str, String);

/// `Ready`, `Reconciling`, `Stalled`: `Stalled` is final for its readers, so it never stands for what may recover.
fn kstatus(tick: &Tick<'_>) -> (State, State, State) {
    let message = tick.status.message.clone();
    let no = |reason| ("False", reason, String::new());
    if let Some(refusal) = tick.refusal() {
        let since = tick.status.trouble_at.unwrap_or(tick.now);
        let text = refusal.to_owned();
        let reason = first_reason(tick);
        if tick.now.since(since) >= PATIENCE {
            return (
                ("False", reason, text.clone()),
                no("ConfigurationError"),
                ("True", reason, text),
            );
        }
        return (
            ("False", reason, text.clone()),
            ("True", reason, text),
            no("Waiting"),
        );
    }
    if tick.status.observed_generation != tick.canary.metadata.generation {
        let text = "waiting for the target to name the same revision".to_owned();
        return (
            ("False", "RevisionMismatch", text.clone()),
            ("True", "RevisionMismatch", text),
            no("Waiting"),
        );
    }
    match tick.status.phase {
        Phase::Failed if !is_overtaken(tick) => (
            ("False", "CanaryFailed", message.clone()),
            no("CanaryFailed"),
            ("True", "CanaryFailed", message),
        ),
        Phase::Initialized | Phase::Succeeded if at_rest(tick) => {
            (("True", "Idle", message), no("Idle"), no("Idle"))
        }
        _ => (
            ("False", reason(tick), message.clone()),
            ("True", reason(tick), message),
            no("Working"),
        ),
    }
}

/// Somebody put another template in the rejected one's place: stable's, which is released, or a new one, which is tried next. Who
/// waits for that write, as Helm does in its own rollback, must not read the verdict on the one before as his.
fn is_overtaken(tick: &Tick<'_>) -> bool {
    let held = tick.target().filter(|target| target.gate == Gate::Held);
    let is_rejected = |target: &Target| {
        tick.candidate().is_some_and(|rejected| {
            rejected.revision == target.revision || rejected.containers == target.containers
        })
    };
    held.is_some_and(|target| target.revision == tick.stable_revision() || !is_rejected(target))
}

fn first_reason(tick: &Tick<'_>) -> &'static str {
    let refused = tick
        .seen
        .problems
        .iter()
        .find(|problem| problem.severity == Severity::Refused);
    refused.map_or("ConfigurationError", |problem| problem.reason)
}

/// Nothing is held, and nothing of a release is left.
fn at_rest(tick: &Tick<'_>) -> bool {
    let held = tick
        .target()
        .is_some_and(|target| matches!(target.gate, Gate::Held | Gate::Reverting));
    tick.target().is_some() && (!held || tick.spec.suspend)
}

fn reason(tick: &Tick<'_>) -> &'static str {
    let message = &tick.status.message;
    match tick.status.phase {
        Phase::Promoting if message.contains("stuck") => "PromotionStuck",
        Phase::Finalising if message.contains("takes longer") => "FinaliseStuck",
        Phase::Initializing
            if tick
                .status
                .gate
                .as_ref()
                .is_some_and(|gate| gate.failure.is_some()) =>
        {
            "GateUnarmed"
        }
        Phase::Failed => "AnotherTemplate",
        _ if message.contains("not accepted") => "RouteNotAccepted",
        phase => phase.as_str(),
    }
}

/// `Promoted`, in Flagger's sense: what became of the last release.
fn promoted(tick: &Tick<'_>) -> State {
    let message = tick.status.message.clone();
    match tick.status.phase {
        Phase::Failed => ("False", "Failed", message),
        Phase::Succeeded => ("True", succeeded(tick), message),
        Phase::Initialized => ("True", "Initialized", message),
        phase => ("Unknown", phase.as_str(), message),
    }
}

fn succeeded(tick: &Tick<'_>) -> &'static str {
    let last = tick.status.history.first();
    match last {
        Some(release) if release.outcome == Outcome::Skipped => "Skipped",
        Some(release) if release.marks.contains(&Mark::Unproven) => "Unproven",
        Some(release) if release.marks.contains(&Mark::Forced) => "Forced",
        _ => "Succeeded",
    }
}

/// `Gated`: a fact only once it was proved (SAFETY G4).
fn gated(tick: &Tick<'_>) -> State {
    let stands = tick
        .target()
        .is_some_and(|target| target.gate != Gate::Open);
    let Some(gate) = &tick.status.gate else {
        return (
            "False",
            "GateUnarmed",
            "the gate was not tried yet".to_owned(),
        );
    };
    if let Some(failure) = &gate.failure {
        return ("False", "GateUnarmed", failure.clone());
    }
    let current = tick.seen.policies.as_ref() == Some(&gate.policies);
    match (gate.proved_at, stands, current) {
        (Some(_), true, true) => (
            "True",
            "GateArmed",
            "a dry run of a changed template came back held, twice".to_owned(),
        ),
        (Some(_), false, _) => (
            "False",
            "GateUnarmed",
            "the target carries no gate of this Canary".to_owned(),
        ),
        (Some(_), _, false) => (
            "False",
            "GateUnarmed",
            "the admission policies changed since they were tried, or are gone".to_owned(),
        ),
        (None, ..) => (
            "Unknown",
            "GateArming",
            "the gate is being tried".to_owned(),
        ),
    }
}

fn put(tick: &mut Tick<'_>, type_: &str, status: &str, reason: &str, message: &str) {
    let generation = tick.status.observed_generation;
    let now = Time(tick.now.timestamp());
    let message: String = message.chars().take(1024).collect();
    let known = tick
        .status
        .conditions
        .iter_mut()
        .find(|condition| condition.type_ == type_);
    if let Some(condition) = known {
        if condition.status != status {
            condition.last_transition_time = now;
            status.clone_into(&mut condition.status);
        }
        reason.clone_into(&mut condition.reason);
        condition.message = message;
        condition.observed_generation = generation;
        return;
    }
    tick.status.conditions.push(Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: now,
        observed_generation: generation,
    });
}
