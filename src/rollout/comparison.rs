//! The comparison with stable: what is compared on what terms, which rounds are taken in, and what the step makes of it
//! (ANALYSIS 4).
//!
//! The status has the evidence up to the last full round; what came since is read again at every point of the fast lane, and is
//! the same whoever reads it: a controller that starts anew decides as the old one would have.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::analysis::comparison::bursts::MOST_PHI;
use crate::analysis::comparison::evidence::{Evidence, Terms};
use crate::analysis::comparison::joint::{Errors, Joint, Worse};
use crate::analysis::comparison::memory;
use crate::analysis::comparison::rounds::{self, Rounds};
use crate::analysis::{Counter, Measure, MetricPlan};
use crate::crd::canary::Comparison;
use crate::crd::moment::Moment;
use crate::crd::status::{CheckStatus, CheckVerdict, Outcome, PlannedStep, TrafficLevel};
use crate::rollout::checks::{self, Round};
use crate::rollout::observed::{Answer, Check, Reading, Routes, TrafficKind, Weight};
use crate::rollout::past::{PHI, Pasts};
use crate::rollout::tick::Tick;
use crate::rollout::{attempt, shown};

/// Points of the fast lane that are read at most: after a long silence fewer of them stand for all.
const MOST_POINTS: u32 = 40;

/// Whether the arms are compared at all.
pub(crate) fn is_wanted(tick: &Tick<'_>) -> bool {
    wanted(tick).enabled.unwrap_or(true)
}

fn wanted(tick: &Tick<'_>) -> Comparison {
    tick.spec.analysis.comparison.clone().unwrap_or_default()
}

/// How often the comparison may be wrong.
pub(crate) fn errors(tick: &Tick<'_>) -> Errors {
    errors_of(&wanted(tick))
}

/// How often a comparison like this may be wrong.
pub(crate) fn errors_of(wanted: &Comparison) -> Errors {
    Errors {
        false_rollback: wanted.false_rollback.unwrap_or(0.01),
        missed_regression: wanted.missed_regression.unwrap_or(0.05),
    }
}

/// On what terms a metric is compared.
pub(crate) fn terms(tick: &Tick<'_>, metric: &MetricPlan, plan: &[PlannedStep]) -> Terms {
    Terms {
        limit: limit(metric),
        steps: if is_random(tick) { last(plan) } else { 0 },
        ..bare(tick)
    }
}

/// The share of bad requests that is good enough, whatever stable's is.
pub(crate) fn limit(metric: &MetricPlan) -> Option<f64> {
    if metric.limit.is_of_stable() {
        return Some(0.01);
    }
    let tolerated = metric.limit.tolerated_millionths;
    tolerated.map(|millionths| millionths as f64 / 1e6)
}

/// Whether chance decides who gets to the canary: users who are chosen, or stay, are no random sample of all (ANALYSIS 4.9).
fn is_random(tick: &Tick<'_>) -> bool {
    let analysis = &tick.spec.analysis;
    let chosen = analysis
        .steps
        .iter()
        .any(|step| step.set_header_route.is_some());
    let chosen = chosen || !analysis.matches.is_empty() || analysis.session_affinity.is_some();
    tick.kind() == TrafficKind::Weighted && !chosen
}

/// For each step of a plan how many different shares for both arms there were up to it. Steps that give the canary the same count
/// once.
fn shared(plan: &[PlannedStep]) -> Vec<u32> {
    let mut before = None;
    let mut count = 0;
    let steps = plan.iter().map(|step| {
        let routes = Routes::planned(step);
        let split = routes.canary > Weight::ZERO || routes.mirror > Weight::ZERO;
        if split && routes.canary < Weight::ALL && before != Some(routes) {
            count += 1;
        }
        before = Some(routes);
        count
    });
    steps.collect()
}

fn last(plan: &[PlannedStep]) -> u32 {
    shared(plan).last().copied().unwrap_or(0)
}

