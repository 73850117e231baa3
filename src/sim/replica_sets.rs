//! The controller of ReplicaSets: makes and deletes Pods, and counts them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::field::{after, annotation, count, is_going, list, number, stamp, text, time};
use crate::sim::owner::{Claim, controller, controller_of_kind, controls, reference};
use crate::sim::queue::Queue;
use crate::sim::refusal::Refusal;
use crate::sim::report::{Said, report};
use crate::sim::selector::includes;
use crate::sim::store::{Event, Happened, Key};

/// Pods that are made or deleted in one go.
const BURST: usize = 500;

/// Seconds after which Pods that were refused are tried again.
const RETRY: i64 = 5;

/// The controller of ReplicaSets.
#[derive(Debug)]
pub struct ReplicaSets {
    queue: Queue,
    who: Who,
}

impl Default for ReplicaSets {
    fn default() -> Self {
        Self {
            queue: Queue::default(),
            who: account::controller("replicaset-controller"),
        }
    }
}

impl Actor for ReplicaSets {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        self.queue.begin(api, "apps", "replicasets");
        for event in changed {
            self.hear(api, event);
        }
        for key in self.queue.take(api.now()) {
            if let Some(again) = look(api, &self.who, &key) {
                self.queue.at(key, again);
            }
        }
        self.queue.next()
    }
}

impl ReplicaSets {
    fn hear(&mut self, api: &Api, event: &Event) {
        match (event.key.group.as_str(), event.key.plural.as_str()) {
            ("apps", "replicasets") => self.queue.add(Key::clone(&event.key)),
            ("", "pods") => self.hear_of_pod(api, event),
            _ => {}
        }
    }

    fn hear_of_pod(&mut self, api: &Api, event: &Event) {
        let namespace = &event.key.namespace;
        for object in event.before.iter().chain([&event.object]) {
            if let Some(name) = controller_of_kind(object, "ReplicaSet") {
                self.queue
                    .add(Key::new("apps", "replicasets", namespace, name));
            }
        }
        if controller(&event.object).is_none() && event.happened != Happened::Deleted {
            self.queue
                .add_all(api, "apps", "replicasets", Some(namespace));
        }
    }
}

/// Looks at one ReplicaSet; says when to look again.
fn look(api: &Api, who: &Who, key: &Key) -> Option<Timestamp> {
    let set = api.get(key)?;
    let turn = Turn {
        api,
        who,
        key,
        set: &set,
    };
    turn.sync()
        .unwrap_or_else(|_| Some(after(api.now(), RETRY)))
}

/// One look at one ReplicaSet.
struct Turn<'a> {
    api: &'a Api,
    who: &'a Who,
    key: &'a Key,
    set: &'a Value,
}

type Pod = (Key, Arc<Value>);

