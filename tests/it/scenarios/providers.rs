//! What is installed, and what a team has, for each provider.

use std::time::Duration;

use serde_json::{Value, json};
use serin::sim::proxies::Proxies;
use serin::sim::store::Key;
use serin::sim::traffic::Name;
use serin::sim::traffic::rate::Rate;
use serin::sim::users::Destination;

use crate::story::objects::{APP, HOME};
use crate::story::setting::Setting;

/// Where users come in from outside.
pub(super) const HOST: &str = "shop.example";

/// How users mark their requests.
pub(super) const MARK: (&str, &str) = ("x-canary", "insider");

/// Group, version, kind and plural of a definition.
type Definition = (&'static str, &'static str, &'static str, &'static str);

/// One way to route.
#[derive(Clone, Copy)]
pub(super) struct Provider {
    /// As `spec.provider` has it.
    pub(super) name: &'static str,
    /// Whose proxies are there.
    pub(super) proxies: Proxies,
    /// What its installation defines.
    pub(super) definitions: &'static [Definition],
    /// Objects of the team that lead to the application.
    pub(super) objects: fn() -> Vec<Value>,
    /// What the Canary says besides.
    pub(super) spec: fn() -> Value,
    /// It can send requests by their headers.
    pub(super) matches: bool,
}

fn nothing() -> Vec<Value> {
    Vec::new()
}

/// A Service, and no hosts.
fn plain() -> Value {
    json!({"service": {"hosts": null, "gatewayRefs": null}})
}

const SMI: &str = "split.smi-spec.io";
const ISTIO: Definition = (
    "networking.istio.io",
    "v1",
    "VirtualService",
    "virtualservices",
);

/// Every provider that shares by weights.
pub(super) const ALL: [Provider; 14] = [
    Provider {
        name: "gatewayapi:v1",
        proxies: Proxies::Gateway,
        definitions: &[],
        objects: nothing,
        spec: || json!({}),
        matches: true,
    },
    Provider {
        name: "istio",
        proxies: Proxies::Istio,
        definitions: &[ISTIO],
        objects: nothing,
        spec: plain,
        matches: true,
    },
    GATEWAYS_OF_ISTIO,
    Provider {
        name: "linkerd",
        proxies: Proxies::Linkerd,
        definitions: &[],
        objects: nothing,
        spec: plain,
        matches: true,
    },
    Provider {
        name: "kuma",
        proxies: Proxies::Kuma,
        definitions: &[("kuma.io", "v1alpha1", "MeshHTTPRoute", "meshhttproutes")],
        objects: nothing,
        spec: plain,
        matches: true,
    },
    smi(
        "smi:v1alpha1",
        &[(SMI, "v1alpha1", "TrafficSplit", "trafficsplits")],
    ),
    smi(
        "smi:v1alpha2",
        &[(SMI, "v1alpha2", "TrafficSplit", "trafficsplits")],
    ),
    smi(
        "smi:v1alpha3",
        &[(SMI, "v1alpha3", "TrafficSplit", "trafficsplits")],
    ),
    Provider {
        name: "contour",
        proxies: Proxies::Contour,
        definitions: &[("projectcontour.io", "v1", "HTTPProxy", "httpproxies")],
        objects: || vec![including_proxy()],
        spec: plain,
        matches: true,
    },
    Provider {
        name: "traefik",
        proxies: Proxies::Traefik,
        definitions: &[
            (
                "traefik.io",
                "v1alpha1",
                "TraefikService",
                "traefikservices",
            ),
            ("traefik.io", "v1alpha1", "IngressRoute", "ingressroutes"),
        ],
        objects: || vec![ingress_route("TraefikService")],
        spec: plain,
        matches: false,
    },
    Provider {
        name: "gloo",
        proxies: Proxies::Gloo,
        definitions: &[
            ("gateway.solo.io", "v1", "VirtualService", "virtualservices"),
            ("gateway.solo.io", "v1", "RouteTable", "routetables"),
            ("gloo.solo.io", "v1", "Upstream", "upstreams"),
        ],
        objects: || vec![delegating_service()],
        spec: plain,
        matches: true,
    },
    Provider {
        name: "nginx",
        proxies: Proxies::Nginx,
        definitions: &[],
        objects: || vec![ingress("nginx")],
        spec: by_ingress,
        matches: true,
    },
    Provider {
        name: "skipper",
        proxies: Proxies::Skipper,
        definitions: &[],
        objects: || vec![ingress("skipper")],
        spec: by_ingress,
        matches: false,
    },
    Provider {
        name: "apisix",
        proxies: Proxies::Apisix,
        definitions: &[("apisix.apache.org", "v2", "ApisixRoute", "apisixroutes")],
        objects: || vec![apisix_route()],
        spec: || {
            let reference =
                json!({"apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "web"});
            json!({"routeRef": reference, "service": {"hosts": null, "gatewayRefs": null}})
        },
        matches: true,
    },
];

/// Istio where users come from outside.
pub(super) const GATEWAYS_OF_ISTIO: Provider = Provider {
    name: "istio",
    proxies: Proxies::Istio,
    definitions: &[ISTIO],
    objects: nothing,
    spec: || json!({"service": {"gatewayRefs": null, "gateways": ["istio-system/public", "mesh"]}}),
    matches: true,
};

const fn smi(name: &'static str, definitions: &'static [Definition]) -> Provider {
    Provider {
        name,
        proxies: Proxies::Smi,
        definitions,
        objects: nothing,
        spec: plain,
        matches: false,
    }
}

fn by_ingress() -> Value {
    let reference = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"});
    json!({"ingressRef": reference, "service": {"hosts": null, "gatewayRefs": null}})
}

/// The provider of this name; the first, if there are several.
pub(super) fn provider(name: &str) -> Provider {
    *ALL.iter().find(|it| it.name == name).unwrap()
}

impl Provider {
    /// An application behind these proxies, with its Canary.
    pub(super) fn setting(&self) -> Setting {
        let mut setting = Setting::usual()
            .with(&json!({"provider": self.name}))
            .with(&(self.spec)());
        setting.proxies = self.proxies;
        setting.destination = self.way(None);
        setting.objects = self.definitions.iter().map(|it| definition(*it)).collect();
        setting.objects.extend((self.objects)());
        setting
    }

    /// The same with insiders, who mark their requests, 20 a second.
    pub(super) fn tried(&self) -> Setting {
        let mut setting = self.setting();
        let rate = Rate::Steps(vec![(Duration::from_secs(30), 20.0)]);
        let marked = (MARK.0.to_owned(), MARK.1.to_owned());
        setting
            .others
            .push((insiders(), self.way(Some(marked)), rate));
        setting
    }

    /// Whom users ask: the Service in a mesh, the host from outside.
    pub(super) fn way(&self, header: Option<(String, String)>) -> Destination {
        let inside = self.proxies.is_mesh() && (self.spec)()["service"]["gateways"].is_null();
        let service = Name::new(HOME, APP);
        let (host, path) = (HOST.to_owned(), "/".to_owned());
        match (inside, header) {
            (true, None) => Destination::Service(service),
            (true, Some(header)) => Destination::MarkedService(service, header),
            (false, None) => Destination::Host(host, path),
            (false, Some(header)) => Destination::Marked(host, path, header),
        }
    }

    /// As a test's failure names it.
    pub(super) fn spoken(&self) -> String {
        let way = self.way(None);
        format!("{} ({way:?})", self.name)
    }
}

/// The users who mark their requests.
pub(super) fn insiders() -> Name {
    Name::new(HOME, "insiders")
}

/// Everybody else.
pub(super) fn everybody() -> Name {
    Name::new(HOME, APP)
}

/// A definition that takes anything.
pub(super) fn definition((group, version, kind, plural): Definition) -> Value {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": any}, "subresources": {"status": {}}}],
        },
    })
}

