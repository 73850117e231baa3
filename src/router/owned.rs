//! Routes that Serin makes, named after the Service. The fields of ours are put right when they differ; whatever else somebody
//! sets stays. Each provider says by a [`Maker`] what its route looks like.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Change, Kind, Live, ObjectKey, Seen, mark};
use crate::rollout::observed::{Acceptance, Problem, Routes, Split, Weight};
use crate::router::{RouterError, editor, missing, refusal, spoken};

/// Annotation of a route that outlived its Canary: whose it is since. The label `serin.dev/canary-uid` cannot change, or Serin
/// could mark what is not its own.
pub(super) const OWNER: &str = "serin.dev/route-owner";

/// Value of `OWNER`: the Canary is gone, and the next one that names this Service takes the route up.
const NOBODY: &str = "none";

/// Seconds that a change is given where no controller says that it has taken it up (PROVIDERS 0.3).
pub(super) const SETTLE_UNSEEN: u32 = 15;

/// How the route of a provider looks.
pub(super) trait Maker: Send + Sync {
    /// The kind of the route.
    fn kind(&self) -> Kind;
    /// What of the Canary the route cannot be made of.
    fn problems(&self, canary: &Canary) -> Vec<Problem>;
    /// Fields of the spec that are applied.
    fn fields(&self) -> &'static [&'static str];
    /// These fields of a spec, put right; those that are right come back as they are. `route`: as it stands, with its status.
    fn edit(
        &self,
        canary: &Canary,
        spec: &Value,
        weight: Weight,
        route: Option<&DynamicObject>,
    ) -> Result<Value, Problem>;
    /// The canary's weight, whatever else the spec says.
    fn weight(&self, canary: &Canary, spec: &Value) -> Option<Weight>;
    /// Whether the controllers of the route run it as it stands.
    fn acceptance(&self, canary: &Canary, route: &DynamicObject, seen: &Seen) -> Acceptance;
    /// The fields without the canary, for a route that may be all that answers its hosts; `None`: nobody misses it.
    fn release(&self, canary: &Canary, spec: Value) -> Option<Value>;
}

/// The route of this Canary.
pub(super) fn key(maker: &dyn Maker, canary: &Canary) -> ObjectKey {
    ObjectKey::new(maker.kind(), &canary.home(), canary.service_name())
}

/// What keeps Serin from making the route, or from writing to it.
pub(super) fn problems(maker: &dyn Maker, canary: &Canary, seen: &Seen) -> Vec<Problem> {
    let mut problems = maker.problems(canary);
    if let Some(missing) = missing(maker.kind(), seen) {
        let message = format!("{missing}, or choose another spec.provider");
        problems.insert(0, refusal("ProviderUnavailable", message));
    }
    if let Some(route) = seen.routes.get(&key(maker, canary)) {
        problems.extend(conflict(maker, canary, route));
    }
    problems
}

/// The split that the live route says; `None`: it does not exist, or nobody's Canary left it behind.
pub(super) fn observe(
    maker: &dyn Maker,
    canary: &Canary,
    seen: &Seen,
) -> Result<Option<Split>, RouterError> {
    let Some(route) = seen.routes.get(&key(maker, canary)) else {
        return Ok(None);
    };
    if let Some(problem) = conflict(maker, canary, route) {
        return Err(RouterError::Refused(problem));
    }
    if ownership(canary, route) == Ownership::Released {
        return Ok(None);
    }
    let routes = read(maker, canary, route).map_err(RouterError::Refused)?;
    Ok(Some(Split {
        routes: routes.map(|canary| Routes { canary }),
        acceptance: maker.acceptance(canary, route, seen),
        editor: editor(route),
    }))
}

/// The weight that the route says, if it says nothing else than what Serin would write.
fn read(
    maker: &dyn Maker,
    canary: &Canary,
    route: &DynamicObject,
) -> Result<Option<Weight>, Problem> {
    let standing = owned_fields(maker, &route.data["spec"]);
    // An edit for any weight says what is wrong with the Canary's own words.
    let weight = maker.weight(canary, &standing);
    let edited = maker.edit(canary, &standing, weight.unwrap_or(Weight::ZERO), None)?;
    Ok(weight.filter(|_| edited == standing))
}

/// The route with this split, if it does not stand so already.
pub(super) fn render(
    maker: &dyn Maker,
    canary: &Canary,
    live: &Live,
    routes: Routes,
) -> Result<Vec<Change>, RouterError> {
    let key = key(maker, canary);
    let route = live.get(&key);
    let spec = route.map_or(&Value::Null, |route| &route.data["spec"]);
    let standing = owned_fields(maker, spec);
    let spec = maker
        .edit(canary, &standing, routes.canary, route)
        .map_err(RouterError::Refused)?;
    let Some(route) = route else {
        return Ok(vec![apply(&key, None, &canary.identity(), &spec, None)]);
    };
    if let Some(problem) = conflict(maker, canary, route) {
        return Err(RouterError::Refused(problem));
    }
    if ownership(canary, route) == Ownership::Ours && spec == standing {
        return Ok(Vec::new());
    }
    let label = label(route).unwrap_or_default();
    let uid = canary.identity();
    let owner = (label != uid).then_some(uid.as_str());
    Ok(vec![apply(&key, Some(route), label, &spec, owner)])
}

