//! Guards: fixed limits on the canary's own numbers (ANALYSIS 2.4 and 3).
//!
//! A share of bad requests is judged by counts, with integers of millionths, so that a share on its limit passes. A value of
//! a template is compared as it is.

use crate::analysis::counts::{Counts, Increments};
use crate::analysis::gamma::poisson_tail;
use crate::analysis::{Limit, Measure, MetricPlan};
use crate::crd::canary::OnNoData;
use crate::crd::moment::Moment;
use crate::crd::status::{CheckStatus, CheckVerdict};

/// Millionths in one.
const MILLION: i128 = 1_000_000;

/// How improbable bad requests must be at the tolerated share before they are held against the canary (ANALYSIS 2.4).
const CHANCE: f64 = 0.05;

/// Age of the newest sample that is always young enough, in seconds: two scrapes at the usual 15 s (ANALYSIS M13).
const YOUNG: f64 = 30.0;

/// Requests that a verdict needs where no bad one is tolerated (ANALYSIS 2.4).
const NEEDED_AT_ZERO: i64 = 100;

/// Judges the share of bad requests: in the `recent` window, or, while that has too few, in the `whole` one that reaches
/// back to the step's start.
///
/// `low`: stable's own traffic is too small for evidence; then a share that is not over its limit goes on, unproven. A
/// window without requests never does, unless stable had none either: that traffic is small shows, that the canary gets its
/// part of it does not.
#[must_use]
pub fn judge_share(
    plan: &MetricPlan,
    recent: &Increments,
    whole: &Increments,
    low: bool,
    at: Moment,
) -> CheckStatus {
    let window = judged_window(plan, recent, whole);
    let (verdict, message) = share_verdict(plan, recent, window, low, at);
    let measured = |counts: Counts| (counts.all > 0.0).then(|| share_text(plan, counts));
    CheckStatus {
        name: plan.name.clone(),
        verdict,
        value: measured(window.canary),
        stable: measured(window.stable),
        limit: Some(share_limit(plan)),
        samples: Some(whole_number(window.canary.all)),
        message,
        at,
    }
}

/// Whether stable fails this guard in the same window: then the failure is not the candidate's (ANALYSIS 3).
#[must_use]
pub fn stable_fails(plan: &MetricPlan, gained: &Increments) -> bool {
    matches!(judge(plan, gained.stable), Judged::Failed { .. })
}

/// Requests that a verdict on this metric needs: as the user says, or enough for one bad request to be tolerated.
#[must_use]
pub fn needed(plan: &MetricPlan) -> i64 {
    let tolerated = plan.limit.tolerated_millionths.unwrap_or_default();
    let by_limit = match tolerated {
        ..=0 => NEEDED_AT_ZERO,
        share => (1_000_000 + share - 1) / share,
    };
    plan.min_samples.unwrap_or(by_limit).max(1)
}

/// Judges the value of a template. What is missing or not finite is no data, whatever the limits are.
#[must_use]
pub fn judge_value(
    plan: &MetricPlan,
    canary: Option<f64>,
    stable: Option<f64>,
    at: Moment,
) -> CheckStatus {
    let canary = canary.filter(|value| value.is_finite());
    let (verdict, message) = match canary {
        None => no_data(plan, "the query found no value".to_owned()),
        Some(value) if within(plan.limit, value) => (CheckVerdict::Pass, None),
        Some(_) => (CheckVerdict::Fail, None),
    };
    CheckStatus {
        name: plan.name.clone(),
        verdict,
        value: canary.map(number),
        stable: stable.filter(|value| value.is_finite()).map(number),
        limit: range_text(plan.limit),
        samples: None,
        message,
        at,
    }
}

/// Whether a finite value fails the limits, as stable's may.
#[must_use]
pub fn value_fails(plan: &MetricPlan, value: Option<f64>) -> bool {
    value.is_some_and(|value| value.is_finite() && !within(plan.limit, value))
}

