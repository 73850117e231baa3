//! Provider `istio`: weights in a VirtualService, for the mesh, for gateways, or to be delegated to (PROVIDERS 1.1).
//!
//! Most installations write no status, so a change counts at once and is given time to settle.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::{Canary, CanaryService};
use crate::objects::Kind;
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::affinity::{self, Draw, SET_COOKIE};
use crate::router::beyond::{self, Beyond};
use crate::router::form::{Form, ISTIO, elements};
use crate::router::owned::{Maker, SETTLE_UNSEEN};
use crate::router::pair::Arms;
use crate::router::weighted::{Own, Weighted};
use crate::router::{refusal, unused, warning};

/// The router of provider `istio`.
pub(super) const ROUTER: Weighted = Weighted {
    settle_seconds: SETTLE_UNSEEN,
    forms: &ISTIO,
    own: Own::Made(&VirtualServices),
};

/// The gateway that stands for all sidecars.
const MESH: &str = "mesh";

/// The host that stands for all.
const EVERYTHING: &str = "*";

/// Fields of a rule that are taken out: they would send other requests, or send them elsewhere.
const FOREIGN: [&str; 4] = ["match", "redirect", "directResponse", "delegate"];

/// Makes VirtualServices: hosts, gateways and one rule with both backends.
#[derive(Clone, Copy, Debug)]
struct VirtualServices;

const FORM: &Form = ISTIO[0];

impl Maker for VirtualServices {
    fn kind(&self) -> Kind {
        Kind::VirtualService
    }

    fn problems(&self, canary: &Canary) -> Vec<Problem> {
        let mut problems = unused(
            canary,
            &["gatewayRefs"],
            "name Istio's Gateways in spec.service.gateways",
        );
        if let Some(service) = &canary.spec.service {
            problems.extend(delegation(service));
            problems.extend(outside_the_mesh(service));
            problems.extend(everything_in_the_mesh(service));
        }
        problems
    }

    /// `http` and `tcp` are one value each for server-side apply.
    fn fields(&self) -> &'static [&'static str] {
        &["hosts", "gateways", "http", "tcp"]
    }

    fn edit(
        &self,
        canary: &Canary,
        spec: &Value,
        routes: Routes,
        _: Option<&DynamicObject>,
    ) -> Result<Value, Problem> {
        let arms = Arms::of(FORM, canary)?;
        let (service, protocol) = (canary.spec.service.as_ref(), protocol(canary));
        let mut rule = rule(&arms, spec, protocol)
            .cloned()
            .unwrap_or_else(|| json!({}));
        let standing = elements(&rule["route"]);
        let cohorts = affinity::cohorts(canary, routes);
        let entry = |draw: Draw| {
            let mut entry = arms.entry(standing, draw.canary, draw.weight, destination);
            set_cookie(&mut entry, canary, draw.cookie.as_deref());
            entry
        };
        let draws = affinity::draws(cohorts, routes.canary).into_iter();
        rule["route"] = draws.map(entry).collect();
        if let Some(fields) = rule.as_object_mut() {
            fields.retain(|name, _| !FOREIGN.contains(&name.as_str()));
            match service.and_then(|service| service.timeout.as_deref()) {
                Some(timeout) if protocol == "http" => {
                    fields.insert("timeout".into(), json!(timeout));
                }
                _ => drop(fields.remove("timeout")),
            }
            mirror(fields, &canary.canary_service_name(), routes.mirror);
        }
        let mut rules = Vec::new();
        let matches = beyond::matches(canary, routes);
        if !matches.is_empty() {
            rules.push(alone(&arms, true, &beyond::istio(&matches), &rule));
        }
        if let Some(cohorts) = cohorts {
            let kept = cohorts.kept();
            let has = |cookie: String| json!([{"headers": {"cookie": {"regex": cookie}}}]);
            rules.extend(kept.map(|(canary, cookie)| alone(&arms, canary, &has(cookie), &rule)));
        }
        rules.push(rule);
        let rules = service
            .map(|service| sides(rules.clone(), service))
            .unwrap_or(rules);
        let mut edited = json!({protocol: rules});
        if let Some(service) = service.filter(|service| !service.delegation) {
            edited["hosts"] = json!(hosts(service, &names(canary)));
            if !service.gateways.is_empty() {
                edited["gateways"] = json!(service.gateways);
            }
        }
        Ok(edited)
    }

    fn beyond(&self) -> Beyond {
        Beyond {
            matches: true,
            mirror: true,
            affinity: true,
        }
    }

    fn mirror(&self, canary: &Canary, spec: &Value) -> Weight {
        let arms = Arms::of(FORM, canary).ok();
        let rule = arms.and_then(|arms| rule(&arms, spec, protocol(canary)));
        let share = rule.and_then(|rule| rule["mirrors"][0]["percentage"]["value"].as_f64());
        share.map_or(Weight::ZERO, |percent| {
            Weight::new(percent.clamp(0.0, 100.0) as u8)
        })
    }

    fn weight(&self, canary: &Canary, spec: &Value) -> Option<Weight> {
        let arms = Arms::of(FORM, canary).ok()?;
        arms.weight(elements(&rule(&arms, spec, protocol(canary))?["route"]))
    }

    /// In the mesh a Service answers without it; its other hosts, gateways, and VirtualServices that delegate to it, do not.
    fn release(&self, canary: &Canary, mut spec: Value) -> Option<Value> {
        let service = canary.spec.service.as_ref()?;
        let names = names(canary);
        let is_missed = service.delegation
            || service.gateways.iter().any(|gateway| gateway != MESH)
            || service.hosts.iter().any(|host| !names.contains(host));
        if !is_missed {
            return None;
        }
        let arms = Arms::of(FORM, canary).ok()?;
        for rule in spec[protocol(canary)].as_array_mut().into_iter().flatten() {
            arms.release(&mut rule["route"]);
        }
        Some(spec)
    }
}

