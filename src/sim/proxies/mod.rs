//! Other proxies than those of the Gateway API: where each of them sends a request by the objects that are live, and how it counts
//! that. All of it is read as the proxies' own documents say it, and as Serin means it nowhere.

mod apisix;
mod condition;
pub mod following;
mod gloo;
mod httpproxy;
mod ingress;
mod istio;
mod kuma;
mod linkerd;
mod nginx;
pub mod objects;
mod reports;
mod sidecar;
mod skipper;
mod traefik;
mod traffic_split;
mod words;

use crate::sim::promql::labels::Labels;
use crate::sim::proxies::objects::Objects;
use crate::sim::traffic::Name;
use crate::sim::traffic::families::{self, Family};
use crate::sim::traffic::route::Backend;

pub use self::reports::Reports;
pub use self::sidecar::sidecar;

/// Whose proxies lead requests to Pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proxies {
    /// A gateway of the Gateway API.
    #[default]
    Gateway,
    /// APISIX with its ingress controller.
    Apisix,
    /// Contour and its Envoys.
    Contour,
    /// Gloo and its Envoys.
    Gloo,
    /// Istio: sidecars, and gateways.
    Istio,
    /// Kuma's sidecars.
    Kuma,
    /// Linkerd's sidecars.
    Linkerd,
    /// ingress-nginx.
    Nginx,
    /// Skipper as the controller of Ingresses.
    Skipper,
    /// Linkerd with TrafficSplits.
    Smi,
    /// Traefik with its own definitions.
    Traefik,
}

/// Whom a request is for.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// A host, from outside of the cluster.
    Host(&'a str),
    /// A Service, from a Pod inside.
    Service(&'a Name),
}

/// A request, as far as proxies look at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Whom it is for.
    pub to: To<'a>,
    /// The path.
    pub path: &'a str,
    /// Its only header, by name and value.
    pub header: Option<&'a (String, String)>,
}

/// What proxies see of the cluster.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The objects that are in force.
    pub objects: &'a Objects,
    /// Whether a Service has an endpoint that is ready.
    pub is_ready: &'a dyn Fn(&Name) -> bool,
}

impl Asked<'_> {
    /// The value of a header.
    fn header(&self, name: &str) -> Option<&str> {
        let header = self.header?;
        header
            .0
            .eq_ignore_ascii_case(name)
            .then_some(header.1.as_str())
    }

    /// The value of a cookie.
    fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.header("cookie")?.split(';');
        let pairs = cookies.filter_map(|one| one.trim().split_once('='));
        pairs
            .into_iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }
}

/// Group and plural of a kind.
pub type KindName = (&'static str, &'static str);

impl Proxies {
    /// The kinds by which they are told where requests go.
    #[must_use]
    pub fn kinds(self) -> &'static [KindName] {
        match self {
            Self::Gateway => &[("gateway.networking.k8s.io", "httproutes")],
            Self::Apisix => &[apisix::ROUTES],
            Self::Contour => &[httpproxy::PROXIES],
            Self::Gloo => &gloo::KINDS,
            Self::Istio => &istio::KINDS,
            Self::Kuma => &[kuma::ROUTES],
            Self::Linkerd => &linkerd::ROUTES,
            Self::Nginx | Self::Skipper => &[ingress::INGRESSES],
            Self::Smi => &[traffic_split::SPLITS],
            Self::Traefik => &traefik::KINDS,
        }
    }

    /// Whether there is a proxy beside each Pod.
    #[must_use]
    pub fn is_mesh(self) -> bool {
        matches!(self, Self::Istio | Self::Kuma | Self::Linkerd | Self::Smi)
    }

    /// Where a request goes; `None`: no route takes it. Only meshes lead what goes to a Service.
    #[must_use]
    pub fn way(self, sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
        if let To::Service(service) = asked.to
            && !self.is_mesh()
        {
            return Some(vec![Backend::new(service.clone(), 1)]);
        }
        match self {
            Self::Gateway => None,
            Self::Apisix => apisix::way(sight, asked),
            Self::Contour => httpproxy::way(sight, asked),
            Self::Gloo => gloo::way(sight, asked),
            Self::Istio => istio::way(sight, asked),
            Self::Kuma => kuma::way(sight, asked),
            Self::Linkerd => linkerd::way(sight, asked),
            Self::Nginx => nginx::way(sight, asked),
            Self::Skipper => skipper::way(sight, asked),
            Self::Smi => traffic_split::way(sight, asked),
            Self::Traefik => traefik::way(sight, asked),
        }
    }

    /// The proxy that counts for all, and the target as which it is scraped; `None`: each Pod's own does, or the application.
    #[must_use]
    pub fn counter(self) -> Option<(&'static Family, Labels)> {
        let (family, name) = match self {
            Self::Apisix => (&families::APISIX, "apisix"),
            Self::Contour => (&families::ENVOY, "envoy"),
            Self::Gloo => (&families::ENVOY, "gateway-proxy"),
            Self::Nginx => (&families::NGINX, "ingress-nginx"),
            Self::Skipper => (&families::SKIPPER, "skipper"),
            Self::Traefik => (&families::TRAEFIK, "traefik"),
            _ => return None,
        };
        let target = Labels::of([
            ("instance", "10.244.9.9:9000"),
            ("job", name),
            ("namespace", "edge"),
            ("pod", name),
        ]);
        Some((family, target))
    }
}

