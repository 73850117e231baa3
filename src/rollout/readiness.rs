//! Whether the canary is ready, and what becomes of one that is not: waited for, or rejected with a diagnosis.

use std::time::Duration;

use crate::crd::moment::Moment;
use crate::crd::status::{Diagnosis, Outcome, Phase};
use crate::rollout::attempt;
use crate::rollout::observed::{CanaryArm, Readiness};
use crate::rollout::tick::Tick;

/// A registry's "not found" may be a late push: so long it is waited for (SAFETY, waits).
const IMAGE_PATIENCE: Duration = Duration::from_secs(30);

/// The canary, once it has `pods` ready; until then says what is missing, and rejects what can never be ready.
pub(crate) fn ready_canary<'a>(tick: &mut Tick<'a>, pods: i32) -> Option<&'a CanaryArm> {
    let candidate = tick.candidate_revision().to_owned();
    let canary = tick
        .canary_arm()
        .filter(|canary| canary.arm.revision == candidate && !canary.deleting);
    tick.status.diagnosis = canary
        .map(|canary| remember(&tick.status.diagnosis, canary, tick.now))
        .unwrap_or_default();
    let Some(canary) = canary else {
        tick.say("deploying the canary");
        late(tick, "the canary could not be deployed");
        return None;
    };
    if canary.arm.readiness == Readiness::Ready
        && canary.arm.replicas >= pods
        && tick.seen.services.points_at_canary
    {
        return Some(canary);
    }
    let missing = match &canary.arm.readiness {
        Readiness::Ready => format!("growing the canary to {pods} Pods"),
        Readiness::Progressing(why) | Readiness::Stuck(why) => {
            format!("waiting for the canary: {why}")
        }
    };
    tick.say(missing);
    if matches!(canary.arm.readiness, Readiness::Stuck(_)) || !tick.status.diagnosis.is_empty() {
        hopeless(tick);
    }
    if tick.status.phase != Phase::Failed {
        late(tick, "the canary did not become ready");
    }
    None
}

/// Diagnoses of now, with the time since when each was seen.
fn remember(known: &[Diagnosis], canary: &CanaryArm, now: Moment) -> Vec<Diagnosis> {
    let since = |new: &Diagnosis| {
        let same = |old: &&Diagnosis| {
            old.object == new.object
                && old.container == new.container
                && kin(&old.reason, &new.reason)
        };
        known
            .iter()
            .find(same)
            .and_then(|old| old.since)
            .unwrap_or(now)
    };
    canary
        .diagnosis
        .iter()
        .map(|new| Diagnosis {
            since: Some(since(new)),
            ..new.clone()
        })
        .take(5)
        .collect()
}

/// The kubelet alternates between these two for one cause.
fn kin(one: &str, other: &str) -> bool {
    let pull = |reason: &str| matches!(reason, "ErrImagePull" | "ImagePullBackOff");
    one == other || (pull(one) && pull(other))
}

/// Rejects a candidate that cannot start: at once, or after the registry's patience.
fn hopeless(tick: &mut Tick<'_>) {
    let Some(worst) = tick
        .status
        .diagnosis
        .iter()
        .find(|found| found.hopeless)
        .cloned()
    else {
        return;
    };
    let patience = if kin(&worst.reason, "ErrImagePull") {
        IMAGE_PATIENCE
    } else {
        Duration::ZERO
    };
    let since = worst.since.unwrap_or(tick.now);
    let due = since.after(patience);
    if due > tick.now {
        tick.wake_at(due);
        return;
    }
    attempt::fail(tick, Outcome::RolledBack, describe(&worst), None);
}

fn describe(found: &Diagnosis) -> String {
    let container = found
        .container
        .as_ref()
        .map_or_else(String::new, |name| format!(", container {name}"));
    format!(
        "{}{container}: {}: {}. {}",
        found.object, found.reason, found.message, found.hint
    )
}

/// Past the step's deadline without progress the candidate is rejected.
pub(crate) fn late(tick: &mut Tick<'_>, what: &str) {
    let Some(deadline) = tick.step().map(|step| step.deadline_at) else {
        return;
    };
    if deadline > tick.now {
        tick.wake_at(deadline);
        return;
    }
    let why = tick
        .status
        .diagnosis
        .first()
        .map_or_else(|| tick.status.message.clone(), describe);
    let seconds = tick.progress_deadline().as_secs();
    tick.warn("DeadlineExceeded", format!("{what} within {seconds} s"));
    attempt::fail(
        tick,
        Outcome::RolledBack,
        format!("{what} within {seconds} s: {why}"),
        None,
    );
}
