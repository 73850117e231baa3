//! The user's Ingress, and the second one beside it in which Serin says how traffic is split. It is there only while the canary
//! gets traffic: without it the first one sends everything to stable.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Change, Kind, Labels, Live, ObjectKey, Seen, mark};
use crate::rollout::observed::{
    Abilities, Acceptance, Problem, Routes, Split, TrafficKind, Weight,
};
use crate::router::form::elements;
use crate::router::owned::SETTLE_UNSEEN;
use crate::router::{Router, RouterError, editor, missing, refusal, spoken, unused};

/// Annotation by which old manifests name the controller of an Ingress.
const CLASS: &str = "kubernetes.io/ingress.class";

/// What the user's Ingress says.
const UNUSED: [&str; 3] = ["gatewayRefs", "hosts", "timeout"];

/// How a controller of Ingresses splits traffic.
pub(super) trait Splitter: Send + Sync {
    /// Annotations of the second Ingress for this weight.
    fn annotations(&self, arms: &Arms<'_>, weight: Weight) -> Labels;
    /// The weight that these annotations say.
    fn weight(&self, arms: &Arms<'_>, annotations: &Labels) -> Option<Weight>;
    /// The paths that stand in the second Ingress for one to stable.
    fn paths(&self, arms: &Arms<'_>, path: &Value) -> Vec<Value>;
    /// What in the cluster is in the way.
    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem>;
}

/// Names of both backends.
pub(super) struct Arms<'a> {
    /// The Service of stable.
    pub(super) stable: &'a str,
    /// The Service of the canary.
    pub(super) canary: String,
}

/// A provider that splits by a second Ingress.
#[derive(Clone, Copy)]
pub(super) struct Ingresses(pub(super) &'static dyn Splitter);

impl Router for Ingresses {
    fn abilities(&self) -> Abilities {
        Abilities {
            traffic: TrafficKind::Weighted,
            settle_seconds: SETTLE_UNSEEN,
        }
    }

    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem> {
        if let Some(missing) = missing(Kind::Ingress, seen) {
            return vec![refusal("ProviderUnavailable", missing)];
        }
        let mut problems = unused(canary, &UNUSED, "the Ingress says that");
        if let Some(names) = Names::of(canary) {
            problems.extend(names.source(seen).err());
            let second = seen.routes.get(&names.second);
            problems.extend(second.and_then(|second| names.conflict(canary, second)));
        }
        problems.extend(self.0.problems(canary, seen));
        problems
    }

    fn objects(&self, canary: &Canary) -> Vec<ObjectKey> {
        Names::of(canary).map_or_else(Vec::new, |names| vec![names.first, names.second])
    }

    fn observe(&self, canary: &Canary, seen: &Seen) -> Result<Option<Split>, RouterError> {
        let Some(names) = Names::of(canary) else {
            return Ok(None);
        };
        let Ok(first) = names.source(seen) else {
            return Ok(None);
        };
        let Some(second) = seen.routes.get(&names.second) else {
            return Ok(Some(Split {
                routes: Some(Routes::default()),
                acceptance: Acceptance::Accepted,
                editor: None,
            }));
        };
        if let Some(problem) = names.conflict(canary, second) {
            return Err(RouterError::Refused(problem));
        }
        let annotations = second.metadata.annotations.clone().unwrap_or_default();
        let weight = self.0.weight(&names.arms, &annotations);
        let stands = |weight: &Weight| {
            let wanted = self.second(&names, first, *weight);
            wanted.is_ok_and(|wanted| wanted.stands(second))
        };
        Ok(Some(Split {
            routes: weight.filter(stands).map(|canary| Routes { canary }),
            acceptance: Acceptance::Accepted,
            editor: editor(second),
        }))
    }

    fn render(
        &self,
        canary: &Canary,
        live: &Live,
        routes: Routes,
    ) -> Result<Vec<Change>, RouterError> {
        let Some(names) = Names::of(canary) else {
            return Ok(Vec::new());
        };
        let second = live.get(&names.second);
        if let Some(problem) = second.and_then(|second| names.conflict(canary, second)) {
            return Err(RouterError::Refused(problem));
        }
        if routes.canary == Weight::ZERO {
            return Ok(second
                .map(|second| names.removal(second))
                .into_iter()
                .collect());
        }
        let first = live
            .get(&names.first)
            .ok_or_else(|| RouterError::Refused(names.absent()))?;
        let wanted = self
            .second(&names, first, routes.canary)
            .map_err(RouterError::Refused)?;
        if second.is_some_and(|second| wanted.stands(second)) {
            return Ok(Vec::new());
        }
        Ok(vec![wanted.apply(canary, &names.second, second)])
    }

    fn finalize(&self, canary: &Canary, live: &Live) -> Result<Vec<Change>, RouterError> {
        let Some(names) = Names::of(canary) else {
            return Ok(Vec::new());
        };
        let ours = |second: &&DynamicObject| names.conflict(canary, second).is_none();
        let second = live.get(&names.second).filter(ours);
        Ok(second
            .map(|second| names.removal(second))
            .into_iter()
            .collect())
    }
}

impl Ingresses {
    /// The second Ingress, for this weight.
    fn second(
        &self,
        names: &Names<'_>,
        first: &DynamicObject,
        weight: Weight,
    ) -> Result<Wanted, Problem> {
        let rules = elements(&first.data["spec"]["rules"]).iter();
        let rules = rules.filter_map(|rule| self.rule(&names.arms, rule));
        let rules: Vec<Value> = rules.collect();
        if rules.is_empty() {
            return Err(names.without_path());
        }
        let mut annotations = self.0.annotations(&names.arms, weight);
        let written = first.metadata.annotations.as_ref();
        if let Some(class) = written.and_then(|written| written.get(CLASS)) {
            annotations.insert(CLASS.to_owned(), class.clone());
        }
        let mut spec = Map::from_iter([("rules".to_owned(), Value::Array(rules))]);
        if let Some(class) = first.data["spec"].get("ingressClassName") {
            spec.insert("ingressClassName".to_owned(), class.clone());
        }
        Ok(Wanted {
            annotations,
            spec: Value::Object(spec),
        })
    }

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

/// What the second Ingress has to say.
struct Wanted {
    annotations: Labels,
    spec: Value,
}

impl Wanted {
    fn stands(&self, second: &DynamicObject) -> bool {
        let annotations = second.metadata.annotations.as_ref();
        let says = |(name, value): (&String, &String)| {
            annotations.and_then(|all| all.get(name)) == Some(value)
        };
        self.annotations.iter().all(says) && second.data["spec"] == self.spec
    }

    fn apply(&self, canary: &Canary, key: &ObjectKey, live: Option<&DynamicObject>) -> Change {
        let resource = key.kind.api_resource();
        let mut ingress = DynamicObject::new(&key.name, &resource).within(&key.namespace);
        ingress.metadata.labels = Some([(mark::CANARY_UID.to_owned(), canary.identity())].into());
        ingress.metadata.annotations = Some(self.annotations.clone());
        let version = live.and_then(|live| live.metadata.resource_version.clone());
        ingress.metadata.resource_version = version;
        ingress.data = json!({"spec": self.spec});
        Change::Apply(Box::new(ingress))
    }
}

/// Both Ingresses and both Services, by name.
struct Names<'a> {
    first: ObjectKey,
    second: ObjectKey,
    arms: Arms<'a>,
}

impl<'a> Names<'a> {
    /// `None`: the Canary names no Ingress, which is refused before anything is asked of a router.
    fn of(canary: &'a Canary) -> Option<Self> {
        let ingress = canary.spec.ingress_ref.as_ref()?;
        let key = |name: &str| ObjectKey::new(Kind::Ingress, &canary.home(), name);
        Some(Self {
            first: key(&ingress.name),
            second: key(&format!("{}-canary", ingress.name)),
            arms: Arms {
                stable: canary.service_name(),
                canary: canary.canary_service_name(),
            },
        })
    }

    /// The user's Ingress.
    fn source<'s>(&self, seen: &'s Seen) -> Result<&'s DynamicObject, Problem> {
        let first = seen.routes.get(&self.first).ok_or_else(|| self.absent())?;
        let paths = elements(&first.data["spec"]["rules"])
            .iter()
            .flat_map(|rule| elements(&rule["http"]["paths"]));
        let mut to_stable = paths.filter(|path| leads_to(path, self.arms.stable));
        match to_stable.next() {
            Some(_) => Ok(first),
            None => Err(self.without_path()),
        }
    }

    fn absent(&self) -> Problem {
        let message = format!(
            "spec.ingressRef: {} does not exist: create it, or correct the name",
            spoken(&self.first)
        );
        refusal("RouteNotReady", message)
    }

    fn without_path(&self) -> Problem {
        let message = format!(
            "{} has no path to Service {}: correct spec.ingressRef, spec.service.name or the Ingress",
            spoken(&self.first),
            self.arms.stable
        );
        refusal("RouteNotReady", message)
    }

    fn conflict(&self, canary: &Canary, second: &DynamicObject) -> Option<Problem> {
        let labels = second.metadata.labels.as_ref();
        let owner = labels.and_then(|labels| labels.get(mark::CANARY_UID));
        if owner == Some(&canary.identity()) {
            return None;
        }
        let message = format!(
            "{} exists and was not made for this Canary: delete it, or rename it, so that Serin can make its own beside {}",
            spoken(&self.second),
            spoken(&self.first)
        );
        Some(refusal("RouteConflict", message))
    }

    fn removal(&self, second: &DynamicObject) -> Change {
        let uid = second.metadata.uid.clone().unwrap_or_default();
        Change::Delete(self.second.clone(), uid)
    }
}
