//! Evidence that a bad share is below a limit, without any comparison (ANALYSIS 4.5).

use std::f64::consts::FRAC_1_SQRT_2;

use crate::analysis::comparison::grid::{capped, ln_mean_exp};
use crate::analysis::counts::Counts;

/// How many smaller shares are held against the limit, each 1/√2 of the one before.
const SHARES: usize = 16;

/// How often a search halves its interval: enough for all digits that anybody reads.
const HALVINGS: u8 = 60;

/// ln of the evidence that the share of bad requests is below `limit`, which is above 0 and below 1.
pub(super) fn ln_below(limit: f64, counts: Counts, phi: f64) -> f64 {
    let Counts { all, bad } = counts;
    let mut share = limit;
    let terms: [f64; SHARES] = std::array::from_fn(|_| {
        share *= FRAC_1_SQRT_2;
        let good = (-share).ln_1p() - (-limit).ln_1p();
        (bad * (share / limit).ln() + (all - bad) * good) / phi
    });
    capped(ln_mean_exp(&terms))
}

/// The least share from which on something holds, if it holds for any; it has to hold for all greater ones too.
pub(super) fn least(holds: impl Fn(f64) -> bool) -> Option<f64> {
    let (mut too_small, mut enough) = (0.0, 1.0 - 1e-9);
    if !holds(enough) {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (too_small + enough);
        if holds(middle) {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    Some(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ln_below_one_percent(all: f64, bad: f64, phi: f64) -> f64 {
        ln_below(0.01, Counts { all, bad }, phi)
    }

    #[test]
    fn clean_requests_show_a_small_share() {
        let rows = [
            (300.0, 0.0, 2.695_455),
            (600.0, 0.0, 5.531_375),
            (1000.0, 2.0, 3.711_046),
            (1000.0, 10.0, -3.065_368),
        ];
        for (all, bad, expected) in rows {
            let ln_e = ln_below_one_percent(all, bad, 1.0);
            assert!((ln_e - expected).abs() <= 1e-5, "{bad} of {all}: {ln_e}");
        }
    }

    #[test]
    fn evidence_grows_with_the_limit() {
        let counts = Counts {
            all: 50.0,
            bad: 3.0,
        };
        let below = |percent: u8| ln_below(f64::from(percent) / 100.0, counts, 1.0);
        assert!((1..99).all(|percent| below(percent) < below(percent + 1)));
    }

    #[test]
    fn the_least_share_is_found() {
        let found = least(|share| share >= 0.125).expect("it holds at the end");
        assert!((found - 0.125).abs() < 1e-9);
        assert_eq!(least(|_| false), None);
    }
}
