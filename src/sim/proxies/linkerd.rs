//! Linkerd: HTTPRoutes whose parent is a Service, of the Gateway API's group and of its own.

use serde_json::Value;

use crate::sim::field::{list, text};
use crate::sim::promql::labels::Labels;
use crate::sim::proxies::objects::Named;
use crate::sim::proxies::{Asked, KindName, Sight, To};
use crate::sim::traffic::Name;
use crate::sim::traffic::route::{self, Backend};

/// HTTPRoutes of both groups.
pub(super) const ROUTES: [KindName; 2] = [
    ("gateway.networking.k8s.io", "httproutes"),
    ("policy.linkerd.io", "httproutes"),
];

/// Once a Service has routes, they alone say where its requests go; without one they go to the Service.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let To::Service(service) = asked.to else {
        return None;
    };
    let all = ROUTES.iter().flat_map(|kind| sight.objects.list(*kind));
    let routes: Vec<Named> = all
        .filter(|(key, route)| is_parent(route, &key.namespace, service))
        .cloned()
        .collect();
    if routes.is_empty() {
        return Some(vec![Backend::new(service.clone(), 1)]);
    }
    let asked = route::Asked {
        host: "",
        path: asked.path,
        header: asked.header,
    };
    let mut backends = route::backends(&routes, asked).unwrap_or_default();
    for backend in &mut backends {
        backend.counted = Labels::default();
    }
    Some(backends)
}

/// Whether a route is one for a Service.
fn is_parent(route: &Value, home: &str, service: &Name) -> bool {
    list(route, "/spec/parentRefs").iter().any(|parent| {
        let namespace = match text(parent, "/namespace") {
            "" => home,
            namespace => namespace,
        };
        text(parent, "/kind") == "Service"
            && ["", "core"].contains(&text(parent, "/group"))
            && (namespace, text(parent, "/name")) == (&service.namespace, &service.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    const ROUTE: &str = r#"
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: app}
spec:
  parentRefs: [{group: "", kind: Service, name: app, port: 80}]
  rules:
  - matches: [{headers: [{name: x-canary, value: insider}]}]
    backendRefs: [{name: app-canary, port: 80}]
  - matches: [{path: {value: /app}}]
    backendRefs: [{name: app, port: 80, weight: 90}, {name: app-canary, port: 80, weight: 10}]
"#;

    #[test]
    fn routes_of_a_service_are_all_there_is() {
        let scene = Scene::new(Proxies::Linkerd, ROUTE);
        let service = Name::new("shop", "app");
        let rows = [
            ("/app", None, "app:90 app-canary:10"),
            ("/", Some(("x-canary", "insider")), "app-canary:1"),
            ("/", None, ""),
        ];
        for (path, header, expected) in rows {
            let found = scene.shown(To::Service(&service), path, header);
            assert_eq!(found, expected, "{path} {header:?}");
        }
        let other = Name::new("market", "app");
        assert_eq!(scene.shown(To::Service(&other), "/", None), "app:1");
        assert_eq!(scene.shown(To::Host("app"), "/", None), "none");
    }
}