/// The last share of the plan that leaves stable something, as a part of 1; `None`: there is none, or nothing is compared.
pub(crate) fn last_share(tick: &Tick<'_>, plan: &[PlannedStep]) -> Option<f64> {
    let weights = plan.iter().map(|step| step.weight);
    let mut weights = weights.filter(|weight| (1..100).contains(weight) && is_random(tick));
    weights.next_back().map(|weight| f64::from(weight) / 100.0)
}

/// Begins the comparison of an attempt whose plan stands: every metric that counts requests and decides.
pub(crate) fn begin(tick: &mut Tick<'_>, pasts: &Pasts) {
    let mut packed = BTreeMap::new();
    if is_wanted(tick) && tick.kind() != TrafficKind::Replicas {
        for metric in tick.seen.metrics.iter().filter(|metric| compares(metric)) {
            let phi = pasts.get(&metric.name).map_or(PHI, |past| past.phi);
            if phi > MOST_PHI {
                let name = &metric.name;
                tick.warn("NotCompared", format!("{name}: stable's bad requests come in bursts (dispersion {phi:.0}), so that canary and stable are not compared; limits decide"));
                continue;
            }
            if metric.limit.is_of_stable() && !known(tick, &metric.name) {
                let name = &metric.name;
                tick.warn("NotCompared", format!("{name}: stable had no durations in the last hour, so that there is nothing to compare the canary's with"));
                continue;
            }
            let terms = Terms {
                phi,
                ..terms(tick, metric, &tick.status.plan)
            };
            let evidence = Evidence::new(terms, 1);
            packed.insert(metric.name.clone(), memory::write(&evidence, None));
        }
    }
    tick.status.memory.get_or_insert_default().comparison = packed;
    tick.status.comparison.clear();
}

/// Whether it was found what is slow.
fn known(tick: &Tick<'_>, metric: &str) -> bool {
    let memory = tick.status.memory.as_ref();
    memory.is_some_and(|memory| memory.slower_than_ms.contains_key(metric))
}

/// Whether a metric takes part: it counts requests, and decides.
pub(crate) fn compares(metric: &MetricPlan) -> bool {
    metric.measure == Measure::Share && !metric.dry_run
}

/// Seconds of a Pod's readiness in which what a metric counts is left out: slow requests of cold caches (ANALYSIS 4.4). Errors have
/// no such grace.
pub(crate) fn grace(metric: &MetricPlan) -> f64 {
    if metric.limit.slower_than_ms.is_some() {
        60.0
    } else {
        0.0
    }
}

fn grace_of(tick: &Tick<'_>, metric: &str) -> f64 {
    let mut metrics = tick.seen.metrics.iter();
    metrics.find(|it| it.name == metric).map_or(0.0, grace)
}

/// Whether the canary's Pods themselves count.
fn counts_pods(tick: &Tick<'_>, metric: &str) -> bool {
    let mut answers = tick.seen.answers.iter();
    answers.any(|(check, answer)| match (check, answer) {
        (Check::Metric(check), Answer::Counters(counters)) => {
            check.name == metric && counters.iter().any(|counter| counter.canary_pod)
        }
        _ => false,
    })
}

/// From when on a metric is counted in this step. A Pod's own counters say of each Pod what it did while it was cold; those of a
/// proxy do not, so that with them nothing counts until the canary's Pods are warm. Stable's Pods are many, and mostly old.
fn counted_from(tick: &Tick<'_>, metric: &str) -> Option<f64> {
    let clock = tick.step()?.clock_at?.as_seconds();
    let grace = grace_of(tick, metric);
    if grace <= 0.0 || counts_pods(tick, metric) {
        return Some(clock);
    }
    let ready = tick
        .seen
        .canary
        .iter()
        .flat_map(|it| it.ready_since.values());
    let youngest = ready.max().map(|since| since.as_seconds() + grace);
    Some(youngest.map_or(clock, |warm| warm.max(clock)))
}

