//! The HTTPRoute that Serin makes, named after the Service. In it parents, hosts, the one rule with its two backends and the
//! timeout are ours and are put right when they differ; whatever else somebody sets stays.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::{Canary, CanaryService};
use crate::objects::{Change, Kind, Live, ObjectKey, Seen, mark};
use crate::rollout::observed::{Problem, Routes, Split, Weight};
use crate::router::gateway_api::acceptance::{self, Parent};
use crate::router::gateway_api::backend::{Backend, elements, rules};
use crate::router::{RouterError, editor, refusal, spoken};

/// Annotation of a route that outlived its Canary: whose it is since. The label `serin.dev/canary-uid` cannot change, or Serin
/// could mark what is not its own.
pub(super) const OWNER: &str = "serin.dev/route-owner";

/// Value of `OWNER`: the Canary is gone, and the next one that names this Service takes the route up.
pub(super) const NOBODY: &str = "none";

/// The route of this Canary.
pub(super) fn key(canary: &Canary) -> ObjectKey {
    ObjectKey::new(Kind::HttpRoute, &canary.home(), canary.service_name())
}

/// The Service that its route leads to.
fn service(canary: &Canary) -> ObjectKey {
    ObjectKey::new(Kind::Service, &canary.home(), canary.service_name())
}

/// What keeps Serin from making the route, or from writing to it.
pub(super) fn problems(canary: &Canary, seen: &Seen) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !seen.kinds.contains(&Kind::HttpRoute) {
        problems.push(refusal(
            "ProviderUnavailable",
            "the cluster has no HTTPRoute of gateway.networking.k8s.io/v1: install the Gateway API, or choose another spec.provider".to_owned(),
        ));
    }
    match wanted(canary, Weight::ZERO) {
        Err(problem) => problems.push(problem),
        Ok(wanted) => problems.extend(wanted.problems()),
    }
    if let Some(route) = seen.routes.get(&key(canary)) {
        problems.extend(conflict(canary, route));
    }
    problems
}

/// The split that the live route says; `None`: it does not exist, or nobody's Canary left it behind.
pub(super) fn observe(canary: &Canary, seen: &Seen) -> Result<Option<Split>, RouterError> {
    let key = key(canary);
    let Some(route) = seen.routes.get(&key) else {
        return Ok(None);
    };
    if let Some(problem) = conflict(canary, route) {
        return Err(RouterError::Refused(problem));
    }
    if ownership(canary, route) == Ownership::Released {
        return Ok(None);
    }
    let wanted = wanted(canary, Weight::ZERO).map_err(RouterError::Refused)?;
    Ok(Some(Split {
        routes: wanted.read(route).map(|canary| Routes { canary }),
        acceptance: acceptance::acceptance(&key, route, &wanted.parents, seen),
        editor: editor(route),
    }))
}

/// The route with this split, if it does not stand so already.
pub(super) fn render(
    canary: &Canary,
    live: &Live,
    routes: Routes,
) -> Result<Vec<Change>, RouterError> {
    let wanted = wanted(canary, routes.canary).map_err(RouterError::Refused)?;
    let key = key(canary);
    let Some(route) = live.get(&key) else {
        let spec = wanted.edit(&Value::Null, false);
        return Ok(vec![apply(&key, None, &canary.identity(), &spec, None)]);
    };
    if let Some(problem) = conflict(canary, route) {
        return Err(RouterError::Refused(problem));
    }
    let spec = wanted.edit(&route.data["spec"], is_envoy_gateway(route));
    let ours = ownership(canary, route) == Ownership::Ours;
    if ours && spec == owned_fields(&route.data["spec"]) {
        return Ok(Vec::new());
    }
    let label = label(route).unwrap_or_default();
    let uid = canary.identity();
    let owner = (label != uid).then_some(uid.as_str());
    Ok(vec![apply(&key, Some(route), label, &spec, owner)])
}

/// Below a Service the route goes, since the Service answers without it. Below a Gateway it may be the only thing that answers
/// a host: it stays, without the canary, for the next Canary to take up. It answers nothing any more, and goes too, once its Service
/// is gone, as after `helm uninstall`; that may be a moment later than the Canary's end began.
pub(super) fn finalize(canary: &Canary, live: &Live) -> Result<Vec<Change>, RouterError> {
    let key = key(canary);
    let Some(route) = live.get(&key) else {
        return Ok(Vec::new());
    };
    let ownership = ownership(canary, route);
    let released = ownership == Ownership::Released && label(route) == Some(&canary.identity());
    if ownership != Ownership::Ours && !released {
        return Ok(Vec::new());
    }
    let parents = acceptance::parents(route, &key.namespace);
    let mesh = !parents.is_empty() && parents.iter().all(Parent::is_service);
    if mesh || !live.contains_key(&service(canary)) {
        let uid = route.metadata.uid.clone().unwrap_or_default();
        return Ok(vec![Change::Delete(key, uid)]);
    }
    if released {
        return Ok(Vec::new());
    }
    let mut spec = owned_fields(&route.data["spec"]);
    let canary_name = canary.canary_service_name();
    for rule in spec["rules"].as_array_mut().into_iter().flatten() {
        release(rule, canary.service_name(), &canary_name, &key.namespace);
    }
    let label = label(route).unwrap_or_default();
    Ok(vec![apply(&key, Some(route), label, &spec, Some(NOBODY))])
}

