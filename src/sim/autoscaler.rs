//! The controller of HorizontalPodAutoscalers: it scales Deployments by the CPU that their Pods use.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::field::{after, annotation, count, is_going, list, number, stamp, text};
use crate::sim::quantity::thousandths;
use crate::sim::replica_sets::ready_since;
use crate::sim::report::{Said, report};
use crate::sim::selector::selects;
use crate::sim::store::{Event, Happened, Key};

/// Annotation of a Pod that says how much CPU it uses.
pub const CPU: &str = "test.serin.dev/cpu";

/// Seconds from one look to the next.
const INTERVAL: i64 = 15;

/// How far from the target usage may be before anything is scaled.
const TOLERANCE: f64 = 0.1;

/// Seconds over which the highest recommendation counts when scaling down, unless the spec says otherwise.
const STABLE: i64 = 300;

/// How much CPU a Pod uses, in thousandths of a core.
pub type Usage = Box<dyn Fn(&Value) -> i64 + Send>;

/// The controller of autoscalers.
pub struct Autoscalers {
    who: Who,
    usage: Usage,
    next: BTreeMap<Key, Timestamp>,
    /// What was recommended when, for stabilisation.
    past: BTreeMap<Key, Vec<(Timestamp, i64)>>,
    begun: bool,
}

impl Default for Autoscalers {
    /// Pods use what their annotation says.
    fn default() -> Self {
        Self::new(Box::new(|pod| {
            let said = annotation(pod, CPU).map(|said| json!(said));
            thousandths(said.as_ref())
        }))
    }
}

impl Autoscalers {
    /// Pods use what a function says, for instance of the traffic that they get.
    #[must_use]
    pub fn new(usage: Usage) -> Self {
        Self {
            who: account::controller("horizontal-pod-autoscaler"),
            usage,
            next: BTreeMap::new(),
            past: BTreeMap::new(),
            begun: false,
        }
    }

    fn hear(&mut self, event: &Event, now: Timestamp) {
        if event.key.plural != "horizontalpodautoscalers" {
            return;
        }
        if event.happened == Happened::Deleted {
            self.next.remove(&event.key);
            self.past.remove(&event.key);
        } else if event.happened == Happened::Added {
            self.next.insert(Key::clone(&event.key), now);
        }
    }
}

impl Actor for Autoscalers {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        let now = api.now();
        if !self.begun {
            self.begun = true;
            let all = api.list("autoscaling", "horizontalpodautoscalers", None);
            self.next.extend(all.into_iter().map(|(key, _)| (key, now)));
        }
        for event in changed {
            self.hear(event, now);
        }
        let due: Vec<_> = self
            .next
            .iter()
            .filter(|(_, time)| **time <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.look(api, &key);
            self.next.insert(key, after(now, INTERVAL));
        }
        self.next.values().min().copied()
    }
}

/// What one look found.
struct Look {
    current: i64,
    desired: i64,
    /// Usage in per cent of what is requested, and on average.
    used: Option<(i64, i64)>,
    /// `(type, holds, reason, message)`
    conditions: Vec<(&'static str, bool, &'static str, String)>,
}

impl Autoscalers {
    fn look(&mut self, api: &Api, key: &Key) {
        let Some(scaler) = api.get(key) else { return };
        let target = target(api, key, &scaler);
        let look = match &target {
            Some((_, object)) => self.judge(api, key, &scaler, object),
            None => unable(
                "FailedGetScale",
                "the HPA controller was unable to get the target's current scale",
            ),
        };
        if let Some((target, _)) = &target
            && look.desired != look.current
        {
            self.scale(api, &scaler, target, look.desired);
        }
        let now = api.now();
        let written = api.update(&self.who, key, Part::Status, |scaler| {
            put_status(scaler, &look, now);
        });
        drop(written);
    }

    fn scale(&self, api: &Api, scaler: &Value, target: &Key, replicas: i64) {
        let written = api.update(&self.who, target, Part::Scale, |object| {
            object["spec"]["replicas"] = json!(replicas);
        });
        let kind = ("autoscaling/v2", "HorizontalPodAutoscaler");
        match written {
            Ok(_) => {
                let message = format!(
                    "New size: {replicas}; reason: cpu resource utilization (percentage of request)"
                );
                report(
                    api,
                    &self.who,
                    kind,
                    scaler,
                    Said::normal("SuccessfulRescale", &message),
                );
            }
            Err(refusal) => {
                let said = Said::warning("FailedRescale", &refusal.message);
                report(api, &self.who, kind, scaler, said);
            }
        }
    }

