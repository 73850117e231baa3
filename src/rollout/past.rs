//! What stable did before an attempt, and what can be shown of a canary with so much traffic: asked and decided once, before the
//! canary can influence it (ANALYSIS 4.11).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::analysis::comparison::bursts;
use crate::analysis::comparison::forecast::{self, Aim, Past};
use crate::analysis::comparison::halves::halves;
use crate::analysis::counts::{self, Increments};
use crate::analysis::{Measure, MetricPlan, traffic};
use crate::crd::moment::Moment;
use crate::crd::status::{PlannedStep, TrafficLevel};
use crate::rollout::observed::{Answer, Check, Reading};
use crate::rollout::tick::{Asked, Tick};
use crate::rollout::{attempt, comparison};

/// How far is looked back for stable's traffic, in seconds; the longest for which there are counters counts.
const LOOK_BACK: [u64; 2] = [600, 20];

/// Variance of errors relative to independent ones, where it is not measured (ANALYSIS 4.6).
pub(crate) const PHI: f64 = 2.0;

/// How far is looked back for bursts of errors.
const HOUR: Duration = Duration::from_secs(3600);

/// What stable did in each metric that counts requests, as far as it is known.
pub(crate) type Pasts = BTreeMap<String, Past>;

/// Whether stable's own traffic is enough for evidence; `None` where nothing counts requests.
pub(crate) fn traffic_level(
    tick: &Tick<'_>,
    plan: &[PlannedStep],
    pasts: &Pasts,
) -> Option<TrafficLevel> {
    let metrics = tick.seen.metrics.iter();
    let first = metrics.clone().find(|it| it.measure == Measure::Share)?;
    // What is not known holds nobody back.
    let Some(past) = pasts.get(&first.name) else {
        return Some(TrafficLevel::Enough);
    };
    let weights = plan.iter().map(|step| step.weight);
    let weights: Vec<u8> = weights.filter(|weight| *weight > 0).collect();
    let max_wait = attempt::max_wait(tick);
    let guards = traffic::low_traffic(&tick.seen.metrics, &weights, past.rate_per_second, max_wait);
    if guards == TrafficLevel::Low || !comparison::is_wanted(tick) {
        return Some(guards);
    }
    let seconds = metrics.filter_map(|metric| {
        let past = pasts.get(&metric.name)?;
        comparison::compares(metric).then(|| forecast::seconds(*past, aim(tick, metric, plan)))
    });
    let seconds: Vec<f64> = seconds.collect();
    Some(forecast::level(&seconds, max_wait))
}

/// What has to be shown of a metric before promotion.
fn aim(tick: &Tick<'_>, metric: &MetricPlan, plan: &[PlannedStep]) -> Aim {
    let terms = comparison::terms(tick, metric, plan);
    Aim {
        limit: terms.limit,
        non_inferiority: terms.non_inferiority,
        missed_regression: comparison::errors(tick).missed_regression,
        share: comparison::last_share(tick, plan),
    }
}

/// What stable did before this moment.
pub(crate) fn pasts(tick: &Tick<'_>) -> Asked<Pasts> {
    let mut missing = Vec::new();
    let mut pasts = BTreeMap::new();
    for metric in &tick.seen.metrics {
        if metric.measure != Measure::Share {
            continue;
        }
        match past(tick, metric) {
            Ok(past) => pasts.extend(past.map(|past| (metric.name.clone(), past))),
            Err(ask) => missing.extend(ask),
        }
    }
    if missing.is_empty() {
        Ok(pasts)
    } else {
        Err(missing)
    }
}

/// For each metric of durations without a limit what is slow, in milliseconds; those of which stable has none are left out.
pub(crate) fn usual(tick: &Tick<'_>) -> Asked<BTreeMap<String, f64>> {
    let wanted = tick
        .seen
        .metrics
        .iter()
        .filter(|it| it.limit.is_of_stable());
    let asked = wanted.map(|it| Check::metric(&it.name, Reading::Usual(tick.now)));
    let asked: Vec<Check> = asked.collect();
    let missing = asked
        .iter()
        .filter(|check| !tick.seen.answers.contains_key(check));
    let missing: Vec<Check> = missing.cloned().collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let found = asked
        .iter()
        .filter_map(|check| match (check, tick.seen.answers.get(check)) {
            (Check::Metric(metric), Some(Answer::Value(Some(ms)))) => {
                Some((metric.name.clone(), *ms))
            }
            _ => None,
        });
    Ok(found.collect())
}

fn past(tick: &Tick<'_>, metric: &MetricPlan) -> Asked<Option<Past>> {
    let check = |seconds: u64| {
        let back = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0));
        let at = Moment::new(tick.now.timestamp() - back);
        Check::metric(&metric.name, Reading::Counters(at))
    };
    let asked = [0, LOOK_BACK[0], LOOK_BACK[1]].map(check);
    let history = history(tick, metric);
    let missing = asked.iter().chain(&history);
    let missing = missing.filter(|check| !tick.seen.answers.contains_key(check));
    let missing: Vec<Check> = missing.cloned().collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let counters = |check: &Check| match tick.seen.answers.get(check) {
        Some(Answer::Counters(counters)) => Some(counters),
        _ => None,
    };
    let Some(now) = counters(&asked[0]) else {
        return Ok(None);
    };
    let phi = match history.and_then(|check| tick.seen.answers.get(&check)) {
        Some(Answer::History(history)) => bursts::phi(&halves(history)),
        _ => PHI,
    };
    let silent = now.is_empty().then(|| of(&Increments::default(), 1, phi));
    let windows = asked[1..].iter().zip(LOOK_BACK);
    let seen = windows.filter_map(|(check, seconds)| {
        let gained = counts::increments(counters(check)?, now)?;
        Some(of(&gained, seconds, phi))
    });
    let past = silent.or_else(|| seen.into_iter().next());
    Ok(past.map(|past| with_slow_ones(past, metric)))
}

/// What is slow is not known yet where stable says so: at most one request in a hundred, and half of that is likely.
fn with_slow_ones(past: Past, metric: &MetricPlan) -> Past {
    if !metric.limit.is_of_stable() {
        return past;
    }
    Past {
        bad_share: past.bad_share.max(0.005),
        ..past
    }
}

/// The question for bursts; none where nothing is compared.
fn history(tick: &Tick<'_>, metric: &MetricPlan) -> Option<Check> {
    let reading = Reading::History {
        from: Moment::new(tick.now.timestamp() - HOUR),
        to: tick.now,
    };
    let compared = comparison::is_wanted(tick) && comparison::compares(metric);
    compared.then(|| Check::metric(&metric.name, reading))
}

fn of(gained: &Increments, seconds: u64, phi: f64) -> Past {
    let stable = gained.stable;
    let bad_share = if stable.all > 0.0 {
        (stable.bad / stable.all).clamp(0.0, 1.0)
    } else {
        0.0
    };
    Past {
        rate_per_second: stable.all / seconds as f64,
        bad_share,
        phi,
    }
}
