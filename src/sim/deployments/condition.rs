//! Conditions of Deployments: they say when they were last updated, not only when their status changed.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::field::{list, stamp, text};

pub(super) const PAUSED: &str = "DeploymentPaused";
pub(super) const RESUMED: &str = "DeploymentResumed";
pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
pub(super) const COMPLETE: &str = "NewReplicaSetAvailable";

/// A condition that is to be set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition<'a> {
    kind: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl<'a> Condition<'a> {
    pub(super) fn new(kind: &'a str, status: &'a str, reason: &'a str, message: &'a str) -> Self {
        Self {
            kind,
            status,
            reason,
            message,
        }
    }

    /// Sets it, unless one with the same status and reason stands there already.
    pub(super) fn put(self, status: &mut Value, now: Timestamp) {
        let known = find(status, self.kind);
        let same = known.is_some_and(|known| {
            text(known, "/status") == self.status && text(known, "/reason") == self.reason
        });
        if !same {
            self.renew(status, now);
        }
    }

    /// Sets it with a new time of update, whatever stands there.
    pub(super) fn renew(self, status: &mut Value, now: Timestamp) {
        let known = find(status, self.kind);
        let since = known
            .filter(|known| text(known, "/status") == self.status)
            .map_or_else(|| stamp(now), |known| known["lastTransitionTime"].clone());
        remove(status, self.kind);
        let mut conditions = list(status, "/conditions").to_vec();
        conditions.push(json!({
            "type": self.kind, "status": self.status, "reason": self.reason, "message": self.message,
            "lastUpdateTime": stamp(now), "lastTransitionTime": since,
        }));
        status["conditions"] = Value::Array(conditions);
    }
}

/// A condition of a status.
pub(super) fn find<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    list(status, "/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == kind)
}

/// The reason of a condition of an object.
pub(super) fn reason<'a>(object: &'a Value, kind: &str) -> &'a str {
    let found = object.get("status").and_then(|status| find(status, kind));
    found.map_or("", |condition| text(condition, "/reason"))
}

/// Takes a condition out.
pub(super) fn remove(status: &mut Value, kind: &str) {
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| text(condition, "/type") != kind);
    }
}
