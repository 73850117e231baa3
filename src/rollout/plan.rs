//! Actions: the difference between the intent in the status and what is observed, in safe order. The safety rules stand here and
//! nowhere else: no weight to an arm that is not ready; on the way back the weight goes first; the canary goes only when nothing can
//! reach it any more; only what was analysed is released.

use std::time::Duration;

use crate::crd::canary::{DeletionPolicy, OnFailure};
use crate::crd::status::{Outcome, Phase};
use crate::rollout::decision::Action;
use crate::rollout::observed::{Gate, Presence, Readiness, Routes, Target, TrafficKind, Weight};
use crate::rollout::tick::Tick;
use crate::rollout::{ending, size};

/// How long the verdict stands on the target (SAFETY G9).
pub(crate) const VERDICT_LIFETIME: Duration = Duration::from_secs(600);

/// What to do now, in this order.
pub(crate) fn actions(tick: &Tick<'_>) -> Vec<Action> {
    let mut plan = Vec::new();
    if !tick.has_finalizer() && !tick.deleting() {
        return vec![Action::Adopt];
    }
    match tick.status.phase {
        Phase::Terminating => end(tick, &mut plan),
        Phase::Initializing => initialize(tick, &mut plan),
        Phase::Initialized | Phase::Succeeded | Phase::Failed => idle(tick, &mut plan),
        Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion => progress(tick, &mut plan),
        Phase::Promoting => promote(tick, &mut plan),
        Phase::Finalising => retire(tick, &mut plan),
    }
    if let Some(text) = &tick.acknowledge {
        plan.push(Action::Acknowledge(text.clone()));
    }
    plan
}

fn initialize(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    let Some(target) = tick.target() else { return };
    if tick.refusal().is_some() || tick.spec.suspend {
        return;
    }
    retire(tick, plan);
    serve(tick, plan);
    let services = &tick.seen.services;
    if services.apex == Presence::There
        && services.canary == Presence::There
        && tick.seen.split.is_none()
    {
        plan.push(Action::Route(Routes::default()));
    }
    never_released(tick, target, plan);
    let ready = target.gate == Gate::Open && target.complete && tick.seen.policies.is_some();
    if ready && tick.in_force() {
        plan.push(Action::Arm);
    }
}

/// A copy or a backup may bring a Deployment that is held and never ran (SAFETY F29): availability first.
fn never_released(tick: &Tick<'_>, target: &Target, plan: &mut Vec<Action>) {
    let new = target.serving.is_empty() && target.replicas > 0 && tick.status.stable.is_none();
    if target.gate == Gate::Held && new {
        plan.push(Action::Release {
            revision: target.revision.clone(),
        });
    }
}

/// Services that are missing are made, unless there is nothing any more that they could lead to.
fn serve(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    let services = &tick.seen.services;
    if tick.target().is_none() {
        return;
    }
    if services.apex == Presence::Missing || services.canary == Presence::Missing {
        plan.push(Action::Serve);
    }
}

/// Idle: the rejected canary goes, stable's own template is released, drift is put right.
fn idle(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    if tick.status.phase == Phase::Failed && keeps_canary(tick) {
        route(tick, plan);
    } else {
        retire(tick, plan);
    }
    let Some(target) = tick.target() else { return };
    if tick.refusal().is_none() && !tick.spec.suspend {
        serve(tick, plan);
    }
    give_verdict(tick, target, plan);
    preserve(tick, target, plan);
    put_back(tick, target, plan);
    if let Some(at) = tick.status.restart_at
        && target.gate == Gate::Armed
    {
        plan.push(Action::Restart(at.to_string()));
    }
    if let Some(before) = tick.status.evict_before
        && target.gate == Gate::Held
    {
        plan.push(Action::Evict(before));
    }
}

/// `onFailure: Pause` keeps the rejected canary for inspection.
fn keeps_canary(tick: &Tick<'_>) -> bool {
    let verdict = tick
        .candidate()
        .and_then(|candidate| candidate.verdict.as_ref());
    let rolled_back = verdict.is_some_and(|verdict| verdict.outcome == Outcome::RolledBack);
    let held = tick.target().is_some_and(|target| {
        target.revision == tick.candidate_revision() && target.gate == Gate::Held
    });
    tick.spec.analysis.on_failure == OnFailure::Pause
        && rolled_back
        && held
        && tick.status.revert.is_none()
}

