//! Waiting, Progressing and WaitingPromotion: one step after the other.

use std::time::Duration;

use crate::crd::hook::HookKind;
use crate::crd::status::{Mark, Outcome, Phase, PlannedStep, Wait};
use crate::rollout::observed::{Acceptance, CanaryArm, Gate, Routes, Target};
use crate::rollout::readiness::{late, ready_canary};
use crate::rollout::tick::{Asked, Tick};
use crate::rollout::{attempt, checks, hooks, promotion, size};

/// One tick of an attempt that is under way.
pub(crate) fn advance(tick: &mut Tick<'_>) -> Asked<()> {
    let Some(target) = tick.target() else {
        tick.say(format!(
            "Deployment {} does not exist any more; the canary's share stays as it is",
            tick.spec.target_ref.name
        ));
        return Ok(());
    };
    if tick
        .candidate()
        .is_none_or(|candidate| candidate.verdict.is_some())
    {
        retreat(tick);
        return Ok(());
    }
    if overtaken(tick, target) {
        retreat(tick);
        return Ok(());
    }
    lost_readiness(tick);
    if tick.status.phase != Phase::Failed {
        hooks::watch(tick)?;
    }
    if tick.status.phase == Phase::Failed {
        return Ok(());
    }
    if let Some(reason) = on_hold(tick, target) {
        tick.say(reason);
        return Ok(());
    }
    if tick
        .candidate()
        .is_some_and(|candidate| candidate.exception.is_some())
    {
        hurry(tick);
        return Ok(());
    }
    step(tick)
}

/// Something other than a verdict ended the attempt: stable put back, another template, a bypass, a new target.
fn overtaken(tick: &mut Tick<'_>, target: &Target) -> bool {
    let uid = tick
        .status
        .stable
        .as_ref()
        .map(|stable| stable.target_uid.clone())
        .unwrap_or_default();
    if uid != target.uid {
        end(tick, Outcome::Aborted, "the target was made anew");
    } else if target.gate == Gate::Open {
        end(
            tick,
            Outcome::Bypassed,
            "the gate was taken off in mid-analysis",
        );
    } else if target.gate == Gate::PausedByOther || target.revision == tick.candidate_revision() {
        return bypassed_in_place(tick, target);
    } else if target.revision == tick.stable_revision() {
        end(tick, Outcome::Aborted, "the stable template was put back");
    } else if target.gate == Gate::Armed {
        end(
            tick,
            Outcome::Bypassed,
            "another template was let through by a bypass label",
        );
    } else {
        let text = format!("superseded by revision {}", target.revision);
        tick.note(
            "Superseded",
            format!("revision {} is {text}", tick.candidate_revision()),
        );
        attempt::close(tick, Outcome::Superseded, text, None);
    }
    true
}

/// The candidate itself was let through without its verdict.
fn bypassed_in_place(tick: &mut Tick<'_>, target: &Target) -> bool {
    if target.gate != Gate::Armed {
        return false;
    }
    end(
        tick,
        Outcome::Bypassed,
        "the candidate was let through by a bypass label",
    );
    true
}

fn end(tick: &mut Tick<'_>, outcome: Outcome, reason: &str) {
    let event = if outcome == Outcome::Bypassed {
        "Bypassed"
    } else {
        "Aborted"
    };
    tick.warn(
        event,
        format!("revision {}: {reason}", tick.candidate_revision()),
    );
    attempt::close(tick, outcome, reason.to_owned(), None);
}

/// Weight 0, then the canary goes; then what is held decides what comes next.
fn retreat(tick: &mut Tick<'_>) {
    tick.leave();
    tick.status.step = None;
    let verdict = tick
        .candidate()
        .and_then(|candidate| candidate.verdict.clone());
    let why = verdict
        .as_ref()
        .map_or_else(String::new, |verdict| verdict.reason.clone());
    if !attempt::retired(tick) {
        tick.say(format!("{why}: the canary is being removed"));
        if let Some(at) = tick.settled_at() {
            tick.wake_at(at.max(tick.now));
        }
        return;
    }
    tick.status.candidate = None;
    tick.status.plan.clear();
    tick.say(why);
    let bypassed = verdict.is_some_and(|verdict| verdict.outcome == Outcome::Bypassed);
    tick.go(if bypassed {
        Phase::Initializing
    } else {
        Phase::Initialized
    });
}

