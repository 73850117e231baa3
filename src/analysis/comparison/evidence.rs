//! What the rounds of one metric add up to (ANALYSIS 4.2 and 4.5).

use crate::analysis::comparison::Round;
use crate::analysis::comparison::grid::{Likelihood, Ratios, Split, capped, ln_mean_exp};
use crate::analysis::comparison::limit::{least, ln_below};
use crate::analysis::comparison::ratio::Ratio;
use crate::analysis::counts::Counts;

/// Bad requests of the canary below which nothing is held against it (ANALYSIS 4.3).
const LEAST_BAD: f64 = 5.0;

/// Excess of the canary's bad share over stable's below which nothing is held against it (ANALYSIS 4.3).
const LEAST_EXCESS: f64 = 0.0005;

/// What is fixed when the comparison of a metric begins; if any of it changes, its evidence begins anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// How many times as bad as stable the canary may be (ρ₀).
    pub tolerance: f64,
    /// How many times as bad has to be excluded before promotion (`ρ_b`).
    pub non_inferiority: f64,
    /// The share of bad requests that the guard tolerates (q), if there is one.
    pub limit: Option<f64>,
    /// Variance of errors relative to independent ones (φ), as `bursts` measures it.
    pub phi: f64,
    /// Steps with traffic for both arms in the plan (S); 0: nothing is compared.
    pub steps: u32,
}

impl Terms {
    fn ratios(&self) -> Ratios {
        Ratios {
            tolerance: self.tolerance,
            non_inferiority: self.non_inferiority,
        }
    }

    /// φ, which is never below 1, so that no measurement makes evidence of less.
    fn phi(&self) -> f64 {
        self.phi.max(1.0)
    }

    /// The limit, if evidence for it is possible: no number of requests shows a share below 0.
    fn limit(&self) -> Option<f64> {
        self.limit.filter(|limit| *limit > 0.0 && *limit < 1.0)
    }
}

/// The evidence about one metric of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub(super) terms: Terms,
    /// The current one of the shared steps, from 1 (s).
    pub(super) step: u32,
    /// ℓ since the attempt began.
    pub(super) attempt: Likelihood,
    /// ℓ since the last shared step began (`ℓ_s`).
    pub(super) since_step: Likelihood,
    /// The sum of the finished steps' evidence (F).
    pub(super) finished: f64,
    /// The canary in rounds with both arms, since the attempt began.
    pub(super) canary: Counts,
    /// Stable in those rounds.
    pub(super) stable: Counts,
    /// X and Y, whose quotient is the stratified excess.
    pub(super) excess: (f64, f64),
    /// The canary in all rounds since the last shared weight began (n and e of `E_limit`).
    pub(super) recent: Counts,
    /// The sum over all metrics was over the threshold in this metric's last round.
    pub(super) crossed: bool,
    /// Evidence for promotion was reached since the last shared weight began.
    pub(super) proven: bool,
}

impl Evidence {
    /// No evidence yet, at the beginning of an attempt's first step, or of the step in which this metric begins anew.
    #[must_use]
    pub fn new(terms: Terms, step: u32) -> Self {
        Self {
            terms,
            step: step.max(1),
            attempt: Likelihood::flat(),
            since_step: Likelihood::flat(),
            finished: 0.0,
            canary: Counts::default(),
            stable: Counts::default(),
            excess: (0.0, 0.0),
            recent: Counts::default(),
            crossed: false,
            proven: false,
        }
    }

    /// What was fixed at the beginning.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Requests to the canary in rounds with both arms, since the attempt began.
    #[must_use]
    pub fn canary(&self) -> Counts {
        self.canary
    }

    /// Requests to stable in those rounds.
    #[must_use]
    pub fn stable(&self) -> Counts {
        self.stable
    }

