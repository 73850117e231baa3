//! Contour: HTTPProxies, which include each other.

use serde_json::Value;

use crate::sim::field::{is_true, list, number, text};
use crate::sim::promql::labels::Labels;
use crate::sim::proxies::condition::whole;
use crate::sim::proxies::objects::Objects;
use crate::sim::proxies::{Asked, KindName, Sight, To};
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// HTTPProxies.
pub(super) const PROXIES: KindName = ("projectcontour.io", "httpproxies");

/// Includes that are followed; more are a circle.
const DEEPEST: usize = 8;

/// Conditions of a route, with those of the includes that lead to it.
#[derive(Clone, Debug, Default)]
struct Conditions<'a> {
    prefix: String,
    exact: Option<&'a str>,
    headers: Vec<&'a Value>,
    /// It asks for the query, which no request here has.
    query: bool,
}

/// A route, with the proxy that it is of.
#[derive(Clone, Debug)]
struct Found<'a> {
    conditions: Conditions<'a>,
    home: &'a str,
    route: &'a Value,
}

/// Of the routes of a host the one with the most exact path counts, then the one with the most headers, then the first.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let To::Host(host) = asked.to else {
        return None;
    };
    let mut roots = sight.objects.list(PROXIES).iter();
    let (key, root) = roots.find(|(_, it)| text(it, "/spec/virtualhost/fqdn") == host)?;
    let mut found = Vec::new();
    let start = Conditions::default();
    collect(
        sight.objects,
        (&key.namespace, root),
        &start,
        DEEPEST,
        &mut found,
    );
    let fits = found.iter().enumerate();
    let fits = fits.filter_map(|(place, it)| {
        let fit = it.conditions.fit(asked)?;
        Some(((fit, std::cmp::Reverse(place)), it))
    });
    let (_, best) = fits.max_by_key(|(rank, _)| *rank)?;
    Some(services(best))
}

/// All proxies below a root, with itself, by namespace and name.
pub(super) fn included(objects: &Objects, namespace: &str, root: &Value) -> Vec<Name> {
    let mut all = vec![Name::new(namespace, text(root, "/metadata/name"))];
    let mut at = 0;
    while let Some(name) = all.get(at).cloned() {
        at += 1;
        let proxy = objects.get(PROXIES, &name.namespace, &name.name);
        let includes = proxy.map_or(&[][..], |proxy| list(proxy, "/spec/includes"));
        for include in includes {
            let child = child(include, &name.namespace);
            if !all.contains(&child) {
                all.push(child);
            }
        }
    }
    all
}

fn child(include: &Value, home: &str) -> Name {
    let namespace = match text(include, "/namespace") {
        "" => home,
        namespace => namespace,
    };
    Name::new(namespace, text(include, "/name"))
}

fn collect<'a>(
    objects: &'a Objects,
    (home, proxy): (&'a str, &'a Value),
    before: &Conditions<'a>,
    deepest: usize,
    found: &mut Vec<Found<'a>>,
) {
    for route in list(proxy, "/spec/routes") {
        found.push(Found {
            conditions: before.and(list(route, "/conditions")),
            home,
            route,
        });
    }
    if deepest == 0 {
        return;
    }
    for include in list(proxy, "/spec/includes") {
        let conditions = before.and(list(include, "/conditions"));
        let child = child(include, home);
        let namespace = match text(include, "/namespace") {
            "" => home,
            namespace => namespace,
        };
        // A proxy with a host of its own is no part of another.
        if let Some(proxy) = objects.get(PROXIES, &child.namespace, &child.name)
            && proxy.pointer("/spec/virtualhost").is_none()
        {
            collect(objects, (namespace, proxy), &conditions, deepest - 1, found);
        }
    }
}

impl<'a> Conditions<'a> {
    /// With more of them: prefixes are joined, and everything has to be true.
    fn and(&self, more: &'a [Value]) -> Self {
        let mut all = self.clone();
        for condition in more {
            if let Some(prefix) = condition.get("prefix").and_then(Value::as_str) {
                let joined = format!(
                    "{}/{}",
                    all.prefix.trim_end_matches('/'),
                    prefix.trim_start_matches('/')
                );
                all.prefix = joined;
            }
            all.exact = condition.get("exact").and_then(Value::as_str).or(all.exact);
            all.headers.extend(condition.get("header"));
            all.query |= condition.get("queryParameter").is_some();
        }
        all
    }

