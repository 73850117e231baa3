//! Adoption, and the phases in which nothing is to be done: Initializing, Initialized, Succeeded, Failed.

use std::time::Duration;

use crate::crd::status::{GateStatus, Mark, Outcome, Phase, Release};
use crate::rollout::observed::{Answer, Check, Gate, Presence, Target};
use crate::rollout::phase::HANDSHAKE;
use crate::rollout::tick::{Asked, Tick};
use crate::rollout::{attempt, progress};

/// Time between the two dry runs that prove the gate: policies load per API server.
const SECOND_PROOF: Duration = Duration::from_secs(5);
/// How the verdict of an abort in mid promotion begins. Under a GitOps manager the rejected template comes back by itself, and is no
/// new attempt then (SAFETY G12).
pub(crate) const ABORTED_LATE: &str = "aborted in mid promotion";
/// Time until a gate that did not hold is tried again.
const PROOF_RETRY: Duration = Duration::from_secs(30);

/// Initializing: target, Services, route and gate have to be there before anything is claimed.
pub(crate) fn initialize(tick: &mut Tick<'_>) -> Asked<()> {
    tick.leave();
    if let Some(refusal) = tick.refusal() {
        tick.say(refusal);
        return Ok(());
    }
    let Some(target) = tick.target() else {
        tick.say(format!(
            "waiting for Deployment {}, which does not exist",
            tick.spec.target_ref.name
        ));
        return Ok(());
    };
    if tick.spec.suspend {
        tick.say("suspended");
        return Ok(());
    }
    if let Some(missing) = unready(tick, target) {
        tick.say(missing);
        return Ok(());
    }
    if target.gate == Gate::Open {
        tick.say("arming the gate");
        return Ok(());
    }
    if !proved(tick)? {
        return Ok(());
    }
    attempt::adopt_serving(tick, target);
    tick.status.candidate = None;
    tick.go(Phase::Initialized);
    tick.note(
        "Adopted",
        format!(
            "Deployment {} is gated; revision {} is stable",
            tick.spec.target_ref.name,
            tick.stable_revision()
        ),
    );
    tick.say("idle: the next change of the Pod template will be tried as a canary");
    Ok(())
}

/// What adoption still waits for.
fn unready(tick: &Tick<'_>, target: &Target) -> Option<String> {
    let name = &tick.spec.target_ref.name;
    if target.gate == Gate::PausedByOther {
        return Some(format!(
            "Deployment {name} is paused by a person; it is left alone until it is resumed"
        ));
    }
    if target.gate == Gate::Open && !target.complete {
        return Some(format!(
            "waiting until Deployment {name} is rolled out and available"
        ));
    }
    if tick.seen.services.apex == Presence::Missing
        || tick.seen.services.canary == Presence::Missing
    {
        return Some("making Services".to_owned());
    }
    if !tick.in_force() {
        let why = progress::unaccepted(tick).map(|why| format!(": {why}"));
        return Some(format!("waiting for the route{}", why.unwrap_or_default()));
    }
    None
}

/// Proves by two dry runs, on two connections, that the gate holds this target (SAFETY G4).
fn proved(tick: &mut Tick<'_>) -> Asked<bool> {
    let Some(policies) = tick.seen.policies.clone() else {
        let why = "the admission policies serin-hold and serin-guard with their bindings are not all installed; apply deploy/gate.yaml, or deploy/older before Kubernetes 1.36";
        return Ok(unproved(tick, String::new(), why));
    };
    let gate = tick.status.gate.get_or_insert_default();
    if gate.policies != policies {
        *gate = GateStatus {
            policies: policies.clone(),
            ..GateStatus::default()
        };
    }
    if gate.proved_at.is_some() {
        return Ok(true);
    }
    if let Some(next) = gate.next_at.filter(|next| *next > tick.now) {
        tick.wake_at(next);
        return Ok(false);
    }
    match tick.answer(Check::Gate)? {
        Answer::GateHeld => Ok(proof(tick)),
        Answer::GateOpen(why) => Ok(unproved(tick, policies, why)),
        _ => Ok(unproved(tick, policies, "the dry run could not be made")),
    }
}

