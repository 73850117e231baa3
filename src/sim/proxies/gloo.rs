//! Gloo: VirtualServices and the RouteTables that they delegate to, which send to Upstreams.

use serde_json::Value;

use crate::sim::field::{is_true, list, number, text};
use crate::sim::promql::labels::Labels;
use crate::sim::proxies::condition::{hosts_fit, whole};
use crate::sim::proxies::{Asked, KindName, Sight, To};
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// VirtualServices of Gloo.
pub(super) const SERVICES: KindName = ("gateway.solo.io", "virtualservices");
/// RouteTables.
pub(super) const TABLES: KindName = ("gateway.solo.io", "routetables");
/// Upstreams.
pub(super) const UPSTREAMS: KindName = ("gloo.solo.io", "upstreams");

/// What tells Gloo where requests go.
pub(super) const KINDS: [KindName; 3] = [SERVICES, TABLES, UPSTREAMS];

/// Of the routes of a host the first that matches counts.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let To::Host(host) = asked.to else {
        return None;
    };
    let all = sight.objects.list(SERVICES).iter();
    let fits = all.filter_map(|(key, service)| {
        let domains = list(service, "/spec/virtualHost/domains").iter();
        let fit = hosts_fit(domains.filter_map(Value::as_str), host)?;
        Some((fit, &key.namespace, service))
    });
    let (_, home, service) = fits.max_by_key(|(fit, ..)| *fit)?;
    let mut routes = list(service, "/spec/virtualHost/routes").iter();
    routes.find_map(|route| followed(sight, (home, route), asked, "/"))
}

/// Where a route sends a request that it takes; what it delegates to has to take it as well.
fn followed(
    sight: Sight<'_>,
    (home, route): (&str, &Value),
    asked: Asked<'_>,
    above: &str,
) -> Option<Vec<Backend>> {
    let inherits = is_true(route, "/inheritablePathMatchers");
    let prefix = taken(route, asked, (above, inherits))?;
    let Some(delegate) = route.get("delegateAction") else {
        return Some(destinations(sight, route));
    };
    let reference = delegate.get("ref").unwrap_or(delegate);
    let namespace = match text(reference, "/namespace") {
        "" => home,
        namespace => namespace,
    };
    let table = sight
        .objects
        .get(TABLES, namespace, text(reference, "/name"))?;
    let mut routes = list(table, "/spec/routes").iter();
    routes.find_map(|route| followed(sight, (namespace, route), asked, prefix))
}

/// The prefix by which a route takes a request. A route without matchers takes everything; one below another has to begin as that one
/// does, unless it has its path from there.
fn taken<'a>(
    route: &'a Value,
    asked: Asked<'_>,
    (above, inherits): (&'a str, bool),
) -> Option<&'a str> {
    let matchers = list(route, "/matchers");
    if matchers.is_empty() {
        let inherited = if inherits { above } else { "/" };
        return path_fit(inherited, above, asked);
    }
    matchers.iter().find_map(|matcher| {
        let headers = list(matcher, "/headers");
        let holds = headers.iter().all(|wanted| has(wanted, asked))
            && list(matcher, "/queryParameters").is_empty();
        let exact = text(matcher, "/exact");
        let prefix = text(matcher, "/prefix");
        let path = match (exact, prefix) {
            ("", "") if inherits => path_fit(above, above, asked),
            ("", "") => path_fit("/", above, asked),
            ("", prefix) => path_fit(prefix, above, asked),
            (exact, _) => (exact == asked.path && exact.starts_with(above)).then_some(exact),
        };
        path.filter(|_| holds)
    })
}

fn path_fit<'a>(prefix: &'a str, above: &str, asked: Asked<'_>) -> Option<&'a str> {
    (asked.path.starts_with(prefix) && prefix.starts_with(above)).then_some(prefix)
}

/// A header without a value has to be there.
fn has(wanted: &Value, asked: Asked<'_>) -> bool {
    let value = asked.header(text(wanted, "/name"));
    let said = text(wanted, "/value");
    let holds = value.is_some_and(|value| match said {
        "" => true,
        said if is_true(wanted, "/regex") => whole(said, value),
        said => said == value,
    });
    holds != is_true(wanted, "/invertMatch")
}

