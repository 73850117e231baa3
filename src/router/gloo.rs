//! Provider `gloo`: weights in a RouteTable, to which the user's VirtualService delegates (PROVIDERS 1.1).
//!
//! Gloo routes to Upstreams, which stand for Services; their status says of no generation that it is meant, so that a change is given
//! time to settle, too.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::crd::matching::{RequestMatch, TextMatch};
use crate::objects::{Kind, ObjectKey, Seen};
use crate::rollout::observed::{Acceptance, Problem, Routes, Weight};
use crate::router::acceptance::worst;
use crate::router::beyond::{self, Beyond};
use crate::router::companion::Companion;
use crate::router::form::{Form, GLOO, elements};
use crate::router::owned::{self, Maker, SETTLE_UNSEEN};
use crate::router::pair::Arms;
use crate::router::weighted::{Own, Weighted};
use crate::router::{spoken, unused};

/// The router of provider `gloo`.
pub(super) const ROUTER: Weighted = Weighted {
    settle_seconds: SETTLE_UNSEEN,
    forms: &GLOO,
    own: Own::Made(&RouteTables),
};

/// What the VirtualService says, and the RouteTable does not.
const UNUSED: [&str; 3] = ["gatewayRefs", "hosts", "timeout"];

/// Makes RouteTables: one route for all that is delegated to it, to the Upstreams of both Services.
#[derive(Clone, Copy, Debug)]
struct RouteTables;

const FORM: &Form = GLOO[0];

impl Maker for RouteTables {
    fn kind(&self) -> Kind {
        Kind::RouteTable
    }

    fn problems(&self, canary: &Canary) -> Vec<Problem> {
        unused(
            canary,
            &UNUSED,
            "the VirtualService that delegates to the RouteTable says that",
        )
    }

    fn fields(&self) -> &'static [&'static str] {
        &["routes"]
    }

    fn edit(
        &self,
        canary: &Canary,
        spec: &Value,
        routes: Routes,
        _: Option<&DynamicObject>,
    ) -> Result<Value, Problem> {
        let arms = arms(canary)?;
        let mut route = route(&arms, spec)
            .cloned()
            .unwrap_or_else(|| json!({"inheritablePathMatchers": true}));
        let home = canary.home();
        let standing = elements(destinations(&route));
        let new =
            |name: &str, _| json!({"destination": {"upstream": {"name": name, "namespace": home}}});
        let entries = arms.entries(standing, routes.canary, new);
        route["routeAction"] = json!({"multi": {"destinations": entries}});
        let matches = beyond::matches(canary, routes);
        let to = arms.named(true, |name, _| json!({"name": name, "namespace": home}));
        let alone = matches.iter().map(|request| {
            json!({
                "inheritablePathMatchers": true,
                "matchers": [matcher(request)],
                "routeAction": {"single": {"upstream": to}},
            })
        });
        let mut all: Vec<Value> = alone.collect();
        all.push(route);
        Ok(json!({"routes": all}))
    }

    fn beyond(&self) -> Beyond {
        Beyond {
            matches: true,
            ..Beyond::NOTHING
        }
    }

    fn weight(&self, canary: &Canary, spec: &Value) -> Option<Weight> {
        let arms = arms(canary).ok()?;
        arms.weight(elements(destinations(route(&arms, spec)?)))
    }

    fn acceptance(&self, canary: &Canary, route: &DynamicObject, seen: &Seen) -> Acceptance {
        let upstreams = self.companions(canary).into_iter();
        let upstreams = upstreams.filter_map(|upstream| {
            let object = seen.routes.get(&upstream.key)?;
            Some(acceptance(&upstream.key, object))
        });
        let table = acceptance(&owned::key(self, canary), route);
        worst(std::iter::once(table).chain(upstreams))
    }

    /// A VirtualService may lead a host here.
    fn release(&self, canary: &Canary, mut spec: Value) -> Option<Value> {
        let arms = arms(canary).ok()?;
        for route in spec["routes"].as_array_mut().into_iter().flatten() {
            if let Some(list) = route.pointer_mut("/routeAction/multi/destinations") {
                arms.release(list);
            }
        }
        Some(spec)
    }

    /// Without a selector: that of `<service>-canary` changes, and Gloo would send past the Service.
    fn companions(&self, canary: &Canary) -> Vec<Companion> {
        let Some(service) = &canary.spec.service else {
            return Vec::new();
        };
        let (stable, under_test) = upstreams(canary);
        let arms = [
            (stable, canary.service_name().to_owned(), false),
            (under_test, canary.canary_service_name(), true),
        ];
        let upstream = |(name, backend, is_of_canary): (String, String, bool)| Companion {
            key: ObjectKey::new(Kind::Upstream, &canary.home(), &name),
            spec: json!({"kube": {
                "serviceName": backend, "serviceNamespace": canary.home(), "servicePort": service.port,
            }}),
            is_of_canary,
        };
        arms.map(upstream).into()
    }
}

fn arms(canary: &Canary) -> Result<Arms, Problem> {
    let (stable, under_test) = upstreams(canary);
    Ok(Arms::of(FORM, canary)?.called(stable, under_test))
}

/// Names of the Upstreams of stable and the canary.
fn upstreams(canary: &Canary) -> (String, String) {
    let port = canary.spec.service.as_ref().map_or(0, |it| it.port);
    let (home, service) = (canary.home(), canary.service_name());
    let name = |arm: &str| format!("{home}-{service}-{arm}upstream-{port}");
    (name("stable"), name("canary"))
}

/// What a request has to say, beside the path that the VirtualService names. The first route that takes a request has it.
fn matcher(request: &RequestMatch) -> Value {
    let condition = |(name, text): (&String, &TextMatch)| match text.exact.as_deref() {
        Some(whole) => json!({"name": name, "value": whole}),
        None => json!({"name": name, "value": text.pattern(), "regex": true}),
    };
    let mut matcher = json!({});
    if !request.headers.is_empty() {
        matcher["headers"] = request.headers.iter().map(condition).collect();
    }
    if !request.query_params.is_empty() {
        matcher["queryParameters"] = request.query_params.iter().map(condition).collect();
    }
    matcher
}

fn destinations(route: &Value) -> &Value {
    &route["routeAction"]["multi"]["destinations"]
}

/// The route with both destinations.
fn route<'a>(arms: &Arms, spec: &'a Value) -> Option<&'a Value> {
    let mut routes = elements(&spec["routes"]).iter();
    routes.find(|route| arms.both(elements(destinations(route))))
}

/// The word of every Gloo that reports on an object; where none does, it counts. What is accepted with warnings is served.
pub(super) fn acceptance(key: &ObjectKey, object: &DynamicObject) -> Acceptance {
    let statuses = object.data["status"]["statuses"].as_object();
    let words = statuses.into_iter().flatten().map(|(reporter, status)| {
        let reason = status["reason"].as_str().unwrap_or_default();
        let said = |word: &str| format!("{}: {reporter} says {word} {reason}", spoken(key));
        match state(&status["state"]) {
            "Pending" => Acceptance::Pending(said("Pending").trim_end().to_owned()),
            "Rejected" => Acceptance::Rejected(said("Rejected").trim_end().to_owned()),
            _ => Acceptance::Accepted,
        }
    });
    worst(words)
}

/// A state by its name; older versions of Gloo write its number.
fn state(state: &Value) -> &str {
    match state.as_u64() {
        Some(0) => "Pending",
        Some(2) => "Rejected",
        Some(_) => "",
        None => state.as_str().unwrap_or_default(),
    }
}
