//! Attempts: how one begins and how it ends.

use std::time::Duration;

use crate::crd::status::{
    CandidateStatus, Mark, Memory, Outcome, Phase, Release, StableStatus, StepStatus, TrafficLevel,
    Verdict,
};
use crate::rollout::observed::{Routes, Target};
use crate::rollout::tick::{Asked, Tick};
use crate::rollout::{comparison, hooks, past, steps};

/// Default of `analysis.maxWait` (ANALYSIS 4.11).
const MAX_WAIT: Duration = Duration::from_secs(30 * 60);

/// How long evidence may be waited for in a step.
pub(crate) fn max_wait(tick: &Tick<'_>) -> Duration {
    tick.spec.analysis.max_wait.map_or(MAX_WAIT, Into::into)
}

/// An attempt is under way.
pub(crate) fn is_open(tick: &Tick<'_>) -> bool {
    tick.candidate()
        .is_some_and(|candidate| candidate.verdict.is_none())
        && matches!(
            tick.status.phase,
            Phase::Waiting
                | Phase::Progressing
                | Phase::WaitingPromotion
                | Phase::Promoting
                | Phase::Finalising
        )
}

/// The number of the next attempt.
fn number(tick: &Tick<'_>) -> u32 {
    let known = tick.status.history.iter().map(|release| release.attempt);
    known.max().unwrap_or(0) + 1
}

/// Begins an attempt for the held template.
pub(crate) fn begin(tick: &mut Tick<'_>, target: &Target) -> Asked<()> {
    let plan = steps::freeze(&tick.spec.analysis, tick.kind());
    let pasts = past::pasts(tick)?;
    let slow = past::usual(tick)?;
    let level = past::traffic_level(tick, &plan, &pasts);
    let attempt = number(tick);
    let exception = exception(tick, target);
    let mut marks = Vec::new();
    if !target.available && target.replicas > 0 {
        marks.push(Mark::RollForward);
    }
    tick.status.candidate = Some(CandidateStatus {
        revision: target.revision.clone(),
        images: target.images.clone(),
        containers: target.containers.clone(),
        since: Some(tick.now),
        requested: tick.spec.revision.clone(),
        attempt,
        traffic: level,
        need: target.replicas,
        exception,
        by: None,
        marks,
        verdict: None,
    });
    let first = plan.first().map_or_else(Routes::default, Routes::planned);
    tick.status.plan = plan;
    tick.status.header_routes = steps::header_routes(&tick.spec.analysis);
    tick.status.restart_at = None;
    tick.status.failed_checks = 0;
    tick.status.iterations = 0;
    tick.status.checks.clear();
    tick.status.diagnosis.clear();
    tick.status.memory = Some(Memory {
        slower_than_ms: slow,
        ..Memory::default()
    });
    comparison::begin(tick, &pasts);
    enter(tick, 0);
    tick.want(if hooks::precede_weight(tick) {
        Routes::default()
    } else {
        first
    });
    tick.go(Phase::Progressing);
    let images = target.images.join(", ");
    tick.note(
        "CandidateHeld",
        format!(
            "revision {} ({images}) is held and will be tried as attempt {attempt}",
            target.revision
        ),
    );
    if level == Some(TrafficLevel::Low) {
        tick.warn("Unproven", "stable itself gets too little traffic for evidence; the release goes on and is marked unproven");
    }
    Ok(())
}

/// Enters a step of the plan: its clock, its passes and its deadline begin anew.
pub(crate) fn enter(tick: &mut Tick<'_>, index: u32) {
    let deadline = tick.now.after(tick.progress_deadline());
    tick.status.step = Some(StepStatus {
        index,
        of: u32::try_from(tick.status.plan.len()).unwrap_or(u32::MAX),
        started_at: tick.now,
        clock_at: None,
        next_at: None,
        deadline_at: deadline,
        passed: 0,
        paused_at: None,
        waiting: None,
        hooks: Vec::new(),
    });
    if let Some(memory) = &mut tick.status.memory {
        memory.window_start = None;
        memory.last_round = None;
        memory.last_pass = None;
        memory.shared_failures = 0;
    }
}

