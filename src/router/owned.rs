//! Routes that Serin makes, named after the Service. The fields of ours are put right when they differ; whatever else somebody
//! sets stays. Each provider says by a [`Maker`] what its route looks like.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Change, Kind, Labels, Live, ObjectKey, Seen, mark};
use crate::rollout::observed::{Acceptance, Problem, Routes, Split, Weight};
use crate::router::beyond::{self, Beyond};
use crate::router::companion::{self, Companion};
use crate::router::{RouterError, accepted, editor, missing, refusal, spoken};

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
    /// What the route has words for beyond a share.
    fn beyond(&self) -> Beyond {
        Beyond::NOTHING
    }
    /// These fields of a spec, put right; those that are right come back as they are. `route`: as it stands, with its status.
    fn edit(
        &self,
        canary: &Canary,
        spec: &Value,
        routes: Routes,
        route: Option<&DynamicObject>,
    ) -> Result<Value, Problem>;
    /// The canary's weight, whatever else the spec says.
    fn weight(&self, canary: &Canary, spec: &Value) -> Option<Weight>;
    /// The share of requests that are copied to the canary.
    fn mirror(&self, _: &Canary, _: &Value) -> Weight {
        Weight::ZERO
    }
    /// Whether the controllers of the route run it as it stands: what they say of any route of this kind, unless more is asked.
    fn acceptance(&self, canary: &Canary, route: &DynamicObject, seen: &Seen) -> Acceptance {
        let key = ObjectKey::new(self.kind(), &canary.home(), canary.service_name());
        accepted(&key, route, seen)
    }
    /// The fields without the canary, for a route that may be all that answers its hosts; `None`: nobody misses it.
    fn release(&self, canary: &Canary, spec: Value) -> Option<Value>;
    /// Labels that the route needs for its controllers.
    fn labels(&self, _: &Canary) -> Labels {
        Labels::new()
    }
    /// Objects that the route needs beside it.
    fn companions(&self, _: &Canary) -> Vec<Companion> {
        Vec::new()
    }
}

/// The route of this Canary.
pub(super) fn key(maker: &dyn Maker, canary: &Canary) -> ObjectKey {
    ObjectKey::new(maker.kind(), &canary.home(), canary.service_name())
}

/// The route and its companions.
pub(super) fn keys(maker: &dyn Maker, canary: &Canary) -> Vec<ObjectKey> {
    let companions = maker.companions(canary).into_iter();
    let companions = companions.map(|companion| companion.key);
    std::iter::once(key(maker, canary))
        .chain(companions)
        .collect()
}

/// What keeps Serin from making the route, or from writing to it.
pub(super) fn problems(maker: &dyn Maker, canary: &Canary, seen: &Seen) -> Vec<Problem> {
    let mut problems = maker.problems(canary);
    let keys = keys(maker, canary);
    if let Some(missing) = keys.iter().find_map(|key| missing(key.kind, seen)) {
        let message = format!("{missing}, or choose another spec.provider");
        problems.insert(0, refusal("ProviderUnavailable", message));
    }
    problems.extend(keys.iter().filter_map(|key| taken(canary, key, seen)));
    problems
}

fn taken(canary: &Canary, key: &ObjectKey, seen: &Seen) -> Option<Problem> {
    conflict(canary, key, seen.routes.get(key)?)
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
    let keys = keys(maker, canary);
    if let Some(problem) = keys.iter().find_map(|key| taken(canary, key, seen)) {
        return Err(RouterError::Refused(problem));
    }
    if ownership(canary, route) == Ownership::Released {
        return Ok(None);
    }
    let routes = read(maker, canary, route).map_err(RouterError::Refused)?;
    let whole = companion::stand(&maker.companions(canary), canary, seen);
    Ok(Some(Split {
        routes: routes.filter(|_| whole),
        acceptance: maker.acceptance(canary, route, seen),
        editor: editor(route),
    }))
}

/// What the route says, if it says nothing else than what Serin would write.
fn read(
    maker: &dyn Maker,
    canary: &Canary,
    route: &DynamicObject,
) -> Result<Option<Routes>, Problem> {
    let standing = owned_fields(maker, &route.data["spec"]);
    let weight = maker.weight(canary, &standing);
    let mirror = maker.mirror(canary, &standing);
    let routes = beyond::read(canary, maker.beyond(), (weight, mirror), |routes| {
        let edited = maker.edit(canary, &standing, routes, None)?;
        Ok(edited == standing)
    })?;
    Ok(routes.filter(|_| is_labelled(maker, canary, route)))
}

fn is_labelled(maker: &dyn Maker, canary: &Canary, route: &DynamicObject) -> bool {
    let standing = route.metadata.labels.as_ref();
    let stands = |(name, value): (&String, &String)| {
        standing.and_then(|labels| labels.get(name)) == Some(value)
    };
    maker.labels(canary).iter().all(stands)
}

/// The route with this split, after what it needs, if they do not stand so already.
pub(super) fn render(
    maker: &dyn Maker,
    canary: &Canary,
    live: &Live,
    routes: Routes,
) -> Result<Vec<Change>, RouterError> {
    let mut changes = companion::render(&maker.companions(canary), canary, live)?;
    let key = key(maker, canary);
    let route = live.get(&key);
    let spec = route.map_or(&Value::Null, |route| &route.data["spec"]);
    let standing = owned_fields(maker, spec);
    let spec = maker
        .edit(canary, &standing, routes, route)
        .map_err(RouterError::Refused)?;
    let is_right = |route: &DynamicObject| spec == standing && is_labelled(maker, canary, route);
    if !stands(canary, &key, route, is_right)? {
        changes.push(put(canary, &key, route, &spec, maker.labels(canary)));
    }
    Ok(changes)
}