/// Stable's template on the target: written if it is wanted back, released if it is held, unmarked when that is done.
fn put_back(tick: &Tick<'_>, target: &Target, plan: &mut Vec<Action>) {
    if let Some(revision) = &tick.status.revert
        && target.revision != *revision
    {
        if matches!(target.gate, Gate::Armed | Gate::Held | Gate::Reverting) {
            plan.push(Action::Revert {
                revision: revision.clone(),
            });
        }
        return;
    }
    let wanted = tick
        .status
        .revert
        .as_deref()
        .unwrap_or(tick.stable_revision());
    if target.gate == Gate::Held && target.revision == wanted {
        plan.push(Action::Release {
            revision: target.revision.clone(),
        });
    } else if target.gate == Gate::Reverting && target.revision == wanted && target.complete {
        plan.push(Action::Reverted);
    }
}

/// The verdict stands on the target while its rejected template is held, for ten minutes; in every other state it is taken back.
fn give_verdict(tick: &Tick<'_>, target: &Target, plan: &mut Vec<Action>) {
    let verdict = tick
        .candidate()
        .and_then(|candidate| candidate.verdict.as_ref());
    let rejected = tick.status.phase == Phase::Failed
        && target.gate == Gate::Held
        && target.revision == tick.candidate_revision();
    let fresh = verdict.filter(|verdict| rejected && tick.now.since(verdict.at) < VERDICT_LIFETIME);
    let text = fresh.map(|verdict| {
        format!(
            "serin: canary {}: {}",
            tick.candidate_revision(),
            verdict.reason
        )
    });
    if target.gate == Gate::Held
        && target.verdict != text
        && target.revision != tick.stable_revision()
    {
        plan.push(Action::Verdict(text));
    }
}

/// While a template is held, nothing but stable may come back from zero (SAFETY G11).
fn preserve(tick: &Tick<'_>, target: &Target, plan: &mut Vec<Action>) {
    let stable = tick.stable_revision();
    if target.gate == Gate::Held
        && target.revision != stable
        && !stable.is_empty()
        && (target.leftovers || !target.kept)
    {
        plan.push(Action::Preserve {
            stable: stable.to_owned(),
            candidate: target.revision.clone(),
        });
    }
}

fn progress(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    let Some(target) = tick.target() else { return };
    let verdict = tick
        .candidate()
        .is_none_or(|candidate| candidate.verdict.is_some());
    let foreign = tick
        .canary_arm()
        .is_some_and(|canary| canary.arm.revision != tick.candidate_revision());
    if verdict || foreign {
        retire(tick, plan);
        if verdict {
            put_back(tick, target, plan);
        }
        return;
    }
    if target.verdict.is_some() && target.gate == Gate::Held {
        plan.push(Action::Verdict(None));
    }
    route(tick, plan);
    preserve(tick, target, plan);
    if tick.refusal().is_some() || tick.spec.suspend {
        return;
    }
    serve(tick, plan);
    if tick.status.phase != Phase::Waiting {
        lock(tick, plan);
        place(tick, plan);
    }
}

/// Locked before the first request (SAFETY C2).
fn lock(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    let capacity = &tick.seen.capacity;
    if capacity.autoscaler.is_some() && !capacity.locked && capacity.unprotected.is_none() {
        plan.push(Action::Lock);
    }
}

fn lockable_and_open(tick: &Tick<'_>) -> bool {
    let capacity = &tick.seen.capacity;
    capacity.autoscaler.is_some() && !capacity.locked && capacity.unprotected.is_none()
}

/// The canary workload, at the size of the largest weight that may reach it. It never shrinks while a weight may.
fn place(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    let written = tick.written().unwrap_or_default();
    let replicas = size::canary(tick, tick.wanted().or(planned(tick)).or(written));
    let wanted = if tick.kind() == TrafficKind::Replicas {
        tick.status.traffic.wanted
    } else {
        0
    };
    let current = tick.canary_arm();
    if current.is_some_and(|canary| canary.deleting) {
        return;
    }
    let grown = current.is_some_and(|canary| canary.arm.replicas >= replicas);
    let weighed = tick.kind() != TrafficKind::Replicas
        || tick
            .written()
            .is_some_and(|seen| seen.canary.percent() == wanted);
    // A backend without a ready Pod takes the whole route with it at some proxies: the Service follows once there is one.
    let services = &tick.seen.services;
    let pointed = services.selects_canary || !services.canary_has_pods;
    if grown && weighed && pointed {
        return;
    }
    let autoscale = tick.seen.capacity.copyable && tick.seen.capacity.locked;
    plan.push(Action::Place {
        revision: tick.candidate_revision().to_owned(),
        replicas,
        weight: wanted,
        autoscale,
    });
}

/// What the step that is under way is to give the canary.
fn planned(tick: &Tick<'_>) -> Routes {
    let index = tick
        .step()
        .and_then(|step| usize::try_from(step.index).ok());
    index
        .and_then(|index| tick.status.plan.get(index))
        .map_or_else(Routes::default, Routes::planned)
}

