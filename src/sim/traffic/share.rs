//! Whole requests for parts of a whole: evenly, with what is left over carried on, or by chance.

use crate::sim::seed::Seed;

/// How requests fall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Luck {
    /// As evenly as whole numbers can.
    Even,
    /// Each for itself.
    Drawn(Seed),
}

/// Takes requests apart by weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    weights: Vec<i64>,
    total: i64,
    /// What each has to get, in parts of a request; their sum is 0.
    owed: Vec<i64>,
    given: Vec<u64>,
}

impl Shares {
    /// Shares of these weights.
    pub(super) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let weights: Vec<_> = weights.into_iter().map(i64::from).collect();
        Self {
            total: weights.iter().sum(),
            owed: vec![0; weights.len()],
            given: vec![0; weights.len()],
            weights,
        }
    }

    /// Whether all weights are 0.
    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Takes requests apart; nothing for nobody.
    pub(super) fn split(&mut self, requests: u64, luck: &mut Luck) -> &[u64] {
        match luck {
            _ if self.total == 0 => self.given.fill(0),
            Luck::Even => self.split_evenly(requests),
            Luck::Drawn(seed) => self.draw(requests, seed),
        }
        &self.given
    }

    fn split_evenly(&mut self, requests: u64) {
        let mut left = requests as i64;
        for ((owed, weight), given) in self.owed.iter_mut().zip(&self.weights).zip(&mut self.given)
        {
            *owed += requests as i64 * weight;
            let whole = (*owed / self.total).max(0);
            *owed -= whole * self.total;
            *given = whole as u64;
            left -= whole;
        }
        while left != 0 {
            left -= self.one_more(left > 0);
        }
    }

    /// Gives one to whom most is owed, or takes one from whom least is owed; the change of the sum.
    fn one_more(&mut self, more: bool) -> i64 {
        let change = if more { 1 } else { -1 };
        let parties = self
            .owed
            .iter()
            .zip(&self.weights)
            .zip(&self.given)
            .enumerate();
        let able = parties
            .filter(|(_, ((_, weight), given))| if more { **weight > 0 } else { **given > 0 });
        // The first of equals, in both directions.
        let chosen = able
            .min_by_key(|(_, ((owed, _), _))| -change * **owed)
            .map(|(place, _)| place);
        if let Some(place) = chosen
            && let (Some(owed), Some(given)) = (self.owed.get_mut(place), self.given.get_mut(place))
        {
            *owed -= change * self.total;
            *given = given.saturating_add_signed(change);
        }
        change
    }

    fn draw(&mut self, requests: u64, seed: &mut Seed) {
        let (mut left, mut rest) = (requests, self.total);
        for (weight, given) in self.weights.iter().zip(&mut self.given) {
            let part = if rest > 0 {
                *weight as f64 / rest as f64
            } else {
                0.0
            };
            *given = seed.successes(left, part);
            left -= *given;
            rest -= weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_to_one_request() {
        for weights in [
            vec![90, 10],
            vec![1, 1, 1],
            vec![0, 100],
            vec![7, 0, 3, 11],
            vec![33, 33, 34],
        ] {
            let total: u32 = weights.iter().sum();
            for size in [1_u64, 2, 3, 7, 200] {
                let mut shares = Shares::new(weights.iter().copied());
                let mut sums = vec![0_u64; weights.len()];
                for slice in 1..=500_u64 {
                    let given = shares.split(size, &mut Luck::Even);
                    assert_eq!(given.iter().sum::<u64>(), size);
                    for ((sum, given), weight) in sums.iter_mut().zip(given).zip(&weights) {
                        *sum += given;
                        let exact = (slice * size) as f64 * f64::from(*weight) / f64::from(total);
                        assert!(
                            (*sum as f64 - exact).abs() <= 2.0,
                            "{weights:?} {size} {sum} {exact}"
                        );
                        assert!(*weight > 0 || *sum == 0);
                    }
                }
            }
        }
    }

    #[test]
    fn chance_gives_all_and_about_the_share() {
        let mut shares = Shares::new([90, 10, 0]);
        let mut luck = Luck::Drawn(Seed::new(1));
        let mut second = 0;
        for _ in 0..1000 {
            let given = shares.split(100, &mut luck);
            assert_eq!((given.iter().sum::<u64>(), given[2]), (100, 0));
            second += given[1];
        }
        assert!((9_500..10_500).contains(&second), "{second}");
    }
}