/// What a round has come to.
pub(crate) struct Compared {
    pub(crate) joint: Joint,
    common: BTreeMap<String, Option<f64>>,
    worse: Option<Worse>,
}

/// The readings that `judge` wants.
pub(crate) fn readings(tick: &Tick<'_>, round: &Round) -> Vec<Check> {
    let Some(memory) = &tick.status.memory else {
        return Vec::new();
    };
    let metrics = memory.comparison.iter();
    let readings = metrics.flat_map(|(metric, packed)| {
        let common = memory::read(packed).and_then(|it| it.common_time);
        let common = common.filter(|at| in_step(tick, *at));
        let points = points(tick, common, round.at);
        let base = common.map(moment);
        let check = |at| reading(metric, at);
        base.into_iter()
            .chain(points)
            .map(check)
            .collect::<Vec<_>>()
    });
    readings.collect()
}

fn reading(metric: &str, at: Moment) -> Check {
    Check::metric(metric, Reading::Counters(at))
}

/// Whether a time lies in the current step: what was counted under another weight is no base for this one.
fn in_step(tick: &Tick<'_>, at: f64) -> bool {
    let clock = tick.step().and_then(|step| step.clock_at);
    clock.is_some_and(|clock| at >= clock.as_seconds())
}

/// A time of a sample, rounded up to a millisecond, so that the sample lies within it.
fn moment(at: f64) -> Moment {
    let milliseconds = (at * 1000.0).ceil();
    Timestamp::from_millisecond(milliseconds as i64)
        .map_or_else(|_| Moment::new(Timestamp::UNIX_EPOCH), Moment::new)
}

/// The points of the fast lane since a common time, or since the step's clock, and the round's own.
fn points(tick: &Tick<'_>, common: Option<f64>, at: Moment) -> Vec<Moment> {
    let Some(clock) = tick.step().and_then(|step| step.clock_at) else {
        return Vec::new();
    };
    let lane = checks::lane(tick).max(Duration::from_millis(1));
    let slot = |time: Moment| {
        u32::try_from(time.since(clock).as_millis() / lane.as_millis()).unwrap_or(u32::MAX)
    };
    let first = common.map_or(0, |at| slot(moment(at)) + 1);
    let last = slot(at);
    let stride = last.saturating_sub(first) / MOST_POINTS + 1;
    let slots = (first..=last).step_by(usize::try_from(stride).unwrap_or(1));
    let points = slots.map(|slot| clock.after(lane * slot));
    points.filter(|point| *point < at).chain([at]).collect()
}

/// Takes in what both arms counted since the status was written.
pub(crate) fn judge(tick: &mut Tick<'_>, round: &Round) -> Option<Compared> {
    let index = tick.step()?.index;
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let step = shared(&tick.status.plan).get(index).copied()?;
    let Gathered {
        mut joint,
        mut rounds,
        mut common,
    } = gathered(tick, step.max(1))?;
    joint.enter(step.max(1));
    let mut all: Vec<Moment> = Vec::new();
    for common in rounds.values().map(Rounds::common_time) {
        all.extend(points(tick, common, round.at));
    }
    all.sort_unstable();
    all.dedup();
    let ready = ready(tick);
    let mut worse = None;
    for at in all {
        let mut complete = BTreeMap::new();
        for (metric, rounds) in &mut rounds {
            let counters = counters(tick, metric, at);
            let counters = counters.filter(|_| rounds.common_time() < Some(at.as_seconds()));
            let cold = (grace_of(tick, metric), &ready);
            let reading = counters.map(|counters| reading_of(at.as_seconds(), counters, cold));
            if let Some(round) = reading.and_then(|reading| rounds.advance(&reading)) {
                complete.insert(metric.clone(), round);
            }
        }
        worse = worse.or(joint.add(&complete));
    }
    let reached = rounds.into_iter();
    common.extend(reached.map(|(metric, rounds)| (metric, rounds.common_time())));
    Some(Compared {
        joint,
        common,
        worse,
    })
}

