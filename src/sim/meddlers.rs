//! Others who write to what Serin works on: a GitOps controller, somebody who edits routes, somebody who scales.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::field::{after, list, text};
use crate::sim::store::{Event, Key};

/// A GitOps controller: it puts back what its manifests say, again and again.
#[derive(Debug)]
pub struct GitOps {
    who: Who,
    every: i64,
    manifests: Vec<(Key, Value)>,
    next: Option<Timestamp>,
}

impl GitOps {
    /// Argo CD, which looks every so many seconds.
    #[must_use]
    pub fn new(every: i64, manifests: Vec<(Key, Value)>) -> Self {
        let name = "argocd-application-controller";
        Self {
            who: account::service_account("argocd", name, "argocd-controller"),
            every: every.max(1),
            manifests,
            next: None,
        }
    }
}

impl Actor for GitOps {
    fn act(&mut self, api: &Api, _changed: &[Event]) -> Option<Timestamp> {
        let now = api.now();
        if self.next.is_none_or(|next| next <= now) {
            for (key, manifest) in &self.manifests {
                apply(api, &self.who, key, manifest);
            }
            self.next = Some(after(now, self.every));
        }
        self.next
    }
}

/// Makes an object, or lays a manifest over it. What is refused is tried again next time.
fn apply(api: &Api, who: &Who, key: &Key, manifest: &Value) {
    let written = if api.get(key).is_some() {
        api.update(who, key, Part::Main, |object| lay_over(object, manifest))
    } else {
        api.create(who, key, manifest.clone())
    };
    drop(written);
}

/// Sets all fields that a manifest has; items of lists that have names are matched by them, other lists are replaced.
pub fn lay_over(object: &mut Value, manifest: &Value) {
    match (object, manifest) {
        (Value::Object(object), Value::Object(manifest)) => {
            for (name, value) in manifest {
                lay_over(object.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(items), Value::Array(wanted)) if have_names(wanted) && have_names(items) => {
            let laid = wanted.iter().map(|wanted| {
                let name = text(wanted, "/name");
                let mut known = items.iter().filter(|item| text(item, "/name") == name);
                let mut item = known.next().cloned().unwrap_or_default();
                lay_over(&mut item, wanted);
                item
            });
            let laid = laid.collect();
            *items = laid;
        }
        (object, manifest) => *object = manifest.clone(),
    }
}

fn have_names(items: &[Value]) -> bool {
    items.iter().all(|item| !text(item, "/name").is_empty())
}

/// A change of an object.
pub type Edit = Box<dyn Fn(&mut Value) + Send>;

/// Somebody who changes one object at given times.
pub struct Meddler {
    who: Who,
    key: Key,
    /// Seconds after the start, and what is done then.
    plan: VecDeque<(i64, Edit)>,
    begun: Option<Timestamp>,
}

impl Meddler {
    /// Somebody who makes these changes, so many seconds after the start each, in this order.
    #[must_use]
    pub fn new(who: Who, key: Key, plan: Vec<(i64, Edit)>) -> Self {
        Self {
            who,
            key,
            plan: plan.into(),
            begun: None,
        }
    }

    /// Somebody who scales a Deployment, by `(seconds, replicas)`.
    #[must_use]
    pub fn scaler(deployment: Key, plan: &[(i64, i64)]) -> Self {
        let edit = |replicas: i64| -> Edit {
            Box::new(move |object| object["spec"]["replicas"] = json!(replicas))
        };
        let plan = plan.iter().map(|(at, replicas)| (*at, edit(*replicas)));
        Self::new(account::admin(), deployment, plan.collect())
    }

    /// Somebody who sets the weights of a route, by `(seconds, weights)`: of every rule with so many backends.
    #[must_use]
    pub fn route_editor(route: Key, plan: &[(i64, Vec<i64>)]) -> Self {
        let who = account::service_account("mesh", "route-editor", "route-editor");
        let edit = |weights: Vec<i64>| -> Edit { Box::new(move |object| weigh(object, &weights)) };
        let plan = plan
            .iter()
            .map(|(at, weights)| (*at, edit(weights.clone())));
        Self::new(who, route, plan.collect())
    }
}

fn weigh(route: &mut Value, weights: &[i64]) {
    let mut rules = list(route, "/spec/rules").to_vec();
    for rule in &mut rules {
        let mut backends = list(rule, "/backendRefs").to_vec();
        if backends.len() == weights.len() {
            for (backend, weight) in backends.iter_mut().zip(weights) {
                backend["weight"] = json!(weight);
            }
            rule["backendRefs"] = Value::Array(backends);
        }
    }
    route["spec"]["rules"] = Value::Array(rules);
}

impl Actor for Meddler {
    fn act(&mut self, api: &Api, _changed: &[Event]) -> Option<Timestamp> {
        let now = api.now();
        let begun = *self.begun.get_or_insert(now);
        while let Some((at, edit)) = self.plan.front() {
            if after(begun, *at) > now {
                return Some(after(begun, *at));
            }
            drop(api.update(&self.who, &self.key, Part::Main, edit));
            self.plan.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::stage::{Stage, deployment, web};

    #[test]
    fn gitops_puts_back_what_it_knows_and_leaves_the_rest() {
        let key = deployment("web");
        let mut manifest = web("1.0");
        drop(
            manifest["spec"]
                .as_object_mut()
                .and_then(|spec| spec.remove("replicas")),
        );
        let mut stage = Stage::new(vec![Box::new(GitOps::new(
            60,
            vec![(key.clone(), manifest)],
        ))]);
        stage.settle();
        stage.change(&key, |it| {
            it["spec"]["replicas"] = json!(5);
            it["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:9");
            it["spec"]["template"]["spec"]["containers"][0]["tty"] = json!(true);
        });
        stage.pass(59);
        assert_eq!(
            stage.read(&key, "/spec/template/spec/containers/0/image"),
            "app:9"
        );
        stage.pass(2);
        assert_eq!(
            stage.read(&key, "/spec/template/spec/containers/0/image"),
            "app:1.0"
        );
        assert_eq!(
            stage.read(&key, "/spec/template/spec/containers/0/tty"),
            true
        );
        assert_eq!(stage.read(&key, "/spec/replicas"), 5);
    }

    #[test]
    fn meddlers_keep_to_their_plan() {
        let route = Key::new("gateway.networking.k8s.io", "httproutes", "test", "web");
        let mut stage = Stage::new(vec![
            Box::new(Meddler::scaler(deployment("web"), &[(10, 3), (20, 1)])),
            Box::new(Meddler::route_editor(route.clone(), &[(15, vec![0, 100])])),
        ]);
        stage.create(&deployment("web"), web("1.0"));
        let rule =
            json!({"backendRefs": [{"name": "a", "weight": 100}, {"name": "b", "weight": 0}]});
        stage.create(
            &route,
            json!({"spec": {"rules": [rule, {"backendRefs": [{"name": "c"}]}]}}),
        );
        for (seconds, replicas, weight) in [(9, 2, 0), (2, 3, 0), (5, 3, 100), (5, 1, 100)] {
            stage.pass(seconds);
            assert_eq!(stage.read(&deployment("web"), "/spec/replicas"), replicas);
            assert_eq!(
                stage.read(&route, "/spec/rules/0/backendRefs/1/weight"),
                weight
            );
        }
        assert_eq!(stage.read(&route, "/spec/rules/1/backendRefs/0/weight"), 1);
    }
}
