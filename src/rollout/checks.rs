//! Rounds of checks: which counters are needed, what they come to, and what the step makes of that.
//!
//! All questions are asked for times on a grid that follows from the status: however often a tick is called between two points of
//! the grid, it asks the same and decides the same. At every `interval` a *full* round may count as passed; the *fast lane* in
//! between can only fail.

use std::time::Duration;

use crate::analysis::counts::{self, Increments};
use crate::analysis::{Measure, MetricPlan, threshold, traffic};
use crate::crd::canary::OnNoData;
use crate::crd::moment::Moment;
use crate::crd::status::{CheckStatus, CheckVerdict, Phase, PlannedStep, TrafficLevel};
use crate::rollout::observed::{Answer, Check, Reading, Routes, TrafficKind, Weight};
use crate::rollout::tick::{Asked, Tick};
use crate::rollout::{comparison, hooks, round};

/// The fast lane is never slower than this (ANALYSIS 2.5 has 5 s for the comparison; guards need a few scrapes).
const SLOWEST_LANE: Duration = Duration::from_secs(15);

/// Shared failures in a row after which they count after all (ANALYSIS section 3).
const SHARED_PATIENCE: u32 = 3;

/// The round that a tick judges.
pub(crate) struct Round {
    pub(crate) at: Moment,
    /// It may count as passed.
    pub(crate) full: bool,
    /// Begin of the widest window.
    whole: Moment,
    /// Begin of the window since the last full round.
    recent: Moment,
}

/// Judges the round that is due, if one is, and moves the step on.
pub(crate) fn round(tick: &mut Tick<'_>, planned: &PlannedStep) -> Asked<()> {
    let Some(round) = due(tick) else {
        return Ok(());
    };
    let hooks = if round.full {
        hooks::round(tick, &round)?
    } else {
        None
    };
    if tick.status.phase == Phase::Failed {
        return Ok(());
    }
    // While a hook has not answered, the others may fail but not pass.
    let full = hooks.is_some();
    let round = Round { full, ..round };
    let restarts = restarts(tick, round.at);
    let mut checks = metrics(tick, &round, Routes::planned(planned))?;
    let compared = comparison::judge(tick, &round);
    if compared
        .as_ref()
        .is_some_and(|compared| comparison::reject(tick, compared, &checks))
    {
        return Ok(());
    }
    checks.extend(hooks.into_iter().flatten());
    checks.extend(restarts);
    if round.full {
        let compared = compared.as_ref();
        checks.extend(compared.and_then(|it| comparison::check(tick, it, planned, round.at)));
        checks.push(readiness(tick, round.at));
    }
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let decides = |check: &&CheckStatus| !is_dry(tick, &check.name);
    let worst = checks
        .iter()
        .filter(decides)
        .max_by_key(|check| check.verdict)
        .cloned();
    let Some(worst) = worst else { return Ok(()) };
    let failed = worst.verdict == CheckVerdict::Fail;
    if let Some(compared) = compared.filter(|_| failed || round.full) {
        comparison::remember(tick, &compared);
    }
    if worst.verdict == CheckVerdict::Fail {
        round::failed(tick, &round, checks, &worst);
    } else if round.full {
        round::counted(tick, &round, planned, checks, &worst);
    }
    Ok(())
}

/// The point of the grid that `now` has reached, and when the next one is.
pub(crate) fn due(tick: &mut Tick<'_>) -> Option<Round> {
    let step = tick.step()?;
    let (clock, next) = (step.clock_at?, step.next_at?);
    let memory = tick.status.memory.clone().unwrap_or_default();
    let whole = memory.window_start.unwrap_or(clock).max(clock);
    let recent = memory.last_round.unwrap_or(whole).max(whole);
    let lane = lane(tick);
    if tick.now >= next {
        // After a long silence the grid's point is old news: judge up to now.
        let at = if tick.now.since(next) > tick.interval() {
            tick.now
        } else {
            next
        };
        return Some(Round {
            at,
            full: true,
            whole,
            recent,
        });
    }
    let slots = u32::try_from(tick.now.since(clock).as_millis() / lane.as_millis().max(1))
        .unwrap_or(u32::MAX);
    let at = clock.after(lane * slots);
    tick.wake_at(next.min(clock.after(lane * slots.saturating_add(1))));
    (slots > 0 && at > recent && at < next && tick.now >= clock).then_some(Round {
        at,
        full: false,
        whole,
        recent,
    })
}