impl Turn<'_> {
    fn sync(&self) -> Result<Option<Timestamp>, Refusal> {
        let claim = Claim {
            api: self.api,
            who: self.who,
            kind: "ReplicaSet",
            owner: self.set,
        };
        let owned = claim.all("", "pods")?;
        let owned: Vec<_> = owned
            .into_iter()
            .filter(|(_, pod)| !has_ended(pod))
            .collect();
        let (going, active): (Vec<_>, Vec<_>) =
            owned.into_iter().partition(|(_, pod)| is_going(pod));
        let managed = if is_going(self.set) {
            Ok(())
        } else {
            self.manage(&active)
        };
        self.write_status(&active, going.len(), &managed)?;
        managed?;
        Ok(self.next_availability(&active))
    }

    fn manage(&self, active: &[Pod]) -> Result<(), Refusal> {
        let wanted = number(self.set, "/spec/replicas").unwrap_or(1);
        let wanted = usize::try_from(wanted).unwrap_or(0);
        for _ in active.len()..wanted.min(active.len() + BURST) {
            self.make()?;
        }
        let over = active.len().saturating_sub(wanted).min(BURST);
        for (key, pod) in self.first_to_go(active).into_iter().take(over) {
            self.end(&key, &pod)?;
        }
        Ok(())
    }

    fn make(&self) -> Result<(), Refusal> {
        let template = &self.set["spec"]["template"];
        let mut metadata = json!({
            "generateName": format!("{}-", self.key.name),
            "ownerReferences": [reference("apps/v1", "ReplicaSet", self.set)],
        });
        for part in ["labels", "annotations", "finalizers"] {
            if let Some(value) = template["metadata"]
                .get(part)
                .filter(|value| !value.is_null())
            {
                metadata[part] = value.clone();
            }
        }
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"],
            "status": {"phase": "Pending", "qosClass": "BestEffort"},
        });
        let key = Key::new("", "pods", &self.key.namespace, "");
        match self.api.create(self.who, &key, pod) {
            Ok(pod) => {
                let message = format!("Created pod: {}", text(&pod, "/metadata/name"));
                self.report(Said::normal("SuccessfulCreate", &message));
                Ok(())
            }
            Err(refusal) => {
                let message = format!("Error creating: {}", refusal.message);
                self.report(Said::warning("FailedCreate", &message));
                Err(refusal)
            }
        }
    }

    fn end(&self, key: &Key, pod: &Value) -> Result<(), Refusal> {
        match self.api.delete(self.who, key) {
            Err(refusal) if refusal.reason != "NotFound" => Err(refusal),
            _ => {
                let message = format!("Deleted pod: {}", text(pod, "/metadata/name"));
                self.report(Said::normal("SuccessfulDelete", &message));
                Ok(())
            }
        }
    }

    fn report(&self, said: Said<'_>) {
        report(
            self.api,
            self.who,
            ("apps/v1", "ReplicaSet"),
            self.set,
            said,
        );
    }

    /// In the order in which they are deleted: those that least is lost with come first.
    fn first_to_go(&self, active: &[Pod]) -> Vec<Pod> {
        let crowded = self.crowded(active);
        let now = self.api.now();
        let mut ordered = active.to_vec();
        ordered.sort_by_cached_key(|(key, pod)| {
            let node = text(pod, "/spec/nodeName");
            let since = ready_since(pod);
            let cost = annotation(pod, "controller.kubernetes.io/pod-deletion-cost");
            (
                (!node.is_empty(), phase_rank(pod), since.is_some()),
                cost.and_then(|cost| cost.parse::<i64>().ok()).unwrap_or(0),
                Reverse(crowded.get(node).copied().unwrap_or(0)),
                since.map(|since| magnitude(since, now)),
                Reverse(restarts(pod)),
                time(pod, "/metadata/creationTimestamp").map(|since| magnitude(since, now)),
                (text(pod, "/metadata/uid").to_owned(), key.clone()),
            )
        });
        ordered
    }

    /// Ready Pods of the same Deployment on each node.
    fn crowded(&self, active: &[Pod]) -> BTreeMap<String, usize> {
        let owner = controller(self.set).map(|owner| text(owner, "/uid").to_owned());
        let namespace = Some(self.key.namespace.as_str());
        let related: Vec<_> = self
            .api
            .list("apps", "replicasets", namespace)
            .into_iter()
            .filter(|(_, set)| {
                owner.is_some() && controller(set).map(|it| text(it, "/uid").to_owned()) == owner
            })
            .collect();
        let pods = match related.len() {
            0 | 1 => active.to_vec(),
            _ => self.api.list("", "pods", namespace),
        };
        let mut crowded = BTreeMap::new();
        for (_, pod) in pods {
            let is_related =
                controls(self.set, &pod) || related.iter().any(|(_, set)| controls(set, &pod));
            if is_related && ready_since(&pod).is_some() {
                *crowded
                    .entry(text(&pod, "/spec/nodeName").to_owned())
                    .or_insert(0) += 1;
            }
        }
        crowded
    }

    fn write_status(
        &self,
        active: &[Pod],
        going: usize,
        managed: &Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let status = self.status(active, going, managed);
        let written = self.api.update(self.who, self.key, Part::Status, |set| {
            set["status"] = status;
        });
        match written {
            Err(refusal) if refusal.reason != "NotFound" => Err(refusal),
            _ => Ok(()),
        }
    }

    fn status(&self, active: &[Pod], going: usize, managed: &Result<(), Refusal>) -> Value {
        let labels = self.set.pointer("/spec/template/metadata/labels");
        let counts = [
            (
                "fullyLabeledReplicas",
                active
                    .iter()
                    .filter(|(_, pod)| includes(labels, pod))
                    .count(),
            ),
            (
                "readyReplicas",
                active
                    .iter()
                    .filter(|(_, pod)| ready_since(pod).is_some())
                    .count(),
            ),
            (
                "availableReplicas",
                active
                    .iter()
                    .filter(|(_, pod)| self.is_available(pod))
                    .count(),
            ),
        ];
        let mut status = Map::new();
        status.insert("replicas".into(), json!(active.len()));
        for (name, number) in counts.into_iter().filter(|(_, number)| *number > 0) {
            status.insert(name.into(), json!(number));
        }
        status.insert("terminatingReplicas".into(), json!(going));
        status.insert(
            "observedGeneration".into(),
            self.set["metadata"]["generation"].clone(),
        );
        if let Err(refusal) = managed {
            status.insert(
                "conditions".into(),
                json!([self.failure(active.len(), refusal)]),
            );
        }
        Value::Object(status)
    }

    fn failure(&self, active: usize, refusal: &Refusal) -> Value {
        let mut known = list(self.set, "/status/conditions").iter();
        if let Some(known) = known.find(|known| text(known, "/type") == "ReplicaFailure") {
            return known.clone();
        }
        let lacks = (active as i64) < number(self.set, "/spec/replicas").unwrap_or(1);
        let reason = if lacks {
            "FailedCreate"
        } else {
            "FailedDelete"
        };
        json!({
            "type": "ReplicaFailure", "status": "True", "reason": reason, "message": refusal.message,
            "lastTransitionTime": stamp(self.api.now()),
        })
    }

    fn available_at(&self, pod: &Value) -> Option<Timestamp> {
        let seconds = count(self.set, "/spec/minReadySeconds");
        ready_since(pod).map(|since| after(since, seconds))
    }

    fn is_available(&self, pod: &Value) -> bool {
        self.available_at(pod)
            .is_some_and(|time| time <= self.api.now())
    }

    fn next_availability(&self, active: &[Pod]) -> Option<Timestamp> {
        let times = active.iter().filter_map(|(_, pod)| self.available_at(pod));
        times.filter(|time| *time > self.api.now()).min()
    }
}

fn has_ended(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))
}

/// Since when a Pod is ready.
#[must_use]
pub fn ready_since(pod: &Value) -> Option<Timestamp> {
    list(pod, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == "Ready")
        .filter(|condition| text(condition, "/status") == "True")
        .and_then(|condition| time(condition, "/lastTransitionTime"))
}

fn phase_rank(pod: &Value) -> u8 {
    match text(pod, "/status/phase") {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    }
}

fn restarts(pod: &Value) -> i64 {
    let containers = list(pod, "/status/containerStatuses").iter();
    let restarts = containers.map(|container| count(container, "/restartCount"));
    restarts.max().unwrap_or(0)
}

/// An age by its order of magnitude: Pods of about the same age are alike.
fn magnitude(since: Timestamp, now: Timestamp) -> i64 {
    let age = now.duration_since(since).as_nanos();
    u128::try_from(age)
        .ok()
        .filter(|age| *age > 0)
        .map_or(-1, |age| i64::from(age.ilog2()))
}