/// An entry of a list of destinations.
fn destination(host: &str, _: i64) -> Value {
    json!({"destination": {"host": host}})
}

/// The rules for where requests come from. A request from inside keeps the port that it was sent to. One from outside comes to the
/// gateway's port, so that its destinations name the Service's. Where both come each side has rules of its own, inside first.
fn sides(rules: Vec<Value>, service: &CanaryService) -> Vec<Value> {
    let gateways = service.gateways.iter().map(String::as_str);
    let (inside, outside): (Vec<_>, Vec<_>) = gateways.partition(|gateway| *gateway == MESH);
    if outside.is_empty() && !service.delegation {
        return ported(rules, None);
    }
    let named = ported(rules.clone(), Some(service.port));
    if inside.is_empty() {
        return named;
    }
    let both = [(ported(rules, None), inside), (named, outside)].into_iter();
    both.flat_map(|(rules, from)| rules.into_iter().map(move |rule| of(rule, &from)))
        .collect()
}

/// The rules with this port in all of their destinations, or with none.
fn ported(mut rules: Vec<Value>, port: Option<i32>) -> Vec<Value> {
    let lists = rules.iter_mut().flat_map(|rule| {
        let fields = rule.as_object_mut().into_iter().flatten();
        fields.filter(|(name, _)| ["route", "mirrors"].contains(&name.as_str()))
    });
    let entries = lists.filter_map(|(_, list)| list.as_array_mut()).flatten();
    for destination in entries.filter_map(|entry| entry["destination"].as_object_mut()) {
        match port {
            Some(port) => destination.insert("port".to_owned(), json!({"number": port})),
            None => destination.remove("port"),
        };
    }
    rules
}

/// A rule for what comes from these gateways alone.
fn of(mut rule: Value, gateways: &[&str]) -> Value {
    let mut matches = elements(&rule["match"]).to_vec();
    if matches.is_empty() {
        matches.push(json!({}));
    }
    for one in &mut matches {
        one["gateways"] = json!(gateways);
    }
    rule["match"] = Value::Array(matches);
    rule
}

/// A rule for some requests that go to one arm, which stands before the one with both.
fn alone(arms: &Arms, canary: bool, matches: &Value, weighted: &Value) -> Value {
    let mut rule = json!({
        "match": matches,
        "route": [arms.entry(&[], canary, 100, destination)],
    });
    if let Some(timeout) = weighted.get("timeout") {
        rule["timeout"] = timeout.clone();
    }
    rule
}