    fn judge(&mut self, api: &Api, key: &Key, scaler: &Value, target: &Value) -> Look {
        let current = number(target, "/spec/replicas").unwrap_or(1);
        let (least, most) = limits(scaler);
        if current == 0 {
            let mut look = unable("", "");
            let message =
                "scaling is disabled since the replica count of the target is zero".to_owned();
            look.conditions = vec![able(), ("ScalingActive", false, "ScalingDisabled", message)];
            return look;
        }
        let Some((percent, average, pods)) = self.utilization(api, target) else {
            let mut look = unable("", "");
            (look.current, look.desired) = (current, current.clamp(least, most));
            let message =
                "the HPA was unable to compute the replica count: failed to get cpu utilization"
                    .to_owned();
            look.conditions = vec![
                able(),
                ("ScalingActive", false, "FailedGetResourceMetric", message),
            ];
            return look;
        };
        let wanted = wanted(scaler, percent, pods, current);
        let stable = self.stabilize(key, scaler, wanted, (api.now(), current));
        let desired = allowed(scaler, current, stable).clamp(least, most);
        let limited = stable != stable.clamp(least, most);
        let (reason, message) = match stable {
            _ if !limited => (
                "DesiredWithinRange",
                "the desired count is within the acceptable range",
            ),
            stable if stable > most => (
                "TooManyReplicas",
                "the desired replica count is more than the maximum replica count",
            ),
            _ => (
                "TooFewReplicas",
                "the desired replica count is less than the minimum replica count",
            ),
        };
        let active = "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)";
        Look {
            current,
            desired,
            used: Some((percent, average)),
            conditions: vec![
                able(),
                ("ScalingActive", true, "ValidMetricFound", active.to_owned()),
                ("ScalingLimited", limited, reason, message.to_owned()),
            ],
        }
    }

    /// Usage of the ready Pods of a target in per cent of what they request, the average in thousandths of a core, and how many.
    fn utilization(&self, api: &Api, target: &Value) -> Option<(i64, i64, i64)> {
        let namespace = text(target, "/metadata/namespace");
        let pods = api.list("", "pods", Some(namespace));
        let selector = target.pointer("/spec/selector");
        let ready = pods
            .iter()
            .map(|(_, pod)| pod)
            .filter(|pod| selects(selector, pod) && !is_going(pod) && ready_since(pod).is_some());
        let (mut used, mut asked, mut count) = (0, 0, 0);
        for pod in ready {
            used += (self.usage)(pod);
            asked += requested(pod);
            count += 1;
        }
        (asked > 0).then(|| (used * 100 / asked, used / count, count))
    }

    /// The highest recommendation of the last minutes when it goes down, the lowest when it goes up, if the spec says so.
    fn stabilize(&mut self, key: &Key, scaler: &Value, wanted: i64, at: (Timestamp, i64)) -> i64 {
        let (now, current) = at;
        let window = |way, default| {
            let pointer = format!("/spec/behavior/{way}/stabilizationWindowSeconds");
            number(scaler, &pointer).unwrap_or(default)
        };
        let past = self
            .past
            .entry(key.clone())
            .or_insert_with(|| vec![(now, current)]);
        past.push((now, wanted));
        let longest = window("scaleDown", STABLE).max(window("scaleUp", 0));
        past.retain(|(time, _)| after(*time, longest) > now || *time == now);
        let within = |seconds| {
            let recent = past
                .iter()
                .filter(move |(time, _)| after(*time, seconds) > now);
            recent.map(|(_, wanted)| *wanted).chain([wanted])
        };
        let up = within(window("scaleUp", 0)).min().unwrap_or(wanted);
        let down = within(window("scaleDown", STABLE)).max().unwrap_or(wanted);
        current.clamp(up.min(down), down)
    }
}

fn able() -> (&'static str, bool, &'static str, String) {
    let message = "recommended size matches current size";
    ("AbleToScale", true, "ReadyForNewScale", message.to_owned())
}

fn unable(reason: &'static str, message: &str) -> Look {
    Look {
        current: 0,
        desired: 0,
        used: None,
        conditions: vec![("AbleToScale", false, reason, message.to_owned())],
    }
}

/// The Deployment that is scaled.
fn target(api: &Api, key: &Key, scaler: &Value) -> Option<(Key, Arc<Value>)> {
    let reference = scaler.pointer("/spec/scaleTargetRef")?;
    let plural = format!("{}s", text(reference, "/kind").to_lowercase());
    let target = Key::new("apps", &plural, &key.namespace, text(reference, "/name"));
    let object = api.get(&target)?;
    Some((target, object))
}

fn limits(scaler: &Value) -> (i64, i64) {
    let least = number(scaler, "/spec/minReplicas").unwrap_or(1);
    (
        least,
        number(scaler, "/spec/maxReplicas")
            .unwrap_or(least)
            .max(least),
    )
}

fn requested(pod: &Value) -> i64 {
    let containers = list(pod, "/spec/containers").iter();
    containers
        .map(|container| thousandths(container.pointer("/resources/requests/cpu")))
        .sum()
}

/// The utilisation that the first CPU metric aims at, in per cent.
fn aim(scaler: &Value) -> i64 {
    let mut metrics = list(scaler, "/spec/metrics").iter();
    let cpu = metrics.find(|metric| text(metric, "/resource/name") == "cpu");
    cpu.and_then(|metric| number(metric, "/resource/target/averageUtilization"))
        .unwrap_or(80)
}