/// Takes the canary out of a rule; where it was alone, stable answers instead. Weight 1 is what the API takes for granted.
fn release(rule: &mut Value, stable: &str, canary: &str, home: &str) {
    let Some(entries) = rule["backendRefs"].as_array_mut() else {
        return;
    };
    let is =
        |entry: &Value, name: &str| Backend::read(entry, home).is_some_and(|it| it.name == name);
    match entries.as_mut_slice() {
        [only] if is(only, canary) => {
            only["name"] = json!(stable);
            only["weight"] = json!(1);
        }
        _ => entries.retain(|entry| !is(entry, canary)),
    }
    if let [only] = entries.as_mut_slice()
        && is(only, stable)
    {
        only["weight"] = json!(1);
    }
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

fn conflict(canary: &Canary, route: &DynamicObject) -> Option<Problem> {
    let key = key(canary);
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

/// Envoy Gateway builds one cluster for all backends of a rule unless one has a filter (envoyproxy/gateway#6742), so that its
/// metrics could not tell the arms apart.
fn is_envoy_gateway(route: &DynamicObject) -> bool {
    elements(&route.data["status"]["parents"])
        .iter()
        .filter_map(|parent| parent["controllerName"].as_str())
        .any(|controller| controller.contains("envoyproxy"))
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

/// The part of a spec that Serin applies. `rules` is one value for server-side apply, so what others set in our rule is
/// applied with it.
fn owned_fields(spec: &Value) -> Value {
    let fields = ["parentRefs", "hostnames", "rules"];
    let standing = fields.iter().filter_map(|field| {
        let value = spec.get(*field)?;
        Some(((*field).to_owned(), value.clone()))
    });
    Value::Object(standing.collect())
}

/// What the route has to say.
struct Wanted<'a> {
    home: String,
    parents: Vec<Parent>,
    hosts: Vec<&'a str>,
    stable: &'a str,
    canary: String,
    port: i64,
    timeout: Option<&'a str>,
    weight: Weight,
}

fn wanted(canary: &Canary, weight: Weight) -> Result<Wanted<'_>, Problem> {
    let home = canary.home();
    let service = canary.spec.service.as_ref();
    let unready = |message: &str| refusal("RouteNotReady", message.to_owned());
    let service = service.ok_or_else(|| {
        unready("spec.service is not set: a generated route needs spec.service.port and spec.service.gatewayRefs")
    })?;
    if service.gateway_refs.is_empty() {
        return Err(unready(
            "spec.service.gatewayRefs is empty: name the Gateway (or, for a mesh, the Service) that the generated route hangs on, or the routes that you have in spec.routeRefs",
        ));
    }
    let parent = |reference| Parent::named(reference, &home);
    let parents = service.gateway_refs.iter().map(parent).collect();
    Ok(Wanted {
        parents,
        home,
        hosts: hosts(service),
        stable: canary.service_name(),
        canary: canary.canary_service_name(),
        port: i64::from(service.port),
        timeout: service.timeout.as_deref(),
        weight,
    })
}

/// The route has no name for every host; there, no name at all means that.
fn hosts(service: &CanaryService) -> Vec<&str> {
    if service.hosts.iter().any(|host| host == "*") {
        return Vec::new();
    }
    service.hosts.iter().map(String::as_str).collect()
}

impl Wanted<'_> {
    fn problems(&self) -> Vec<Problem> {
        let usable = |parent: &&Parent| !parent.is_gateway() && !parent.is_service();
        let parents = self.parents.iter().filter(usable).map(|parent| {
            format!(
                "spec.service.gatewayRefs: {} is neither a Gateway of gateway.networking.k8s.io nor a Service",
                parent.spoken()
            )
        });
        let timeout = self.timeout.filter(|timeout| !is_duration(timeout)).map(|timeout| {
            format!("spec.service.timeout: {timeout} is no duration of the Gateway API; right is for instance 15s or 1m30s")
        });
        parents
            .chain(timeout)
            .map(|message| refusal("RouteNotReady", message))
            .collect()
    }

    /// The weight that the route says, if it says nothing else than this.
    fn read(&self, route: &DynamicObject) -> Option<Weight> {
        let entries = elements(&rules(route).first()?["backendRefs"]);
        let mut arm = entries
            .iter()
            .filter_map(|entry| Backend::read(entry, &self.home));
        let percent = arm.find(|arm| self.is(arm, &self.canary))?.weight;
        let weight = Weight::new(
            u8::try_from(percent)
                .ok()
                .filter(|percent| *percent <= 100)?,
        );
        let standing = owned_fields(&route.data["spec"]);
        (self.with(weight).edit(&standing, false) == standing).then_some(weight)
    }

    fn with(&self, weight: Weight) -> Self {
        Self {
            home: self.home.clone(),
            parents: self.parents.clone(),
            hosts: self.hosts.clone(),
            canary: self.canary.clone(),
            weight,
            ..*self
        }
    }

    fn is(&self, backend: &Backend<'_>, name: &str) -> bool {
        backend.name == name && backend.port == self.port
    }

    /// The fields of ours in this spec, put right; a spec that is right comes back as it is.
    fn edit(&self, spec: &Value, marked: bool) -> Value {
        let mut spec = owned_fields(spec);
        let standing = elements(&spec["parentRefs"]).iter();
        let standing: Vec<Parent> = standing
            .map(|parent| Parent::written(parent, &self.home))
            .collect();
        if standing != self.parents {
            let references = self.parents.iter().map(|it| it.reference(&self.home));
            spec["parentRefs"] = references.collect();
        }
        let hosts: Vec<Value> = self.hosts.iter().map(|host| json!(host)).collect();
        if elements(&spec["hostnames"]) != hosts {
            spec["hostnames"] = Value::Array(hosts);
        }
        let both = |rule: &&Value| {
            let names = elements(&rule["backendRefs"]).iter();
            let ours = names.filter_map(|entry| Backend::read(entry, &self.home));
            ours.filter(|it| self.is(it, self.stable) || self.is(it, &self.canary))
                .count()
                == 2
        };
        let rule = elements(&spec["rules"]).iter().find(both).cloned();
        let rule = self.edit_rule(rule.unwrap_or_else(|| json!({})), marked);
        spec["rules"] = json!([rule]);
        spec
    }

    fn edit_rule(&self, mut rule: Value, marked: bool) -> Value {
        let everything = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
        let entries = elements(&rule["backendRefs"]);
        let stable = self.entry(entries, self.stable, 100 - self.weight.percent());
        let mut canary = self.entry(entries, &self.canary, self.weight.percent());
        if marked {
            mark_requests(&mut canary);
        }
        rule["backendRefs"] = json!([stable, canary]);
        if let Some(fields) = rule.as_object_mut() {
            if fields
                .get("matches")
                .is_some_and(|matches| *matches != everything)
            {
                fields.remove("matches");
            }
            set_timeout(fields, self.timeout);
        }
        rule
    }

    fn entry(&self, entries: &[Value], name: &str, weight: u8) -> Value {
        let is = |entry: &&Value| {
            Backend::read(entry, &self.home).is_some_and(|backend| self.is(&backend, name))
        };
        let mut entry = entries.iter().find(is).cloned().unwrap_or_else(
            || json!({"group": "", "kind": "Service", "name": name, "port": self.port}),
        );
        entry["weight"] = json!(weight);
        entry
    }
}

