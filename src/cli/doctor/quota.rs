//! Would the canary fit into the quotas of its namespace?

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::cli::doctor::finding::{Check, Finding, Fix};
use crate::cli::doctor::look::{entries, text};
use crate::crd::canary::Canary;
use crate::rollout;
use crate::rollout::observed::TrafficKind;
use crate::sim::quantity::thousandths;

/// Amounts in thousandths, by the names that quotas have for them.
type Amounts = BTreeMap<String, i64>;

/// A workload, as far as quotas count it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Pods that the spec asks for.
    pub(super) replicas: i64,
    /// What containers ask for: one entry each, whether it is an init container, its requests and its limits.
    containers: Vec<(bool, Amounts, Amounts)>,
}

impl Size {
    /// Of a Deployment.
    #[must_use]
    pub(super) fn of(deployment: &Value) -> Self {
        let replicas = deployment.pointer("/spec/replicas").and_then(Value::as_i64);
        let of = |init: bool, pointer: &str| {
            let containers = entries(deployment, pointer);
            let amounts = |one: &Value, field: &str| amounts(&one["resources"][field]);
            let read =
                containers.map(|one| (init, amounts(one, "requests"), amounts(one, "limits")));
            read.collect::<Vec<_>>()
        };
        let mut containers = of(false, "/spec/template/spec/containers");
        containers.extend(of(true, "/spec/template/spec/initContainers"));
        Self {
            replicas: replicas.unwrap_or(1),
            containers,
        }
    }

    /// What one Pod counts for, with the defaults of the namespace.
    fn pod(&self, defaults: &Defaults) -> Amounts {
        let (mut running, mut starting) = (Amounts::new(), Amounts::new());
        for (init, requests, limits) in &self.containers {
            for (name, amount) in defaults.counted(requests, limits) {
                let entry = if *init { &mut starting } else { &mut running };
                let entry = entry.entry(name).or_default();
                *entry = if *init {
                    amount.max(*entry)
                } else {
                    *entry + amount
                };
            }
        }
        for (name, amount) in starting {
            let entry = running.entry(name).or_default();
            *entry = amount.max(*entry);
        }
        for name in ["pods", "count/pods"] {
            running.insert(name.to_owned(), 1000);
        }
        running
    }
}

fn amounts(values: &Value) -> Amounts {
    let values = values.as_object().into_iter().flatten();
    values
        .map(|(name, value)| (name.clone(), thousandths(Some(value))))
        .collect()
}

/// What LimitRanges give to containers that ask for nothing.
#[derive(Clone, Debug, Default)]
struct Defaults {
    requests: Amounts,
    limits: Amounts,
}

impl Defaults {
    fn of(ranges: &[Value]) -> Self {
        let mut defaults = Self::default();
        for limit in ranges
            .iter()
            .flat_map(|range| entries(range, "/spec/limits"))
        {
            if text(limit, "/type") == "Container" {
                defaults.limits.extend(amounts(&limit["default"]));
                defaults.requests.extend(amounts(&limit["defaultRequest"]));
            }
        }
        defaults
    }

    /// What a container counts for: a limit without a request is one, too.
    fn counted(&self, requests: &Amounts, limits: &Amounts) -> Amounts {
        let mut asked = self.requests.clone();
        asked.extend(limits.clone());
        asked.extend(requests.clone());
        let mut most = self.limits.clone();
        most.extend(limits.clone());
        let mut counted = Amounts::new();
        for (name, amount) in asked {
            counted.insert(format!("requests.{name}"), amount);
            counted.insert(name, amount);
        }
        counted.extend(
            most.into_iter()
                .map(|(name, amount)| (format!("limits.{name}"), amount)),
        );
        counted
    }
}

/// The quotas and ranges of a namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    /// `ResourceQuota` objects.
    pub(super) quotas: Vec<Value>,
    /// `LimitRange` objects.
    pub(super) ranges: Vec<Value>,
}