fn proof(tick: &mut Tick<'_>) -> bool {
    let now = tick.now;
    let gate = tick.status.gate.get_or_insert_default();
    gate.failure = None;
    if gate.first_proof.is_some() {
        gate.proved_at = Some(now);
        gate.next_at = None;
        tick.note(
            "GateArmed",
            "a dry run of a changed template came back held, twice",
        );
        return true;
    }
    gate.first_proof = Some(now);
    gate.next_at = Some(now.after(SECOND_PROOF));
    tick.wake_at(now.after(SECOND_PROOF));
    tick.say("the gate holds; it is tried once more");
    false
}

fn unproved(tick: &mut Tick<'_>, policies: String, why: &str) -> bool {
    let next = tick.now.after(PROOF_RETRY);
    let gate = tick.status.gate.get_or_insert_default();
    let new = gate.failure.as_deref() != Some(why);
    *gate = GateStatus {
        policies,
        first_proof: None,
        proved_at: None,
        failure: Some(why.to_owned()),
        next_at: Some(next),
    };
    tick.wake_at(next);
    tick.say(format!("the gate does not hold: {why}"));
    if new {
        tick.warn("GateUnarmed", format!("nothing is protected: {why}"));
    }
    false
}

/// Initialized, Succeeded and Failed: nothing, until a template is held or something is lost.
pub(crate) fn watch(tick: &mut Tick<'_>) -> Asked<()> {
    let Some(target) = tick.target() else {
        lose(tick);
        return Ok(());
    };
    if tick
        .status
        .stable
        .as_ref()
        .is_none_or(|stable| stable.target_uid != target.uid)
    {
        if tick.status.stable.is_some() {
            tick.warn("TargetLost", "the target was made anew, and was not gated meanwhile; what it runs becomes the baseline");
        }
        restart(tick);
        return Ok(());
    }
    expire_verdict(tick);
    evicting(tick, target);
    if let Some(at) = tick.settled_at().filter(|at| *at > tick.now)
        && !attempt::retired(tick)
    {
        tick.wake_at(at);
    }
    if tick.status.revert.is_some() {
        revert(tick, target);
        return Ok(());
    }
    match target.gate {
        Gate::Open => reopened(tick, target),
        Gate::PausedByOther => {
            tick.say("a person paused the target; its template is left alone until that ends")
        }
        Gate::Reverting => tick.say("putting the stable revision back"),
        Gate::Armed => settle(tick, target),
        Gate::Held => return held(tick, target),
    }
    if !matches!(target.gate, Gate::Open) && tick.status.phase != Phase::Initializing {
        reprove(tick)?;
    }
    Ok(())
}

fn lose(tick: &mut Tick<'_>) {
    let text = format!(
        "Deployment {} does not exist any more",
        tick.spec.target_ref.name
    );
    if tick.status.message != text {
        tick.warn("TargetLost", text.clone());
    }
    tick.say(text);
}

/// Back to adoption, with nothing known.
fn restart(tick: &mut Tick<'_>) {
    tick.status.stable = None;
    tick.status.candidate = None;
    tick.status.step = None;
    tick.status.gate = None;
    tick.leave();
    tick.go(Phase::Initializing);
}

/// The verdict in the target's own condition goes after ten minutes (SAFETY G9); until then somebody has to come back for it.
fn expire_verdict(tick: &mut Tick<'_>) {
    let at = tick
        .candidate()
        .and_then(|candidate| candidate.verdict.as_ref())
        .map(|verdict| verdict.at);
    if let Some(expires) = at.map(|at| at.after(crate::rollout::plan::VERDICT_LIFETIME))
        && expires > tick.now
        && tick.status.phase == Phase::Failed
    {
        tick.wake_at(expires);
    }
}

