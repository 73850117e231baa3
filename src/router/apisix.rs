//! Provider `apisix`: a second ApisixRoute with both backends, which goes before the user's own (PROVIDERS 1.1).

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::Canary;
use crate::crd::matching::{RequestMatch, TextMatch};
use crate::objects::{Kind, Labels, Seen};
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::beside::{Arms, Copier, Second};
use crate::router::beyond::{self, Beyond};
use crate::router::form::{APISIX, elements};
use crate::router::owned::SETTLE_UNSEEN;
use crate::router::weighted::{Own, Weighted};

/// The router of provider `apisix`. Its word on a route has no generation that could be relied on, so a change is given time.
pub(super) const ROUTER: Weighted = Weighted {
    settle_seconds: SETTLE_UNSEEN,
    forms: &APISIX,
    own: Own::Beside(&ApisixRoutes),
};

/// The weight of a backend that says none.
const UNSAID: i64 = 100;

/// Copies those rules of the user's route that lead to stable.
#[derive(Clone, Copy, Debug)]
struct ApisixRoutes;

impl Copier for ApisixRoutes {
    fn kind(&self) -> Kind {
        Kind::ApisixRoute
    }

    fn field(&self) -> &'static str {
        "spec.routeRef"
    }

    fn names(&self, canary: &Canary) -> Option<(String, String)> {
        let first = canary.spec.route_ref.as_ref()?;
        Some((first.name.clone(), canary.route_copy_name()?))
    }

    fn beyond(&self) -> Beyond {
        Beyond {
            matches: true,
            ..Beyond::NOTHING
        }
    }

    fn second(&self, arms: &Arms<'_>, first: &DynamicObject, routes: Routes) -> Option<Second> {
        let rules = elements(&first.data["spec"]["http"]).iter();
        let rules = rules.filter(|rule| leads(rule, arms.stable));
        let matches = beyond::matches(arms.of, routes);
        let copies = |rule: &Value| {
            let numbered = (1..).zip(&matches);
            let alone = numbered.map(|(number, request)| matched(arms, rule, number, request));
            let mut copies: Vec<Value> = alone.collect();
            copies.push(copy(arms, rule, routes.canary));
            copies
        };
        let rules: Vec<Value> = rules.flat_map(copies).collect();
        if rules.is_empty() {
            return None;
        }
        let mut spec = Map::from_iter([("http".to_owned(), Value::Array(rules))]);
        if let Some(class) = first.data["spec"].get("ingressClassName") {
            spec.insert("ingressClassName".to_owned(), class.clone());
        }
        Some(Second {
            annotations: Labels::new(),
            spec: Value::Object(spec),
        })
    }

    fn weight(&self, arms: &Arms<'_>, second: &DynamicObject) -> Option<Weight> {
        let mut rules = elements(&second.data["spec"]["http"]).iter();
        let rule = rules.find(|rule| leads(rule, arms.stable))?;
        let backends = elements(&rule["backends"]).iter();
        let of = |name: &str| backends.clone().find(|it| is(it, name)).map(said);
        let (stable, canary) = (of(arms.stable)?, of(&arms.canary)?);
        let percent = canary.checked_mul(100)?.checked_div(stable + canary)?;
        u8::try_from(percent).ok().map(Weight::new)
    }

    fn problems(&self, _: &Canary, _: &Seen) -> Vec<Problem> {
        Vec::new()
    }
}

/// Whether a rule has this backend.
fn leads(rule: &Value, service: &str) -> bool {
    elements(&rule["backends"]).iter().any(|it| is(it, service))
}

/// The rule for those of its requests that are described so; no two rules of an ApisixRoute have one name.
fn matched(arms: &Arms<'_>, rule: &Value, number: usize, request: &RequestMatch) -> Value {
    let condition = |scope: &str, (name, text): (&String, &TextMatch)| {
        let (op, value) = match text.exact.as_deref() {
            Some(whole) => ("Equal", whole.to_owned()),
            None => ("RegexMatch", text.anchored()),
        };
        json!({"subject": {"scope": scope, "name": name}, "op": op, "value": value})
    };
    let mut matched = rule.clone();
    let mut conditions = elements(&rule["match"]["exprs"]).to_vec();
    let headers = request.headers.iter();
    conditions.extend(headers.map(|header| condition("Header", header)));
    let queries = request.query_params.iter();
    conditions.extend(queries.map(|query| condition("Query", query)));
    matched["match"]["exprs"] = Value::Array(conditions);
    let name = rule["name"].as_str().unwrap_or_default();
    matched["name"] = json!(format!("{name}-match-{number}"));
    matched["priority"] = json!(priority(rule) + 2);
    let to = elements(&rule["backends"]).iter();
    let to = to.filter(|backend| is(backend, arms.stable)).take(1);
    let to = to.map(|backend| {
        let mut backend = backend.clone();
        backend["serviceName"] = json!(arms.canary);
        backend["weight"] = json!(100);
        backend
    });
    matched["backends"] = to.collect();
    matched
}

fn priority(rule: &Value) -> i64 {
    rule["priority"].as_i64().unwrap_or_default()
}

/// A rule that leads to stable, with a higher priority and both backends; other backends keep their share.
fn copy(arms: &Arms<'_>, rule: &Value, weight: Weight) -> Value {
    let backends = elements(&rule["backends"]);
    let is_alone = backends.len() == 1;
    let split = |backend: &Value| {
        let weighted = |share: i64, name: Option<&str>| {
            let mut backend = backend.clone();
            backend["weight"] = json!(share);
            if let Some(name) = name {
                backend["serviceName"] = json!(name);
            }
            backend
        };
        let unit = if is_alone { 1 } else { said(backend) };
        let percent = i64::from(weight.percent());
        if is(backend, arms.stable) {
            let stable = weighted(unit * (100 - percent), None);
            vec![stable, weighted(unit * percent, Some(&arms.canary))]
        } else {
            vec![weighted(unit * 100, None)]
        }
    };
    let mut copy = rule.clone();
    copy["backends"] = backends.iter().flat_map(split).collect();
    copy["priority"] = json!(priority(rule) + 1);
    copy
}

fn is(backend: &Value, service: &str) -> bool {
    backend["serviceName"].as_str() == Some(service)
}

fn said(backend: &Value) -> i64 {
    backend["weight"].as_i64().unwrap_or(UNSAID)
}
