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

    pub(super) fn ln_attempt(&self) -> f64 {
        self.attempt.ln_worse(self.terms.ratios())
    }

    pub(super) fn ln_step(&self) -> f64 {
        self.since_step.ln_worse(self.terms.ratios())
    }

    pub(super) fn ln_ratio(&self) -> f64 {
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
