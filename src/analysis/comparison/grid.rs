//! Likelihoods on a fixed grid of ratios (ANALYSIS 4.2).

use std::sync::LazyLock;

/// How many ratios the grid has.
pub(super) const POINTS: usize = 81;

/// Points of the grid in each doubling of the ratio.
pub(super) const PER_OCTAVE: f64 = 8.0;

/// Where the grid begins, as a power of two.
const FIRST_OCTAVE: f64 = -4.0;

/// How far beside a hypothesis its alternatives begin, as a factor: what is nearer is not told apart in any sensible time.
const GAP: f64 = 1.05;

/// Logarithms of evidence beyond this are not told apart: e⁶⁰⁰ and sums of it are still numbers.
const MOST: f64 = 600.0;

/// The ratios, from 1/16 to 64.
pub(super) static GRID: LazyLock<[f64; POINTS]> = LazyLock::new(|| {
    let mut points = [0.0; POINTS];
    for (point, i) in points.iter_mut().zip(0_u8..) {
        *point = (FIRST_OCTAVE + f64::from(i) / PER_OCTAVE).exp2();
    }
    points
});

/// ln of the mean of e^x, without overflow; of no values −∞.
pub(super) fn ln_mean_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return most;
    }
    let (sum, number) = values
        .iter()
        .fold((0.0, 0.0), |(sum, n), x| (sum + (x - most).exp(), n + 1.0));
    most + f64::ln(sum / number)
}

/// A logarithm of evidence that can be turned into a number, added and shown.
pub(super) fn capped(ln: f64) -> f64 {
    ln.clamp(-MOST, MOST)
}

/// The two hypotheses about the canary's multiple ρ of stable's bad share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratios {
    /// ρ₀, up to which the canary is tolerated.
    pub(super) tolerance: f64,
    /// `ρ_b`, which has to be excluded before promotion.
    pub(super) non_inferiority: f64,
}

/// Bad requests of both arms in one round, with the canary's measured share of all requests, above 0 and below 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    pub(super) share: f64,
    pub(super) canary: f64,
    pub(super) stable: f64,
}

/// The log likelihood ℓ(ρ) of all ratios, kept as its distance from ℓ(ρ₀).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Likelihood {
    /// ℓ(g) − ℓ(ρ₀) on the grid.
    pub(super) points: [f64; POINTS],
    /// ℓ(`ρ_b`) − ℓ(ρ₀).
    pub(super) bound: f64,
}

impl Likelihood {
    /// That of no data.
    pub(super) fn flat() -> Self {
        Self {
            points: [0.0; POINTS],
            bound: 0.0,
        }
    }

    /// That of one round; φ is the variance of errors relative to independent ones.
    pub(super) fn of(split: Split, ratios: Ratios, phi: f64) -> Self {
        let gain = |ratio| gain(split, ratio, ratios.tolerance) / phi;
        Self {
            points: GRID.map(gain),
            bound: gain(ratios.non_inferiority),
        }
    }

    /// Takes that of another round in.
    pub(super) fn add(&mut self, other: &Self) {
        for (point, gain) in self.points.iter_mut().zip(&other.points) {
            *point += gain;
        }
        self.bound += other.bound;
    }

    /// ln of the evidence that ρ > ρ₀.
    pub(super) fn ln_worse(&self, ratios: Ratios) -> f64 {
        let first = GRID.partition_point(|ratio| *ratio < GAP * ratios.tolerance);
        capped(ln_mean_exp(&self.points[first..]))
    }

    /// ln of the evidence that ρ < `ρ_b`.
    pub(super) fn ln_not_worse(&self, ratios: Ratios) -> f64 {
        let end = GRID.partition_point(|ratio| *ratio <= ratios.non_inferiority / GAP);
        capped(ln_mean_exp(&self.points[..end]) - self.bound)
    }
}

