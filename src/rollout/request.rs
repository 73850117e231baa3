//! What people ask for: one annotation, read before anything else in a tick, handled once, and refused aloud where it does not fit.

use serde::Deserialize;

use crate::crd::status::{Mark, Outcome, Phase, RequestOutcome, RequestStatus, Wait};
use crate::objects::mark;
use crate::rollout::observed::Gate;
use crate::rollout::tick::{Asked, Tick};
use crate::rollout::{attempt, hooks, progress, promotion};

/// A request in its long form. Unknown and doubled members are errors: admission judged the verb by its text.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    verb: String,
    #[serde(default)]
    id: Option<String>,
    /// What the writer says of himself is read and not believed: admission stamps who asks.
    #[serde(default, rename = "by")]
    _by: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    revision: Option<String>,
    #[serde(default)]
    to: Option<String>,
}

/// Handles the request that stands on the Canary, if one does: the status records it first, then the annotation goes.
pub(crate) fn take(tick: &mut Tick<'_>) -> Asked<()> {
    let annotations = tick.canary.metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|all| all.get(mark::REQUEST)).cloned() else {
        if let Some(last) = &mut tick.status.last_request {
            last.standing = None;
        }
        return Ok(());
    };
    let request = parse(&text);
    let given = request.as_ref().ok().and_then(|request| request.id.clone());
    let last = tick.status.last_request.as_ref();
    let same = |id: &String| last.is_some_and(|last| last.id == *id);
    if last.is_some_and(|last| last.standing.as_ref() == Some(&text))
        || given.as_ref().is_some_and(same)
    {
        tick.acknowledge = Some(text);
        return Ok(());
    }
    let id = given.unwrap_or_else(|| format!("at-{}", tick.now));
    let by = annotations
        .and_then(|all| all.get(mark::REQUESTED_BY))
        .cloned();
    let (verb, reason, result) = match request {
        Ok(request) => {
            let result = handle(tick, &request, by.clone())?;
            (request.verb, request.reason, result)
        }
        Err(why) => (text.chars().take(40).collect(), None, Err(why)),
    };
    let outcome = if result.is_ok() {
        RequestOutcome::Accepted
    } else {
        RequestOutcome::Refused
    };
    let message = match result {
        Ok(done) => done,
        Err(why) => {
            tick.warn("RequestRefused", format!("{verb}: {why}"));
            why
        }
    };
    tick.status.last_request = Some(RequestStatus {
        verb,
        id,
        by,
        reason,
        at: tick.now,
        outcome,
        message: Some(message),
        standing: Some(text.clone()),
    });
    tick.acknowledge = Some(text);
    Ok(())
}

fn parse(text: &str) -> Result<Request, String> {
    let text = text.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|error| format!("not a request: {error}"));
    }
    Ok(Request {
        verb: text.to_owned(),
        ..Request::default()
    })
}

/// What was done, or why not.
type Handled = Result<String, String>;

const VERBS: &str =
    "promote, promote-full, abort, pause, resume, retry, skip, rollback, undo, restart";

fn handle(tick: &mut Tick<'_>, request: &Request, by: Option<String>) -> Asked<Handled> {
    if tick.status.phase == Phase::Terminating {
        return Ok(Err("the Canary is being deleted".to_owned()));
    }
    if let Err(other) = meant(tick, request) {
        return Ok(Err(other));
    }
    Ok(match request.verb.as_str() {
        "promote" => promote(tick),
        "promote-full" => promote_full(tick, by),
        "abort" => abort(tick, by, request.reason.as_deref()),
        "pause" => pause(tick),
        "resume" => resume(tick),
        "retry" => return retry(tick),
        "skip" => skip(tick, by),
        "rollback" => rollback(tick, request, by),
        "undo" => undo(tick, by),
        "restart" => restart(tick),
        other => Err(format!("{other:?} is no verb; these are: {VERBS}")),
    })
}

/// A request may name the revision that it is meant for.
fn meant(tick: &Tick<'_>, request: &Request) -> Result<(), String> {
    let Some(revision) = &request.revision else {
        return Ok(());
    };
    let candidate = tick.candidate();
    let matches = candidate.is_some_and(|candidate| {
        candidate.revision == *revision || candidate.requested.as_ref() == Some(revision)
    });
    if matches {
        return Ok(());
    }
    let found = candidate.map_or("none".to_owned(), |candidate| candidate.revision.clone());
    Err(format!(
        "it is meant for revision {revision}, but the candidate is {found}"
    ))
}

fn in_progress(tick: &Tick<'_>) -> bool {
    matches!(
        tick.status.phase,
        Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion
    ) && tick
        .candidate()
        .is_some_and(|candidate| candidate.verdict.is_none())
}

fn waiting(tick: &Tick<'_>) -> Option<Wait> {
    tick.step()
        .and_then(|step| step.waiting)
        .filter(|_| in_progress(tick))
}

