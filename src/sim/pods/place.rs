//! On which node a Pod goes: one that is ready, takes it, and has room.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::sim::api::Api;
use crate::sim::field::{is_true, list, pairs, text};
use crate::sim::quantity::thousandths;
use crate::sim::store::Key;

/// Containers' names of what a node has.
const RESOURCES: [&str; 2] = ["cpu", "memory"];

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    pods: i64,
    resources: [i64; 2],
}

impl Used {
    fn add(&mut self, pod: &Value) {
        self.pods += 1;
        for (sum, more) in self.resources.iter_mut().zip(requested(pod)) {
            *sum += more;
        }
    }
}

/// The room of all nodes at one moment: counted once for all Pods that are placed then.
#[derive(Debug)]
pub(super) struct Room {
    nodes: Vec<(Key, Arc<Value>)>,
    used: BTreeMap<String, Used>,
}

impl Room {
    /// As the API server shows it now.
    pub(super) fn of(api: &Api) -> Self {
        Self {
            nodes: api.list("", "nodes", None),
            used: used(api),
        }
    }

    /// The node for a Pod, on which it has its room from now on; or why there is none.
    pub(super) fn take(&mut self, pod: &Value) -> Result<String, String> {
        let node = self.find(pod)?;
        self.used.entry(node.clone()).or_default().add(pod);
        Ok(node)
    }

    /// The node that has the fewest Pods of those that fit, or why there is none, in the words of the scheduler.
    fn find(&self, pod: &Value) -> Result<String, String> {
        let mut best: Option<(i64, String)> = None;
        let mut refused = BTreeMap::<String, usize>::new();
        for (key, node) in &self.nodes {
            let used = self.used.get(&key.name).copied().unwrap_or_default();
            match refusal(node, pod, used) {
                Some(why) => *refused.entry(why).or_default() += 1,
                None if best.as_ref().is_none_or(|(pods, _)| used.pods < *pods) => {
                    best = Some((used.pods, key.name.clone()));
                }
                None => {}
            }
        }
        best.map(|(_, name)| name)
            .ok_or_else(|| unschedulable(self.nodes.len(), &refused))
    }
}

fn unschedulable(nodes: usize, refused: &BTreeMap<String, usize>) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let reasons: Vec<_> = refused
        .iter()
        .map(|(why, count)| format!("{count} {why}"))
        .collect();
    let victims: usize = refused
        .iter()
        .filter(|(why, _)| why.starts_with("Insufficient") || why.starts_with("Too many"))
        .map(|(_, count)| count)
        .sum();
    let mut preemption = Vec::new();
    if victims > 0 {
        preemption.push(format!(
            "{victims} No preemption victims found for incoming pod"
        ));
    }
    if nodes > victims {
        preemption.push(format!(
            "{} Preemption is not helpful for scheduling",
            nodes - victims
        ));
    }
    format!(
        "0/{nodes} nodes are available: {}. no new claims to deallocate, preemption: 0/{nodes} nodes are available: {}.",
        reasons.join(", "),
        preemption.join(", ")
    )
}

fn used(api: &Api) -> BTreeMap<String, Used> {
    let mut all = BTreeMap::<String, Used>::new();
    for (_, pod) in api.list("", "pods", None) {
        let node = text(&pod, "/spec/nodeName");
        if node.is_empty() || ["Succeeded", "Failed"].contains(&text(&pod, "/status/phase")) {
            continue;
        }
        all.entry(node.to_owned()).or_default().add(&pod);
    }
    all
}

fn requested(pod: &Value) -> [i64; 2] {
    RESOURCES.map(|resource| {
        let of = |container: &Value| {
            let requests = container.pointer("/resources/requests");
            thousandths(requests.and_then(|requests| requests.get(resource)))
        };
        list(pod, "/spec/containers").iter().map(of).sum()
    })
}

/// Why a node does not take a Pod.
fn refusal(node: &Value, pod: &Value, used: Used) -> Option<String> {
    if let Some(taint) = untolerated(node, pod) {
        return Some(format!("node(s) had untolerated taint(s) {{{taint}}}"));
    }
    if is_true(node, "/spec/unschedulable") {
        return Some("node(s) were unschedulable".to_owned());
    }
    let labels = node.pointer("/metadata/labels");
    let mut wanted = pairs(pod, "/spec/nodeSelector");
    if wanted.any(|(name, value)| labels.and_then(|labels| labels.get(name)) != Some(value)) {
        return Some("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    let has = |resource| thousandths(node.pointer(&format!("/status/allocatable/{resource}")));
    if (used.pods + 1) * 1000 > has("pods") {
        return Some("Too many pods".to_owned());
    }
    let mut asked = RESOURCES
        .into_iter()
        .zip(used.resources)
        .zip(requested(pod));
    asked
        .find(|((resource, used), asked)| *asked > 0 && used + asked > has(resource))
        .map(|((resource, _), _)| format!("Insufficient {resource}"))
}

fn untolerated<'a>(node: &'a Value, pod: &Value) -> Option<&'a str> {
    let tolerations = list(pod, "/spec/tolerations");
    let tolerated = |taint: &Value| {
        tolerations.iter().any(|it| {
            let key = text(it, "/key");
            key.is_empty() || key == text(taint, "/key")
        })
    };
    let taints = list(node, "/spec/taints").iter();
    let mut hard = taints.filter(|taint| text(taint, "/effect") != "PreferNoSchedule");
    hard.find(|taint| !tolerated(taint))
        .map(|taint| text(taint, "/key"))
}