/// Time between two points of the fast lane: `threshold` failures in a row fit twice into an interval.
pub(crate) fn lane(tick: &Tick<'_>) -> Duration {
    let parts = tick.spec.analysis.threshold.clamp(1, 10) * 2;
    (tick.interval() / parts).clamp(Duration::from_secs(1), SLOWEST_LANE)
}

fn is_dry(tick: &Tick<'_>, name: &str) -> bool {
    tick.seen
        .metrics
        .iter()
        .any(|plan| plan.dry_run && plan.name == name)
}

/// Containers of the canary that were restarted since the last round: a failed check, whatever its cause.
fn restarts(tick: &mut Tick<'_>, at: Moment) -> Option<CheckStatus> {
    let count = tick.canary_arm()?.restarts;
    let memory = tick.status.memory.get_or_insert_default();
    let new = count - memory.restarts;
    if new <= 0 {
        return None;
    }
    memory.restarts = count;
    Some(CheckStatus {
        name: "restarts".to_owned(),
        verdict: CheckVerdict::Fail,
        value: Some(new.to_string()),
        stable: None,
        limit: Some("<= 0".to_owned()),
        samples: None,
        message: Some("containers of the canary were restarted".to_owned()),
        at,
    })
}

/// What is true whenever a full round is judged, and stands alone where nothing measures requests.
fn readiness(tick: &Tick<'_>, at: Moment) -> CheckStatus {
    let arm = tick.canary_arm().map(|canary| &canary.arm);
    CheckStatus {
        name: "readiness".to_owned(),
        verdict: CheckVerdict::Pass,
        value: arm.map(|arm| format!("{}/{} ready", arm.ready, arm.replicas)),
        stable: None,
        limit: None,
        samples: None,
        message: tick
            .seen
            .metrics
            .is_empty()
            .then(|| "readiness and restarts alone judge: no metrics are configured".to_owned()),
        at,
    }
}

fn metrics(tick: &mut Tick<'_>, round: &Round, routes: Routes) -> Asked<Vec<CheckStatus>> {
    ask(tick, round)?;
    let plans = &tick.seen.metrics;
    let low = routes.canary == Weight::ZERO
        || tick
            .candidate()
            .is_some_and(|candidate| candidate.traffic == Some(TrafficLevel::Low));
    let mut checks = Vec::new();
    let mut weighed = false;
    for plan in plans {
        match plan.measure {
            Measure::Value => checks.push(value(tick, plan, round)),
            Measure::Share => {
                let (check, whole) = share(tick, plan, round, low);
                checks.push(taken_part(check, whole.as_ref(), routes));
                if let Some(whole) = whole.filter(|_| !weighed) {
                    weighed = true;
                    checks.extend(weigh(tick, &whole, routes, round));
                }
            }
        }
    }
    Ok(checks)
}

/// Everything that this round has to know, asked for at once.
fn ask(tick: &Tick<'_>, round: &Round) -> Asked<()> {
    let mut missing = Vec::new();
    for plan in &tick.seen.metrics {
        let readings = match plan.measure {
            Measure::Share => vec![
                Reading::Counters(round.at),
                Reading::Counters(round.whole),
                Reading::Counters(round.recent),
            ],
            Measure::Value => vec![
                Reading::Canary {
                    start: round.whole,
                    at: round.at,
                },
                Reading::Stable {
                    start: round.whole,
                    at: round.at,
                },
            ],
        };
        missing.extend(
            readings
                .into_iter()
                .map(|reading| Check::metric(&plan.name, reading)),
        );
    }
    missing.extend(comparison::readings(tick, round));
    missing.retain(|check| !tick.seen.answers.contains_key(check));
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing)
    }
}

