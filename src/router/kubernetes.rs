//! Provider `kubernetes`: blue/green by the selector of the user's Service, all or nothing.
//!
//! Both selectors follow from what stands in the cluster: the Service's own, with the values of the labels of either
//! Deployment's Pods. The one that the user wrote stands in an annotation meanwhile, written and taken off in the very writes
//! that switch: it leads back when the target is gone, too.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Change, Kind, Labels, Live, ObjectKey, Seen, mark};
use crate::rollout::observed::{
    Abilities, Acceptance, Problem, Routes, Split, TrafficKind, Weight,
};
use crate::router::beyond::{self, Beyond};
use crate::router::{
    Router, RouterError, malformed, patch, planned_weights, refusal, spoken, warning,
};

/// Seconds that kube-proxy on every node may need to follow the EndpointSlices (PROVIDERS 1.4).
const SETTLE_SECONDS: u32 = 30;

/// The API server cuts the names that it completes to so many characters before it adds its own five.
const GENERATED_BASE: usize = 58;

/// The router of provider `kubernetes`.
#[derive(Clone, Copy, Debug)]
pub struct Kubernetes {
    /// Seconds after which every node sends to the new endpoints.
    pub settle_seconds: u32,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            settle_seconds: SETTLE_SECONDS,
        }
    }
}

impl Router for Kubernetes {
    fn abilities(&self) -> Abilities {
        Abilities {
            traffic: TrafficKind::Switched,
            settle_seconds: self.settle_seconds,
        }
    }

    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem> {
        let mut problems = plan_problems(canary);
        if !canary.spec.route_refs.is_empty() {
            problems.push(refusal(
                "ProviderUnavailable",
                "spec.routeRefs: provider kubernetes switches the Service and writes no routes; choose spec.provider gatewayapi:v1, or take the list out".to_owned(),
            ));
        }
        problems.extend(idle_fields(canary));
        problems.extend(beyond::problems(canary, Beyond::NOTHING));
        problems.extend(beyond::back_at_once(canary));
        if switches(canary) {
            problems.extend(moving_label(canary, seen));
        }
        problems
    }

    fn objects(&self, canary: &Canary) -> Vec<ObjectKey> {
        if !switches(canary) {
            return Vec::new();
        }
        let Keys {
            service,
            target,
            canary,
        } = Keys::new(canary);
        vec![service, target, canary]
    }

    fn observe(&self, canary: &Canary, seen: &Seen) -> Result<Option<Split>, RouterError> {
        if !switches(canary) {
            return Ok(Some(Split {
                routes: Some(Routes::default()),
                acceptance: Acceptance::Accepted,
                editor: None,
            }));
        }
        let Some(service) = seen.services.get(canary.service_name()) else {
            return Ok(None);
        };
        let routes = observed_routes(canary, seen, &service.selector);
        Ok(Some(Split {
            routes,
            acceptance: acceptance(canary, seen, routes),
            editor: None,
        }))
    }

    fn render(
        &self,
        canary: &Canary,
        live: &Live,
        routes: Routes,
    ) -> Result<Vec<Change>, RouterError> {
        if !switches(canary) {
            return Ok(Vec::new());
        }
        let keys = Keys::new(canary);
        let service = live
            .get(&keys.service)
            .ok_or_else(|| absent(&keys.service))?;
        let selector = selector(&keys.service, service)?;
        let stable = stable_selector(live, &keys, &selector);
        let wanted = match routes.canary {
            Weight::ZERO => stable.clone().ok_or_else(|| absent(&keys.target))?,
            Weight::ALL => {
                let pods = live.get(&keys.canary).map(pod_labels);
                let pods = pods.ok_or_else(|| absent(&keys.canary))?;
                let wanted = replaced(&selector, &pods);
                if stable == Some(wanted.clone()) {
                    return Err(alike(&keys.service));
                }
                wanted
            }
            // No plan has it (`plan_problems`): it is a retreat onto a stable that is too small (SAFETY C7). Half a switch does
            // not exist, so nothing moves until stable can take all.
            _ => return Ok(Vec::new()),
        };
        let kept = if routes.canary == Weight::ZERO {
            let away = forget(service);
            away.into_iter().collect()
        } else {
            remember(service, stable.as_ref().unwrap_or(&selector))
        };
        switch(&keys.service, service, (&selector, &wanted), kept)
    }

