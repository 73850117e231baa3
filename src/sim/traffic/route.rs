//! Which way requests go by the objects that are live: routes of the Gateway API, Services, EndpointSlices. It reads them its own
//! way, so that a wrong route is seen as what it does.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::Value;

use crate::sim::field::{list, text};
use crate::sim::promql::labels::Labels;
use crate::sim::seed::Seed;
use crate::sim::store::Key;
use crate::sim::traffic::Name;

/// A Service that gets some of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The Service.
    pub service: Name,
    /// Weight beside other backends; of copies so many percent.
    pub weight: u32,
    /// Labels under which the proxy counts its requests.
    pub counted: Labels,
    /// It gets copies of requests, and no share.
    pub copies: bool,
}

impl Backend {
    /// A backend that nobody counts.
    #[must_use]
    pub fn new(service: Name, weight: u32) -> Self {
        Self {
            service,
            weight,
            counted: Labels::default(),
            copies: false,
        }
    }
}

/// A request, as far as routes look at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The host.
    pub host: &'a str,
    /// The path.
    pub path: &'a str,
    /// The one header that some rule may ask for, by name and value.
    pub header: Option<&'a (String, String)>,
}

/// The backends of a request; `None`: no route takes it.
#[must_use]
pub fn backends(routes: &[(Key, Arc<Value>)], asked: Asked<'_>) -> Option<Vec<Backend>> {
    let found = routes.iter().flat_map(|(key, route)| {
        let host = host_fit(route, asked.host);
        let rules = list(route, "/spec/rules").iter().enumerate();
        let fits = rules
            .filter_map(move |(number, rule)| Some((host?, rule_fit(rule, asked)?, number, rule)));
        fits.map(move |(host, path, number, rule)| {
            let age = text(route, "/metadata/creationTimestamp");
            let first = Reverse((age, &key.namespace, &key.name, number));
            ((host, path, first), key, route, rule)
        })
    });
    let ((_, _, Reverse((_, _, _, number))), key, route, rule) =
        found.max_by_key(|(rank, ..)| *rank)?;
    let refs = list(rule, "/backendRefs").iter().enumerate();
    let backends = refs.map(|(place, reference)| {
        let mut backend = backend(reference, &key.namespace);
        let service = counted_as(&backend.service, key, route, (number, place));
        backend.counted = Labels::of([
            ("method", "GET"),
            ("protocol", "http"),
            ("service", &service),
        ]);
        backend
    });
    Some(backends.collect())
}

/// Whether a route is one for this host at all.
#[must_use]
pub fn is_for(route: &Value, host: &str) -> bool {
    host_fit(route, host).is_some()
}

/// How exactly a route's host names fit: the name itself before the longest `*.…` before none; `None`: not at all.
fn host_fit(route: &Value, host: &str) -> Option<(bool, usize)> {
    let names = list(route, "/spec/hostnames");
    if names.is_empty() {
        return Some((false, 0));
    }
    let fits = names.iter().filter_map(|name| {
        let name = name.as_str()?;
        let ends = name
            .strip_prefix('*')
            .is_some_and(|end| host.ends_with(end));
        (name == host || ends).then_some((name == host, name.len()))
    });
    fits.max()
}

/// How exactly a rule fits a request: an exact path before the longest prefix, then the most headers; `None`: not at all.
fn rule_fit(rule: &Value, asked: Asked<'_>) -> Option<(bool, usize, usize)> {
    let matches = list(rule, "/matches");
    if matches.is_empty() {
        return Some((false, 1, 0));
    }
    let fits = matches.iter().filter_map(|one| {
        let method = text(one, "/method");
        let headers = list(one, "/headers");
        let says = |wanted: &Value| asked.header.is_some_and(|header| has(wanted, header));
        let is_taken = list(one, "/queryParams").is_empty() && headers.iter().all(says);
        if !is_taken || !(method.is_empty() || method == "GET") {
            return None;
        }
        let (exact, length) = path_fit(one, asked.path)?;
        Some((exact, length, headers.len()))
    });
    fits.max()
}

fn path_fit(one: &Value, path: &str) -> Option<(bool, usize)> {
    let value = one
        .pointer("/path/value")
        .and_then(Value::as_str)
        .unwrap_or("/");
    match text(one, "/path/type") {
        "Exact" => (value == path).then_some((true, value.len())),
        "" | "PathPrefix" => is_below(path, value).then_some((false, value.len())),
        _ => None,
    }
}

/// Whether a header is as a match wants it. Gateways search for expressions anywhere in the value.
fn has(wanted: &Value, (name, value): &(String, String)) -> bool {
    let text_of = text(wanted, "/value");
    let fits = match text(wanted, "/type") {
        "RegularExpression" => regex::Regex::new(text_of).is_ok_and(|it| it.is_match(value)),
        _ => text_of == value,
    };
    text(wanted, "/name").eq_ignore_ascii_case(name) && fits
}

