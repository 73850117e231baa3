//! The scheduler and the kubelets: a Pod gets a node, starts, becomes ready, fails as its image says, and ends.

mod config;
mod life;
mod place;
mod probe;
mod status;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::account::{kubelet, scheduler};
use crate::sim::api::{Actor, Api, Part};
use crate::sim::behaviour::Behaviours;
use crate::sim::field::{after, after_ms, count, is_going, text, time};
use crate::sim::nodes::lost_since;
use crate::sim::pods::life::{Life, Scene};
use crate::sim::pods::place::Room;
use crate::sim::queue::Queue;
use crate::sim::report::{Said, report};
use crate::sim::store::{Event, Happened, Key};
use crate::sim::write::{Delete, Request};

/// Milliseconds from being placed on a node until the network is there and containers can start.
const SANDBOX: i64 = 500;

/// Seconds after which volumes that are not there are looked for again.
const MOUNT_RETRY: i64 = 2;

/// The scheduler and the kubelets of all nodes.
#[derive(Debug)]
pub struct Pods {
    queue: Queue,
    behaviours: Behaviours,
    /// The version of the behaviours that was looked at, and when they change by themselves.
    known: (u64, Option<Timestamp>),
    lives: BTreeMap<Key, Life>,
    unplaced: BTreeSet<Key>,
    addresses: BTreeMap<String, u32>,
    /// What is left on the nodes, while Pods are placed.
    room: Option<Room>,
}

impl Pods {
    /// Pods whose applications do this.
    #[must_use]
    pub fn new(behaviours: Behaviours) -> Self {
        Self {
            queue: Queue::default(),
            behaviours,
            known: (0, None),
            lives: BTreeMap::new(),
            unplaced: BTreeSet::new(),
            addresses: BTreeMap::new(),
            room: None,
        }
    }
}

impl Actor for Pods {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        self.queue.begin(api, "", "pods");
        for event in changed {
            self.hear(api, event);
        }
        self.heed_behaviours(api);
        self.room = None;
        for key in self.queue.take(api.now()) {
            if let Some(again) = self.look(api, &key) {
                self.queue.at(key, again);
            }
        }
        self.queue.next().into_iter().chain(self.known.1).min()
    }
}

impl Pods {
    fn hear(&mut self, api: &Api, event: &Event) {
        match (event.key.group.as_str(), event.key.plural.as_str()) {
            ("", "pods") if event.happened == Happened::Deleted => {
                self.lives.remove(&event.key);
                self.unplaced.remove(&event.key);
                self.retry_unplaced();
            }
            ("", "pods") => self.queue.add(Key::clone(&event.key)),
            ("", "nodes") => {
                self.retry_unplaced();
                self.queue.add_all(api, "", "pods", None);
            }
            _ => {}
        }
    }

    fn retry_unplaced(&mut self) {
        for key in &self.unplaced {
            self.queue.add(key.clone());
        }
    }

    /// Looks at all Pods when applications do something else from now on.
    fn heed_behaviours(&mut self, api: &Api) {
        let (version, due) = self.known;
        let now = api.now();
        if version != self.behaviours.version() || due.is_some_and(|due| due <= now) {
            self.known = (self.behaviours.version(), self.behaviours.next(now));
            for key in self.lives.keys() {
                self.queue.add(key.clone());
            }
        }
    }

    /// Looks at one Pod; says when to look again.
    fn look(&mut self, api: &Api, key: &Key) -> Option<Timestamp> {
        let pod = api.get(key)?;
        if ["Succeeded", "Failed"].contains(&text(&pod, "/status/phase")) && !is_going(&pod) {
            return None;
        }
        let node = text(&pod, "/spec/nodeName").to_owned();
        if node.is_empty() {
            self.place(api, key, &pod);
            return None;
        }
        let node = api.get(&Key::new("", "nodes", "", &node))?;
        self.run(api, key, &pod, &node)
    }

    fn place(&mut self, api: &Api, key: &Key, pod: &Value) {
        let who = scheduler();
        let room = self.room.get_or_insert_with(|| Room::of(api));
        match room.take(pod) {
            Ok(node) => {
                self.unplaced.remove(key);
                let bound = api.update(&who, key, Part::Main, |pod| {
                    pod["spec"]["nodeName"] = json!(node);
                });
                let message = format!(
                    "Successfully assigned {}/{} to {node}",
                    key.namespace, key.name
                );
                report(
                    api,
                    &who,
                    ("v1", "Pod"),
                    pod,
                    Said::normal("Scheduled", &message),
                );
                drop(bound);
            }
            Err(why) => {
                let status = status::unscheduled(pod, &why, api.now());
                if pod.get("status") != Some(&status) {
                    let written = api.update(&who, key, Part::Status, |pod| pod["status"] = status);
                    report(
                        api,
                        &who,
                        ("v1", "Pod"),
                        pod,
                        Said::warning("FailedScheduling", &why),
                    );
                    drop(written);
                }
                self.unplaced.insert(key.clone());
            }
        }
    }

    fn run(&mut self, api: &Api, key: &Key, pod: &Value, node: &Value) -> Option<Timestamp> {
        let now = api.now();
        if lost_since(node).is_some() {
            if let Some(life) = self.lives.get_mut(key) {
                life.lose_power(now);
            }
            return None;
        }
        if !self.lives.contains_key(key) {
            let address = self.address(text(node, "/metadata/name"));
            let life = Life::new(pod, address, after_ms(now, SANDBOX), now);
            self.lives.insert(key.clone(), life);
        }
        let scene = Scene {
            api,
            who: &kubelet(text(node, "/metadata/name")),
            behaviours: &self.behaviours,
            key,
            pod,
        };
        let life = self.lives.get_mut(key)?;
        if is_going(pod) {
            return end(&scene, life);
        }
        if let Some(missing) = config::missing_volume(api, pod) {
            scene.report(Said::warning("FailedMount", &missing));
            scene.write(status::of(pod, node, life, now));
            return Some(after(now, MOUNT_RETRY));
        }
        let due = life.advance(&scene);
        scene.write(status::of(pod, node, life, now));
        due
    }

    /// An address that no Pod has had.
    fn address(&mut self, node: &str) -> String {
        let of_node = node
            .rsplit('-')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0_u32);
        let used = self.addresses.entry(node.to_owned()).or_insert(0);
        *used += 1;
        let (high, low) = ((*used - 1) / 250, (*used - 1) % 250 + 2);
        format!("10.{}.{}.{low}", 128 + of_node % 100, high % 250)
    }
}

/// Ends a Pod: its containers drain, and then it goes.
fn end(scene: &Scene<'_>, life: &mut Life) -> Option<Timestamp> {
    let now = scene.api.now();
    let latest = time(scene.pod, "/metadata/deletionTimestamp").unwrap_or(now);
    let grace = count(scene.pod, "/metadata/deletionGracePeriodSeconds");
    let end = life.end(scene, grace).min(latest.max(now));
    if end > now {
        return Some(end);
    }
    life.stop(now);
    scene.write(status::ended(scene.pod, life, now));
    let at_once = Delete {
        grace: Some(0),
        ..Delete::default()
    };
    let gone = scene
        .api
        .delete_as(&Request::of(scene.who), scene.key, &at_once);
    drop(gone);
    None
}

#[cfg(test)]
mod tests;
