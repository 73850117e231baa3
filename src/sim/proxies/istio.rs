//! Istio: VirtualServices, for the mesh and for gateways, and those that others delegate to.

use serde_json::Value;

use crate::sim::field::{list, number, pairs, text};
use crate::sim::proxies::condition::{host_fit, whole};
use crate::sim::proxies::objects::Named;
use crate::sim::proxies::{Asked, KindName, Sight, To};
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// VirtualServices.
pub(super) const SERVICES: KindName = ("networking.istio.io", "virtualservices");
/// Services, by whose ports destinations are found.
const APEXES: KindName = ("", "services");

/// What tells Istio where requests go.
pub(super) const KINDS: [KindName; 2] = [SERVICES, APEXES];

/// The port at which gateways listen, for TLS. A request keeps it where a destination names none.
const LISTENS: i64 = 443;

/// The gateway that stands for all sidecars.
const MESH: &str = "mesh";

/// The end of the full name of a Service.
const DOMAIN: &str = "svc.cluster.local";

/// In the mesh one VirtualService says where a host goes, the oldest; without one it is the Service. At gateways the rules of all
/// that have the host are one list. Of the rules of a list the first that matches counts.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let all = sight.objects.list(SERVICES).iter();
    let fitting = all.filter_map(|named| Some((fit(named, asked.to)?, named)));
    let fitting: Vec<_> = fitting.collect();
    let best = fitting.iter().map(|(fit, _)| *fit).max();
    let mut chosen = fitting.into_iter().filter(|(fit, _)| Some(*fit) == best);
    if let To::Service(service) = asked.to {
        let Some((_, named)) = chosen.next() else {
            return Some(vec![Backend::new(service.clone(), 1)]);
        };
        return Some(first(sight, named, asked).unwrap_or_default());
    }
    chosen.find_map(|(_, named)| first(sight, named, asked))
}

/// How exactly a VirtualService is for somebody; `None`: not at all.
fn fit((key, object): &Named, to: To<'_>) -> Option<(bool, usize)> {
    let gateways = list(object, "/spec/gateways");
    let in_mesh = gateways.is_empty() || gateways.iter().any(|it| it == MESH);
    let at_gateway = gateways.iter().any(|it| it != MESH);
    let host = match to {
        To::Host(host) if at_gateway => host.to_owned(),
        To::Service(service) if in_mesh => full(&service.name, &service.namespace),
        _ => return None,
    };
    let hosts = list(object, "/spec/hosts").iter().filter_map(Value::as_str);
    let fits = hosts.filter_map(|name| match to {
        To::Host(_) => host_fit(name, &host),
        To::Service(_) => host_fit(&full(name, &key.namespace), &host),
    });
    fits.max()
}

/// A name in full. One with a dot in it is already.
fn full(name: &str, namespace: &str) -> String {
    if name.contains('.') || name == "*" {
        name.to_owned()
    } else {
        format!("{name}.{namespace}.{DOMAIN}")
    }
}

/// Where the first rule that matches sends a request.
fn first(sight: Sight<'_>, (key, object): &Named, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let rules = list(object, "/spec/http").iter();
    let found = rules
        .filter(|rule| matches(rule, asked))
        .find_map(|rule| followed(sight, rule, &key.namespace, asked));
    // Rules for connections look at no request.
    found.or_else(|| {
        let rule = list(object, "/spec/tcp").first()?;
        Some(destinations(sight, rule, &key.namespace, asked))
    })
}

/// Where a rule sends a request: on to what it delegates to, or to its destinations.
fn followed(sight: Sight<'_>, rule: &Value, home: &str, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let Some(delegate) = rule.get("delegate") else {
        return Some(destinations(sight, rule, home, asked));
    };
    let home = match text(delegate, "/namespace") {
        "" => home,
        namespace => namespace,
    };
    let found = sight.objects.get(SERVICES, home, text(delegate, "/name"))?;
    // One with hosts of its own is no delegate.
    if !list(found, "/spec/hosts").is_empty() || !list(found, "/spec/gateways").is_empty() {
        return None;
    }
    let rules = list(found, "/spec/http").iter();
    let mut matching = rules.filter(|rule| matches(rule, asked));
    let rule = matching.next()?;
    Some(destinations(sight, rule, home, asked))
}

fn matches(rule: &Value, asked: Asked<'_>) -> bool {
    let all = list(rule, "/match");
    all.is_empty() || all.iter().any(|one| holds(one, asked))
}