/// Whether an object is this Canary's, and as it should be.
///
/// # Errors
///
/// If it is somebody else's.
pub(super) fn stands(
    canary: &Canary,
    key: &ObjectKey,
    object: Option<&DynamicObject>,
    is_right: impl Fn(&DynamicObject) -> bool,
) -> Result<bool, RouterError> {
    let Some(object) = object else {
        return Ok(false);
    };
    if let Some(problem) = conflict(canary, key, object) {
        return Err(RouterError::Refused(problem));
    }
    Ok(ownership(canary, object) == Ownership::Ours && is_right(object))
}

/// Writes an object for this Canary. The label of one that another Canary left behind stays, since it cannot change.
pub(super) fn put(
    canary: &Canary,
    key: &ObjectKey,
    live: Option<&DynamicObject>,
    spec: &Value,
    labels: Labels,
) -> Change {
    let uid = canary.identity();
    let label = live.and_then(label).unwrap_or(&uid);
    let owner = (label != uid).then_some(uid.as_str());
    apply(
        key,
        live,
        spec,
        Marks {
            label,
            owner,
            labels,
        },
    )
}

/// A route that nobody misses goes, and with it what it needed. One that may be the only thing that answers a host stays, without
/// the canary, for the next Canary to take up. It answers nothing any more, and goes too, once its Service is gone, as after
/// `helm uninstall`; that may be a moment later than the Canary's end began.
pub(super) fn finalize(
    maker: &dyn Maker,
    canary: &Canary,
    live: &Live,
) -> Result<Vec<Change>, RouterError> {
    let key = key(maker, canary);
    let mut changes = Vec::new();
    let mut stays = false;
    if let Some(route) = live.get(&key) {
        if !is_to_end(canary, route) {
            return Ok(Vec::new());
        }
        let service = ObjectKey::new(Kind::Service, &canary.home(), canary.service_name());
        let released = maker.release(canary, plain(maker, canary, route));
        let released = released.filter(|_| live.contains_key(&service));
        stays = released.is_some();
        changes.extend(match released {
            Some(spec) => release(canary, &key, route, &spec, maker.labels(canary)),
            None => Some(delete(&key, route)),
        });
    }
    let companions = maker.companions(canary);
    changes.extend(companion::finalize(&companions, canary, live, stays));
    Ok(changes)
}

/// The fields of ours, without rules for some of the requests.
fn plain(maker: &dyn Maker, canary: &Canary, route: &DynamicObject) -> Value {
    let standing = owned_fields(maker, &route.data["spec"]);
    if !beyond::is_asked(canary) {
        return standing;
    }
    maker
        .edit(canary, &standing, Routes::default(), Some(route))
        .unwrap_or(standing)
}

/// Whether an object is this Canary's, or was.
pub(super) fn is_to_end(canary: &Canary, object: &DynamicObject) -> bool {
    match ownership(canary, object) {
        Ownership::Ours => true,
        Ownership::Released => label(object) == Some(&canary.identity()),
        Ownership::OtherCanary | Ownership::Foreign => false,
    }
}

/// Leaves an object to the next Canary, if that is not done.
pub(super) fn release(
    canary: &Canary,
    key: &ObjectKey,
    object: &DynamicObject,
    spec: &Value,
    labels: Labels,
) -> Option<Change> {
    let marks = Marks {
        label: label(object).unwrap_or_default(),
        owner: Some(NOBODY),
        labels,
    };
    let is_ours = ownership(canary, object) == Ownership::Ours;
    is_ours.then(|| apply(key, Some(object), spec, marks))
}

/// Takes away an object as it was seen.
pub(super) fn delete(key: &ObjectKey, object: &DynamicObject) -> Change {
    let uid = object.metadata.uid.clone().unwrap_or_default();
    Change::Delete(key.clone(), uid)
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

fn conflict(canary: &Canary, key: &ObjectKey, route: &DynamicObject) -> Option<Problem> {
    let message = match ownership(canary, route) {
        Ownership::Ours | Ownership::Released => return None,
        Ownership::Foreign if key.kind == Kind::Upstream => format!(
            "{} exists and is not Serin's: delete it, or rename it, so that Serin can make its own",
            spoken(key)
        ),
        Ownership::Foreign => format!(
            "{} exists and is not Serin's: name it in spec.routeRefs, so that only its weights are changed, or rename it",
            spoken(key)
        ),
        Ownership::OtherCanary => format!(
            "{} was made for another Canary: give this one a Service of its own in spec.service.name, or delete the route",
            spoken(key)
        ),
    };
    Some(refusal("RouteConflict", message))
}

/// What is written on an object beside its spec.
struct Marks<'a> {
    label: &'a str,
    owner: Option<&'a str>,
    labels: Labels,
}

fn apply(key: &ObjectKey, live: Option<&DynamicObject>, spec: &Value, marks: Marks<'_>) -> Change {
    let Marks {
        label,
        owner,
        mut labels,
    } = marks;
    labels.insert(mark::CANARY_UID.to_owned(), label.to_owned());
    let mut object = DynamicObject::new(&key.name, &key.kind.api_resource()).within(&key.namespace);
    object.metadata.labels = Some(labels);
    object.metadata.annotations = owner.map(|owner| [(OWNER.to_owned(), owner.to_owned())].into());
    object.metadata.resource_version = live.and_then(|live| live.metadata.resource_version.clone());
    object.data = json!({"spec": spec});
    Change::Apply(Box::new(object))
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

/// Sets a list in a map; without entries the field goes.
pub(super) fn set_list(of: &mut Value, field: &str, entries: Vec<Value>) {
    if !entries.is_empty() {
        of[field] = Value::Array(entries);
    } else if let Some(fields) = of.as_object_mut() {
        fields.remove(field);
    }
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