/// What one round adds to ℓ(ρ) − ℓ(ρ₀): `e_c` ln θ(ρ, w) + `e_s` ln(1 − θ(ρ, w)), less the same at ρ₀.
///
/// With D(ρ) = ρw + 1 − w, θ = ρw/D and 1 − θ = (1 − w)/D, so that only ρ and D are left in the difference.
fn gain(split: Split, ratio: f64, tolerance: f64) -> f64 {
    let scale = |ratio: f64| ratio * split.share + 1.0 - split.share;
    let both = split.canary + split.stable;
    split.canary * (ratio / tolerance).ln() - both * (scale(ratio) / scale(tolerance)).ln()
}

/// θ(ρ, w): the canary's part of all bad requests, if its share of requests is w and its bad share ρ times stable's.
pub(super) fn canarys_part(ratio: f64, share: f64) -> f64 {
    ratio * share / (ratio * share + 1.0 - share)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::gamma::ln_gamma;

    const USUAL: Ratios = Ratios {
        tolerance: 1.2,
        non_inferiority: 2.0,
    };

    #[test]
    fn the_grid_is_that_of_the_page() {
        assert_eq!((GRID[0], GRID[32], GRID[80]), (0.0625, 1.0, 64.0));
        assert!((GRID[36] - std::f64::consts::SQRT_2).abs() < 1e-12);
        let worse = GRID.iter().filter(|ratio| **ratio >= GAP * 1.2).count();
        let better = GRID.iter().filter(|ratio| **ratio <= 2.0 / GAP).count();
        assert_eq!((worse, better), (46, 40));
    }

    #[test]
    fn means_of_exponentials_neither_overflow_nor_vanish() {
        assert_eq!(ln_mean_exp(&[]), f64::NEG_INFINITY);
        assert!((ln_mean_exp(&[1000.0, 1000.0]) - 1000.0).abs() < 1e-9);
        assert!((ln_mean_exp(&[-1000.0, -1000.0 + 3_f64.ln()]) + 1000.0 - 2_f64.ln()).abs() < 1e-9);
    }

    /// The mean of the evidence over all ways in which `bad` bad requests fall on the arms, at the ratio `truth`.
    fn mean(bad: u8, share: f64, truth: f64, evidence: impl Fn(&Likelihood) -> f64) -> f64 {
        let part = canarys_part(truth, share);
        let all = f64::from(bad);
        let one = |canary: u8| {
            let (canary, stable) = (f64::from(canary), f64::from(bad - canary));
            let split = Split {
                share,
                canary,
                stable,
            };
            let likelihood = Likelihood::of(split, USUAL, 1.0);
            let ways = ln_gamma(all + 1.0) - ln_gamma(canary + 1.0) - ln_gamma(stable + 1.0);
            let chance = ways + canary * part.ln() + stable * (1.0 - part).ln();
            (chance + evidence(&likelihood)).exp()
        };
        (0..=bad).map(one).sum()
    }

    #[test]
    fn on_its_bound_the_mean_of_the_evidence_is_one() {
        for (bad, share) in [(1, 0.05), (7, 0.5), (40, 0.1), (200, 0.35)] {
            let worse = mean(bad, share, 1.2, |l| l.ln_worse(USUAL));
            let not_worse = mean(bad, share, 2.0, |l| l.ln_not_worse(USUAL));
            assert!((worse - 1.0).abs() < 1e-6, "{bad} at {share}: {worse}");
            assert!(
                (not_worse - 1.0).abs() < 1e-6,
                "{bad} at {share}: {not_worse}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// No canary that keeps within the tolerance gathers evidence against it on average, and none that is as bad as
        /// the bound gathers evidence for it.
        #[test]
        fn within_a_hypothesis_the_mean_is_at_most_one(
            bad in 0_u8..60,
            share in 0.01_f64..0.99,
            factor in 1.0_f64..20.0,
        ) {
            prop_assert!(mean(bad, share, 1.2 / factor, |l| l.ln_worse(USUAL)) <= 1.0 + 1e-6);
            prop_assert!(mean(bad, share, 2.0 * factor, |l| l.ln_not_worse(USUAL)) <= 1.0 + 1e-6);
        }
    }
}