/// Stable's Pods are evicted while a template is held, for as long as a roll may take; then the request is over.
fn evicting(tick: &mut Tick<'_>, target: &Target) {
    let Some(since) = tick.status.evict_before else {
        return;
    };
    if target.gate != Gate::Held || tick.now.since(since) > tick.progress_deadline() {
        tick.status.evict_before = None;
        return;
    }
    tick.wake_in(5);
}

/// The policies changed since the gate was proved: it is proved again.
fn reprove(tick: &mut Tick<'_>) -> Asked<()> {
    let known = tick
        .status
        .gate
        .as_ref()
        .filter(|gate| gate.proved_at.is_some())
        .map(|gate| gate.policies.clone());
    if known.is_some() && known == tick.seen.policies {
        return Ok(());
    }
    if tick.spec.suspend {
        return Ok(());
    }
    let message = tick.status.message.clone();
    if proved(tick)? {
        tick.say(message);
    }
    Ok(())
}

/// The gate label is gone: somebody broke the glass. What runs then becomes the baseline again, once it is rolled out.
fn reopened(tick: &mut Tick<'_>, target: &Target) {
    if tick.spec.suspend {
        return;
    }
    let serves = target.serving.first();
    let passed = serves.is_some_and(|set| set.revision != tick.stable_revision())
        || target.revision != tick.stable_revision();
    if passed && !target.complete {
        tick.say("the gate was taken off; waiting until the target is rolled out and available");
        return;
    }
    if passed {
        bypassed(tick, target, "the gate was taken off");
    } else {
        tick.warn(
            "GateLost",
            "the label serin.dev/gate was removed; the gate is armed again",
        );
    }
    restart(tick);
}

/// What runs without having been released by Serin is recorded as such.
pub(crate) fn bypassed(tick: &mut Tick<'_>, target: &Target, how: &str) {
    let writer = target
        .writer
        .clone()
        .unwrap_or_else(|| "an unknown manager".to_owned());
    let text = format!(
        "revision {} reached the target without a canary: {how}, written by {writer}",
        target.revision
    );
    tick.warn("Bypassed", text.clone());
    let release = Release {
        revision: target.revision.clone(),
        images: target.images.clone(),
        outcome: Outcome::Bypassed,
        marks: Vec::new(),
        reason: text,
        by: target.writer.clone(),
        started_at: None,
        ended_at: tick.now,
        attempt: 0,
    };
    attempt::record(tick, release);
}

/// Armed and not held: either at rest, or a roll that Serin did not start.
fn settle(tick: &mut Tick<'_>, target: &Target) {
    let Some(serving) = target.serving.first() else {
        return rest(tick, target);
    };
    let known = tick
        .status
        .stable
        .as_ref()
        .map(|stable| stable.replica_set.clone())
        .unwrap_or_default();
    if known == serving.replica_set && target.revision == serving.revision {
        return rest(tick, target);
    }
    if !target.complete {
        tick.say("the target rolls without having been held; waiting until it is complete");
        return;
    }
    let unreleased = !known.is_empty() && serving.revision != tick.stable_revision();
    if unreleased {
        bypassed(
            tick,
            target,
            "a bypass label, or a write that no policy saw",
        );
        tick.status.candidate = None;
        tick.go(Phase::Initialized);
    }
    attempt::adopt_serving(tick, target);
    rest(tick, target);
}

fn rest(tick: &mut Tick<'_>, target: &Target) {
    if tick.status.phase == Phase::Failed
        && target.gitops.is_some()
        && tick.status.message.starts_with(ABORTED_LATE)
    {
        return;
    }
    if tick.status.phase == Phase::Failed {
        tick.status.candidate = None;
        tick.go(Phase::Initialized);
    }
    let text = match tick.status.phase {
        Phase::Succeeded => format!("idle: revision {} was promoted", tick.stable_revision()),
        _ => "idle: the next change of the Pod template will be tried as a canary".to_owned(),
    };
    tick.say(text);
}

