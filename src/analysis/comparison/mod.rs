//! The sequential comparison of canary and stable (ANALYSIS 4): pure statistics of what both arms counted.
//!
//! `rounds` makes rounds of what processes counted, `evidence` adds them up for one metric, `joint` decides over all metrics
//! of an attempt. Before an attempt `bursts` measures φ and `forecast` says how long evidence will take, both on stable alone.
//! `memory` is what of it a status keeps.
//!
//! The evidence against a canary is an e-process: a canary that is at most ρ₀ times as bad as stable is ever failed with a
//! probability of α at most, however often and for whatever reason one looks.

pub mod bursts;
pub mod evidence;
pub mod forecast;
mod grid;
pub mod halves;
pub mod joint;
mod limit;
mod line;
pub mod memory;
pub mod ratio;
pub mod rounds;
#[cfg(test)]
mod tests;

use crate::analysis::counts::Counts;

/// What both arms counted between two common times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// Requests to the canary, and bad ones among them; interpolated, so they may be fractions.
    pub canary: Counts,
    /// Those to stable.
    pub stable: Counts,
}

impl Round {
    /// Whether the counts are possible at all: numbers, none negative, no more bad requests than requests. A round that is
    /// not is left out by all statistics, and the caller should say so (`Invalid`).
    #[must_use]
    pub fn is_sound(&self) -> bool {
        // The last digits of interpolated counts mean nothing.
        let sound = |counts: Counts| {
            let Counts { all, bad } = counts;
            all.is_finite() && bad >= 0.0 && bad <= all + 1e-6 * (1.0 + all)
        };
        sound(self.canary) && sound(self.stable)
    }

    /// Whether both arms had requests: only then they can be compared.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.canary.all > 0.0 && self.stable.all > 0.0
    }
}

#[cfg(test)]
fn round(canary: f64, stable: f64, bad_canary: f64, bad_stable: f64) -> Round {
    let counts = |all, bad| Counts { all, bad };
    Round {
        canary: counts(canary, bad_canary),
        stable: counts(stable, bad_stable),
    }
}
