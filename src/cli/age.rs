//! Lengths of time as people read them.

use std::time::Duration;

use jiff::Timestamp;

use crate::crd::moment::Moment;

/// In the largest unit that leaves at least two of it: `90s`, `3m`, `2h`, `5d`.
#[must_use]
pub fn brief(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long ago this was.
#[must_use]
pub fn since(then: Moment, now: Timestamp) -> String {
    brief(Moment::new(now).since(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let rows = [
            (0, "0s"),
            (119, "119s"),
            (180, "3m"),
            (7_200, "2h"),
            (172_800, "2d"),
            (864_000, "10d"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(brief(Duration::from_secs(seconds)), expected);
        }
    }
}
