//! Budgets of Pods that may be missing: their status, and evictions that respect them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::field::{count, is_going, stamp, text};
use crate::sim::owner::controller;
use crate::sim::queue::Queue;
use crate::sim::refusal::{Cause, Refusal};
use crate::sim::replica_sets::ready_since;
use crate::sim::selector::selects;
use crate::sim::store::{Event, Key};
use crate::sim::write::{Delete, Request};

const GROUP: &str = "policy";
const PLURAL: &str = "poddisruptionbudgets";

/// The controller of PodDisruptionBudgets.
#[derive(Debug)]
pub struct Disruptions {
    queue: Queue,
    who: Who,
}

impl Default for Disruptions {
    fn default() -> Self {
        Self {
            queue: Queue::default(),
            who: account::controller("disruption-controller"),
        }
    }
}

impl Actor for Disruptions {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        self.queue.begin(api, GROUP, PLURAL);
        for event in changed {
            let namespace = Some(event.key.namespace.as_str());
            match event.key.plural.as_str() {
                PLURAL => self.queue.add(Key::clone(&event.key)),
                "pods" | "replicasets" | "deployments" => {
                    self.queue.add_all(api, GROUP, PLURAL, namespace)
                }
                _ => {}
            }
        }
        for key in self.queue.take(api.now()) {
            write(api, &self.who, &key);
        }
        self.queue.next()
    }
}

fn write(api: &Api, who: &Who, key: &Key) {
    let Some(budget) = api.get(key) else { return };
    let status = status(api, key, &budget);
    let written = api.update(who, key, Part::Status, |budget| budget["status"] = status);
    drop(written);
}