fn judged_window<'a>(
    plan: &MetricPlan,
    recent: &'a Increments,
    whole: &'a Increments,
) -> &'a Increments {
    let enough = millionths(recent.canary.all) >= i128::from(needed(plan)) * MILLION;
    if enough || whole.canary.all < recent.canary.all {
        recent
    } else {
        whole
    }
}

/// The verdict on a share, and what is to be said beside it.
fn share_verdict(
    plan: &MetricPlan,
    recent: &Increments,
    window: &Increments,
    low: bool,
    at: Moment,
) -> (CheckVerdict, Option<String>) {
    if let Some(why) = contradiction(plan, window.canary) {
        return (CheckVerdict::Invalid, Some(why));
    }
    if recent.canary.all <= 0.0 {
        return idle(plan, recent, low);
    }
    // How often is scraped is not known, but a window has to hold two scrapes (M6).
    let age = at.as_seconds() - recent.newest;
    if age > f64::from(plan.window_seconds).max(YOUNG) {
        return no_data(plan, format!("the newest sample is {age:.0} s old"));
    }
    let Counts { all, bad } = window.canary;
    let missing = format!("{} of {} requests needed", number(all), needed(plan));
    match judge(plan, window.canary) {
        Judged::Failed { chance } => (CheckVerdict::Fail, Some(chance_text(all, bad, chance))),
        Judged::Over { chance } => {
            let message = format!("{}; more requests will tell", chance_text(all, bad, chance));
            (CheckVerdict::Inconclusive, Some(message))
        }
        Judged::Passed => (CheckVerdict::Pass, None),
        Judged::TooFew if low => (CheckVerdict::Unproven, Some(missing)),
        Judged::TooFew => (CheckVerdict::Inconclusive, Some(missing)),
    }
}

/// What no sensible measurement shows.
fn contradiction(plan: &MetricPlan, counts: Counts) -> Option<String> {
    let Counts { all, bad } = counts;
    if plan.measure != Measure::Share || plan.limit.tolerated_millionths.is_none() {
        return Some("it has no tolerated share".to_owned());
    }
    if !all.is_finite() || !bad.is_finite() {
        return Some("the counters are not numbers".to_owned());
    }
    let more = millionths(bad) > millionths(all);
    more.then(|| format!("{} bad requests of {}", number(bad), number(all)))
}

/// The verdict where the canary had no request in the recent window.
fn idle(plan: &MetricPlan, recent: &Increments, low: bool) -> (CheckVerdict, Option<String>) {
    if low && recent.stable.all <= 0.0 {
        let message = "no requests, neither to the canary nor to stable".to_owned();
        return (CheckVerdict::Unproven, Some(message));
    }
    let stable = number(recent.stable.all);
    no_data(
        plan,
        format!("no requests to the canary, {stable} to stable"),
    )
}

fn no_data(plan: &MetricPlan, message: String) -> (CheckVerdict, Option<String>) {
    match plan.on_no_data {
        OnNoData::Wait => (CheckVerdict::NoData, Some(message)),
        OnNoData::Pass => (
            CheckVerdict::Pass,
            Some(format!("{message}; onNoData: pass")),
        ),
        OnNoData::Fail => (
            CheckVerdict::Fail,
            Some(format!("{message}; onNoData: fail")),
        ),
    }
}

/// What counts alone say (ANALYSIS 2.4).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Judged {
    /// Over the limit, and not by chance.
    Failed { chance: f64 },
    /// Over the limit, but that may be chance.
    Over { chance: f64 },
    /// Within the limit, with as many requests as needed.
    Passed,
    /// Within the limit, so far.
    TooFew,
}