/// Why the analysis may be left out: the spec says so, or the revision was promoted before.
fn exception(tick: &Tick<'_>, target: &Target) -> Option<Mark> {
    if tick.spec.skip_analysis {
        return Some(Mark::Forced);
    }
    let window = usize::try_from(tick.spec.rollback_window.max(0)).unwrap_or(0);
    let promoted = tick
        .status
        .history
        .iter()
        .filter(|release| release.outcome == Outcome::Promoted);
    let known = promoted
        .take(window)
        .any(|release| release.revision == target.revision);
    known.then_some(Mark::KnownGood)
}

/// Ends the attempt with an outcome: it goes into the history, and nothing may raise its weight again.
pub(crate) fn close(tick: &mut Tick<'_>, outcome: Outcome, reason: String, by: Option<String>) {
    let now = tick.now;
    let Some(candidate) = &mut tick.status.candidate else {
        return;
    };
    candidate.verdict = Some(Verdict {
        outcome,
        reason: reason.clone(),
        at: now,
    });
    let mut marks = candidate.marks.clone();
    if outcome == Outcome::Promoted {
        marks.extend(
            candidate
                .exception
                .filter(|mark| !candidate.marks.contains(mark)),
        );
    }
    let release = Release {
        revision: candidate.revision.clone(),
        images: candidate.images.clone(),
        outcome,
        marks,
        reason,
        by: by.or_else(|| candidate.by.clone()),
        started_at: candidate.since,
        ended_at: now,
        attempt: candidate.attempt,
    };
    record(tick, release);
    hooks::remember(tick, outcome);
}

/// Puts a finished release into the history, newest first, within `historyLimit`.
pub(crate) fn record(tick: &mut Tick<'_>, release: Release) {
    tick.status.history.insert(0, release);
    let limit = usize::try_from(tick.spec.history_limit.clamp(1, 50)).unwrap_or(10);
    tick.status.history.truncate(limit);
}

/// Ends the attempt as failed: weight 0 from now on, and the phase says so at once (SAFETY T5).
pub(crate) fn fail(tick: &mut Tick<'_>, outcome: Outcome, reason: String, by: Option<String>) {
    let event = if outcome == Outcome::Aborted {
        "Aborted"
    } else {
        "Rejected"
    };
    tick.warn(
        event,
        format!("revision {}: {reason}", tick.candidate_revision()),
    );
    close(tick, outcome, reason.clone(), by);
    tick.status.step = None;
    tick.leave();
    tick.say(reason);
    tick.go(Phase::Failed);
}

/// Makes what serves now the stable revision.
pub(crate) fn adopt_serving(tick: &mut Tick<'_>, target: &Target) {
    let serving = target.serving.first();
    let same = tick
        .status
        .stable
        .as_ref()
        .is_some_and(|stable| serving.is_some_and(|set| set.revision == stable.revision));
    let since = tick
        .status
        .stable
        .as_ref()
        .filter(|_| same)
        .and_then(|stable| stable.since)
        .or(Some(tick.now));
    tick.status.stable = Some(StableStatus {
        revision: serving.map_or_else(|| target.revision.clone(), |set| set.revision.clone()),
        images: serving.map_or_else(|| target.images.clone(), |set| set.images.clone()),
        since,
        replica_set: serving
            .map(|set| set.replica_set.clone())
            .unwrap_or_default(),
        target_uid: target.uid.clone(),
        configs: target.configs.clone(),
    });
}

/// Nothing of an attempt is left in the cluster: no canary, no weight, no lock.
pub(crate) fn retired(tick: &Tick<'_>) -> bool {
    let routed = tick.seen.split.is_some() && !tick.settled();
    tick.seen.canary.is_none() && !routed && tick.seen.services.idle && !tick.seen.capacity.locked
}

/// Notes a fact that the history will carry, once.
pub(crate) fn mark(tick: &mut Tick<'_>, mark: Mark) {
    if let Some(candidate) = &mut tick.status.candidate
        && !candidate.marks.contains(&mark)
    {
        candidate.marks.push(mark);
    }
}
