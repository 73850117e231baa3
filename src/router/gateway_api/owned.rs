//! The HTTPRoute that Serin makes. In it parents, hosts, the one rule with its two backends and the timeout are ours.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::{Canary, CanaryService};
use crate::crd::matching::RequestMatch;
use crate::objects::{Kind, ObjectKey, Seen};
use crate::rollout::observed::{Acceptance, Problem, Routes, Weight};
use crate::router::affinity::{self, Cohorts, Draw, SET_COOKIE};
use crate::router::beyond::{self, Beyond};
use crate::router::form::{Backend, elements};
use crate::router::gateway_api::acceptance::{self, Parent};
use crate::router::gateway_api::{backend, backends};
use crate::router::owned::{Maker, set_list, set_within};
use crate::router::{refusal, unused};

/// Makes HTTPRoutes.
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpRoutes {
    /// Where no parent is named the route hangs on the Service, as in a mesh; else a parent has to be named.
    pub(super) of_mesh: bool,
}

impl HttpRoutes {
    fn wanted<'a>(&self, canary: &'a Canary, routes: Routes) -> Result<Wanted<'a>, Problem> {
        let home = canary.home();
        let service = canary.spec.service.as_ref();
        let unready = |message: &str| refusal("RouteNotReady", message.to_owned());
        let service = service.ok_or_else(|| {
            unready("spec.service is not set: a generated route needs spec.service.port and spec.service.gatewayRefs")
        })?;
        let mut parents: Vec<_> = service
            .gateway_refs
            .iter()
            .map(|reference| Parent::named(reference, &home))
            .collect();
        if parents.is_empty() && self.of_mesh {
            parents.push(Parent::service(canary.service_name(), &home, service.port));
        }
        if parents.is_empty() {
            return Err(unready(
                "spec.service.gatewayRefs is empty: name the Gateway (or, for a mesh, the Service) that the generated route hangs on, or the routes that you have in spec.routeRefs",
            ));
        }
        let hosts = if self.of_mesh {
            Vec::new()
        } else {
            hosts(service)
        };
        Ok(Wanted {
            parents,
            home,
            hosts,
            stable: canary.service_name(),
            canary: canary.canary_service_name(),
            port: i64::from(service.port),
            timeout: service.timeout.as_deref(),
            routes,
            matches: beyond::matches(canary, routes),
            cohorts: affinity::cohorts(canary, routes),
            of: canary,
        })
    }
}

impl Maker for HttpRoutes {
    fn kind(&self) -> Kind {
        Kind::HttpRoute
    }

    fn problems(&self, canary: &Canary) -> Vec<Problem> {
        let mut problems = match self.wanted(canary, Routes::default()) {
            Err(problem) => vec![problem],
            Ok(wanted) => wanted.problems(),
        };
        if self.of_mesh {
            let instead =
                "a route of the mesh holds for the Service, whatever its hosts are called";
            problems.extend(unused(canary, &["hosts"], instead));
        }
        problems
    }

    /// `rules` is one value for server-side apply.
    fn fields(&self) -> &'static [&'static str] {
        &["parentRefs", "hostnames", "rules"]
    }

    fn edit(
        &self,
        canary: &Canary,
        spec: &Value,
        routes: Routes,
        route: Option<&DynamicObject>,
    ) -> Result<Value, Problem> {
        let marked = route.is_some_and(is_envoy_gateway);
        Ok(self.wanted(canary, routes)?.edit(spec, marked))
    }

    fn weight(&self, canary: &Canary, spec: &Value) -> Option<Weight> {
        self.wanted(canary, Routes::default()).ok()?.read(spec)
    }

    /// A gateway that cannot copy requests may say nothing of it and answer with errors, as Traefik 3.7 does.
    fn beyond(&self) -> Beyond {
        Beyond {
            matches: true,
            affinity: !self.of_mesh,
            ..Beyond::NOTHING
        }
    }

    fn acceptance(&self, canary: &Canary, route: &DynamicObject, seen: &Seen) -> Acceptance {
        let key = ObjectKey::new(Kind::HttpRoute, &canary.home(), canary.service_name());
        match self.wanted(canary, Routes::default()) {
            Ok(wanted) => acceptance::acceptance(&key, route, &wanted.parents, seen),
            Err(problem) => Acceptance::Pending(problem.message),
        }
    }

    /// Below a Service the route goes, since the Service answers without it; below a Gateway it may be all that answers a host.
    fn release(&self, canary: &Canary, mut spec: Value) -> Option<Value> {
        let parents = acceptance::parents(&spec, &canary.home());
        if !parents.is_empty() && parents.iter().all(Parent::is_service) {
            return None;
        }
        let (home, canary_name) = (canary.home(), canary.canary_service_name());
        for rule in spec["rules"].as_array_mut().into_iter().flatten() {
            release(rule, canary.service_name(), &canary_name, &home);
        }
        Some(spec)
    }
}

