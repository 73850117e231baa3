//! What a judged round does to its step: it counts as passed, as failed, or it lacks something.

use crate::crd::canary::LowTraffic;
use crate::crd::status::{CheckStatus, CheckVerdict, Mark, Outcome, PlannedStep, Wait};
use crate::rollout::checks::{Round, due};
use crate::rollout::observed::Routes;
use crate::rollout::tick::Tick;
use crate::rollout::{attempt, progress};

/// A failed check: its window is not read again, and enough of them end the attempt.
pub(crate) fn failed(
    tick: &mut Tick<'_>,
    round: &Round,
    checks: Vec<CheckStatus>,
    worst: &CheckStatus,
) {
    let reason = describe(worst);
    tick.status.failed_checks += 1;
    tick.status.iterations += 1;
    tick.status.checks = checks;
    let interval = tick.interval();
    let memory = tick.status.memory.get_or_insert_default();
    memory.window_start = Some(round.at);
    memory.last_round = Some(round.at);
    if round.full
        && let Some(step) = &mut tick.status.step
    {
        step.next_at = Some(round.at.after(interval));
    }
    let limit = tick.spec.analysis.threshold.max(1);
    tick.warn(
        "CheckFailed",
        format!("{reason} ({} of {limit})", tick.status.failed_checks),
    );
    tick.say(format!(
        "failed check {} of {limit}: {reason}",
        tick.status.failed_checks
    ));
    progress::judge_failures(tick, &reason);
    if tick.step().is_some() {
        due(tick);
    }
}

/// One line for people: `request-success-rate 91.20% < 99% (412 requests)`.
pub(crate) fn describe(check: &CheckStatus) -> String {
    let mut text = check.name.clone();
    if let Some(value) = &check.value {
        text = format!("{text} {value}");
    }
    if let Some(limit) = &check.limit {
        let relation = if check.verdict == CheckVerdict::Fail {
            "violates"
        } else {
            ","
        };
        text = format!("{text} {relation} {limit}").replace(" , ", ", ");
    }
    if let Some(samples) = check.samples.filter(|samples| *samples > 0) {
        text = format!("{text} ({samples} requests)");
    }
    if let Some(message) = &check.message {
        text = format!("{text}: {message}");
    }
    text
}

/// A full round without a failure: it passes, or something is missing.
pub(crate) fn counted(
    tick: &mut Tick<'_>,
    round: &Round,
    planned: &PlannedStep,
    checks: Vec<CheckStatus>,
    worst: &CheckStatus,
) {
    let next = round.at.after(tick.interval());
    tick.status.iterations += 1;
    tick.status.checks = checks;
    let memory = tick.status.memory.get_or_insert_default();
    memory.last_round = Some(round.at);
    if let Some(step) = &mut tick.status.step {
        step.next_at = Some(next);
    }
    tick.wake_at(next);
    match worst.verdict {
        CheckVerdict::Pass => pass(tick, round, planned, worst),
        CheckVerdict::Unproven => {
            if Routes::planned(planned).reach() {
                attempt::mark(tick, Mark::Unproven);
            }
            pass(tick, round, planned, worst);
        }
        verdict => lacking(tick, round, planned, verdict, worst),
    }
}

fn pass(tick: &mut Tick<'_>, round: &Round, planned: &PlannedStep, worst: &CheckStatus) {
    let deadline = tick.now.after(tick.progress_deadline());
    let memory = tick.status.memory.get_or_insert_default();
    memory.last_pass = Some(round.at);
    memory.shared_failures = 0;
    let Some(step) = &mut tick.status.step else {
        return;
    };
    step.passed += 1;
    step.deadline_at = deadline;
    let passed = step.passed.min(planned.checks);
    let evidence = describe(worst);
    tick.say(format!(
        "{}: {passed} of {} checks passed; {evidence}",
        Routes::planned(planned),
        planned.checks
    ));
}

/// No failure and no pass: waits, and at the deadline for a person, unless the spec says otherwise.
fn lacking(
    tick: &mut Tick<'_>,
    round: &Round,
    planned: &PlannedStep,
    verdict: CheckVerdict,
    worst: &CheckStatus,
) {
    let text = describe(worst);
    tick.say(format!(
        "{}: no verdict yet; {text}",
        Routes::planned(planned)
    ));
    if tick.step().is_some_and(|step| step.waiting.is_some()) {
        return;
    }
    let started = tick.step().map_or(tick.now, |step| step.started_at);
    let only_size = verdict == CheckVerdict::Inconclusive;
    let deadline = if only_size {
        started.after(attempt::max_wait(tick))
    } else {
        tick.step().map_or(tick.now, |step| step.deadline_at)
    };
    if tick.now < deadline {
        return;
    }
    match tick.spec.analysis.low_traffic {
        LowTraffic::Proceed if only_size => {
            attempt::mark(tick, Mark::Unproven);
            tick.warn(
                "Unproven",
                format!("{text}; no evidence within the time allowed, going on"),
            );
            pass(tick, round, planned, worst);
        }
        LowTraffic::Rollback if only_size => attempt::fail(
            tick,
            Outcome::RolledBack,
            format!("no evidence within the time allowed: {text}"),
            None,
        ),
        _ if verdict == CheckVerdict::Invalid && worst.name == "weight" => {
            tick.warn("WeightMismatch", text.clone());
            attempt::fail(tick, Outcome::RolledBack, text, None);
        }
        _ => {
            tick.warn("NoData", text);
            progress::wait(tick, Wait::NoEvidence);
        }
    }
}
