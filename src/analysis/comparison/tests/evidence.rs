//! The evidence of one metric: the worked examples of ANALYSIS 4.10, and what must not change it.

use std::f64::consts::FRAC_1_SQRT_2;

use crate::analysis::comparison::evidence::{Evidence, Terms};
use crate::analysis::comparison::{Round, round};
use crate::analysis::counts::Counts;

fn terms(phi: f64, steps: u32) -> Terms {
    Terms {
        tolerance: 1.2,
        non_inferiority: 2.0,
        limit: Some(0.01),
        phi,
        steps,
    }
}

fn after(terms: Terms, rounds: &[Round]) -> Evidence {
    let mut evidence = Evidence::new(terms, 1);
    for round in rounds {
        evidence.add(round);
    }
    evidence
}

/// ℓ(ρ) − ℓ(ρ₀), where ρ need not be on the grid.
fn at(rounds: &[Round], ratio: f64) -> f64 {
    let terms = Terms {
        non_inferiority: ratio,
        ..terms(1.0, 1)
    };
    after(terms, rounds).attempt.bound
}

#[track_caller]
fn close(actual: f64, expected: f64) {
    let difference = (actual - expected).abs();
    assert!(difference <= 1e-5, "{actual} is not {expected}");
}

fn a() -> Round {
    round(1000.0, 9000.0, 5.0, 9.0)
}

fn b() -> Round {
    round(2000.0, 8000.0, 12.0, 8.0)
}

#[test]
fn likelihoods_are_those_of_the_page() {
    close(at(&[a()], 2.0), 1.497_022);
    close(at(&[a()], 5.0), 2.702_207);
    close(at(&[a(), b()], 2.0), 4.764_913);
    close(at(&[a(), b()], 5.0), 8.856_284);
}

#[test]
fn rounds_are_compared_at_their_own_share() {
    let rows = [
        (1.0, vec![a()], 1.660_013),
        (1.0, vec![a(), b()], 7.397_377),
        (2.0, vec![a(), b()], 3.296_488),
        (1.0, vec![round(3000.0, 17000.0, 17.0, 17.0)], 7.825_948),
        (1.0, vec![round(1000.0, 9000.0, 0.0, 0.0)], 0.0),
        (1.0, vec![round(1000.0, 9000.0, 3.0, 27.0)], -2.090_076),
        (1.0, vec![round(5000.0, 5000.0, 40.0, 40.0)], -3.423_388),
    ];
    for (phi, rounds, expected) in rows {
        close(after(terms(phi, 1), &rounds).ln_attempt(), expected);
    }
}

#[test]
fn a_good_canary_is_shown_to_be_no_worse() {
    let rows = [
        (vec![a()], -2.466_331),
        (vec![a(), b()], -3.774_649),
        (vec![round(1000.0, 9000.0, 0.0, 0.0)], 0.0),
        (vec![round(1000.0, 9000.0, 3.0, 27.0)], -0.113_322),
        (vec![round(5000.0, 5000.0, 40.0, 40.0)], 2.890_661),
    ];
    for (rounds, expected) in rows {
        close(after(terms(1.0, 1), &rounds).ln_ratio(), expected);
    }
}

#[test]
fn the_ratio_has_its_confidence_sequence() {
    let rows = [
        (vec![a()], 4.9992, FRAC_1_SQRT_2, 26.908_685),
        (vec![a(), b()], 5.5751, 1.681_793, 17.448_124),
        (
            vec![round(5000.0, 5000.0, 40.0, 40.0)],
            1.0,
            0.458_502,
            2.181_015,
        ),
    ];
    for (rounds, estimate, low, high) in rows {
        let ratio = after(terms(1.0, 1), &rounds).ratio().expect("a ratio");
        let off = (ratio.estimate - estimate).abs();
        assert!(off <= 1e-3, "{} is not {estimate}", ratio.estimate);
        close(ratio.low.expect("a lower end"), low);
        close(ratio.high.expect("an upper end"), high);
    }
}

#[test]
fn a_ratio_without_bound_is_open() {
    let clean = after(terms(1.0, 1), &[round(1000.0, 9000.0, 0.0, 0.0)]);
    assert_eq!(clean.ratio(), None);
    let only_stable = after(terms(1.0, 1), &[round(5000.0, 5000.0, 0.0, 40.0)]);
    let ratio = only_stable.ratio().expect("a ratio");
    assert_eq!((ratio.estimate, ratio.low), (0.0625, None));
    let only_canary = after(terms(1.0, 1), &[round(5000.0, 5000.0, 40.0, 0.0)]);
    let ratio = only_canary.ratio().expect("a ratio");
    assert_eq!((ratio.estimate, ratio.high), (64.0, None));
}

#[test]
fn steps_are_mixed_with_the_whole_attempt() {
    let mut evidence = Evidence::new(terms(1.0, 5), 1);
    close(evidence.ln_e(), 0.0);
    evidence.step = 3;
    evidence.finished = 3.0;
    evidence.attempt.points = [2.0; 81];
    evidence.since_step.points = [40_f64.ln(); 81];
    close(evidence.ln_e().exp(), 8.194_528);
    close(evidence.ln_e(), 2.103_467);
}

