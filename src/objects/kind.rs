//! The kinds that Serin reads or writes.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind that Serin reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `apps/v1`
    Deployment,
    /// `apps/v1`
    ReplicaSet,
    /// `apps/v1`
    ControllerRevision,
    /// `v1`
    Service,
    /// `discovery.k8s.io/v1`
    EndpointSlice,
    /// `v1`
    Pod,
    /// `policy/v1`
    PodDisruptionBudget,
    /// `networking.k8s.io/v1`
    NetworkPolicy,
    /// `autoscaling/v2`
    HorizontalPodAutoscaler,
    /// `gateway.networking.k8s.io/v1`
    HttpRoute,
    /// `gateway.networking.k8s.io/v1`
    GrpcRoute,
    /// `gateway.networking.k8s.io/v1`
    Gateway,
    /// `gateway.networking.k8s.io/v1alpha2`
    TcpRoute,
    /// `gateway.networking.k8s.io/v1`
    TlsRoute,
    /// `networking.k8s.io/v1`
    Ingress,
    /// `traefik.io/v1alpha1`
    TraefikService,
    /// `traefik.io/v1alpha1`
    IngressRoute,
    /// `traefik.io/v1alpha1`
    IngressRouteTcp,
    /// `networking.istio.io/v1`
    VirtualService,
    /// `projectcontour.io/v1`
    HttpProxy,
    /// `gateway.solo.io/v1`
    RouteTable,
    /// `gateway.solo.io/v1`: what Gloo calls a VirtualService.
    GlooVirtualService,
    /// `gloo.solo.io/v1`: a Service, as Gloo's routes name it.
    Upstream,
    /// `kuma.io/v1alpha1`
    MeshHttpRoute,
    /// `apisix.apache.org/v2`
    ApisixRoute,
    /// `split.smi-spec.io/v1alpha1`, with weights as quantities.
    TrafficSplitV1Alpha1,
    /// `split.smi-spec.io/v1alpha2`
    TrafficSplitV1Alpha2,
    /// `split.smi-spec.io/v1alpha3`
    TrafficSplitV1Alpha3,
    /// `serin.dev/v1beta1`
    Canary,
}

const GATEWAY: &str = "gateway.networking.k8s.io";
const TRAEFIK: &str = "traefik.io";
const GLOO: &str = "gateway.solo.io";
const SMI: &str = "split.smi-spec.io";

impl Kind {
    /// Every kind.
    const ALL: [Self; 29] = [
        Self::Deployment,
        Self::ReplicaSet,
        Self::ControllerRevision,
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::HorizontalPodAutoscaler,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::Gateway,
        Self::TcpRoute,
        Self::TlsRoute,
        Self::Ingress,
        Self::TraefikService,
        Self::IngressRoute,
        Self::IngressRouteTcp,
        Self::VirtualService,
        Self::HttpProxy,
        Self::RouteTable,
        Self::GlooVirtualService,
        Self::Upstream,
        Self::MeshHttpRoute,
        Self::ApisixRoute,
        Self::TrafficSplitV1Alpha1,
        Self::TrafficSplitV1Alpha2,
        Self::TrafficSplitV1Alpha3,
        Self::Canary,
    ];

    /// Kinds of objects that route traffic, and are kept whole.
    pub const ROUTES: [Self; 19] = [
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::Gateway,
        Self::TcpRoute,
        Self::TlsRoute,
        Self::Ingress,
        Self::TraefikService,
        Self::IngressRoute,
        Self::IngressRouteTcp,
        Self::VirtualService,
        Self::HttpProxy,
        Self::RouteTable,
        Self::GlooVirtualService,
        Self::Upstream,
        Self::MeshHttpRoute,
        Self::ApisixRoute,
        Self::TrafficSplitV1Alpha1,
        Self::TrafficSplitV1Alpha2,
        Self::TrafficSplitV1Alpha3,
    ];

    /// Those that are watched from the start; the others are once a Canary needs them.
    pub const ROUTES_ALWAYS: [Self; 3] = [Self::HttpRoute, Self::GrpcRoute, Self::Gateway];