/// Takes the canary out of a rule; where it was alone, stable answers instead. Weight 1 is what the API takes for granted.
fn release(rule: &mut Value, stable: &str, canary: &str, home: &str) {
    let Some(entries) = rule["backendRefs"].as_array_mut() else {
        return;
    };
    let is = |entry: &Value, name: &str| backend(entry, home).is_some_and(|it| it.name == name);
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

/// Envoy Gateway builds one cluster for all backends of a rule unless one has a filter (envoyproxy/gateway#6742), so that its
/// metrics could not tell the arms apart.
fn is_envoy_gateway(route: &DynamicObject) -> bool {
    elements(&route.data["status"]["parents"])
        .iter()
        .filter_map(|parent| parent["controllerName"].as_str())
        .any(|controller| controller.contains("envoyproxy"))
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
    routes: Routes,
    matches: Vec<RequestMatch>,
    cohorts: Option<Cohorts<'a>>,
    of: &'a Canary,
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

    /// The weight of the canary in the first rule.
    fn read(&self, spec: &Value) -> Option<Weight> {
        let entries = elements(&elements(&spec["rules"]).first()?["backendRefs"]);
        let mut arms = backends(entries, &self.home);
        let percent = arms.find(|arm| self.is(arm, &self.canary))?.weight;
        let percent = u8::try_from(percent).ok();
        percent.filter(|percent| *percent <= 100).map(Weight::new)
    }

    fn is(&self, backend: &Backend<'_>, name: &str) -> bool {
        backend.name == name && backend.port == self.port
    }

    /// The fields of ours in this spec, put right; a spec that is right comes back as it is.
    fn edit(&self, spec: &Value, marked: bool) -> Value {
        let mut spec = spec.clone();
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
            let has = |name: &str| {
                let mut ours = backends(elements(&rule["backendRefs"]), &self.home);
                ours.any(|it| self.is(&it, name))
            };
            has(self.stable) && has(&self.canary)
        };
        let rule = elements(&spec["rules"]).iter().find(both).cloned();
        let rule = self.edit_rule(rule.unwrap_or_else(|| json!({})), marked);
        let mut rules = vec![rule];
        if !self.matches.is_empty() {
            rules.push(self.alone(true, &beyond::gateway_api(&self.matches), marked));
        }
        if let Some(cohorts) = self.cohorts {
            let kept = cohorts.kept();
            rules.extend(
                kept.map(|(canary, cookie)| self.alone(canary, &has_cookie(&cookie), marked)),
            );
        }
        spec["rules"] = Value::Array(rules);
        spec
    }

    fn edit_rule(&self, mut rule: Value, marked: bool) -> Value {
        let everything = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
        let entries = elements(&rule["backendRefs"]);
        let draws = affinity::draws(self.cohorts, self.routes.canary);
        let entry = |draw: Draw| {
            let mut entry = self.arm(entries, draw.canary, draw.weight, marked);
            set_cookie(&mut entry, self.of, draw.cookie.as_deref());
            entry
        };
        rule["backendRefs"] = draws.into_iter().map(entry).collect();
        if let Some(fields) = rule.as_object_mut() {
            if fields
                .get("matches")
                .is_some_and(|matches| *matches != everything)
            {
                fields.remove("matches");
            }
            set_within(fields, "timeouts", "request", self.timeout);
        }
        rule
    }

    /// A rule for some requests that go to one arm: more is asked of them, so it goes before the one with both.
    fn alone(&self, canary: bool, matches: &Value, marked: bool) -> Value {
        let arm = self.arm(&[], canary, 100, marked);
        let mut rule = json!({"matches": matches, "backendRefs": [arm]});
        if let Some(timeout) = self.timeout {
            rule["timeouts"] = json!({"request": timeout});
        }
        rule
    }

    fn arm(&self, entries: &[Value], canary: bool, weight: u8, marked: bool) -> Value {
        if !canary {
            return self.entry(entries, self.stable, weight);
        }
        let mut arm = self.entry(entries, &self.canary, weight);
        if marked {
            mark_requests(&mut arm);
        }
        arm
    }

    fn entry(&self, entries: &[Value], name: &str, weight: u8) -> Value {
        let is = |entry: &&Value| {
            backend(entry, &self.home).is_some_and(|backend| self.is(&backend, name))
        };
        let mut entry = entries.iter().find(is).cloned().unwrap_or_else(
            || json!({"group": "", "kind": "Service", "name": name, "port": self.port}),
        );
        entry["weight"] = json!(weight);
        entry
    }
}

/// The condition of a rule for those who have this cookie.
fn has_cookie(pattern: &str) -> Value {
    let header = json!({"type": "RegularExpression", "name": "cookie", "value": pattern});
    json!([{"path": {"type": "PathPrefix", "value": "/"}, "headers": [header]}])
}

/// Answers of a backend set this cookie and none other of ours.
fn set_cookie(entry: &mut Value, canary: &Canary, cookie: Option<&str>) {
    let mut filters = elements(&entry["filters"]).to_vec();
    filters.retain(|filter| {
        let set = &filter["responseHeaderModifier"]["add"][0];
        let said = set["value"].as_str().filter(|_| set["name"] == SET_COOKIE);
        !said.is_some_and(|said| affinity::is_ours(canary, said))
    });
    filters.extend(cookie.map(|cookie| {
        let add = json!([{"name": SET_COOKIE, "value": cookie}]);
        json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": add}})
    }));
    set_list(entry, "filters", filters);
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
