//! Chance from a seed, exact where the simulator of the embedded cluster is only near: rates of 1 % are measured with it.

/// A stream of random numbers (SplitMix64).
pub(crate) struct Chance(u64);

/// The mean from which on Poisson numbers are drawn by rejection.
const MANY: f64 = 10.0;

impl Chance {
    /// The stream of one run of one scenario.
    pub(crate) fn new(scenario: &str, run: u32) -> Self {
        let seed = scenario.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut chance = Self(seed ^ u64::from(run).wrapping_mul(0xd6e8_feb8_6659_fd93));
        chance.bits();
        chance
    }

    /// A number between 0 and 1, and neither of them.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A whole number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }

    /// How many of many rare events happen.
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        if mean <= 0.0 {
            return 0.0;
        }
        if mean >= MANY {
            return self.by_rejection(mean);
        }
        let (least, mut product, mut number) = ((-mean).exp(), self.unit(), 0.0);
        while product > least {
            product *= self.unit();
            number += 1.0;
        }
        number
    }

    /// A whole number from 1 on, with this mean.
    pub(crate) fn geometric(&mut self, mean: f64) -> f64 {
        if mean <= 1.0 {
            return 1.0;
        }
        1.0 + (self.unit().ln() / (1.0 - 1.0 / mean).ln()).floor()
    }

    /// Transformed rejection with squeeze (Hörmann, "The transformed rejection method for generating Poisson random
    /// variables", 1993, algorithm PTRS).
    fn by_rejection(&mut self, mean: f64) -> f64 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.024_83 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let accepted = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let (u, v) = (self.unit() - 0.5, self.unit());
            let edge = 0.5 - u.abs();
            let number = ((2.0 * a / edge + b) * u + mean + 0.43).floor();
            if edge >= 0.07 && v <= accepted {
                return number;
            }
            if number < 0.0 || (edge < 0.013 && v > edge) {
                continue;
            }
            let hat = (v * inverse_alpha / (a / (edge * edge) + b)).ln();
            if hat <= number * mean.ln() - mean - ln_factorial(number) {
                return number;
            }
        }
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

/// By multiplication, or by Stirling's series, which is exact to ten digits from ten on.
fn ln_factorial(number: f64) -> f64 {
    if number < MANY {
        let mut product = 1.0;
        let mut factor = 2.0;
        while factor <= number {
            product *= factor;
            factor += 1.0;
        }
        return f64::ln(product);
    }
    let half_ln_tau = 0.5 * std::f64::consts::TAU.ln();
    let series = 1.0 / (12.0 * number) - 1.0 / (360.0 * number.powi(3));
    (number + 0.5) * number.ln() - number + half_ln_tau + series
}

/// Mean and variance of a hundred thousand numbers.
fn moments(name: &str, mut draw: impl FnMut(&mut Chance) -> f64) -> (f64, f64) {
    let mut chance = Chance::new(name, 0);
    let numbers: Vec<f64> = (0..100_000).map(|_| draw(&mut chance)).collect();
    let mean = numbers.iter().sum::<f64>() / 1e5;
    let variance = numbers.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 1e5;
    (mean, variance)
}

#[test]
fn numbers_have_the_mean_and_variance_of_their_kind() {
    for mean in [0.3, 4.0, 9.99, 10.0, 30.0, 700.0, 30_000.0] {
        let (seen, variance) = moments("poisson", |chance| chance.poisson(mean));
        let error = 4.0 * (mean / 1e5).sqrt();
        assert!((seen - mean).abs() < error, "mean {seen}, not {mean}");
        assert!(
            (variance / mean - 1.0).abs() < 0.03,
            "variance {variance}, not {mean}"
        );
    }
    for mean in [1.0, 2.0, 5.0] {
        let (seen, variance) = moments("geometric", |chance| chance.geometric(mean));
        assert!((seen - mean).abs() < 0.08, "mean {seen}, not {mean}");
        let expected = mean * (mean - 1.0);
        assert!(
            (variance - expected).abs() <= 0.04 * expected,
            "{variance}, not {expected}"
        );
    }
}