/// Whether a path is a prefix or lies below it, by whole parts.
fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn backend(reference: &Value, home: &str) -> Backend {
    let namespace = match text(reference, "/namespace") {
        "" => home,
        namespace => namespace,
    };
    let weight = reference.pointer("/weight").map_or(Some(1), Value::as_u64);
    let weight = weight.and_then(|weight| weight.try_into().ok());
    Backend::new(
        Name::new(namespace, text(reference, "/name")),
        weight.unwrap_or(0),
    )
}

/// The name that Traefik has had for a backend since 3.7.6. Its hash stands for the match; here any number of its form does.
fn counted_as(service: &Name, key: &Key, route: &Value, (rule, place): (usize, usize)) -> String {
    let parent = route.pointer("/spec/parentRefs/0");
    let part = |pointer: &str| parent.map_or("", |parent| text(parent, pointer));
    let namespace = match part("/namespace") {
        "" => &key.namespace,
        namespace => namespace,
    };
    let gateway = normalized(&format!("{namespace}-{}", part("/name")));
    let home = normalized(&format!("{}-{}", key.namespace, key.name));
    let hash = Seed::new(rule as u64).fork(&home).bits();
    let Name { namespace, name } = service;
    format!(
        "httproute-{home}-gw-{gateway}-ep-web-{rule}-{hash:020x}-svc-{namespace}-{name}-{place}@kubernetesgateway"
    )
}

/// Letters and digits, with `-` for whatever is between them.
fn normalized(name: &str) -> String {
    let parts = name.split(|letter: char| !letter.is_alphanumeric());
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// The Pods that a Service's EndpointSlices name as ready. A proxy on the node takes those that still serve while they end, if
/// there is no ready one.
#[must_use]
pub fn endpoints(slices: &[Arc<Value>], service: &Name, on_node: bool) -> Vec<Name> {
    let label = "/metadata/labels/kubernetes.io~1service-name";
    let own = slices
        .iter()
        .filter(|slice| text(slice, label) == service.name);
    let all: Vec<_> = own.flat_map(|slice| list(slice, "/endpoints")).collect();
    let with = |condition: &str, default: bool| {
        let pointer = format!("/conditions/{condition}");
        let holds = |endpoint: &Value| endpoint.pointer(&pointer).and_then(Value::as_bool);
        let chosen = all
            .iter()
            .filter(|endpoint| holds(endpoint).unwrap_or(default));
        let names =
            chosen.map(|endpoint| Name::new(&service.namespace, text(endpoint, "/targetRef/name")));
        let mut names: Vec<_> = names.collect();
        names.sort();
        names.dedup();
        names
    };
    let ready = with("ready", true);
    if ready.is_empty() && on_node {
        return with("serving", false);
    }
    ready
}

/// The ready Pods that a Service selects, where nobody makes EndpointSlices.
#[must_use]
pub fn selected(service: &Value, pods: &[(Key, Arc<Value>)]) -> Vec<Name> {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
        return Vec::new();
    };
    let takes = |pod: &Value| {
        let labels = pod.pointer("/metadata/labels");
        selector
            .iter()
            .all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
    };
    let chosen = pods.iter().filter(|(_, pod)| takes(pod) && is_ready(pod));
    chosen
        .map(|(key, _)| Name::new(&key.namespace, &key.name))
        .collect()
}

