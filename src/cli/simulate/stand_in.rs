//! What is played in place of routes that the simulated cluster does not have.

use serde_json::{Value, json};

use crate::cli::simulate::files::Manifest;
use crate::crd::canary::{Canary, ParentRef};
use crate::crd::refusals;

/// Providers whose routes are known to the simulated cluster.
const KNOWN: [&str; 3] = ["gatewayapi:v1", "kubernetes", "none"];

/// The Gateway that takes the traffic.
const GATEWAY: &str = "simulated";

/// Lets a route of the Gateway API stand in for those of another provider: plan, checks and durations are the same. What it says is
/// told to the reader. A Canary that is refused by its own words stays as it is, to be refused.
pub(super) fn play(manifest: &mut Manifest, canary: &mut Canary) -> Option<String> {
    let provider = canary.spec.provider.clone()?;
    if KNOWN.contains(&provider.as_str()) || !refusals::refusals(canary).is_empty() {
        return None;
    }
    let spec = &mut canary.spec;
    spec.provider = Some(KNOWN[0].to_owned());
    spec.ingress_ref = None;
    spec.route_ref = None;
    spec.route_refs.clear();
    if let Some(service) = &mut spec.service {
        service.gateway_refs = vec![ParentRef {
            name: GATEWAY.to_owned(),
            ..ParentRef::default()
        }];
        service.gateways.clear();
        service.delegation = false;
    }
    let written = &mut manifest.object["spec"];
    written["provider"] = json!(KNOWN[0]);
    without(written, &["ingressRef", "routeRef", "routeRefs"]);
    without(&mut written["service"], &["gateways", "delegation"]);
    written["service"]["gatewayRefs"] = json!([{"name": GATEWAY}]);
    let copies = without_copies(canary, written);
    Some(format!(
        "a route of the Gateway API stands in for that of provider {provider}: the plan and the checks are the same{copies}"
    ))
}

/// Takes copies of requests out of the plan, which routes of the Gateway API do not make; what is to be said of that.
fn without_copies(canary: &mut Canary, written: &mut Value) -> &'static str {
    let analysis = &mut canary.spec.analysis;
    let steps = analysis.steps.len();
    analysis.steps.retain(|step| step.set_mirror.is_none());
    if !analysis.mirror && analysis.steps.len() == steps {
        return "";
    }
    (analysis.mirror, analysis.mirror_weight) = (false, None);
    let written = &mut written["analysis"];
    without(written, &["mirror", "mirrorWeight"]);
    if let Some(steps) = written.get_mut("steps").and_then(Value::as_array_mut) {
        steps.retain(|step| step.get("setMirror").is_none());
    }
    ", but for copies of requests, which are left out"
}

fn without(fields: &mut Value, names: &[&str]) {
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}