/// A route that nobody misses goes. One that may be the only thing that answers a host stays, without the canary, for the next
/// Canary to take up. It answers nothing any more, and goes too, once its Service is gone, as after `helm uninstall`; that may be a
/// moment later than the Canary's end began.
pub(super) fn finalize(
    maker: &dyn Maker,
    canary: &Canary,
    live: &Live,
) -> Result<Vec<Change>, RouterError> {
    let key = key(maker, canary);
    let Some(route) = live.get(&key) else {
        return Ok(Vec::new());
    };
    let ownership = ownership(canary, route);
    let released = ownership == Ownership::Released && label(route) == Some(&canary.identity());
    if ownership != Ownership::Ours && !released {
        return Ok(Vec::new());
    }
    let service = ObjectKey::new(Kind::Service, &canary.home(), canary.service_name());
    let stays = maker.release(canary, owned_fields(maker, &route.data["spec"]));
    let Some(spec) = stays.filter(|_| live.contains_key(&service)) else {
        let uid = route.metadata.uid.clone().unwrap_or_default();
        return Ok(vec![Change::Delete(key, uid)]);
    };
    if released {
        return Ok(Vec::new());
    }
    let label = label(route).unwrap_or_default();
    Ok(vec![apply(&key, Some(route), label, &spec, Some(NOBODY))])
}

/// Whose a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ownership {
    /// This Canary's.
    Ours,
    /// Left behind by a Canary that is gone.
    Released,
    /// Made by Serin for another Canary.
    OtherCanary,
    /// Not made by Serin.
    Foreign,
}

fn ownership(canary: &Canary, route: &DynamicObject) -> Ownership {
    let Some(label) = label(route) else {
        return Ownership::Foreign;
    };
    let annotations = route.metadata.annotations.as_ref();
    let owner = annotations.and_then(|annotations| annotations.get(OWNER));
    match owner.map_or(label, String::as_str) {
        NOBODY => Ownership::Released,
        uid if uid == canary.identity() => Ownership::Ours,
        _ => Ownership::OtherCanary,
    }
}

fn label(route: &DynamicObject) -> Option<&str> {
    let label = route.metadata.labels.as_ref()?.get(mark::CANARY_UID)?;
    Some(label.as_str())
}

fn conflict(maker: &dyn Maker, canary: &Canary, route: &DynamicObject) -> Option<Problem> {
    let key = key(maker, canary);
    let message = match ownership(canary, route) {
        Ownership::Ours | Ownership::Released => return None,
        Ownership::Foreign => format!(
            "{} exists and is not Serin's: name it in spec.routeRefs, so that only its weights are changed, or rename it",
            spoken(&key)
        ),
        Ownership::OtherCanary => format!(
            "{} was made for another Canary: give this one a Service of its own in spec.service.name, or delete the route",
            spoken(&key)
        ),
    };
    Some(refusal("RouteConflict", message))
}

fn apply(
    key: &ObjectKey,
    live: Option<&DynamicObject>,
    label: &str,
    spec: &Value,
    owner: Option<&str>,
) -> Change {
    let mut route = DynamicObject::new(&key.name, &key.kind.api_resource()).within(&key.namespace);
    let labels = [(mark::CANARY_UID.to_owned(), label.to_owned())];
    route.metadata.labels = Some(labels.into());
    route.metadata.annotations = owner.map(|owner| [(OWNER.to_owned(), owner.to_owned())].into());
    route.metadata.resource_version = live.and_then(|live| live.metadata.resource_version.clone());
    route.data = json!({"spec": spec});
    Change::Apply(Box::new(route))
}

/// The part of a spec that Serin applies. A list of rules is one value for server-side apply, so what others set in our rule is
/// applied with it.
fn owned_fields(maker: &dyn Maker, spec: &Value) -> Value {
    let standing = maker.fields().iter().filter_map(|field| {
        let value = spec.get(*field)?;
        Some(((*field).to_owned(), value.clone()))
    });
    Value::Object(standing.collect())
}

/// Sets a text in a map of a map, or takes it away; an outer map that holds nothing any more goes, too.
pub(super) fn set_within(
    fields: &mut Map<String, Value>,
    outer: &str,
    inner: &str,
    text: Option<&str>,
) {
    if let Some(text) = text {
        let outer = fields.entry(outer).or_insert_with(|| json!({}));
        if let Some(outer) = outer.as_object_mut() {
            outer.insert(inner.to_owned(), json!(text));
        }
        return;
    }
    let Some(Value::Object(standing)) = fields.get_mut(outer) else {
        return;
    };
    if standing.remove(inner).is_some() && standing.is_empty() {
        fields.remove(outer);
    }
}
