//! Chance from a seed: the same seed gives the same numbers, in the same order, on every run.

/// A stream of random numbers (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed(u64);

/// Expected successes from which on a binomial or Poisson number is drawn as a rounded normal one.
const MANY: f64 = 30.0;

impl Seed {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for a name, which the numbers drawn elsewhere do not touch.
    #[must_use]
    pub fn fork(&self, name: &str) -> Self {
        Self(mixed(self.0 ^ digest(name)))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what an f64 holds.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number below a bound; 0 for the bound 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// How many of `trials` succeed that each do so with this probability.
    pub fn successes(&mut self, trials: u64, probability: f64) -> u64 {
        if probability > 0.5 {
            return trials - self.successes(trials, 1.0 - probability);
        }
        if trials == 0 || probability <= 0.0 {
            return 0;
        }
        let mean = trials as f64 * probability;
        if mean >= MANY {
            let deviation = (mean * (1.0 - probability)).sqrt();
            return self.near(mean, deviation).min(trials);
        }
        self.counted_up(trials, probability)
    }

    /// Inversion: walks the probabilities of 0, 1, 2 … successes.
    fn counted_up(&mut self, trials: u64, probability: f64) -> u64 {
        let odds = probability / (1.0 - probability);
        let mut chance = (1.0 - probability).powf(trials as f64);
        let mut rest = self.unit();
        let mut count = 0;
        while rest >= chance && count < trials {
            rest -= chance;
            count += 1;
            chance *= odds * (trials - count + 1) as f64 / count as f64;
        }
        count
    }

    /// How many of many independent things happen of which this many are expected (Poisson).
    pub fn arrivals(&mut self, expected: f64) -> u64 {
        if expected >= MANY {
            return self.near(expected, expected.sqrt());
        }
        let (mut count, mut product) = (0, self.unit());
        let end = (-expected.max(0.0)).exp();
        while product > end {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// A rounded normal number, at least 0.
    fn near(&mut self, mean: f64, deviation: f64) -> u64 {
        (mean + deviation * self.normal()).round().max(0.0) as u64
    }

    /// A standard normal number (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number of a text that is always the same (FNV-1a), for names that follow from content.
#[must_use]
pub fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Letters and digits of generated names: none that could make a word.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A number as letters of generated names, at most `length` of them.
#[must_use]
pub fn letters(mut number: u64, length: usize) -> String {
    let base = LETTERS.len() as u64;
    let mut name = String::new();
    for _ in 0..length {
        name.push(char::from(LETTERS[(number % base) as usize]));
        number /= base;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // The first numbers of SplitMix64 from seed 1234567, as its authors' code prints them.
        let mut seed = Seed::new(1_234_567);
        let first: Vec<_> = (0..3).map(|_| seed.bits()).collect();
        assert_eq!(
            first,
            [
                6457827717110365317,
                3203168211198807973,
                9817491932198370423
            ]
        );
    }

    #[test]
    fn a_fork_does_not_depend_on_what_is_drawn_elsewhere() {
        let seed = Seed::new(7);
        let (mut one, mut two) = (seed.fork("a"), seed.fork("b"));
        two.bits();
        assert_eq!(one.bits(), seed.fork("a").bits());
        assert_ne!(seed.fork("a"), seed.fork("b"));
    }

    #[track_caller]
    fn check(mean: f64, variance: f64, mut draw: impl FnMut(&mut Seed) -> u64) {
        let mut seed = Seed::new(1);
        let drawn: Vec<f64> = (0..20_000).map(|_| draw(&mut seed) as f64).collect();
        let found = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let spread = drawn.iter().map(|x| (x - found).powi(2)).sum::<f64>() / drawn.len() as f64;
        // Five standard errors of the mean; a tenth of the variance.
        assert!(
            (found - mean).abs() < 5.0 * (variance / 20_000.0).sqrt(),
            "{found}"
        );
        assert!((spread - variance).abs() < variance * 0.1, "{spread}");
    }

    #[test]
    fn numbers_have_the_mean_and_variance_of_their_kind() {
        check(0.5, 0.475, |seed| seed.successes(10, 0.05));
        check(9.5, 0.475, |seed| seed.successes(10, 0.95));
        check(500.0, 250.0, |seed| seed.successes(1000, 0.5));
        check(0.7, 0.7, |seed| seed.arrivals(0.7));
        check(200.0, 200.0, |seed| seed.arrivals(200.0));
        check(4.5, 8.25, |seed| seed.below(10));
    }

    #[test]
    fn nothing_succeeds_more_often_than_tried() {
        let mut seed = Seed::new(3);
        for trials in [0, 1, 5, 100, 10_000] {
            assert_eq!(seed.successes(trials, 0.0), 0);
            assert_eq!(seed.successes(trials, 1.0), trials);
            assert!(seed.successes(trials, 0.999) <= trials);
        }
        assert_eq!(seed.arrivals(0.0), 0);
        assert_eq!(seed.below(0), 0);
    }

    #[test]
    fn names_follow_from_content() {
        assert_eq!(letters(digest("a"), 10), letters(digest("a"), 10));
        assert_ne!(letters(digest("a"), 10), letters(digest("b"), 10));
        assert_eq!(letters(0, 5), "bbbbb");
    }
}