/// Whether everything in a match is true. Of a request there are path and header; it is a GET without a query.
fn holds(one: &Value, asked: Asked<'_>) -> bool {
    let inside = matches!(asked.to, To::Service(_));
    let gateways = list(one, "/gateways");
    let comes = gateways.is_empty() || gateways.iter().any(|it| (it == MESH) == inside);
    let uri = one
        .get("uri")
        .is_none_or(|uri| is_as(uri, Some(asked.path)));
    let method = one
        .get("method")
        .is_none_or(|method| is_as(method, Some("GET")));
    let headers = pairs(one, "/headers").all(|(name, wanted)| is_as(wanted, asked.header(name)));
    let without = pairs(one, "/withoutHeaders");
    let mut without = without.filter(|(name, wanted)| is_as(wanted, asked.header(name)));
    let query = pairs(one, "/queryParams").next().is_none();
    comes && uri && method && headers && query && without.next().is_none()
}

/// A text as `exact`, `prefix` or `regex` want it; with none of them it has to be there.
fn is_as(wanted: &Value, text: Option<&str>) -> bool {
    let Some(text) = text else {
        return false;
    };
    let said = |field: &str| wanted.get(field).and_then(Value::as_str);
    if let Some(exact) = said("exact") {
        return exact == text;
    }
    if let Some(prefix) = said("prefix") {
        return text.starts_with(prefix);
    }
    said("regex").is_none_or(|expression| whole(expression, text))
}

/// The destinations of a rule. A single one gets everything; of several, one that says no weight gets nothing.
fn destinations(sight: Sight<'_>, rule: &Value, home: &str, asked: Asked<'_>) -> Vec<Backend> {
    let backend = |entry: &Value, weight: i64| {
        Backend::new(
            service(sight, entry, home, asked).unwrap_or_default(),
            weight.try_into().unwrap_or(0),
        )
    };
    let route = list(rule, "/route");
    let alone = route.len() == 1;
    let backends = route.iter().map(|entry| {
        let weight = number(entry, "/weight").unwrap_or(0);
        backend(entry, if alone { 100 } else { weight })
    });
    let copies = list(rule, "/mirrors").iter();
    let copies = copies.map(|entry| (entry, "/percentage/value", entry));
    let single = rule
        .get("mirror")
        .map(|entry| (entry, "/mirrorPercentage/value", rule));
    let copies = copies.chain(single).map(|(entry, percent, holder)| {
        let percent = holder.pointer(percent).and_then(Value::as_f64);
        let mut copy = backend(entry, percent.unwrap_or(100.0) as i64);
        copy.copies = true;
        copy
    });
    backends.chain(copies).collect()
}