/// A canary that gets traffic and has lost Pods: weight 0 at once, and one failed check (LIFECYCLE, bad news does not wait).
fn lost_readiness(tick: &mut Tick<'_>) {
    let written = tick.written().unwrap_or_default();
    if !tick.wanted().reach() || !written.reach() {
        return;
    }
    let ready = tick.canary_arm().map_or(0, |canary| canary.arm.ready);
    let threshold = i64::from(tick.spec.analysis.canary_ready_threshold.clamp(1, 100));
    let floor = (i64::from(tick.status.traffic.backed) * threshold + 99) / 100;
    if i64::from(ready) >= floor && ready > 0 {
        return;
    }
    tick.status.failed_checks += 1;
    let text = format!(
        "{ready} of {} canary Pods that carried {written} are ready",
        tick.status.traffic.backed
    );
    tick.warn("CheckFailed", format!("{text}: weight 0"));
    tick.leave();
    if let Some(step) = &mut tick.status.step {
        step.clock_at = None;
        step.next_at = None;
    }
    judge_failures(tick, &text);
}

/// Enough failed checks end the attempt.
pub(crate) fn judge_failures(tick: &mut Tick<'_>, reason: &str) {
    let limit = tick.spec.analysis.threshold.max(1);
    if tick.status.failed_checks < limit {
        return;
    }
    let text = format!(
        "{reason} ({} of {limit} failed checks)",
        tick.status.failed_checks
    );
    attempt::fail(tick, Outcome::RolledBack, text, None);
}

/// Why the step stands still, without being anybody's fault.
fn on_hold(tick: &mut Tick<'_>, target: &Target) -> Option<String> {
    if tick.spec.suspend {
        return Some("suspended: the weight stays".to_owned());
    }
    if let Some(refusal) = tick.refusal() {
        return Some(format!("on hold: {refusal}"));
    }
    let broken = tick
        .candidate()
        .is_some_and(|candidate| candidate.marks.contains(&Mark::RollForward));
    if !broken && i64::from(target.ready) * 10 < i64::from(target.replicas) * 9 {
        extend(tick);
        return Some(format!(
            "on hold: stable has {} of {} Pods ready",
            target.ready, target.replicas
        ));
    }
    if tick.contested() && tick.step().is_some_and(|step| step.waiting.is_none()) {
        wait(tick, Wait::Contested);
    }
    None
}

/// The deadline moves on: what stands in the way is not the candidate's fault. Comes back before it passes.
pub(crate) fn extend(tick: &mut Tick<'_>) {
    let deadline = tick.now.after(tick.progress_deadline());
    let half = tick.progress_deadline() / 2;
    tick.wake_at(tick.now.after(half));
    if let Some(step) = &mut tick.status.step
        && step.deadline_at < tick.now.after(half)
    {
        step.deadline_at = deadline;
    }
}

/// Without analysis: promoted as soon as the canary is ready, at whatever weight it has.
fn hurry(tick: &mut Tick<'_>) {
    let Some(canary) = ready_canary(tick, size::canary(tick, tick.wanted())) else {
        return;
    };
    tick.note(
        "CanaryReady",
        format!(
            "{} Pods are ready; no analysis was asked for",
            canary.arm.ready
        ),
    );
    promotion::begin(tick);
}

