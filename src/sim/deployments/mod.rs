//! The controller of Deployments: ReplicaSets for templates, rolling updates, pauses, progress, history.

mod condition;
mod roll;
mod scale;
mod sets;
mod size;
mod status;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::deployments::condition::{Condition, PAUSED, RESUMED, TIMED_OUT};
use crate::sim::deployments::sets::{Set, Sets};
use crate::sim::field::{after, is_going, is_true, text};
use crate::sim::owner::{Claim, controller, controller_of_kind};
use crate::sim::queue::Queue;
use crate::sim::refusal::Refusal;
use crate::sim::replace::replace;
use crate::sim::report::{Said, report};
use crate::sim::store::{Event, Happened, Key};

/// Seconds after which a write that was refused is tried again.
const RETRY: i64 = 1;

/// The controller of Deployments.
#[derive(Debug)]
pub struct Deployments {
    queue: Queue,
    who: Who,
}

impl Default for Deployments {
    fn default() -> Self {
        Self {
            queue: Queue::default(),
            who: account::controller("deployment-controller"),
        }
    }
}

impl Actor for Deployments {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        self.queue.begin(api, "apps", "deployments");
        for event in changed {
            self.hear(api, event);
        }
        let now = api.now();
        for key in self.queue.take(now) {
            if let Some(again) = look(api, &self.who, &key) {
                self.queue.at(key, again);
            }
        }
        self.queue.next()
    }
}

impl Deployments {
    fn hear(&mut self, api: &Api, event: &Event) {
        match (event.key.group.as_str(), event.key.plural.as_str()) {
            ("apps", "deployments") => self.queue.add(Key::clone(&event.key)),
            ("apps", "replicasets") => self.hear_of_set(api, event),
            ("", "pods") if event.happened == Happened::Deleted => self.hear_of_end(api, event),
            _ => {}
        }
    }

    fn hear_of_set(&mut self, api: &Api, event: &Event) {
        let namespace = &event.key.namespace;
        for object in event.before.iter().chain([&event.object]) {
            if let Some(name) = controller_of_kind(object, "Deployment") {
                let key = Key::new("apps", "deployments", namespace, name);
                self.queue.add(key);
            }
        }
        if controller(&event.object).is_none() && event.happened != Happened::Deleted {
            let namespace = Some(namespace.as_str());
            self.queue.add_all(api, "apps", "deployments", namespace);
        }
    }

    /// `Recreate` waits until the last old Pod is gone.
    fn hear_of_end(&mut self, api: &Api, event: &Event) {
        let namespace = &event.key.namespace;
        let set = controller_of_kind(&event.object, "ReplicaSet")
            .and_then(|name| api.get(&Key::new("apps", "replicasets", namespace, name)));
        let name = set
            .as_deref()
            .and_then(|set| controller_of_kind(set, "Deployment"));
        if let Some(name) = name {
            let key = Key::new("apps", "deployments", namespace, name);
            self.queue.add(key);
        }
    }
}

/// Looks at one Deployment; says when to look again.
fn look(api: &Api, who: &Who, key: &Key) -> Option<Timestamp> {
    let deployment = api.get(key)?;
    if deployment.pointer("/spec/selector").is_none_or(is_empty) {
        return None;
    }
    let mut turn = Turn {
        api,
        who,
        key,
        deployment: Value::clone(&deployment),
    };
    match turn.sync() {
        Ok(()) => turn.deadline(),
        Err(_) => Some(after(api.now(), RETRY)),
    }
}

fn is_empty(selector: &Value) -> bool {
    selector.as_object().is_none_or(serde_json::Map::is_empty)
}

/// One look at one Deployment.
struct Turn<'a> {
    api: &'a Api,
    who: &'a Who,
    key: &'a Key,
    /// As it was last read or written.
    deployment: Value,
}

impl Turn<'_> {
    fn sync(&mut self) -> Result<(), Refusal> {
        let owned = self.claim()?;
        if is_going(&self.deployment) {
            let sets = self.sets(&owned)?;
            return self.write_counts(&sets);
        }
        self.mark_pause()?;
        if self.is_paused() {
            return self.resize(&owned);
        }
        let sets = self.sets(&owned)?;
        if self.was_scaled(&sets) {
            return self.resize(&owned);
        }
        if size::is_rolling(&self.deployment) {
            self.roll(&owned)
        } else {
            self.recreate(&owned)
        }
    }

    fn claim(&self) -> Result<Vec<Set>, Refusal> {
        let claim = Claim {
            api: self.api,
            who: self.who,
            kind: "Deployment",
            owner: &self.deployment,
        };
        let claimed = claim.all("apps", "replicasets")?;
        let mut sets: Vec<_> = claimed
            .into_iter()
            .map(|(key, object)| Set { key, object })
            .collect();
        sets.sort_by(Set::by_age);
        Ok(sets)
    }

    fn is_paused(&self) -> bool {
        is_true(&self.deployment, "/spec/paused")
    }

    /// Says that it is paused or no longer, but never over the verdict that it does not progress: it stands until a rollout
    /// is complete.
    fn mark_pause(&mut self) -> Result<(), Refusal> {
        let reason = condition::reason(&self.deployment, "Progressing");
        if size::progress_deadline(&self.deployment).is_none() || reason == TIMED_OUT {
            return Ok(());
        }
        let (reason, message) = match (self.is_paused(), reason == PAUSED) {
            (true, false) => (PAUSED, "Deployment is paused"),
            (false, true) => (RESUMED, "Deployment is resumed"),
            _ => return Ok(()),
        };
        let condition = Condition::new("Progressing", "Unknown", reason, message);
        condition.put(&mut self.deployment["status"], self.api.now());
        self.write_status()
    }

    /// What happens while paused, and when somebody scaled.
    fn resize(&mut self, owned: &[Set]) -> Result<(), Refusal> {
        let sets = self.sets(owned)?;
        self.scale(&sets)?;
        if self.is_paused() {
            self.forget_old(&sets)?;
        }
        self.write_counts(&sets)
    }

    /// Whether an active ReplicaSet was made for another number of replicas.
    fn was_scaled(&self, sets: &Sets) -> bool {
        let wanted = size::replicas(&self.deployment);
        let mut active = sets.active();
        active.any(|set| set.desired().is_some_and(|desired| desired != wanted))
    }

    fn write_status(&mut self) -> Result<(), Refusal> {
        let deployment = self.deployment.clone();
        let written = replace(self.api, self.who, self.key, Part::Status, deployment)?;
        self.deployment = Arc::unwrap_or_clone(written);
        Ok(())
    }

    fn report(&self, said: Said<'_>) {
        let kind = ("apps/v1", "Deployment");
        report(self.api, self.who, kind, &self.deployment, said);
    }

    fn name(&self) -> &str {
        text(&self.deployment, "/metadata/name")
    }
}

#[cfg(test)]
mod tests;