    fn finalize(&self, canary: &Canary, live: &Live) -> Result<Vec<Change>, RouterError> {
        let keys = Keys::new(canary);
        let Some(service) = live.get(&keys.service).filter(|_| switches(canary)) else {
            return Ok(Vec::new());
        };
        let selector = selector(&keys.service, service)?;
        match stable_selector(live, &keys, &selector) {
            Some(stable) => {
                let kept = forget(service).into_iter().collect();
                switch(&keys.service, service, (&selector, &stable), kept)
            }
            // Without a target no selector is better than the one that stands.
            None => Ok(Vec::new()),
        }
    }
}

fn switches(canary: &Canary) -> bool {
    let service = canary.spec.service.as_ref();
    service.is_none_or(|service| service.switch_traffic)
}

struct Keys {
    service: ObjectKey,
    target: ObjectKey,
    canary: ObjectKey,
}

impl Keys {
    fn new(canary: &Canary) -> Self {
        let home = canary.home();
        Self {
            service: ObjectKey::new(Kind::Service, &home, canary.service_name()),
            target: ObjectKey::new(Kind::Deployment, &home, canary.target_name()),
            canary: ObjectKey::new(Kind::Deployment, &home, &canary.canary_name()),
        }
    }
}

fn absent(key: &ObjectKey) -> RouterError {
    let message = format!(
        "{} does not exist, so the Service cannot be switched",
        spoken(key)
    );
    RouterError::Refused(refusal("RouteNotReady", message))
}

fn alike(service: &ObjectKey) -> RouterError {
    let message = format!(
        "the selector of {} does not tell the canary's Pods from stable's: add a label of the target's matchLabels to it",
        spoken(service)
    );
    RouterError::Refused(refusal("RouteNotReady", message))
}

fn not_switched(field: &str, weight: i32) -> Problem {
    let message = format!(
        "{field}: provider kubernetes switches all traffic at once, so a weight is 0 or 100, not {weight}; use spec.analysis.iterations for checks before the switch"
    );
    refusal("WeightsTooCoarse", message)
}

fn plan_problems(canary: &Canary) -> Vec<Problem> {
    let planned = planned_weights(canary).into_iter();
    planned
        .filter(|(_, weight)| ![0, 100].contains(weight))
        .map(|(field, weight)| not_switched(&field, weight))
        .collect()
}

fn idle_fields(canary: &Canary) -> Vec<Problem> {
    let Some(service) = &canary.spec.service else {
        return Vec::new();
    };
    let set = [
        ("gatewayRefs", !service.gateway_refs.is_empty()),
        ("hosts", !service.hosts.is_empty()),
        ("timeout", service.timeout.is_some()),
    ];
    let set = set.into_iter().filter(|(_, is_set)| *is_set);
    set.map(|(field, _)| {
        let message = format!(
            "spec.service.{field} has no effect with provider kubernetes, which makes no route"
        );
        warning("ProviderUnavailable", message)
    })
    .collect()
}

/// A label that the Service selects by and the candidate changes would lead away from stable's Pods on the way back.
fn moving_label(canary: &Canary, seen: &Seen) -> Option<Problem> {
    let service = seen.services.get(canary.service_name())?;
    let target = seen.deployments.get(canary.target_name())?;
    let serving = seen
        .replica_sets_of(&target.meta.uid)
        .filter(|set| set.ready > 0);
    let moved = serving
        .flat_map(|set| &set.template.labels)
        .find(|(label, value)| {
            let selected = service.selector.contains_key(*label);
            selected && target.template.labels.get(*label) != Some(value)
        });
    moved.map(|(label, value)| {
        let message = format!(
            "Service {}/{} selects by the label {label}, which the new Pod template changes from {value}: select by labels that stay the same",
            canary.home(),
            canary.service_name(),
        );
        refusal("TemplateUnsupported", message)
    })
}

/// The selector with the values that these Pods carry; a label that they lack keeps its value.
fn replaced(selector: &Labels, pods: &Labels) -> Labels {
    let value = |(label, old): (&String, &String)| {
        let value = pods.get(label).unwrap_or(old);
        (label.clone(), value.clone())
    };
    selector.iter().map(value).collect()
}

/// From the target; with the target gone, the one that was remembered.
fn stable_selector(live: &Live, keys: &Keys, selector: &Labels) -> Option<Labels> {
    match live.get(&keys.target) {
        Some(target) => Some(replaced(selector, &pod_labels(target))),
        None => remembered(live.get(&keys.service)?),
    }
}

fn remembered(service: &DynamicObject) -> Option<Labels> {
    let text = service.metadata.annotations.as_ref()?.get(mark::SELECTOR)?;
    serde_json::from_str(text).ok()
}

