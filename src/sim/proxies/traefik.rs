//! Traefik: IngressRoutes, which send to Services and TraefikServices.

use serde_json::Value;

use crate::sim::field::{list, number, text};
use crate::sim::promql::labels::Labels;
use crate::sim::proxies::condition::{anywhere, host_fit, is_below};
use crate::sim::proxies::words;
use crate::sim::proxies::{Asked, KindName, Sight, To};
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// IngressRoutes.
const ROUTES: KindName = ("traefik.io", "ingressroutes");
/// TraefikServices.
const SERVICES: KindName = ("traefik.io", "traefikservices");

/// What tells Traefik where requests go.
pub(super) const KINDS: [KindName; 2] = [ROUTES, SERVICES];

/// TraefikServices that are followed; more are a circle.
const DEEPEST: usize = 8;

/// Of the routes that match that with the highest priority counts; without one the length of the rule is the priority.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let all = sight.objects.list(ROUTES).iter();
    let routes = all.flat_map(|(key, object)| {
        let routes = list(object, "/spec/routes").iter();
        routes.map(move |route| (&key.namespace, route))
    });
    let matching = routes.filter(|(_, route)| matches(text(route, "/match"), asked));
    let ready = matching.filter_map(|(home, route)| {
        let services = services(sight, home, list(route, "/services"), DEEPEST)?;
        Some((priority(route), services))
    });
    // Of equals the first: the later one has to have more.
    let first = ready.fold(None, |best: Option<(i64, Vec<Backend>)>, it| match best {
        Some(best) if best.0 >= it.0 => Some(best),
        _ => Some(it),
    });
    first.map(|(_, services)| services)
}

fn priority(route: &Value) -> i64 {
    let said = number(route, "/priority").filter(|said| *said != 0);
    said.unwrap_or_else(|| i64::try_from(text(route, "/match").len()).unwrap_or(i64::MAX))
}

fn matches(rule: &str, asked: Asked<'_>) -> bool {
    let is_true = |name: &str, arguments: &[String]| {
        let first = arguments.first()?.as_str();
        let second = arguments.get(1).map(String::as_str);
        let host = match asked.to {
            To::Host(host) => host,
            To::Service(_) => "",
        };
        match name {
            "Host" => Some(host_fit(first, host).is_some_and(|(exact, _)| exact)),
            "HostRegexp" => Some(anywhere(first, host)),
            "Path" => Some(first == asked.path),
            "PathPrefix" => Some(is_below(asked.path, first)),
            "Method" => Some(arguments.iter().any(|it| it == "GET")),
            "Header" | "Headers" => Some(second.is_some() && asked.header(first) == second),
            "HeaderRegexp" => {
                let value = asked.header(first);
                Some(value.is_some_and(|it| anywhere(second.unwrap_or("$^"), it)))
            }
            _ => None,
        }
    };
    words::holds(rule, &is_true) == Some(true)
}

/// The Services behind a list, with their shares. One that has no endpoint takes the whole route away, as long as Traefik is not told
/// to allow that; so does what is not there.
fn services(
    sight: Sight<'_>,
    home: &str,
    entries: &[Value],
    deepest: usize,
) -> Option<Vec<Backend>> {
    let mut all = Vec::new();
    for entry in entries {
        let namespace = match text(entry, "/namespace") {
            "" => home,
            namespace => namespace,
        };
        let name = Name::new(namespace, text(entry, "/name"));
        let weight = number(entry, "/weight").unwrap_or(1);
        let weight = u32::try_from(weight).unwrap_or(0);
        if text(entry, "/kind") == "TraefikService" {
            let below = below(sight, &name, deepest)?;
            all.push((weight, below));
        } else {
            (sight.is_ready)(&name).then_some(())?;
            let port = entry.pointer("/port").map(ToString::to_string);
            let port = port.unwrap_or_default();
            all.push((weight, vec![backend(name, port.trim_matches('"'))]));
        }
    }
    Some(joined(all))
}

