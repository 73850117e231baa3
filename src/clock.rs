//! The time. Nothing else in the crate asks for it, so that a test, the demo and production differ in this value alone.

use std::time::Duration;

use jiff::Timestamp;
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
}
