//! The cluster as the writes so far have made it, and questions about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use serin::sim::store::{Event, Happened, Key};

use crate::story::log::canary_weight;
use crate::story::objects;

/// All objects, and a few facts that follow from their history.
#[derive(Default)]
pub(crate) struct State {
    objects: BTreeMap<Key, Arc<Value>>,
    /// Since when the Canary is Failed.
    pub(crate) failed_since: Option<Timestamp>,
    /// How often each attempt released the target.
    pub(crate) releases: BTreeMap<String, u32>,
}

impl State {
    /// Takes a write.
    pub(crate) fn take(&mut self, event: &Event) {
        match event.happened {
            Happened::Deleted => self.objects.remove(&event.key),
            _ => self
                .objects
                .insert(Key::clone(&event.key), event.object.clone()),
        };
        if *event.key == objects::canary_key() {
            let failed = event.object["status"]["phase"] == "Failed";
            let since = failed.then(|| self.failed_since.unwrap_or(event.signed.at));
            self.failed_since = since;
        }
        if unpaused(event) && by_serin(event) {
            *self.releases.entry(self.attempt()).or_default() += 1;
        }
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key).map(|object| &**object)
    }

    /// Objects of a kind in the application's namespace.
    pub(crate) fn all(&self, plural: &str) -> impl Iterator<Item = &Value> {
        let ours = move |key: &Key| key.plural == plural && key.namespace == objects::HOME;
        let objects = self.objects.iter();
        objects
            .filter(move |(key, _)| ours(key))
            .map(|(_, object)| &**object)
    }

    /// The Canary's status; null without one.
    pub(crate) fn status(&self) -> &Value {
        let canary = self.get(&objects::canary_key());
        canary.map_or(&Value::Null, |canary| &canary["status"])
    }

    /// The attempt: the Canary and its candidate, counted.
    pub(crate) fn attempt(&self) -> String {
        let canary = self.get(&objects::canary_key());
        let uid = canary.map_or(&Value::Null, |canary| &canary["metadata"]["uid"]);
        let candidate = &self.status()["candidate"];
        format!("{uid} {} {}", candidate["attempt"], candidate["revision"])
    }

    /// Whether a Pod is of a ReplicaSet of this Deployment.
    pub(crate) fn is_of(&self, pod: &Value, deployment: &str) -> bool {
        let set = owner(pod);
        self.all("replicasets")
            .any(|it| it["metadata"]["name"] == set && owner(it) == deployment)
    }

    /// Ready Pods of a Deployment.
    pub(crate) fn ready(&self, deployment: &str) -> usize {
        let pods = self.all("pods").filter(|pod| is_ready(pod));
        pods.filter(|pod| self.is_of(pod, deployment)).count()
    }

    /// Ready endpoints of a Service.
    pub(crate) fn endpoints(&self, name: &str) -> usize {
        let slices = self.all("endpointslices");
        slices
            .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name)
            .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten())
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .count()
    }

    /// The canary's weight as the route has it, and whether the gateway has accepted that; 0 without a route.
    pub(crate) fn weight(&self) -> (i64, bool) {
        let Some(route) = self.get(&objects::route_key()) else {
            return (0, true);
        };
        let generation = &route["metadata"]["generation"];
        let parents = route["status"]["parents"].as_array().into_iter().flatten();
        let conditions = parents.flat_map(|it| it["conditions"].as_array().into_iter().flatten());
        let mut accepted = conditions.filter(|it| it["type"] == "Accepted");
        let accepted = accepted.any(|it| &it["observedGeneration"] == generation);
        (canary_weight(route).unwrap_or(0), accepted)
    }
}

/// The name of an object's controller.
fn owner(object: &Value) -> &str {
    object["metadata"]["ownerReferences"][0]["name"]
        .as_str()
        .unwrap_or_default()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|it| it["type"] == "Ready");
    pod["metadata"]["deletionTimestamp"].is_null() && ready.any(|it| it["status"] == "True")
}

/// The version in a Pod's spec.
pub(crate) fn tag(spec: &Value) -> String {
    let image = spec["containers"][0]["image"].as_str().unwrap_or_default();
    image.trim_start_matches("app:").to_owned()
}

/// Whether Serin wrote it.
pub(crate) fn by_serin(event: &Event) -> bool {
    &*event.signed.by == "system:serviceaccount:serin-system:serin"
}

/// Whether it ends the pause of the target.
pub(crate) fn unpaused(event: &Event) -> bool {
    let paused = |object: &Value| object["spec"]["paused"] == true;
    *event.key == objects::target()
        && event.happened == Happened::Modified
        && event.before.as_ref().is_some_and(|before| paused(before))
        && !paused(&event.object)
}
