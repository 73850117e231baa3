//! The nodes: they are made at the start, and are found missing when they say nothing any more.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::field::{after, annotation, list, stamp, text};
use crate::sim::report::{Said, report};
use crate::sim::store::{Event, Key};

/// Annotation of a Node whose machine has no power, since when; taken off, it boots again.
pub const LOST: &str = "test.serin.dev/lost";

/// Seconds for which a node that says nothing counts as ready, as kube-controller-manager has it.
const GRACE: i64 = 50;

/// Seconds for which a Pod is left on a node that cannot be reached: the toleration that every Pod gets.
const TOLERATED: i64 = 300;

const TAINT: &str = "node.kubernetes.io/unreachable";

/// What the nodes are at the start.
#[derive(Clone, Debug)]
pub struct Size {
    /// How many.
    pub nodes: usize,
    /// CPUs of each, as a quantity.
    pub cpu: String,
    /// Memory of each, as a quantity.
    pub memory: String,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            nodes: 3,
            cpu: "8".to_owned(),
            memory: "16Gi".to_owned(),
        }
    }
}

/// The machines, and the controller that watches them.
#[derive(Debug)]
pub struct Nodes {
    size: Size,
    begun: bool,
    due: Option<Timestamp>,
    who: Who,
}

impl Nodes {
    /// Nodes of this size, named `node-1` and so on.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self {
            size,
            begun: false,
            due: None,
            who: account::controller("node-controller"),
        }
    }

    fn make(&self, api: &Api) {
        for number in 1..=self.size.nodes {
            let name = format!("node-{number}");
            let key = Key::new("", "nodes", "", &name);
            let node = node(&name, &self.size, number, api.now());
            drop(api.create(&account::kubelet(&name), &key, node));
        }
    }
}

impl Actor for Nodes {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        if !self.begun {
            self.begun = true;
            self.make(api);
        }
        let concerned = |event: &Event| ["nodes", "pods"].contains(&event.key.plural.as_str());
        let now = api.now();
        if self.due.is_some_and(|due| due <= now) || changed.iter().any(concerned) {
            let nodes = api.list("", "nodes", None);
            let dues = nodes
                .iter()
                .filter_map(|(key, node)| self.watch(api, key, node));
            self.due = dues.min();
        }
        self.due
    }
}

impl Nodes {
    /// Looks at one node; says when to look again.
    fn watch(&self, api: &Api, key: &Key, node: &Value) -> Option<Timestamp> {
        let Some(since) = lost_since(node) else {
            if !is_ready(node) {
                self.mark(api, key, true);
            }
            return None;
        };
        let [missed, given_up] = [GRACE, GRACE + TOLERATED].map(|seconds| after(since, seconds));
        if api.now() < missed {
            return Some(missed);
        }
        if is_ready(node) {
            self.mark(api, key, false);
            report(
                api,
                &self.who,
                ("v1", "Node"),
                node,
                Said::normal(
                    "NodeNotReady",
                    &format!("Node {} status is now: NodeNotReady", key.name),
                ),
            );
        }
        self.mark_pods(api, key, api.now() >= given_up);
        (api.now() < given_up).then_some(given_up)
    }

    fn mark(&self, api: &Api, key: &Key, ready: bool) {
        let now = api.now();
        let status = api.update(&self.who, key, Part::Status, |node| {
            node["status"]["conditions"] = conditions(ready, now);
        });
        let taints = api.update(&self.who, key, Part::Main, |node| {
            let mut taints = list(node, "/spec/taints").to_vec();
            taints.retain(|taint| text(taint, "/key") != TAINT);
            if !ready {
                for effect in ["NoSchedule", "NoExecute"] {
                    taints.push(json!({"key": TAINT, "effect": effect, "timeAdded": stamp(now)}));
                }
            }
            node["spec"]["taints"] = Value::Array(taints);
        });
        drop((status, taints));
    }

    fn mark_pods(&self, api: &Api, node: &Key, give_up: bool) {
        for (key, pod) in api.list("", "pods", None) {
            if text(&pod, "/spec/nodeName") != node.name {
                continue;
            }
            let before = list(&pod, "/status/conditions").to_vec();
            let after = unready(&before, api.now());
            if before != after {
                let written = api.update(&self.who, &key, Part::Status, |pod| {
                    pod["status"]["conditions"] = Value::Array(after);
                });
                report(
                    api,
                    &self.who,
                    ("v1", "Pod"),
                    &pod,
                    Said::warning("NodeNotReady", "Node is not ready"),
                );
                drop(written);
            }
            if give_up {
                drop(api.delete(&self.who, &key));
            }
        }
    }
}

/// Since when a node has had no power.
#[must_use]
pub fn lost_since(node: &Value) -> Option<Timestamp> {
    annotation(node, LOST)?.parse().ok()
}

/// Whether a node says that it is ready.
#[must_use]
pub fn is_ready(node: &Value) -> bool {
    list(node, "/status/conditions")
        .iter()
        .any(|it| text(it, "/type") == "Ready" && text(it, "/status") == "True")
}

fn unready(conditions: &[Value], now: Timestamp) -> Vec<Value> {
    let mut conditions = conditions.to_vec();
    let ready = conditions
        .iter_mut()
        .find(|it| text(it, "/type") == "Ready" && text(it, "/status") == "True");
    if let Some(ready) = ready {
        ready["status"] = json!("False");
        ready["lastTransitionTime"] = stamp(now);
    }
    conditions
}

fn conditions(ready: bool, now: Timestamp) -> Value {
    let (status, reason, message) = if ready {
        ("True", "KubeletReady", "kubelet is posting ready status")
    } else {
        (
            "Unknown",
            "NodeStatusUnknown",
            "Kubelet stopped posting node status.",
        )
    };
    json!([{
        "type": "Ready", "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": stamp(now), "lastTransitionTime": stamp(now),
    }])
}

fn node(name: &str, size: &Size, number: usize, now: Timestamp) -> Value {
    let capacity = json!({"cpu": size.cpu, "memory": size.memory, "pods": "110"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": format!("10.244.{number}.0/24")},
        "status": {
            "capacity": capacity, "allocatable": capacity, "conditions": conditions(true, now),
            "addresses": [
                {"type": "InternalIP", "address": format!("10.240.0.{number}")}, {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {"kubeletVersion": "v1.36.0", "operatingSystem": "linux", "architecture": "amd64"},
        },
    })
}