/// Judges n requests with b bad ones against the tolerated share p and the needed number N: over if b > p·max(n, N), failed
/// if also P(Poisson(p·n) ≥ b) ≤ 5 %. A fraction of a bad request, which an interpolated count can hold, is no evidence.
fn judge(plan: &MetricPlan, counts: Counts) -> Judged {
    let tolerated = i128::from(plan.limit.tolerated_millionths.unwrap_or_default());
    let enough = i128::from(needed(plan)) * MILLION;
    let (all, bad) = (millionths(counts.all), millionths(counts.bad));
    if bad * MILLION <= tolerated * all.max(enough) {
        return if all >= enough {
            Judged::Passed
        } else {
            Judged::TooFew
        };
    }
    let mean = to_f64(tolerated) / 1e6 * counts.all;
    let chance = poisson_tail(mean, to_f64(bad.div_euclid(MILLION)));
    if chance <= CHANCE {
        Judged::Failed { chance }
    } else {
        Judged::Over { chance }
    }
}

/// A count in millionths; nonsense is 0 or the largest number there is, which the caller has refused before.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast of floats saturates, and a count is rounded"
)]
fn millionths(count: f64) -> i128 {
    (count.clamp(0.0, 1e18) * 1e6).round() as i128
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts above 2^53 are not told apart"
)]
fn to_f64(number: i128) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast of floats saturates, and a count is rounded"
)]
fn whole_number(count: f64) -> i64 {
    count.round() as i64
}

fn within(limit: Limit, value: f64) -> bool {
    limit.min.is_none_or(|min| value >= min) && limit.max.is_none_or(|max| value <= max)
}

fn chance_text(all: f64, bad: f64, chance: f64) -> String {
    let (all, bad) = (number(all), number(bad));
    if chance < 0.0005 {
        return format!("{bad} of {all} requests were bad, which is no chance");
    }
    let percent = 100.0 * chance;
    format!("{bad} of {all} requests were bad; by chance that happens with {percent:.1} %")
}

/// The measured share as people read it: `99.93%`, or `0.4% slower than 500 ms`.
fn share_text(plan: &MetricPlan, counts: Counts) -> String {
    let limit = plan.limit.tolerated_millionths.unwrap_or_default();
    let bad = whole_number(1e6 * counts.bad / counts.all);
    match plan.limit.slower_than_ms {
        Some(ms) => format!("{}% slower than {} ms", percent(bad, limit), number(ms)),
        None => format!("{}%", percent(1_000_000 - bad, 1_000_000 - limit)),
    }
}

fn share_limit(plan: &MetricPlan) -> String {
    let tolerated = plan.limit.tolerated_millionths.unwrap_or_default();
    match plan.limit.slower_than_ms {
        Some(ms) if plan.limit.is_of_stable() => {
            format!("as stable, slower than {} ms", number(ms))
        }
        Some(ms) => {
            let tolerated = decimals(tolerated, 4);
            format!("<= {tolerated}% slower than {} ms", number(ms))
        }
        None => format!(">= {}%", decimals(1_000_000 - tolerated, 4)),
    }
}

/// Millionths in percent with two decimals, or with four where two would hide on which side of the limit, or of none and
/// all, they lie.
fn percent(millionths: i64, limit: i64) -> String {
    let rounded = (millionths + 50).div_euclid(100) * 100;
    let same_side = |edge: i64| rounded.cmp(&edge) == millionths.cmp(&edge);
    if [limit, 0, 1_000_000].into_iter().all(same_side) {
        decimals(rounded, 2)
    } else {
        decimals(millionths, 4)
    }
}