/// When processes began is not known.
static UNKNOWN: BTreeMap<String, f64> = BTreeMap::new();

/// When the canary's Pods became ready, in seconds since 1970.
fn ready(tick: &Tick<'_>) -> BTreeMap<String, f64> {
    let pods = tick.seen.canary.iter().flat_map(|it| &it.ready_since);
    let pods = pods.map(|(pod, since)| (pod.clone(), since.as_seconds()));
    pods.collect()
}

/// A reading, without what Pods did in their first seconds of readiness. Where errors are counted nothing is left out, and the first
/// sample of a new process is a base.
fn reading_of<'a>(
    at: f64,
    counters: &'a [Counter],
    (grace, ready): (f64, &'a BTreeMap<String, f64>),
) -> rounds::Reading<'a> {
    rounds::Reading {
        at,
        counters,
        began: if grace > 0.0 { ready } else { &UNKNOWN },
        grace,
    }
}

fn counters<'a>(tick: &Tick<'a>, metric: &str, at: Moment) -> Option<&'a [Counter]> {
    match tick.seen.answers.get(&reading(metric, at)) {
        Some(Answer::Counters(counters)) => Some(counters),
        _ => None,
    }
}

/// The evidence in the status, and what goes on from there.
struct Gathered {
    joint: Joint,
    /// The rounds of those metrics whose counters are known at the time up to which they were counted. Of the others nothing is
    /// taken in now, or what was counted would be counted again.
    rounds: BTreeMap<String, Rounds>,
    /// The time up to which each metric was counted.
    common: BTreeMap<String, Option<f64>>,
}

/// Reads the status. What cannot be read, or was gathered on other terms, begins anew.
fn gathered(tick: &mut Tick<'_>, step: u32) -> Option<Gathered> {
    tick.step()?.clock_at?;
    let packed = tick.status.memory.as_ref()?.comparison.clone();
    if packed.is_empty() {
        return None;
    }
    let mut evidence = BTreeMap::new();
    let mut rounds = BTreeMap::new();
    let mut reached = BTreeMap::new();
    for (metric, packed) in &packed {
        let plan = tick.seen.metrics.iter().find(|it| it.name == *metric);
        let terms = plan.map(|plan| terms(tick, plan, &tick.status.plan));
        let known = memory::read(packed);
        if known.is_none() {
            tick.warn(
                "EvidenceLost",
                format!("what the status says of {metric} cannot be read: its comparison with stable begins anew"),
            );
        }
        // How errors vary is measured once, when the attempt begins.
        let phi = known.as_ref().map_or(PHI, |it| it.evidence.terms().phi);
        let terms = terms.map(|terms| Terms { phi, ..terms });
        let known = known.filter(|it| terms.is_none_or(|terms| *it.evidence.terms() == terms));
        let common = known.as_ref().and_then(|it| it.common_time);
        reached.insert(metric.clone(), common);
        let from = counted_from(tick, metric);
        let base = common.filter(|at| from.is_some_and(|from| *at >= from));
        let of_metric = from.and_then(|from| go_on(tick, metric, from, base));
        rounds.extend(of_metric.map(|rounds| (metric.clone(), rounds)));
        let anew = || Evidence::new(terms.unwrap_or_else(|| bare(tick)), step);
        evidence.insert(metric.clone(), known.map_or_else(anew, |it| it.evidence));
    }
    let compared = u32::try_from(evidence.len()).unwrap_or(u32::MAX);
    Some(Gathered {
        joint: Joint::new(errors(tick), compared, evidence),
        rounds,
        common: reached,
    })
}

