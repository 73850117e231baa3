//! The core: decides what a rollout does next. It performs nothing, reads no clock, and cannot fail.
//!
//! `advance` is a function of what a Canary says, of what the adapters saw, and of `now`. In reading order: `observed` (what goes
//! in), `decision` (what comes out), `phase` (which phase follows), `plan` (which actions are safe now).

mod alerts;
mod attempt;
mod checks;
mod comparison;
mod conditions;
pub mod decision;
mod ending;
mod hooks;
mod idle;
mod invariants;
pub mod observed;
mod past;
mod phase;
mod plan;
mod progress;
mod promotion;
mod readiness;
pub mod replay;
mod request;
mod round;
mod routes;
mod shown;
mod size;
mod steps;
mod tick;
pub mod verbs;

#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::StepStatus;
use crate::rollout::decision::{Decision, Step};
use crate::rollout::observed::Observed;
use crate::rollout::tick::Tick;

pub use crate::rollout::steps::freeze;

/// Decides what comes next: either questions, or a new status with the actions that follow from it.
///
/// Called again with the answers it asked for, it comes to an act: it never asks for what is answered. Called early, it changes
/// nothing: every timer is an absolute time in the status.
#[must_use]
pub fn advance(canary: &Canary, observed: &Observed, now: Timestamp) -> Step {
    let mut tick = Tick::new(canary, observed, Moment::new(now));
    match phase::run(&mut tick) {
        Err(mut checks) => {
            checks.retain(|check| !observed.answers.contains_key(check));
            Step::Ask(checks)
        }
        Ok(()) => Step::Act(Box::new(conclude(tick))),
    }
}

/// Conditions from the status, actions from status and observation; what would break an invariant is left out.
fn conclude(mut tick: Tick<'_>) -> Decision {
    tick.status.progress = tick.status.step.as_ref().map(StepStatus::progress);
    conditions::set(&mut tick);
    let planned = plan::actions(&tick);
    let (actions, breaches) = invariants::sift(&tick, planned);
    for breach in breaches {
        tick.warn("InvariantBreach", breach);
    }
    alerts::raise(&mut tick);
    let requeue = tick.requeue();
    Decision {
        status: tick.status,
        actions,
        notes: tick.notes,
        requeue,
    }
}