/// The Pods that a canary needs at its largest, and has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// At its largest weight.
    pub(super) most: i64,
    /// That exist, and are counted.
    pub(super) there: i64,
}

impl Need {
    /// Of a Canary with a target of this size, whose canary has so many Pods now.
    #[must_use]
    pub(super) fn of(canary: &Canary, target: &Size, traffic: TrafficKind, there: i64) -> Self {
        let whole = target.replicas.max(1);
        let share = |percent: i64| (whole * percent + 99) / 100;
        let most = match &canary.spec.canary.replicas {
            Some(IntOrString::Int(count)) => i64::from(*count),
            Some(IntOrString::String(text)) => {
                share(text.trim_end_matches('%').parse().unwrap_or(100))
            }
            None if traffic == TrafficKind::Switched => whole,
            None => {
                let plan = rollout::freeze(&canary.spec.analysis, traffic);
                let largest = plan.iter().map(|step| step.weight).max();
                share(i64::from(largest.unwrap_or(100)))
            }
        };
        Self {
            most: most.max(1),
            there,
        }
    }
}

/// Whether a canary of this target fits.
#[must_use]
pub(super) fn judge(target: &Size, need: Need, bounds: &Bounds, home: &str) -> Vec<Finding> {
    let pod = target.pod(&Defaults::of(&bounds.ranges));
    let found: Vec<_> = bounds
        .quotas
        .iter()
        .filter_map(|quota| tight(&Quota { quota, home }, &pod, need))
        .collect();
    if found.is_empty() {
        return vec![Finding::ok(
            Check::Quota,
            "nothing is in the way of its canary",
        )];
    }
    found
}

/// The first bound of a quota that the canary would meet.
fn tight(quota: &Quota<'_>, pod: &Amounts, need: Need) -> Option<Finding> {
    let missing = need.most - need.there;
    if missing <= 0 {
        return None;
    }
    match quota.counts(pod) {
        Some(true) => quota
            .bounds()
            .find_map(|bound| match (bound.what, pod.get(bound.what)) {
                ("count/deployments.apps" | "count/replicasets.apps", _) => {
                    (need.there == 0 && bound.free() < 1000).then(|| quota.full(&bound))
                }
                (_, Some(one)) if *one > 0 => (bound.free() / one < missing)
                    .then(|| quota.short(&bound, bound.free() / one, missing)),
                (what, None) if demands(what) => Some(quota.demanding(what)),
                _ => None,
            }),
        Some(false) => None,
        None => Some(quota.unclear()),
    }
}

/// One bound of a quota.
struct Bound<'a> {
    what: &'a str,
    hard: &'a Value,
    used: &'a Value,
}

impl Bound<'_> {
    fn free(&self) -> i64 {
        (thousandths(Some(self.hard)) - thousandths(Some(self.used))).max(0)
    }

    /// `4 of 10`.
    fn spoken(&self) -> String {
        let plain = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => "0".to_owned(),
            other => other.to_string(),
        };
        format!(
            "{} is {} of {}",
            self.what,
            plain(self.used),
            plain(self.hard)
        )
    }
}

/// A quota of a namespace.
struct Quota<'a> {
    quota: &'a Value,
    home: &'a str,
}