/// The team's HTTPProxy, which includes the one that Serin makes.
fn including_proxy() -> Value {
    json!({
        "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"name": "web", "namespace": HOME},
        "spec": {"virtualhost": {"fqdn": HOST}, "includes": [{"name": APP, "conditions": [{"prefix": "/"}]}]},
    })
}

/// The team's IngressRoute to the Service, or to what Serin makes.
pub(super) fn ingress_route(kind: &str) -> Value {
    let service = match kind {
        "Service" => json!({"name": APP, "port": 80}),
        kind => json!({"kind": kind, "name": APP}),
    };
    json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": {"name": "web", "namespace": HOME},
        "spec": {"entryPoints": ["web"], "routes": [{"kind": "Rule", "match": format!("Host(`{HOST}`)"), "services": [service]}]},
    })
}

/// The team's VirtualService of Gloo, which delegates to the RouteTable that Serin makes.
fn delegating_service() -> Value {
    let route = json!({"matchers": [{"prefix": "/"}], "delegateAction": {"ref": {"name": APP, "namespace": HOME}}});
    json!({
        "apiVersion": "gateway.solo.io/v1", "kind": "VirtualService", "metadata": {"name": "web", "namespace": HOME},
        "spec": {"virtualHost": {"domains": [HOST], "routes": [route]}},
    })
}

/// The team's Ingress, of this class.
pub(super) fn ingress(class: &str) -> Value {
    let backend = json!({"service": {"name": APP, "port": {"number": 80}}});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": HOME},
        "spec": {"ingressClassName": class, "rules": [
            {"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
    })
}

/// The team's ApisixRoute.
pub(super) fn apisix_route() -> Value {
    json!({
        "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "metadata": {"name": "web", "namespace": HOME},
        "spec": {"http": [{
            "name": "main", "match": {"hosts": [HOST], "paths": ["/*"]}, "backends": [{"serviceName": APP, "servicePort": 80}],
        }]},
    })
}

/// Names an object of the team or of Serin.
pub(super) fn key((group, plural): (&str, &str), name: &str) -> Key {
    Key::new(group, plural, HOME, name)
}

/// Kinds of what leads requests, for all providers.
pub(super) const ROUTES: [(&str, &str); 12] = [
    ("gateway.networking.k8s.io", "httproutes"),
    ("networking.istio.io", "virtualservices"),
    ("kuma.io", "meshhttproutes"),
    (SMI, "trafficsplits"),
    ("projectcontour.io", "httpproxies"),
    ("traefik.io", "traefikservices"),
    ("traefik.io", "ingressroutes"),
    ("gateway.solo.io", "virtualservices"),
    ("gateway.solo.io", "routetables"),
    ("gloo.solo.io", "upstreams"),
    ("networking.k8s.io", "ingresses"),
    ("apisix.apache.org", "apisixroutes"),
];
