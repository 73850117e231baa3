//! Kuma: MeshHTTPRoutes, which hold for all clients in the mesh.

use serde_json::Value;

use crate::sim::field::{list, text};
use crate::sim::proxies::condition::{is_below, whole};
use crate::sim::proxies::objects::Named;
use crate::sim::proxies::{Asked, KindName, Sight, To};
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// MeshHTTPRoutes.
pub(super) const ROUTES: KindName = ("kuma.io", "meshhttproutes");

/// The mesh in which all Pods of this cluster are.
const MESH: &str = "default";

/// How exactly a rule fits: path, then headers.
type Fit = (u8, usize, usize);

/// Of the rules for a Service the most exact one counts, and a request that none takes is answered by nobody. Without rules requests go
/// to the Service.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let To::Service(service) = asked.to else {
        return None;
    };
    let routes = sight.objects.list(ROUTES).iter();
    let rules: Vec<_> = routes.flat_map(|named| rules(named, service)).collect();
    if rules.is_empty() {
        return Some(vec![Backend::new(service.clone(), 1)]);
    }
    let fits = rules.iter().enumerate();
    let fits = fits.filter_map(|(place, (home, rule))| {
        let fit = fit(rule, asked)?;
        Some(((fit, std::cmp::Reverse(place)), *home, *rule))
    });
    let best = fits.max_by_key(|(rank, ..)| *rank);
    Some(best.map_or_else(Vec::new, |(_, home, rule)| backends(rule, home)))
}

/// The rules of a route for a Service, each with the route's namespace.
fn rules<'a>((key, route): &'a Named, service: &Name) -> Vec<(&'a str, &'a Value)> {
    let label = text(route, "/metadata/labels/kuma.io~1mesh");
    let ours = ["", MESH].contains(&label) && text(route, "/spec/targetRef/kind") == "Mesh";
    let all = list(route, "/spec/to").iter();
    let for_it = all.filter(|to| {
        text(to, "/targetRef/kind") == "MeshService"
            && named(text(to, "/targetRef/name"), &key.namespace) == *service
    });
    let rules = for_it.flat_map(|to| list(to, "/rules"));
    let rules = rules.map(|rule| (key.namespace.as_str(), rule));
    rules.filter(|_| ours).collect()
}

/// The Service of a name, which may be a value of the old tag `kuma.io/service`.
fn named(name: &str, home: &str) -> Name {
    let mut parts = name.split('_');
    let service = parts.next().unwrap_or_default();
    Name::new(parts.next().unwrap_or(home), service)
}

fn fit(rule: &Value, asked: Asked<'_>) -> Option<Fit> {
    let matches = list(rule, "/matches");
    if matches.is_empty() {
        return Some((1, 1, 0));
    }
    matches.iter().filter_map(|one| fit_of(one, asked)).max()
}

fn fit_of(one: &Value, asked: Asked<'_>) -> Option<Fit> {
    let headers = list(one, "/headers");
    let taken = headers.iter().all(|wanted| has(wanted, asked))
        && list(one, "/queryParams").is_empty()
        && ["", "GET"].contains(&text(one, "/method"));
    let path = text(one, "/path/value");
    let rank = match text(one, "/path/type") {
        "Exact" => (path == asked.path).then_some(3),
        "RegularExpression" => whole(path, asked.path).then_some(2),
        _ => is_below(asked.path, path).then_some(1),
    };
    Some((rank.filter(|_| taken)?, path.len(), headers.len()))
}

fn has(wanted: &Value, asked: Asked<'_>) -> bool {
    let value = asked.header(text(wanted, "/name"));
    let said = text(wanted, "/value");
    match (text(wanted, "/type"), value) {
        ("Absent", value) => value.is_none(),
        (_, None) => false,
        ("Present", _) => true,
        ("RegularExpression", Some(value)) => whole(said, value),
        ("Prefix", Some(value)) => value.starts_with(said),
        (_, Some(value)) => value == said,
    }
}

/// Backends that name no weight have 1; parts of Services are no whole ones, so what goes there reaches nobody here.
fn backends(rule: &Value, home: &str) -> Vec<Backend> {
    let entries = list(rule, "/default/backendRefs").iter();
    let shares = entries.map(|entry| {
        let weight = entry.pointer("/weight").map_or(Some(1), Value::as_u64);
        let weight = weight.and_then(|it| it.try_into().ok()).unwrap_or(0);
        Backend::new(service_of(entry, home), weight)
    });
    let filters = list(rule, "/default/filters").iter();
    let mirrors = filters.filter_map(|filter| filter.get("requestMirror"));
    let copies = mirrors.map(|mirror| {
        let percent = &mirror["percentage"];
        let text = percent.as_str().and_then(|text| text.parse().ok());
        let percent = percent.as_f64().or(text).unwrap_or(100.0);
        let mut copy = Backend::new(service_of(&mirror["backendRef"], home), percent as u32);
        copy.copies = true;
        copy
    });
    shares.chain(copies).collect()
}

fn service_of(entry: &Value, home: &str) -> Name {
    match text(entry, "/kind") {
        "MeshService" => named(text(entry, "/name"), home),
        _ => Name::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    const ROUTE: &str = r"
apiVersion: kuma.io/v1alpha1
kind: MeshHTTPRoute
metadata: {name: app, labels: {kuma.io/mesh: default}}
spec:
  targetRef: {kind: Mesh}
  to:
  - targetRef: {kind: MeshService, name: app}
    rules:
    - matches: [{path: {type: PathPrefix, value: /app}}]
      default:
        backendRefs: [{kind: MeshService, name: app, port: 80, weight: 90}, {kind: MeshService, name: app-canary_shop_svc_80, weight: 10}]
        filters: [{type: RequestMirror, requestMirror: {percentage: '5', backendRef: {kind: MeshService, name: app-canary}}}]
    - matches: [{path: {type: PathPrefix, value: /app}, headers: [{type: Exact, name: x-canary, value: insider}]}]
      default: {backendRefs: [{kind: MeshService, name: app-canary}]}
";

    #[test]
    fn the_most_exact_rule_for_a_service_counts() {
        let scene = Scene::new(Proxies::Kuma, ROUTE);
        let service = Name::new("shop", "app");
        let rows = [
            ("/app/x", None, "app:90 app-canary:10 copies app-canary:5"),
            ("/app", Some(("x-canary", "insider")), "app-canary:1"),
            ("/", None, ""),
        ];
        for (path, header, expected) in rows {
            let found = scene.shown(To::Service(&service), path, header);
            assert_eq!(found, expected, "{path} {header:?}");
        }
        let other = Name::new("shop", "app-canary");
        assert_eq!(scene.shown(To::Service(&other), "/", None), "app-canary:1");
    }

    #[test]
    fn routes_of_another_mesh_mean_nothing_here() {
        let scene = Scene::new(
            Proxies::Kuma,
            &ROUTE.replace("mesh: default", "mesh: other"),
        );
        let service = Name::new("shop", "app");
        assert_eq!(scene.shown(To::Service(&service), "/", None), "app:1");
    }
}
