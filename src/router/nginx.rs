//! Provider `nginx`: a canary Ingress of ingress-nginx (PROVIDERS 1.1). The project was retired in March 2026.

use serde_json::Value;

use crate::crd::canary::Canary;
use crate::crd::matching::RequestMatch;
use crate::objects::{Labels, Seen};
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::beside::Arms;
use crate::router::beyond::{self, Beyond};
use crate::router::ingress::{self, Ingresses, Splitter, leading_to};
use crate::router::weighted::Weighted;
use crate::router::{refusal, warning};

/// The router of provider `nginx`.
pub(super) const ROUTER: Weighted = ingress::router(&Ingresses(&Nginx));

const CANARY: &str = "nginx.ingress.kubernetes.io/canary";
const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";
const TOTAL: &str = "nginx.ingress.kubernetes.io/canary-weight-total";
const BY_HEADER: &str = "nginx.ingress.kubernetes.io/canary-by-header";
const BY_VALUE: &str = "nginx.ingress.kubernetes.io/canary-by-header-value";
const BY_PATTERN: &str = "nginx.ingress.kubernetes.io/canary-by-header-pattern";
const BY_COOKIE: &str = "nginx.ingress.kubernetes.io/canary-by-cookie";

/// The header of which ingress-nginx reads single cookies.
const COOKIE: &str = "cookie";

/// Splits by annotations; all others are taken from the first Ingress by ingress-nginx itself.
#[derive(Clone, Copy, Debug)]
struct Nginx;

impl Splitter for Nginx {
    fn beyond(&self) -> Beyond {
        Beyond {
            matches: true,
            ..Beyond::NOTHING
        }
    }

    fn annotations(&self, arms: &Arms<'_>, routes: Routes) -> Labels {
        let share = [
            (CANARY, "true".to_owned()),
            (WEIGHT, routes.canary.percent().to_string()),
            (TOTAL, "100".to_owned()),
        ];
        let matches = beyond::matches(arms.of, routes);
        share
            .into_iter()
            .chain(matches.iter().flat_map(annotations))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
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
        let matches = beyond::all_matches(canary);
        let unspeakable = (!is_speakable(&matches)).then(|| {
            refusal(
                "ProviderUnavailable",
                "spec.analysis: an Ingress of ingress-nginx can name one header, and one cookie whose value is `always` (headers: {cookie: {exact: NAME}}), each in an entry of its own; write no more than these in match and in setHeaderRoute, or choose another provider".to_owned(),
            )
        });
        let retired = warning(
            "ProviderRetired",
            "spec.provider: ingress-nginx has been retired by its makers in March 2026; gatewayapi:v1 works with every gateway that followed it".to_owned(),
        );
        let refused = recreated.into_iter().chain(unspeakable);
        refused.chain([retired]).collect()
    }
}

/// One header and one cookie at most, each in an entry of its own: ingress-nginx takes a request that has either.
fn is_speakable(matches: &[RequestMatch]) -> bool {
    let single = |request: &RequestMatch| {
        let cookie = request.headers.get(COOKIE);
        let named = cookie.is_none_or(|cookie| cookie.exact.is_some());
        request.headers.len() == 1 && request.query_params.is_empty() && named
    };
    let cookies = matches.iter().filter(|it| it.headers.contains_key(COOKIE));
    let cookies = cookies.count();
    matches.iter().all(single) && cookies <= 1 && matches.len() - cookies <= 1
}

/// How the second Ingress says one of them.
fn annotations(request: &RequestMatch) -> Vec<(&'static str, String)> {
    let Some((name, text)) = request.headers.first_key_value() else {
        return Vec::new();
    };
    match text.exact.as_deref() {
        Some(cookie) if name == COOKIE => vec![(BY_COOKIE, cookie.to_owned())],
        Some(whole) => vec![(BY_HEADER, name.clone()), (BY_VALUE, whole.to_owned())],
        None => vec![(BY_HEADER, name.clone()), (BY_PATTERN, text.anchored())],
    }
}