#[test]
fn a_shared_outage_at_low_weight_hides_no_regression() {
    let outage = round(1000.0, 9000.0, 500.0, 4500.0);
    let mut evidence = after(terms(1.0, 2), &[outage]);
    evidence.enter(2);
    close(evidence.finished.ln(), -12.270_764);
    evidence.add(&round(5000.0, 5000.0, 60.0, 12.0));
    close(evidence.ln_attempt(), -10.715_763);
    close(evidence.ln_step(), 11.781_363);
    close(evidence.ln_e(), 10.395_068);
    close(evidence.excess().expect("an excess"), 24.0 / 3400.0);
    assert!(evidence.is_substantial());
    let (canary, stable) = (evidence.canary(), evidence.stable());
    let pooled = canary.bad / canary.all - stable.bad / stable.all;
    close(pooled, -0.228_952);
}

#[test]
fn what_is_negligible_is_not_substantial() {
    let small = after(terms(1.0, 1), &[round(100_000.0, 100_000.0, 45.0, 1.0)]);
    close(small.excess().expect("an excess"), 0.000_44);
    assert!(!small.is_substantial());
    let few = after(terms(1.0, 1), &[round(100.0, 100.0, 4.0, 0.0)]);
    assert!(!few.is_substantial());
    let five = after(terms(1.0, 1), &[round(100.0, 100.0, 5.0, 0.0)]);
    assert!(five.is_substantial());
}

#[test]
fn clean_requests_pass_at_the_number_of_the_page() {
    for (phi, limit, expected) in [
        (1.0, 0.01, 404.0),
        (2.0, 0.01, 807.0),
        (1.0, 0.005, 809.0),
        (1.0, 0.001, 4054.0),
    ] {
        let limit = Some(limit);
        let terms = Terms {
            limit,
            ..terms(phi, 1)
        };
        let passes = |all| {
            let evidence = after(terms, &[round(all, all, 0.0, 0.0)]);
            evidence.ln_pass() >= Some(20_f64.ln())
        };
        assert!(!passes(expected - 1.0), "one less than {expected}");
        assert!(passes(expected), "{expected}");
    }
}

#[test]
fn either_kind_of_evidence_passes_alone_or_both_share() {
    let clean = [round(600.0, 600.0, 0.0, 0.0)];
    let without_limit = Terms {
        limit: None,
        ..terms(1.0, 1)
    };
    let neither = Terms {
        limit: None,
        ..terms(1.0, 0)
    };
    let rows = [
        (terms(1.0, 1), Some(4.842_181)),
        (terms(1.0, 0), Some(5.531_375)),
        (without_limit, Some(0.0)),
        (neither, None),
    ];
    for (terms, expected) in rows {
        let ln_pass = after(terms, &clean).ln_pass();
        assert_eq!(ln_pass.is_some(), expected.is_some());
        close(ln_pass.unwrap_or_default(), expected.unwrap_or_default());
    }
}

#[test]
fn few_requests_show_a_larger_limit() {
    for (phi, expected) in [(1.0, 0.126), (2.0, 0.236)] {
        let evidence = after(terms(phi, 1), &[round(30.0, 30.0, 0.0, 0.0)]);
        let least = evidence.least_limit(0.05).expect("a limit");
        assert!((least - expected).abs() < 0.0005, "{least}");
    }
    assert_eq!(after(terms(1.0, 1), &[]).least_limit(0.05), None);
}

#[test]
fn rounds_of_one_arm_count_for_the_limit_alone() {
    let mut evidence = after(terms(1.0, 1), &[a()]);
    let before = evidence.clone();
    assert!(!evidence.add(&round(700.0, 0.0, 70.0, 0.0)));
    assert!(!evidence.add(&round(0.0, 700.0, 0.0, 70.0)));
    assert_eq!(evidence.recent, round(1700.0, 0.0, 75.0, 0.0).canary);
    evidence.recent = before.recent;
    assert_eq!(evidence, before);
}

#[test]
fn what_cannot_be_is_left_out() {
    let mut evidence = after(terms(1.0, 1), &[a()]);
    let before = evidence.clone();
    for nonsense in [
        round(10.0, 10.0, 11.0, 0.0),
        round(10.0, f64::NAN, 0.0, 0.0),
        round(f64::INFINITY, 10.0, 0.0, 0.0),
        round(10.0, 10.0, 0.0, -1.0),
        round(-10.0, 10.0, 0.0, 1.0),
    ] {
        assert!(!evidence.add(&nonsense));
    }
    assert_eq!(evidence, before);
}

#[test]
fn a_new_step_begins_afresh_and_only_once() {
    let mut evidence = after(terms(1.0, 3), &[a(), b()]);
    evidence.proven = true;
    evidence.enter(2);
    close(evidence.finished.ln(), 7.397_377);
    close(evidence.ln_step(), 0.0);
    close(evidence.ln_attempt(), 7.397_377);
    assert_eq!(evidence.recent, Counts::default());
    assert!(!evidence.is_proven());
    let once = evidence.clone();
    evidence.enter(2);
    evidence.enter(1);
    assert_eq!(evidence, once);
}

#[test]
fn a_step_that_was_jumped_over_has_no_evidence() {
    let mut evidence = Evidence::new(terms(1.0, 3), 1);
    evidence.enter(3);
    close(evidence.ln_e(), 0.0);
}

#[test]
fn evidence_has_an_end() {
    let worst = [round(1e6, 1e6, 1e6, 0.0); 9];
    let evidence = after(terms(1.0, 1), &worst);
    assert_eq!(evidence.ln_e(), 600.0);
    let best = [round(1e6, 1e6, 0.0, 1e6); 9];
    let evidence = after(terms(1.0, 1), &best);
    assert!(evidence.ln_e() >= -600.0 && evidence.ln_pass() <= Some(600.0));
}
