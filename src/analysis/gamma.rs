//! The two special functions that the verdicts need.

/// Coefficients of Lanczos' approximation for g = 7 and nine terms (Godfrey's table); relative error below 1e-13.
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// lnΓ(x) for x ≥ 0.5, which covers every lnΓ(count + 1).
pub(super) fn ln_gamma(x: f64) -> f64 {
    let x = x - 1.0;
    let t = x + 7.5;
    let terms = LANCZOS.iter().zip(0_u8..).skip(1);
    let sum = terms.fold(LANCZOS[0], |sum, (term, i)| sum + term / (x + f64::from(i)));
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// P(X ≥ k) for a Poisson variable X of this mean, as far as it is below one half; from the mean downwards it is just 1.
///
/// The sum starts at k in logarithms, so that large means do not underflow, and runs upwards until a term adds nothing.
pub(super) fn poisson_tail(mean: f64, k: f64) -> f64 {
    if k <= mean || k <= 0.0 {
        return 1.0;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let mut term = (k * mean.ln() - mean - ln_gamma(k + 1.0)).exp();
    let (mut sum, mut at) = (term, k);
    while term > sum * 1e-12 {
        at += 1.0;
        term *= mean / at;
        sum += term;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(actual: f64, expected: f64) {
        let close = (actual - expected).abs() <= 1e-9 * expected.abs().max(1.0);
        assert!(close, "{actual} is not {expected}");
    }

    #[test]
    fn ln_gamma_is_that_of_the_factorials() {
        let mut factorial = 1.0_f64;
        for n in 1..=20_u8 {
            factorial *= f64::from(n);
            check(ln_gamma(f64::from(n) + 1.0), factorial.ln());
        }
        check(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln());
        // Stirling's series is exact to all digits here.
        let x = 1e6_f64;
        let stirling = (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + 1.0 / (12.0 * x);
        check(ln_gamma(x), stirling);
    }

    #[test]
    fn tails_are_those_of_the_table() {
        // 1 − e^−λ, and the figures of ANALYSIS 2.4.
        check(poisson_tail(0.5, 1.0), 1.0 - (-0.5_f64).exp());
        for (mean, k, percent) in [(0.6, 2.0, 12.2), (0.6, 3.0, 2.3), (1.5, 5.0, 1.9)] {
            let tail = 100.0 * poisson_tail(mean, k);
            assert!((tail - percent).abs() < 0.05, "{tail}");
        }
    }

    #[test]
    fn large_means_do_not_underflow() {
        let tail = poisson_tail(10_000.0, 10_165.0);
        assert!((0.045..0.055).contains(&tail), "{tail}");
    }

    #[test]
    fn the_ends_are_certain() {
        check(poisson_tail(0.0, 1.0), 0.0);
        check(poisson_tail(0.0, 0.0), 1.0);
        check(poisson_tail(3.0, 2.0), 1.0);
    }
}