    /// The canary's measured share of those requests; `None`: there were none.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let all = self.canary.all + self.stable.all;
        (all > 0.0).then(|| self.canary.all / all)
    }

    /// The stratified excess of the canary's bad share over stable's: differences within rounds, so that a failure of both
    /// arms at one weight says nothing about another. `None`: there is nothing to compare.
    #[must_use]
    pub fn excess(&self) -> Option<f64> {
        let (sum, weight) = self.excess;
        (weight > 0.0).then(|| sum / weight)
    }

    /// How many times as bad as stable the canary is; `None` while neither arm had a bad request.
    #[must_use]
    pub fn ratio(&self) -> Option<Ratio> {
        (self.canary.bad + self.stable.bad > 0.0).then(|| Ratio::new(&self.attempt))
    }

    /// ln E, the evidence that the canary is more than ρ₀ times as bad as stable: one half since the attempt began, the other
    /// afresh in each step, since a long healthy past would outweigh what begins at high weight.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        if self.terms.steps == 0 {
            return 0.0;
        }
        let steps = f64::from(self.terms.steps);
        let to_come = (steps - f64::from(self.step)).max(0.0);
        let by_step = (self.finished + self.ln_step().exp() + to_come) / steps;
        capped((0.5 * self.ln_attempt().exp() + 0.5 * by_step).ln())
    }

    /// ln `E_pass`, the evidence that the canary is less than `ρ_b` times as bad as stable, or its bad share below the
    /// limit; `None`: neither a comparison nor a limit can show that.
    #[must_use]
    pub fn ln_pass(&self) -> Option<f64> {
        self.ln_pass_with(self.terms.limit())
    }

    /// Whether evidence for promotion was reached since the last shared weight began. It stays so: it has been shown.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// The least share of bad requests that is excluded with an error of at most `missed_regression`: what a release without
    /// evidence for its limit has shown instead. `None`: nothing.
    #[must_use]
    pub fn least_limit(&self, missed_regression: f64) -> Option<f64> {
        let needed = -missed_regression.ln();
        let shown = |limit| self.ln_pass_with(Some(limit)) >= Some(needed);
        least(shown)
    }

    /// Takes one round in; whether it was one in which the arms could be compared. Rounds without requests of one arm count
    /// for the limit alone, and those that cannot be (`Round::is_sound`) not at all.
    pub fn add(&mut self, round: &Round) -> bool {
        if !round.is_sound() {
            return false;
        }
        self.recent.add(round.canary);
        let shared = self.terms.steps > 0 && round.is_shared();
        if shared {
            self.compare(round);
        }
        shared
    }

    /// Enters a shared step, which begins with no evidence of its own; in a plan without any, the last weight is entered like
    /// one. The step that it already is in changes nothing; one that was jumped over counts as one without evidence.
    pub fn enter(&mut self, step: u32) {
        if step <= self.step {
            return;
        }
        let jumped = f64::from(step - self.step - 1);
        self.finished += self.ln_step().exp() + jumped;
        self.step = step;
        self.since_step = Likelihood::flat();
        self.recent = Counts::default();
        self.proven = false;
    }

    /// Whether this metric says enough to be held against the canary (ANALYSIS 4.3): it has to have some bad requests, and
    /// more of them than a negligible excess.
    pub(super) fn is_substantial(&self) -> bool {
        self.canary.bad >= LEAST_BAD && self.excess().is_some_and(|excess| excess >= LEAST_EXCESS)
    }

    fn compare(&mut self, round: &Round) {
        let Round { canary, stable } = *round;
        let all = canary.all + stable.all;
        let split = Split {
            share: canary.all / all,
            canary: canary.bad,
            stable: stable.bad,
        };
        let gained = Likelihood::of(split, self.terms.ratios(), self.terms.phi());
        self.attempt.add(&gained);
        self.since_step.add(&gained);
        self.canary.add(canary);
        self.stable.add(stable);
        self.excess.0 += (canary.bad * stable.all - stable.bad * canary.all) / all;
        self.excess.1 += canary.all * stable.all / all;
    }

    fn ln_attempt(&self) -> f64 {
        self.attempt.ln_worse(self.terms.ratios())
    }

    fn ln_step(&self) -> f64 {
        self.since_step.ln_worse(self.terms.ratios())
    }

    fn ln_ratio(&self) -> f64 {
        self.since_step.ln_not_worse(self.terms.ratios())
    }

    fn ln_pass_with(&self, limit: Option<f64>) -> Option<f64> {
        let by_ratio = (self.terms.steps > 0).then(|| self.ln_ratio());
        let by_limit = limit.map(|limit| ln_below(limit, self.recent, self.terms.phi()));
        match (by_ratio, by_limit) {
            (Some(ratio), Some(limit)) => Some(ln_mean_exp(&[ratio, limit])),
            (by_ratio, by_limit) => by_ratio.or(by_limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_1_SQRT_2;

    use super::*;
    use crate::analysis::comparison::round;

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
}
