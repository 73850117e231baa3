//! Routes: between the core's words and the traffic objects of meshes and gateways.

mod acceptance;
mod affinity;
mod apisix;
mod beside;
mod beyond;
mod companion;
mod contour;
mod form;
mod gateway_api;
mod gloo;
mod ingress;
mod istio;
pub mod kubernetes;
mod kuma;
mod nginx;
pub mod none;
mod owned;
mod pair;
mod patched;
mod skipper;
mod smi;
#[cfg(test)]
mod tests;
mod traefik;
mod weighted;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::crd::names::PROVIDERS;
use crate::objects::{Change, Kind, Live, ObjectKey, Seen};
use crate::rollout::observed::{Abilities, Acceptance, Problem, Routes, Severity, Split};

/// Meshes that their makers have ended; every version of them is refused.
pub const RETIRED: [&str; 2] = ["appmesh", "osm"];

/// Providers that come in a later version, to tell them from misspelt ones.
const LATER: [&str; 1] = ["knative"];

/// Providers that were tried against their definitions and files alone, since none of the real ones can be run by our tests.
pub const UNTRIED: [&str; 9] = [
    "apisix",
    "gloo",
    "istio",
    "kuma",
    "linkerd",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
];

/// Field managers of our own, none of which is an editor of a route.
const OURS: [&str; 2] = ["serin", "serin-capacity"];

/// Why a route cannot be read or rendered.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// The user has to change something.
    #[error("{}", .0.message)]
    Refused(Problem),
    /// An object is not of the form that its API promises.
    #[error("read {key}: {reason}")]
    Malformed {
        /// Which object.
        key: ObjectKey,
        /// What is wrong with it.
        reason: String,
    },
}

/// One way to route traffic. Nothing here performs: objects go in and out as data.
///
/// The law of every router: what is rendered for `routes` and applied is observed as `routes`.
pub trait Router: Send + Sync {
    /// What the core may plan with.
    fn abilities(&self) -> Abilities;
    /// What of this spec the router cannot do, and what in the cluster is in its way.
    fn problems(&self, canary: &Canary, seen: &Seen) -> Vec<Problem>;
    /// The objects that `render` and `finalize` have to read; `finalize` the Service, too.
    fn objects(&self, canary: &Canary) -> Vec<ObjectKey>;
    /// The live split; `None`: there is no route yet.
    fn observe(&self, canary: &Canary, seen: &Seen) -> Result<Option<Split>, RouterError>;
    /// What to write for this split; nothing if it stands already.
    fn render(
        &self,
        canary: &Canary,
        live: &Live,
        routes: Routes,
    ) -> Result<Vec<Change>, RouterError>;
    /// What gives everything back, when the Canary goes. Never removes the last thing that answers a host.
    fn finalize(&self, canary: &Canary, live: &Live) -> Result<Vec<Change>, RouterError>;
}

/// The router of a provider. `None` is a mistake to be told with [`unknown`]; there is no provider to fall back to.
#[must_use]
pub fn for_provider(provider: &str) -> Option<Box<dyn Router>> {
    match provider {
        "apisix" => Some(Box::new(apisix::ROUTER)),
        "contour" => Some(Box::new(contour::ROUTER)),
        "gatewayapi" | "gatewayapi:v1" => Some(Box::new(gateway_api::ROUTER)),
        "gloo" => Some(Box::new(gloo::ROUTER)),
        "istio" => Some(Box::new(istio::ROUTER)),
        "kubernetes" => Some(Box::new(kubernetes::Kubernetes::default())),
        "kuma" => Some(Box::new(kuma::ROUTER)),
        "linkerd" => Some(Box::new(gateway_api::LINKERD)),
        "nginx" => Some(Box::new(nginx::ROUTER)),
        "none" => Some(Box::new(none::Workers)),
        "skipper" => Some(Box::new(skipper::ROUTER)),
        "smi:v1alpha1" => Some(Box::new(smi::V1ALPHA1)),
        "smi:v1alpha2" => Some(Box::new(smi::V1ALPHA2)),
        "smi:v1alpha3" => Some(Box::new(smi::V1ALPHA3)),
        "traefik" => Some(Box::new(traefik::ROUTER)),
        _ => None,
    }
}

/// What is wrong with a provider that [`for_provider`] does not know, and which there are.
#[must_use]
pub fn unknown(provider: &str) -> Problem {
    let exist = PROVIDERS.join(", ");
    let family = provider.split(':').next().unwrap_or_default();
    if RETIRED.iter().any(|retired| family.starts_with(retired)) {
        return refusal(
            "ProviderRetired",
            format!(
                "spec.provider: {provider} is retired by its makers; use gatewayapi:v1 or istio in its place (there are: {exist})"
            ),
        );
    }
    let message = if LATER.contains(&family) {
        format!("spec.provider: {provider} comes in a later version; this one has: {exist}")
    } else {
        format!(
            "spec.provider: {provider} is unknown; this version has: {exist}; later come: {}",
            LATER.join(", ")
        )
    };
    refusal("ProviderUnavailable", message)
}