fn set_timeout(rule: &mut Map<String, Value>, timeout: Option<&str>) {
    match timeout {
        Some(timeout) => {
            let timeouts = rule.entry("timeouts").or_insert_with(|| json!({}));
            if let Some(timeouts) = timeouts.as_object_mut() {
                timeouts.insert("request".into(), json!(timeout));
            }
        }
        None => {
            let Some(Value::Object(timeouts)) = rule.get_mut("timeouts") else {
                return;
            };
            timeouts.remove("request");
            if timeouts.is_empty() {
                rule.remove("timeouts");
            }
        }
    }
}

/// Requests to the canary carry a header, for the filter's sake.
fn mark_requests(entry: &mut Value) {
    const FILTER: &str = "RequestHeaderModifier";
    let mut filters = elements(&entry["filters"]).to_vec();
    let header = json!({"name": "x-serin-role", "value": "canary"});
    let is_modifier = |filter: &&mut Value| filter["type"].as_str() == Some(FILTER);
    match filters.iter_mut().find(is_modifier) {
        Some(filter) => {
            let mut set = elements(&filter["requestHeaderModifier"]["set"]).to_vec();
            if !set.contains(&header) {
                set.push(header);
            }
            filter["requestHeaderModifier"]["set"] = Value::Array(set);
        }
        None => filters.push(json!({"type": FILTER, "requestHeaderModifier": {"set": [header]}})),
    }
    entry["filters"] = Value::Array(filters);
}

/// A duration as the Gateway API writes it (GEP-2257): up to four parts of digits and a unit.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    for part in 1.. {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = &rest[digits..];
        let length = match unit {
            _ if unit.starts_with("ms") => 2,
            _ if unit.starts_with(['h', 'm', 's']) => 1,
            _ => return false,
        };
        if digits == 0 || digits > 5 || part > 4 {
            return false;
        }
        rest = &unit[length..];
        if rest.is_empty() {
            return true;
        }
    }
    false
}
