//! Promoting and Finalising: the main release rolls behind the canary, then traffic returns to it.

use std::time::Duration;

use crate::crd::moment::Moment;
use crate::crd::status::{Outcome, Phase};
use crate::rollout::idle::ABORTED_LATE;
use crate::rollout::observed::{Gate, Routes, Target, TrafficKind, Weight};
use crate::rollout::tick::Tick;
use crate::rollout::{attempt, size};

/// How long the way back may take until it is said to be stuck (LIFECYCLE).
const FINALISE: Duration = Duration::from_secs(600);

/// All steps passed, or were left out by somebody who may: the main release is next.
pub(crate) fn begin(tick: &mut Tick<'_>) {
    let mut routes = tick.wanted();
    // Copies are of no use to anybody any more.
    routes.mirror = Weight::ZERO;
    if tick.kind() == TrafficKind::Switched && tick.seen.canary.is_some() {
        routes.canary = Weight::ALL;
    }
    tick.want(routes);
    if let Some(step) = &mut tick.status.step {
        step.waiting = None;
        step.next_at = None;
    }
    tick.go(Phase::Promoting);
    tick.note(
        "Promoting",
        format!(
            "revision {} rolls out on the target, behind the canary",
            tick.candidate_revision()
        ),
    );
    tick.say("promoting: the main release rolls out");
}

/// Weight kept; done when the main release is complete and available at the analysed revision.
pub(crate) fn promote(tick: &mut Tick<'_>) {
    let Some(target) = tick.target() else {
        tick.say(format!(
            "Deployment {} does not exist any more; the canary keeps serving",
            tick.spec.target_ref.name
        ));
        return;
    };
    lean_on_target(tick, target);
    if let Some(at) = tick.settled_at().filter(|at| *at > tick.now) {
        tick.wake_at(at);
    }
    if tick.status.revert.is_some() {
        return way_back(tick, target);
    }
    let rolling = matches!(target.gate, Gate::Armed | Gate::Open);
    if target.revision == tick.candidate_revision() {
        if rolling && target.complete {
            return complete(tick);
        }
        return report(tick, target);
    }
    if target.revision == tick.stable_revision() {
        put_back(tick, target);
    } else if target.gate == Gate::Reverting || knows_better(tick, target) {
        tick.say("writing the promoted template to the target");
    } else {
        overtaken(tick, target);
    }
}

/// A rollback to a known template that is not on the target yet.
fn knows_better(tick: &Tick<'_>, target: &Target) -> bool {
    tick.status.revert.is_some() && target.gate == Gate::Armed
}

fn complete(tick: &mut Tick<'_>) {
    if let Some(step) = &mut tick.status.step {
        step.started_at = tick.now;
    }
    tick.go(Phase::Finalising);
    tick.say("the main release is complete; traffic returns to it");
}

fn report(tick: &mut Tick<'_>, target: &Target) {
    if let Some(why) = &target.stuck {
        let text = format!(
            "promotion is stuck: {why}; the canary keeps serving. `abort` puts the stable revision back"
        );
        if tick.status.message != text {
            tick.warn("PromotionStuck", text.clone());
        }
        return tick.say(text);
    }
    tick.say(format!(
        "promoting: {} of {} Pods of the main release run revision {}",
        target.ready_updated,
        target.replicas,
        tick.candidate_revision()
    ));
}

/// While promoting, the main release runs only validated revisions: a canary that is lost gives its traffic to it.
fn lean_on_target(tick: &mut Tick<'_>, target: &Target) {
    let ready = tick.canary_arm().map_or(0, |canary| canary.arm.ready);
    if tick.wanted().reach()
        && ready == 0
        && target.ready > 0
        && tick.kind() != TrafficKind::Replicas
    {
        tick.warn(
            "CanaryLost",
            "the canary has no ready Pods; the main release takes the traffic",
        );
        tick.leave();
    }
}

/// Stable was put back in mid promotion: an abort (SAFETY T7). Traffic stays on the canary until stable is complete.
fn put_back(tick: &mut Tick<'_>, target: &Target) {
    if target.gate == Gate::Held {
        tick.say("the stable template was put back in mid promotion; it is released again");
        return;
    }
    if !target.complete {
        tick.say("stable rolls out again; the canary keeps serving until it is complete");
        return;
    }
    attempt::close(
        tick,
        Outcome::Aborted,
        "the stable template was put back in mid promotion".to_owned(),
        None,
    );
    tick.warn(
        "Aborted",
        "the stable template was put back in mid promotion",
    );
    tick.leave();
    tick.status.step = None;
    tick.go(Phase::Progressing);
}

/// A person aborted: stable goes back on the target, then traffic, then the canary goes.
fn way_back(tick: &mut Tick<'_>, target: &Target) {
    let Some(revision) = tick.status.revert.clone() else {
        return;
    };
    let back = target.revision == revision && target.complete && target.gate != Gate::Held;
    if !back {
        tick.say(format!(
            "putting revision {revision} back; the canary keeps serving until it is complete"
        ));
        return;
    }
    tick.status.revert = None;
    tick.note(
        "Reverted",
        format!("revision {revision} is back on the target"),
    );
    if tick
        .candidate()
        .is_some_and(|candidate| candidate.revision == revision)
    {
        return complete(tick);
    }
    let request = tick.status.last_request.clone();
    let by = request.and_then(|request| request.by);
    attempt::fail(
        tick,
        Outcome::Aborted,
        format!("{ABORTED_LATE}; the stable revision was put back"),
        by,
    );
}