/// Answers of a destination set this cookie and none other of ours.
fn set_cookie(entry: &mut Value, canary: &Canary, cookie: Option<&str>) {
    const ADDED: &str = "/headers/response/add";
    let said = entry
        .pointer(ADDED)
        .and_then(|added| added[SET_COOKIE].as_str());
    if cookie.is_none() && !said.is_some_and(|said| affinity::is_ours(canary, said)) {
        return;
    }
    if let Some(cookie) = cookie {
        entry["headers"]["response"]["add"][SET_COOKIE] = json!(cookie);
        return;
    }
    // What held nothing else goes with it.
    for (outer, inner) in [
        (ADDED, SET_COOKIE),
        ("/headers/response", "add"),
        ("/headers", "response"),
        ("", "headers"),
    ] {
        let Some(fields) = entry.pointer_mut(outer).and_then(Value::as_object_mut) else {
            return;
        };
        let empty = fields
            .get(inner)
            .and_then(Value::as_object)
            .is_none_or(Map::is_empty);
        if empty {
            fields.remove(inner);
        }
    }
}

/// Copies of requests go to the canary, or do not.
fn mirror(fields: &mut Map<String, Value>, canary: &str, share: Weight) {
    if share == Weight::ZERO {
        fields.remove("mirrors");
        return;
    }
    let copies =
        json!([{"destination": {"host": canary}, "percentage": {"value": share.percent()}}]);
    fields.insert("mirrors".to_owned(), copies);
}

/// The list in which the rule stands.
fn protocol(canary: &Canary) -> &'static str {
    let service = canary.spec.service.as_ref();
    match service.and_then(|service| service.app_protocol.as_deref()) {
        Some("tcp") => "tcp",
        _ => "http",
    }
}

/// The rule with both backends.
fn rule<'a>(arms: &Arms, spec: &'a Value, protocol: &str) -> Option<&'a Value> {
    let mut rules = elements(&spec[protocol]).iter();
    rules.find(|rule| arms.both(elements(&rule["route"])))
}

/// What the Service is called in the mesh: by its name, and by that in full. With some dots Istio takes a name for a full one.
fn names(canary: &Canary) -> [String; 2] {
    let (apex, home) = (canary.service_name(), canary.home());
    [apex.to_owned(), format!("{apex}.{home}.svc.cluster.local")]
}

/// In the mesh the Service is a host, too, by its own name.
fn hosts(service: &CanaryService, [apex, full]: &[String; 2]) -> Vec<String> {
    let mut hosts = service.hosts.clone();
    let there = |host: &String| host == EVERYTHING || host == apex || host == full;
    if !hosts.iter().any(there) {
        hosts.insert(0, apex.clone());
    }
    hosts
}

/// A VirtualService that is delegated to has neither hosts nor gateways, and routes HTTP.
fn delegation(service: &CanaryService) -> Option<Problem> {
    if !service.delegation {
        return None;
    }
    let wrong = [
        ("hosts", !service.hosts.is_empty()),
        ("gateways", !service.gateways.is_empty()),
        (
            "appProtocol",
            service.app_protocol.as_deref() == Some("tcp"),
        ),
    ];
    let (field, _) = wrong.into_iter().find(|(_, wrong)| *wrong)?;
    let message = format!(
        "spec.service.{field}: a VirtualService that is delegated to routes HTTP, and the one that delegates to it says where from; take {field} out, or set spec.service.delegation to false"
    );
    Some(refusal("RouteNotReady", message))
}

/// Gateways without `mesh`: who calls the Service from inside sees stable alone.
fn outside_the_mesh(service: &CanaryService) -> Option<Problem> {
    let gateways = &service.gateways;
    if gateways.is_empty() || gateways.iter().any(|gateway| gateway == MESH) {
        return None;
    }
    Some(warning(
        "RouteNotReady",
        "spec.service.gateways: without `mesh` in the list, requests from inside the mesh never see the canary; add it if they should".to_owned(),
    ))
}

/// Istio refuses a VirtualService for all hosts of the mesh.
fn everything_in_the_mesh(service: &CanaryService) -> Option<Problem> {
    let inside = service.gateways.is_empty() || service.gateways.iter().any(|it| it == MESH);
    let everything = service.hosts.iter().any(|host| host == EVERYTHING);
    let message = "spec.service.hosts: Istio takes `*` at gateways alone, not in the mesh; name the hosts, or name gateways without `mesh` in spec.service.gateways";
    (inside && everything && !service.delegation)
        .then(|| refusal("RouteNotReady", message.to_owned()))
}
