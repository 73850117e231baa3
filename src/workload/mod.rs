//! The target and its canary: between the core's words and the objects of a workload. Nothing here performs.
//!
//! `spec.provider` has to be filled in before a `Canary` comes here: provider `none` has no Services.

mod autoscaler;
mod clone;
mod copy;
mod deployment;
mod diagnosis;
mod gate;
mod history;
mod labels;
mod problems;
mod readiness;
mod services;
mod site;
#[cfg(test)]
mod tests;

use crate::crd::canary::Canary;
use crate::objects::{Change, Kind, Live, ObjectKey, Seen};
use crate::rollout::decision::Action;
use crate::rollout::observed::Problem;
use crate::workload::site::Site;

pub use crate::workload::autoscaler::observe_capacity;
pub use crate::workload::deployment::{live_target, observe_target};
pub use crate::workload::problems::problems;
pub use crate::workload::readiness::observe_canary;
pub use crate::workload::services::{observe_services, uses_services};

/// Why an action cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The live object is not what was decided on: the tick ends and is tried again.
    #[error("{0}")]
    Changed(String),
    /// The user has to change something.
    #[error("{}", .0.message)]
    Refused(Problem),
    /// An object is not of the form that its API promises.
    #[error("read {key}: {reason}")]
    Malformed {
        /// Which object.
        key: ObjectKey,
        /// What is wrong with it.
        reason: String,
    },
}

/// The objects that have to be read live before this action is rendered. Keys of objects that do not exist may be among them.
#[must_use]
pub fn objects(canary: &Canary, action: &Action, seen: &Seen) -> Vec<ObjectKey> {
    let key = |kind, name: &str| ObjectKey::new(kind, &canary.home(), name);
    let target = || key(Kind::Deployment, canary.target_name());
    match action {
        Action::Arm
        | Action::Reverted
        | Action::Release { .. }
        | Action::ScaleUp(_)
        | Action::Verdict(_)
        | Action::Restart(_) => vec![target()],
        Action::Disarm | Action::Preserve { .. } | Action::Revert { .. } => {
            let mut keys = history::objects(canary, action, seen);
            keys.push(target());
            keys
        }
        Action::Place { .. } => {
            let mut keys = clone::objects(canary, seen);
            keys.extend(services::objects(canary));
            keys.push(target());
            keys
        }
        Action::Remove => clone::objects(canary, seen),
        Action::Serve | Action::Idle | Action::Forget => services::objects(canary),
        Action::Lock | Action::Unlock => autoscaler::objects(canary, seen),
        Action::Evict(_) => deployment::stable_pods(canary, seen),
        Action::Adopt
        | Action::Acknowledge(_)
        | Action::Route(_)
        | Action::GiveBack
        | Action::LetGo => Vec::new(),
    }
}

/// What to write for an action; nothing if it is done already, or is not an action on the workload.
///
/// # Errors
/// The live objects are not what was decided on, or cannot be used as they are.
pub fn render(
    canary: &Canary,
    action: &Action,
    live: &Live,
    seen: &Seen,
) -> Result<Vec<Change>, WorkloadError> {
    let site = Site { canary, live, seen };
    match action {
        Action::Serve => services::serve(site),
        Action::Idle => services::idle_again(site),
        Action::Forget => Ok(services::forget(site)),
        Action::Arm => gate::arm(site),
        Action::Disarm => gate::disarm(site),
        Action::Release { revision } => gate::release(site, revision),
        Action::Reverted => gate::reverted(site),
        Action::Verdict(text) => gate::verdict(site, text.as_deref()),
        Action::Restart(at) => gate::restart(site, at),
        Action::Preserve { stable, candidate } => history::preserve(site, stable, candidate),
        Action::Revert { revision } => history::revert(site, revision),
        Action::Lock => autoscaler::lock(site),
        Action::Unlock => autoscaler::unlock(site),
        Action::Place {
            revision,
            replicas,
            weight,
            autoscale,
        } => {
            let place = clone::Place {
                revision,
                replicas: *replicas,
                weight: *weight,
                autoscale: *autoscale,
            };
            clone::place(site, &place)
        }
        Action::Remove => Ok(clone::remove(site)),
        Action::ScaleUp(replicas) => deployment::scale_up(site, *replicas),
        Action::Evict(before) => deployment::evict(site, *before),
        Action::Adopt
        | Action::Acknowledge(_)
        | Action::Route(_)
        | Action::GiveBack
        | Action::LetGo => Ok(Vec::new()),
    }
}
