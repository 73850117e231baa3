//! Provider `skipper`: a second Ingress with both backends, which goes before the user's own (PROVIDERS 1.1).

use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Labels, Seen};
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::beside::Arms;
use crate::router::ingress::{self, Ingresses, Splitter, leading_to};
use crate::router::weighted::Weighted;

/// The router of provider `skipper`.
pub(super) const ROUTER: Weighted = ingress::router(&Ingresses(&Skipper));

const WEIGHTS: &str = "zalando.org/backend-weights";
const PREDICATE: &str = "zalando.org/skipper-predicate";

/// Splits by weights of backends. The predicate puts its routes before those of the first Ingress, which match as much.
#[derive(Clone, Copy, Debug)]
struct Skipper;

impl Splitter for Skipper {
    fn annotations(&self, arms: &Arms<'_>, routes: Routes) -> Labels {
        let percent = routes.canary.percent();
        let weights = json!({arms.stable: 100 - percent, arms.canary.as_str(): percent});
        let annotations = [
            (WEIGHTS, weights.to_string()),
            (PREDICATE, "Weight(100)".to_owned()),
        ];
        annotations
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    fn weight(&self, arms: &Arms<'_>, annotations: &Labels) -> Option<Weight> {
        let weights: Value = serde_json::from_str(annotations.get(WEIGHTS)?).ok()?;
        let of = |name: &str| weights[name].as_u64();
        let (stable, canary) = (of(arms.stable)?, of(&arms.canary)?);
        (stable + canary == 100)
            .then(|| u8::try_from(canary).ok())
            .flatten()
            .map(Weight::new)
    }

    fn paths(&self, arms: &Arms<'_>, path: &Value) -> Vec<Value> {
        vec![path.clone(), leading_to(path, &arms.canary)]
    }

    fn problems(&self, _: &Canary, _: &Seen) -> Vec<Problem> {
        Vec::new()
    }
}
