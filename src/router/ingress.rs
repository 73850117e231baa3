//! A second Ingress beside the user's, with those paths that lead to stable.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Kind, Labels, Seen};
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::beside::{Arms, Copier, Second};
use crate::router::beyond::Beyond;
use crate::router::form::elements;
use crate::router::owned::SETTLE_UNSEEN;
use crate::router::weighted::{Own, Weighted};

/// How a controller of Ingresses splits traffic.
pub(super) trait Splitter: Send + Sync {
    /// What the Ingress has words for beyond a share.
    fn beyond(&self) -> Beyond {
        Beyond::NOTHING
    }
    /// Annotations of the second Ingress for these routes.
    fn annotations(&self, arms: &Arms<'_>, routes: Routes) -> Labels;
    /// The weight that these annotations say.
    fn weight(&self, arms: &Arms<'_>, annotations: &Labels) -> Option<Weight>;
    /// The paths that stand in the second Ingress for one to stable.
    fn paths(&self, arms: &Arms<'_>, path: &Value) -> Vec<Value>;
    /// What in the cluster is in the way.
    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem>;
}

/// The router of a provider that splits by a second Ingress, and by nothing else.
pub(super) const fn router(ingresses: &'static Ingresses) -> Weighted {
    Weighted {
        settle_seconds: SETTLE_UNSEEN,
        forms: &[],
        own: Own::Beside(ingresses),
    }
}

/// Makes Ingresses.
#[derive(Clone, Copy)]
pub(super) struct Ingresses(pub(super) &'static dyn Splitter);

impl Copier for Ingresses {
    fn kind(&self) -> Kind {
        Kind::Ingress
    }

    fn beyond(&self) -> Beyond {
        self.0.beyond()
    }

    fn field(&self) -> &'static str {
        "spec.ingressRef"
    }

    fn names(&self, canary: &Canary) -> Option<(String, String)> {
        let name = &canary.spec.ingress_ref.as_ref()?.name;
        Some((name.clone(), format!("{name}-canary")))
    }

    fn second(&self, arms: &Arms<'_>, first: &DynamicObject, routes: Routes) -> Option<Second> {
        let rules = elements(&first.data["spec"]["rules"]).iter();
        let rules: Vec<Value> = rules.filter_map(|rule| self.rule(arms, rule)).collect();
        if rules.is_empty() {
            return None;
        }
        let mut spec = Map::from_iter([("rules".to_owned(), Value::Array(rules))]);
        if let Some(class) = first.data["spec"].get("ingressClassName") {
            spec.insert("ingressClassName".to_owned(), class.clone());
        }
        Some(Second {
            annotations: self.0.annotations(arms, routes),
            spec: Value::Object(spec),
        })
    }

    fn weight(&self, arms: &Arms<'_>, second: &DynamicObject) -> Option<Weight> {
        let annotations = second.metadata.annotations.clone().unwrap_or_default();
        self.0.weight(arms, &annotations)
    }

    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem> {
        self.0.problems(canary, seen)
    }
}

impl Ingresses {
    /// A rule with those paths alone that lead to stable.
    fn rule(&self, arms: &Arms<'_>, rule: &Value) -> Option<Value> {
        let paths = elements(&rule["http"]["paths"]).iter();
        let to_stable = paths.filter(|path| leads_to(path, arms.stable));
        let paths: Vec<Value> = to_stable
            .flat_map(|path| self.0.paths(arms, path))
            .collect();
        if paths.is_empty() {
            return None;
        }
        let mut kept = json!({"http": {"paths": paths}});
        if let Some(host) = rule.get("host") {
            kept["host"] = host.clone();
        }
        Some(kept)
    }
}

fn leads_to(path: &Value, service: &str) -> bool {
    path["backend"]["service"]["name"].as_str() == Some(service)
}

/// A path that leads to another Service, at the same port.
pub(super) fn leading_to(path: &Value, service: &str) -> Value {
    let mut path = path.clone();
    path["backend"]["service"]["name"] = json!(service);
    path
}
