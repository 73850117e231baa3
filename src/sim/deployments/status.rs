//! The status of a Deployment: counts, availability and progress.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::sim::deployments::condition::{COMPLETE, Condition, TIMED_OUT, find, reason, remove};
use crate::sim::deployments::sets::{Set, Sets};
use crate::sim::deployments::{Turn, size};
use crate::sim::field::{after, count, list, text, time};
use crate::sim::refusal::Refusal;

impl Turn<'_> {
    /// Writes counts and availability, and leaves progress alone.
    pub(super) fn write_counts(&mut self, sets: &Sets) -> Result<(), Refusal> {
        let status = self.counted(sets);
        self.write(status)
    }

    /// Writes counts, availability and progress.
    pub(super) fn write_progress(&mut self, sets: &Sets) -> Result<(), Refusal> {
        let mut status = self.counted(sets);
        if size::progress_deadline(&self.deployment).is_none() {
            remove(&mut status, "Progressing");
        } else if !self.was_complete(&status) {
            self.judge(&mut status, sets.new.as_ref());
        }
        put_failure(&mut status, sets, self.api.now());
        self.write(status)
    }

    fn write(&mut self, status: Value) -> Result<(), Refusal> {
        if self.deployment.get("status") == Some(&status) {
            return Ok(());
        }
        self.deployment["status"] = status;
        self.write_status()
    }

    /// Whether the status that was last written says that the rollout is complete.
    pub(super) fn is_complete(&self) -> bool {
        is_complete(&self.deployment, &self.deployment["status"])
    }

    /// When the rollout will have made no progress for too long.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let seconds = size::progress_deadline(&self.deployment)?;
        let progress = find(&self.deployment["status"], "Progressing")?;
        let reason = text(progress, "/reason");
        if self.is_paused() || self.is_complete() || [TIMED_OUT, COMPLETE].contains(&reason) {
            return None;
        }
        let due = after(time(progress, "/lastUpdateTime")?, seconds + 1);
        (due > self.api.now()).then_some(due)
    }

    fn counted(&self, sets: &Sets) -> Value {
        let deployment = &self.deployment;
        let available = sets.available();
        let updated = sets.new.as_ref();
        let mut status = Map::new();
        status.insert(
            "observedGeneration".into(),
            deployment["metadata"]["generation"].clone(),
        );
        for (name, number) in [
            ("replicas", sets.sum("replicas")),
            (
                "updatedReplicas",
                updated.map_or(0, |set| count(&set.object, "/status/replicas")),
            ),
            ("readyReplicas", sets.sum("readyReplicas")),
            ("availableReplicas", available),
            ("unavailableReplicas", sets.replicas() - available),
        ] {
            if number > 0 {
                status.insert(name.into(), json!(number));
            }
        }
        status.insert(
            "terminatingReplicas".into(),
            json!(sets.sum("terminatingReplicas")),
        );
        for kept in ["collisionCount", "conditions"] {
            if let Some(value) = deployment["status"].get(kept) {
                status.insert(kept.into(), value.clone());
            }
        }
        let mut status = Value::Object(status);
        self.availability(available)
            .put(&mut status, self.api.now());
        status
    }

    fn availability(&self, available: i64) -> Condition<'static> {
        let least = size::replicas(&self.deployment) - size::max_unavailable(&self.deployment);
        let (status, reason, message) = if available >= least {
            (
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            )
        } else {
            (
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
        };
        Condition::new("Available", status, reason, message)
    }

    /// Whether a rollout was complete before and nothing rolls now: then there is no progress to judge.
    fn was_complete(&self, status: &Value) -> bool {
        count(status, "/replicas") == count(status, "/updatedReplicas")
            && reason(&self.deployment, "Progressing") == COMPLETE
    }

    fn judge(&self, status: &mut Value, new: Option<&Set>) {
        let now = self.api.now();
        let subject = match new {
            Some(set) => format!("ReplicaSet {:?}", set.key.name),
            None => format!("Deployment {:?}", self.name()),
        };
        if is_complete(&self.deployment, status) {
            let message = format!("{subject} has successfully progressed.");
            Condition::new("Progressing", "True", COMPLETE, &message).put(status, now);
        } else if has_progressed(&self.deployment["status"], status) {
            let message = format!("{subject} is progressing.");
            Condition::new("Progressing", "True", "ReplicaSetUpdated", &message).renew(status, now);
        } else if self.is_late(status) {
            let message = format!("{subject} has timed out progressing.");
            Condition::new("Progressing", "False", TIMED_OUT, &message).put(status, now);
        }
    }

    fn is_late(&self, status: &Value) -> bool {
        let Some(progress) = find(status, "Progressing") else {
            return false;
        };
        let seconds = size::progress_deadline(&self.deployment);
        let due = seconds.zip(time(progress, "/lastUpdateTime"));
        match text(progress, "/reason") {
            COMPLETE => false,
            TIMED_OUT => true,
            _ => due.is_some_and(|(seconds, since)| after(since, seconds) < self.api.now()),
        }
    }
}

/// Whether all replicas are updated and available, and no old ones are left.
fn is_complete(deployment: &Value, status: &Value) -> bool {
    let wanted = size::replicas(deployment);
    ["/updatedReplicas", "/replicas", "/availableReplicas"]
        .into_iter()
        .all(|pointer| count(status, pointer) == wanted)
        && count(status, "/observedGeneration") >= count(deployment, "/metadata/generation")
}

/// Whether there are more new, ready or available Pods than before, or fewer old ones.
fn has_progressed(before: &Value, after: &Value) -> bool {
    let old = |status| count(status, "/replicas") - count(status, "/updatedReplicas");
    let grew = |pointer| count(after, pointer) > count(before, pointer);
    old(after) < old(before)
        || ["/updatedReplicas", "/readyReplicas", "/availableReplicas"]
            .into_iter()
            .any(grew)
}

/// Says that Pods cannot be made, as a ReplicaSet says it; the newest comes first.
fn put_failure(status: &mut Value, sets: &Sets, now: Timestamp) {
    let failure = sets.new.iter().chain(&sets.old).find_map(|set| {
        let conditions = list(&set.object, "/status/conditions");
        let mut failures = conditions
            .iter()
            .filter(|condition| text(condition, "/type") == "ReplicaFailure");
        failures.next()
    });
    match failure {
        Some(failure) => {
            let [state, reason, message] =
                ["/status", "/reason", "/message"].map(|part| text(failure, part));
            Condition::new("ReplicaFailure", state, reason, message).put(status, now);
        }
        None => remove(status, "ReplicaFailure"),
    }
}