/// Scales the main release up where traffic has to come back to one that was made smaller meanwhile.
fn widen(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    plan.extend(size::widen(tick).map(Action::ScaleUp));
}

/// Moves the weight: down at once, up only onto an arm that is ready and protected.
fn route(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    if tick.kind() == TrafficKind::Replicas {
        return;
    }
    let Some(split) = &tick.seen.split else {
        let allowed = Some(tick.wanted()).filter(|_| may_raise(tick));
        plan.push(Action::Route(allowed.unwrap_or_default()));
        return;
    };
    let goal = goal(tick);
    if split.routes != Some(goal) {
        plan.push(Action::Route(goal));
    }
}

/// What may be written now.
fn goal(tick: &Tick<'_>) -> Routes {
    let wanted = tick.wanted();
    let written = tick.written().unwrap_or_default();
    if !wanted.reach() {
        return Routes::share(size::retreat_weight(tick));
    }
    if wanted == written || may_raise(tick) {
        return wanted;
    }
    // What was in force may stay, but not what somebody else added.
    let mut kept = wanted.and(written);
    kept.canary = kept.canary.min(Weight::new(tick.status.canary_weight));
    kept
}

/// The canary is ready, as large as the wanted weight needs, behind its Service, and stable cannot shrink (SAFETY T3, C2).
fn may_raise(tick: &Tick<'_>) -> bool {
    let Some(canary) = tick.canary_arm() else {
        return false;
    };
    let enough = canary.arm.replicas >= size::canary(tick, tick.wanted());
    let ready = canary.arm.readiness == Readiness::Ready && canary.arm.ready > 0;
    let ours = canary.arm.revision == tick.candidate_revision() && !canary.deleting;
    enough && ready && ours && tick.seen.services.points_at_canary && !lockable_and_open(tick)
}

/// Promotion: the target rolls, the canary keeps its share.
fn promote(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    let Some(target) = tick.target() else { return };
    route(tick, plan);
    let shared = tick.canary_arm().is_some() && tick.wanted().reach();
    if shared && !tick.in_force() && tick.kind() == TrafficKind::Switched {
        return;
    }
    if tick.status.revert.is_some() || target.revision == tick.stable_revision() {
        return put_back(tick, target, plan);
    }
    if target.gate == Gate::Held && target.revision == tick.candidate_revision() && switched(tick) {
        plan.push(Action::Release {
            revision: target.revision.clone(),
        });
    }
}

/// Blue/green: the main release rolls only once every client is on the canary.
fn switched(tick: &Tick<'_>) -> bool {
    tick.kind() != TrafficKind::Switched || !tick.wanted().reach() || tick.settled()
}

/// The way back: weight 0, accepted and settled; the canary Service points to stable; then the canary and the lock go.
fn retire(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    let services = &tick.seen.services;
    let nothing = tick.seen.canary.is_none() && services.idle && !tick.seen.capacity.locked;
    widen(tick, plan);
    route_back(tick, plan);
    if nothing {
        return;
    }
    let routed = tick.kind() != TrafficKind::Replicas && tick.seen.split.is_some();
    if tick.wanted().reach() || (routed && !tick.settled()) {
        return;
    }
    if !services.idle && services.canary == Presence::There {
        plan.push(Action::Idle);
    }
    match &tick.seen.canary {
        Some(canary) if !canary.deleting => plan.push(Action::Remove),
        Some(_) => {}
        None if tick.seen.capacity.locked => plan.push(Action::Unlock),
        None => {}
    }
}

/// Weight 0, and drift put right, wherever a route stands. Where none does, none is made for that.
fn route_back(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    if tick.seen.split.is_some() {
        route(tick, plan);
    }
}

/// The end of the Canary: as after a rejection, then the target by policy, routes, gate, and at last the finalizer.
fn end(tick: &Tick<'_>, plan: &mut Vec<Action>) {
    if ending::expired(tick) {
        return plan.extend([
            Action::GiveBack,
            Action::Disarm,
            Action::Forget,
            Action::LetGo,
        ]);
    }
    let given_back = tick
        .status
        .ending
        .as_ref()
        .and_then(|ending| ending.given_back);
    let Some(given_back) = given_back else {
        retire(tick, plan);
        if let Some(target) = tick.target()
            && tick.seen.canary.is_none()
            && (ending::policy(tick, target) == DeletionPolicy::Revert
                || target.revision == tick.stable_revision())
        {
            put_back(tick, target, plan);
        }
        return;
    };
    plan.push(Action::GiveBack);
    let settle = Duration::from_secs(u64::from(tick.seen.abilities.settle_seconds.min(5)));
    if tick.now.since(given_back) < settle {
        return;
    }
    // Without a target, too: what was kept for it goes then.
    plan.extend([Action::Disarm, Action::Forget, Action::LetGo]);
}
