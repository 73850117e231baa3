//! Terminating: everything is given back, and nothing unverified is released.

use std::time::Duration;

use crate::crd::canary::DeletionPolicy;
use crate::rollout::attempt;
use crate::rollout::observed::{Gate, Routes, Target};
use crate::rollout::tick::Tick;

/// After so long the finalizer goes, whatever could not be given back (SAFETY L3).
const PATIENCE: Duration = Duration::from_secs(600);

/// One tick of the end: weight 0 and no canary, then the target by `deletionPolicy`, then the routes.
pub(crate) fn end(tick: &mut Tick<'_>) {
    tick.leave();
    if expired(tick) {
        tick.warn(
            "FinaliseStuck",
            format!(
                "gave up after {} s: {}",
                PATIENCE.as_secs(),
                tick.status.message
            ),
        );
        return;
    }
    if !gone(tick) {
        tick.say("ending: the canary is being removed");
        if let Some(at) = tick.settled_at() {
            tick.wake_at(at);
        }
        tick.wake_in(5);
        return;
    }
    let target = tick.target();
    if target.is_some_and(|target| wants_revert(tick, target)) {
        tick.status.revert = Some(tick.stable_revision().to_owned());
        tick.say("ending: the stable template is being put back");
        tick.wake_in(5);
        return;
    }
    if tick.status.revert.take().is_some() {
        tick.note(
            "Reverted",
            "the stable template is back on the target; nothing unverified was released",
        );
    }
    let now = tick.now;
    let Some(ending) = &mut tick.status.ending else {
        return;
    };
    ending.given_back = ending.given_back.or(Some(now));
    tick.say("ending: routes and gate are given back");
    tick.wake_in(1);
}

/// No canary and no lock, and no weight as far as a route exists.
fn gone(tick: &Tick<'_>) -> bool {
    let unlocked = !tick.seen.capacity.locked;
    let given_back = tick
        .status
        .ending
        .as_ref()
        .is_some_and(|ending| ending.given_back.is_some());
    let routed = tick.written().is_some_and(Routes::reach);
    tick.seen.canary.is_none()
        && unlocked
        && (given_back || !routed && (tick.seen.split.is_none() || attempt::retired(tick)))
}

/// The held template is not stable's, and the policy wants stable's back.
fn wants_revert(tick: &Tick<'_>, target: &Target) -> bool {
    let stable = tick.stable_revision();
    let held = matches!(target.gate, Gate::Held | Gate::Reverting);
    if !held || stable.is_empty() {
        return false;
    }
    let foreign = target.revision != stable;
    match policy(tick, target) {
        DeletionPolicy::Revert => {
            foreign
                || target.gate == Gate::Held
                || (target.gate == Gate::Reverting && !target.complete)
        }
        DeletionPolicy::Hold => !foreign && target.gate == Gate::Held,
    }
}

/// `Revert` unless a GitOps manager would only put the candidate back.
pub(crate) fn policy(tick: &Tick<'_>, target: &Target) -> DeletionPolicy {
    let default = if target.gitops.is_some() {
        DeletionPolicy::Hold
    } else {
        DeletionPolicy::Revert
    };
    tick.spec.deletion_policy.unwrap_or(default)
}

/// The time to give everything back is over.
pub(crate) fn expired(tick: &Tick<'_>) -> bool {
    tick.status
        .ending
        .as_ref()
        .is_some_and(|ending| tick.now.since(ending.since) > PATIENCE)
}
