//! Whether the requests say what the route says (ANALYSIS 4.7), and whether there are enough of them (4.11).

use std::time::Duration;

use crate::analysis::gamma::ln_gamma;
use crate::analysis::threshold::needed;
use crate::analysis::{Measure, MetricPlan};
use crate::crd::status::TrafficLevel;

/// Requests below which nothing is said about a weight of 0 or 100 (ANALYSIS 4.7).
const MIN_REQUESTS: f64 = 200.0;

/// The part of `maxWait` within which the needed requests have to be expected (ANALYSIS 4.11).
const MARGIN: f64 = 1.5;

/// Why the requests of a step contradict its accepted weight (in percent), with the numbers; `None`: they do not.
///
/// The test may be asked as often as one likes: under the accepted weight it contradicts with a probability of 1 % at most,
/// however long the step lasts. A difference within 1 point, or a tenth of the weight, is none.
#[must_use]
pub fn contradicted(weight: u8, canary: f64, stable: f64) -> Option<String> {
    let all = canary + stable;
    if !all.is_finite() || all <= 0.0 {
        return None;
    }
    let wanted = f64::from(weight.min(100)) / 100.0;
    let seen = canary / all;
    let wrong = match weight {
        0 => all >= MIN_REQUESTS && seen > 0.01,
        100.. => all >= MIN_REQUESTS && 1.0 - seen > 0.01,
        _ => {
            let band = 0.01_f64.max(0.1 * wanted);
            (seen - wanted).abs() > band && evidence(wanted, canary, stable) >= 100_f64.ln()
        }
    };
    wrong.then(|| {
        let seen = 100.0 * seen;
        format!("{seen:.1} % of {all:.0} requests reached the canary, at a weight of {weight} %")
    })
}

/// ln E of the test that the share is `wanted`: a Beta mixture over all shares against it, sequentially valid.
fn evidence(wanted: f64, canary: f64, stable: f64) -> f64 {
    ln_gamma(canary + 1.0) + ln_gamma(stable + 1.0)
        - ln_gamma(canary + stable + 2.0)
        - canary * wanted.ln()
        - stable * (1.0 - wanted).ln()
}

/// The canary's measured share of the requests, in percent; `None`: there were none.
#[must_use]
pub fn observed_share(canary: f64, stable: f64) -> Option<f64> {
    let all = canary + stable;
    (all.is_finite() && all > 0.0).then(|| 100.0 * canary / all)
}