fn wrong_phase(tick: &Tick<'_>, when: &str) -> Handled {
    Err(format!(
        "the phase is {}; allowed {when}",
        tick.status.phase
    ))
}

fn promote(tick: &mut Tick<'_>) -> Handled {
    match waiting(tick) {
        Some(Wait::Paused) => return Err("it is paused by request: `resume` ends that".to_owned()),
        Some(Wait::Approval) => {}
        Some(Wait::NoEvidence | Wait::Contested) => attempt::mark(tick, Mark::Unproven),
        None if overruled(tick) => return Ok("went on without the hook".to_owned()),
        None if timed_pause(tick) => {}
        None if in_progress(tick) => return Err(still_to_come(tick)),
        None => return wrong_phase(tick, "while a release waits for a go-ahead"),
    }
    tick.note("GateOpened", "a person went on");
    progress::next(tick);
    Ok("went on".to_owned())
}

/// A hook was waited for, and a person goes on without it.
fn overruled(tick: &mut Tick<'_>) -> bool {
    let (now, open) = (tick.now, in_progress(tick));
    let step = tick.status.step.as_mut().filter(|_| open);
    let overruled = step.is_some_and(|step| hooks::overrule(step, now));
    if overruled {
        tick.note("GateOpened", "a person went on without the hook");
        attempt::mark(tick, Mark::Forced);
    }
    overruled
}

/// The checks of the step are done and its timed pause runs.
fn timed_pause(tick: &Tick<'_>) -> bool {
    in_progress(tick) && tick.step().is_some_and(|step| step.paused_at.is_some())
}

fn still_to_come(tick: &Tick<'_>) -> String {
    let Some(step) = tick.step() else {
        return "no step has begun".to_owned();
    };
    let checks = usize::try_from(step.index)
        .ok()
        .and_then(|index| tick.status.plan.get(index))
        .map_or(0, |step| step.checks);
    format!(
        "checks are still to come: step {} of {} has {} of {checks}; `promote --full` leaves them out",
        step.index + 1,
        step.of,
        step.passed.min(checks)
    )
}

fn promote_full(tick: &mut Tick<'_>, by: Option<String>) -> Handled {
    let failed = tick.status.phase == Phase::Failed && holds_candidate(tick);
    if !in_progress(tick) && !failed {
        return wrong_phase(
            tick,
            "while a candidate is under test, waits, or was rejected and is still held",
        );
    }
    if let Some(candidate) = &mut tick.status.candidate {
        candidate.verdict = None;
        candidate.exception = Some(Mark::Forced);
        candidate.by = by;
    }
    if failed {
        attempt::enter(tick, 0);
    }
    promotion::begin(tick);
    Ok("everything that was left is skipped; the candidate is promoted".to_owned())
}

fn holds_candidate(tick: &Tick<'_>) -> bool {
    tick.target().is_some_and(|target| {
        target.gate == Gate::Held && target.revision == tick.candidate_revision()
    })
}

fn abort(tick: &mut Tick<'_>, by: Option<String>, reason: Option<&str>) -> Handled {
    let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let who = by.clone().unwrap_or_else(|| "a person".to_owned());
    if in_progress(tick) {
        attempt::fail(tick, Outcome::Aborted, format!("aborted by {who}{why}"), by);
        return Ok("the weight goes to 0 and the canary is removed".to_owned());
    }
    if tick.status.phase != Phase::Promoting {
        return wrong_phase(tick, "while a candidate is under test or being promoted");
    }
    let unreleased = holds_candidate(tick);
    if unreleased {
        attempt::fail(
            tick,
            Outcome::Aborted,
            format!("aborted by {who} before the main release rolled{why}"),
            by,
        );
        return Ok("the weight goes to 0 and the canary is removed".to_owned());
    }
    tick.status.revert = Some(tick.stable_revision().to_owned());
    Ok(
        "the stable revision is put back on the target; the canary serves until it is complete"
            .to_owned(),
    )
}

fn pause(tick: &mut Tick<'_>) -> Handled {
    if !in_progress(tick) {
        return wrong_phase(tick, "while a candidate is under test");
    }
    if waiting(tick).is_some() {
        return Err("it waits already".to_owned());
    }
    let now = tick.now;
    if let Some(step) = &mut tick.status.step {
        step.waiting = Some(Wait::Paused);
        step.paused_at = Some(now);
    }
    Ok("the weight stays until `resume`".to_owned())
}

fn resume(tick: &mut Tick<'_>) -> Handled {
    if !matches!(
        waiting(tick),
        Some(Wait::Paused | Wait::NoEvidence | Wait::Contested)
    ) {
        return wrong_phase(
            tick,
            "while a release is paused by request, or waits for evidence; `promote` gives approvals",
        );
    }
    let deadline = tick.now.after(tick.progress_deadline());
    let (now, interval) = (tick.now, tick.interval());
    tick.status.traffic.corrections.clear();
    if let Some(step) = &mut tick.status.step {
        step.waiting = None;
        step.paused_at = None;
        step.started_at = now;
        step.deadline_at = deadline;
        step.next_at = step.next_at.map(|_| now.after(interval));
    }
    Ok("it goes on".to_owned())
}

