//! The user's route, and the second one beside it in which Serin says how traffic is split. It is there only while the canary
//! gets traffic: without it the first one sends everything to stable.

use kube::core::DynamicObject;
use serde_json::Value;

use crate::crd::canary::Canary;
use crate::objects::{Change, Kind, Labels, Live, ObjectKey, Seen, mark};
use crate::rollout::observed::{Acceptance, Problem, Routes, Split, Weight};
use crate::router::beyond::{self, Beyond};
use crate::router::owned::delete;
use crate::router::{RouterError, editor, missing, refusal, spoken, unused};

/// Annotation by which old manifests name the controller of a route.
const CLASS: &str = "kubernetes.io/ingress.class";

/// What the user's route says.
const UNUSED: [&str; 3] = ["gatewayRefs", "hosts", "timeout"];

/// How the second route of a provider looks.
pub(super) trait Copier: Send + Sync {
    /// The kind of both.
    fn kind(&self) -> Kind;
    /// The field of the spec that names the user's.
    fn field(&self) -> &'static str;
    /// Names of both; `None`: the Canary names none, which is refused before anything is asked of a router.
    fn names(&self, canary: &Canary) -> Option<(String, String)>;
    /// What the route has words for beyond a share.
    fn beyond(&self) -> Beyond {
        Beyond::NOTHING
    }
    /// The second one for these routes; `None`: nothing in the first leads to stable.
    fn second(&self, arms: &Arms<'_>, first: &DynamicObject, routes: Routes) -> Option<Second>;
    /// The weight that the second one says.
    fn weight(&self, arms: &Arms<'_>, second: &DynamicObject) -> Option<Weight>;
    /// What in the cluster is in the way.
    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem>;
}

/// Names of both backends.
pub(super) struct Arms<'a> {
    /// The Service of stable.
    pub(super) stable: &'a str,
    /// The Service of the canary.
    pub(super) canary: String,
    /// Whose they are.
    pub(super) of: &'a Canary,
}

/// What the second route has to say.
pub(super) struct Second {
    /// Annotations of ours.
    pub(super) annotations: Labels,
    /// The whole spec.
    pub(super) spec: Value,
}

impl Second {
    fn stands(&self, second: &DynamicObject) -> bool {
        let annotations = second.metadata.annotations.as_ref();
        let says = |(name, value): (&String, &String)| {
            annotations.and_then(|all| all.get(name)) == Some(value)
        };
        self.annotations.iter().all(says) && second.data["spec"] == self.spec
    }