/// The rounds of a metric since it was last counted in this step, or from this time on; `None`: what its counters were then
/// is not known.
fn go_on(tick: &Tick<'_>, metric: &str, from: f64, since: Option<f64>) -> Option<Rounds> {
    let Some(at) = since else {
        let mut rounds = Rounds::default();
        rounds.begin(from);
        return Some(rounds);
    };
    let counters = counters(tick, metric, moment(at))?;
    let cold = (grace_of(tick, metric), &ready(tick));
    Some(Rounds::resume(from, &reading_of(at, counters, cold)))
}

/// What the spec says for every metric. As it stands it is for one that is in the spec no more: nothing is held against anybody.
fn bare(tick: &Tick<'_>) -> Terms {
    usual(&wanted(tick))
}

/// The same for any comparison.
pub(crate) fn usual(wanted: &Comparison) -> Terms {
    Terms {
        tolerance: wanted.tolerance.unwrap_or(1.2),
        non_inferiority: wanted.non_inferiority.unwrap_or(2.0),
        limit: None,
        phi: PHI,
        steps: 0,
    }
}

/// Writes down what was taken in.
pub(crate) fn remember(tick: &mut Tick<'_>, compared: &Compared) {
    let metrics = compared.joint.metrics().iter();
    let packed = metrics.map(|(metric, evidence)| {
        let common = compared.common.get(metric).copied().flatten();
        (metric.clone(), memory::write(evidence, common))
    });
    let packed = packed.collect();
    tick.status.memory.get_or_insert_default().comparison = packed;
    let began = tick.candidate().and_then(|candidate| candidate.since);
    let minutes = tick.now.since(began.unwrap_or(tick.now)).as_secs_f64() / 60.0;
    tick.status.comparison = shown::comparison(&compared.joint, minutes);
}

/// Ends the attempt if the canary is worse than stable; whether it did.
pub(crate) fn reject(tick: &mut Tick<'_>, compared: &Compared, checks: &[CheckStatus]) -> bool {
    let Some(worse) = &compared.worse else {
        return false;
    };
    remember(tick, compared);
    let check = checks.iter().find(|check| check.name == worse.metric);
    let reason = shown::worse(&compared.joint, worse, check);
    attempt::fail(tick, Outcome::RolledBack, reason, None);
    true
}

/// What the comparison says in a full round: nothing until both arms had requests.
pub(crate) fn check(
    tick: &Tick<'_>,
    compared: &Compared,
    planned: &PlannedStep,
    at: Moment,
) -> Option<CheckStatus> {
    let joint = &compared.joint;
    let unproven = joint.unproven();
    let lacks = !unproven.is_empty() && is_last_check(tick, planned);
    let low = tick
        .candidate()
        .is_some_and(|candidate| candidate.traffic == Some(TrafficLevel::Low));
    // One round more decides: until then it is no pass.
    let crosses = joint.ln_e() >= Some(joint.ln_needed());
    let verdict = match (lacks, low) {
        _ if crosses => CheckVerdict::Inconclusive,
        (false, _) => CheckVerdict::Pass,
        (true, true) => CheckVerdict::Unproven,
        (true, false) => CheckVerdict::Inconclusive,
    };
    let metric = unproven.first().filter(|_| lacks).copied();
    shown::check(joint, metric, verdict, at)
}

/// Whether the next passed check would end the last share that can show anything.
fn is_last_check(tick: &Tick<'_>, planned: &PlannedStep) -> bool {
    let Some(step) = tick.step() else {
        return false;
    };
    let plan = &tick.status.plan;
    let last = last(plan);
    let ends = (0..)
        .zip(plan)
        .zip(shared(plan))
        .filter(|((_, it), count)| {
            let judged = it.checks > 0 && Routes::planned(it).reach();
            judged && *count == last && (it.weight < 100 || last == 0)
        });
    let end = ends.last().map(|((index, _), _)| index);
    end == Some(step.index) && step.passed + 1 >= planned.checks
}