/// A template is held: stable's own is released, any other is a candidate.
fn held(tick: &mut Tick<'_>, target: &Target) -> Asked<()> {
    if target.revision == tick.stable_revision() {
        tick.say("the stable template is back; the hold is released");
        return Ok(());
    }
    if tick.spec.suspend {
        tick.say("suspended: a candidate is held");
        return Ok(());
    }
    if tick.status.phase == Phase::Failed && rejected_before(tick, target) {
        return Ok(());
    }
    if target.replicas == 0 {
        skip(tick, target);
        return Ok(());
    }
    if let Some(refusal) = tick.refusal() {
        tick.say(format!(
            "a candidate is held, and cannot be tried: {refusal}"
        ));
        return Ok(());
    }
    if !attempt::retired(tick) {
        let left = if tick.seen.canary.is_some() {
            "the last canary is still being removed"
        } else {
            "the route of weight 0 is not in force everywhere yet"
        };
        tick.say(format!("a candidate is held; {left}"));
        return Ok(());
    }
    if ahead(tick, target) {
        tick.say("a candidate is held; the Canary does not name its revision yet");
        return Ok(());
    }
    attempt::begin(tick, target)
}

/// The template came before its Canary, as with Helm, which writes the Deployment first: the plan that is meant for it comes in the
/// next write. Who never writes one waits as long as the handshake does.
fn ahead(tick: &mut Tick<'_>, target: &Target) -> bool {
    let named = tick.spec.revision.is_some() && target.declared.is_some();
    if !named || target.declared == tick.spec.revision {
        return false;
    }
    let expires = tick
        .status
        .handshake_at
        .get_or_insert(tick.now)
        .after(HANDSHAKE);
    if tick.now >= expires {
        tick.status.handshake_at = None;
        return false;
    }
    tick.wake_at(expires);
    true
}

/// The held template is the rejected one, or differs from it in nothing that runs.
fn rejected_before(tick: &mut Tick<'_>, target: &Target) -> bool {
    let Some(candidate) = tick.candidate() else {
        return false;
    };
    if candidate.revision == target.revision {
        return true;
    }
    if candidate.containers != target.containers {
        return false;
    }
    let verdict = candidate
        .verdict
        .as_ref()
        .map(|verdict| verdict.reason.clone())
        .unwrap_or_default();
    let text =
        format!("same containers as the rejected candidate; `retry` tries them again. {verdict}");
    if tick.status.message != text {
        tick.warn("SameAsRejected", text.clone());
    }
    tick.say(text);
    true
}

/// Nothing serves, so there is nothing to protect.
fn skip(tick: &mut Tick<'_>, target: &Target) {
    tick.note(
        "Skipped",
        format!(
            "the target has no Pods: revision {} is released without a canary",
            target.revision
        ),
    );
    let release = Release {
        revision: target.revision.clone(),
        images: target.images.clone(),
        outcome: Outcome::Skipped,
        marks: Vec::<Mark>::new(),
        reason: "the target has no Pods, so there is nothing to protect".to_owned(),
        by: None,
        started_at: Some(tick.now),
        ended_at: tick.now,
        attempt: 0,
    };
    attempt::record(tick, release);
    tick.status.candidate = None;
    attempt::adopt_serving(
        tick,
        &Target {
            serving: Vec::new(),
            ..target.clone()
        },
    );
    tick.go(Phase::Succeeded);
    tick.say("released without a canary: the target has no Pods");
}

/// A stable template is being put back in an idle phase (`undo`): done once the target has it and rolled out.
fn revert(tick: &mut Tick<'_>, target: &Target) {
    let Some(revision) = tick.status.revert.clone() else {
        return;
    };
    let back = target.revision == revision && target.complete && !matches!(target.gate, Gate::Held);
    if !back {
        tick.say(format!("putting revision {revision} back"));
        return;
    }
    tick.status.revert = None;
    tick.status.candidate = None;
    attempt::adopt_serving(tick, target);
    tick.note(
        "Reverted",
        format!("revision {revision} is back on the target"),
    );
    tick.go(Phase::Initialized);
    rest(tick, target);
}