/// The replicas at which usage would be what it is to be; within the tolerance, as many as there are.
fn wanted(scaler: &Value, percent: i64, pods: i64, current: i64) -> i64 {
    let ratio = percent as f64 / aim(scaler).max(1) as f64;
    if (ratio - 1.0).abs() <= TOLERANCE {
        return current;
    }
    (ratio * pods as f64).ceil() as i64
}

/// What policies allow: nothing where scaling is disabled; upwards at most the double, or four more in 15 s.
fn allowed(scaler: &Value, current: i64, wanted: i64) -> i64 {
    let disabled = |way| text(scaler, &format!("/spec/behavior/{way}/selectPolicy")) == "Disabled";
    if wanted < current {
        return if disabled("scaleDown") {
            current
        } else {
            wanted
        };
    }
    if disabled("scaleUp") {
        return current;
    }
    wanted.min((2 * current).max(current + 4))
}

fn put_status(scaler: &mut Value, look: &Look, now: Timestamp) {
    let known = list(scaler, "/status/conditions").to_vec();
    let conditions = look.conditions.iter().map(|(kind, holds, reason, message)| {
        let status = if *holds { "True" } else { "False" };
        let same = known.iter().find(|it| text(it, "/type") == *kind && text(it, "/status") == status);
        let since = same.map_or_else(|| stamp(now), |it| it["lastTransitionTime"].clone());
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    });
    let conditions: Vec<_> = conditions.collect();
    let before = count(scaler, "/status/desiredReplicas");
    let status = &mut scaler["status"];
    status["currentReplicas"] = json!(look.current);
    status["desiredReplicas"] = json!(look.desired);
    status["conditions"] = json!(conditions);
    status["currentMetrics"] = match look.used {
        Some((percent, average)) => {
            json!([{"type": "Resource", "resource": {"name": "cpu", "current": {
            "averageUtilization": percent, "averageValue": format!("{average}m")}}}])
        }
        None => Value::Null,
    };
    if before != look.desired && look.current != look.desired {
        status["lastScaleTime"] = stamp(now);
    }
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

    fn key() -> Key {
        Key::new("autoscaling", "horizontalpodautoscalers", "test", "web")
    }

    /// Pods that request 100m and use so much.
    fn stage(used: &str, behavior: &Value) -> Stage {
        let mut stage = Stage::new(vec![
            Box::new(Nodes::new(Size::default())),
            Box::new(Deployments::default()),
            Box::new(ReplicaSets::default()),
            Box::new(Pods::new(Behaviours::default())),
            Box::new(Autoscalers::default()),
        ]);
        let mut object = web("1.0");
        let template = &mut object["spec"]["template"];
        template["metadata"]["annotations"] = json!({CPU: used});
        template["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m"}});
        stage.create(&deployment("web"), object);
        stage.pass(10);
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
        stage.create(
            &key(),
            json!({"spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1, "maxReplicas": 6, "metrics": [metric], "behavior": behavior}}),
        );
        stage
    }

    fn replicas(stage: &Stage) -> i64 {
        stage
            .read(&deployment("web"), "/spec/replicas")
            .as_i64()
            .unwrap()
    }

    #[test]
    fn it_scales_with_the_load_within_its_limits() {
        for (used, expected) in [("50m", 2), ("54m", 2), ("75m", 6), ("100m", 6), ("300m", 6)] {
            let mut stage = stage(used, &json!({}));
            stage.pass(200);
            assert_eq!(replicas(&stage), expected, "{used}");
        }
    }

    #[test]
    fn it_goes_down_after_five_minutes_unless_that_is_disabled() {
        for (behavior, expected) in [
            (json!({}), 1),
            (json!({"scaleDown": {"selectPolicy": "Disabled"}}), 2),
        ] {
            let mut stage = stage("10m", &behavior);
            stage.pass(280);
            assert_eq!(replicas(&stage), 2);
            stage.pass(60);
            assert_eq!(replicas(&stage), expected);
        }
    }

    #[test]
    fn its_status_says_what_it_sees() {
        let mut stage = stage("100m", &json!({}));
        stage.settle();
        let status = stage.read(&key(), "/status");
        assert_eq!(
            [
                count(&status, "/currentReplicas"),
                count(&status, "/desiredReplicas")
            ],
            [2, 4]
        );
        assert_eq!(
            count(
                &status,
                "/currentMetrics/0/resource/current/averageUtilization"
            ),
            100
        );
        assert_eq!(
            stage.condition(&key(), "ScalingActive"),
            "True ValidMetricFound"
        );
    }

    #[test]
    fn a_target_at_zero_is_left_there() {
        let mut stage = stage("100m", &json!({}));
        stage.change(&deployment("web"), |it| it["spec"]["replicas"] = json!(0));
        stage.pass(60);
        assert_eq!(replicas(&stage), 0);
        assert_eq!(
            stage.condition(&key(), "ScalingActive"),
            "False ScalingDisabled"
        );
    }
}
