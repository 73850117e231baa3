//! What comes out of a decision: the status as the intent, then actions, then notes.

use std::time::Duration;

use crate::crd::moment::Moment;
use crate::crd::status::CanaryStatus;
use crate::rollout::observed::{Check, Routes};

/// What the core wants: answers, or acts.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Call again with answers to these.
    Ask(Vec<Check>),
    /// Do this.
    Act(Box<Decision>),
}

/// The outcome of one tick. The status is written first; what it says is the intent. Actions are intent minus observation, in safe
/// order; notes are last.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The new status.
    pub status: CanaryStatus,
    /// What to do, in this order; the first that fails ends the tick.
    pub actions: Vec<Action>,
    /// What to tell people.
    pub notes: Vec<Note>,
    /// When to come back without being called; `None`: only when something changes.
    pub requeue: Option<Duration>,
}

/// "Make it so": each is idempotent, and checked against a live read before it is done where a cache could lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put our finalizer on the Canary.
    Adopt,
    /// Take the handled request off the Canary: this id.
    Acknowledge(String),
    /// Make the Services that are missing, selecting what they shall while idle.
    Serve,
    /// Put the gate label on the target.
    Arm,
    /// Take gate, held and our other marks off the target.
    Disarm,
    /// Keep stable's template, delete the ReplicaSets that could come back from zero (SAFETY G11).
    Preserve {
        /// Stable's revision.
        stable: String,
        /// The candidate's.
        candidate: String,
    },
    /// Forbid the autoscaler to scale the target down.
    Lock,
    /// Give that back, and delete the canary's autoscaler.
    Unlock,
    /// Make the canary workload run this revision at this size, and its Service select it.
    Place {
        /// The candidate's revision: the live template must still have it.
        revision: String,
        /// Pods.
        replicas: i32,
        /// Weight to note on the workload (provider `none`).
        weight: u8,
        /// The autoscaler is copied for the canary with `replicas` as its minimum.
        autoscale: bool,
    },
    /// Point the canary Service back to what it selects while idle.
    Idle,
    /// Delete the canary workload and its helpers.
    Remove,
    /// Route so.
    Route(Routes),
    /// Let the target roll out this revision: the live template must have it.
    Release {
        /// The revision that may be released.
        revision: String,
    },
    /// Put the kept template of this revision back on the target.
    Revert {
        /// Stable's revision.
        revision: String,
    },
    /// Take the mark of a finished revert off.
    Reverted,
    /// Scale the target up to so many Pods.
    ScaleUp(i32),
    /// Write the verdict into the target's `Progressing` condition, or take it back.
    Verdict(Option<String>),
    /// Evict stable's next Pod that is older than this (`restart` while held).
    Evict(Moment),
    /// Touch the target's template in a write that holds it, so that a canary of the same images starts (`restart` when idle).
    Restart(String),
    /// Give routes back as they were found.
    GiveBack,
    /// Delete the canary Service, once no route names it.
    Forget,
    /// Take our finalizer off: the Canary goes.
    LetGo,
}

/// Something that people are told: an Event, later a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The Event's reason.
    pub reason: &'static str,
    /// It is a warning.
    pub warning: bool,
    /// What, why, and what next.
    pub message: String,
}