fn answer<'a>(tick: &Tick<'a>, plan: &MetricPlan, reading: Reading) -> Option<&'a Answer> {
    tick.seen.answers.get(&Check::metric(&plan.name, reading))
}

/// A share of bad requests, over the recent window or the whole one.
fn share(
    tick: &mut Tick<'_>,
    plan: &MetricPlan,
    round: &Round,
    low: bool,
) -> (CheckStatus, Option<Increments>) {
    let now = match answer(tick, plan, Reading::Counters(round.at)) {
        Some(Answer::Counters(now)) => now,
        other => return (unanswered(plan, other, round.at), None),
    };
    let since = |from: Moment| match answer(tick, plan, Reading::Counters(from)) {
        Some(Answer::Counters(base)) => Some(counts::increments(base, now)),
        _ => None,
    };
    let (Some(recent), Some(whole)) = (since(round.recent), since(round.whole)) else {
        return (
            unanswered(
                plan,
                answer(tick, plan, Reading::Counters(round.whole)),
                round.at,
            ),
            None,
        );
    };
    let (Some(recent), Some(whole)) = (recent, whole) else {
        if round.full {
            tick.status.memory.get_or_insert_default().window_start = Some(round.at);
        }
        let why = "the metrics server does not know the begin of the window; a new one begins";
        return (
            missing(plan, CheckVerdict::NoData, why.to_owned(), round.at),
            None,
        );
    };
    let check = threshold::judge_share(plan, &recent, &whole, low, round.at);
    let check = expected_silence(tick, plan, check);
    let check = covered(tick, plan, check, &recent);
    let shared = check.verdict == CheckVerdict::Fail && threshold::stable_fails(plan, &whole);
    (
        if shared {
            excuse(tick, check, round.full)
        } else {
            check
        },
        Some(whole),
    )
}

/// What a part of the Pods counted passes nothing: four fifths of the ready ones have to be scraped (ANALYSIS 2.4). That the others
/// fail is reason enough to fail.
fn covered(
    tick: &Tick<'_>,
    plan: &MetricPlan,
    check: CheckStatus,
    recent: &Increments,
) -> CheckStatus {
    let ready = tick.seen.canary.as_ref().map_or(0, |it| it.arm.ready);
    let ready = usize::try_from(ready).unwrap_or(0);
    let counting = recent.canary_processes.len();
    if check.verdict != CheckVerdict::Pass || !recent.by_pods || counting * 5 >= ready * 4 {
        return check;
    }
    let verdict = match plan.on_no_data {
        OnNoData::Wait => CheckVerdict::NoData,
        OnNoData::Pass => CheckVerdict::Pass,
        OnNoData::Fail => CheckVerdict::Fail,
    };
    CheckStatus {
        verdict,
        message: Some(format!(
            "{counting} of {ready} Pods of the canary are scraped, and four fifths are needed"
        )),
        ..check
    }
}

/// Without a weight nobody but a load test sends the canary requests: no data is what is to be expected, and holds nothing.
fn expected_silence(tick: &Tick<'_>, plan: &MetricPlan, check: CheckStatus) -> CheckStatus {
    let silent = check.verdict == CheckVerdict::NoData && plan.on_no_data != OnNoData::Fail;
    if silent && !tick.wanted().reach() {
        return CheckStatus {
            verdict: CheckVerdict::Unproven,
            ..check
        };
    }
    check
}

