//! Provider `contour`: weights in an HTTPProxy without a virtual host, which the user's own includes (PROVIDERS 1.1).

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::crd::matching::RequestMatch;
use crate::objects::{Kind, ObjectKey};
use crate::rollout::observed::{Acceptance, Problem, Routes, Weight};
use crate::router::acceptance::fulfilled;
use crate::router::beyond::{self, Beyond};
use crate::router::form::{CONTOUR, Form, elements};
use crate::router::owned::{Maker, set_within};
use crate::router::pair::Arms;
use crate::router::weighted::{Own, Weighted};
use crate::router::{spoken, unused};

/// The router of provider `contour`. Contour says what it has taken up.
pub(super) const ROUTER: Weighted = Weighted {
    settle_seconds: 5,
    forms: &CONTOUR,
    own: Own::Made(&HttpProxies),
};

/// What the HTTPProxy with the virtual host says.
const UNUSED: [&str; 2] = ["gatewayRefs", "hosts"];

/// Makes HTTPProxies: one route for every path, with both backends, and a limit for the response.
#[derive(Clone, Copy, Debug)]
struct HttpProxies;

const FORM: &Form = CONTOUR[0];

impl Maker for HttpProxies {
    fn kind(&self) -> Kind {
        Kind::HttpProxy
    }

    fn problems(&self, canary: &Canary) -> Vec<Problem> {
        unused(
            canary,
            &UNUSED,
            "the HTTPProxy that includes the generated one says that",
        )
    }

    /// `routes` is one value for server-side apply.
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
        let arms = Arms::of(FORM, canary)?;
        let mut route = route(&arms, spec)
            .cloned()
            .unwrap_or_else(|| json!({"conditions": [{"prefix": "/"}]}));
        let standing = elements(&route["services"]);
        route["services"] = arms.entries(standing, routes.canary, service_of);
        mirror(&arms, &mut route["services"], routes.mirror);
        let service = canary.spec.service.as_ref();
        let timeout = service.and_then(|service| service.timeout.as_deref());
        if let Some(fields) = route.as_object_mut() {
            set_within(fields, "timeoutPolicy", "response", timeout);
        }
        let matches = beyond::matches(canary, routes);
        let mut all: Vec<Value> = matches
            .iter()
            .map(|request| matched(&arms, request, &route))
            .collect();
        all.push(route);
        Ok(json!({"routes": all}))
    }

    fn beyond(&self) -> Beyond {
        Beyond {
            matches: true,
            mirror: true,
            ..Beyond::NOTHING
        }
    }

    fn mirror(&self, canary: &Canary, spec: &Value) -> Weight {
        let arms = Arms::of(FORM, canary).ok();
        let route = arms.as_ref().and_then(|arms| route(arms, spec));
        let services = route.map_or(&[][..], |route| elements(&route["services"]));
        let copies = services.iter().find(|service| !Form::shares(service));
        copies.map_or(Weight::ZERO, |copies| beyond::copied(&copies["weight"]))
    }

    fn weight(&self, canary: &Canary, spec: &Value) -> Option<Weight> {
        let arms = Arms::of(FORM, canary).ok()?;
        arms.weight(elements(&route(&arms, spec)?["services"]))
    }

    /// The one that includes it may lead a host here.
    fn release(&self, canary: &Canary, mut spec: Value) -> Option<Value> {
        let arms = Arms::of(FORM, canary).ok()?;
        for route in spec["routes"].as_array_mut().into_iter().flatten() {
            arms.release(&mut route["services"]);
        }
        Some(spec)
    }
}

/// An entry of a list of services.
fn service_of(name: &str, port: i64) -> Value {
    json!({"name": name, "port": port})
}

/// The route for one description of requests. Contour takes the one with the most conditions.
fn matched(arms: &Arms, request: &RequestMatch, weighted: &Value) -> Value {
    let service = arms.canary_alone(Weight::ALL, service_of);
    let mut route = json!({"conditions": beyond::contour(request), "services": [service]});
    if let Some(policy) = weighted.get("timeoutPolicy") {
        route["timeoutPolicy"] = policy.clone();
    }
    route
}

/// Copies of requests go to the canary, or do not. Of weight 0 Contour would make copies of all requests.
fn mirror(arms: &Arms, services: &mut Value, share: Weight) {
    if let Some(services) = services.as_array_mut()
        && share > Weight::ZERO
    {
        let mut copies = arms.canary_alone(share, service_of);
        copies["mirror"] = json!(true);
        services.push(copies);
    }
}

/// The route with both backends.
fn route<'a>(arms: &Arms, spec: &'a Value) -> Option<&'a Value> {
    let mut routes = elements(&spec["routes"]).iter();
    routes.find(|route| arms.both(elements(&route["services"])))
}

/// Contour's word. A proxy that nobody includes yet will be looked at again once somebody does.
pub(super) fn acceptance(key: &ObjectKey, route: &DynamicObject) -> Acceptance {
    let status = &route.data["status"];
    if status["currentStatus"].as_str() == Some("orphaned") {
        return Acceptance::Pending(format!(
            "{}: no HTTPProxy with a virtual host includes it yet",
            spoken(key)
        ));
    }
    let generation = route.metadata.generation.unwrap_or_default();
    fulfilled(&status["conditions"], "Valid", generation, &spoken(key))
}