fn step(tick: &mut Tick<'_>) -> Asked<()> {
    let Some(index) = tick.step().map(|step| step.index) else {
        attempt::enter(tick, 0);
        return step(tick);
    };
    let Some(planned) = usize::try_from(index)
        .ok()
        .and_then(|index| tick.status.plan.get(index).cloned())
    else {
        promotion::begin(tick);
        return Ok(());
    };
    if index == 0 && !hooks::pass(tick, HookKind::ConfirmRollout)? {
        return Ok(());
    }
    if starts_with_pause(index, &planned) {
        return pause(tick, &planned);
    }
    if tick.status.phase == Phase::Waiting {
        tick.go(Phase::Progressing);
    }
    let Some(canary) = ready_canary(tick, size::canary(tick, Routes::planned(&planned))) else {
        return Ok(());
    };
    if canary.arm.ready > 0 && (begins(tick, index) || tick.wanted() != Routes::planned(&planned)) {
        if !may_move(tick, index, &planned)? {
            return Ok(());
        }
        tick.want(Routes::planned(&planned));
    }
    if !clock_runs(tick, &planned) {
        return Ok(());
    }
    grow_backing(tick, canary);
    checks::round(tick, &planned)?;
    if tick.status.phase == Phase::Failed || tick.step().is_none() {
        return Ok(());
    }
    if tick.step().is_some_and(|step| step.waiting.is_some()) {
        stand(tick, &planned);
        return Ok(());
    }
    if tick
        .step()
        .is_some_and(|step| step.passed >= planned.checks)
    {
        return pause(tick, &planned);
    }
    Ok(())
}

/// Nothing of the plan has been tried yet. A first step without any share is tested before its rounds as well.
fn begins(tick: &Tick<'_>, index: u32) -> bool {
    index == 0 && tick.step().is_some_and(|step| step.clock_at.is_none())
}

/// The hooks that stand before a weight let it be written.
fn may_move(tick: &mut Tick<'_>, index: u32, planned: &PlannedStep) -> Asked<bool> {
    if index == 0 && !hooks::pass(tick, HookKind::PreRollout)? {
        return Ok(false);
    }
    let more = tick.wanted().or(Routes::planned(planned)) != tick.wanted();
    Ok(!more || hooks::pass(tick, HookKind::ConfirmTrafficIncrease)?)
}

/// A pause before anything is deployed: the phase Waiting.
fn starts_with_pause(index: u32, planned: &PlannedStep) -> bool {
    index == 0 && !Routes::planned(planned).reach() && planned.checks == 0
}

/// What the router says of a route that it does not run as it stands.
pub(crate) fn unaccepted(tick: &Tick<'_>) -> Option<String> {
    match tick.seen.split.as_ref().map(|split| &split.acceptance) {
        Some(Acceptance::Pending(why) | Acceptance::Rejected(why)) => Some(why.clone()),
        _ => None,
    }
}

/// The step's clock runs once its weight is accepted and has settled.
fn clock_runs(tick: &mut Tick<'_>, planned: &PlannedStep) -> bool {
    if tick.step().is_some_and(|step| step.clock_at.is_some()) {
        return tick.in_force() || {
            tick.say("waiting until the route is in force again");
            false
        };
    }
    let Some(settled) = tick.settled_at() else {
        let why = unaccepted(tick).unwrap_or_else(|| "the route is being written".to_owned());
        tick.say(format!("moving to {}: {why}", Routes::planned(planned)));
        not_accepted(tick, &why);
        return false;
    };
    tick.say(format!(
        "{}: the weight is in force; the first checks come when it has settled",
        Routes::planned(planned)
    ));
    let interval = tick.interval();
    if let Some(step) = &mut tick.status.step {
        step.clock_at = Some(settled);
        step.next_at = Some(settled.after(interval));
    }
    let memory = tick.status.memory.get_or_insert_default();
    memory.window_start = Some(settled);
    memory.last_round = None;
    memory.last_pass = None;
    true
}

/// A route that is not accepted: held and said after a minute, rejected at the deadline.
fn not_accepted(tick: &mut Tick<'_>, why: &str) {
    let since = tick.status.traffic.wanted_at.unwrap_or(tick.now);
    let due = since.after(Duration::from_secs(60));
    if due > tick.now {
        tick.wake_at(due);
    } else {
        tick.say(format!("the route is not accepted: {why}"));
    }
    late(tick, "the route was not accepted");
}

/// More ready Pods than when the weight was accepted (stable grew): from here on they are counted on.
fn grow_backing(tick: &mut Tick<'_>, canary: &CanaryArm) {
    if tick.status.traffic.backed < canary.arm.ready {
        tick.status.traffic.backed = canary.arm.ready;
    }
}

