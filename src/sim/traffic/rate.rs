//! How many requests users send, over time.

use std::time::Duration;

/// Requests a second over the time since an application's users came.
#[derive(Clone, Debug, PartialEq)]
pub enum Rate {
    /// Nobody comes.
    Quiet,
    /// Always the same.
    Constant(f64),
    /// Around a mean, up and down by at most this much, once in each period, up first.
    Wave {
        /// Requests a second in the mean.
        mean: f64,
        /// By how much it differs from that at most; not more than the mean.
        swing: f64,
        /// From one mean on the way up to the next.
        period: Duration,
    },
    /// From each of these times on this many; none before the first. The times rise.
    Steps(Vec<(Duration, f64)>),
    /// Short times of much traffic, each at the begin of a period.
    Bursts {
        /// Requests a second between bursts.
        base: f64,
        /// Requests a second within them.
        burst: f64,
        /// From one burst to the next.
        every: Duration,
        /// Length of a burst.
        length: Duration,
    },
}

impl Rate {
    /// How many requests were sent up to a time, with the fraction of the next one.
    #[must_use]
    pub fn total(&self, time: Duration) -> f64 {
        let seconds = time.as_secs_f64();
        match self {
            Self::Quiet => 0.0,
            Self::Constant(rate) => rate * seconds,
            Self::Wave {
                mean,
                swing,
                period,
            } => {
                let turn = std::f64::consts::TAU / period.as_secs_f64().max(1e-3);
                let swing = swing.min(*mean);
                mean * seconds + swing / turn * (1.0 - (turn * seconds).cos())
            }
            Self::Steps(steps) => stepped(steps, time),
            Self::Bursts {
                base,
                burst,
                every,
                length,
            } => {
                let every = every.as_secs_f64().max(1e-3);
                let length = length.as_secs_f64().min(every);
                let bursting = (seconds / every).floor() * length + (seconds % every).min(length);
                base * (seconds - bursting) + burst * bursting
            }
        }
    }
}

fn stepped(steps: &[(Duration, f64)], time: Duration) -> f64 {
    let ends = steps
        .iter()
        .skip(1)
        .map(|(begin, _)| *begin)
        .chain([Duration::MAX]);
    let parts = steps.iter().zip(ends).map(|((begin, rate), end)| {
        let length = end.min(time).saturating_sub(*begin);
        rate * length.as_secs_f64()
    });
    parts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn totals_are_the_areas_below_the_rates() {
        let wave = Rate::Wave {
            mean: 10.0,
            swing: 10.0,
            period: seconds(60),
        };
        let steps = Rate::Steps(vec![
            (seconds(10), 5.0),
            (seconds(20), 0.0),
            (seconds(30), 1.0),
        ]);
        let bursts = Rate::Bursts {
            base: 1.0,
            burst: 100.0,
            every: seconds(60),
            length: seconds(5),
        };
        let rows = [
            (&Rate::Quiet, 100, 0.0),
            (&Rate::Constant(2.5), 100, 250.0),
            (&wave, 60, 600.0),
            (&wave, 30, 300.0 + 600.0 / std::f64::consts::PI),
            (&steps, 5, 0.0),
            (&steps, 15, 25.0),
            (&steps, 25, 50.0),
            (&steps, 40, 60.0),
            (&bursts, 2, 200.0),
            (&bursts, 60, 555.0),
            (&bursts, 61, 655.0),
        ];
        for (rate, time, expected) in rows {
            let total = rate.total(seconds(time));
            assert!(
                (total - expected).abs() < 1e-6,
                "{rate:?} at {time}: {total}"
            );
        }
    }
}
