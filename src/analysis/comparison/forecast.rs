//! How long evidence for promotion will take, predicted from stable's own traffic before the canary has any (ANALYSIS 4.11).

use std::time::Duration;

use crate::analysis::comparison::grid::canarys_part;
use crate::crd::status::TrafficLevel;

/// The part of `maxWait` within which evidence has to be expected.
const MARGIN: f64 = 1.5;

/// What mixtures and chance cost beyond ln(2/β), for evidence by the limit, where stable has bad requests and where it has
/// none.
const COST_BY_LIMIT: (f64, f64) = (2.8, 0.35);

/// The same for evidence by the ratio.
const COST_BY_RATIO: f64 = 2.0;

/// What stable did in the hour before the attempt, in one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    /// Requests per second (R).
    pub rate_per_second: f64,
    /// Share of bad ones (p).
    pub bad_share: f64,
    /// Variance of errors relative to independent ones (φ).
    pub phi: f64,
}

/// What has to be shown of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// The share of bad requests that the guard tolerates (q), if there is one.
    pub limit: Option<f64>,
    /// How many times as bad as stable has to be excluded (`ρ_b`).
    pub non_inferiority: f64,
    /// Probability of evidence for a canary that is as bad as that (β).
    pub missed_regression: f64,
    /// The last weight with traffic for both arms, as a share (w); `None`: there is none, and the limit alone decides.
    pub share: Option<f64>,
}

/// Seconds until a canary like stable has evidence of one kind or the other; infinite: never.
#[must_use]
pub fn seconds(past: Past, aim: Aim) -> f64 {
    seconds_by_limit(past, aim).min(seconds_by_ratio(past, aim))
}

/// Whether evidence can be required of an attempt whose metrics need so many seconds each. Written so that a time which is not
/// a number is too long.
#[must_use]
pub fn level(seconds: &[f64], max_wait: Duration) -> TrafficLevel {
    let most = max_wait.as_secs_f64() / MARGIN;
    if seconds.iter().all(|seconds| *seconds <= most) {
        TrafficLevel::Enough
    } else {
        TrafficLevel::Low
    }
}

/// Seconds until the bad share is shown to be below the limit.
fn seconds_by_limit(past: Past, aim: Aim) -> f64 {
    let reachable = |limit: &f64| *limit < 1.0 && past.bad_share < *limit;
    let Some(limit) = aim.limit.filter(reachable) else {
        return f64::INFINITY;
    };
    let (some_bad, none_bad) = COST_BY_LIMIT;
    let cost = if past.bad_share > 0.0 {
        some_bad
    } else {
        none_bad
    };
    let rate = past.rate_per_second * aim.share.unwrap_or(1.0);
    time(past, aim, cost, rate * divergence(past.bad_share, limit))
}

/// Seconds until the ratio is shown to be below its bound.
fn seconds_by_ratio(past: Past, aim: Aim) -> f64 {
    let Some(share) = aim.share else {
        return f64::INFINITY;
    };
    let (alike, worse) = (
        canarys_part(1.0, share),
        canarys_part(aim.non_inferiority, share),
    );
    let rate = past.rate_per_second * past.bad_share;
    time(past, aim, COST_BY_RATIO, rate * divergence(alike, worse))
}

/// The time in which evidence that grows so much a second becomes enough.
fn time(past: Past, aim: Aim, cost: f64, per_second: f64) -> f64 {
    if per_second > 0.0 {
        ((2.0 / aim.missed_regression).ln() + cost) * past.phi.max(1.0) / per_second
    } else {
        f64::INFINITY
    }
}

/// The information of one event with probability a, if b was expected (the divergence of Kullback and Leibler); 0 ln 0 is 0.
pub(super) fn divergence(a: f64, b: f64) -> f64 {
    let term = |a: f64, b: f64| if a > 0.0 { a * (a / b).ln() } else { 0.0 };
    term(a, b) + term(1.0 - a, 1.0 - b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(rate_per_second: f64, bad_share: f64, phi: f64) -> Past {
        Past {
            rate_per_second,
            bad_share,
            phi,
        }
    }

    fn aim() -> Aim {
        Aim {
            limit: Some(0.01),
            non_inferiority: 2.0,
            missed_regression: 0.05,
            share: Some(0.5),
        }
    }

    #[test]
    fn the_worked_examples_hold() {
        let half_hour = Duration::from_secs(1800);
        let rows = [
            (
                past(5.0, 0.002, 1.0),
                539.238_995,
                9_659.930_095,
                TrafficLevel::Enough,
            ),
            (
                past(1.0, 0.0, 2.0),
                1_607.460_492,
                f64::INFINITY,
                TrafficLevel::Low,
            ),
        ];
        for (past, by_limit, by_ratio, expected) in rows {
            let found = seconds_by_limit(past, aim());
            assert!((found - by_limit).abs() <= 1e-5, "{found}");
            let found = seconds_by_ratio(past, aim());
            assert!(found == by_ratio || (found - by_ratio).abs() <= 1e-5);
            assert_eq!(level(&[seconds(past, aim())], half_hour), expected);
        }
    }

    #[test]
    fn what_cannot_be_shown_takes_for_ever() {
        let never = [
            (past(5.0, 0.01, 1.0), None),
            (past(5.0, 0.02, 1.0), None),
            (past(0.0, 0.002, 1.0), Some(0.5)),
            (past(f64::NAN, 0.002, 1.0), Some(0.5)),
        ];
        for (past, share) in never {
            let aim = Aim { share, ..aim() };
            assert_eq!(seconds(past, aim), f64::INFINITY, "{past:?}");
        }
        let without_limit = Aim {
            limit: None,
            ..aim()
        };
        let seconds = seconds(past(5.0, 0.002, 1.0), without_limit);
        assert!((seconds - 9_659.930_095).abs() <= 1e-5);
    }

    #[test]
    fn the_slowest_metric_decides() {
        let half_hour = Duration::from_secs(1800);
        assert_eq!(level(&[], half_hour), TrafficLevel::Enough);
        assert_eq!(level(&[1200.0], half_hour), TrafficLevel::Enough);
        assert_eq!(level(&[10.0, 1200.1], half_hour), TrafficLevel::Low);
        assert_eq!(level(&[f64::NAN], half_hour), TrafficLevel::Low);
    }
}
