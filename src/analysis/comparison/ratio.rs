//! How many times as bad as stable the canary is, as far as its counts tell (ANALYSIS 4, *Shown*).

use crate::analysis::comparison::grid::{GRID, Likelihood, PER_OCTAVE, POINTS, ln_mean_exp};

/// ln of what a ratio has to fall behind by to be outside the 95 % confidence sequence.
const OUTSIDE: f64 = 20.0;

/// The canary's multiple ρ of stable's bad share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The likeliest ratio; at an end of the grid, 1/16 or 64, it may lie beyond.
    pub estimate: f64,
    /// Lower end of the 95 % confidence sequence, which misses the true ratio at any time with 5 % at most; `None`: it is
    /// open, so that the ratio may be 0.
    pub low: Option<f64>,
    /// Upper end; `None`: any multiple is possible.
    pub high: Option<f64>,
}

impl Ratio {
    pub(super) fn new(likelihood: &Likelihood) -> Self {
        let points = &likelihood.points;
        let least = ln_mean_exp(points) - OUTSIDE.ln();
        let inside = |value: &f64| *value > least;
        let first = points.iter().position(inside);
        let last = points.iter().rposition(inside);
        Self {
            estimate: estimate(points),
            low: first.and_then(|first| first.checked_sub(1)).map(ratio_at),
            high: last
                .filter(|last| last + 1 < POINTS)
                .map(|last| ratio_at(last + 1)),
        }
    }
}

fn ratio_at(index: usize) -> f64 {
    GRID[index]
}

/// The top of the parabola, in ln ρ, through the best point of the grid and those beside it.
fn estimate(points: &[f64; POINTS]) -> f64 {
    let by_value = |(_, a): &(usize, &f64), (_, b): &(usize, &f64)| a.total_cmp(b);
    let best = points.iter().enumerate().max_by(by_value);
    let best = best.map_or(0, |(index, _)| index);
    if best == 0 || best + 1 == POINTS {
        return ratio_at(best);
    }
    let (left, top, right) = (points[best - 1], points[best], points[best + 1]);
    let bend = left - 2.0 * top + right;
    let offset = if bend < 0.0 {
        0.5 * (left - right) / bend
    } else {
        0.0
    };
    ratio_at(best) * (offset / PER_OCTAVE).exp2()
}
