//! APISIX: ApisixRoutes of its ingress controller.

use serde_json::Value;

use crate::sim::field::{is_true, list, number, text};
use crate::sim::promql::labels::Labels;
use crate::sim::proxies::condition::{anywhere, hosts_fit};
use crate::sim::proxies::{Asked, KindName, Sight, To};
use crate::sim::store::Key;
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// ApisixRoutes.
pub(super) const ROUTES: KindName = ("apisix.apache.org", "apisixroutes");

/// The weight of a backend that says none.
const UNSAID: u64 = 100;

/// The most exact host and path take a request; of equals the highest priority.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let To::Host(host) = asked.to else {
        return None;
    };
    let all = sight.objects.list(ROUTES).iter();
    let rules = all.flat_map(|(key, object)| {
        let rules = list(object, "/spec/http").iter();
        rules.map(move |rule| (key, rule))
    });
    let fits = rules.enumerate().filter_map(|(place, (key, rule))| {
        let hosts = list(rule, "/match/hosts").iter();
        let host = hosts_fit(hosts.filter_map(Value::as_str), host)?;
        let (path, own) = path_fit(rule, asked.path)?;
        let said = list(rule, "/match/exprs").iter();
        let priority = number(rule, "/priority").unwrap_or(0);
        let rank = (host, path, priority, std::cmp::Reverse(place));
        let holds = said.clone().all(|one| holds(one, asked));
        holds.then_some((rank, key, rule, own))
    });
    let (_, key, rule, path) = fits.max_by_key(|(rank, ..)| *rank)?;
    Some(backends(key, rule, host, path))
}

/// The most exact of a rule's paths: a whole one before the longest that ends with a star.
fn path_fit<'a>(rule: &'a Value, path: &str) -> Option<((bool, usize), &'a str)> {
    let paths = list(rule, "/match/paths").iter();
    let fits = paths.filter_map(|one| {
        let own = one.as_str()?;
        let below = own.strip_suffix('*').is_some_and(|it| path.starts_with(it));
        (own == path || below).then_some(((own == path, own.len()), own))
    });
    fits.max()
}

/// Whether what a rule says of a request is true.
fn holds(one: &Value, asked: Asked<'_>) -> bool {
    let name = text(one, "/subject/name");
    let value = match text(one, "/subject/scope") {
        "Header" => asked.header(name),
        "Cookie" => asked.cookie(name),
        "Path" => Some(asked.path),
        _ => None,
    };
    let said = text(one, "/value");
    match text(one, "/op") {
        "Equal" => value == Some(said),
        "NotEqual" => value != Some(said),
        "RegexMatch" => value.is_some_and(|value| anywhere(said, value)),
        "RegexNotMatch" => value.is_some_and(|value| !anywhere(said, value)),
        "In" => list(one, "/set").iter().any(|it| it.as_str() == value),
        _ => false,
    }
}

/// Backends with their weights, and who gets copies by a plugin. Requests are counted by route, of which the name has to be wanted, and
/// by the address that answered.
fn backends(key: &Key, rule: &Value, host: &str, path: &str) -> Vec<Backend> {
    let route = format!("{}_{}_{}", key.namespace, key.name, text(rule, "/name"));
    let counted = Labels::of([
        ("route", route.as_str()),
        ("matched_uri", path),
        ("matched_host", host),
    ]);
    let entries = list(rule, "/backends").iter();
    let shares = entries.map(|entry| {
        let weight = entry.pointer("/weight").map_or(Some(UNSAID), Value::as_u64);
        let weight = weight.and_then(|it| it.try_into().ok()).unwrap_or(0);
        let name = Name::new(&key.namespace, text(entry, "/serviceName"));
        Backend {
            counted: counted.clone(),
            ..Backend::new(name, weight)
        }
    });
    let plugins = list(rule, "/plugins").iter();
    let mirrors =
        plugins.filter(|it| text(it, "/name") == "proxy-mirror" && is_true(it, "/enable"));
    let copies = mirrors.filter_map(|plugin| copy(&plugin["config"]));
    shares.chain(copies).collect()
}

/// The Service in the address of a mirror, `http://SERVICE.NAMESPACE:PORT`.
fn copy(config: &Value) -> Option<Backend> {
    let address = text(config, "/host").split_once("://")?.1;
    let host = address.split([':', '/']).next()?;
    let mut parts = host.split('.');
    let (name, namespace) = (parts.next()?, parts.next()?);
    let ratio = config.pointer("/sample_ratio").and_then(Value::as_f64);
    let percent = ratio.unwrap_or(1.0) * 100.0;
    Some(Backend {
        copies: true,
        ..Backend::new(Name::new(namespace, name), percent as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    const ROUTE: &str = r"
apiVersion: apisix.apache.org/v2
kind: ApisixRoute
metadata: {name: web}
spec:
  http:
  - {name: main, match: {hosts: [shop.example], paths: ['/*']}, backends: [{serviceName: app, servicePort: 80}]}
  - {name: static, match: {hosts: [shop.example], paths: ['/static/*', /robots.txt]}, backends: [{serviceName: assets, servicePort: 80}]}
---
apiVersion: apisix.apache.org/v2
kind: ApisixRoute
metadata: {name: web-app-canary}
spec:
  http:
  - name: insiders
    priority: 2
    match: {hosts: [shop.example], paths: ['/*'], exprs: [{subject: {scope: Header, name: X-Canary}, op: Equal, value: insider}]}
    backends: [{serviceName: app-canary, servicePort: 80, weight: 1}]
  - name: main
    priority: 1
    match: {hosts: [shop.example], paths: ['/*']}
    backends: [{serviceName: app, servicePort: 80, weight: 90}, {serviceName: app-canary, servicePort: 80, weight: 10}]
    plugins: [{name: proxy-mirror, enable: true, config: {host: 'http://app-canary.shop:80', sample_ratio: 0.05}}]
";

    #[test]
    fn the_highest_priority_of_the_most_exact_path_counts() {
        let scene = Scene::new(Proxies::Apisix, ROUTE);
        let rows = [
            ("/", None, "app:90 app-canary:10 copies app-canary:5"),
            ("/", Some(("x-canary", "insider")), "app-canary:1"),
            ("/static/a", None, "assets:100"),
            ("/robots.txt", None, "assets:100"),
        ];
        for (path, header, expected) in rows {
            let found = scene.shown(To::Host("shop.example"), path, header);
            assert_eq!(found, expected, "{path} {header:?}");
        }
        assert_eq!(scene.shown(To::Host("other"), "/", None), "none");
    }

    #[test]
    fn both_backends_are_counted_by_one_route() {
        let scene = Scene::new(Proxies::Apisix, ROUTE);
        let expected =
            r#"{matched_host="shop.example", matched_uri="/*", route="shop_web-app-canary_main"}"#;
        assert_eq!(&scene.counted("shop.example")[..2], [expected, expected]);
    }
}