impl<'a> Quota<'a> {
    fn name(&self) -> &'a str {
        text(self.quota, "/metadata/name")
    }

    fn bounds(&self) -> impl Iterator<Item = Bound<'a>> {
        let quota = self.quota;
        let hard = quota
            .pointer("/status/hard")
            .unwrap_or(&quota["spec"]["hard"]);
        let hard = hard.as_object().into_iter().flatten();
        hard.map(|(what, hard)| Bound {
            what,
            hard,
            used: &quota["status"]["used"][what],
        })
    }

    fn edit(&self) -> Fix {
        Fix::run(format!(
            "kubectl -n {} edit resourcequota {}",
            self.home,
            self.name()
        ))
    }

    fn full(&self, bound: &Bound<'_>) -> Finding {
        let what = format!("ResourceQuota {} is full: {}", self.name(), bound.spoken());
        Finding::failed(Check::Quota, what, self.edit())
    }

    fn short(&self, bound: &Bound<'_>, room: i64, missing: i64) -> Finding {
        let name = self.name();
        let what = format!(
            "ResourceQuota {name} has room for {room} more Pods ({}), and its canary needs {missing}",
            bound.spoken()
        );
        Finding::failed(Check::Quota, what, self.edit())
    }

    fn demanding(&self, what: &str) -> Finding {
        let name = self.name();
        let text = format!(
            "ResourceQuota {name} wants {what} of every Pod, and the target's template says none: no Pod of the canary would start"
        );
        let fix = format!(
            "set {what} in the template, or a default in a LimitRange of namespace {}",
            self.home
        );
        Finding::failed(Check::Quota, text, Fix::say(fix))
    }

    fn unclear(&self) -> Finding {
        let name = self.name();
        let what = format!(
            "ResourceQuota {name} counts some Pods only, and whether the canary's are among them is not known"
        );
        Finding::unknown(
            Check::Quota,
            what,
            Fix::run(format!(
                "kubectl -n {} describe resourcequota {name}",
                self.home
            )),
        )
    }

    /// Whether it counts such Pods; `None`: its scopes go by what is not known here.
    fn counts(&self, pod: &Amounts) -> Option<bool> {
        let selected = entries(self.quota, "/spec/scopeSelector/matchExpressions").next();
        let asks = pod.keys().any(|name| demands(name));
        let mut all = if selected.is_some() { None } else { Some(true) };
        for scope in entries(self.quota, "/spec/scopes").filter_map(Value::as_str) {
            match scope {
                "NotTerminating" => {}
                "BestEffort" if !asks => {}
                "NotBestEffort" if asks => {}
                "Terminating" | "BestEffort" | "NotBestEffort" => return Some(false),
                _ => all = None,
            }
        }
        all
    }
}