/// The Services behind the Upstreams of a route. An Upstream that is not there stands for nobody.
fn destinations(sight: Sight<'_>, route: &Value) -> Vec<Backend> {
    let single = route.pointer("/routeAction/single").map(|it| (it, 1));
    let several = list(route, "/routeAction/multi/destinations").iter();
    let several = several.filter_map(|entry| {
        let weight = number(entry, "/weight").unwrap_or(0);
        Some((entry.get("destination")?, weight))
    });
    let backends = single.into_iter().chain(several);
    backends
        .map(|(destination, weight)| backend(sight, destination, weight))
        .collect()
}

fn backend(sight: Sight<'_>, destination: &Value, weight: i64) -> Backend {
    let (name, namespace) = (
        text(destination, "/upstream/name"),
        text(destination, "/upstream/namespace"),
    );
    let upstream = sight.objects.get(UPSTREAMS, namespace, name);
    let service = upstream.map(|upstream| {
        let field = |field: &str| text(upstream, &format!("/spec/kube/{field}"));
        Name::new(field("serviceNamespace"), field("serviceName"))
    });
    let cluster = format!("{name}_{namespace}");
    Backend {
        counted: Labels::of([("envoy_cluster_name", cluster.as_str())]),
        ..Backend::new(service.unwrap_or_default(), weight.try_into().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    const TABLE: &str = r"
apiVersion: gateway.solo.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  virtualHost:
    domains: [shop.example]
    routes:
    - {matchers: [{prefix: /static}], routeAction: {single: {upstream: {name: gone, namespace: shop}}}}
    - {matchers: [{prefix: /app}], delegateAction: {ref: {name: app, namespace: shop}}}
---
apiVersion: gateway.solo.io/v1
kind: RouteTable
metadata: {name: app}
spec:
  routes:
  - matchers: [{prefix: /app, headers: [{name: x-canary, value: insider}]}]
    routeAction: {single: {upstream: {name: canary, namespace: shop}}}
  - matchers: [{prefix: /elsewhere}]
    routeAction: {single: {upstream: {name: gone, namespace: shop}}}
  - inheritablePathMatchers: true
    routeAction:
      multi:
        destinations:
        - {destination: {upstream: {name: stable, namespace: shop}}, weight: 90}
        - {destination: {upstream: {name: canary, namespace: shop}}, weight: 10}
---
apiVersion: gloo.solo.io/v1
kind: Upstream
metadata: {name: stable}
spec: {kube: {serviceName: app, serviceNamespace: shop, servicePort: 80}}
---
apiVersion: gloo.solo.io/v1
kind: Upstream
metadata: {name: canary}
spec: {kube: {serviceName: app-canary, serviceNamespace: shop, servicePort: 80}}
";

    #[test]
    fn the_first_route_of_a_table_that_matches_counts() {
        let scene = Scene::new(Proxies::Gloo, TABLE);
        let rows = [
            ("/app", None, "app:90 app-canary:10"),
            ("/app", Some(("x-canary", "insider")), "app-canary:1"),
            ("/static", None, ":1"),
            ("/", None, "none"),
        ];
        for (path, header, expected) in rows {
            let found = scene.shown(To::Host("shop.example"), path, header);
            assert_eq!(found, expected, "{path} {header:?}");
        }
        assert_eq!(scene.shown(To::Host("other"), "/app", None), "none");
    }

    #[test]
    fn a_table_whose_routes_do_not_begin_as_what_leads_there_takes_nothing() {
        let manifest = TABLE.replace("inheritablePathMatchers: true", "matchers: [{prefix: /}]");
        let scene = Scene::new(Proxies::Gloo, &manifest);
        assert_eq!(scene.shown(To::Host("shop.example"), "/app", None), "none");
    }

    #[test]
    fn upstreams_are_counted_by_name_and_namespace() {
        let scene = Scene::new(Proxies::Gloo, &TABLE.replace("/app", "/"));
        let expected = [
            r#"{envoy_cluster_name="stable_shop"}"#,
            r#"{envoy_cluster_name="canary_shop"}"#,
        ];
        assert_eq!(scene.counted("shop.example"), expected);
    }
}