/// Whether stable's own traffic suffices for evidence at every weight (in percent) of the plan, decided once, before the
/// canary can influence it.
///
/// It does if the requests that each guard needs are expected, at stable's rate and that weight, within `max_wait`/1.5.
/// ANALYSIS 4.11 predicts the time that the comparison with stable needs for its evidence; without the comparison what is
/// to be collected is the sample size of the guards, and the rest of the rule is the same. Guards that decide nothing ask
/// for nothing, and templates count no requests.
#[must_use]
pub fn low_traffic(
    plans: &[MetricPlan],
    weights: &[u8],
    stable_rate_per_second: f64,
    max_wait: Duration,
) -> TrafficLevel {
    let guards = plans
        .iter()
        .filter(|plan| plan.measure == Measure::Share && !plan.dry_run);
    let Some(most) = guards.map(needed).max() else {
        return TrafficLevel::Enough;
    };
    let least = weights.iter().filter(|weight| **weight > 0).min();
    let Some(least) = least else {
        return TrafficLevel::Enough;
    };
    let rate = stable_rate_per_second * f64::from((*least).min(100)) / 100.0;
    // Written so that a rate which is not a number is low.
    if rate * max_wait.as_secs_f64() / MARGIN >= requests(most) {
        TrafficLevel::Enough
    } else {
        TrafficLevel::Low
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 requests")]
fn requests(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::Limit;
    use crate::crd::canary::OnNoData;

    #[test]
    fn the_worked_examples_hold() {
        let rows = [
            (100.0, 900.0, -3.739_069, false),
            (120.0, 880.0, -1.556_808, false),
            (150.0, 850.0, 8.669_927, true),
            (0.0, 200.0, 15.768_798, true),
        ];
        for (canary, stable, expected, wrong) in rows {
            let ln_e = evidence(0.1, canary, stable);
            assert!((ln_e - expected).abs() <= 1e-5, "{canary} {stable}: {ln_e}");
            assert_eq!(contradicted(10, canary, stable).is_some(), wrong);
        }
    }

    #[test]
    fn a_contradiction_says_the_numbers() {
        let expected = "15.0 % of 1000 requests reached the canary, at a weight of 10 %";
        assert_eq!(contradicted(10, 150.0, 850.0).as_deref(), Some(expected));
    }

    #[test]
    fn a_small_difference_is_none_however_many_requests_show_it() {
        assert_eq!(contradicted(50, 540_000.0, 460_000.0), None);
        assert!(contradicted(50, 560_000.0, 440_000.0).is_some());
    }

    #[test]
    fn at_the_ends_one_percent_is_too_much() {
        assert_eq!(contradicted(0, 2.0, 198.0), None);
        assert!(contradicted(0, 3.0, 197.0).is_some());
        assert_eq!(contradicted(0, 3.0, 100.0), None, "too few to tell");
        assert_eq!(contradicted(100, 200.0, 0.0), None);
        assert!(contradicted(100, 100.0, 100.0).is_some());
    }

    #[test]
    fn no_requests_contradict_nothing() {
        for weight in [0, 10, 100] {
            assert_eq!(contradicted(weight, 0.0, 0.0), None);
            assert_eq!(contradicted(weight, f64::NAN, 1.0), None);
        }
        assert_eq!(observed_share(0.0, 0.0), None);
        assert_eq!(observed_share(1.0, 3.0), Some(25.0));
    }

    fn guard(tolerated: i64) -> MetricPlan {
        MetricPlan {
            name: "request-success-rate".to_owned(),
            measure: Measure::Share,
            limit: Limit {
                tolerated_millionths: Some(tolerated),
                ..Limit::default()
            },
            on_no_data: OnNoData::Wait,
            dry_run: false,
            min_samples: None,
            window_seconds: 60,
            default: true,
        }
    }

    #[test]
    fn traffic_is_low_if_one_weight_cannot_fill_a_guard() {
        let half_hour = Duration::from_secs(1800);
        let level = |weights: &[u8], rate| low_traffic(&[guard(10_000)], weights, rate, half_hour);
        // 100 requests at 10 % within 1200 s are 0.8334 requests a second.
        assert_eq!(level(&[10, 50, 100], 0.84), TrafficLevel::Enough);
        assert_eq!(level(&[10, 50, 100], 0.83), TrafficLevel::Low);
        assert_eq!(level(&[50, 100], 0.83), TrafficLevel::Enough);
        assert_eq!(
            level(&[0, 50], 0.83),
            TrafficLevel::Enough,
            "0 % has nothing to show"
        );
        assert_eq!(level(&[50], 0.0), TrafficLevel::Low);
        assert_eq!(level(&[50], f64::NAN), TrafficLevel::Low);
    }

    #[test]
    fn what_counts_no_requests_needs_none() {
        let mut template = guard(10_000);
        template.measure = Measure::Value;
        let mut shown = guard(10);
        shown.dry_run = true;
        let level = low_traffic(&[template, shown], &[10], 0.0, Duration::from_secs(1800));
        assert_eq!(level, TrafficLevel::Enough);
    }

    proptest! {
        #[test]
        fn the_exact_share_never_contradicts(weight in 0_u8..=100, requests in 0_u32..1_000_000) {
            let all = f64::from(requests);
            let canary = (all * f64::from(weight) / 100.0).round();
            prop_assert_eq!(contradicted(weight, canary, all - canary), None);
        }

        #[test]
        fn arms_are_interchangeable(weight in 1_u8..50, canary in 0_u32..5000, stable in 0_u32..5000) {
            let (share, canary, stable) = (f64::from(weight) / 100.0, f64::from(canary), f64::from(stable));
            let difference = evidence(share, canary, stable) - evidence(1.0 - share, stable, canary);
            prop_assert!(difference.abs() < 1e-6);
        }
    }
}