/// The checks are done: the step's pause, then the next step or promotion.
fn pause(tick: &mut Tick<'_>, planned: &PlannedStep) -> Asked<()> {
    if hooks::are_asked(tick, HookKind::ConfirmPromotion) {
        return leave(tick);
    }
    if tick.step().is_some_and(|step| step.waiting.is_some()) {
        stand(tick, planned);
        return Ok(());
    }
    let Some(pause) = planned.pause else {
        return leave(tick);
    };
    let now = tick.now;
    let Some(step) = &mut tick.status.step else {
        return Ok(());
    };
    let since = *step.paused_at.get_or_insert(now);
    match pause.seconds {
        Some(seconds) => {
            let until = since.after(Duration::from_secs(u64::from(seconds)));
            if until <= now {
                return leave(tick);
            }
            tick.wake_at(until);
            let routes = Routes::planned(planned);
            tick.say(format!("{routes}: paused until {until}"));
        }
        None => {
            wait(tick, Wait::Approval);
            stand(tick, planned);
        }
    }
    Ok(())
}

/// The step is done. Before promotion its hooks are asked, and the checks go on meanwhile.
fn leave(tick: &mut Tick<'_>) -> Asked<()> {
    let last = tick.step().is_some_and(|step| step.index + 1 >= step.of);
    if !last || hooks::pass(tick, HookKind::ConfirmPromotion)? {
        next(tick);
    }
    Ok(())
}

/// Waits for a person from now on.
pub(crate) fn wait(tick: &mut Tick<'_>, what: Wait) {
    let now = tick.now;
    let Some(step) = &mut tick.status.step else {
        return;
    };
    step.waiting = Some(what);
    step.paused_at = step.paused_at.or(Some(now));
    let why = describe_wait(what);
    tick.warn(
        "GateWaiting",
        format!("revision {} waits: {why}", tick.candidate_revision()),
    );
}

fn describe_wait(what: Wait) -> &'static str {
    match what {
        Wait::Approval => "for approval: `promote` goes on, `abort` goes back",
        Wait::Paused => "paused by request: `resume` goes on, `abort` goes back",
        Wait::NoEvidence => {
            "for evidence, which did not come: `promote` goes on without, `resume` waits again, `abort` goes back"
        }
        Wait::Contested => {
            "somebody else keeps changing the route: `resume` tries again, `abort` goes back"
        }
    }
}

/// Stands still until a person decides, or the approval's deadline does.
fn stand(tick: &mut Tick<'_>, planned: &PlannedStep) {
    let Some(step) = tick.step().cloned() else {
        return;
    };
    let Some(waiting) = step.waiting else { return };
    let last = step.index + 1 >= step.of;
    let first = starts_with_pause(step.index, planned);
    tick.go(match waiting {
        Wait::Approval if first => Phase::Waiting,
        Wait::Approval if last => Phase::WaitingPromotion,
        _ => Phase::Progressing,
    });
    tick.say(format!(
        "{}: waiting {}",
        Routes::planned(planned),
        describe_wait(waiting)
    ));
    let Some(allowed) = tick.spec.approval_deadline.map(Duration::from) else {
        return;
    };
    let expires = step.paused_at.unwrap_or(tick.now).after(allowed);
    if expires > tick.now {
        return tick.wake_at(expires);
    }
    let reason = format!(
        "nobody decided within {} s ({})",
        allowed.as_secs(),
        describe_wait(waiting)
    );
    attempt::fail(tick, Outcome::RolledBack, reason, None);
}

/// The next step of the plan, or promotion after the last.
pub(crate) fn next(tick: &mut Tick<'_>) {
    tick.go(Phase::Progressing);
    let Some((index, of)) = tick.step().map(|step| (step.index + 1, step.of)) else {
        return;
    };
    if index >= of {
        if hooks::demand(tick, HookKind::ConfirmPromotion) {
            if let Some(step) = &mut tick.status.step {
                step.waiting = None;
            }
            return;
        }
        return promotion::begin(tick);
    }
    let planned = usize::try_from(index)
        .ok()
        .and_then(|index| tick.status.plan.get(index).cloned());
    attempt::enter(tick, index);
    let routes = planned
        .as_ref()
        .map_or_else(Routes::default, Routes::planned);
    if !hooks::precede_weight(tick) {
        let canary = routes.canary.max(tick.wanted().canary);
        tick.want(Routes { canary, ..routes });
    }
    tick.say(format!("step {} of {of}: moving to {routes}", index + 1));
}
