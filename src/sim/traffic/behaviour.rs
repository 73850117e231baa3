//! How a Pod answers.

use std::time::Duration;

/// How a Pod answers at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// Part of the requests that the application fails, from 0 to 1.
    pub error_rate: f64,
    /// How long replies take.
    pub latency: Latency,
}

/// How long replies take: log-normal, and for some of them a delay on top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Half of the replies take longer.
    pub median: Duration,
    /// One of a hundred takes longer; not below the median.
    pub p99: Duration,
    /// Part of the replies that is delayed, from 0 to 1.
    pub delayed: f64,
    /// By how much.
    pub delay: Duration,
}

/// The 99th percentile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

impl Default for Behaviour {
    /// Fast and without errors, as the test application on an idle machine.
    fn default() -> Self {
        Self {
            error_rate: 0.0,
            latency: Latency {
                median: Duration::from_millis(2),
                p99: Duration::from_millis(8),
                delayed: 0.0,
                delay: Duration::ZERO,
            },
        }
    }
}

/// The version in an image's name: its tag up to the first `-`.
#[must_use]
pub fn version_of_image(image: &str) -> &str {
    tag(image).split('-').next().unwrap_or_default()
}

fn tag(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map_or("", |(_, tag)| tag)
}

impl Latency {
    /// The part of the replies that take at most this many seconds, in millionths.
    #[must_use]
    pub fn within(&self, seconds: f64) -> u64 {
        let delayed = self.delayed.clamp(0.0, 1.0);
        let at_once = self.undelayed_within(seconds);
        let late = self.undelayed_within(seconds - self.delay.as_secs_f64());
        let part = (1.0 - delayed) * at_once + delayed * late;
        (part * 1e6).round().clamp(0.0, 1e6) as u64
    }

    fn undelayed_within(&self, seconds: f64) -> f64 {
        let distance = (seconds / self.median.as_secs_f64()).ln();
        match (seconds > 0.0, self.spread()) {
            (false, _) => 0.0,
            (true, spread) if spread > 0.0 => normal_below(distance / spread),
            (true, _) => f64::from(distance >= 0.0),
        }
    }

    /// The mean in seconds.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let spread = self.spread();
        let delay = self.delayed.clamp(0.0, 1.0) * self.delay.as_secs_f64();
        self.median.as_secs_f64() * (spread * spread / 2.0).exp() + delay
    }

    /// The standard deviation of the logarithm.
    fn spread(&self) -> f64 {
        let tail = self.p99.as_secs_f64() / self.median.as_secs_f64();
        if tail > 1.0 && tail.is_finite() {
            tail.ln() / NORMAL_P99
        } else {
            0.0
        }
    }
}

/// The standard normal distribution, with an error below 2e-7 (Abramowitz and Stegun, 7.1.26).
fn normal_below(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let terms = [
        0.254_829_592,
        -0.284_496_736,
        1.421_413_741,
        -1.453_152_027,
        1.061_405_429,
    ];
    let polynomial = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let above = polynomial * (-z * z).exp() / 2.0;
    if x < 0.0 { above } else { 1.0 - above }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_tag_up_to_a_hyphen() {
        assert_eq!(version_of_image("reg:5000/app:2.0.0-errors5"), "2.0.0");
        assert_eq!(version_of_image("reg:5000/a/app:2.0.0@sha256:ab"), "2.0.0");
        assert_eq!(version_of_image("app"), "");
    }

    #[test]
    fn latencies_have_their_median_and_tail() {
        let mut latency = Latency {
            median: Duration::from_millis(100),
            p99: Duration::from_millis(400),
            delayed: 0.0,
            delay: Duration::from_secs(1),
        };
        let near =
            |part: u64, expected: u64| assert!(part.abs_diff(expected) <= 1, "{part} {expected}");
        near(latency.within(0.1), 500_000);
        near(latency.within(0.4), 990_000);
        near(latency.within(0.025), 10_000);
        assert_eq!(latency.within(0.0), 0);
        latency.delayed = 0.02;
        near(latency.within(0.4), 970_200);
        // Of those that are not delayed, 29 in a million take longer.
        near(latency.within(1.1), 989_972);
        latency.p99 = latency.median;
        assert_eq!((latency.within(0.099), latency.within(0.1)), (0, 980_000));
        assert!((latency.mean() - 0.12).abs() < 1e-9);
    }
}
