//! Provider `apisix`: a second ApisixRoute with both backends, which goes before the user's own (PROVIDERS 1.1).

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Kind, Labels, Seen};
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::beside::{Arms, Copier, Second};
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

    fn second(&self, arms: &Arms<'_>, first: &DynamicObject, routes: Routes) -> Option<Second> {
        let rules = elements(&first.data["spec"]["http"]).iter();
        let rules: Vec<Value> = rules
            .filter_map(|rule| copy(arms, rule, routes.canary))
            .collect();
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
        let rule = elements(&second.data["spec"]["http"]).first()?;
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

/// A rule that leads to stable, with a higher priority and both backends; other backends keep their share.
fn copy(arms: &Arms<'_>, rule: &Value, weight: Weight) -> Option<Value> {
    let backends = elements(&rule["backends"]);
    if !backends.iter().any(|backend| is(backend, arms.stable)) {
        return None;
    }
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
    copy["priority"] = json!(rule["priority"].as_i64().unwrap_or_default() + 1);
    Some(copy)
}

fn is(backend: &Value, service: &str) -> bool {
    backend["serviceName"].as_str() == Some(service)
}

fn said(backend: &Value) -> i64 {
    backend["weight"].as_i64().unwrap_or(UNSAID)
}