    /// The kind of this name in the group of an API version; that of another version, if this one is not known.
    #[must_use]
    pub fn named(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let is = |known: &Self| known.group() == group && known.names().2 == kind;
        let is_of_version =
            |known: &Self| is(known) && known.api_resource().api_version == api_version;
        let all = Self::ALL.into_iter();
        all.clone()
            .find(is_of_version)
            .or_else(|| all.clone().find(is))
    }

    /// Group, version, kind and plural, as the API server knows them.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// Its API group, empty for the core's.
    #[must_use]
    pub fn group(self) -> &'static str {
        self.names().0
    }

    /// As people write it: `HTTPRoute of gateway.networking.k8s.io/v1`.
    #[must_use]
    pub fn spoken(self) -> String {
        let (group, version, kind, _) = self.names();
        format!("{kind} of {group}/{version}")
    }

    /// It routes traffic.
    #[must_use]
    pub fn is_route(self) -> bool {
        Self::ROUTES.contains(&self)
    }

    #[rustfmt::skip]
    const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::ReplicaSet => ("apps", "v1", "ReplicaSet", "replicasets"),
            Self::ControllerRevision => ("apps", "v1", "ControllerRevision", "controllerrevisions"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::HorizontalPodAutoscaler => ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
            Self::HttpRoute => (GATEWAY, "v1", "HTTPRoute", "httproutes"),
            Self::GrpcRoute => (GATEWAY, "v1", "GRPCRoute", "grpcroutes"),
            Self::Gateway => (GATEWAY, "v1", "Gateway", "gateways"),
            Self::TcpRoute => (GATEWAY, "v1alpha2", "TCPRoute", "tcproutes"),
            Self::TlsRoute => (GATEWAY, "v1", "TLSRoute", "tlsroutes"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::TraefikService => (TRAEFIK, "v1alpha1", "TraefikService", "traefikservices"),
            Self::IngressRoute => (TRAEFIK, "v1alpha1", "IngressRoute", "ingressroutes"),
            Self::IngressRouteTcp => (TRAEFIK, "v1alpha1", "IngressRouteTCP", "ingressroutetcps"),
            Self::VirtualService => ("networking.istio.io", "v1", "VirtualService", "virtualservices"),
            Self::HttpProxy => ("projectcontour.io", "v1", "HTTPProxy", "httpproxies"),
            Self::RouteTable => (GLOO, "v1", "RouteTable", "routetables"),
            Self::GlooVirtualService => (GLOO, "v1", "VirtualService", "virtualservices"),
            Self::Upstream => ("gloo.solo.io", "v1", "Upstream", "upstreams"),
            Self::MeshHttpRoute => ("kuma.io", "v1alpha1", "MeshHTTPRoute", "meshhttproutes"),
            Self::ApisixRoute => ("apisix.apache.org", "v2", "ApisixRoute", "apisixroutes"),
            Self::TrafficSplitV1Alpha1 => (SMI, "v1alpha1", "TrafficSplit", "trafficsplits"),
            Self::TrafficSplitV1Alpha2 => (SMI, "v1alpha2", "TrafficSplit", "trafficsplits"),
            Self::TrafficSplitV1Alpha3 => (SMI, "v1alpha3", "TrafficSplit", "trafficsplits"),
            Self::Canary => ("serin.dev", "v1beta1", "Canary", "canaries"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_group_and_if_it_can_be_by_its_version() {
        let rows = [
            ("v1", "Service", Some(Kind::Service)),
            ("serving.knative.dev/v1", "Service", None),
            (
                "networking.istio.io/v1beta1",
                "VirtualService",
                Some(Kind::VirtualService),
            ),
            (
                "gateway.solo.io/v1",
                "VirtualService",
                Some(Kind::GlooVirtualService),
            ),
            (
                "split.smi-spec.io/v1alpha2",
                "TrafficSplit",
                Some(Kind::TrafficSplitV1Alpha2),
            ),
            (
                "split.smi-spec.io/v1alpha4",
                "TrafficSplit",
                Some(Kind::TrafficSplitV1Alpha1),
            ),
        ];
        for (api_version, kind, expected) in rows {
            assert_eq!(
                Kind::named(api_version, kind),
                expected,
                "{kind} of {api_version}"
            );
        }
    }
}