/// Matching requests, or copies, that nobody sent prove nothing, however little traffic there is.
fn taken_part(check: CheckStatus, whole: Option<&Increments>, routes: Routes) -> CheckStatus {
    let nobody = whole.is_some_and(|whole| whole.canary.all <= 0.0);
    if routes.beside() && nobody && check.verdict == CheckVerdict::Unproven {
        return CheckStatus {
            verdict: CheckVerdict::NoData,
            ..check
        };
    }
    check
}

/// The value of a template.
fn value(tick: &mut Tick<'_>, plan: &MetricPlan, round: &Round) -> CheckStatus {
    let read = |reading| match answer(tick, plan, reading) {
        Some(Answer::Value(value)) => Ok(*value),
        other => Err(Box::new(unanswered(plan, other, round.at))),
    };
    let canary = match read(Reading::Canary {
        start: round.whole,
        at: round.at,
    }) {
        Ok(value) => value,
        Err(check) => return *check,
    };
    let stable = read(Reading::Stable {
        start: round.whole,
        at: round.at,
    })
    .unwrap_or(None);
    let check = threshold::judge_value(plan, canary, stable, round.at);
    let shared = check.verdict == CheckVerdict::Fail && threshold::value_fails(plan, stable);
    if shared {
        excuse(tick, check, round.full)
    } else {
        check
    }
}

/// Stable fails the same guard in the same window: frozen, until that has lasted too long.
fn excuse(tick: &mut Tick<'_>, check: CheckStatus, counts: bool) -> CheckStatus {
    let patience = tick.spec.analysis.threshold.max(SHARED_PATIENCE);
    let memory = tick.status.memory.get_or_insert_default();
    memory.shared_failures += u32::from(counts);
    if memory.shared_failures > patience {
        return check;
    }
    let message = Some("stable fails it too, in the same window".to_owned());
    CheckStatus {
        verdict: CheckVerdict::Inconclusive,
        message,
        ..check
    }
}

fn unanswered(plan: &MetricPlan, answer: Option<&Answer>, at: Moment) -> CheckStatus {
    match answer {
        Some(Answer::Rejected(why)) => missing(
            plan,
            CheckVerdict::Invalid,
            format!("the metrics server refused the query: {why}"),
            at,
        ),
        Some(Answer::Unreachable(why)) => missing(
            plan,
            CheckVerdict::NoData,
            format!("the metrics server did not answer: {why}"),
            at,
        ),
        _ => missing(
            plan,
            CheckVerdict::NoData,
            "the metrics server did not answer".to_owned(),
            at,
        ),
    }
}

fn missing(plan: &MetricPlan, verdict: CheckVerdict, message: String, at: Moment) -> CheckStatus {
    let name = plan.name.clone();
    CheckStatus {
        name,
        verdict,
        value: None,
        stable: None,
        limit: None,
        samples: None,
        message: Some(message),
        at,
    }
}

/// Compares the measured share with the weight: a step does not pass while traffic contradicts it (SAFETY E6).
fn weigh(
    tick: &mut Tick<'_>,
    whole: &Increments,
    routes: Routes,
    round: &Round,
) -> Option<CheckStatus> {
    if tick.kind() != TrafficKind::Weighted {
        return None;
    }
    let share = traffic::observed_share(whole.canary.all, whole.stable.all)?;
    if round.full {
        tick.status.traffic.observed = Some(format!("{share:.1}"));
    }
    // Who sends matching requests, and how many, no weight says; copies are counted, too.
    if routes.beside() {
        return None;
    }
    let weight = routes.canary.percent();
    // Pods count probes and callers that bypass the route as well: only a gross difference is held against the weight there.
    if whole.by_pods && share * 2.0 >= f64::from(weight) {
        return None;
    }
    let why = traffic::contradicted(weight, whole.canary.all, whole.stable.all)?;
    Some(CheckStatus {
        name: "weight".to_owned(),
        verdict: CheckVerdict::Invalid,
        value: Some(format!("{share:.1}%")),
        stable: None,
        limit: Some(format!("{weight}%")),
        samples: None,
        message: Some(why),
        at: round.at,
    })
}
