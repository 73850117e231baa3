//! How much more errors vary than independent ones, measured on stable alone (ANALYSIS 4.6).
//!
//! Stable's Pods are divided into two halves. Were errors independent, each half would have its part of them in every round;
//! errors that come in bursts fall on one half or the other.

use std::collections::BTreeSet;

use crate::analysis::counts::Counts;

/// Above this φ errors are so far from independent that nothing can be compared (`Invalid`).
pub const MOST_PHI: f64 = 20.0;

/// Rounds with errors that a measurement should have; while there are fewer, the look-back grows.
pub const ENOUGH_ROUNDS: u32 = 50;

/// Rounds with errors below which nothing is measured.
const LEAST_ROUNDS: u32 = 5;

/// φ where it cannot be measured.
const UNMEASURED_PHI: f64 = 2.0;

/// The 5 % quantile of the normal distribution, without its sign.
const NORMAL_QUANTILE: f64 = 1.644_854;

/// What both halves of stable counted in one round of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Halves {
    /// The Pods of `first_half`.
    pub first: Counts,
    /// The others.
    pub second: Counts,
}

/// The Pods of the first half: every other one, in the order of a hash of their names, so that neither age nor node decides.
#[must_use]
pub fn first_half<'a>(pods: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let mut sorted: Vec<_> = pods.iter().map(|pod| (hash(pod), *pod)).collect();
    sorted.sort_unstable();
    sorted.into_iter().map(|(_, pod)| pod).step_by(2).collect()
}

/// In how many rounds the halves can be compared; with fewer than `ENOUGH_ROUNDS` the caller looks further back, as far as it
/// may.
#[must_use]
pub fn usable(rounds: &[Halves]) -> u32 {
    rounds.iter().filter_map(spread).map(|_| 1).sum()
}

/// φ: an upper 95 % bound of the variance of errors, relative to independent ones, at least 1. Stable of a single Pod has no
/// halves, so all its rounds are unusable, and it gets what is assumed where nothing can be measured.
#[must_use]
pub fn phi(rounds: &[Halves]) -> f64 {
    let usable = usable(rounds);
    if usable < LEAST_ROUNDS {
        return UNMEASURED_PHI;
    }
    let squares: f64 = rounds.iter().filter_map(spread).sum();
    (squares / low_quantile(f64::from(usable))).max(1.0)
}

/// What a round adds to X²: (e₁ − ve)²/(v(1 − v)e); `None` if it tells nothing.
fn spread(round: &Halves) -> Option<f64> {
    let Halves { first, second } = *round;
    let share = first.all / (first.all + second.all);
    let bad = first.bad + second.bad;
    let tells = share > 0.0 && share < 1.0 && bad > 0.0 && bad.is_finite();
    tells.then(|| (first.bad - share * bad).powi(2) / (share * (1.0 - share) * bad))
}

/// The 5 % quantile of χ² with so many degrees of freedom, by Wilson and Hilferty.
fn low_quantile(freedom: f64) -> f64 {
    let part = 2.0 / (9.0 * freedom);
    freedom * (1.0 - part - NORMAL_QUANTILE * part.sqrt()).powi(3)
}

/// A number of a name that is the same on every run (FNV-1a).
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round with 100 requests, the first half's share of which is v, and e errors, `first` of them there.
    fn halves(v: f64, e: f64, first: f64) -> Halves {
        let counts = |all, bad| Counts { all, bad };
        Halves {
            first: counts(100.0 * v, first),
            second: counts(100.0 * (1.0 - v), e - first),
        }
    }

    fn of_the_page() -> Vec<Halves> {
        let rows = [
            (0.5, 10.0, 7.0),
            (0.5, 8.0, 4.0),
            (0.5, 12.0, 3.0),
            (0.4, 10.0, 5.0),
            (0.5, 6.0, 2.0),
            (0.6, 5.0, 4.0),
        ];
        rows.map(|(v, e, first)| halves(v, e, first)).to_vec()
    }

    #[test]
    fn the_worked_example_holds() {
        let rounds = of_the_page();
        let squares: f64 = rounds.iter().filter_map(spread).sum();
        assert!((squares - 6.516_667).abs() <= 1e-5, "{squares}");
        let quantile = low_quantile(6.0);
        assert!((quantile - 1.620_604).abs() <= 1e-5, "{quantile}");
        let phi = phi(&rounds);
        assert!((phi - 4.021_136).abs() <= 1e-5, "{phi}");
    }

    #[test]
    fn rounds_that_tell_nothing_are_left_out() {
        let mut rounds = of_the_page();
        let expected = phi(&rounds);
        rounds.push(halves(0.5, 0.0, 0.0));
        rounds.push(halves(0.0, 3.0, 0.0));
        rounds.push(halves(1.0, 3.0, 3.0));
        rounds.push(Halves::default());
        assert_eq!((usable(&rounds), phi(&rounds)), (6, expected));
    }

    #[test]
    fn what_cannot_be_measured_is_two() {
        assert_eq!(phi(&[]), 2.0);
        assert_eq!(phi(&of_the_page()[..4]), 2.0);
        assert_eq!(phi(&[halves(1.0, 9.0, 9.0); 100]), 2.0, "a single Pod");
    }

    #[test]
    fn even_errors_are_independent_ones() {
        assert_eq!(phi(&[halves(0.5, 10.0, 5.0); 60]), 1.0);
        let bursts = [halves(0.5, 10.0, 10.0), halves(0.5, 10.0, 0.0)].repeat(30);
        assert!(phi(&bursts) > 10.0);
    }

    #[test]
    fn halves_are_equal_and_the_same_in_any_order() {
        let names: Vec<String> = (0..9).map(|i| format!("podinfo-6d4cf56db6-{i}")).collect();
        let pods: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let half = first_half(&pods);
        assert_eq!(half.len(), 5);
        assert!(half.is_subset(&pods));
        let one = BTreeSet::from(["podinfo-a"]);
        assert_eq!(first_half(&one), one);
        assert_eq!(first_half(&BTreeSet::new()), BTreeSet::new());
    }
}