fn retry(tick: &mut Tick<'_>) -> Asked<Handled> {
    let target = tick
        .target()
        .filter(|target| target.gate == Gate::Held && target.revision != tick.stable_revision());
    let (Phase::Failed, Some(target)) = (tick.status.phase, target) else {
        return Ok(wrong_phase(tick, "while a rejected candidate is held"));
    };
    if !attempt::retired(tick) {
        return Ok(Err(
            "the rejected canary is still being removed; try again in a few seconds".to_owned(),
        ));
    }
    attempt::begin(tick, target)?;
    Ok(Ok("a new attempt begins".to_owned()))
}

fn skip(tick: &mut Tick<'_>, by: Option<String>) -> Handled {
    if !in_progress(tick) {
        return wrong_phase(tick, "while a candidate is under test");
    }
    attempt::mark(tick, Mark::Forced);
    if let Some(candidate) = &mut tick.status.candidate {
        candidate.by = by;
    }
    progress::next(tick);
    Ok("the step counts as passed".to_owned())
}

fn rollback(tick: &mut Tick<'_>, request: &Request, by: Option<String>) -> Handled {
    if in_progress(tick) || tick.status.phase == Phase::Promoting {
        return abort(tick, by, request.reason.as_deref());
    }
    let Some(target) = tick.target() else {
        return Err("the target does not exist".to_owned());
    };
    if let Some(manager) = &target.gitops {
        return Err(format!(
            "{manager} manages the target and would put the template back: revert in git"
        ));
    }
    if !tick.status.phase.is_idle() {
        return wrong_phase(tick, "while a release is in progress, or idle");
    }
    if !attempt::retired(tick) {
        return Err(
            "the last canary is still being removed; try again in a few seconds".to_owned(),
        );
    }
    let stable = tick.stable_revision().to_owned();
    let wanted = |revision: &str| {
        request
            .to
            .as_ref()
            .map_or(revision != stable, |to| to == revision)
    };
    let promoted = tick
        .status
        .history
        .iter()
        .filter(|release| release.outcome == Outcome::Promoted);
    let Some(release) = promoted
        .clone()
        .find(|release| wanted(&release.revision))
        .cloned()
    else {
        let known: Vec<_> = promoted.map(|release| release.revision.clone()).collect();
        return Err(format!(
            "no such promoted revision in the history, which has: {}",
            known.join(", ")
        ));
    };
    start_rollback(tick, &release, by);
    Ok(format!("revision {} is put back", release.revision))
}

/// A promoted template goes back on the target, and is promoted at once: it is known to be good.
fn start_rollback(tick: &mut Tick<'_>, release: &crate::crd::status::Release, by: Option<String>) {
    let need = tick.target().map_or(0, |target| target.replicas);
    tick.status.candidate = Some(crate::crd::status::CandidateStatus {
        revision: release.revision.clone(),
        images: release.images.clone(),
        since: Some(tick.now),
        attempt: tick
            .status
            .history
            .iter()
            .map(|past| past.attempt)
            .max()
            .unwrap_or(0)
            + 1,
        need,
        exception: Some(Mark::KnownGood),
        by,
        ..crate::crd::status::CandidateStatus::default()
    });
    tick.status.plan.clear();
    attempt::enter(tick, 0);
    tick.status.revert = Some(release.revision.clone());
    promotion::begin(tick);
}

fn undo(tick: &mut Tick<'_>, by: Option<String>) -> Handled {
    if tick.status.phase == Phase::Promoting && !holds_candidate(tick) {
        return abort(tick, by, None);
    }
    let held = tick
        .target()
        .is_some_and(|target| target.gate == Gate::Held);
    if !held {
        return Err("nothing is held".to_owned());
    }
    if in_progress(tick) || tick.status.phase == Phase::Promoting {
        let who = by.clone().unwrap_or_else(|| "a person".to_owned());
        attempt::fail(tick, Outcome::Aborted, format!("undone by {who}"), by);
    }
    tick.status.revert = Some(tick.stable_revision().to_owned());
    Ok("the stable template is put back on the target".to_owned())
}

fn restart(tick: &mut Tick<'_>) -> Handled {
    let Some(target) = tick.target() else {
        return Err("the target does not exist".to_owned());
    };
    match target.gate {
        Gate::Armed if tick.status.phase.is_idle() => {
            tick.status.restart_at = Some(tick.now);
            Ok("a canary of the same images is tried".to_owned())
        }
        Gate::Held => {
            tick.status.evict_before = Some(tick.now);
            Ok("stable's Pods are evicted one by one".to_owned())
        }
        Gate::PausedByOther => Err("a person paused the target".to_owned()),
        _ => wrong_phase(tick, "while idle, or while a template is held"),
    }
}