    fn fit(&self, asked: Asked<'_>) -> Option<(bool, usize, usize)> {
        let path = match self.exact {
            Some(exact) => exact == asked.path,
            None => asked.path.starts_with(&self.prefix),
        };
        let headers = self.headers.iter().all(|wanted| has(wanted, asked));
        let length = self.exact.map_or(self.prefix.len(), str::len);
        let fits = path && headers && !self.query;
        fits.then_some((self.exact.is_some(), length, self.headers.len()))
    }
}

/// Whether the header is as a condition wants it: exactly one of its words is said.
fn has(wanted: &Value, asked: Asked<'_>) -> bool {
    let value = asked.header(text(wanted, "/name"));
    let said = |word: &str| wanted.get(word).and_then(Value::as_str);
    if is_true(wanted, "/present") {
        return value.is_some();
    }
    if is_true(wanted, "/notpresent") {
        return value.is_none();
    }
    if let Some(exact) = said("exact") {
        return value == Some(exact);
    }
    if let Some(exact) = said("notexact") {
        return value.is_some_and(|value| value != exact);
    }
    if let Some(part) = said("contains") {
        return value.is_some_and(|value| value.contains(part));
    }
    let expression = said("regex");
    expression.is_some_and(|it| value.is_some_and(|value| whole(it, value)))
}

/// The services of a route. If none of them says a weight all have the same; else who says none gets nothing. A mirror that says no
/// weight, or 0, gets copies of everything.
fn services(found: &Found<'_>) -> Vec<Backend> {
    let services = list(found.route, "/services");
    let weight = |service: &Value| number(service, "/weight").unwrap_or(0);
    let shares = services.iter().filter(|it| !is_true(it, "/mirror"));
    let none = shares.clone().all(|service| weight(service) == 0);
    let backends = services.iter().map(|service| {
        let copies = is_true(service, "/mirror");
        let weight = match weight(service) {
            0 if copies => 100,
            0 if none => 1,
            weight => weight,
        };
        let name = Name::new(found.home, text(service, "/name"));
        let port = number(service, "/port").unwrap_or(0);
        let cluster = format!("{}_{}_{port}", name.namespace, name.name);
        Backend {
            counted: Labels::of([("envoy_cluster_name", cluster.as_str())]),
            copies,
            ..Backend::new(name, weight.try_into().unwrap_or(0))
        }
    });
    backends.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    const PROXY: &str = r"
apiVersion: projectcontour.io/v1
kind: HTTPProxy
metadata: {name: web}
spec:
  virtualhost: {fqdn: shop.example}
  includes:
  - {name: app, conditions: [{prefix: /}]}
  - {name: app, namespace: market, conditions: [{prefix: /market}]}
  routes: [{conditions: [{prefix: /static}], services: [{name: assets, port: 80}]}]
---
apiVersion: projectcontour.io/v1
kind: HTTPProxy
metadata: {name: app}
spec:
  routes:
  - conditions: [{prefix: /}]
    services: [{name: app, port: 80, weight: 90}, {name: app-canary, port: 80, weight: 10}, {name: app-canary, port: 80, mirror: true, weight: 5}]
  - {conditions: [{prefix: /}, {header: {name: X-Canary, exact: insider}}], services: [{name: app-canary, port: 80}]}
---
apiVersion: projectcontour.io/v1
kind: HTTPProxy
metadata: {name: app, namespace: market}
spec:
  routes: [{conditions: [{prefix: /a}], services: [{name: a, port: 80}, {name: b, port: 80}, {name: b, port: 80, mirror: true}]}]
";

    #[test]
    fn the_most_exact_route_below_the_host_counts() {
        let scene = Scene::new(Proxies::Contour, PROXY);
        let rows = [
            ("/", None, "app:90 app-canary:10 copies app-canary:5"),
            ("/", Some(("x-canary", "insider")), "app-canary:1"),
            ("/static/a", None, "assets:1"),
            ("/market/a", None, "a:1 b:1 copies b:100"),
            ("/market", None, "app:90 app-canary:10 copies app-canary:5"),
        ];
        for (path, header, expected) in rows {
            let found = scene.shown(To::Host("shop.example"), path, header);
            assert_eq!(found, expected, "{path} {header:?}");
        }
        assert_eq!(scene.shown(To::Host("other"), "/", None), "none");
        assert_eq!(
            scene.counted("shop.example")[1],
            r#"{envoy_cluster_name="shop_app-canary_80"}"#
        );
    }

    #[test]
    fn a_service_without_a_weight_beside_one_with_it_gets_nothing() {
        let manifest = PROXY.replace("{name: app, port: 80, weight: 90}", "{name: app, port: 80}");
        let scene = Scene::new(Proxies::Contour, &manifest);
        let found = scene.shown(To::Host("shop.example"), "/", None);
        assert_eq!(found, "app:0 app-canary:10 copies app-canary:5");
    }
}