fn status(api: &Api, key: &Key, budget: &Value) -> Value {
    let pods = selected(api, key, budget);
    let healthy = pods
        .iter()
        .filter(|(_, pod)| ready_since(pod).is_some() && !is_going(pod));
    let healthy = healthy.count() as i64;
    let expected = expected(api, &pods);
    let desired = desired(budget, expected);
    let allowed = if expected > 0 {
        (healthy - desired).max(0)
    } else {
        0
    };
    let (holds, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let conditions = crate::sim::field::list(budget, "/status/conditions");
    let same = conditions.iter().find(|it| text(it, "/status") == holds);
    let since = same.map_or_else(|| stamp(api.now()), |it| it["lastTransitionTime"].clone());
    let generation = &budget["metadata"]["generation"];
    json!({
        "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected, "disruptionsAllowed": allowed,
        "observedGeneration": generation,
        "conditions": [{
            "type": "DisruptionAllowed", "status": holds, "reason": reason, "message": "",
            "observedGeneration": generation, "lastTransitionTime": since,
        }],
    })
}

fn selected(api: &Api, key: &Key, budget: &Value) -> Vec<(Key, std::sync::Arc<Value>)> {
    let mut pods = api.list("", "pods", Some(&key.namespace));
    pods.retain(|(_, pod)| {
        let ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
        !ended && selects(budget.pointer("/spec/selector"), pod)
    });
    pods
}

/// The replicas of all that controls these Pods; Pods without a controller count for themselves.
fn expected(api: &Api, pods: &[(Key, std::sync::Arc<Value>)]) -> i64 {
    let mut owners = std::collections::BTreeMap::new();
    let mut alone = 0;
    for (key, pod) in pods {
        match owner_with_scale(api, &key.namespace, pod) {
            Some((uid, replicas)) => drop(owners.insert(uid, replicas)),
            None => alone += 1,
        }
    }
    owners.values().sum::<i64>() + alone
}

/// The Deployment of a Pod, or its ReplicaSet: `uid` and replicas.
fn owner_with_scale(api: &Api, namespace: &str, pod: &Value) -> Option<(String, i64)> {
    let set = text(controller(pod)?, "/name");
    let set = api.get(&Key::new("apps", "replicasets", namespace, set))?;
    let deployment = controller(&set).map(|owner| text(owner, "/name"));
    let deployment =
        deployment.and_then(|name| api.get(&Key::new("apps", "deployments", namespace, name)));
    let top = deployment.unwrap_or(set);
    Some((
        text(&top, "/metadata/uid").to_owned(),
        count(&top, "/spec/replicas"),
    ))
}

/// How many have to stay: percentages are rounded up, both ways.
fn desired(budget: &Value, expected: i64) -> i64 {
    let share = |value: &Value| {
        let percent = value
            .as_str()
            .and_then(|text| text.trim_end_matches('%').parse::<i64>().ok());
        percent.map_or(value.as_i64().unwrap_or(0), |percent| {
            (expected * percent + 99) / 100
        })
    };
    match (
        budget.pointer("/spec/maxUnavailable"),
        budget.pointer("/spec/minAvailable"),
    ) {
        (Some(most), _) => (expected - share(most)).max(0),
        (None, Some(least)) => share(least),
        (None, None) => 1,
    }
}

/// Evicts a Pod, as a POST to its `eviction` does: deletes it, if its budget allows that now.
///
/// # Errors
/// 404 if there is no such Pod, 429 if the budget does not allow it, 500 if more than one budget is about it.
pub fn evict(api: &Api, request: &Request, pod: &Key) -> Result<(), Refusal> {
    let object = api.get(pod).ok_or_else(|| Refusal::not_found(pod))?;
    let budgets = api.list(GROUP, PLURAL, Some(&pod.namespace));
    let mut about = budgets
        .into_iter()
        .filter(|(_, budget)| selects(budget.pointer("/spec/selector"), &object));
    let first = about.next();
    if about.next().is_some() {
        let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(Refusal::new(500, "InternalError", message));
    }
    if let Some((key, budget)) = first
        && needs_leave(&object, &budget)
    {
        take_leave(api, &key, pod, &budget, request.dry_run)?;
    }
    let options = Delete {
        evicted: true,
        ..Delete::default()
    };
    api.delete_as(request, pod, &options).map(drop)
}

/// Pods that do not run yet, that end already, or that are not healthy and whose budget says so, may go without leave.
fn needs_leave(pod: &Value, budget: &Value) -> bool {
    if text(pod, "/status/phase") != "Running" || is_going(pod) {
        return false;
    }
    let enough = count(budget, "/status/currentHealthy") >= count(budget, "/status/desiredHealthy");
    let unhealthy_may = text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow"
        || (enough && count(budget, "/status/desiredHealthy") > 0);
    ready_since(pod).is_some() || !unhealthy_may
}

fn take_leave(
    api: &Api,
    key: &Key,
    pod: &Key,
    budget: &Value,
    dry_run: bool,
) -> Result<(), Refusal> {
    let left = count(budget, "/status/disruptionsAllowed") - 1;
    if left < 0 {
        return Err(not_allowed(key, pod, budget));
    }
    if dry_run {
        return Ok(());
    }
    let now = stamp(api.now());
    let written = api.update(
        &account::controller("disruption-controller"),
        key,
        Part::Status,
        |budget| {
            budget["status"]["disruptionsAllowed"] = json!(left);
            let mut disrupted = Map::new();
            disrupted.insert(pod.name.clone(), now);
            budget["status"]["disruptedPods"] = Value::Object(disrupted);
        },
    );
    written.map(|_| ())
}

fn not_allowed(key: &Key, pod: &Key, budget: &Value) -> Refusal {
    let needs = count(budget, "/status/desiredHealthy");
    let has = count(budget, "/status/currentHealthy");
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut refusal = Refusal::new(429, "TooManyRequests", message).about(pod);
    refusal.causes = vec![Cause {
        reason: "DisruptionBudget".to_owned(),
        field: String::new(),
        message: format!(
            "The disruption budget {} needs {needs} healthy pods and has {has} currently",
            key.name
        ),
    }];
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::behaviour::Behaviours;
    use crate::sim::deployments::Deployments;
    use crate::sim::nodes::{Nodes, Size};
    use crate::sim::pods::Pods;
    use crate::sim::replica_sets::ReplicaSets;
    use crate::sim::stage::{Stage, deployment, web};

    fn stage(budget: Value) -> Stage {
        let mut stage = Stage::new(vec![
            Box::new(Nodes::new(Size::default())),
            Box::new(Deployments::default()),
            Box::new(ReplicaSets::default()),
            Box::new(Pods::new(Behaviours::default())),
            Box::new(Disruptions::default()),
        ]);
        let mut spec = budget;
        spec["selector"] = json!({"matchLabels": {"app": "web"}});
        stage.create(
            &Key::new(GROUP, PLURAL, "test", "web"),
            json!({"spec": spec}),
        );
        let mut object = web("1.0");
        object["spec"]["replicas"] = json!(3);
        stage.create(&deployment("web"), object);
        stage.pass(20);
        stage
    }

    #[test]
    fn a_budget_counts_what_may_go() {
        for (budget, desired, allowed) in [
            (json!({"minAvailable": 2}), 2, 1),
            (json!({"minAvailable": "50%"}), 2, 1),
            (json!({"maxUnavailable": "50%"}), 1, 2),
            (json!({"maxUnavailable": 0}), 3, 0),
            (json!({}), 1, 2),
        ] {
            let stage = stage(budget.clone());
            let status = stage.read(&Key::new(GROUP, PLURAL, "test", "web"), "/status");
            let found = [
                count(&status, "/desiredHealthy"),
                count(&status, "/disruptionsAllowed"),
            ];
            assert_eq!(found, [desired, allowed], "{budget}");
            assert_eq!(count(&status, "/expectedPods"), 3);
        }
    }

    #[test]
    fn evictions_stop_at_the_budget_until_a_new_pod_is_ready() {
        let mut stage = stage(json!({"minAvailable": 2}));
        let who = account::admin();
        let pods = stage.api.list("", "pods", None);
        evict(&stage.api, &Request::of(&who), &pods[0].0).unwrap();
        let refusal = evict(&stage.api, &Request::of(&who), &pods[1].0).unwrap_err();
        assert_eq!((refusal.code, refusal.reason), (429, "TooManyRequests"));
        stage.settle();
        assert_eq!(
            evict(&stage.api, &Request::of(&who), &pods[1].0)
                .unwrap_err()
                .code,
            429
        );
        stage.pass(20);
        evict(&stage.api, &Request::of(&who), &pods[1].0).unwrap();
        assert_eq!(
            evict(
                &stage.api,
                &Request::of(&who),
                &Key::new("", "pods", "test", "x")
            )
            .unwrap_err()
            .code,
            404
        );
    }
}