#[cfg(test)]
mod shown {
    //! For the tests of all readers: objects as YAML, and ways as texts.

    use std::collections::BTreeSet;

    use super::*;
    use crate::sim::store::Key;

    /// What a test of a reader asks.
    pub(super) struct Scene {
        proxies: Proxies,
        objects: Objects,
        /// Services without an endpoint.
        pub(super) empty: BTreeSet<String>,
    }

    impl Scene {
        pub(super) fn new(proxies: Proxies, manifests: &str) -> Self {
            let documents = manifests.split("\n---");
            let objects = documents.map(|text| {
                let object: serde_json::Value = serde_saphyr::from_str(text).unwrap();
                let kind = object["kind"].as_str().unwrap();
                let version = object["apiVersion"].as_str().unwrap();
                let group = version.rsplit_once('/').map_or("", |(group, _)| group);
                let named = |(known, plural): &&KindName| {
                    *known == group && singular(plural) == kind.to_lowercase()
                };
                let (group, plural) = proxies.kinds().iter().find(named).unwrap();
                let field = |name: &str| object["metadata"][name].as_str().unwrap_or("shop");
                (
                    Key::new(group, plural, field("namespace"), field("name")),
                    object,
                )
            });
            Self {
                proxies,
                objects: Objects::of(objects),
                empty: BTreeSet::new(),
            }
        }

        pub(super) fn way(&self, asked: Asked<'_>) -> Option<Vec<Backend>> {
            let sight = Sight {
                objects: &self.objects,
                is_ready: &|service| !self.empty.contains(&service.name),
            };
            self.proxies.way(sight, asked)
        }

        /// Backends with their weights, as a text.
        pub(super) fn shown(&self, to: To<'_>, path: &str, header: Option<(&str, &str)>) -> String {
            let header = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let header = header.as_ref();
            let Some(backends) = self.way(Asked { to, path, header }) else {
                return "none".to_owned();
            };
            let backends = backends.iter().map(|it| {
                let copies = if it.copies { "copies " } else { "" };
                format!("{copies}{}:{}", it.service.name, it.weight)
            });
            backends.collect::<Vec<_>>().join(" ")
        }

        /// The labels under which the backends of a host are counted.
        pub(super) fn counted(&self, host: &str) -> Vec<String> {
            let asked = Asked {
                to: To::Host(host),
                path: "/",
                header: None,
            };
            let backends = self.way(asked).unwrap();
            backends.iter().map(|it| it.counted.to_string()).collect()
        }
    }

    fn singular(plural: &str) -> String {
        match plural.strip_suffix("ies") {
            Some(start) => format!("{start}y"),
            None if plural.ends_with("sses") => plural.trim_end_matches("es").to_owned(),
            None => plural.trim_end_matches('s').to_owned(),
        }
    }
}