/// A quota of these refuses Pods that do not say how much they want.
fn demands(what: &str) -> bool {
    matches!(
        what,
        "cpu" | "memory" | "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::doctor::finding::State;

    fn deployment(replicas: i64, resources: &Value) -> Value {
        json!({"spec": {"replicas": replicas, "template": {"spec": {"containers": [{"resources": resources}],
            "initContainers": [{"resources": {"requests": {"cpu": "1"}}}]}}}})
    }

    fn quota(what: &str, used: &str, hard: &str) -> Value {
        json!({"metadata": {"name": "team"}, "spec": {"hard": {what: hard}}, "status": {"hard": {what: hard}, "used": {what: used}}})
    }

    fn found(target: &Value, quota: Value, ranges: Vec<Value>, there: i64) -> Finding {
        let size = Size::of(target);
        let need = Need {
            most: size.replicas,
            there,
        };
        let bounds = Bounds {
            quotas: vec![quota],
            ranges,
        };
        judge(&size, need, &bounds, "shop").remove(0)
    }

    #[test]
    fn a_quota_has_room_or_not() {
        let asks =
            json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}});
        // Its init container wants a whole CPU for a while.
        let rows = [
            (
                "pods",
                "8",
                "10",
                State::Failed,
                "room for 2 more Pods (pods is 8 of 10), and its canary needs 4",
            ),
            ("pods", "6", "10", State::Ok, ""),
            ("count/pods", "10", "10", State::Failed, "room for 0 more"),
            ("requests.cpu", "1", "5", State::Ok, ""),
            (
                "requests.cpu",
                "1100m",
                "5",
                State::Failed,
                "room for 3 more Pods (requests.cpu is 1100m of 5)",
            ),
            ("cpu", "0", "4", State::Ok, ""),
            ("requests.memory", "0", "256Mi", State::Ok, ""),
            ("memory", "1Mi", "256Mi", State::Failed, "room for 3 more"),
            (
                "limits.memory",
                "0",
                "511Mi",
                State::Failed,
                "room for 3 more",
            ),
            (
                "limits.cpu",
                "0",
                "100",
                State::Failed,
                "wants limits.cpu of every Pod",
            ),
            (
                "count/deployments.apps",
                "3",
                "3",
                State::Failed,
                "is full: count/deployments.apps is 3 of 3",
            ),
            ("services", "3", "3", State::Ok, ""),
            ("requests.nvidia.com/gpu", "3", "3", State::Ok, ""),
        ];
        for (what, used, hard, state, words) in rows {
            let one = found(
                &deployment(4, &asks),
                quota(what, used, hard),
                Vec::new(),
                0,
            );
            assert_eq!(one.state, state, "{what}: {one:?}");
            assert!(state == State::Ok || one.what.contains(words), "{one:?}");
        }
    }

    #[test]
    fn pods_that_exist_are_counted_already() {
        let target = deployment(4, &json!({}));
        assert_eq!(
            found(&target, quota("pods", "8", "10"), Vec::new(), 2).state,
            State::Ok
        );
        assert_eq!(
            found(&target, quota("pods", "10", "10"), Vec::new(), 4).state,
            State::Ok
        );
        assert_eq!(
            found(
                &target,
                quota("count/deployments.apps", "3", "3"),
                Vec::new(),
                1
            )
            .state,
            State::Ok
        );
    }

    #[test]
    fn a_limit_range_fills_in_what_the_template_does_not_say() {
        let target = deployment(4, &json!({}));
        let range = json!({"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}}]}});
        assert_eq!(
            found(
                &target,
                quota("limits.cpu", "0", "8"),
                vec![range.clone()],
                0
            )
            .state,
            State::Ok
        );
        let short = found(&target, quota("limits.cpu", "0", "3"), vec![range], 0);
        assert!(short.what.contains("room for 3 more"), "{short:?}");
    }

    #[test]
    fn scopes_choose_pods() {
        let target = deployment(1, &json!({"requests": {"cpu": "1"}}));
        for (scopes, state) in [
            (json!({"scopes": ["NotTerminating"]}), State::Failed),
            (json!({"scopes": ["NotBestEffort"]}), State::Failed),
            (json!({"scopes": ["BestEffort"]}), State::Ok),
            (json!({"scopes": ["Terminating"]}), State::Ok),
            (
                json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass"}]}}),
                State::Unknown,
            ),
        ] {
            let mut full = quota("pods", "1", "1");
            json_patch::merge(&mut full["spec"], &scopes);
            assert_eq!(found(&target, full, Vec::new(), 0).state, state, "{scopes}");
        }
    }

    #[test]
    fn a_canary_needs_the_pods_of_its_largest_weight() {
        let canary = |more: Value| -> Canary {
            let mut spec = json!({"targetRef": {"name": "web"}});
            json_patch::merge(&mut spec, &more);
            serde_json::from_value(json!({"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {}, "spec": spec})).unwrap()
        };
        let size = Size {
            replicas: 10,
            ..Size::default()
        };
        let rows = [
            (json!({}), TrafficKind::Weighted, 10),
            (
                json!({"analysis": {"stepWeights": [5, 25]}}),
                TrafficKind::Weighted,
                3,
            ),
            (
                json!({"analysis": {"stepWeights": [5, 25]}}),
                TrafficKind::Switched,
                10,
            ),
            (json!({"canary": {"replicas": 2}}), TrafficKind::Weighted, 2),
            (
                json!({"canary": {"replicas": "30%"}}),
                TrafficKind::Weighted,
                3,
            ),
        ];
        for (more, traffic, most) in rows {
            assert_eq!(
                Need::of(&canary(more.clone()), &size, traffic, 0).most,
                most,
                "{more}"
            );
        }
    }
}