fn refusal(reason: &'static str, message: String) -> Problem {
    Problem {
        reason,
        message,
        severity: Severity::Refused,
    }
}

fn warning(reason: &'static str, message: String) -> Problem {
    Problem {
        reason,
        message,
        severity: Severity::Warning,
    }
}

/// Whether the controllers of a route run it as it stands. Where they have no word for it, it counts at once.
fn accepted(key: &ObjectKey, route: &DynamicObject, seen: &Seen) -> Acceptance {
    match key.kind {
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TcpRoute | Kind::TlsRoute => {
            gateway_api::acceptance::of_route(key, route, seen)
        }
        Kind::HttpProxy => contour::acceptance(key, route),
        Kind::RouteTable | Kind::GlooVirtualService => gloo::acceptance(key, route),
        _ => Acceptance::Accepted,
    }
}

/// What to say if the API of a kind is not there, or must not be read.
fn missing(kind: Kind, seen: &Seen) -> Option<String> {
    if seen.kinds.contains(&kind) {
        return None;
    }
    let from = match kind.group() {
        "apisix.apache.org" => "APISIX's definitions",
        "gateway.networking.k8s.io" => "the Gateway API",
        "gateway.solo.io" | "gloo.solo.io" => "Gloo's definitions",
        "kuma.io" => "Kuma's definitions",
        "networking.istio.io" => "Istio's definitions",
        "projectcontour.io" => "Contour's definitions",
        "split.smi-spec.io" => "a mesh that takes the Service Mesh Interface in this version",
        "traefik.io" => "Traefik's definitions",
        _ => "its definition",
    };
    Some(format!(
        "the cluster has no {}: install {from}",
        kind.spoken()
    ))
}

/// Warns of fields of `spec.service` that the provider has no use for.
fn unused(canary: &Canary, fields: &[&str], instead: &str) -> Vec<Problem> {
    let Some(service) = &canary.spec.service else {
        return Vec::new();
    };
    let set = |field: &&&str| match **field {
        "gatewayRefs" => !service.gateway_refs.is_empty(),
        "hosts" => !service.hosts.is_empty(),
        "timeout" => service.timeout.is_some(),
        _ => false,
    };
    let provider = canary.spec.provider.as_deref().unwrap_or_default();
    let fields = fields.iter().filter(set);
    let warned = fields.map(|field| {
        let message = format!(
            "spec.service.{field}: provider {provider} has no use for it: {instead}; take it out"
        );
        warning("ConfigurationError", message)
    });
    warned.collect()
}

/// An object as people write it: `HTTPRoute shop/podinfo`.
fn spoken(key: &ObjectKey) -> String {
    let kind = key.kind.api_resource().kind;
    format!("{kind} {}/{}", key.namespace, key.name)
}

/// A patch of an object of somebody else. The version is replaced, not tested: a stale one is a conflict, to be read again,
/// whereas a failed `test` means that something moved.
fn patch(
    key: &ObjectKey,
    object: &DynamicObject,
    writes: Vec<Value>,
) -> Result<Change, RouterError> {
    let version = object.metadata.resource_version.as_deref();
    let version = version.ok_or_else(|| malformed(key, "it has no resourceVersion"))?;
    let lock = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version});
    let operations = std::iter::once(lock).chain(writes).collect();
    Ok(Change::PatchWithoutTrace(
        key.clone(),
        Value::Array(operations),
    ))
}

fn malformed(key: &ObjectKey, reason: &str) -> RouterError {
    RouterError::Malformed {
        key: key.clone(),
        reason: reason.to_owned(),
    }
}

/// The other manager that last wrote the spec, where the object still says so.
fn editor(object: &DynamicObject) -> Option<String> {
    let entries = object.metadata.managed_fields.as_ref()?;
    let spec = entries.iter().filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.get("f:spec").is_some())
    });
    let others = spec.filter_map(|entry| {
        let manager = entry.manager.as_ref()?;
        (!OURS.contains(&manager.as_str()))
            .then_some((entry.time.as_ref().map(|time| time.0), manager))
    });
    others.max().map(|(_, manager)| manager.clone())
}

/// Every weight that the spec names, with the field that names it.
fn planned_weights(canary: &Canary) -> Vec<(String, i32)> {
    let analysis = &canary.spec.analysis;
    let listed = analysis
        .step_weights
        .iter()
        .map(|weight| ("spec.analysis.stepWeights".to_owned(), *weight));
    let stepped = analysis
        .step_weight
        .map(|weight| ("spec.analysis.stepWeight".to_owned(), weight));
    let last = analysis
        .max_weight
        .map(|weight| ("spec.analysis.maxWeight".to_owned(), weight));
    let steps = analysis
        .steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| {
            let weight = step.set_weight?;
            Some((format!("spec.analysis.steps[{index}].setWeight"), weight))
        });
    listed.chain(stepped).chain(last).chain(steps).collect()
}