fn is_ready(pod: &Value) -> bool {
    let ends = pod.pointer("/metadata/deletionTimestamp").is_some();
    let conditions = list(pod, "/status/conditions").iter();
    let ready = conditions.filter(|condition| text(condition, "/type") == "Ready");
    !ends
        && ready
            .map(|condition| text(condition, "/status"))
            .any(|status| status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(name: &str, spec: &Value) -> (Key, Arc<Value>) {
        let key = Key::new("gateway.networking.k8s.io", "httproutes", "shop", name);
        (
            key,
            Arc::new(
                json!({"metadata": {"creationTimestamp": "2030-01-01T00:00:00Z"}, "spec": spec}),
            ),
        )
    }

    fn shown(routes: &[(Key, Arc<Value>)], host: &str, path: &str) -> String {
        let header = None;
        let Some(backends) = backends(routes, Asked { host, path, header }) else {
            return "none".to_owned();
        };
        let backends = backends
            .iter()
            .map(|backend| format!("{}:{}", backend.service, backend.weight));
        backends.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_most_exact_route_takes_a_request() {
        let to = |name: &str| json!([{"name": name, "port": 80}]);
        let routes = [
            route("any", &json!({"rules": [{"backendRefs": to("any")}]})),
            route(
                "wild",
                &json!({"hostnames": ["*.example"], "rules": [{"backendRefs": to("wild")}]}),
            ),
            route(
                "web",
                &json!({"hostnames": ["a.example", "b.example"], "rules": [
                    {"matches": [{"headers": [{"name": "x", "value": "y"}]}], "backendRefs": to("tester")},
                    {"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}], "backendRefs": to("api")},
                    {"backendRefs": [
                        {"name": "web", "weight": 90}, {"name": "web-canary", "weight": 10, "namespace": "other"}, {"name": "off", "weight": 0},
                    ]},
                ]}),
            ),
        ];
        let rows = [
            (
                "a.example",
                "/",
                "shop/web:90 other/web-canary:10 shop/off:0",
            ),
            (
                "a.example",
                "/apis",
                "shop/web:90 other/web-canary:10 shop/off:0",
            ),
            ("a.example", "/api/x", "shop/api:1"),
            ("c.example", "/", "shop/wild:1"),
            ("elsewhere", "/", "shop/any:1"),
        ];
        for (host, path, expected) in rows {
            assert_eq!(shown(&routes, host, path), expected, "{host}{path}");
        }
        assert_eq!(shown(&routes[1..], "elsewhere", "/"), "none");
    }

    fn asked<'a>(host: &'a str, header: Option<&'a (String, String)>) -> Asked<'a> {
        let path = "/";
        Asked { host, path, header }
    }

    #[test]
    fn a_rule_with_headers_takes_requests_that_have_them() {
        let matching = |how: &str, value: &str| json!([{"headers": [{"type": how, "name": "X-Group", "value": value}]}]);
        let spec = json!({"rules": [
            {"backendRefs": [{"name": "web"}]},
            {"matches": matching("Exact", "insider"), "backendRefs": [{"name": "exact"}]},
            {"matches": matching("RegularExpression", "^b.*$"), "backendRefs": [{"name": "pattern"}]},
        ]});
        let routes = [route("shop", &spec)];
        let rows = [
            (Some(("x-group", "insider")), "exact"),
            (Some(("x-group", "beta")), "pattern"),
            (Some(("x-group", "abc")), "web"),
            (Some(("other", "insider")), "web"),
            (None, "web"),
        ];
        for (header, expected) in rows {
            let header = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let found = backends(&routes, asked("a", header.as_ref())).unwrap();
            assert_eq!(found[0].service.name, expected, "{header:?}");
        }
    }

    #[test]
    fn backends_are_counted_by_traefiks_name() {
        let spec = json!({
            "parentRefs": [{"name": "gw", "namespace": "default"}], "hostnames": ["a"],
            "rules": [{"backendRefs": [{"name": "web"}, {"name": "web-canary"}]}],
        });
        let found = backends(&[route("shop.example", &spec)], asked("a", None)).unwrap();
        let (before, after) = found[1]
            .counted
            .get("service")
            .split_once("-ep-web-0-")
            .unwrap();
        assert_eq!(before, "httproute-shop-shop-example-gw-default-gw");
        assert_eq!(&after[20..], "-svc-shop-web-canary-1@kubernetesgateway");
    }

    #[test]
    fn endpoints_are_those_that_are_ready() {
        let slice = |service: &str, endpoints: Value| {
            Arc::new(
                json!({"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints}),
            )
        };
        let end = |name: &str, ready: bool, serving: bool| json!({"targetRef": {"name": name}, "conditions": {"ready": ready, "serving": serving}});
        let ending = slice(
            "web",
            json!([end("a", false, true), end("b", false, false)]),
        );
        let other = slice("web-canary", json!([end("d", true, true)]));
        let service = Name::new("shop", "web");
        let names = |slices: &[Arc<Value>], on_node| {
            let found = endpoints(slices, &service, on_node);
            found
                .into_iter()
                .map(|name| name.name)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let slices = [ending.clone(), other.clone()];
        assert_eq!(
            (names(&slices, false), names(&slices, true)),
            (String::new(), "a".to_owned())
        );
        let slices = [ending, other, slice("web", json!([end("c", true, true)]))];
        assert_eq!(
            (names(&slices, false), names(&slices, true)),
            ("c".to_owned(), "c".to_owned())
        );
    }

    #[test]
    fn without_slices_the_selector_counts() {
        let pod = |name: &str, app: &str, ready: &str| {
            let object = json!({
                "metadata": {"labels": {"app": app, "x": "y"}}, "status": {"conditions": [{"type": "Ready", "status": ready}]},
            });
            (Key::new("", "pods", "shop", name), Arc::new(object))
        };
        let pods = [
            pod("a", "web", "True"),
            pod("b", "web", "False"),
            pod("c", "other", "True"),
        ];
        let found = selected(&json!({"spec": {"selector": {"app": "web"}}}), &pods);
        assert_eq!(found, [Name::new("shop", "a")]);
        assert!(selected(&json!({"spec": {}}), &pods).is_empty());
    }
}
