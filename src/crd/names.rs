//! Names that follow from a Canary (PROVIDERS 0.1).

use kube::ResourceExt;

use crate::crd::canary::Canary;

/// Providers that this version can route with.
pub const PROVIDERS: [&str; 15] = [
    "apisix",
    "contour",
    "gatewayapi:v1",
    "gloo",
    "istio",
    "kubernetes",
    "kuma",
    "linkerd",
    "nginx",
    "none",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
    "traefik",
];

/// Providers that split the traffic of the Ingress that `spec.ingressRef` names.
pub const BY_INGRESS: [&str; 2] = ["nginx", "skipper"];

/// The provider that splits the traffic of the ApisixRoute that `spec.routeRef` names.
pub const BY_ROUTE: &str = "apisix";

impl Canary {
    /// Its namespace.
    #[must_use]
    pub fn home(&self) -> String {
        self.namespace().unwrap_or_default()
    }

    /// Its UID; decisions are keyed by it.
    #[must_use]
    pub fn identity(&self) -> String {
        self.uid().unwrap_or_default()
    }

    /// Name of the target.
    #[must_use]
    pub fn target_name(&self) -> &str {
        &self.spec.target_ref.name
    }

    /// Name of the canary workload.
    #[must_use]
    pub fn canary_name(&self) -> String {
        format!("{}-canary", self.target_name())
    }

    /// Name of the apex Service, which is stable's backend.
    #[must_use]
    pub fn service_name(&self) -> &str {
        let named = self
            .spec
            .service
            .as_ref()
            .and_then(|service| service.name.as_deref());
        named.unwrap_or(self.target_name())
    }

    /// Name of the canary's backend.
    #[must_use]
    pub fn canary_service_name(&self) -> String {
        format!("{}-canary", self.service_name())
    }

    /// Name of the second ApisixRoute, beside that of `spec.routeRef`.
    #[must_use]
    pub fn route_copy_name(&self) -> Option<String> {
        let first = &self.spec.route_ref.as_ref()?.name;
        Some(format!("{first}-{}", self.canary_service_name()))
    }

    /// The provider that the spec names, or the one of the controller's flag.
    #[must_use]
    pub fn provider<'a>(&'a self, default: &'a str) -> &'a str {
        self.spec.provider.as_deref().unwrap_or(default)
    }
}
