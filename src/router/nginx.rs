//! Provider `nginx`: a canary Ingress of ingress-nginx (PROVIDERS 1.1). The project was retired in March 2026.

use serde_json::Value;

use crate::crd::canary::Canary;
use crate::objects::{Labels, Seen};
use crate::rollout::observed::{Problem, Weight};
use crate::router::beside::Arms;
use crate::router::ingress::{self, Ingresses, Splitter, leading_to};
use crate::router::weighted::Weighted;
use crate::router::{refusal, warning};

/// The router of provider `nginx`.
pub(super) const ROUTER: Weighted = ingress::router(&Ingresses(&Nginx));

const CANARY: &str = "nginx.ingress.kubernetes.io/canary";
const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";
const TOTAL: &str = "nginx.ingress.kubernetes.io/canary-weight-total";

/// Splits by annotations; all others are taken from the first Ingress by ingress-nginx itself.
#[derive(Clone, Copy, Debug)]
struct Nginx;

impl Splitter for Nginx {
    fn annotations(&self, _: &Arms<'_>, weight: Weight) -> Labels {
        let annotations = [
            (CANARY, "true".to_owned()),
            (WEIGHT, weight.percent().to_string()),
            (TOTAL, "100".to_owned()),
        ];
        annotations
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    fn weight(&self, _: &Arms<'_>, annotations: &Labels) -> Option<Weight> {
        let percent: u8 = annotations.get(WEIGHT)?.parse().ok()?;
        (percent <= 100).then(|| Weight::new(percent))
    }

    fn paths(&self, arms: &Arms<'_>, path: &Value) -> Vec<Value> {
        vec![leading_to(path, &arms.canary)]
    }

    /// Even at 100 % it answers 503 while the first Ingress has no endpoint (kubernetes/ingress-nginx#9635).
    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem> {
        let target = seen.deployments.get(canary.target_name());
        let recreates = target.is_some_and(|target| target.recreate);
        let recreated = recreates.then(|| {
            refusal(
                "ProviderUnavailable",
                format!(
                    "spec.provider: ingress-nginx answers 503 whenever stable has no Pod, whatever the canary's share, and Deployment {} has the strategy Recreate: set it to RollingUpdate, or choose another provider",
                    canary.target_name()
                ),
            )
        });
        let retired = warning(
            "ProviderRetired",
            "spec.provider: ingress-nginx has been retired by its makers in March 2026; gatewayapi:v1 works with every gateway that followed it".to_owned(),
        );
        recreated.into_iter().chain([retired]).collect()
    }
}