/// A later template was held in mid roll: what runs is a mix of validated revisions. Traffic returns to it, the canary goes, and
/// the new template is the next candidate, with the promoted revision as its stable (GATE).
fn overtaken(tick: &mut Tick<'_>, target: &Target) {
    if target.gate != Gate::Held {
        attempt::close(
            tick,
            Outcome::Bypassed,
            "another template was let through in mid promotion".to_owned(),
            None,
        );
        tick.leave();
        tick.go(Phase::Progressing);
        return;
    }
    let promoted = target
        .serving
        .iter()
        .find(|set| set.revision == tick.candidate_revision());
    let Some(promoted) = promoted else {
        let text = format!(
            "superseded by revision {} before the roll began",
            target.revision
        );
        attempt::close(tick, Outcome::Superseded, text, None);
        tick.go(Phase::Progressing);
        return;
    };
    let enough = i64::from(target.ready) * 10 >= i64::from(target.replicas) * 9;
    if !enough {
        tick.say("a later template is held; waiting until the main release has enough Pods");
        return;
    }
    let stable = crate::crd::status::StableStatus {
        revision: promoted.revision.clone(),
        images: promoted.images.clone(),
        since: Some(tick.now),
        replica_set: promoted.replica_set.clone(),
        target_uid: target.uid.clone(),
        configs: target.configs.clone(),
    };
    attempt::close(
        tick,
        Outcome::Promoted,
        "a later template was held in mid roll".to_owned(),
        None,
    );
    tick.note(
        "Promoted",
        format!(
            "revision {} was promoted; a later template was held in mid roll",
            promoted.revision
        ),
    );
    tick.status.stable = Some(stable);
    tick.leave();
    tick.go(Phase::Progressing);
}

/// Traffic to the main release, once it is as wide as the way out was; then the canary goes (SAFETY C6).
pub(crate) fn finalise(tick: &mut Tick<'_>) {
    let Some(target) = tick.target() else {
        tick.say("the target does not exist any more; the canary keeps serving");
        return;
    };
    let need = size::way_back(tick);
    if target.revision == tick.candidate_revision()
        && target.ready_updated < need
        && tick.wanted().reach()
    {
        tick.say(format!(
            "waiting until the main release has {need} Pods ready ({} are)",
            target.ready_updated
        ));
        return late(tick);
    }
    match keeps_for_now(tick) {
        Some(canary) => tick.want(Routes {
            canary,
            ..tick.wanted()
        }),
        None => tick.leave(),
    }
    if !attempt::retired(tick) {
        tick.say(match tick.wanted().canary.percent() {
            0 => "traffic returns to the main release; then the canary goes".to_owned(),
            share => {
                format!("traffic returns to the main release in steps; the canary keeps {share} %")
            }
        });
        if let Some(at) = tick.settled_at().filter(|at| *at > tick.now) {
            tick.wake_at(at);
        }
        return late(tick);
    }
    let evidence = evidence(tick);
    attempt::close(tick, Outcome::Promoted, evidence.clone(), None);
    attempt::adopt_serving(tick, target);
    tick.note(
        "Promoted",
        format!(
            "revision {} is the main release: {evidence}",
            tick.candidate_revision()
        ),
    );
    tick.status.step = None;
    tick.go(Phase::Succeeded);
    tick.say(format!(
        "promoted revision {}: {evidence}",
        tick.stable_revision()
    ));
}

/// What the canary keeps for now on a way back in steps (`stepWeightPromotion`); `None`: nothing. The first step is taken at once, each
/// further one an interval after the one before it has settled. A canary without Pods keeps nothing.
fn keeps_for_now(tick: &mut Tick<'_>) -> Option<Weight> {
    let by = tick.spec.analysis.step_weight_promotion?;
    let by = u8::try_from(by.clamp(1, 100)).unwrap_or(100);
    let share = tick.wanted().canary.percent();
    let ready = tick.canary_arm().map_or(0, |canary| canary.arm.ready);
    if tick.kind() != TrafficKind::Weighted || share == 0 || ready == 0 {
        return None;
    }
    if way_back_since(tick) == tick.status.traffic.wanted_at {
        let due = tick.settled_at().map(|at| at.after(tick.interval()));
        if due.is_none_or(|due| due > tick.now) {
            due.into_iter().for_each(|due| tick.wake_at(due));
            return Some(Weight::new(share));
        }
    }
    let rest = share.saturating_sub(by);
    (rest > 0).then(|| Weight::new(rest))
}

/// When the last step of the way back was taken, or the way back began.
fn way_back_since(tick: &Tick<'_>) -> Option<Moment> {
    let began = tick.step().map(|step| step.started_at);
    began.max(tick.status.traffic.wanted_at)
}

fn late(tick: &mut Tick<'_>) {
    let due = way_back_since(tick).unwrap_or(tick.now).after(FINALISE);
    if due > tick.now {
        return tick.wake_at(due);
    }
    let text = format!(
        "the way back takes longer than {} s: {}",
        FINALISE.as_secs(),
        tick.status.message
    );
    tick.warn("FinaliseStuck", text.clone());
    tick.say(text);
    tick.wake_in(60);
}

/// Why it was promoted, in words.
fn evidence(tick: &Tick<'_>) -> String {
    use crate::crd::status::Mark;
    let Some(candidate) = tick.candidate() else {
        return String::new();
    };
    let rounds = tick.status.iterations;
    match candidate.exception {
        Some(Mark::KnownGood) => {
            return "it was promoted before, within the rollback window".to_owned();
        }
        Some(_) => return "without analysis, as was asked for".to_owned(),
        None => {}
    }
    let judges = if tick.seen.metrics.is_empty() {
        "readiness and restarts alone"
    } else {
        "all checks"
    };
    let unproven = if candidate.marks.contains(&Mark::Unproven) {
        ", unproven for want of traffic"
    } else {
        ""
    };
    format!("{rounds} rounds of {judges} passed{unproven}")
}