/// The Service of a destination; `None`: it has no such port. One that names no port means the only one, and of several that to
/// which the request came.
fn service(sight: Sight<'_>, entry: &Value, home: &str, asked: Asked<'_>) -> Option<Name> {
    let destination = entry.get("destination").unwrap_or(entry);
    let host = full(text(destination, "/host"), home);
    let mut parts = host.strip_suffix(DOMAIN)?.split('.');
    let (name, namespace) = (parts.next()?, parts.next()?);
    let known = sight.objects.get(APEXES, namespace, name);
    let ports = known.map_or(&[][..], |it| list(it, "/spec/ports"));
    let came = match asked.to {
        To::Host(_) => Some(LISTENS),
        To::Service(_) => None,
    };
    let wanted = match number(destination, "/port/number") {
        None if ports.len() == 1 => None,
        None => came,
        port => port,
    };
    let has = |port: i64| ports.iter().any(|it| number(it, "/port") == Some(port));
    let found = known.is_none() || wanted.is_none_or(has);
    found.then(|| Name::new(namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    const MESH_ONLY: &str = r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: [app, shop.example]
  http:
  - match: [{headers: {x-canary: {exact: insider}}}, {headers: {cookie: {regex: '^(.*;\s*)?canary=always(;.*)?$'}}}]
    route: [{destination: {host: app-canary}, weight: 0}]
  - match: [{uri: {prefix: /api}, withoutHeaders: {x-old: {}}}]
    route: [{destination: {host: api.other.svc.cluster.local}}]
  - route: [{destination: {host: app}, weight: 90}, {destination: {host: app-canary}, weight: 10}, {destination: {host: third}}]
    mirrors: [{destination: {host: app-canary}, percentage: {value: 5}}]
"#;

    #[test]
    fn in_the_mesh_the_first_rule_that_matches_counts() {
        let scene = Scene::new(Proxies::Istio, MESH_ONLY);
        let service = Name::new("shop", "app");
        let rows = [
            (
                "/",
                None,
                "app:90 app-canary:10 third:0 copies app-canary:5",
            ),
            ("/", Some(("X-Canary", "insider")), "app-canary:100"),
            (
                "/",
                Some(("cookie", "a=b; canary=always")),
                "app-canary:100",
            ),
            (
                "/",
                Some(("cookie", "xcanary=always")),
                "app:90 app-canary:10 third:0 copies app-canary:5",
            ),
            ("/apis", None, "api:100"),
            (
                "/api",
                Some(("x-old", "1")),
                "app:90 app-canary:10 third:0 copies app-canary:5",
            ),
        ];
        for (path, header, expected) in rows {
            let found = scene.shown(To::Service(&service), path, header);
            assert_eq!(found, expected, "{path} {header:?}");
        }
        assert_eq!(scene.shown(To::Host("shop.example"), "/", None), "none");
        let other = Name::new("shop", "other");
        assert_eq!(scene.shown(To::Service(&other), "/", None), "other:1");
        let elsewhere = Name::new("market", "app");
        assert_eq!(scene.shown(To::Service(&elsewhere), "/", None), "app:1");
    }

    const DELEGATED: &str = r"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root}
spec:
  hosts: ['*.example']
  gateways: [istio-system/public]
  http:
  - match: [{uri: {prefix: /app}}]
    delegate: {name: app}
  - match: [{uri: {prefix: /lost}}]
    delegate: {name: nobody}
  - match: [{uri: {prefix: /wrong}}]
    delegate: {name: root}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  http:
  - match: [{headers: {x-canary: {}}}]
    route: [{destination: {host: app-canary}}]
  - route: [{destination: {host: app}, weight: 1}, {destination: {host: app-canary}, weight: 1}]
";

    #[test]
    fn a_gateway_follows_delegates() {
        let scene = Scene::new(Proxies::Istio, DELEGATED);
        let rows = [
            ("/app", None, "app:1 app-canary:1"),
            ("/app", Some(("x-canary", "any")), "app-canary:100"),
            ("/", None, "none"),
            ("/lost", None, "none"),
            ("/wrong", None, "none"),
        ];
        for (path, header, expected) in rows {
            let found = scene.shown(To::Host("shop.example"), path, header);
            assert_eq!(found, expected, "{path} {header:?}");
        }
        let service = Name::new("shop", "app");
        assert_eq!(scene.shown(To::Service(&service), "/", None), "app:1");
    }

    #[test]
    fn a_rule_that_answers_by_itself_reaches_nobody() {
        let scene = Scene::new(
            Proxies::Istio,
            "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: [app]
  http:
  - match: [{uri: {exact: /}}]
    redirect: {uri: /new}
",
        );
        let service = Name::new("shop", "app");
        assert_eq!(scene.shown(To::Service(&service), "/", None), "");
        assert_eq!(scene.shown(To::Service(&service), "/a", None), "");
    }

    #[test]
    fn connections_are_shared_by_weight() {
        let scene = Scene::new(
            Proxies::Istio,
            "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: [app]
  tcp:
  - route: [{destination: {host: app}, weight: 80}, {destination: {host: app-canary}, weight: 20}]
",
        );
        let service = Name::new("shop", "app");
        let found = scene.shown(To::Service(&service), "/", None);
        assert_eq!(found, "app:80 app-canary:20");
    }

    const PORTS: &str = r"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: [app, shop.example]
  gateways: [mesh, istio-system/public]
  http:
  - match: [{gateways: [istio-system/public], uri: {prefix: /named}}]
    route: [{destination: {host: app, port: {number: 80}}, weight: 90}, {destination: {host: app, port: {number: 81}}, weight: 10}]
  - route: [{destination: {host: app}}]
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}, {port: 9090}]}
";

    #[test]
    fn of_several_ports_a_gateway_needs_the_name() {
        let scene = Scene::new(Proxies::Istio, PORTS);
        let service = Name::new("shop", "app");
        let (inside, outside) = (To::Service(&service), To::Host("shop.example"));
        let rows = [
            (inside, "/named", "app:100"),
            (outside, "/named", "app:90 :10"),
            (outside, "/", ":100"),
        ];
        for (to, path, expected) in rows {
            assert_eq!(scene.shown(to, path, None), expected, "{to:?} {path}");
        }
        let alone = PORTS.replace("{port: 80}, {port: 9090}", "{port: 80}");
        let scene = Scene::new(Proxies::Istio, &alone);
        assert_eq!(scene.shown(outside, "/", None), "app:100");
    }
}