/// The operations that put the user's selector into the annotation.
fn remember(service: &DynamicObject, selector: &Labels) -> Vec<Value> {
    if remembered(service).is_some() {
        return Vec::new();
    }
    let empty = json!({"op": "add", "path": "/metadata/annotations", "value": {}});
    let bare = service.metadata.annotations.is_none().then_some(empty);
    let text = json!(selector).to_string();
    let add = json!({"op": "add", "path": annotation(), "value": text});
    bare.into_iter().chain([add]).collect()
}

/// The operation that takes it off again.
fn forget(service: &DynamicObject) -> Option<Value> {
    let annotations = service.metadata.annotations.as_ref()?;
    let kept = annotations.contains_key(mark::SELECTOR);
    kept.then(|| json!({"op": "remove", "path": annotation()}))
}

fn annotation() -> String {
    format!("/metadata/annotations/{}", escaped(mark::SELECTOR))
}

/// A key as a JSON pointer names it (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn selector(key: &ObjectKey, service: &DynamicObject) -> Result<Labels, RouterError> {
    match &service.data["spec"]["selector"] {
        Value::Null => Ok(Labels::new()),
        selector => {
            labels(selector).ok_or_else(|| malformed(key, "its selector is no map of texts"))
        }
    }
}

fn pod_labels(deployment: &DynamicObject) -> Labels {
    let labelled = &deployment.data["spec"]["template"]["metadata"]["labels"];
    labels(labelled).unwrap_or_default()
}

fn labels(value: &Value) -> Option<Labels> {
    let text =
        |(label, value): (&String, &Value)| Some((label.clone(), value.as_str()?.to_owned()));
    value.as_object()?.iter().map(text).collect()
}

fn switch(
    key: &ObjectKey,
    service: &DynamicObject,
    (from, to): (&Labels, &Labels),
    beside: Vec<Value>,
) -> Result<Vec<Change>, RouterError> {
    let moved: BTreeMap<_, _> = to
        .iter()
        .filter(|(label, value)| from.get(*label) != Some(value))
        .collect();
    if moved.is_empty() && beside.is_empty() {
        return Ok(Vec::new());
    }
    let path = |label: &str| format!("/spec/selector/{}", escaped(label));
    let known = moved.keys().filter_map(|label| {
        let old = from.get(*label)?;
        Some(json!({"op": "test", "path": path(label), "value": old}))
    });
    let writes = moved
        .iter()
        .map(|(label, value)| json!({"op": "add", "path": path(label), "value": value}));
    Ok(vec![patch(
        key,
        service,
        known.chain(writes).chain(beside).collect(),
    )?])
}

/// The arm that the Service selects; `None`: neither.
fn observed_routes(canary: &Canary, seen: &Seen, selector: &Labels) -> Option<Routes> {
    let selects = |deployment: &str| {
        let deployment = seen.deployments.get(deployment);
        deployment.is_some_and(|it| replaced(selector, &it.template.labels) == *selector)
    };
    let weight = if selects(canary.target_name()) {
        Weight::ZERO
    } else if selects(&canary.canary_name()) {
        Weight::ALL
    } else {
        return None;
    };
    Some(Routes::share(weight.percent()))
}

/// The Service's endpoints are Pods of the arm that it selects, and of no other.
fn acceptance(canary: &Canary, seen: &Seen, routes: Option<Routes>) -> Acceptance {
    let service = format!("Service {}/{}", canary.home(), canary.service_name());
    let arm = match routes.map(|routes| routes.canary) {
        Some(Weight::ZERO) => canary.target_name().to_owned(),
        Some(_) => canary.canary_name(),
        None => {
            let message = format!("{service} selects neither stable's Pods nor the canary's");
            return Acceptance::Pending(message);
        }
    };
    let endpoints = seen.endpoints(canary.service_name());
    let strangers = endpoints.keys().find(|pod| !is_pod_of(seen, &arm, pod));
    match strangers {
        _ if endpoints.is_empty() => Acceptance::Pending(format!("{service} has no endpoints")),
        Some(pod) => Acceptance::Pending(format!(
            "EndpointSlices of {service} still hold Pod {pod}, which is not of Deployment {arm}"
        )),
        None => Acceptance::Accepted,
    }
}

/// Only canary Pods are watched, so a Pod of either arm is told by its name: its ReplicaSet's, completed by the API server.
fn is_pod_of(seen: &Seen, deployment: &str, pod: &str) -> bool {
    let Some(deployment) = seen.deployments.get(deployment) else {
        return false;
    };
    seen.replica_sets_of(&deployment.meta.uid).any(|set| {
        let mut base = format!("{}-", set.meta.name);
        base.truncate(GENERATED_BASE);
        pod.strip_prefix(&base)
            .is_some_and(|rest| !rest.is_empty() && !rest.contains('-'))
    })
}
