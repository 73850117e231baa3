//! The time. Nothing else in the crate asks for it, so that a test, the demo and production differ in this value alone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// When simulated time begins: 2030-01-01T00:00:00Z, a date that no log line is mistaken for.
pub const SIMULATED_START: Timestamp = Timestamp::constant(1_893_456_000, 0);

/// Where the time comes from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The clock of the machine.
    System,
    /// Tokio's clock, which tests pause and move; it began at this instant.
    Simulated(Instant),
    /// A machine's own clock in simulated time, which is wrong.
    Wrong(Fault),
}

/// How a machine's clock is wrong until somebody sets it right (SAFETY F9).
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// When the true clock began.
    pub begin: Instant,
    /// Since when it is wrong.
    pub since: Instant,
    /// What it showed too much then.
    pub ahead: SignedDuration,
    /// How fast it goes, in percent of the time that passes.
    pub percent: i32,
    /// It jumps to the true time after so long.
    pub corrected_after: Duration,
}

impl Fault {
    fn now(self) -> Timestamp {
        let (wrong, truth) = (self.since.elapsed(), simulated(self.begin.elapsed()));
        if wrong >= self.corrected_after {
            return truth;
        }
        let passed = SignedDuration::try_from(wrong).unwrap_or(SignedDuration::MAX);
        let gained = passed.saturating_mul(self.percent - 100) / 100;
        truth
            .checked_add(self.ahead.saturating_add(gained))
            .unwrap_or(truth)
    }
}

impl Clock {
    /// A simulated clock that begins now, in tokio's time, at 2030-01-01T00:00:00Z.
    #[must_use]
    pub fn simulated() -> Self {
        Self::Simulated(Instant::now())
    }

    /// The time.
    #[must_use]
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Simulated(start) => simulated(start.elapsed()),
            Self::Wrong(fault) => fault.now(),
        }
    }
}

fn simulated(elapsed: Duration) -> Timestamp {
    SIMULATED_START
        .saturating_add(elapsed)
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn simulated_time_is_tokios() {
        let clock = Clock::simulated();
        tokio::time::advance(Duration::from_millis(90_500)).await;
        assert_eq!(clock.now().to_string(), "2030-01-01T00:01:30.5Z");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_clock_is_ahead_runs_fast_and_is_set_right() {
        let begin = Instant::now();
        tokio::time::advance(Duration::from_secs(60)).await;
        let clock = Clock::Wrong(Fault {
            begin,
            since: Instant::now(),
            ahead: SignedDuration::from_mins(-10),
            percent: 150,
            corrected_after: Duration::from_secs(120),
        });
        let shown = |seconds: u64| async move {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            clock.now().to_string()
        };
        assert_eq!(shown(0).await, "2029-12-31T23:51:00Z");
        assert_eq!(shown(100).await, "2029-12-31T23:53:30Z");
        assert_eq!(shown(20).await, "2030-01-01T00:03:00Z");
    }
}