    fn apply(&self, canary: &Canary, key: &ObjectKey, live: Option<&DynamicObject>) -> Change {
        let resource = key.kind.api_resource();
        let mut second = DynamicObject::new(&key.name, &resource).within(&key.namespace);
        second.metadata.labels = Some([(mark::CANARY_UID.to_owned(), canary.identity())].into());
        let annotations = self.annotations.clone();
        second.metadata.annotations = Some(annotations).filter(|all| !all.is_empty());
        let version = live.and_then(|live| live.metadata.resource_version.clone());
        second.metadata.resource_version = version;
        second.data = serde_json::json!({"spec": self.spec});
        Change::Apply(Box::new(second))
    }
}

/// What is in the way of the second route.
pub(super) fn problems(copier: &dyn Copier, canary: &Canary, seen: &Seen) -> Vec<Problem> {
    let kind = copier.kind();
    if let Some(missing) = missing(kind, seen) {
        return vec![refusal("ProviderUnavailable", missing)];
    }
    let instead = format!("the {} says that", kind.api_resource().kind);
    let mut problems = unused(canary, &UNUSED, &instead);
    if let Some(both) = Both::of(copier, canary) {
        problems.extend(both.source(seen).err());
        let second = seen.routes.get(&both.second);
        problems.extend(second.and_then(|second| both.conflict(canary, second)));
    }
    problems.extend(copier.problems(canary, seen));
    problems
}

/// Both routes.
pub(super) fn keys(copier: &dyn Copier, canary: &Canary) -> Vec<ObjectKey> {
    Both::of(copier, canary).map_or_else(Vec::new, |both| vec![both.first, both.second])
}

/// The split that the second route says; without one all goes to stable. `None`: the user's is not there.
pub(super) fn observe(
    copier: &dyn Copier,
    canary: &Canary,
    seen: &Seen,
) -> Result<Option<Split>, RouterError> {
    let Some(both) = Both::of(copier, canary) else {
        return Ok(None);
    };
    let Ok(first) = both.source(seen) else {
        return Ok(None);
    };
    let Some(second) = seen.routes.get(&both.second) else {
        return Ok(Some(Split {
            routes: Some(Routes::default()),
            acceptance: Acceptance::Accepted,
            editor: None,
        }));
    };
    if let Some(problem) = both.conflict(canary, second) {
        return Err(RouterError::Refused(problem));
    }
    let weight = copier.weight(&both.arms, second);
    let routes = beyond::read(canary, copier.beyond(), (weight, Weight::ZERO), |routes| {
        let wanted = both.wanted(first, routes);
        Ok(wanted.is_ok_and(|wanted| wanted.stands(second)))
    });
    Ok(Some(Split {
        routes: routes.map_err(RouterError::Refused)?,
        acceptance: Acceptance::Accepted,
        editor: editor(second),
    }))
}

/// The second route with this split, if it does not stand so already; for weight 0 none.
pub(super) fn render(
    copier: &dyn Copier,
    canary: &Canary,
    live: &Live,
    routes: Routes,
) -> Result<Vec<Change>, RouterError> {
    let Some(both) = Both::of(copier, canary) else {
        return Ok(Vec::new());
    };
    let second = live.get(&both.second);
    if let Some(problem) = second.and_then(|second| both.conflict(canary, second)) {
        return Err(RouterError::Refused(problem));
    }
    if !routes.reach() {
        let removal = second.map(|second| delete(&both.second, second));
        return Ok(removal.into_iter().collect());
    }
    let first = live
        .get(&both.first)
        .ok_or_else(|| RouterError::Refused(both.absent()))?;
    let wanted = both.wanted(first, routes).map_err(RouterError::Refused)?;
    if second.is_some_and(|second| wanted.stands(second)) {
        return Ok(Vec::new());
    }
    Ok(vec![wanted.apply(canary, &both.second, second)])
}

/// Takes the second route away.
pub(super) fn finalize(copier: &dyn Copier, canary: &Canary, live: &Live) -> Vec<Change> {
    let Some(both) = Both::of(copier, canary) else {
        return Vec::new();
    };
    let ours = |second: &&DynamicObject| both.conflict(canary, second).is_none();
    let second = live.get(&both.second).filter(ours);
    second
        .map(|second| delete(&both.second, second))
        .into_iter()
        .collect()
}

/// Both routes and both Services, by name.
struct Both<'a> {
    copier: &'a dyn Copier,
    first: ObjectKey,
    second: ObjectKey,
    arms: Arms<'a>,
}

impl<'a> Both<'a> {
    fn of(copier: &'a dyn Copier, canary: &'a Canary) -> Option<Self> {
        let (first, second) = copier.names(canary)?;
        let key = |name: &str| ObjectKey::new(copier.kind(), &canary.home(), name);
        Some(Self {
            copier,
            first: key(&first),
            second: key(&second),
            arms: Arms {
                stable: canary.service_name(),
                canary: canary.canary_service_name(),
                of: canary,
            },
        })
    }

    /// The second route, for these routes.
    fn wanted(&self, first: &DynamicObject, routes: Routes) -> Result<Second, Problem> {
        let second = self.copier.second(&self.arms, first, routes);
        let mut second = second.ok_or_else(|| self.without_path())?;
        let written = first.metadata.annotations.as_ref();
        if let Some(class) = written.and_then(|written| written.get(CLASS)) {
            second.annotations.insert(CLASS.to_owned(), class.clone());
        }
        Ok(second)
    }

    /// The user's route.
    fn source<'s>(&self, seen: &'s Seen) -> Result<&'s DynamicObject, Problem> {
        let first = seen.routes.get(&self.first).ok_or_else(|| self.absent())?;
        self.wanted(first, Routes::default())
            .map(|_| first.as_ref())
    }

    fn absent(&self) -> Problem {
        let message = format!(
            "{}: {} does not exist: create it, or correct the name",
            self.copier.field(),
            spoken(&self.first)
        );
        refusal("RouteNotReady", message)
    }

    fn without_path(&self) -> Problem {
        let message = format!(
            "{} has no path to Service {}: correct {}, spec.service.name or the {}",
            spoken(&self.first),
            self.arms.stable,
            self.copier.field(),
            self.first.kind.api_resource().kind
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
}
