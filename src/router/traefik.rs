//! Provider `traefik`: weights in a TraefikService, to which the user's IngressRoute sends (PROVIDERS 1.1).
//!
//! Traefik says nothing of what it has read, so a change counts at once and is given time to settle.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::Kind;
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::form::{Form, TRAEFIK, elements};
use crate::router::owned::{Maker, SETTLE_UNSEEN};
use crate::router::pair::Arms;
use crate::router::unused;
use crate::router::weighted::{Own, Weighted};

/// The router of provider `traefik`.
pub(super) const ROUTER: Weighted = Weighted {
    settle_seconds: SETTLE_UNSEEN,
    forms: &TRAEFIK,
    own: Own::Made(&TraefikServices),
};

/// What the IngressRoute says, and the TraefikService cannot.
const UNUSED: [&str; 3] = ["gatewayRefs", "hosts", "timeout"];

/// Makes TraefikServices. Weights are ours, and what else stands in `weighted`, such as a cookie, is whoever's wrote it.
#[derive(Clone, Copy, Debug)]
struct TraefikServices;

const FORM: &Form = TRAEFIK[0];

impl Maker for TraefikServices {
    fn kind(&self) -> Kind {
        Kind::TraefikService
    }

    fn problems(&self, canary: &Canary) -> Vec<Problem> {
        unused(
            canary,
            &UNUSED,
            "the IngressRoute that sends to the TraefikService says that",
        )
    }

    fn fields(&self) -> &'static [&'static str] {
        &["weighted"]
    }

    fn edit(
        &self,
        canary: &Canary,
        spec: &Value,
        routes: Routes,
        _: Option<&DynamicObject>,
    ) -> Result<Value, Problem> {
        let arms = Arms::of(FORM, canary)?;
        let mut spec = spec.clone();
        let standing = elements(&spec["weighted"]["services"]);
        let new = |name: &str, port: i64| json!({"name": name, "port": port});
        // While a backend has no ready Pod Traefik answers nothing on the route, whatever its weight.
        spec["weighted"]["services"] = if routes.canary == Weight::ZERO {
            arms.stable_alone(standing, new)
        } else {
            arms.entries(standing, routes.canary, new)
        };
        Ok(spec)
    }

    fn weight(&self, canary: &Canary, spec: &Value) -> Option<Weight> {
        let arms = Arms::of(FORM, canary).ok()?;
        let standing = elements(&spec["weighted"]["services"]);
        let none = !standing.is_empty() && !arms.both(standing);
        arms.weight(standing).or(none.then_some(Weight::ZERO))
    }

    /// An IngressRoute may send to it.
    fn release(&self, canary: &Canary, mut spec: Value) -> Option<Value> {
        let arms = Arms::of(FORM, canary).ok()?;
        arms.release(&mut spec["weighted"]["services"]);
        Some(spec)
    }
}