/// Millionths in percent with at most so many decimals, and no needless zero.
fn decimals(millionths: i64, places: usize) -> String {
    let (whole, rest) = (millionths / 10_000, millionths % 10_000);
    let rest = format!("{rest:04}");
    let text = format!("{whole}.{}", rest.get(..places).unwrap_or(&rest));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The limits of a value as people read them.
fn range_text(limit: Limit) -> Option<String> {
    let min = limit.min.map(|min| format!(">= {}", number(min)));
    let max = limit.max.map(|max| format!("<= {}", number(max)));
    let texts: Vec<_> = min.into_iter().chain(max).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// A number with at most six decimals and no needless zero.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-6 {
        return format!("{value:e}");
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: f64 = 1000.0;

    fn now() -> Moment {
        Moment::new(jiff::Timestamp::from_second(1000).expect("a time"))
    }

    fn success(tolerated: i64) -> MetricPlan {
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

    fn duration() -> MetricPlan {
        let mut plan = success(10_000);
        plan.name = "request-duration".to_owned();
        plan.limit.slower_than_ms = Some(500.0);
        plan
    }

    fn value(min: Option<f64>, max: Option<f64>) -> MetricPlan {
        let mut plan = success(0);
        plan.measure = Measure::Value;
        plan.limit = Limit {
            min,
            max,
            ..Limit::default()
        };
        plan
    }

    fn gained(canary: (f64, f64), stable: (f64, f64)) -> Increments {
        let counts = |(all, bad)| Counts { all, bad };
        Increments {
            canary: counts(canary),
            stable: counts(stable),
            newest: NOW - 10.0,
            ..Increments::default()
        }
    }

    fn verdict(plan: &MetricPlan, n: f64, bad: f64) -> CheckVerdict {
        let window = gained((n, bad), (1000.0, 0.0));
        judge_share(plan, &window, &window, false, now()).verdict
    }

    #[test]
    fn the_worked_examples_hold() {
        use CheckVerdict::{Fail, Inconclusive, Pass};
        let rows = [
            (60.0, 0.0, Inconclusive),
            (60.0, 1.0, Inconclusive),
            (60.0, 2.0, Inconclusive),
            (60.0, 3.0, Fail),
            (100.0, 1.0, Pass),
            (150.0, 1.0, Pass),
            (150.0, 2.0, Inconclusive),
            (150.0, 5.0, Fail),
            (1e6, 10_000.0, Pass),
            (1e6, 10_001.0, Inconclusive),
            (1e6, 10_200.0, Fail),
        ];
        for (n, bad, expected) in rows {
            assert_eq!(verdict(&success(10_000), n, bad), expected, "{bad} of {n}");
        }
    }

    #[test]
    fn a_share_on_its_limit_passes() {
        // 1 − 0.9 is below 0.1 in floating point.
        assert_eq!(
            verdict(&success(100_000), 1000.0, 100.0),
            CheckVerdict::Pass
        );
        assert_eq!(verdict(&success(1_000), 3000.0, 3.0), CheckVerdict::Pass);
    }

    #[test]
    fn without_tolerance_one_bad_request_fails() {
        assert_eq!(verdict(&success(0), 3.0, 1.0), CheckVerdict::Fail);
        assert_eq!(verdict(&success(0), 99.0, 0.0), CheckVerdict::Inconclusive);
        assert_eq!(verdict(&success(0), 100.0, 0.0), CheckVerdict::Pass);
    }

    #[test]
    fn a_canary_that_only_fails_is_not_idle() {
        let window = gained((60.0, 60.0), (540.0, 0.0));
        let check = judge_share(&success(10_000), &window, &window, false, now());
        assert_eq!(check.verdict, CheckVerdict::Fail);
        assert_eq!(check.value.as_deref(), Some("0%"));
        assert_eq!(check.stable.as_deref(), Some("100%"));
        assert_eq!(check.samples, Some(60));
    }

    #[test]
    fn zero_requests_are_no_data() {
        let window = gained((0.0, 0.0), (540.0, 0.0));
        for low in [false, true] {
            let check = judge_share(&success(10_000), &window, &window, low, now());
            assert_eq!(check.verdict, CheckVerdict::NoData);
            assert_eq!(check.value, None);
            let message = "no requests to the canary, 540 to stable";
            assert_eq!(check.message.as_deref(), Some(message));
        }
    }

    #[test]
    fn an_old_window_does_not_speak_for_traffic_that_ended() {
        let recent = gained((0.0, 0.0), (540.0, 0.0));
        let whole = gained((5000.0, 0.0), (9000.0, 0.0));
        let check = judge_share(&success(10_000), &recent, &whole, false, now());
        assert_eq!(check.verdict, CheckVerdict::NoData);
    }

    #[test]
    fn no_traffic_at_all_is_unproven_only_where_traffic_is_low() {
        let window = gained((0.0, 0.0), (0.0, 0.0));
        let judged = |low| judge_share(&success(10_000), &window, &window, low, now()).verdict;
        assert_eq!(judged(true), CheckVerdict::Unproven);
        assert_eq!(judged(false), CheckVerdict::NoData);
    }

    #[test]
    fn low_traffic_lets_what_is_not_over_go_on() {
        let judged = |bad| {
            let window = gained((60.0, bad), (540.0, 0.0));
            judge_share(&success(10_000), &window, &window, true, now()).verdict
        };
        assert_eq!(judged(1.0), CheckVerdict::Unproven);
        assert_eq!(judged(2.0), CheckVerdict::Inconclusive);
        assert_eq!(judged(3.0), CheckVerdict::Fail);
    }

    #[test]
    fn too_few_recent_requests_are_judged_in_the_whole_window() {
        let recent = gained((60.0, 0.0), (540.0, 0.0));
        let whole = gained((130.0, 0.0), (900.0, 0.0));
        let check = judge_share(&success(10_000), &recent, &whole, false, now());
        assert_eq!(
            (check.verdict, check.samples),
            (CheckVerdict::Pass, Some(130))
        );
        let recent = gained((110.0, 0.0), (540.0, 0.0));
        let check = judge_share(&success(10_000), &recent, &whole, false, now());
        assert_eq!(
            check.samples,
            Some(110),
            "an old error is not held against it twice"
        );
    }

    #[test]
    fn stale_samples_are_no_data() {
        let mut window = gained((600.0, 0.0), (540.0, 0.0));
        window.newest = NOW - 61.0;
        let check = judge_share(&success(10_000), &window, &window, false, now());
        assert_eq!(check.verdict, CheckVerdict::NoData);
        assert_eq!(
            check.message.as_deref(),
            Some("the newest sample is 61 s old")
        );
        let short = MetricPlan {
            window_seconds: 10,
            ..success(10_000)
        };
        window.newest = NOW - 29.0;
        let check = judge_share(&short, &window, &window, false, now());
        assert_eq!(check.verdict, CheckVerdict::Pass, "scrapes are no faster");
    }

    #[test]
    fn more_bad_ones_than_all_is_invalid() {
        assert_eq!(verdict(&success(10_000), 60.0, 61.0), CheckVerdict::Invalid);
        assert_eq!(
            verdict(&success(10_000), f64::NAN, 1.0),
            CheckVerdict::Invalid
        );
    }

    #[test]
    fn a_shared_failure_is_stables_too() {
        let failing = gained((0.0, 0.0), (9000.0, 4500.0));
        assert!(stable_fails(&success(10_000), &failing));
        let fine = gained((100.0, 90.0), (9000.0, 90.0));
        assert!(!stable_fails(&success(10_000), &fine));
        assert!(!stable_fails(&success(10_000), &Increments::default()));
    }

    #[test]
    fn the_samples_needed_follow_from_the_limit() {
        for (tolerated, expected) in [(10_000, 100), (30_000, 34), (1_000, 1000), (0, 100)] {
            assert_eq!(needed(&success(tolerated)), expected);
        }
        let written = MetricPlan {
            min_samples: Some(7),
            ..success(10_000)
        };
        assert_eq!(needed(&written), 7);
    }

    #[test]
    fn texts_never_contradict_the_verdict() {
        let text = |plan: &MetricPlan, n: f64, bad: f64| {
            let window = gained((n, bad), (1.0, 0.0));
            let check = judge_share(plan, &window, &window, false, now());
            (check.value.expect("a value"), check.limit.expect("a limit"))
        };
        let rows = [
            (success(10_000), 10_000.0, 7.0, "99.93%", ">= 99%"),
            (success(10_000), 100_000.0, 1_001.0, "98.999%", ">= 99%"),
            (success(10_000), 1e6, 1.0, "99.9999%", ">= 99%"),
            (success(500), 1000.0, 0.0, "100%", ">= 99.95%"),
            (success(10_000), 3.0, 1.0, "66.67%", ">= 99%"),
            (
                duration(),
                1000.0,
                4.0,
                "0.4% slower than 500 ms",
                "<= 1% slower than 500 ms",
            ),
        ];
        for (plan, n, bad, value, limit) in rows {
            assert_eq!(text(&plan, n, bad), (value.to_owned(), limit.to_owned()));
        }
    }

    #[test]
    fn a_value_on_its_limit_passes() {
        use CheckVerdict::{Fail, Pass};
        let rows = [
            (Some(1.0), None, 1.0, Pass),
            (Some(1.0), None, 0.999, Fail),
            (None, Some(500.0), 500.0, Pass),
            (None, Some(500.0), 500.5, Fail),
            (Some(1.0), Some(2.0), 1.5, Pass),
        ];
        for (min, max, measured, expected) in rows {
            let check = judge_value(&value(min, max), Some(measured), None, now());
            assert_eq!(check.verdict, expected, "{measured}");
        }
    }

    #[test]
    fn what_is_not_finite_is_no_data() {
        let missing = [
            None,
            Some(f64::NAN),
            Some(f64::INFINITY),
            Some(f64::NEG_INFINITY),
        ];
        for measured in missing {
            let plan = value(None, Some(500.0));
            let check = judge_value(&plan, measured, Some(f64::NAN), now());
            assert_eq!(check.verdict, CheckVerdict::NoData);
            assert_eq!((check.value, check.stable), (None, None));
            assert!(!value_fails(&plan, measured));
        }
    }

    #[test]
    fn no_data_is_what_the_user_says() {
        let rows = [
            (OnNoData::Wait, CheckVerdict::NoData),
            (OnNoData::Pass, CheckVerdict::Pass),
            (OnNoData::Fail, CheckVerdict::Fail),
        ];
        for (on_no_data, expected) in rows {
            let template = MetricPlan {
                on_no_data,
                ..value(None, Some(1.0))
            };
            assert_eq!(judge_value(&template, None, None, now()).verdict, expected);
            let share = MetricPlan {
                on_no_data,
                ..success(10_000)
            };
            assert_eq!(verdict(&share, 0.0, 0.0), expected);
        }
    }

    #[test]
    fn limits_read_like_limits() {
        let limit = |min, max| judge_value(&value(min, max), Some(0.25), None, now()).limit;
        assert_eq!(limit(Some(0.1), None).as_deref(), Some(">= 0.1"));
        assert_eq!(
            limit(Some(1.0), Some(500.0)).as_deref(),
            Some(">= 1, <= 500")
        );
    }

    proptest! {
        /// More errors never turn a verdict for the better.
        #[test]
        fn verdicts_follow_the_errors(n in 1_u32..5000, bad in 0_u32..5000, tolerated in 0_i64..200_000) {
            let (n, bad) = (f64::from(n), f64::from(bad.min(n)));
            let plan = success(tolerated);
            let more = (bad + 1.0).min(n);
            prop_assert!(verdict(&plan, n, bad) <= verdict(&plan, n, more));
        }

        /// A passing share lies within its limit, by exact arithmetic, with as many requests as needed.
        #[test]
        fn a_pass_is_within_the_limit(n in 0_u32..5000, bad in 0_u32..500, tolerated in 0_i64..200_000) {
            let plan = success(tolerated);
            let bad = bad.min(n);
            if verdict(&plan, n.into(), bad.into()) == CheckVerdict::Pass {
                prop_assert!(i64::from(bad) * 1_000_000 <= tolerated * i64::from(n));
                prop_assert!(i64::from(n) >= needed(&plan));
            }
        }
    }
}