/// The Services behind a TraefikService.
fn below(sight: Sight<'_>, name: &Name, deepest: usize) -> Option<Vec<Backend>> {
    let deeper = deepest.checked_sub(1)?;
    let found = sight.objects.get(SERVICES, &name.namespace, &name.name)?;
    let weighted = list(found, "/spec/weighted/services");
    let Some(mirroring) = found.pointer("/spec/mirroring") else {
        return services(sight, &name.namespace, weighted, deeper);
    };
    let main = std::slice::from_ref(mirroring);
    let mut all = services(sight, &name.namespace, main, deeper)?;
    for mirror in list(mirroring, "/mirrors") {
        let percent = number(mirror, "/percent").unwrap_or(0);
        let copies = services(sight, &name.namespace, std::slice::from_ref(mirror), deeper)?;
        all.extend(copies.into_iter().map(|copy| Backend {
            copies: true,
            weight: u32::try_from(percent).unwrap_or(0),
            ..copy
        }));
    }
    Some(all)
}

/// Lists with their weights as one list: what is below one of them shares its weight.
fn joined(all: Vec<(u32, Vec<Backend>)>) -> Vec<Backend> {
    let sum = |backends: &[Backend]| {
        let shares = backends.iter().filter(|it| !it.copies);
        shares.map(|it| it.weight).sum::<u32>().max(1)
    };
    let product: u32 = all.iter().map(|(_, below)| sum(below)).product();
    let joined = all.into_iter().flat_map(|(weight, below)| {
        let factor = weight * (product / sum(&below));
        below.into_iter().map(move |backend| Backend {
            weight: if backend.copies {
                backend.weight
            } else {
                backend.weight * factor
            },
            ..backend
        })
    });
    joined.collect()
}

fn backend(name: Name, port: &str) -> Backend {
    let service = format!("{}-{}-{port}@kubernetescrd", name.namespace, name.name);
    Backend {
        counted: Labels::of([
            ("method", "GET"),
            ("protocol", "http"),
            ("service", service.as_str()),
        ]),
        ..Backend::new(name, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    const ROUTE: &str = r"
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: web}
spec:
  routes:
  - {kind: Rule, match: Host(`shop.example`), services: [{kind: TraefikService, name: app}]}
  - {kind: Rule, match: 'Host(`shop.example`) && Header(`X-Canary`, `insider`)', services: [{name: app-canary, port: 80}]}
  - {kind: Rule, match: 'Host(`shop.example`) && PathPrefix(`/a`)', priority: 1, services: [{name: a, port: http}]}
---
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: app}
spec:
  weighted:
    services: [{name: app, port: 80, weight: 90}, {kind: TraefikService, name: half, weight: 10}]
---
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: half}
spec:
  mirroring: {name: app-canary, port: 80, mirrors: [{name: shadow, port: 80, percent: 5}]}
";

    #[test]
    fn the_highest_priority_counts() {
        let scene = Scene::new(Proxies::Traefik, ROUTE);
        let rows = [
            ("/", None, "app:90 app-canary:10 copies shadow:5"),
            ("/", Some(("x-canary", "insider")), "app-canary:1"),
            ("/a", None, "app:90 app-canary:10 copies shadow:5"),
        ];
        for (path, header, expected) in rows {
            let found = scene.shown(To::Host("shop.example"), path, header);
            assert_eq!(found, expected, "{path} {header:?}");
        }
        assert_eq!(scene.shown(To::Host("other"), "/", None), "none");
    }

    #[test]
    fn a_service_without_endpoints_takes_its_route_away() {
        let mut scene = Scene::new(Proxies::Traefik, ROUTE);
        scene.empty.insert("app-canary".to_owned());
        let to = To::Host("shop.example");
        let insider = Some(("x-canary", "insider"));
        assert_eq!(scene.shown(to, "/", insider), "none");
        assert_eq!(scene.shown(to, "/a", None), "a:1");
    }

    #[test]
    fn services_are_counted_by_name_and_port() {
        let manifest = ROUTE.replace(
            "{kind: TraefikService, name: half, weight: 10}",
            "{name: app-canary, port: 80}",
        );
        let scene = Scene::new(Proxies::Traefik, &manifest);
        let expected =
            r#"{method="GET", protocol="http", service="shop-app-canary-80@kubernetescrd"}"#;
        assert_eq!(scene.counted("shop.example")[1], expected);
    }
}
