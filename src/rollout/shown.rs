//! How canary and stable compare, for people.

use crate::analysis::comparison::evidence::Evidence;
use crate::analysis::comparison::joint::{Joint, Worse};
use crate::analysis::comparison::ratio::Ratio;
use crate::analysis::counts::Counts;
use crate::crd::comparison::{ComparedCounts, ComparisonStatus};
use crate::crd::moment::Moment;
use crate::crd::status::{CheckStatus, CheckVerdict};

/// Every compared metric, after so many minutes of the attempt.
pub(crate) fn comparison(joint: &Joint, minutes: f64) -> Vec<ComparisonStatus> {
    let metrics = joint.metrics().iter();
    let each = |(metric, it): (&String, &Evidence)| one(joint, metric, it, minutes);
    metrics.map(each).collect()
}

fn one(joint: &Joint, metric: &str, evidence: &Evidence, minutes: f64) -> ComparisonStatus {
    let ratio = evidence.ratio();
    let bad = evidence.canary().bad + evidence.stable().bad;
    let decides = joint.minutes_to_decide(metric, bad / minutes.max(1.0 / 60.0));
    ComparisonStatus {
        metric: metric.to_owned(),
        canary: whole(evidence.canary()),
        stable: whole(evidence.stable()),
        ratio: ratio.map(|ratio| two(ratio.estimate)),
        ratio_low: ratio.and_then(|ratio| ratio.low).map(two),
        ratio_high: ratio.and_then(|ratio| ratio.high).map(two),
        evidence: two(evidence.ln_e()),
        evidence_limit: two(joint.ln_needed_alone()),
        proof: evidence.ln_pass().map(two),
        proof_limit: two(joint.ln_pass_needed()),
        dispersion: two(evidence.terms().phi),
        decides_in_minutes: decides
            .filter(|it| it.is_finite())
            .map(|it| it.ceil() as i64),
    }
}

/// Why the canary is worse: `request-success-rate 99.43% (>= 99%) is worse than stable's, 5.58 times as bad (1.68 to 17.4): 17 of
/// 3000 requests to the canary were bad, and 17 of 17000 to stable; evidence 7.40 of 4.61`. `check`: what the metric came to.
pub(crate) fn worse(joint: &Joint, worse: &Worse, check: Option<&CheckStatus>) -> String {
    let Some(evidence) = joint.metrics().get(&worse.metric) else {
        return worse.metric.clone();
    };
    let times = evidence.ratio().map_or_else(String::new, times);
    let value = check.and_then(|check| check.value.as_ref().zip(check.limit.as_ref()));
    let value = value.map_or_else(String::new, |(value, limit)| format!(" {value} ({limit})"));
    format!(
        "{}{value} is worse than stable's{times}: {} requests to the canary were bad, and {} to stable; evidence {} of {}",
        worse.metric,
        of(evidence.canary()),
        of(evidence.stable()),
        two(worse.ln_e),
        two(joint.ln_needed()),
    )
}

fn times(ratio: Ratio) -> String {
    format!(", {}", multiple(ratio))
}

/// `5.58 times (1.68 to 17.4)`.
fn multiple(ratio: Ratio) -> String {
    let low = ratio.low.map_or_else(|| "0".to_owned(), two);
    let high = ratio.high.map_or_else(|| "any".to_owned(), two);
    format!("{} times as bad ({low} to {high})", two(ratio.estimate))
}

/// The comparison as a check: of the metric that lacks evidence, or else of that with the most against it. `None`: nothing was
/// compared yet, and nothing is waited for.
pub(crate) fn check(
    joint: &Joint,
    lacking: Option<&str>,
    verdict: CheckVerdict,
    at: Moment,
) -> Option<CheckStatus> {
    let metrics = joint.metrics();
    let most = metrics
        .iter()
        .max_by(|(_, a), (_, b)| a.ln_e().total_cmp(&b.ln_e()))
        .map(|(metric, _)| metric.as_str());
    let metric = lacking.or(most)?;
    let evidence = metrics.get(metric)?;
    let (canary, stable) = (evidence.canary(), evidence.stable());
    if lacking.is_none() && canary.all <= 0.0 {
        return None;
    }
    let against = match evidence.ratio() {
        Some(ratio) => format!("{}, ", multiple(ratio)),
        None => String::new(),
    };
    let proof = evidence.ln_pass().unwrap_or_default().max(0.0);
    let message = format!(
        "{metric}: {against}{} bad, of stable's {}; evidence for promotion {} of {}",
        of(canary),
        of(stable),
        two(proof),
        two(joint.ln_pass_needed()),
    );
    Some(CheckStatus {
        name: "comparison".to_owned(),
        verdict,
        value: Some(two(evidence.ln_e().max(0.0))),
        stable: None,
        limit: Some(format!("<= {}", two(joint.ln_needed_alone()))),
        samples: None,
        message: Some(message),
        at,
    })
}

fn of(counts: Counts) -> String {
    let counts = whole(counts);
    format!("{} of {}", counts.bad, counts.requests)
}

fn whole(counts: Counts) -> ComparedCounts {
    let number = |count: f64| count.round() as i64;
    ComparedCounts {
        requests: number(counts.all),
        bad: number(counts.bad),
    }
}

fn two(number: f64) -> String {
    format!("{number:.2}")
}
